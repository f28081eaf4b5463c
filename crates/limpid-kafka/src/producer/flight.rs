//! Batches that were handed in and are not yet whole at the brokers.
//!
//! Owns: the batches, how far each was sent, how much of each is acknowledged. Does not own: sending (`producer`).
//!
//! Invariant: a batch leaves only when every record of it that was sent is accounted for. Until then nobody can change
//! its bytes: they are lent to librdkafka, and only `&EncodedBatch` is given out.

use limpid_connector::{Delivered, EncodedBatch, RecordSpan};

/// Where the records of one table version go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A topic by its number in the producer, and the most bytes a record may have there.
    Topic { topic: u16, record_bytes_max: u64 },
    /// The table has no record in the batch.
    Nowhere,
}

/// A record's place: what librdkafka carries along and gives back with the acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub slot: u16,
    pub table: u16,
    pub record: u32,
}

impl Ticket {
    /// The position record's own.
    pub const POSITION: Ticket = Ticket { slot: u16::MAX, table: 0, record: 0 };

    pub fn to_bits(self) -> usize {
        const { assert!(usize::BITS == 64, "a ticket fills a 64-bit pointer") };
        (self.slot as usize) << 48 | (self.table as usize) << 32 | self.record as usize
    }

    pub fn from_bits(bits: usize) -> Self {
        Self { slot: (bits >> 48) as u16, table: (bits >> 32) as u16, record: bits as u32 }
    }
}

/// Records that are looked at together, so that those of one topic go in one call although others stand between them.
/// Their messages are 18 KiB, which stay in the first cache.
pub(super) const WINDOW: usize = 256;

/// One batch under way.
#[derive(Debug)]
pub(super) struct Slot {
    batch: Box<EncodedBatch>,
    targets: Vec<Target>,
    /// First record of the window: all before it were given to librdkafka, or dropped.
    next: usize,
    /// The same for records of the window, one bit each.
    done: [u64; WINDOW / 64],
    unacked: u32,
    delivered: Vec<Delivered>,
}

impl Slot {
    pub fn batch(&self) -> &EncodedBatch {
        &self.batch
    }

    /// The first record that is neither sent nor dropped. Moves the window on.
    pub fn first_pending(&mut self) -> Option<usize> {
        loop {
            let length = self.batch.records.len().saturating_sub(self.next).min(WINDOW);
            let mut words = self.done.iter().enumerate();
            let found =
                words.find_map(|(word, bits)| (*bits != u64::MAX).then(|| word * 64 + bits.trailing_ones() as usize));
            match found.filter(|index| *index < length) {
                Some(index) => return Some(self.next + index),
                None => {
                    self.next += length;
                    self.done = Default::default();
                }
            }
            if length == 0 {
                return None;
            }
        }
    }

    /// Records of the window from `first` on that are neither sent nor dropped, with their numbers.
    pub fn pending(&self, first: usize) -> impl Iterator<Item = (usize, &RecordSpan)> {
        let window = self.batch.records.iter().enumerate().take(self.next + WINDOW).skip(first);
        window.filter(|(index, _)| {
            let place = index - self.next;
            self.done[place / 64] & 1 << (place % 64) == 0
        })
    }

    /// The record is sent or dropped.
    pub fn mark(&mut self, index: usize) {
        let place = index.checked_sub(self.next).filter(|place| *place < WINDOW).expect("a record of the window");
        self.done[place / 64] |= 1 << (place % 64);
    }

    /// So many records were sent.
    pub fn sent(&mut self, records: u32) {
        self.unacked += records;
    }

    pub fn target(&self, record: &RecordSpan) -> Target {
        self.targets.get(record.table as usize).copied().unwrap_or(Target::Nowhere)
    }

    fn is_done(&self) -> bool {
        self.unacked == 0 && self.next >= self.batch.records.len()
    }

    fn deliver(&mut self, run: Delivered) {
        let place = |found: &&mut Delivered| found.table == run.table && found.partition == run.partition;
        match self.delivered.iter_mut().find(place) {
            Some(found) => {
                found.offsets = (found.offsets.0.min(run.offsets.0), found.offsets.1.max(run.offsets.1));
                found.records += run.records;
            }
            None => self.delivered.push(run),
        }
    }
}

/// A batch of which nothing is missing.
pub(crate) type Whole = (Box<EncodedBatch>, Vec<Delivered>);

/// All batches under way. At most 65,535: fewer than librdkafka's queue has messages, and each holds one at least.
#[derive(Debug, Default)]
pub(super) struct Flight {
    slots: Vec<Option<Slot>>,
    free: Vec<u16>,
    bytes: u64,
    /// The one that librdkafka's queue had no more room for.
    sending: Option<u16>,
}

impl Flight {
    /// Encoded bytes of all batches under way.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// The batch that is not wholly given to librdkafka yet.
    pub fn sending(&self) -> Option<u16> {
        self.sending
    }

    /// True when another batch can be taken: the one before is sent, and there is a number for it.
    pub fn has_room(&self) -> bool {
        self.sending.is_none() && (!self.free.is_empty() || self.slots.len() < u16::MAX as usize)
    }

    /// Takes a batch, to be sent next.
    pub fn add(&mut self, batch: Box<EncodedBatch>, targets: Vec<Target>) {
        assert!(self.has_room(), "asked before whether there is room");
        self.bytes += batch.bytes.len() as u64;
        let slot = Slot { batch, targets, next: 0, done: Default::default(), unacked: 0, delivered: Vec::new() };
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u16
        });
        self.slots[number as usize] = Some(slot);
        self.sending = Some(number);
    }

    pub fn slot(&mut self, number: u16) -> &mut Slot {
        self.slots.get_mut(number as usize).and_then(Option::as_mut).expect("a ticket is of a batch under way")
    }

    /// Everything of the batch was given to librdkafka; it comes back at once if all of that is acknowledged, or if
    /// there was nothing to give.
    pub fn sent(&mut self, number: u16) -> Option<Whole> {
        self.sending = None;
        self.take_done(number)
    }

    /// Counts records as acknowledged.
    pub fn acked(&mut self, number: u16, run: Delivered) -> Option<Whole> {
        let slot = self.slot(number);
        slot.deliver(run);
        self.account(number, run.records)
    }

    fn account(&mut self, number: u16, records: u32) -> Option<Whole> {
        let slot = self.slot(number);
        slot.unacked = slot.unacked.checked_sub(records).expect("each record is reported once");
        if self.sending == Some(number) { None } else { self.take_done(number) }
    }

    fn take_done(&mut self, number: u16) -> Option<Whole> {
        let place = self.slots.get_mut(number as usize)?;
        let slot = place.take_if(|slot| slot.is_done())?;
        self.free.push(number);
        self.bytes -= slot.batch.bytes.len() as u64;
        Some((slot.batch, slot.delivered))
    }
}

#[cfg(test)]
mod tests {
    use limpid_connector::Span;

    use super::*;

    fn batch(records: usize) -> Box<EncodedBatch> {
        let record = RecordSpan { key: Span::NULL, value: Span::NULL, headers: (0, 0), table: 0, row: 0 };
        Box::new(EncodedBatch { bytes: vec![0; 10], records: vec![record; records], ..Default::default() })
    }

    fn run(partition: i32, offsets: (i64, i64)) -> Delivered {
        Delivered { table: 0, partition, offsets, records: (offsets.1 - offsets.0 + 1) as u32 }
    }

    #[test]
    fn a_ticket_survives_the_pointer_it_travels_in() {
        for ticket in [Ticket { slot: 0x1234, table: 0xffff, record: u32::MAX }, Ticket::POSITION] {
            assert_eq!(Ticket::from_bits(ticket.to_bits()), ticket);
        }
    }

    #[test]
    fn a_batch_comes_back_only_when_all_is_sent_and_acknowledged() {
        let mut flight = Flight::default();
        flight.add(batch(4), vec![Target::Nowhere]);
        assert!(!flight.has_room(), "one at a time is being sent");
        let slot = flight.slot(0);
        [0, 1, 3].into_iter().for_each(|index| slot.mark(index));
        slot.sent(3);
        assert_eq!(slot.first_pending(), Some(2));
        assert!(flight.acked(0, run(1, (7, 8))).is_none() && flight.acked(0, run(0, (5, 5))).is_none());
        let slot = flight.slot(0);
        slot.mark(2);
        slot.sent(1);
        assert_eq!(slot.first_pending(), None);
        assert!(flight.sent(0).is_none(), "sent, and not acknowledged");
        let (_, delivered) = flight.acked(0, run(1, (9, 9))).unwrap();
        assert_eq!(delivered, [run(1, (7, 9)), run(0, (5, 5))]);
        assert!(flight.is_empty() && flight.bytes() == 0 && flight.has_room());
    }

    #[test]
    fn the_window_moves_over_every_record_once() {
        for records in [1, 63, 64, 255, 256, 257, 700] {
            let mut flight = Flight::default();
            flight.add(batch(records), vec![Target::Nowhere]);
            let slot = flight.slot(0);
            let mut seen = Vec::new();
            while let Some(first) = slot.first_pending() {
                // Every second, then those between.
                let taken: Vec<usize> = slot.pending(first).map(|(index, _)| index).step_by(2).collect();
                taken.iter().for_each(|index| slot.mark(*index));
                seen.extend(taken);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..records).collect::<Vec<_>>());
            assert!(flight.sent(0).is_some());
        }
    }

    #[test]
    fn an_empty_batch_comes_back_at_once_and_numbers_are_used_again() {
        let mut flight = Flight::default();
        for _ in 0..3 {
            flight.add(batch(0), Vec::new());
            assert_eq!(flight.slot(0).first_pending(), None);
            assert!(flight.sent(0).is_some());
        }
        assert_eq!(flight.slots.len(), 1);
    }
}

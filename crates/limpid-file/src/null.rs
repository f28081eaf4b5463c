//! The sink that drops everything.
//!
//! Owns: counting. Does not own: anything else: with a format the rows are encoded before they come here, without one
//! they are only decoded.
//!
//! Invariant: every batch is reported durable by the next poll, in order.

use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Sink, SinkEvent};
use limpid_model::Fault;

use crate::held::{HELD_BYTES_MAX, Held};

/// Takes everything at once.
#[derive(Debug)]
pub struct NullSink {
    clock: Clock,
    held: Held,
    records: u64,
    bytes: u64,
}

impl NullSink {
    pub fn new(clock: Clock) -> Self {
        Self { clock, held: Held::default(), records: 0, bytes: 0 }
    }

    /// Records dropped so far, and the bytes of their keys, values and headers.
    pub fn dropped(&self) -> (u64, u64) {
        (self.records, self.bytes)
    }
}

impl Sink for NullSink {
    fn open(&mut self) -> Result<(), Fault> {
        self.held.clear();
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        if !self.held.has_room(&batch) {
            return Ok(Accepted::Full(batch));
        }
        self.records += batch.records.len() as u64;
        self.bytes += batch.bytes.len() as u64;
        self.held.push(batch);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.held.is_empty() {
            // Nothing can come: waiting is what keeps a caller that polls in a loop from turning in it.
            self.clock.sleep(wait);
        }
        self.held.report(events);
        Ok(())
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn save_record(&mut self, _record: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn held_bytes(&self) -> (u64, u64) {
        (self.held.bytes(), HELD_BYTES_MAX)
    }

    fn endpoint(&self) -> String {
        "null".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::{NONE, Op, RowHeader};

    use super::*;
    use crate::sample::batch;

    /// The records reported for each table.
    fn reported(sink: &mut NullSink) -> Vec<Vec<(u16, u32)>> {
        let mut events = Vec::new();
        sink.poll(Duration::ZERO, &mut events).unwrap();
        let tables = |event: &SinkEvent| {
            let SinkEvent::Durable { delivered, .. } = event else { panic!("{event:?}") };
            delivered.iter().map(|delivered| (delivered.table, delivered.records)).collect()
        };
        events.iter().map(tables).collect()
    }

    #[test]
    fn every_batch_is_reported_once_and_counted_by_table() {
        let mut sink = NullSink::new(Clock::manual());
        sink.open().unwrap();
        for (first, count) in [(0, 3), (3, 1)] {
            assert!(matches!(sink.write(batch(first, count)), Ok(Accepted::Taken)));
        }
        assert_eq!(reported(&mut sink), [vec![(0, 2), (1, 1)], vec![(1, 1)]]);
        assert!(reported(&mut sink).is_empty());
        assert_eq!((sink.dropped().0, sink.held_bytes().0), (4, 0));
    }

    #[test]
    fn rows_are_counted_where_no_format_made_records() {
        let mut sink = NullSink::new(Clock::manual());
        let mut decoded = batch(0, 3);
        decoded.clear_records();
        let row =
            RowHeader { event: 0, row_in_event: 0, txn: 0, before: NONE, after: NONE, table: 1, op: Op::Truncate };
        decoded.batch.rows.extend([row, row]);
        assert!(matches!(sink.write(decoded), Ok(Accepted::Taken)));
        assert_eq!(reported(&mut sink), [[(1, 2)]]);
        assert_eq!(sink.dropped(), (0, 0));
    }

    #[test]
    fn a_caller_that_does_not_poll_is_stopped_before_batches_pile_up() {
        let mut sink = NullSink::new(Clock::manual());
        let large = || {
            let mut large = batch(0, 1);
            large.bytes.resize(10 << 20, b' ');
            large
        };
        assert!(matches!(sink.write(large()), Ok(Accepted::Taken)));
        let Ok(Accepted::Full(turned_away)) = sink.write(large()) else { panic!("the bound does not hold") };
        assert_eq!(reported(&mut sink).len(), 1);
        assert!(matches!(sink.write(turned_away), Ok(Accepted::Taken)));
    }

    #[test]
    fn a_poll_with_nothing_to_say_waits_so_that_a_loop_does_not_spin() {
        let clock = Clock::manual();
        let before = clock.nanos();
        NullSink::new(clock.clone()).poll(Duration::from_millis(5), &mut Vec::new()).unwrap();
        assert_eq!(clock.nanos() - before, 5_000_000);
    }
}

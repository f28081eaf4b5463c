//! A batch in the ring, as words.
//!
//! Owns: which number stands where. Does not own: where a frame lies.
//!
//! Invariant: what was written reads back equal; reading nonsense gives nonsense, never a panic. A frame that says it is
//! done was completed before it said so.

use limpid_model::{ALL_CODES, CommitTime, FaultCode};

/// 128 bytes a batch.
pub(super) const HEADER_WORDS: usize = 16;
/// 32 bytes a transaction.
pub(super) const TXN_WORDS: usize = 4;
/// 32 bytes a place.
pub(super) const PLACE_WORDS: usize = 4;

/// Which word of a header says whether the batch is done: written last, read first.
pub(super) const STATE_WORD: usize = 14;

const DONE: u64 = 1 << 32;
const PLACES_LOST: u64 = 1 << 33;
/// Stands in the state while a frame is completed: its other words are of two times.
pub(super) const COMPLETING: u64 = 1 << 34;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub times: [u64; 8],
    pub seq: u64,
    pub rows: u32,
    pub txns: u32,
    pub bytes: u64,
    /// The wall clock at the acknowledgement; before that, when the batch was handed to the sink.
    pub wall_micros: i64,
    /// Rows of the first transaction that came in earlier batches; the others begin here.
    pub rows_before: u64,
    /// Rows with a word of their own about what became of them.
    pub exceptions: u32,
    /// Room for places, and the tables that the batch has rows of.
    pub places: u16,
    pub tables: u16,
    /// Places that are known.
    pub placed: u16,
    /// Which attempt of the pipeline handed it to the sink.
    pub attempt: u32,
    pub done: bool,
    /// It went to more places than there was room for.
    pub places_lost: bool,
}

impl Header {
    pub(super) fn words(&self) -> [u64; HEADER_WORDS] {
        let mut words = [0; HEADER_WORDS];
        words[..8].copy_from_slice(&self.times);
        words[8] = self.seq;
        words[9] = u64::from(self.rows) | u64::from(self.txns) << 32;
        words[10] = self.bytes;
        words[11] = self.wall_micros as u64;
        words[12] = self.rows_before;
        words[13] = u64::from(self.exceptions) | u64::from(self.places) << 32 | u64::from(self.tables) << 48;
        words[STATE_WORD] =
            u64::from(self.attempt) | if self.done { DONE } else { 0 } | if self.places_lost { PLACES_LOST } else { 0 };
        words[15] = u64::from(self.placed);
        words
    }

    pub(super) fn read(words: &[u64; HEADER_WORDS]) -> Self {
        let mut times = [0; 8];
        times.copy_from_slice(&words[..8]);
        Self {
            times,
            seq: words[8],
            rows: words[9] as u32,
            txns: (words[9] >> 32) as u32,
            bytes: words[10],
            wall_micros: words[11] as i64,
            rows_before: words[12],
            exceptions: words[13] as u32,
            places: (words[13] >> 32) as u16,
            tables: (words[13] >> 48) as u16,
            placed: words[15] as u16,
            attempt: words[STATE_WORD] as u32,
            done: words[STATE_WORD] & DONE != 0,
            places_lost: words[STATE_WORD] & PLACES_LOST != 0,
        }
    }

    /// As it was before its batch was acknowledged, of which some words may tell already; but for the wall clock.
    pub(super) fn take_back(&mut self) {
        (self.done, self.places_lost) = (false, false);
        (self.bytes, self.placed) = (0, 0);
        // The acknowledgement, and the position's being saved.
        (self.times[6], self.times[7]) = (0, 0);
    }

    /// Where the parts begin, counted from the frame's own begin, and its length.
    pub(super) fn parts(&self) -> Parts {
        let txns = HEADER_WORDS as u64;
        let exceptions = txns + u64::from(self.txns) * TXN_WORDS as u64;
        let places = exceptions + u64::from(self.exceptions);
        let rows = places + u64::from(self.places) * PLACE_WORDS as u64;
        Parts { txns, exceptions, places, rows, len: rows + u64::from(self.rows) }
    }
}

/// See [`Header::parts`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub txns: u64,
    pub exceptions: u64,
    pub places: u64,
    pub rows: u64,
    pub len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Txn {
    /// Index of the server it came from; `None` for one without a name.
    pub origin: Option<u16>,
    pub rows: u32,
    /// Its number at its origin.
    pub number: u64,
    pub commit: CommitTime,
}

impl Txn {
    pub(super) fn words(&self) -> [u64; TXN_WORDS] {
        let origin = self.origin.map_or(0, |origin| u64::from(origin) + 1);
        [
            origin | u64::from(self.rows) << 32,
            self.number,
            self.commit.micros as u64,
            u64::from(self.commit.uncertainty_micros),
        ]
    }

    pub(super) fn read(words: &[u64; TXN_WORDS]) -> Self {
        Self {
            origin: (words[0] as u32).checked_sub(1).map(|origin| origin as u16),
            rows: (words[0] >> 32) as u32,
            number: words[1],
            commit: CommitTime { micros: words[2] as i64, uncertainty_micros: words[3] as u32 },
        }
    }
}

/// Records of a batch that went to one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the table, as its seed.
    pub table: u64,
    pub partition: i32,
    pub records: u32,
    pub offsets: (i64, i64),
}

impl Place {
    pub(super) fn words(&self) -> [u64; PLACE_WORDS] {
        let (first, last) = self.offsets;
        [self.table, u64::from(self.partition as u32) | u64::from(self.records) << 32, first as u64, last as u64]
    }

    pub(super) fn read(words: &[u64; PLACE_WORDS]) -> Self {
        Self {
            table: words[0],
            partition: words[1] as u32 as i32,
            records: (words[1] >> 32) as u32,
            offsets: (words[2] as i64, words[3] as i64),
        }
    }
}

/// Why a row was not delivered with its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A rule rejected it, by its number.
    Filtered(u16),
    /// It waits with its key. Without a code it waits behind another.
    Parked(Option<FaultCode>),
    /// It was put aside.
    DeadLetter(Option<FaultCode>),
    /// Its table was halted at it or before it.
    Withheld(Option<FaultCode>),
    /// Nothing was sent of it: it was done before a restart, is overtaken by the stream while its table is copied, or
    /// is of an operation that is skipped.
    NoRecord,
}

/// A row of a batch, by its index, and its fate: 8 bytes.
pub(super) fn exception(row: u32, fate: Fate) -> u64 {
    let of_code = |code: Option<FaultCode>| {
        let index = code.and_then(|code| ALL_CODES.iter().position(|known| *known == code));
        index.map_or(0, |index| index as u64 + 1)
    };
    let (kind, detail) = match fate {
        Fate::Filtered(rule) => (1, u64::from(rule)),
        Fate::Parked(code) => (2, of_code(code)),
        Fate::DeadLetter(code) => (3, of_code(code)),
        Fate::Withheld(code) => (4, of_code(code)),
        Fate::NoRecord => (5, 0),
    };
    u64::from(row) | kind << 32 | detail << 40
}

/// The row's index, and its fate where the word is one.
pub(super) fn read_exception(word: u64) -> (u32, Option<Fate>) {
    let detail = word >> 40;
    let code = || usize::try_from(detail).ok()?.checked_sub(1).and_then(|index| ALL_CODES.get(index).copied());
    let fate = match word >> 32 & 0xff {
        1 => Some(Fate::Filtered(detail as u16)),
        2 => Some(Fate::Parked(code())),
        3 => Some(Fate::DeadLetter(code())),
        4 => Some(Fate::Withheld(code())),
        5 => Some(Fate::NoRecord),
        _ => None,
    };
    (word as u32, fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_survives_its_word_and_nonsense_is_none() {
        for fate in [
            Fate::Filtered(u16::MAX),
            Fate::Parked(None),
            Fate::NoRecord,
            Fate::Withheld(Some(FaultCode::RowUnencodable)),
            Fate::Parked(Some(FaultCode::RowUnencodable)),
            Fate::DeadLetter(Some(ALL_CODES[ALL_CODES.len() - 1])),
        ] {
            assert_eq!(read_exception(exception(u32::MAX, fate)), (u32::MAX, Some(fate)));
        }
        assert_eq!(read_exception(7), (7, None));
        assert_eq!(read_exception(u64::MAX).1, None);
    }
}

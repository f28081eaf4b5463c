//! A batch in the ring, as words.
//!
//! Owns: which number stands where. Does not own: where a frame lies.
//!
//! Invariant: what was written reads back equal; reading nonsense gives nonsense, never a panic.

use limpid_model::CommitTime;

/// 128 bytes a batch.
pub(super) const HEADER_WORDS: usize = 16;
/// 32 bytes a transaction.
pub(super) const TXN_WORDS: usize = 4;

/// The partition of a batch that went to several.
const NO_PLACE: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub times: [u64; 8],
    pub seq: u64,
    pub rows: u32,
    pub txns: u32,
    pub bytes: u64,
    pub acked_wall_micros: i64,
    /// Rows of the first transaction that came in earlier batches; the others begin here.
    pub rows_before: u64,
    pub place: Option<(i32, (i64, i64))>,
}

impl Header {
    pub(super) fn words(&self) -> [u64; HEADER_WORDS] {
        let (partition, (first, last)) = match self.place {
            Some((partition, offsets)) => (u64::from(partition as u32), offsets),
            None => (NO_PLACE, (0, 0)),
        };
        let mut words = [0; HEADER_WORDS];
        words[..8].copy_from_slice(&self.times);
        words[8] = self.seq;
        words[9] = u64::from(self.rows) | u64::from(self.txns) << 32;
        words[10] = self.bytes;
        words[11] = self.acked_wall_micros as u64;
        words[12] = self.rows_before;
        words[13] = partition;
        words[14] = first as u64;
        words[15] = last as u64;
        words
    }

    pub(super) fn read(words: &[u64; HEADER_WORDS]) -> Self {
        let mut times = [0; 8];
        times.copy_from_slice(&words[..8]);
        let place = (words[13] != NO_PLACE).then_some((words[13] as u32 as i32, (words[14] as i64, words[15] as i64)));
        Self {
            times,
            seq: words[8],
            rows: words[9] as u32,
            txns: (words[9] >> 32) as u32,
            bytes: words[10],
            acked_wall_micros: words[11] as i64,
            rows_before: words[12],
            place,
        }
    }
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

//! Values that did not come through as they are stored, counted by table, column and reason.
//!
//! Owns: the reasons and a batch's counts. Does not own: who finds a value odd (decoders, encoders), series (telemetry).
//!
//! Invariant: nothing is done for a value that is not odd; no value is kept, only how many there were.

/// Why a value is not delivered as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Oddity {
    /// A date or time with a part that no calendar has, told as null or as the epoch.
    ImpossibleDate,
    /// Beyond what the format holds: told as the nearest it has, or cut down to it.
    OutOfRange,
    /// Bytes that are no text of their character set, told as U+FFFD.
    MalformedText,
    /// A character of its set that Unicode does not have, told as U+FFFD.
    UnmappedText,
    /// Digits that the format has no place for were cut off.
    Truncated,
    /// An unsigned number above what a signed one holds, told as a negative one.
    UnsignedWrap,
    /// NaN or an infinity, which JSON has no number for, told as text.
    NotFinite,
    /// The log had only what changed inside the document; it was put together from the one before. Nothing is lost.
    JsonPartial,
    /// The log's own description of the column and the history of definitions differ; the log's was followed.
    SchemaDisagreement,
}

impl Oddity {
    /// Every reason, in order.
    pub const ALL: [Self; 9] = [
        Self::ImpossibleDate,
        Self::OutOfRange,
        Self::MalformedText,
        Self::UnmappedText,
        Self::Truncated,
        Self::UnsignedWrap,
        Self::NotFinite,
        Self::JsonPartial,
        Self::SchemaDisagreement,
    ];

    /// The word used in metrics and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ImpossibleDate => "impossible_date",
            Self::OutOfRange => "out_of_range",
            Self::MalformedText => "malformed_text",
            Self::UnmappedText => "unmapped_text",
            Self::Truncated => "truncated",
            Self::UnsignedWrap => "unsigned_wrap",
            Self::NotFinite => "not_finite",
            Self::JsonPartial => "json_partial",
            Self::SchemaDisagreement => "schema_disagreement",
        }
    }
}

/// How many values of one column were odd in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddCount {
    /// Index into [`crate::Batch::tables`].
    pub table: u16,
    /// Index into the table's columns.
    pub column: u16,
    pub why: Oddity,
    pub values: u64,
}

/// The odd values of one batch. As long as there are columns with odd values in it, and empty for nearly every batch.
#[derive(Clone, Debug, Default)]
pub struct OddValues {
    counts: Vec<OddCount>,
    /// The count that was raised last.
    at: usize,
}

impl OddValues {
    /// Counts so many more.
    pub fn add(&mut self, table: u16, column: u16, why: Oddity, values: u64) {
        let is_it = |count: &OddCount| (count.table, count.column, count.why) == (table, column, why);
        // Row after row has its odd columns in the same order, so that the next count mostly is the one.
        let next = if self.at + 1 < self.counts.len() { self.at + 1 } else { 0 };
        self.at = match self.counts.get(next).is_some_and(is_it) {
            true => next,
            false => self.counts.iter().position(is_it).unwrap_or(self.counts.len()),
        };
        match self.counts.get_mut(self.at) {
            Some(count) => count.values += values,
            None => self.counts.push(OddCount { table, column, why, values }),
        }
    }

    /// True where every value came through as it is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Every count, each column and reason once.
    pub fn counts(&self) -> &[OddCount] {
        &self.counts
    }

    /// Forgets them but keeps the room.
    pub fn clear(&mut self) {
        self.counts.clear();
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_and_reason_is_counted_once_whatever_the_order() {
        let mut odd = OddValues::default();
        assert!(odd.is_empty());
        let (date, wrap) = (Oddity::ImpossibleDate, Oddity::UnsignedWrap);
        for _ in 0..3 {
            odd.add(0, 1, date, 1);
            odd.add(0, 2, date, 1);
            odd.add(0, 2, wrap, 1);
        }
        odd.add(1, 2, wrap, 5);
        odd.add(0, 2, date, 1);
        odd.add(0, 1, date, 1);
        let told: Vec<_> = odd.counts().iter().map(|odd| (odd.table, odd.column, odd.why, odd.values)).collect();
        assert_eq!(told, [(0, 1, date, 4), (0, 2, date, 4), (0, 2, wrap, 3), (1, 2, wrap, 5)]);
        odd.clear();
        odd.add(3, 0, wrap, 1);
        assert_eq!(odd.counts(), [OddCount { table: 3, column: 0, why: wrap, values: 1 }]);
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = Oddity::ALL.iter().map(|why| why.word()).collect();
        assert_eq!(words.len(), Oddity::ALL.len());
        assert!(Oddity::ALL.iter().enumerate().all(|(index, why)| *why as usize == index));
    }
}

//! When rows of one table fail too often for putting them aside to be an answer.
//!
//! Owns: the counts of one table. Does not own: bounds on what is kept (`index`), halting (`flow::delivery`). Pure: the
//! time is given.
//!
//! Invariant: a fault that would be beyond a limit is refused before anything is kept of it.

use std::collections::VecDeque;

use limpid_model::FaultCode;

/// Rows of one table that may fail within a minute: what a person could look at. More is no matter of single rows.
pub(crate) const FAULTS_A_MINUTE_MAX: usize = 100;

/// Of a table's rows one in so many may fail.
const ROWS_PER_FAULT_MIN: u64 = 100;

/// Below so many faults a share says nothing: one in the first three rows would be a third.
const FAULTS_MIN: u64 = 20;

const MINUTE_NANOS: u64 = 60_000_000_000;

/// Counts of one table since its first fault in this attempt.
#[derive(Debug)]
pub(crate) struct Limits {
    /// When the last faults were, oldest first. One more than the limit at most.
    minute: VecDeque<u64>,
    faults: u64,
    rows: u64,
    /// The table's first fault.
    pub(crate) first: (FaultCode, String),
}

/// Which limit is passed, for the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    Minute,
    Share,
}

impl Beyond {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Beyond::Minute => "more than 100 of the table's rows failed within a minute",
            Beyond::Share => "more than 1 % of the table's rows failed",
        }
    }
}

impl Limits {
    /// `rows`: of the batch with the first fault.
    pub(crate) fn new(first: (FaultCode, String), rows: u64) -> Self {
        Self { minute: VecDeque::new(), faults: 0, rows, first }
    }

    /// Further rows of the table, faulty or not.
    pub(crate) fn count(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// One more fault.
    pub(crate) fn fault(&mut self, now_nanos: u64) -> Result<(), Beyond> {
        while self.minute.front().is_some_and(|at| now_nanos.saturating_sub(*at) >= MINUTE_NANOS) {
            self.minute.pop_front();
        }
        if self.minute.len() >= FAULTS_A_MINUTE_MAX {
            return Err(Beyond::Minute);
        }
        self.minute.push_back(now_nanos);
        self.faults += 1;
        if self.faults > FAULTS_MIN && self.faults * ROWS_PER_FAULT_MIN > self.rows {
            return Err(Beyond::Share);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rows: u64) -> Limits {
        Limits::new((FaultCode::RecordTooLarge, "first".into()), rows)
    }

    #[test]
    fn a_hundred_a_minute_are_borne_and_one_more_is_not() {
        let mut table = limits(1_000_000);
        for second in 0..100 {
            assert_eq!(table.fault(second * 100_000_000), Ok(()));
        }
        assert_eq!(table.fault(59_999_999_999), Err(Beyond::Minute));
        assert_eq!(table.fault(60_000_000_000), Ok(()), "the first is a minute old");
        assert_eq!(table.fault(60_000_000_001), Err(Beyond::Minute));
    }

    #[test]
    fn one_in_a_hundred_is_borne_once_there_are_enough_to_tell() {
        let mut table = limits(5);
        let minute = |number: u64| number * MINUTE_NANOS;
        for number in 0..FAULTS_MIN {
            assert_eq!(table.fault(minute(number)), Ok(()), "{number} of five rows");
        }
        table.count(2095);
        assert_eq!(table.fault(minute(30)), Ok(()), "21 of 2,100");
        assert_eq!(table.fault(minute(31)), Err(Beyond::Share), "22 of 2,100");
        table.count(1_000_000);
        assert_eq!(table.fault(minute(32)), Ok(()));
    }
}

//! Where in the log XA transactions were prepared and committed, for chunks of tables that are read meanwhile.
//!
//! Owns: the last few places of each id. Does not own: what is held.
//!
//! Invariant: a chunk that may lack rows of a commit, though its fence is behind that commit and the stream had told
//! them before the chunk was asked for, is known to, as far as this very stream read that commit. Of one that an earlier
//! stream read, and that became visible only after this one began, nothing is known: an id that is listed and unknown may
//! stay prepared for days, and no chunk could pass meanwhile.
//!
//! The hazard: both servers write `XA COMMIT` into the log first, and make its rows visible later. Whatever the stream
//! meets after a chunk was begun is dropped from the chunk anyway, key by key. What is left are commits below the end of
//! the log as it was before the chunk's moment, of ids that were still listed as prepared after that.

use std::collections::{HashMap, VecDeque};

use crate::ddl::Xid;
use crate::position::{LogPosition, log_number};

/// So many ids are remembered: a chunk takes seconds, and what is forgotten is an id that was used ten thousand ids
/// ago.
const IDS_MAX: usize = 10_000;

/// So many places of one id are remembered. Ids may be used again at once, hardly four times within one commit.
const PLACES_MAX: usize = 8;

/// What happened at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Prepared,
    Committed,
}

/// The places, by id.
#[derive(Debug, Default)]
pub struct Course {
    steps: HashMap<Xid, VecDeque<(Step, Place)>>,
    /// In the order of their first use.
    ids: VecDeque<Xid>,
}

/// A log file's number and an offset.
type Place = (u64, u64);

fn place(position: &LogPosition) -> Option<Place> {
    Some((log_number(&position.file)?, position.offset))
}

impl Course {
    pub fn note(&mut self, xid: &Xid, step: Step, file: &str, offset: u64) {
        let Some(number) = log_number(file) else { return };
        if !self.steps.contains_key(xid) {
            if self.ids.len() >= IDS_MAX
                && let Some(oldest) = self.ids.pop_front()
            {
                self.steps.remove(&oldest);
            }
            self.ids.push_back(xid.clone());
        }
        let steps = self.steps.entry(xid.clone()).or_default();
        if steps.len() >= PLACES_MAX {
            steps.pop_front();
        }
        steps.push_back((step, (number, offset)));
    }

    /// True where the commit of an id that was listed as prepared is below `before`, and `fence` came before the id was
    /// used again.
    pub fn is_unclear(&self, xid: &Xid, before: &LogPosition, fence: &LogPosition) -> bool {
        let (Some(steps), Some(before), Some(fence)) = (self.steps.get(xid), place(before), place(fence)) else {
            return false;
        };
        let last = steps.iter().rev().find(|(_, place)| *place < fence);
        last.is_some_and(|(step, place)| *step == Step::Committed && *place < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Flavor;

    #[test]
    fn only_a_commit_below_the_end_before_the_moment_is_unclear() {
        let xid = Xid { format: 1, gtrid: b"a".to_vec(), bqual: Vec::new() };
        let at = |offset: u64| LogPosition::parse(&format!("file:bin.000002:{offset}"), Flavor::MariaDb).unwrap();
        let mut course = Course::default();
        assert!(!course.is_unclear(&xid, &at(1000), &at(1000)), "nothing is known of it");
        course.note(&xid, Step::Prepared, "bin.000001", 900);
        assert!(!course.is_unclear(&xid, &at(1000), &at(1000)), "it comes with its commit");
        course.note(&xid, Step::Committed, "bin.000002", 500);
        assert!(course.is_unclear(&xid, &at(1000), &at(1000)));
        assert!(!course.is_unclear(&xid, &at(400), &at(1000)), "the stream met it after the chunk was begun");
        assert!(!course.is_unclear(&xid, &at(400), &at(450)), "it is behind the fence");
        course.note(&xid, Step::Prepared, "bin.000002", 700);
        assert!(!course.is_unclear(&xid, &at(1000), &at(1000)), "what is listed is the next of that id");
        assert!(course.is_unclear(&xid, &at(600), &at(600)), "which was prepared after the moment");
        for turn in 0..2 * IDS_MAX as u64 {
            let other = Xid { gtrid: turn.to_be_bytes().to_vec(), ..xid.clone() };
            course.note(&other, Step::Committed, "bin.000002", turn);
        }
        assert_eq!(course.steps.len(), IDS_MAX);
    }
}

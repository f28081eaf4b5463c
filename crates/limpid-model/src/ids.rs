//! Identities that must not be mixed up.
//!
//! Owns: the newtypes. Does not own: how they are made or raised (`limpid-state`).
//!
//! Invariant: an epoch and a change number only ever grow within one pipeline's life.

use std::fmt;
use std::sync::Arc;

/// A pipeline's name: unique in a process, part of topics, metrics and the transactional id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineName(Arc<str>);

impl PipelineName {
    /// Up to 100 of `A-Za-z0-9._-`, the characters a Kafka topic may have, beginning with a letter or digit.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let first_ok = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        (first_ok && text.len() <= 100 && text.chars().all(legal)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PipelineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The trace that an application says a transaction belongs to, as W3C's Trace Context has it. Neither id is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: u128,
    /// The application's own span.
    pub span_id: u64,
    /// The application keeps this trace.
    pub is_sampled: bool,
}

/// Made at a pipeline's first start and kept with its state and its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PipelineId(pub u128);

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl PipelineId {
    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

/// Raised at each start, first in the state, then in the record, before any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Raised with each parked key, dead letter, held transaction or replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeNumber(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_topic_could_carry_is_refused() {
        for bad in ["", "a b", "-a", ".a", "ä", "a/b", &"x".repeat(101)] {
            assert!(PipelineName::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(PipelineName::parse("shop-1.eu_w").unwrap().as_str(), "shop-1.eu_w");
    }

    #[test]
    fn an_id_survives_its_text_form() {
        let id = PipelineId(0x00ff_0000_0000_0000_0000_0000_0000_0001);
        assert_eq!(PipelineId::parse(&id.to_string()), Some(id));
        assert_eq!(PipelineId::parse("12"), None);
    }
}

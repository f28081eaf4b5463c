//! What a connector finds where it examines its system before a run.
//!
//! Owns: one finding, and how a fault is told as one. Does not own: what is asked (each connector's `doctor`), how
//! findings look and what they end with (the binary).
//!
//! Invariant: a finding that is not well says how to mend it; none holds a row's value or a secret.

use limpid_model::{Fault, FaultCode};

/// What a check came to. Ordered from well to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Pass,
    /// It works, and may not for long.
    Warn,
    /// The system cannot be reached, so that nothing of it is known.
    Unreachable,
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable.
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was seen.
    pub sentence: String,
    /// How to mend it; `None` where all is well.
    pub remedy: Option<String>,
    /// The fault that a run would meet.
    pub code: Option<FaultCode>,
}

/// Names that one sentence lists.
const NAMES_MAX: usize = 5;

impl Finding {
    pub fn pass(name: &'static str, sentence: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Pass, sentence: sentence.into(), remedy: None, code: None }
    }

    pub fn warn(name: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, remedy: Some(remedy.into()), ..Self::pass(name, sentence) }
    }

    pub fn fail(name: &'static str, code: FaultCode, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, code: Some(code), ..Self::warn(name, sentence, remedy) }
    }

    /// What kept a check from being made.
    pub fn of_fault(name: &'static str, fault: &Fault) -> Self {
        let sentence = fault.object().map_or_else(|| fault.to_string(), |object| format!("{fault} ({object})"));
        let failed = Self::fail(name, fault.code(), sentence, fault.remedy());
        match fault.code() {
            FaultCode::SourceUnreachable | FaultCode::SinkUnreachable => {
                Self { outcome: Outcome::Unreachable, ..failed }
            }
            _ => failed,
        }
    }

    /// The first few of a list, and how many more there are.
    pub fn listed(names: &[String]) -> String {
        let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(NAMES_MAX) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::Component;

    use super::*;

    #[test]
    fn what_cannot_be_reached_is_told_apart_from_what_fails_and_weighs_less() {
        let of = |code| Finding::of_fault("a.b", &Fault::new(code, Component::Input, "it is so").about("db"));
        let (away, wrong) = (of(FaultCode::SinkUnreachable), of(FaultCode::SourceAuthFailed));
        assert_eq!((away.outcome, wrong.outcome), (Outcome::Unreachable, Outcome::Fail));
        assert!(wrong.outcome > away.outcome && away.outcome > Outcome::Warn && Outcome::Warn > Outcome::Pass);
        assert_eq!((wrong.sentence.as_str(), wrong.code), ("it is so (db)", Some(FaultCode::SourceAuthFailed)));
        assert!(wrong.remedy.is_some_and(|remedy| remedy.contains("password")));
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (1..=7).map(|n| format!("t{n}")).collect();
        assert_eq!(Finding::listed(&names), "t1, t2, t3, t4, t5 and 2 more");
        assert_eq!(Finding::listed(&names[..2]), "t1, t2");
    }
}

//! Whether anybody answers, and when the brokers are looked for anew.
//!
//! Owns: what is known of the cluster's health, and the patience with its silence. Does not own: putting the probe and
//! naming the brokers (`sink`, `producer`).
//!
//! Invariant: a cluster that is asked for something and stays silent is looked for again, for ever: librdkafka forgets
//! every broker, those of its settings too, once one of them names none, as a single one does that its controller has
//! fenced and not let in again. Nothing that it is asked is answered then, and it does not look for them by itself.

/// Between two questions whether a broker is there.
const PROBE_EVERY_NS: u64 = 500_000_000;

/// Whether anybody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Set by an acknowledgement, or by an answer to a probe.
    Good,
    /// Set when librdkafka has lost every broker: when it is asked again whether one is there.
    Lost { probe_at: u64 },
}

impl Health {
    pub fn lost(now: u64) -> Self {
        Health::Lost { probe_at: now + PROBE_EVERY_NS }
    }

    pub fn probe_at(self) -> Option<u64> {
        match self {
            Health::Good => None,
            Health::Lost { probe_at } => Some(probe_at),
        }
    }

    pub fn probe_failed(&mut self, now: u64) {
        if let Health::Lost { .. } = self {
            *self = Health::lost(now);
        }
    }
}

/// Silence of a cluster that owes an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// When the brokers are looked for, should nobody answer until then.
    until: Option<u64>,
    /// Looked for so often since the last answer.
    times: u32,
}

impl Silence {
    /// Beyond the time that a broker takes to come back after a kill, and shorter than any of our other limits.
    const FIRST_NS: u64 = 10_000_000_000;
    /// Each time is twice as long as the one before, up to 64 times the first: some thousand in a week.
    const DOUBLED_MAX: u32 = 6;

    /// Whether the brokers are to be looked for now. `owes`: something waits for an answer. `heard`: a broker gave one.
    pub fn is_too_long(&mut self, owes: bool, heard: bool, now: u64) -> bool {
        if heard || !owes {
            *self = Self::default();
            return false;
        }
        let until = *self.until.get_or_insert(now + Self::FIRST_NS);
        if now < until {
            return false;
        }
        self.times = (self.times + 1).min(Self::DOUBLED_MAX);
        self.until = Some(now + (Self::FIRST_NS << self.times));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn brokers_that_owe_an_answer_and_give_none_are_looked_for_again_and_again() {
        let mut silence = Silence::default();
        let mut looked = Vec::new();
        for second in 0..2000 {
            if silence.is_too_long(true, false, second * S) {
                looked.push(second);
            }
        }
        assert_eq!(looked, [10, 30, 70, 150, 310, 630, 1270, 1910]);
    }

    #[test]
    fn an_answer_or_nothing_owed_ends_the_silence() {
        for (owes, heard) in [(true, true), (false, false)] {
            let mut silence = Silence::default();
            assert!(!silence.is_too_long(true, false, 0));
            assert!(!silence.is_too_long(owes, heard, 9 * S));
            assert!(!silence.is_too_long(true, false, 11 * S), "it begins anew");
            assert!(silence.is_too_long(true, false, 21 * S));
        }
    }
}

//! Whether and how a server's log can be read from a position.
//!
//! Owns: the questions before a dump begins in the past. Does not own: choosing the position (`stream`), choosing the
//! server (`stream::servers`), asking for the dump (`dump`).
//!
//! Invariant: a position that the server cannot serve is told before the dump, with the reason. Of several servers only
//! one that is proved to hold the position is read.

use std::sync::Arc;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};

use crate::client::{Client, ConnectOptions};
use crate::company::{self, Holds, Lacking, Replication};
use crate::dump::DumpFrom;
use crate::position::{Flavor, LogPosition, log_number};
use crate::server::{self, ServerFacts};

/// How long a server may lack the very same transactions before it counts as one that will never have them: many times
/// what a replica takes to fetch what it was about to fetch, and short beside the time in which a person would look.
const LACKING_NANOS_MAX: u64 = 60 * 1_000_000_000;

/// What a server is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// No other is named.
    Only,
    /// Of several, the one that was read last, or the first.
    InUse,
    /// Of several, one that is to take over.
    Successor,
}

/// What was lacking at the last look, and since when it is the very same.
#[derive(Debug)]
pub(super) struct Patience {
    clock: Clock,
    lacking: Option<(String, u64)>,
}

impl Patience {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), lacking: None }
    }

    /// True while what is lacking may still come.
    fn lasts(&mut self, lacking: &Lacking) -> bool {
        let (now, text) = (self.clock.nanos(), lacking.set.to_string());
        match &self.lacking {
            Some((same, since)) if *same == text => now.saturating_sub(*since) <= LACKING_NANOS_MAX,
            _ => {
                self.lacking = Some((text, now));
                true
            }
        }
    }
}

/// A server under question.
pub(super) struct Asked<'a> {
    pub client: &'a mut Client,
    pub facts: &'a ServerFacts,
    pub connect: &'a ConnectOptions,
    pub role: Role,
    pub patience: &'a mut Patience,
}

/// A place inside a transaction is reached by reading that transaction again.
pub(super) fn dump_from(position: &LogPosition) -> Result<DumpFrom, Fault> {
    match &position.gtids {
        Some(set) => Ok(DumpFrom::Gtids(Arc::clone(set))),
        None => {
            let offset = u32::try_from(position.offset).map_err(|_| {
                let text = "a file position beyond 4 GiB cannot be asked for; use a GTID position";
                Fault::new(FaultCode::PositionInvalid, Component::Input, text)
            })?;
            Ok(DumpFrom::File { file: Arc::clone(&position.file), offset })
        }
    }
}

/// The end of a log that its server has just told, asked for on the same connection. MariaDB is asked by the place in the
/// file: by GTID it reads that file from its begin. MySQL's place may be behind transactions that its set lacks.
pub(super) fn dump_from_head(head: &LogPosition, flavor: Flavor) -> Result<DumpFrom, Fault> {
    match u32::try_from(head.offset) {
        Ok(offset) if flavor == Flavor::MariaDb && !head.file.is_empty() => {
            Ok(DumpFrom::File { file: Arc::clone(&head.file), offset })
        }
        _ => dump_from(head),
    }
}

impl Asked<'_> {
    /// Whether the server still has, and ever had, what a position asks for. A MariaDB that is alone tells by itself
    /// when the dump is asked for; of several it must prove it first, since it also accepts what it never had in a
    /// domain that is empty there.
    pub(super) fn check_reachable(&mut self, position: &LogPosition) -> Result<(), Fault> {
        match &position.gtids {
            Some(_) if !self.facts.gtids => {
                Err(self.fault(FaultCode::PositionInvalid, "a GTID position needs gtid_mode=ON on the server"))
            }
            Some(_) if self.facts.flavor == Flavor::MariaDb && self.role == Role::Only => Ok(()),
            Some(set) => {
                self.check_held(position)?;
                if self.facts.flavor == Flavor::MariaDb {
                    return Ok(());
                }
                let earliest = server::earliest(self.client, self.facts, self.connect)?;
                if earliest.gtids.as_ref().is_some_and(|purged| purged.is_subset(set)) {
                    return Ok(());
                }
                let text = "the server has purged log that this position still needs";
                Err(self.fault(FaultCode::SourceLogPurged, text))
            }
            None if self.role == Role::Successor => {
                let text = "a position in a file holds on the server that it was read from, and not on this one";
                Err(self.fault(FaultCode::PositionInvalid, text))
            }
            None => self.check_file(position),
        }
    }

    /// What is lacking is waited for while it may still come.
    fn check_held(&mut self, position: &LogPosition) -> Result<(), Fault> {
        let Some(wanted) = company::wanted(position) else { return Ok(()) };
        let holds = Holds::read(self.client, self.facts)?;
        let Some(lacking) = holds.lacks(&wanted) else {
            self.patience.lacking = None;
            return Ok(());
        };
        let never = "the position holds transactions that this server never had";
        let replication = Replication::read(self.client, self.facts)?;
        let may_come = match replication {
            _ if lacking.diverged => false,
            _ if replication.will_bring(&lacking.set) => true,
            Replication::None => false,
            Replication::Unknown if self.role == Role::Only => false,
            Replication::Unknown | Replication::Channels(_) => self.patience.lasts(&lacking),
        };
        if may_come {
            let text = format!("the server has not got yet what the position holds: {}", shown(&lacking));
            return Err(self.fault(FaultCode::SourceBehind, &text));
        }
        Err(self.fault(FaultCode::SourceChanged, &format!("{never}: {}", shown(&lacking))))
    }

    fn check_file(&mut self, position: &LogPosition) -> Result<(), Fault> {
        let files = server::logs(self.client, self.connect)?;
        match files.iter().find(|(file, _)| **file == *position.file) {
            Some((_, size)) if position.offset > *size => {
                Err(self.fault(FaultCode::SourceChanged, "the log file is shorter than the position"))
            }
            Some(_) => Ok(()),
            None => {
                let oldest = files.first().and_then(|(file, _)| log_number(file));
                let purged = oldest > log_number(&position.file);
                let code = if purged { FaultCode::SourceLogPurged } else { FaultCode::SourceChanged };
                Err(self.fault(code, "the server does not have the log file of this position"))
            }
        }
    }

    fn fault(&self, code: FaultCode, text: &str) -> Fault {
        Fault::new(code, Component::Input, text).about(self.connect.endpoint())
    }
}

fn shown(lacking: &Lacking) -> String {
    company::cut(&lacking.set.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gtid::GtidSet;

    #[test]
    fn what_never_comes_is_waited_for_a_while_and_what_comes_bit_by_bit_for_longer() {
        let clock = Clock::manual();
        let mut patience = Patience::new(&clock);
        let lacking = |text: &str| Lacking { set: GtidSet::parse_mariadb(text).unwrap(), diverged: false };
        assert!(patience.lasts(&lacking("0-1-9,1-1-9")));
        clock.sleep(Duration::from_secs(59));
        assert!(patience.lasts(&lacking("0-1-9,1-1-9")));
        assert!(patience.lasts(&lacking("0-1-9")), "some of it came");
        clock.sleep(Duration::from_secs(59));
        assert!(patience.lasts(&lacking("0-1-9")));
        clock.sleep(Duration::from_secs(2));
        assert!(!patience.lasts(&lacking("0-1-9")));
    }
}

//! Watches the end of the log.
//!
//! Owns: a connection of its own, asked at each look. Does not own: how often, and what follows from it.
//!
//! Invariant: bytes of lag are exact across files: log files are counted by their sizes.

use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{Clock, ClockSample, Head, HeadSeen, Retention};
use limpid_model::{Component, Fault, FaultCode, Position};

use crate::client::{Client, ConnectOptions};
use crate::copy::ServerMark;
use crate::held::Looks;
use crate::position::{LogPosition, log_number};
use crate::server::{self, ServerFacts};
use crate::stream::prepared_now;

/// While an XA transaction is held, each so-manieth look asks whether the server still lists it: once a second.
const ASK_EVERY: u32 = 5;

/// The list of log files is asked for again after so long, and whenever the log goes on in a new one: sizes of closed
/// files do not change, but the oldest may be purged.
const FILES_KEPT: u64 = 10_000_000_000;

/// Watches the end of the log on a connection of its own.
pub struct LogHead {
    /// `None` after a failure: the next look connects anew.
    link: Option<(Client, ServerFacts)>,
    connect: ConnectOptions,
    looks: Arc<Looks>,
    /// Looks since the last question after prepared transactions.
    unasked: u32,
    /// False once the account was refused.
    may_ask: bool,
    files: Files,
}

/// The log files as they were listed last.
#[derive(Default)]
struct Files {
    /// The one that was written to, and when that was.
    of: Option<(Arc<str>, u64)>,
    listed: Vec<(String, u64)>,
}

impl Head for LogHead {
    fn look(&mut self, from: &Position, clock: &Clock) -> Result<HeadSeen, Fault> {
        let (mut client, facts) = match self.link.take() {
            Some(link) => link,
            None => {
                // It may be another server's log from here on.
                self.files = Files::default();
                link(&self.connect)?
            }
        };
        let is_missing = self.may_ask && self.looks.is_holding() && self.misses(&mut client, &facts)?;
        let head = server::look(&mut client, &facts, &self.connect)?;
        if is_missing {
            self.looks.ends_at(&head);
        }
        let from: Option<&LogPosition> = from.downcast();
        let lag_bytes = match from {
            // The sets decide where there are some: a fresh log file begins with events that belong to nobody.
            Some(from) if from.gtids.is_some() && from.reaches(&head) => Some(0),
            Some(from) if from.file == head.file => Some(head.offset.saturating_sub(from.offset)),
            Some(from) if !from.file.is_empty() => {
                bytes_between(self.files.at(&mut client, &self.connect, &head.file, clock.nanos())?, from, &head)
            }
            // Until the stream has told which file a set lies in, nobody knows.
            _ => None,
        };
        let lag_transactions = from.and_then(|from| head.gtids.as_ref()?.count_beyond(from.gtids.as_ref()?));
        let clock = Some(read_clock(&mut client, &self.connect, clock)?);
        self.link = Some((client, facts));
        Ok(HeadSeen { position: Position::new(head), lag_bytes, lag_transactions, clock })
    }

    fn retention(&mut self, from: &Position) -> Result<Option<Retention>, Fault> {
        let (mut client, facts) = match self.link.take() {
            Some(link) => link,
            None => link(&self.connect)?,
        };
        let retention = retention(&mut client, &facts, &self.connect, from.downcast())?;
        self.link = Some((client, facts));
        Ok(Some(retention))
    }
}

impl LogHead {
    /// Connects.
    ///
    /// # Errors
    /// Those of connecting and of reading the server's settings.
    pub fn open(connect: &ConnectOptions, looks: Arc<Looks>) -> Result<Self, Fault> {
        Ok(Self {
            link: Some(link(connect)?),
            connect: connect.clone(),
            looks,
            unasked: 0,
            may_ask: true,
            files: Files::default(),
        })
    }

    /// True if the server has forgotten a transaction that is held. After a failure it may be another server than the
    /// stream's.
    #[cold]
    fn misses(&mut self, client: &mut Client, facts: &ServerFacts) -> Result<bool, Fault> {
        self.unasked += 1;
        if self.unasked < ASK_EVERY {
            return Ok(false);
        }
        self.unasked = 0;
        let Some(listed) = prepared_now(client)? else {
            self.may_ask = false;
            self.looks.refused();
            return Ok(false);
        };
        Ok(self.looks.listed(&ServerMark::of(facts), &listed))
    }
}

/// What the server's settings and files say. A provider's own retention is in neither.
fn retention(
    client: &mut Client,
    facts: &ServerFacts,
    connect: &ConnectOptions,
    from: Option<&LogPosition>,
) -> Result<Retention, Fault> {
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days', \
               'max_binlog_total_size', 'binlog_expire_logs_auto_purge')";
    let rows =
        client.query(sql).map_err(|error| error.into_fault("read how long the log is kept", &connect.endpoint()))?;
    let setting = |name: &str| {
        let row = rows.iter().find(|row| matches!(row.first(), Some(Some(found)) if found == name.as_bytes()))?;
        Some(String::from_utf8_lossy(row.get(1)?.as_deref()?).into_owned())
    };
    let above_0 = |name: &str| setting(name).and_then(|text| text.parse::<f64>().ok()).filter(|number| *number > 0.0);
    let keeps =
        above_0("binlog_expire_logs_seconds").or_else(|| above_0("expire_logs_days").map(|days| days * 86_400.0));
    let is_kept = setting("binlog_expire_logs_auto_purge").is_some_and(|text| text == "OFF");
    let files = server::logs(client, connect)?;
    let files: Vec<(u64, u64)> = files.iter().filter_map(|(name, bytes)| Some((log_number(name)?, *bytes))).collect();
    let mark = ServerMark::of(facts);
    Ok(Retention {
        server: format!("{} {}", mark.id, mark.uuid),
        keeps: keeps.filter(|_| !is_kept).map(Duration::from_secs_f64),
        bytes_max: above_0("max_binlog_total_size").map(|bytes| bytes as u64),
        ours: from.and_then(|from| log_number(&from.file)).filter(|ours| is_told(&files, *ours)),
        files,
    })
}

/// The server's clock between two readings of ours. `UTC_TIMESTAMP` is read where the statement begins, and no setting
/// of a session moves it here.
fn read_clock(client: &mut Client, connect: &ConnectOptions, clock: &Clock) -> Result<ClockSample, Fault> {
    let sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
    let sent_nanos = clock.nanos();
    let told = client.query_value(sql).map_err(|error| error.into_fault("read the clock", &connect.endpoint()))?;
    let got_nanos = clock.nanos();
    let source_micros = told.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let text = "the server's answer to the question after its clock is no time";
        Fault::new(FaultCode::SourceQueryFailed, Component::Input, text).about(connect.endpoint())
    })?;
    Ok(ClockSample { source_micros, sent_nanos, got_nanos })
}

fn link(connect: &ConnectOptions) -> Result<(Client, ServerFacts), Fault> {
    let mut client = Client::connect(connect)?;
    let facts = ServerFacts::read(&mut client)?;
    Ok((client, facts))
}

impl Files {
    /// The files of a log that is written to in `head` now.
    fn at(
        &mut self,
        client: &mut Client,
        connect: &ConnectOptions,
        head: &Arc<str>,
        now: u64,
    ) -> Result<&[(String, u64)], Fault> {
        if !self.of.as_ref().is_some_and(|(file, at)| file == head && now.saturating_sub(*at) < FILES_KEPT) {
            self.listed = server::logs(client, connect)?;
            self.of = Some((Arc::clone(head), now));
        }
        Ok(&self.listed)
    }
}

/// One that the server has, or had: what comes after its last one is no file of this log.
fn is_told(files: &[(u64, u64)], ours: u64) -> bool {
    files.first().is_some_and(|(first, _)| ours < *first) || files.iter().any(|(number, _)| *number == ours)
}

/// Across files: the rest of ours, whole ones between, the head's part. `None` where ours is not among them: nobody knows
/// what lay between once it is purged.
fn bytes_between(files: &[(String, u64)], from: &LogPosition, head: &LogPosition) -> Option<u64> {
    let ours = files.iter().position(|(file, _)| **file == *from.file)?;
    let last = files.iter().position(|(file, _)| **file == *head.file).filter(|last| *last > ours)?;
    let whole: u64 = files[ours + 1..last].iter().map(|(_, size)| size).sum();
    Some(files[ours].1.saturating_sub(from.offset) + whole + head.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_to_the_head_are_counted_over_files_and_unknown_once_ours_is_purged() {
        let files: Vec<(String, u64)> =
            [("bin.08", 100), ("bin.09", 200), ("bin.10", 7)].map(|(file, bytes)| (file.to_owned(), bytes)).into();
        let at =
            |file: &str, offset| LogPosition { gtids: None, file: file.into(), offset, inside: None, undecided: None };
        let head = at("bin.10", 30);
        assert_eq!(bytes_between(&files, &at("bin.08", 40), &head), Some(60 + 200 + 30));
        assert_eq!(bytes_between(&files, &at("bin.09", 200), &head), Some(30));
        assert_eq!(bytes_between(&files, &at("bin.07", 40), &head), None);
        assert_eq!(bytes_between(&files, &at("bin.10", 40), &at("bin.09", 30)), None);
    }

    #[test]
    fn a_file_that_was_purged_is_ours_all_the_same_and_one_of_another_log_is_not() {
        let files = [(8, 100), (9, 200)];
        assert_eq!([7, 8, 9, 10].map(|ours| is_told(&files, ours)), [true, true, true, false]);
    }
}

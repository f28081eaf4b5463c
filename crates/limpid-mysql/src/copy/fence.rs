//! The moment a chunk is read at, and the place in the log that belongs to it.
//!
//! Owns: snapshots, locks, the fence of each kind of table on each server. Does not own: reading rows (`copy`), what a
//! fence means for a stream (`stream`).
//!
//! Invariant: every change that the rows show is at or below the fence. For a table that is read whole both are the
//! same moment, as far as that table goes.
//!
//! How, by server and engine:
//! - MariaDB, InnoDB: `START TRANSACTION WITH CONSISTENT SNAPSHOT` takes engine and log at one moment, which
//!   `Binlog_snapshot_file` and `_position` tell. Not for `XA COMMIT`, which is in the log before it is visible: so the
//!   end of the log and `XA RECOVER` are asked for before, and a chunk is read again where the stream has met, below that
//!   end, the commit of one that was listed. Later commits meet the chunk's keys in the stream; what is prepared and
//!   not committed up to the fence comes with its commit, behind it. For a moment that must be exact `XA RECOVER` must
//!   list the same before and after, and none of those be committed below the fence.
//! - MySQL, InnoDB: a transaction (and an `XA COMMIT`) is in the log before it is visible, and the log's end is told under the lock of the
//!   log: the end asked for after the snapshot was opened is at or behind everything visible, with GTIDs or without.
//!   `gtid_executed` would not do: a visible transaction may still be missing in it. What the stream told before the
//!   chunk's keys were watched must be visible: until it is, its session owns its GTID, so that what is owned is waited
//!   for first. Without GTIDs nobody can tell, and a row told in that instant may come once more as it was. Exactness, which a table that is
//!   read whole needs, costs a `LOCK TABLES .. READ` of another session while the snapshot is opened.
//! - At a replica the place is one by GTID: MariaDB, the last transaction of each domain in `mysql.gtid_slave_pos` inside
//!   the snapshot; MySQL, all that is executed or owned right after it. `copy::elsewhere` says why.
//! - Other engines: `LOCK TABLES .. READ` while the rows are read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use limpid_model::{Component, Fault, FaultCode, TableName};

use super::known::Known;
use super::link::Link;
use crate::client::{ConnectOptions, QueryError};
use crate::company;
use crate::ddl::Xid;
use crate::gtid::GtidSet;
use crate::position::{Flavor, LogPosition};
use crate::server;
use crate::stream::prepared_now;

/// How near fence and moment must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// The fence may be behind the moment.
    Behind,
    Same,
    /// The fence is by GTID: the rows are read at a replica.
    Replica,
}

/// What opening a moment led to.
#[derive(Debug)]
pub enum Opened {
    At(LogPosition),
    /// The table is not what it was: learn it again.
    Changed,
    /// Nothing is wrong, but it must be tried again.
    Again,
}

/// Opens a moment to read `known` at. The table cannot change its definition until [`close`].
///
/// # Errors
/// `SOURCE_GRANT_MISSING` with the GRANT, and those of queries.
pub fn open(link: &mut Link, known: &Known, nearness: Nearness) -> Result<Opened, Fault> {
    let fence = if known.is_innodb() {
        match snapshot(link, known, nearness)? {
            Some(fence) => fence,
            None => return Ok(Opened::Again),
        }
    } else {
        lock(link, known)?;
        server::place(&mut link.client, &link.facts, &link.connect)?
    };
    if fence.file.is_empty() && fence.gtids.is_none() {
        let text = "the server writes no binary log";
        return Err(Fault::new(FaultCode::SourceLogOff, Component::Input, text).about(link.connect.endpoint()));
    }
    // Takes the metadata lock, which the transaction keeps. A row is asked for, since only with it the engine says that
    // the table was made anew after the snapshot was opened, as a TRUNCATE does under the same definition.
    match link.client.query(&format!("SELECT 1 FROM {} LIMIT 1", known.from())) {
        Ok(_) => {}
        Err(QueryError::Server(error)) if is_change(error.number) => return Ok(Opened::Changed),
        Err(error) => return Err(link.table_fault("read a table", error, &known.name)),
    }
    match known.holds(link)? {
        Some(true) => Ok(Opened::At(fence)),
        Some(false) | None => Ok(Opened::Changed),
    }
}

/// Ends the moment.
///
/// # Errors
/// Those of a query.
pub fn close(link: &mut Link) -> Result<(), Fault> {
    link.run("end a transaction", "COMMIT")?;
    if std::mem::take(&mut link.is_locked) { link.run("unlock a table", "UNLOCK TABLES") } else { Ok(()) }
}

/// True for an answer that comes of a definition that changed or went.
pub fn is_change(number: u16) -> bool {
    // Unknown database, column, key, table; key of FORCE INDEX; definition changed; statement to be prepared anew.
    matches!(number, 1049 | 1054 | 1072 | 1146 | 1176 | 1412 | 1615)
}

/// `None`: an XA transaction was decided meanwhile.
fn snapshot(link: &mut Link, known: &Known, nearness: Nearness) -> Result<Option<LogPosition>, Fault> {
    const OPEN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
    match (link.facts.flavor, nearness) {
        (Flavor::MariaDb, Nearness::Behind) => {
            note_prepared(link)?;
            link.run("open a snapshot", OPEN)?;
            snapshot_place(link).map(Some)
        }
        (Flavor::MariaDb, Nearness::Same | Nearness::Replica) => {
            let before = prepared(link)?;
            link.run("open a snapshot", OPEN)?;
            let fence = match nearness {
                Nearness::Replica => by_gtid(applied(link)?),
                Nearness::Behind | Nearness::Same => snapshot_place(link)?,
            };
            let same = before == prepared(link)?;
            if !same {
                close(link)?;
            }
            if nearness == Nearness::Same {
                // Keys say nothing of such a table: no commit of these may be below the moment at all.
                link.prepared = Some((fence.clone(), before));
            }
            Ok(same.then_some(fence))
        }
        (Flavor::MySql, Nearness::Behind) => {
            note_prepared(link)?;
            if link.facts.gtids && !told_is_visible(link)? {
                return Ok(None);
            }
            link.run("open a snapshot", OPEN)?;
            server::place(&mut link.client, &link.facts, &link.connect).map(Some)
        }
        (Flavor::MySql, Nearness::Replica) => {
            link.run("open a snapshot", OPEN)?;
            company::owned_and_executed(&mut link.client).map(by_gtid).map(Some)
        }
        (Flavor::MySql, Nearness::Same) => {
            let mut locker = Link::open(&link.connect)?;
            lock(&mut locker, known)?;
            link.run("open a snapshot", OPEN)?;
            let fence = server::place(&mut link.client, &link.facts, &link.connect)?;
            close(&mut locker)?;
            Ok(Some(fence))
        }
    }
}

fn by_gtid(set: GtidSet) -> LogPosition {
    LogPosition { gtids: Some(Arc::new(set)), file: "".into(), offset: 0, inside: None, undecided: None }
}

/// Whether a MariaDB keeps what it has applied in one table that its own transactions write.
pub fn has_exact_position(link: &mut Link) -> Result<bool, Fault> {
    let sql = "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA='mysql' \
               AND TABLE_NAME LIKE 'gtid\\_slave\\_pos%'";
    let rows = link.ask("see where the replica keeps its position", sql)?;
    let engines: Vec<&[u8]> = rows.iter().filter_map(|row| row.first()?.as_deref()).collect();
    Ok(engines == [&b"InnoDB"[..]])
}

/// What a replica of MariaDB had applied when the snapshot was opened: of each domain the row that was written last.
fn applied(link: &mut Link) -> Result<GtidSet, Fault> {
    let sql = "SELECT domain_id, server_id, seq_no, sub_id FROM mysql.gtid_slave_pos";
    let mut last: BTreeMap<u32, (u64, (u32, u64))> = BTreeMap::new();
    for row in link.ask("read what the replica has applied", sql)? {
        let number =
            |index: usize| -> Option<u64> { std::str::from_utf8(row.get(index)?.as_deref()?).ok()?.parse().ok() };
        let read = || Some((number(0)? as u32, number(3)?, (number(1)? as u32, number(2)?)));
        let Some((domain, order, gtid)) = read() else { continue };
        if last.get(&domain).is_none_or(|(known, _)| order > *known) {
            last.insert(domain, (order, gtid));
        }
    }
    Ok(GtidSet::MariaDb(last.into_iter().map(|(domain, (_, gtid))| (domain, gtid)).collect()))
}

/// Waits a little for what is in the log and not visible yet; false where it is not even then.
fn told_is_visible(link: &mut Link) -> Result<bool, Fault> {
    match company::owned(&mut link.client)? {
        owned if owned.is_empty() => Ok(true),
        owned => company::wait_for(&mut link.client, link.facts.flavor, &owned),
    }
}

/// The place in the log of the snapshot just opened.
fn snapshot_place(link: &mut Link) -> Result<LogPosition, Fault> {
    let rows = link.ask("read the snapshot's place in the log", "SHOW STATUS LIKE 'Binlog_snapshot_%'")?;
    let value = |name: &str| {
        let row =
            rows.iter().find(|row| matches!(row.first(), Some(Some(key)) if key.eq_ignore_ascii_case(name.as_bytes())));
        let value = row.and_then(|row| row.get(1)).and_then(|value| value.as_deref());
        value.map_or(String::new(), |value| String::from_utf8_lossy(value).into_owned())
    };
    let offset = value("Binlog_snapshot_position").parse().unwrap_or(0);
    Ok(LogPosition { gtids: None, file: value("Binlog_snapshot_file").into(), offset, inside: None, undecided: None })
}

/// The end of the log, and then the XA transactions that are prepared.
fn note_prepared(link: &mut Link) -> Result<(), Fault> {
    let before = server::place(&mut link.client, &link.facts, &link.connect)?;
    link.prepared = Some((before, prepared(link)?));
    Ok(())
}

/// The XA transactions that are prepared. On MariaDB anyone may ask; on MySQL who may not is told of none.
fn prepared(link: &mut Link) -> Result<HashSet<Xid>, Fault> {
    prepared_now(&mut link.client).map(Option::unwrap_or_default)
}

fn lock(link: &mut Link, known: &Known) -> Result<(), Fault> {
    let locked = link.client.query(&format!("LOCK TABLES {} READ", known.from()));
    link.is_locked = locked.is_ok();
    locked.map(drop).map_err(|error| lock_fault(error, &link.connect, &known.name))
}

fn lock_fault(error: QueryError, connect: &ConnectOptions, table: &TableName) -> Fault {
    let fault = error.into_fault("lock a table for reading", &connect.endpoint());
    if fault.code() == FaultCode::SourceGrantMissing {
        let grant = format!("GRANT LOCK TABLES, SELECT ON `{}`.* TO '{}'@'...'", table.schema, connect.user);
        return fault.about(table.to_string()).help(grant);
    }
    fault
}

//! Positions of MySQL and MariaDB logs.
//!
//! Owns: the text grammar (`gtid:<set>[+<gtid>/<row>]`, `file:<name>:<pos>[+<row>]`) and the partial order.
//! Does not own: moving the server there (`stream`).
//!
//! Invariant: a position with rows done belongs to the transaction that follows the set (or the place); without its
//! own GTID in the set, so that a restart reads that transaction again and skips those rows.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use limpid_model::{Position, PositionValue, TxnId};

use crate::gtid::{GtidSet, parse_uuid, write_uuid};

/// A transaction's id with the text of its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTxn {
    pub id: TxnId,
    pub tag: Arc<str>,
}

/// Which server's grammar a GTID set is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    MySql,
    MariaDb,
}

/// A place in the log of a MySQL or MariaDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The transactions done, where the server has GTIDs.
    pub gtids: Option<Arc<GtidSet>>,
    /// The log file and the byte after the last event done: exact on the server it was read from, a hint elsewhere.
    /// For a place inside a transaction: where that transaction begins.
    pub file: Arc<str>,
    pub offset: u64,
    /// The transaction in progress and how many of its rows are done.
    pub inside: Option<(NamedTxn, u64)>,
    /// The XA transactions that are prepared and undecided here. Only a stream's own positions say it.
    pub undecided: Option<Arc<Undecided>>,
}

/// XA transactions that are undecided at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undecided {
    /// Each with the place where it was prepared.
    pub names: Vec<String>,
    /// How many were decided between the stream's begin and here.
    pub decided: u64,
}

impl LogPosition {
    /// Parses the text form; `flavor` decides how a GTID set is read.
    pub fn parse(text: &str, flavor: Flavor) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "gtid" => Self::parse_gtid(rest, flavor),
            "file" => {
                let (place, rows) = match rest.rsplit_once('+') {
                    Some((place, rows)) => (place, Some(rows.parse().ok()?)),
                    None => (rest, None),
                };
                let (file, offset) = place.rsplit_once(':')?;
                if file.is_empty() {
                    return None;
                }
                let anonymous = NamedTxn { id: TxnId::Anonymous, tag: "".into() };
                let inside = rows.map(|rows| (anonymous, rows));
                Some(Self { gtids: None, file: file.into(), offset: offset.parse().ok()?, inside, undecided: None })
            }
            _ => None,
        }
    }

    /// True when everything at or below `end` is at or below this position. Where only one of the two has GTIDs, their
    /// places in the files of one server are compared.
    pub fn reaches(&self, end: &LogPosition) -> bool {
        if self.gtids.is_some() == end.gtids.is_some() {
            return matches!(self.compare(end), Some(Ordering::Equal | Ordering::Greater));
        }
        let place = |position: &Self| Some((log_number(&position.file)?, position.offset));
        place(end).is_some_and(|end| place(self) >= Some(end))
    }

    fn parse_gtid(rest: &str, flavor: Flavor) -> Option<Self> {
        let (set, inside) = match rest.split_once('+') {
            Some((set, inside)) => (set, Some(inside)),
            None => (rest, None),
        };
        let set = match flavor {
            Flavor::MySql => GtidSet::parse_mysql(set)?,
            Flavor::MariaDb => GtidSet::parse_mariadb(set)?,
        };
        let inside = match inside {
            Some(text) => {
                let (txn, rows) = text.rsplit_once('/')?;
                Some((parse_txn(txn, flavor)?, rows.parse().ok()?))
            }
            None => None,
        };
        Some(Self { gtids: Some(Arc::new(set)), file: "".into(), offset: 0, inside, undecided: None })
    }
}

fn parse_txn(text: &str, flavor: Flavor) -> Option<NamedTxn> {
    match flavor {
        Flavor::MariaDb => {
            let mut pieces = text.split('-').map(|piece| piece.parse::<u64>().ok());
            let (domain, server, seq) = (pieces.next()??, pieces.next()??, pieces.next()??);
            let (domain, server) = (u32::try_from(domain).ok()?, u32::try_from(server).ok()?);
            pieces.next().is_none().then(|| NamedTxn { id: TxnId::Domain { domain, server, seq }, tag: "".into() })
        }
        Flavor::MySql => {
            let mut pieces = text.split(':');
            let sid = parse_uuid(pieces.next()?)?;
            let (tag, gno) = match (pieces.next()?, pieces.next()) {
                (gno, None) => ("", gno),
                (tag, Some(gno)) => (tag, gno),
            };
            let gno = gno.parse().ok()?;
            Some(NamedTxn { id: TxnId::Uuid { sid, gno, tag: !tag.is_empty() as u16 }, tag: tag.into() })
        }
    }
}

/// The text of one transaction's id; empty for an anonymous one.
pub fn txn_text(txn: &NamedTxn) -> String {
    let mut text = String::new();
    match txn.id {
        TxnId::Anonymous => {}
        TxnId::Domain { domain, server, seq } => {
            let _ = write!(text, "{domain}-{server}-{seq}");
        }
        TxnId::Uuid { sid, gno, .. } => {
            let _ = write_uuid(&sid, &mut text);
            if !txn.tag.is_empty() {
                let _ = write!(text, ":{}", txn.tag);
            }
            let _ = write!(text, ":{gno}");
        }
    }
    text
}

impl PositionValue for LogPosition {
    fn text(&self) -> String {
        match (&self.gtids, &self.inside) {
            (Some(set), Some((txn, rows))) => format!("gtid:{set}+{}/{rows}", txn_text(txn)),
            (Some(set), None) => format!("gtid:{set}"),
            (None, Some((_, rows))) => format!("file:{}:{}+{rows}", self.file, self.offset),
            (None, None) => format!("file:{}:{}", self.file, self.offset),
        }
    }

    fn compare(&self, other: &dyn PositionValue) -> Option<Ordering> {
        let other: &Self = other.as_any().downcast_ref()?;
        let outer = match (&self.gtids, &other.gtids) {
            (Some(mine), Some(theirs)) => match (mine.is_subset(theirs), theirs.is_subset(mine)) {
                (true, true) => Ordering::Equal,
                (true, false) => return Some(Ordering::Less),
                (false, true) => return Some(Ordering::Greater),
                (false, false) => return None,
            },
            (None, None) => (log_number(&self.file)?, self.offset).cmp(&(log_number(&other.file)?, other.offset)),
            _ => return None,
        };
        let rows = |position: &Self| position.inside.as_ref().map_or(0, |(_, rows)| *rows);
        Some(outer.then_with(|| rows(self).cmp(&rows(other))))
    }

    fn reaches(&self, other: &dyn PositionValue) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| LogPosition::reaches(self, other))
    }

    fn with_rows_done(&self, rows: u64) -> Position {
        let mut moved = self.clone();
        if let Some((_, done)) = &mut moved.inside {
            *done = rows;
        }
        Position::new(moved)
    }

    fn inside(&self) -> Option<(TxnId, u64)> {
        self.inside.as_ref().map(|(txn, rows)| (txn.id, *rows))
    }

    fn read_from(&self) -> Position {
        Position::new(Self { inside: None, ..self.clone() })
    }

    fn undecided(&self) -> Vec<String> {
        self.undecided.as_ref().map_or_else(Vec::new, |undecided| undecided.names.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The number at the end of a log file's name: files of one server are ordered by it.
pub fn log_number(file: &str) -> Option<u64> {
    file.rsplit_once('.')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_form_survives_a_round_trip() {
        const U: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        for (text, flavor) in [
            (format!("gtid:{U}:1-5:7"), Flavor::MySql),
            (format!("gtid:{U}:1-5+{U}:6/42"), Flavor::MySql),
            (format!("gtid:{U}:1-5+{U}:blue:6/42"), Flavor::MySql),
            ("gtid:0-1-5,1-2-9".into(), Flavor::MariaDb),
            ("gtid:0-1-5+0-1-6/1000000".into(), Flavor::MariaDb),
            ("gtid:".into(), Flavor::MariaDb),
            ("file:bin.000002:4".into(), Flavor::MySql),
            ("file:my-bin.log:x.000002:4+7".into(), Flavor::MySql),
        ] {
            assert_eq!(LogPosition::parse(&text, flavor).expect(&text).text(), text);
        }
    }

    #[test]
    fn a_place_with_gtids_reaches_one_without_by_its_file() {
        let at = |text: &str| LogPosition::parse(text, Flavor::MariaDb).unwrap();
        let with = |gtids: &str, file: &str| LogPosition { gtids: at(gtids).gtids, ..at(file) };
        assert!(with("gtid:0-1-5", "file:b.000010:500").reaches(&at("file:b.000009:900")));
        assert!(!with("gtid:0-1-5", "file:b.000010:500").reaches(&at("file:b.000010:501")));
        assert!(at("file:b.000010:500").reaches(&with("gtid:0-1-5", "file:b.000010:500")));
        assert!(!at("file:b.000010:500").reaches(&at("gtid:0-1-5")), "it has no file");
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for bad in ["", "gtid", "gtid:x", "file:bin.1", "file::4", "file:bin.1:x", "lsn:1/2", "gtid:0-1-5+0-1/2"] {
            assert_eq!(LogPosition::parse(bad, Flavor::MariaDb), None, "{bad}");
        }
    }

    #[test]
    fn places_inside_one_transaction_are_ordered_by_rows() {
        let at = |text: &str| LogPosition::parse(text, Flavor::MariaDb).unwrap();
        let order = |a: &str, b: &str| at(a).compare(&at(b));
        assert_eq!(order("gtid:0-1-5+0-1-6/3", "gtid:0-1-5+0-1-6/4"), Some(Ordering::Less));
        assert_eq!(order("gtid:0-1-5+0-1-6/3", "gtid:0-1-6"), Some(Ordering::Less));
        assert_eq!(order("gtid:0-1-5,1-1-1", "gtid:0-1-4,1-1-2"), None);
        assert_eq!(order("file:b.000009:900", "file:b.000010:4"), Some(Ordering::Less));
    }
}

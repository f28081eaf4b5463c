//! Transactions and positions as people name them, for whoever follows a row.
//!
//! Owns: reading their texts without a server. Does not own: ids of traces (`limpid-telemetry`).
//!
//! Invariant: a text that names no single transaction is none; nothing is guessed.

use std::sync::Arc;

use limpid_model::TxnId;
use limpid_telemetry::trace::{NamedTxn, Positions};

use crate::gtid::{GtidSet, parse_uuid};
use crate::position::{Flavor, LogPosition};

/// The texts of MySQL and MariaDB, told apart by their form.
pub struct Texts;

impl Positions for Texts {
    fn transaction(&self, text: &str) -> Option<NamedTxn> {
        let text = text.trim();
        let set = text.strip_prefix("gtid:").unwrap_or(text);
        if let Some((_, inside)) = set.split_once('+') {
            let txn = inside.rsplit_once('/').map_or(inside, |(txn, _)| txn);
            return one(txn);
        }
        one(set)
    }

    fn covers(&self, position: &str, txn: &NamedTxn) -> Option<bool> {
        let (flavor, empty) = match txn.id {
            TxnId::Anonymous => return None,
            TxnId::Uuid { .. } => (Flavor::MySql, GtidSet::parse_mysql("")),
            TxnId::Domain { .. } => (Flavor::MariaDb, GtidSet::parse_mariadb("")),
        };
        let at = LogPosition::parse(position, flavor)?;
        let mut only = empty?;
        only.add(txn.id, &txn.tag);
        Some(only.is_subset(at.gtids.as_deref()?))
    }
}

/// `0-1-57`; `uuid:57`, `uuid:tag:57`, or `uuid:1-57`, which ends with it.
fn one(text: &str) -> Option<NamedTxn> {
    let mut numbers = text.split('-').map(|piece| piece.parse::<u64>().ok());
    if let (Some(Some(domain)), Some(Some(server)), Some(Some(seq)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    {
        let (domain, server) = (u32::try_from(domain).ok()?, u32::try_from(server).ok()?);
        return Some(NamedTxn { id: TxnId::Domain { domain, server, seq }, tag: "".into() });
    }
    let pieces: Vec<&str> = text.split(':').collect();
    let (sid, tag, range) = match pieces[..] {
        [sid, range] => (sid, "", range),
        // A tag begins with no digit: these are two ranges.
        [sid, tag, range] if !tag.starts_with(|first: char| first.is_ascii_digit()) => (sid, tag, range),
        _ => return None,
    };
    let sid = parse_uuid(sid)?;
    let gno = range.rsplit_once('-').map_or(range, |(_, last)| last).parse().ok().filter(|gno| *gno > 0)?;
    let tag: Arc<str> = tag.to_ascii_lowercase().into();
    Some(NamedTxn { id: TxnId::Uuid { sid, gno, tag: u16::from(!tag.is_empty()) }, tag })
}

#[cfg(test)]
mod tests {
    use limpid_telemetry::trace::txn_text;

    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn one_transaction_is_read_from_whatever_names_it_and_several_are_none() {
        for (text, expected) in [
            ("0-1-57".to_owned(), Some("0-1-57".to_owned())),
            ("gtid:0-1-57".to_owned(), Some("0-1-57".to_owned())),
            ("gtid:0-1-56+0-1-57/3".to_owned(), Some("0-1-57".to_owned())),
            (format!("{UUID}:23"), Some(format!("{UUID}:23"))),
            (format!("gtid:{UUID}:1-23"), Some(format!("{UUID}:23"))),
            (format!("gtid:{UUID}:1-23+{UUID}:24/9"), Some(format!("{UUID}:24"))),
            (format!("{UUID}:Blue:4"), Some(format!("{UUID}:blue:4"))),
            ("gtid:0-1-57,1-1-3".to_owned(), None),
            (format!("gtid:{UUID}:1-3:7-9"), None),
            ("file:bin.000001:4".to_owned(), None),
            ("57".to_owned(), None),
            (String::new(), None),
        ] {
            let found = Texts.transaction(&text).and_then(|txn| txn_text(txn.id, Some(&txn.tag)));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_position_covers_what_its_set_has_and_not_what_it_is_inside_of() {
        for (position, txn, expected) in [
            ("gtid:0-1-57".to_owned(), "0-1-57".to_owned(), Some(true)),
            ("gtid:0-1-57".to_owned(), "0-1-58".to_owned(), Some(false)),
            ("gtid:0-1-57+0-1-58/3".to_owned(), "0-1-58".to_owned(), Some(false)),
            ("gtid:0-1-57".to_owned(), "1-1-2".to_owned(), Some(false)),
            (format!("gtid:{UUID}:1-9:12"), format!("{UUID}:9"), Some(true)),
            (format!("gtid:{UUID}:1-9:12"), format!("{UUID}:10"), Some(false)),
            ("file:bin.000001:4".to_owned(), "0-1-58".to_owned(), None),
        ] {
            let txn = Texts.transaction(&txn).unwrap();
            assert_eq!(Texts.covers(&position, &txn), expected, "{position}");
        }
    }
}

//! Sets of transaction ids, in both servers' flavours.
//!
//! Owns: their text forms, inclusion, and growing by one transaction. Does not own: positions (`position`).
//!
//! Invariant: gaps are kept: a MySQL set holds exactly the transactions it was given, never "1 to the highest". A
//! MariaDB set is its server's own notion, the last id of each domain, with the server that wrote it.

use std::collections::BTreeMap;
use std::fmt;

use limpid_model::TxnId;

use crate::bytes::Cursor;
use crate::events::varlen;

/// The highest number a transaction of one source may have.
pub const GNO_MAX: u64 = i64::MAX as u64 - 1;

/// True for a tag as servers write it. Source: MySQL's manual, "GTID Format and Storage".
pub fn is_tag(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    starts && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A MySQL source id with its tag ("" = untagged).
pub type Sid = ([u8; 16], String);

/// A set of transaction ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GtidSet {
    /// Closed intervals by source id, sorted, disjoint and not adjacent.
    MySql(BTreeMap<Sid, Vec<(u64, u64)>>),
    /// Last transaction by domain: server and sequence.
    MariaDb(BTreeMap<u32, (u32, u64)>),
}

impl GtidSet {
    pub fn is_empty(&self) -> bool {
        match self {
            GtidSet::MySql(sets) => sets.is_empty(),
            GtidSet::MariaDb(domains) => domains.is_empty(),
        }
    }

    /// Parses MySQL's text: `uuid[:tag]:1-5:7,uuid:...`, white space allowed as the server prints it.
    pub fn parse_mysql(text: &str) -> Option<Self> {
        let mut sets: BTreeMap<Sid, Vec<(u64, u64)>> = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split(':').map(str::trim);
            let sid = parse_uuid(pieces.next()?)?;
            let mut tag = String::new();
            let mut any = false;
            for piece in pieces {
                if piece.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    tag = piece.to_ascii_lowercase();
                    if !is_tag(&tag) {
                        return None;
                    }
                    continue;
                }
                let (first, last) = match piece.split_once('-') {
                    Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
                    None => {
                        let only: u64 = piece.parse().ok()?;
                        (only, only)
                    }
                };
                if first == 0 || last < first || last > GNO_MAX {
                    return None;
                }
                add_interval(sets.entry((sid, tag.clone())).or_default(), first, last);
                any = true;
            }
            if !any {
                return None;
            }
        }
        Some(GtidSet::MySql(sets))
    }

    /// Parses MariaDB's text: `domain-server-sequence,...`.
    pub fn parse_mariadb(text: &str) -> Option<Self> {
        let mut domains = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split('-');
            let domain = pieces.next()?.parse().ok()?;
            let server = pieces.next()?.parse().ok()?;
            let seq = pieces.next()?.parse().ok()?;
            if pieces.next().is_some() || domains.insert(domain, (server, seq)).is_some() {
                return None;
            }
        }
        Some(GtidSet::MariaDb(domains))
    }

    /// Adds one transaction. `tag` is the text of a tagged MySQL id. Anonymous transactions and ids of the other
    /// flavour change nothing.
    #[inline]
    pub fn add(&mut self, id: TxnId, tag: &str) {
        match (self, id) {
            (GtidSet::MySql(sets), TxnId::Uuid { sid, gno, .. }) => {
                if tag.is_empty() {
                    // The usual case without building a key: the set has the source already.
                    let mut known = sets.range_mut((sid, String::new())..);
                    if let Some((key, intervals)) = known.next()
                        && key.0 == sid
                        && key.1.is_empty()
                    {
                        add_interval(intervals, gno, gno);
                        return;
                    }
                }
                add_interval(sets.entry((sid, tag.to_owned())).or_default(), gno, gno);
            }
            (GtidSet::MariaDb(domains), TxnId::Domain { domain, server, seq }) => {
                domains.insert(domain, (server, seq));
            }
            _ => {}
        }
    }

    /// True when every transaction of `self` is in `other`. For MariaDB: no domain of `self` is ahead of `other`.
    pub fn is_subset(&self, other: &GtidSet) -> bool {
        match (self, other) {
            (GtidSet::MySql(small), GtidSet::MySql(big)) => small.iter().all(|(sid, intervals)| {
                let Some(cover) = big.get(sid) else { return false };
                intervals.iter().all(|(first, last)| cover.iter().any(|(a, b)| a <= first && last <= b))
            }),
            (GtidSet::MariaDb(small), GtidSet::MariaDb(big)) => {
                small.iter().all(|(domain, (_, seq))| big.get(domain).is_some_and(|(_, reached)| seq <= reached))
            }
            _ => false,
        }
    }

    /// The transactions of `self` that are not in `other`. Of MariaDB's sets, the domains that are ahead of `other`.
    pub fn minus(&self, other: &GtidSet) -> GtidSet {
        match (self, other) {
            (GtidSet::MySql(ours), GtidSet::MySql(theirs)) => {
                let left = |(sid, intervals): (&Sid, &Vec<(u64, u64)>)| {
                    let cover = theirs.get(sid).map_or(&[][..], Vec::as_slice);
                    let left: Vec<_> = intervals.iter().flat_map(|interval| uncovered(*interval, cover)).collect();
                    (!left.is_empty()).then(|| (sid.clone(), left))
                };
                GtidSet::MySql(ours.iter().filter_map(left).collect())
            }
            (GtidSet::MariaDb(ours), GtidSet::MariaDb(theirs)) => {
                let is_ahead = |domain: &u32, seq: u64| theirs.get(domain).is_none_or(|(_, reached)| seq > *reached);
                let ahead = ours.iter().filter(|(domain, (_, seq))| is_ahead(domain, *seq));
                GtidSet::MariaDb(ahead.map(|(domain, last)| (*domain, *last)).collect())
            }
            _ => self.clone(),
        }
    }

    /// How many transactions of `self` are not in `other`; `None` for sets of different flavours. MariaDB numbers each
    /// domain's transactions one after the other, and a set names the last: those between are counted as if each were
    /// there.
    pub fn count_beyond(&self, other: &GtidSet) -> Option<u64> {
        match (self.minus(other), other) {
            (GtidSet::MySql(left), GtidSet::MySql(_)) => {
                Some(left.values().flatten().map(|(first, last)| last - first + 1).sum())
            }
            (GtidSet::MariaDb(ahead), GtidSet::MariaDb(theirs)) => {
                let reached = |domain: &u32| theirs.get(domain).map_or(0, |(_, seq)| *seq);
                Some(ahead.iter().map(|(domain, (_, seq))| seq - reached(domain)).sum())
            }
            _ => None,
        }
    }

    /// The binary form of COM_BINLOG_DUMP_GTID: source ids, each with half-open intervals. Tagged sets need the
    /// newer form (`tagged`), which servers without tags do not know.
    pub fn dump_bytes(&self) -> Vec<u8> {
        let GtidSet::MySql(sets) = self else { return Vec::new() };
        let tagged = sets.keys().any(|(_, tag)| !tag.is_empty());
        let mut out = Vec::new();
        // The newer form keeps the count in bytes 1 to 6 and marks itself in the first and last byte.
        let count = sets.len() as u64;
        out.extend_from_slice(&if tagged { (count << 8) | 1 | (1 << 56) } else { count }.to_le_bytes());
        for ((sid, tag), intervals) in sets {
            out.extend_from_slice(sid);
            if tagged {
                out.push((tag.len() as u8) << 1);
                out.extend_from_slice(tag.as_bytes());
            }
            out.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (first, last) in intervals {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&(last + 1).to_le_bytes());
            }
        }
        out
    }

    /// Parses the same form, which PREVIOUS_GTIDS events have too.
    pub fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        const TAGGED: u64 = 1;
        let mut cur = Cursor::new(bytes);
        let head = cur.u64()?;
        let (tagged, count) = match head >> 56 {
            0 => (false, head),
            TAGGED => (true, (head & !(TAGGED << 56)) >> 8),
            _ => return None,
        };
        let mut sets: BTreeMap<Sid, Vec<(u64, u64)>> = BTreeMap::new();
        for _ in 0..count {
            let sid = cur.array()?;
            let mut tag = "";
            if tagged {
                let len = usize::try_from(varlen(&mut cur)?).ok()?;
                tag = std::str::from_utf8(cur.take(len)?).ok().filter(|tag| tag.is_empty() || is_tag(tag))?;
            }
            let intervals = cur.u64()?;
            for _ in 0..intervals {
                let (first, end) = (cur.u64()?, cur.u64()?);
                if first == 0 || end <= first || end > GNO_MAX + 1 {
                    return None;
                }
                add_interval(sets.entry((sid, tag.to_owned())).or_default(), first, end - 1);
            }
        }
        (cur.remaining() == 0).then_some(GtidSet::MySql(sets))
    }
}

/// Inserts a closed interval, joining what touches.
fn add_interval(intervals: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    // Logs grow at the end: the last interval is the one to look at first.
    if let Some(end) = intervals.last_mut()
        && end.1 + 1 == first
    {
        end.1 = last;
        return;
    }
    let at = intervals.partition_point(|(_, end)| end + 1 < first);
    let (mut first, mut last) = (first, last);
    let mut upto = at;
    while upto < intervals.len() && intervals[upto].0 <= last.saturating_add(1) {
        first = first.min(intervals[upto].0);
        last = last.max(intervals[upto].1);
        upto += 1;
    }
    intervals.splice(at..upto, [(first, last)]);
}

/// What of an interval lies in none of `cover`, which is sorted.
fn uncovered((first, last): (u64, u64), cover: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    let mut next = first;
    for (from, to) in cover.iter().filter(|(from, to)| *to >= first && *from <= last) {
        if *from > next {
            left.push((next, from - 1));
        }
        next = to + 1;
    }
    if next <= last {
        left.push((next, last));
    }
    left
}

/// Parses a UUID in its usual text form.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    if hex.len() != 32 || (text.len() != 36 && text.len() != 32) {
        return None;
    }
    let mut uuid = [0; 16];
    for (index, pair) in hex.chunks_exact(2).enumerate() {
        uuid[index] = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

/// Prints a UUID in its usual text form.
pub fn write_uuid(uuid: &[u8; 16], f: &mut impl fmt::Write) -> fmt::Result {
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_char('-')?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::MySql(sets) => {
                for (nth, ((sid, tag), intervals)) in sets.iter().enumerate() {
                    if nth > 0 {
                        f.write_str(",")?;
                    }
                    write_uuid(sid, f)?;
                    if !tag.is_empty() {
                        write!(f, ":{tag}")?;
                    }
                    for (first, last) in intervals {
                        if first == last { write!(f, ":{first}")? } else { write!(f, ":{first}-{last}")? }
                    }
                }
                Ok(())
            }
            GtidSet::MariaDb(domains) => {
                for (nth, (domain, (server, seq))) in domains.iter().enumerate() {
                    let comma = if nth > 0 { "," } else { "" };
                    write!(f, "{comma}{domain}-{server}-{seq}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn gaps_are_kept_and_closed_only_by_what_fills_them() {
        let mut set = GtidSet::parse_mysql(&format!("{A}:1-3:5:7-9")).unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-3:5:7-9"));
        let sid = parse_uuid(A).unwrap();
        set.add(TxnId::Uuid { sid, gno: 6, tag: 0 }, "");
        assert_eq!(set.to_string(), format!("{A}:1-3:5-9"));
        set.add(TxnId::Uuid { sid, gno: 10, tag: 0 }, "");
        set.add(TxnId::Uuid { sid, gno: 4, tag: 0 }, "");
        assert_eq!(set.to_string(), format!("{A}:1-10"));
        set.add(TxnId::Uuid { sid, gno: 1, tag: 1 }, "blue");
        assert_eq!(set.to_string(), format!("{A}:1-10,{A}:blue:1"));
    }

    #[test]
    fn inclusion_orders_only_what_is_included() {
        let parse = |text: &str| GtidSet::parse_mysql(text).unwrap();
        let (small, big) = (parse(&format!("{A}:2-3")), parse(&format!("{A}:1-3:5")));
        assert!(small.is_subset(&big));
        assert!(!big.is_subset(&small));
        assert!(!parse(&format!("{A}:4")).is_subset(&big));
        let maria = |text: &str| GtidSet::parse_mariadb(text).unwrap();
        assert!(maria("0-1-5").is_subset(&maria("0-2-5,1-1-9")), "the server that wrote it does not matter");
        assert!(!maria("0-1-6").is_subset(&maria("0-2-5")));
    }

    #[test]
    fn what_one_set_has_and_another_lacks_is_exact() {
        let check = |ours: &str, theirs: &str, left: &str| {
            let parse = |text: &str| GtidSet::parse_mysql(&text.replace('A', A)).unwrap();
            assert_eq!(parse(ours).minus(&parse(theirs)).to_string(), left.replace('A', A), "{ours} without {theirs}");
        };
        check("A:1-9", "A:1-9", "");
        check("A:1-9", "", "A:1-9");
        check("A:1-9", "A:3:5-6", "A:1-2:4:7-9");
        check("A:3-5:8-9", "A:1-3:9-20", "A:4-5:8");
        check("A:1-3,A:blue:1", "A:1-9", "A:blue:1");
        let maria = |text: &str| GtidSet::parse_mariadb(text).unwrap();
        assert_eq!(maria("0-1-5,1-1-3,2-1-1").minus(&maria("0-2-5,1-2-2")), maria("1-1-3,2-1-1"));
    }

    #[test]
    fn transactions_between_two_sets_are_counted() {
        let mysql = |text: &str| GtidSet::parse_mysql(&text.replace('A', A)).unwrap();
        let maria = |text: &str| GtidSet::parse_mariadb(text).unwrap();
        assert_eq!(mysql("A:1-10:20,A:blue:1-2").count_beyond(&mysql("A:1-3:5:7-30")), Some(4));
        assert_eq!(mysql("A:1-3").count_beyond(&mysql("A:1-9")), Some(0));
        assert_eq!(maria("0-1-50,1-1-7,2-1-3").count_beyond(&maria("0-2-40,1-1-9")), Some(13));
        assert_eq!(maria("0-1-5").count_beyond(&mysql("A:1")), None);
    }

    #[test]
    fn tagged_sets_are_read_and_written_in_both_forms_from_fixture() {
        // As MySQL 8.4 prints a set: the source once, then each tag with its numbers.
        let printed = format!("{A}:1-4:abc:1-3:7:x:1");
        let set = GtidSet::parse_mysql(&printed).unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-4,{A}:abc:1-3:7,{A}:x:1"));
        assert_eq!(GtidSet::parse_mysql(&set.to_string()), Some(set.clone()));
        assert_eq!(GtidSet::parse_bytes(&set.dump_bytes()), Some(set));
        let plain = GtidSet::parse_mysql(&format!("{A}:1-4:6")).unwrap();
        assert_eq!(GtidSet::parse_bytes(&plain.dump_bytes()), Some(plain));

        // Built by hand: format 1 in the highest byte, two entries, the tag behind its length times two, half-open ends.
        let sid = parse_uuid(A).unwrap();
        let mut bytes = vec![1, 2, 0, 0, 0, 0, 0, 1];
        for (tag, first, end) in [(&b"\x00"[..], 1u64, 5u64), (b"\x08blue", 2, 3)] {
            bytes.extend_from_slice(&sid);
            bytes.extend_from_slice(tag);
            bytes.extend_from_slice(&1u64.to_le_bytes());
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        let set = GtidSet::parse_bytes(&bytes).unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-4,{A}:blue:2"));
        assert_eq!(set.dump_bytes(), bytes);
        for len in 0..bytes.len() {
            assert_eq!(GtidSet::parse_bytes(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for bad in
            ["x", A, &format!("{A}:0"), &format!("{A}:5-4"), &format!("{A}:1-"), &format!("{A}:9223372036854775807")]
        {
            assert_eq!(GtidSet::parse_mysql(bad), None, "{bad}");
        }
        for bad in ["1-2", "0-1-2-3", "0-1-x", "0-1-2,0-2-3", "-1-2-3"] {
            assert_eq!(GtidSet::parse_mariadb(bad), None, "{bad}");
        }
    }
}

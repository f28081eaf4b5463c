//! The log's events other than rows and table maps: headers, transaction borders, statements.
//!
//! Owns: their numbers and layouts. Does not own: what follows from them (`assemble`).
//!
//! Invariant: any bytes parse or give `None`; checksums are cut off before anything else looks at a body.
//! Sources: MySQL's `libbinlogevents`, MariaDB's `log_event.h` and its knowledge base ("Replication Protocol").

mod tagged;

use std::borrow::Cow;
use std::sync::Arc;

use limpid_model::TxnId;

use crate::bytes::Cursor;
use crate::charset::Charset;
use crate::gtid::GNO_MAX;
pub(crate) use tagged::unsigned as varlen;

/// Event numbers.
pub mod number {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIA_GTID: u8 = 162;
    pub const MARIA_GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
}

/// Flag in an event's header: it may be passed over by who does not know it.
pub const IGNORABLE_FLAG: u16 = 0x80;
/// Flag in an event's header: made up by the server for this connection, not in the log.
pub const ARTIFICIAL_FLAG: u16 = 0x20;

/// The 19 bytes before every event's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHead {
    pub seconds: u32,
    pub kind: u8,
    pub server: u32,
    pub size: u32,
    /// The low 32 bits of where the next event begins; 0 in made-up events.
    pub next: u32,
    pub flags: u16,
}

impl EventHead {
    pub const SIZE: usize = 19;

    /// Parses a header; the body follows it.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; Self::SIZE] = bytes.first_chunk()?;
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Self {
            seconds: u32_at(0),
            kind: head[4],
            server: u32_at(5),
            size: u32_at(9),
            next: u32_at(13),
            flags: u16::from_le_bytes([head[17], head[18]]),
        })
    }
}

/// A FORMAT_DESCRIPTION event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub server_version: String,
    /// True when every following event ends in a CRC32.
    pub checksum: bool,
}

impl Format {
    /// Parses the body, its own checksum (always there) included.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut cur = Cursor::new(body);
        if cur.u16()? != 4 {
            return None;
        }
        let version = cur.take(50)?;
        let end = version.iter().position(|byte| *byte == 0).unwrap_or(50);
        let server_version = String::from_utf8_lossy(&version[..end]).into_owned();
        let algorithm = *body.get(body.len().checked_sub(5)?)?;
        Some(Self { server_version, checksum: algorithm == 1 })
    }
}

/// What a transaction's first event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStart {
    /// Without the place of its tag, which is the batch's.
    pub id: TxnId,
    pub tag: Option<Arc<str>>,
    /// Microseconds since the epoch at the server that first committed it; 0 where the log does not say.
    pub commit_micros: u64,
    /// No BEGIN follows: a single statement (MariaDB).
    pub standalone: bool,
    /// The group holds only changes that can be rolled back (MariaDB), or the flavour does not say.
    pub prepared_xa: bool,
    pub completed_xa: bool,
    pub alter: Option<AlterPhase>,
}

/// MariaDB's `binlog_alter_two_phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterPhase {
    Start,
    Commit,
    Rollback,
}

impl GroupStart {
    /// MariaDB's GTID event; `server` is the event header's.
    #[inline]
    pub fn parse_mariadb(body: &[u8], server: u32) -> Option<Self> {
        const STANDALONE: u8 = 1;
        const GROUP_COMMIT_ID: u8 = 2;
        const PREPARED_XA: u8 = 64;
        const COMPLETED_XA: u8 = 128;
        let mut cur = Cursor::new(body);
        let seq = cur.u64()?;
        let domain = cur.u32()?;
        let flags = cur.u8()?;
        let mut alter = None;
        // Without a commit id the event is padded to its old, fixed length with zeroes.
        if flags & GROUP_COMMIT_ID != 0 {
            cur.u64()?;
        }
        if flags & (PREPARED_XA | COMPLETED_XA) != 0 {
            cur.u32()?;
            let [gtrid, bqual] = cur.array()?;
            cur.take(gtrid as usize + bqual as usize)?;
        }
        if let Some(extra) = cur.u8() {
            alter = match extra & 0b1110 {
                2 => Some(AlterPhase::Start),
                4 => Some(AlterPhase::Commit),
                8 => Some(AlterPhase::Rollback),
                _ => None,
            };
        }
        Some(Self {
            id: TxnId::Domain { domain, server, seq },
            tag: None,
            commit_micros: 0,
            standalone: flags & STANDALONE != 0,
            prepared_xa: flags & PREPARED_XA != 0,
            completed_xa: flags & COMPLETED_XA != 0,
            alter,
        })
    }

    /// MySQL's GTID and anonymous GTID events.
    #[inline]
    pub fn parse_mysql(body: &[u8], anonymous: bool) -> Option<Self> {
        let mut cur = Cursor::new(body);
        cur.u8()?;
        let sid = cur.array()?;
        let gno = cur.u64()?;
        let mut commit_micros = 0;
        // Logical timestamps (one byte of type, two numbers), then the commit times of 8.0.1 and later.
        if cur.u8() == Some(2)
            && cur.take(16).is_some()
            && let Some(bytes) = cur.take(7)
        {
            let immediate = crate::bytes::le(bytes);
            commit_micros = immediate & !(1 << 55);
            if immediate & 1 << 55 != 0 {
                commit_micros = crate::bytes::le(cur.take(7)?);
            }
        }
        let id = match anonymous {
            true => TxnId::Anonymous,
            false if (1..=GNO_MAX).contains(&gno) => TxnId::Uuid { sid, gno, tag: 0 },
            false => return None,
        };
        Some(Self::mysql(id, commit_micros))
    }

    /// MySQL's GTID event with a tag.
    pub fn parse_tagged(body: &[u8]) -> Option<Self> {
        tagged::parse(body)
    }

    fn mysql(id: TxnId, commit_micros: u64) -> Self {
        Self { id, tag: None, commit_micros, standalone: false, prepared_xa: false, completed_xa: false, alter: None }
    }
}

/// A statement in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    pub thread: u32,
    /// 0 unless the statement failed half-way and was logged for what it had done.
    pub error: u16,
    pub schema: &'a [u8],
    pub sql: &'a [u8],
    /// The session's `sql_mode`, where the event says it.
    pub sql_mode: Option<u64>,
    /// A collation of the session's `character_set_client`, which the text is in, where the event says it.
    pub client_collation: Option<u16>,
}

impl<'a> Statement<'a> {
    /// Parses a QUERY event's body; of a compressed one, `sql` is the compressed part.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut cur = Cursor::new(body);
        let thread = cur.u32()?;
        cur.u32()?;
        let schema_len = cur.u8()? as usize;
        let error = cur.u16()?;
        let status_len = cur.u16()? as usize;
        let status = cur.take(status_len)?;
        let schema = cur.take(schema_len)?;
        cur.u8()?;
        let Session { sql_mode, client_collation } = Session::parse(status);
        Some(Self { thread, error, schema, sql: cur.rest(), sql_mode, client_collation })
    }

    /// The text as UTF-8.
    pub fn text(&self) -> Cow<'a, [u8]> {
        let charset = self.client_collation.map_or(Charset::Utf8, Charset::of_collation);
        if matches!(charset, Charset::Utf8 | Charset::Binary | Charset::Unknown)
            || charset.is_ascii_compatible() && self.sql.is_ascii()
        {
            return Cow::Borrowed(self.sql);
        }
        let mut utf8 = Vec::with_capacity(self.sql.len());
        charset.to_utf8(self.sql, &mut utf8);
        Cow::Owned(utf8)
    }
}

/// What a QUERY event's status variables say of the session.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    sql_mode: Option<u64>,
    client_collation: Option<u16>,
}

impl Session {
    /// Each variable is its number and a value whose length follows from the number. Both servers write the flags, the
    /// SQL mode, the catalogue, the auto increment and the character sets first, so a number that is not known here
    /// comes after all that is wanted.
    fn parse(status: &[u8]) -> Self {
        let mut session = Self::default();
        let mut cur = Cursor::new(status);
        while session.variable(&mut cur).is_some() {}
        session
    }

    /// `None` at the end, or where there is nothing more to learn.
    fn variable(&mut self, cur: &mut Cursor<'_>) -> Option<()> {
        match cur.u8()? {
            0 | 3 => cur.u32().map(drop),
            1 => {
                self.sql_mode = Some(cur.u64()?);
                Some(())
            }
            // The catalogue, in the oldest form with a NUL behind it.
            2 => {
                let len = cur.u8()? as usize;
                cur.take(len + 1).map(drop)
            }
            5 | 6 => {
                let len = cur.u8()? as usize;
                cur.take(len).map(drop)
            }
            4 => {
                self.client_collation = Some(cur.u16()?);
                None
            }
            _ => None,
        }
    }
}

/// A ROTATE event: the file that follows and where in it.
pub fn rotate(body: &[u8]) -> Option<(u64, &str)> {
    let mut cur = Cursor::new(body);
    let at = cur.u64()?;
    Some((at, std::str::from_utf8(cur.rest()).ok()?))
}

/// What may happen to an event whose number we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Counted and passed over.
    Harmless,
    /// It may hold rows: refused.
    MayHoldRows,
}

/// Judges an unknown event by its flags: only the writer's word that it may be ignored makes it harmless.
pub fn judge_unknown(head: &EventHead) -> Unknown {
    if head.flags & IGNORABLE_FLAG != 0 { Unknown::Harmless } else { Unknown::MayHoldRows }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QUERY body whose status variables are those of MariaDB: flags, SQL mode, catalogue, character sets.
    fn query(collation: u16, sql: &[u8]) -> Vec<u8> {
        let mut status = vec![0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 6, 3];
        status.extend_from_slice(b"std\x04");
        status.extend_from_slice(&collation.to_le_bytes());
        status.extend_from_slice(&[33, 0, 45, 0, 8, 1]);
        let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, status.len() as u8, 0];
        body.extend_from_slice(&status);
        body.extend_from_slice(b"shop\0");
        body.extend_from_slice(sql);
        body
    }

    #[test]
    fn a_statement_is_read_in_its_clients_character_set() {
        for (collation, sql, text) in [
            (8, &b"create table caf\xe9 (a int)"[..], "create table caf\u{e9} (a int)"),
            (13, b"comment '\x83\x5c'", "comment '\u{30bd}'"),
            (45, "caf\u{e9}".as_bytes(), "caf\u{e9}"),
        ] {
            let body = query(collation, sql);
            let statement = Statement::parse(&body).unwrap();
            assert_eq!((statement.sql_mode, statement.client_collation), (Some(4), Some(collation)));
            assert_eq!(statement.schema, b"shop");
            assert_eq!(statement.text(), text.as_bytes());
        }
    }

    #[test]
    fn status_variables_that_end_early_or_are_unknown_leave_the_rest_unsaid() {
        let known = Session::parse(&[0, 1, 2, 3, 4, 200, 1, 1]);
        assert_eq!((known.sql_mode, known.client_collation), (None, None));
        let cut = Session::parse(&[1, 9, 0, 0, 0, 0, 0, 0, 0, 4, 8]);
        assert_eq!((cut.sql_mode, cut.client_collation), (Some(9), None));
    }
}

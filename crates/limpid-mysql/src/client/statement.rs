//! Statements whose rows come in the binary protocol, and what an answer says of its columns.
//!
//! Owns: preparing, executing, the columns' descriptions. Does not own: the rows behind them (`copy::packets`).
//!
//! Invariant: after [`Client::execute`] nothing but rows is left to be read; what was received ahead is handed over.

use super::{Client, QueryError, TextRows, server_error};
use crate::bytes::Cursor;

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;

/// A statement the server has prepared.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    pub id: u32,
    pub params: u16,
}

impl Client {
    /// Prepares a statement.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, QueryError> {
        let mut command = Vec::with_capacity(sql.len() + 1);
        command.push(COM_STMT_PREPARE);
        command.extend_from_slice(sql.as_bytes());
        self.command(&command)?;
        let answer = self.read_packet()?;
        if answer.first() == Some(&0xff) {
            return Err(QueryError::Server(server_error(&answer)));
        }
        let mut cur = Cursor::new(&answer);
        let head = || {
            cur.u8()?;
            Some((cur.u32()?, cur.u16()?, cur.u16()?))
        };
        let (id, columns, params) = { head }().ok_or_else(|| self.garbled())?;
        for count in [params, columns] {
            self.passes(u64::from(count))?;
        }
        Ok(Prepared { id, params })
    }

    /// Executes a statement without parameters; gives the type numbers of its columns.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn execute(&mut self, statement: Prepared) -> Result<Vec<u8>, QueryError> {
        let mut command = vec![COM_STMT_EXECUTE];
        command.extend_from_slice(&statement.id.to_le_bytes());
        // No cursor: the rows come as the server finds them. Always one iteration.
        command.extend_from_slice(&[0, 1, 0, 0, 0]);
        self.asked.add_one();
        self.command(&command)?;
        let first = self.read_packet()?;
        match first.first() {
            Some(0xff) => return Err(QueryError::Server(server_error(&first))),
            Some(0x00) | None => return Err(self.garbled()),
            _ => {}
        }
        let count = Cursor::new(&first).lenenc().ok_or_else(|| self.garbled())?;
        let mut kinds = Vec::new();
        for _ in 0..count {
            let packet = self.read_packet()?;
            kinds.push(definition(&packet).ok_or_else(|| self.garbled())?.1);
        }
        self.read_packet()?;
        Ok(kinds)
    }

    /// Lets the server forget a statement. It does not answer.
    ///
    /// # Errors
    /// The connection broke.
    pub fn close(&mut self, statement: Prepared) -> Result<(), QueryError> {
        let mut command = vec![COM_STMT_CLOSE];
        command.extend_from_slice(&statement.id.to_le_bytes());
        self.command(&command)
    }

    /// As [`Client::query`], with the names of the columns in lower case.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn query_named(&mut self, sql: &str) -> Result<(Vec<String>, TextRows), QueryError> {
        let mut command = Vec::with_capacity(sql.len() + 1);
        command.push(COM_QUERY);
        self.asked.add_one();
        command.extend_from_slice(sql.as_bytes());
        self.command(&command)?;
        let first = self.read_packet()?;
        match first.first() {
            Some(0x00) | None => return Ok((Vec::new(), Vec::new())),
            Some(0xff) => return Err(QueryError::Server(server_error(&first))),
            _ => {}
        }
        let columns = Cursor::new(&first).lenenc().ok_or_else(|| self.garbled())?;
        let mut names = Vec::new();
        for _ in 0..columns {
            let packet = self.read_packet()?;
            names.push(definition(&packet).ok_or_else(|| self.garbled())?.0);
        }
        self.read_packet()?;
        Ok((names, self.text_rows(columns)?))
    }

    /// What was received ahead of the packet in hand; the caller reads on from there, and from the socket.
    pub(crate) fn take_ahead(&mut self) -> &[u8] {
        let from = std::mem::replace(&mut self.read_to, self.received.len());
        &self.received[from..]
    }

    /// Descriptions and the packet that ends them, where there are any.
    fn passes(&mut self, count: u64) -> Result<(), QueryError> {
        if count > 0 {
            for _ in 0..=count {
                self.read_packet()?;
            }
        }
        Ok(())
    }
}

/// Name in lower case and type number of a column's description.
fn definition(packet: &[u8]) -> Option<(String, u8)> {
    let mut cur = Cursor::new(packet);
    // Catalogue, schema, table and its own name.
    for _ in 0..4 {
        cur.lenenc_bytes()?;
    }
    let name = String::from_utf8_lossy(cur.lenenc_bytes()?).to_lowercase();
    cur.lenenc_bytes()?;
    cur.lenenc()?;
    // Character set and length.
    cur.take(2 + 4)?;
    Some((name, cur.u8()?))
}

//! A checksum over each row that a restart relies on.
//!
//! Owns: how it is computed. Does not own: which columns it covers (the modules with the statements).
//!
//! Invariant: a row whose bytes changed behind SQLite's back is found when it is read. SQLite's own check looks at
//! the structure only: one flipped bit in a stored position would be a valid position that skips rows.

use std::path::Path;

use limpid_model::Fault;
use xxhash_rust::xxh3::Xxh3Default;

use crate::faults;

/// Takes a row's columns in order. Lengths go in too, so that no two rows give the same run of bytes.
pub(crate) struct Seal(Xxh3Default);

impl Seal {
    /// `table` keeps a row from passing for one of another table.
    pub(crate) fn of(table: &str) -> Self {
        Self(Xxh3Default::new()).text(table)
    }

    pub(crate) fn number(mut self, value: u64) -> Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn texts(self, values: &[String]) -> Self {
        values.iter().fold(self.number(values.len() as u64), |seal, value| seal.text(value))
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    /// As it is stored.
    pub(crate) fn stored(self) -> i64 {
        self.0.digest().cast_signed()
    }

    /// Compares with what was stored.
    pub(crate) fn check(self, stored: i64, what: &str, path: &Path) -> Result<(), Fault> {
        if self.stored() == stored {
            return Ok(());
        }
        Err(faults::corrupt(format!("the stored {what} is damaged: its checksum does not fit"), path))
    }
}

//! The stored form of a history, so that a restart at an older position decodes rows as they were written.
//!
//! Owns: the bytes. Does not own: where they are kept (`limpid-state`), which position they belong to.
//!
//! Invariant: whatever bytes come in, the answer is a history or `Damaged`, and no more memory is taken than the
//! bytes themselves hold.
//!
//! Form: magic, version, payload, FNV-1a of all before it. Numbers are LEB128; strings and lists have their length
//! before them. JSON was rejected: a server with 10,000 tables has some 20 MB of it, and this a tenth.

mod read;
mod write;

use super::{History, TableDefinition};

/// The bytes are not a stored history: truncated, altered, or of a version this build does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    pub what: &'static str,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stored table history is damaged: {}", self.what)
    }
}

impl std::error::Error for Damaged {}

const MAGIC: &[u8; 4] = b"LMSH";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

impl History {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        write::history(&mut bytes, self);
        let checksum = fnv1a(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let damaged = |what| Damaged { what };
        let length = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(damaged("it is too short"))?;
        let (body, checksum) = bytes.split_at(length);
        let [magic @ .., version] = body.get(..=MAGIC.len()).ok_or(damaged("it is too short"))? else {
            return Err(damaged("it is too short"));
        };
        if magic != MAGIC {
            return Err(damaged("it is something else"));
        }
        if *version != VERSION {
            return Err(damaged("its version is not known"));
        }
        if fnv1a(body).to_le_bytes() != checksum {
            return Err(damaged("its checksum does not fit"));
        }
        read::history(body.get(MAGIC.len() + 1..).unwrap_or_default()).ok_or(damaged("its content does not fit"))
    }
}

impl TableDefinition {
    /// Equal for definitions that read and identify rows alike; never 0 or 1. A release that writes definitions otherwise
    /// gives other numbers.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::new();
        write::shape(&mut bytes, self);
        fnv1a(&bytes).max(2)
    }
}

/// FNV-1a, 64 bits. <http://www.isthe.com/chongo/tech/comp/fnv/>
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

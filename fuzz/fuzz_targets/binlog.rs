//! Logs: events out of a file, tables, rows, values.
//!
//! Owns: making sizes and checksums good, so that what is inside the events is reached. Does not own: the corpus, which
//! begins with the recorded logs (`cargo fuzz run binlog tests/oracle/fixtures/mysql tests/oracle/fixtures/mariadb`).
//!
//! Invariant: any bytes end in rows or a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limpid_mysql::{Flavor, fuzzing};

fuzz_target!(|bytes: &[u8]| {
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        fuzzing::log(bytes, flavor);
    }
    if let Some(mended) = mended(bytes) {
        for flavor in [Flavor::MySql, Flavor::MariaDb] {
            fuzzing::log(&mended, flavor);
        }
    }
});

/// The same events with checksums that fit; each begins where the one before ends by its size.
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(b"\xfebin")?;
    let mut out = b"\xfebin".to_vec();
    while let Some(size) = rest.get(9..13) {
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        let size = size.clamp(23, rest.len().max(23));
        let (event, after) = rest.split_at_checked(size)?;
        let mut event = event.get(..size - 4)?.to_vec();
        event.get_mut(9..13)?.copy_from_slice(&(size as u32).to_le_bytes());
        out.extend_from_slice(&event);
        out.extend_from_slice(&crc32fast::hash(&event).to_le_bytes());
        rest = after;
    }
    Some(out)
}

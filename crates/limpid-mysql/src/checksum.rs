//! The CRC32 at the end of each event.
//!
//! Owns: verifying it. Does not own: whether a log has checksums (its FORMAT_DESCRIPTION event says so).
//!
//! Invariant: a body whose checksum does not fit reaches nobody.

use limpid_model::{Component, Fault, FaultCode};

/// How many bytes it takes.
pub const SIZE: usize = 4;

/// The event without its checksum.
///
/// # Errors
/// `LOG_CHECKSUM` when it does not fit; the log is broken, which is never a row's fault.
#[inline]
pub fn verified(event: &[u8], at: u64) -> Result<&[u8], Fault> {
    let Some((covered, stored)) = event.split_last_chunk::<4>() else { return Err(mismatch(at)) };
    if crc32fast::hash(covered) == u32::from_le_bytes(*stored) { Ok(covered) } else { Err(mismatch(at)) }
}

#[cold]
fn mismatch(at: u64) -> Fault {
    let text = format!("the event at log position {at} does not have the checksum it was written with");
    Fault::new(FaultCode::LogChecksum, Component::Input, text)
}

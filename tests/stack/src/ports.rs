//! Leases TCP ports on 127.0.0.1 so that test processes running side by side never collide.
//!
//! Owns: one lock file per port in a folder of this user; a port belongs to whoever holds its `flock`.
//! Does not own: ports outside [`FIRST`]..[`END`], which lie below Linux' ephemeral range (32768), so that no
//! outgoing connection can take one meanwhile.
//!
//! Invariant: the kernel drops the lock with its process, so a crash leaks nothing; lock files are never deleted,
//! since deleting one would let two processes lock two files of the same name.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, bail};

use crate::files;

/// The lowest port ever leased.
pub const FIRST: u16 = 21_000;
/// One above the highest port ever leased: 8000 ports are some 2000 servers at once.
pub const END: u16 = 29_000;

/// A port nobody else gets while this value lives.
#[derive(Debug)]
pub struct Lease {
    port: u16,
    /// Held for its lock only.
    _lock: File,
}

impl Lease {
    /// The leased port; free at the moment of the lease.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Leases any free port. Every test that listens on something (Limpid's HTTP port as well) takes it from here.
pub fn lease() -> anyhow::Result<Lease> {
    // Processes begin their search far apart and each goes on where it stopped, so that a port just given back is
    // the last to be reused: connections in TIME_WAIT and late packets of a dead server find nobody there.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = END - FIRST;
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (start + u32::from(step)) % u32::from(span);
        let port = FIRST + u16::try_from(offset).context("fit a port offset into 16 bits")?;
        if let Some(lease) = try_lease(port)? {
            return Ok(lease);
        }
    }
    bail!("every port from {FIRST} to {END} is taken")
}

/// Leases one given port, or `None` where someone else holds it or listens on it.
pub fn try_lease(port: u16) -> anyhow::Result<Option<Lease>> {
    let folder = files::user_folder("ports")?;
    let path = folder.join(port.to_string());
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    // The lock covers our own tests; binding covers everybody else.
    let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    Ok(free.then_some(Lease { port, _lock: lock }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_port_is_refused_to_the_next_until_it_is_given_back() {
        let lease = lease().unwrap();
        assert!(try_lease(lease.port()).unwrap().is_none());
        let port = lease.port();
        drop(lease);
        assert_eq!(try_lease(port).unwrap().unwrap().port(), port);
    }

    #[test]
    fn a_port_with_a_foreign_listener_is_not_leased() {
        let first = lease().unwrap();
        let port = first.port();
        drop(first);
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(try_lease(port).unwrap().is_none());
    }
}

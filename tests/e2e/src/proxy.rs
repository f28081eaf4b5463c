//! A TCP proxy that cuts connections.
//!
//! Owns: forwarding, and when to cut. Does not own: what goes through.
//!
//! Invariant: a cut closes both sides at once, in the middle of whatever goes through; later connections are let pass
//! until another cut is asked for.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;

use anyhow::Result;

/// Forwards one port to another.
pub struct Proxy {
    address: String,
    /// Bytes from the server that may still pass before the cut; below zero there is none.
    left: Arc<AtomicI64>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on `host` (any address of this machine) for connections to `target`. With `port` on that one.
    pub fn start(host: &str, port: u16, target: String) -> Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        let address = listener.local_addr()?.to_string();
        let (left, cuts) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicU64::new(0)));
        let (shared_left, shared_cuts) = (Arc::clone(&left), Arc::clone(&cuts));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (left, cuts) = (Arc::clone(&shared_left), Arc::clone(&shared_cuts));
                forward(client, server, left, cuts);
            }
        });
        Ok(Self { address, left, cuts })
    }

    /// `host:port` of the listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }

    /// Cuts the connection over which byte number `bytes` from now comes from the server.
    pub fn cut_after(&self, bytes: u32) {
        self.left.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// How often a connection was cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn forward(client: TcpStream, server: TcpStream, left: Arc<AtomicI64>, cuts: Arc<AtomicU64>) {
    let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || copy(client_in, server, |len| len));
    thread::spawn(move || {
        copy(server_in, client, |len| {
            let before = left.load(Ordering::SeqCst);
            if before < 0 {
                return len;
            }
            if before >= len as i64 {
                left.fetch_sub(len as i64, Ordering::SeqCst);
                return len;
            }
            // One cut for each that was asked for, whichever connection comes first.
            if left.compare_exchange(before, -1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return len;
            }
            cuts.fetch_add(1, Ordering::SeqCst);
            before as usize
        });
    });
}

/// Copies until either side ends, or `pass` lets less through than came.
fn copy(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(usize) -> usize) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let passed = pass(len);
        if to.write_all(&buffer[..passed]).is_err() || passed < len {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Numbers that look random and come again with the same seed.
pub struct Seeded(u64);

impl Seeded {
    /// The seed is `LIMPID_SEED`, or the time; it is printed, so that a failed run can be repeated.
    pub fn new() -> Self {
        let given = std::env::var("LIMPID_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
        let seed = given.unwrap_or_else(now);
        println!("LIMPID_SEED={seed}");
        Self(seed | 1)
    }

    /// So many of the items, in their order; all of them where `LIMPID_SOAK` is set (`make soak`).
    pub fn part<'a>(&mut self, items: &[&'a str], count: usize) -> Vec<&'a str> {
        let mut part = items.to_vec();
        while part.len() > count && std::env::var_os("LIMPID_SOAK").is_none() {
            part.remove(self.below(part.len() as u32) as usize);
        }
        println!("of this run: {part:?}");
        part
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        // Xorshift: https://www.jstatsoft.org/article/view/v008i14
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % end.max(1)
    }
}

impl Default for Seeded {
    fn default() -> Self {
        Self::new()
    }
}

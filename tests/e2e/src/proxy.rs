//! A TCP proxy that makes trouble.
//!
//! Owns: forwarding, and the trouble that was asked for. Does not own: what goes through, when trouble is due (the
//! tests, by a seed).
//!
//! Invariant: trouble strikes once for each time it was asked for, on the connection that carries the byte it was asked
//! for at; later connections are let pass.
#![expect(clippy::disallowed_methods, reason = "what a network does takes real time; nothing is awaited by it")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// What a network does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Both sides are closed, in the middle of whatever goes through.
    Cut,
    /// The same, with RST instead of FIN.
    Reset,
    /// Nothing goes through any more, either way, and nobody is told; in the end it is closed.
    HalfOpen,
    /// Some bytes arrive as others.
    Garbage,
    /// Everything comes, each piece late.
    Delay,
    /// Everything comes, a few bytes at a time.
    Throttle,
}

impl Trouble {
    pub const ALL: [(&'static str, Trouble); 6] = [
        ("cut", Trouble::Cut),
        ("reset", Trouble::Reset),
        ("half-open", Trouble::HalfOpen),
        ("garbage", Trouble::Garbage),
        ("delay", Trouble::Delay),
        ("throttle", Trouble::Throttle),
    ];
}

/// Longer than a source may be silent before its connection counts as dead.
const HALF_OPEN: Duration = Duration::from_secs(12);
const LATE: Duration = Duration::from_millis(200);
/// Pieces that come late, or in small parts.
const PIECES: u32 = 10;
const SMALL: usize = 512;

/// Forwards one port to another.
pub struct Proxy {
    address: String,
    asked: Arc<Asked>,
}

/// The trouble that is due, and how often some struck.
#[derive(Default)]
struct Asked {
    /// Bytes from the server that may still pass before it.
    due: Mutex<Option<(u64, Trouble)>>,
    struck: AtomicU64,
    /// Nothing goes through on any connection.
    is_silent: AtomicBool,
}

impl Asked {
    fn wait_while_silent(&self) {
        while self.is_silent.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What becomes of `len` bytes: how many of them pass as they are, and what happens then.
    fn pass(&self, len: usize) -> (usize, Option<Trouble>) {
        let mut due = self.due.lock().expect("never held across a panic");
        match *due {
            Some((left, trouble)) if left < len as u64 => {
                *due = None;
                self.struck.fetch_add(1, Ordering::SeqCst);
                (left as usize, Some(trouble))
            }
            Some((left, trouble)) => {
                *due = Some((left - len as u64, trouble));
                (len, None)
            }
            None => (len, None),
        }
    }
}

impl Proxy {
    /// Listens on `host` (any address of this machine) for connections to `target`. With `port` on that one.
    pub fn start(host: &str, port: u16, target: String) -> Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        let address = listener.local_addr()?.to_string();
        let asked = Arc::new(Asked::default());
        let shared = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                forward(client, server, &shared);
            }
        });
        Ok(Self { address, asked })
    }

    /// `host:port` of the listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }

    /// Trouble on the connection over which byte number `bytes` from now comes from the server.
    pub fn trouble(&self, bytes: u32, trouble: Trouble) {
        *self.asked.due.lock().expect("never held across a panic") = Some((u64::from(bytes), trouble));
    }

    /// Until told otherwise nothing goes through any more, on any connection, and nobody is told.
    pub fn silence(&self, on: bool) {
        self.asked.is_silent.store(on, Ordering::SeqCst);
    }

    /// How often some struck.
    pub fn struck(&self) -> u64 {
        self.asked.struck.load(Ordering::SeqCst)
    }
}

fn forward(client: TcpStream, server: TcpStream, asked: &Arc<Asked>) {
    let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else { return };
    let silent = Arc::new(AtomicBool::new(false));
    let (asked, is_silent) = (Arc::clone(asked), Arc::clone(&silent));
    let for_all = Arc::clone(&asked);
    thread::spawn(move || to_server(client_in, server, &for_all, &is_silent));
    thread::spawn(move || to_client(server_in, client, &asked, &silent));
}

/// What the client sends goes through, unless nothing does.
fn to_server(mut from: TcpStream, mut to: TcpStream, asked: &Asked, silent: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        asked.wait_while_silent();
        if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    close(&from, &to);
}

fn to_client(mut from: TcpStream, mut to: TcpStream, asked: &Asked, silent: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    let (mut late, mut small) = (0, 0);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        asked.wait_while_silent();
        let (passed, trouble) = asked.pass(len);
        match trouble {
            None => {}
            Some(Trouble::Garbage) => buffer[passed..len].iter_mut().take(16).for_each(|byte| *byte ^= 0x5a),
            Some(Trouble::Delay) => late = PIECES,
            Some(Trouble::Throttle) => small = PIECES * 10,
            Some(Trouble::Cut | Trouble::Reset | Trouble::HalfOpen) => {
                let _ = to.write_all(&buffer[..passed]);
                if trouble == Some(Trouble::HalfOpen) {
                    silent.store(true, Ordering::SeqCst);
                    thread::sleep(HALF_OPEN);
                }
                if trouble == Some(Trouble::Reset) {
                    [&from, &to].into_iter().for_each(close_with_reset);
                    return;
                }
                break;
            }
        }
        if late > 0 {
            late -= 1;
            thread::sleep(LATE);
        }
        let piece = if small > 0 { SMALL } else { len };
        for part in buffer[..len].chunks(piece) {
            if small > 0 {
                small -= 1;
                thread::sleep(LATE / 10);
            }
            if to.write_all(part).is_err() {
                return close(&from, &to);
            }
        }
    }
    close(&from, &to);
}

fn close(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// The peer gets RST: a socket that lingers for no time and is shut by `connect` to nowhere.
fn close_with_reset(socket: &TcpStream) {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: the address lives over the call, and the descriptor is open. Linux resets a connected socket that is
    // connected to AF_UNSPEC: connect(2), tcp_disconnect.
    unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t) };
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

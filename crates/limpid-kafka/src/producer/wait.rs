//! How librdkafka's threads wait for their sockets.
//!
//! Owns: `poll` as the linker gives it to librdkafka, for its broker threads alone. Does not own: what they wait for.
//!
//! Invariant: a call that would wait anyway is passed on as it is, and one that would not waits ten milliseconds at the most,
//! or until there is something to do.
//!
//! A broker's thread of an idempotent producer that has records to send, but may not before those under way to the same
//! partition are acknowledged, asks its socket again and again without waiting, some 650,000 times a second: it takes the
//! time at which the oldest record should have left for the time to wake up at
//! (`rd_kafka_msgq_allow_wakeup_at`, called before the bound on what is in flight is looked at, librdkafka 2.12.1). That is
//! a third of the CPU of a backlog on its way, and a whole core while a broker does not answer. Nothing that can be set
//! keeps it from that, so `limpid`'s build has the linker take this `poll` for the C library's (`--wrap=poll`). What is
//! linked without that option works as ever, and spins.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

/// Calls in a row without an event after which a thread waits for a millisecond: short naps that librdkafka takes on another
/// way come in handfuls of them.
const EMPTY_MAX: u32 = 64;

/// Calls in a row without an event, most of them a millisecond, after which it waits for ten.
const LONG_EMPTY_MAX: u32 = 128;

/// How librdkafka names the thread of a broker.
const BROKER_THREAD: &[u8] = b"rdk:broker";

/// What is known of the calling thread.
#[derive(Clone, Copy, Debug)]
enum Caller {
    Unknown,
    Other,
    /// A broker's, and its calls in a row that found nothing.
    Broker {
        empty: u32,
    },
}

thread_local! {
    static CALLER: Cell<Caller> = const { Cell::new(Caller::Unknown) };
}

impl Caller {
    /// By its name. librdkafka gives it before the first call.
    fn of_name(name: &[u8]) -> Self {
        if name.starts_with(BROKER_THREAD) { Caller::Broker { empty: 0 } } else { Caller::Other }
    }

    /// For how many milliseconds to wait where `asked` are asked for.
    fn timeout(self, asked: c_int) -> c_int {
        match self {
            Caller::Broker { empty: LONG_EMPTY_MAX.. } if asked == 0 => 10,
            Caller::Broker { empty: EMPTY_MAX.. } if asked == 0 => 1,
            _ => asked,
        }
    }

    /// After a call for which `asked` milliseconds were asked, and which found so many events.
    fn after(self, asked: c_int, found: c_int) -> Self {
        match self {
            Caller::Broker { empty } if asked == 0 && found == 0 => {
                Caller::Broker { empty: (empty + 1).min(LONG_EMPTY_MAX) }
            }
            Caller::Broker { .. } => Caller::Broker { empty: 0 },
            _ => self,
        }
    }
}

/// poll(2), but for what this module is there for.
///
/// # Safety
/// As for poll(2): `fds` has `count` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_poll(fds: *mut libc::pollfd, count: libc::nfds_t, asked: c_int) -> c_int {
    let caller = match CALLER.get() {
        Caller::Unknown => Caller::of_name(&name()),
        known => known,
    };
    let timeout = caller.timeout(asked);
    let wait = libc::timespec { tv_sec: (timeout / 1000).into(), tv_nsec: (timeout % 1000 * 1_000_000).into() };
    let wait = if timeout < 0 { ptr::null() } else { &raw const wait };
    // SAFETY: the caller's promise; the time lives over the call, and no signal mask is given.
    let found = unsafe { libc::ppoll(fds, count, wait, ptr::null()) };
    CALLER.set(caller.after(asked, found));
    found
}

/// The calling thread's, of at most 15 bytes and a zero.
fn name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: the call writes 16 bytes at the most.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

#[cfg(test)]
mod tests;

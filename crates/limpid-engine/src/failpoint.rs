//! Places at which a test kills the process.
//!
//! Owns: the list of places and the one armed place. Does not own: what is proved by it (the end-to-end tests).
//!
//! Invariant: always compiled; unarmed, a place costs one relaxed load per batch. A kill is `SIGKILL` to ourselves:
//! nothing is flushed, nothing unwinds.

use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! points {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A place of a start, or between reading a row and saving its position.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Point { $($variant),+ }

        /// Every place, by name.
        pub const POINTS: &[(&str, Point)] = &[$(($name, Point::$variant)),+];
    };
}

points! {
    AfterFence = "after-fence",
    AfterEpoch = "after-epoch",
    AfterFirstRecord = "after-first-record",
    AfterFirstPosition = "after-first-position",
    AfterRead = "after-read",
    AfterQueue = "after-queue",
    AfterDecode = "after-decode",
    AfterEncode = "after-encode",
    BeforeWrite = "before-write",
    AfterWrite = "after-write",
    AfterAck = "after-ack",
    AfterWindow = "after-window",
    BeforeHistory = "before-history",
    AfterHistory = "after-history",
    BeforeRecord = "before-record",
    RecordUnderWay = "record-under-way",
    AfterRecord = "after-record",
    BeforeState = "before-state",
    AfterState = "after-state",
    BeforeDrain = "before-drain",
    AfterChunk = "after-chunk",
    AfterAdmission = "after-admission",
    AfterCopied = "after-copied",
    AfterParked = "after-parked",
    AfterReplayMarked = "after-replay-marked",
    AfterReplayDurable = "after-replay-durable",
}

const UNARMED: u32 = u32::MAX;
static ARMED: AtomicU32 = AtomicU32::new(UNARMED);
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Arms the place called `name`: the process dies when it is passed for the `count`th time. False for an unknown name.
pub fn arm(name: &str, count: u32) -> bool {
    let Some((_, point)) = POINTS.iter().find(|(known, _)| *known == name) else { return false };
    LEFT.store(count.max(1), Ordering::Relaxed);
    ARMED.store(*point as u32, Ordering::Relaxed);
    true
}

/// Passes a place.
#[inline]
pub fn pass(point: Point) {
    if ARMED.load(Ordering::Relaxed) == point as u32 {
        strike();
    }
}

#[cold]
fn strike() {
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing more may happen meanwhile.
        loop {
            std::hint::spin_loop();
        }
    }
}

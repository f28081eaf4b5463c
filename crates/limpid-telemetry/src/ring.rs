//! A memory of recent rows: which passed, when, in which batch and transaction, and what became of them.
//!
//! Owns: the frames and their bytes, one writer, any number of readers. Does not own: keys (a hash is kept, never a
//! value), what is answered to whom (`trace`, the server).
//!
//! Invariant: a batch is remembered whole or not at all; the oldest batches go first, whole. The writer never waits;
//! a reader that is overtaken drops what it read of that batch and goes on with the oldest that is left.
//!
//! A frame is a batch: 16 words of header, 4 a transaction, 1 a row that was not delivered with it, 4 a place that
//! records went to, 1 a row, one after the other in a circle of words. It is written when the batch is handed to the
//! sink, and completed when it is acknowledged. Frames are found by walking from the oldest: a lookup reads all of the
//! 16 MiB in about 4 ms, which people do now and then; an index would cost the row's path each time.
//!
//! The writer moves `tail` past the frames it is about to overwrite, writes, then moves `head`. A reader takes both,
//! reads, and looks at `tail` again: what lies before it now may have been overwritten while it was read.
//!
//! Measured (`examples/telemetry_cost.rs`, release, two shared cores): see there; 1.1 ns a row in batches of 1,000.

mod frame;
mod look;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock};

use crate::instruments::Counter;
use crate::moment::Moment;
use crate::registry::Sampled;
pub use frame::Fate;
use frame::{COMPLETING, HEADER_WORDS, Header, STATE_WORD};
pub use look::{Found, Offset};
pub use writer::RingWriter;
pub(crate) use writer::{Delivery, PlaceOf, Remember};

/// What the decision record settled: about 1.9 million rows in bulk, 0.4 million single-row transactions.
pub(crate) const RING_BYTES: usize = 16 * 1024 * 1024;

/// Made when first reached, so that an idle pipeline holds none of it.
const SEGMENT_WORDS: usize = 128 * 1024;

/// A frame is completed within some hundred nanoseconds, unless its writer loses the processor.
const HEADER_READS_MAX: usize = 1000;

/// Distinct servers (with tags) that transactions come from; beyond that they are remembered as anonymous.
const ORIGINS_MAX: usize = 4096;

/// Where a transaction came from, as far as many share it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Uuid([u8; 16], Option<Arc<str>>),
    Domain(u32, u32),
}

/// What readers see.
#[derive(Debug)]
pub struct Ring {
    segments: Box<[OnceLock<Box<[AtomicU64]>>]>,
    segment_words: usize,
    words: u64,
    /// Words ever written; the end of the newest frame.
    head: AtomicU64,
    /// Where the oldest frame begins.
    tail: AtomicU64,
    /// Locked by the writer when a new server turns up, by a reader once a lookup.
    origins: Mutex<Vec<Origin>>,
    /// Batches too large to be remembered.
    skipped: Counter,
    /// A deletion has two records.
    tombstones: bool,
}

impl Ring {
    /// A ring of so many bytes, and the one who may write to it.
    pub fn new(bytes: usize, tombstones: bool) -> (Arc<Ring>, RingWriter) {
        let segment_words = SEGMENT_WORDS.min((bytes / 8).max(HEADER_WORDS));
        let segments = (bytes / 8 / segment_words).max(1);
        let ring = Arc::new(Ring {
            segments: (0..segments).map(|_| OnceLock::new()).collect(),
            segment_words,
            words: (segments * segment_words) as u64,
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            origins: Mutex::default(),
            skipped: Counter::default(),
            tombstones,
        });
        let writer = RingWriter::new(Arc::clone(&ring));
        (ring, writer)
    }

    /// How far back it reaches, in seconds; `None` while it is empty.
    pub fn reach_seconds(&self, nanos: u64) -> Option<f64> {
        let end = self.head.load(Ordering::Acquire);
        let mut at = self.tail.load(Ordering::Acquire);
        while at < end {
            let header = self.header(at);
            match self.overtaken(at) {
                Some(tail) => at = tail,
                None => return Some(nanos.saturating_sub(header.times[0]) as f64 * 1e-9),
            }
        }
        None
    }

    /// Batches that were too large to be remembered.
    pub fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    /// Where the oldest frame begins now, if that is past `at`: what was read there may be of any time.
    fn overtaken(&self, at: u64) -> Option<u64> {
        // After the reads, before the load: pairs with the writer's fence between moving the tail and overwriting.
        fence(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        (tail > at).then_some(tail)
    }

    /// The state is read first: of a frame that is done, everything else is as it stays. One that was completed while it
    /// was read is read again; a writer that is held up in between is not waited for for ever, and what it may have written
    /// is left out.
    fn header(&self, at: u64) -> Header {
        let state_at = |order| self.run(at + STATE_WORD as u64, 1)[0].load(order);
        let (mut words, mut is_whole) = ([0; HEADER_WORDS], false);
        for _ in 0..HEADER_READS_MAX {
            let state = state_at(Ordering::Acquire);
            words = self.words_at(at);
            words[STATE_WORD] = state;
            // Pairs with the writer's fence between marking the frame and completing it.
            fence(Ordering::Acquire);
            is_whole = state & COMPLETING == 0 && state_at(Ordering::Relaxed) == state;
            if is_whole {
                break;
            }
            std::thread::yield_now();
        }
        let mut header = Header::read(&words);
        if !is_whole {
            header.take_back();
        }
        header
    }

    fn words_at<const N: usize>(&self, at: u64) -> [u64; N] {
        let run = self.run(at, N);
        // Behind the end of the run the rest lies at the begin of another.
        let word = |index: usize| match run.get(index) {
            Some(word) => word.load(Ordering::Relaxed),
            None => self.run(at + index as u64, 1)[0].load(Ordering::Relaxed),
        };
        std::array::from_fn(word)
    }

    fn store(&self, at: u64, words: &[u64]) {
        self.store_each(at, words, |word| *word);
    }

    /// Stores what `word` makes of each.
    #[inline]
    fn store_each<T>(&self, at: u64, of: &[T], word: impl Fn(&T) -> u64) {
        let (mut at, mut left) = (at, of);
        while !left.is_empty() {
            let run = self.run(at, left.len());
            let (now, later) = left.split_at(run.len());
            run.iter().zip(now).for_each(|(to, one)| to.store(word(one), Ordering::Relaxed));
            (at, left) = (at + now.len() as u64, later);
        }
    }

    /// The words from `at` on that lie side by side: at least one, at most `words`.
    #[inline]
    fn run(&self, at: u64, words: usize) -> &[AtomicU64] {
        let index = (at % self.words) as usize;
        let (segment, from) = (index / self.segment_words, index % self.segment_words);
        let segment = self.segments[segment].get_or_init(|| empty(self.segment_words));
        &segment[from..self.segment_words.min(from + words)]
    }
}

/// As the system gives memory: its pages are made, and cleared, when they are first written to.
fn empty(words: usize) -> Box<[AtomicU64]> {
    let zeros = Box::<[AtomicU64]>::new_zeroed_slice(words);
    // SAFETY: a number of all zeros is one.
    unsafe { zeros.assume_init() }
}

impl Sampled for Ring {
    fn sample(&self, now: Moment) -> Option<f64> {
        self.reach_seconds(now.nanos)
    }
}

#[cfg(test)]
mod tests;

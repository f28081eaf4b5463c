//! Counters, gauges and histograms: what the hot path adds to.
//!
//! Owns: the atomics, and the tally that gathers observations of one batch. Does not own: names and labels
//! (`catalogue`, `registry`).
//!
//! Invariant: nothing here waits; every number is exact once its writers are done, and a histogram's count is the sum
//! of its buckets by construction.
//!
//! All orderings are relaxed: a number is complete in itself, and a scrape needs no order between two numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use crate::catalogue::{Kind, Metric};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down; absent until it is first set.
#[derive(Debug)]
pub struct Gauge(AtomicU64);

/// A NaN that no measurement gives.
const UNSET: u64 = u64::MAX;

impl Default for Gauge {
    fn default() -> Self {
        Self(AtomicU64::new(UNSET))
    }
}

impl Gauge {
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// What was measured is not so any more, and nothing else is known.
    pub fn withdraw(&self) {
        self.0.store(UNSET, Relaxed);
    }

    /// `None` before the first measurement, and once it was withdrawn.
    pub fn get(&self) -> Option<f64> {
        let bits = self.0.load(Relaxed);
        (bits != UNSET).then(|| f64::from_bits(bits))
    }
}

/// A value that stands for its bucket, with the trace that explains it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub trace_id: u128,
    pub value: f64,
    /// When it was seen, microseconds since 1970.
    pub wall_micros: i64,
}

/// The most bounds a histogram may have; the catalogue's test holds it.
pub(crate) const BOUNDS_MAX: usize = 23;

/// Values counted by upper bound.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One a bound, and one for what is above the last.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
    /// Made at the first exemplar, which most histograms never see. Short critical section: a copy.
    exemplars: OnceLock<Box<[Mutex<Option<Exemplar>>]>>,
}

impl Histogram {
    /// Empty.
    ///
    /// # Panics
    /// When the metric is no histogram: the catalogue says which are.
    pub(crate) fn of(metric: &Metric) -> Self {
        let Kind::Histogram(bounds) = metric.kind else { panic!("{} is no histogram", metric.name) };
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0), exemplars: OnceLock::new() }
    }

    /// Counts `value` once for each of `count` changes.
    #[inline]
    pub fn observe(&self, value: f64, count: u64) {
        if count > 0 {
            self.counts[bucket(self.bounds, value)].fetch_add(count, Relaxed);
            self.add_sum(value * count as f64);
        }
    }

    /// Takes over what a tally gathered, and empties it.
    pub fn absorb(&self, tally: &mut Tally) {
        if std::mem::take(&mut tally.count) == 0 {
            return;
        }
        for (total, count) in self.counts.iter().zip(&mut tally.counts) {
            if *count > 0 {
                total.fetch_add(std::mem::take(count), Relaxed);
            }
        }
        self.add_sum(std::mem::take(&mut tally.sum));
    }

    /// Keeps the exemplar for its bucket, in the place of an older one.
    pub fn exemplify(&self, exemplar: Exemplar) {
        let made = || (0..self.counts.len()).map(|_| Mutex::new(None)).collect();
        let slot = &self.exemplars.get_or_init(made)[bucket(self.bounds, exemplar.value)];
        *slot.lock().expect("never held across a panic") = Some(exemplar);
    }

    pub(crate) fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Counts by bucket (not cumulated) and the sum.
    pub(crate) fn read(&self) -> (Vec<u64>, f64) {
        let counts = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        (counts, f64::from_bits(self.sum.load(Relaxed)))
    }

    pub(crate) fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        *self.exemplars.get()?[bucket].lock().expect("never held across a panic")
    }

    fn add_sum(&self, more: f64) {
        // Rarely contended: most histograms have one writing thread.
        let _ = self.sum.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + more).to_bits()));
    }
}

/// The bucket of a value: the first whose bound is not below it. Whatever is no number counts as beyond all.
#[inline]
fn bucket(bounds: &[f64], value: f64) -> usize {
    bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len())
}

/// Observations of one batch, gathered without atomics and handed to a histogram at once.
#[derive(Clone, Debug)]
pub struct Tally {
    bounds: &'static [f64],
    counts: [u64; BOUNDS_MAX + 1],
    count: u64,
    sum: f64,
    /// The bucket of the last value: the next transaction is mostly as late as the one before.
    last: usize,
}

impl Tally {
    /// Empty, with a histogram's bounds.
    pub fn of(metric: &Metric) -> Self {
        let Kind::Histogram(bounds) = metric.kind else { panic!("{} is no histogram", metric.name) };
        Self { bounds, counts: [0; BOUNDS_MAX + 1], count: 0, sum: 0.0, last: 0 }
    }

    /// True while nothing is to be absorbed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts `value` once for each of `count` changes.
    #[inline]
    pub fn observe(&mut self, value: f64, count: u64) {
        let above = self.last == 0 || value > self.bounds[self.last - 1];
        let within = self.last == self.bounds.len() || value <= self.bounds[self.last];
        if !(above && within) {
            self.last = bucket(self.bounds, value);
        }
        self.counts[self.last] += count;
        self.count += count;
        self.sum += value * count as f64;
    }
}

/// Seconds over which a rate is taken.
const RATE_SECONDS: u64 = 10;

/// One slot a second; the rate's seconds, the second under way, and room for a scrape that comes late.
const RATE_SLOTS: usize = 16;

/// How many a second, over the last 10 whole seconds. One writing thread.
#[derive(Debug, Default)]
pub struct Rate([Slot; RATE_SLOTS]);

#[derive(Debug, Default)]
struct Slot {
    /// The second that `count` belongs to.
    second: AtomicU64,
    count: AtomicU64,
}

impl Rate {
    /// Counts at a monotonic time. A reader in the midst of a slot's turn to a new second sees that second as empty or
    /// begun: it is not yet part of any rate.
    #[inline]
    pub fn add(&self, nanos: u64, count: u64) {
        let second = nanos / 1_000_000_000;
        let slot = &self.0[second as usize % RATE_SLOTS];
        if slot.second.load(Relaxed) == second {
            slot.count.fetch_add(count, Relaxed);
        } else {
            slot.second.store(second, Relaxed);
            slot.count.store(count, Relaxed);
        }
    }

    /// The rate as of a monotonic time.
    pub fn per_second(&self, nanos: u64) -> f64 {
        let now = nanos / 1_000_000_000;
        let recent = |slot: &&Slot| {
            let second = slot.second.load(Relaxed);
            second < now && second + RATE_SECONDS >= now
        };
        let count: u64 = self.0.iter().filter(recent).map(|slot| slot.count.load(Relaxed)).sum();
        count as f64 / RATE_SECONDS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{DATA_LAG_SECONDS, INPUT_LATENCY};

    #[test]
    fn a_value_on_a_bound_belongs_below_it_and_no_number_is_lost() {
        let histogram = Histogram::of(&INPUT_LATENCY);
        for value in [0.0005, 0.00051, 8.192, 9.0, f64::NAN, -1.0] {
            histogram.observe(value, 2);
        }
        let (counts, _) = histogram.read();
        assert_eq!((counts[0], counts[1], counts[14], counts[15]), (4, 2, 2, 4));
    }

    #[test]
    fn a_tally_counts_as_the_histogram_itself_would() {
        let (direct, gathered) = (Histogram::of(&DATA_LAG_SECONDS), Histogram::of(&DATA_LAG_SECONDS));
        let mut tally = Tally::of(&DATA_LAG_SECONDS);
        for (step, value) in [0.05, 0.1, 0.1001, 3.0, 2.9, 5000.0, 0.0, 6000.0, 0.15].into_iter().enumerate() {
            direct.observe(value, step as u64);
            tally.observe(value, step as u64);
        }
        gathered.absorb(&mut tally);
        assert_eq!(direct.read(), gathered.read());
        gathered.absorb(&mut tally);
        assert_eq!(direct.read(), gathered.read(), "a tally is empty once it was absorbed");
    }

    #[test]
    fn a_gauge_is_absent_until_it_is_measured() {
        let gauge = Gauge::default();
        assert_eq!(gauge.get(), None);
        gauge.set(0.0);
        assert_eq!(gauge.get(), Some(0.0));
    }

    #[test]
    fn a_rate_forgets_what_is_older_than_ten_seconds() {
        const SECOND: u64 = 1_000_000_000;
        let rate = Rate::default();
        rate.add(100 * SECOND, 40);
        rate.add(100 * SECOND + 5, 60);
        assert_eq!(rate.per_second(100 * SECOND + 9), 0.0, "the second under way is not whole");
        assert_eq!(rate.per_second(101 * SECOND), 10.0);
        assert_eq!(rate.per_second(110 * SECOND), 10.0);
        assert_eq!(rate.per_second(111 * SECOND), 0.0);
        rate.add(116 * SECOND, 20);
        assert_eq!(rate.per_second(117 * SECOND), 2.0, "a slot that comes round again starts anew");
    }

    #[test]
    fn a_sum_loses_nothing_between_threads() {
        let histogram = Histogram::of(&INPUT_LATENCY);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| histogram.observe(0.25, 1)));
            }
        });
        let (counts, sum) = histogram.read();
        assert_eq!((counts.iter().sum::<u64>(), sum), (4000, 1000.0));
    }
}

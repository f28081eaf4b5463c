//! Which transactions are kept as traces, decided once they are delivered.
//!
//! Owns: the rules, the tables' own tails. Does not own: gathering a transaction (`gather`), spans, what is watched
//! (`watches`).
//!
//! Invariant: pure: the same transactions at the same times give the same answers. The base rate looks at the trace's id
//! alone, so that every process decides alike. No bound holds for what the base rate, a watched key or a first row keeps,
//! whatever else speaks for it: records of some say so already.

use foldhash::{HashMap, HashSet};

/// Of those that are kept for an error or for being slow, so many a second: an outage makes thousands, and tells the same.
const KEPT_A_SECOND: u32 = 100;

/// Tables whose own tail is known, at 520 bytes each.
const TAILS_MAX: usize = 4096;

/// Why a transaction is kept. Ordered by what explains most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A row of it is kept, or an attempt to deliver it failed.
    Error,
    /// A key in it is watched.
    Watched,
    /// The first of a table since the process began.
    First,
    /// It took longer than the file's bound, or than nearly all of its table.
    Slow,
    /// The application keeps its own trace of it.
    Asked,
    /// By the base rate.
    Sampled,
}

impl Why {
    pub const ALL: [Why; 6] = [Why::Error, Why::Watched, Why::First, Why::Slow, Why::Asked, Why::Sampled];

    /// The word in metrics and spans.
    pub const fn word(self) -> &'static str {
        match self {
            Why::Error => "error",
            Why::Watched => "watched",
            Why::First => "first",
            Why::Slow => "slow",
            Why::Asked => "parent",
            Why::Sampled => "sampled",
        }
    }

    /// Those that an outage or an application makes thousands of.
    const fn is_bound(self) -> bool {
        matches!(self, Why::Error | Why::Slow | Why::Asked)
    }
}

/// All that speaks for a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u8);

impl Reasons {
    pub fn add(&mut self, why: Why) {
        self.0 |= 1 << why as u8;
    }

    pub fn add_all(&mut self, others: Reasons) {
        self.0 |= others.0;
    }

    fn all(self) -> impl Iterator<Item = Why> {
        Why::ALL.into_iter().filter(move |why| self.0 & 1 << *why as u8 != 0)
    }
}

/// The part of all trace ids that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseRate {
    /// Of the id's last 56 bits: the first that is kept.
    threshold: u64,
}

/// As many as the last 56 bits of an id can be.
const WHOLE: u64 = 1 << 56;

impl BaseRate {
    /// A part from 0 to 1.
    pub fn new(part: f64) -> Self {
        // Exact for 1 and 0; in between an error below one in 2^53.
        let rejected = ((1.0 - part.clamp(0.0, 1.0)) * WHOLE as f64).round() as u64;
        Self { threshold: rejected.min(WHOLE) }
    }

    /// OpenTelemetry's consistent sampling: the last 56 bits are the id's randomness.
    #[inline]
    pub fn keeps(self, trace_id: u128) -> bool {
        (trace_id as u64 & (WHOLE - 1)) >= self.threshold
    }

    /// The threshold as `tracestate` has it: `ot=th:` and hexadecimal digits without the zeros at their end.
    pub fn trace_state(self) -> String {
        let digits = format!("{:014x}", self.threshold.min(WHOLE - 1));
        let short = digits.trim_end_matches('0');
        format!("ot=th:{}", if short.is_empty() { "0" } else { short })
    }
}

/// What is known of a transaction that was delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    pub trace_id: u128,
    /// The seed of the table of its first row.
    pub table: u64,
    /// From its commit until it was acknowledged, at the least.
    pub nanos: u64,
    /// What else speaks for it.
    pub reasons: Reasons,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep(Why),
    Pass,
    /// It would be kept, but so many were this second already.
    Spared(Why),
}

/// The machine.
#[derive(Debug)]
pub struct Keep {
    base: BaseRate,
    slow_nanos: u64,
    tails: HashMap<u64, Tail>,
    seen: HashSet<u64>,
    second: u64,
    kept: u32,
}

impl Keep {
    pub fn new(base: BaseRate, slow_nanos: u64) -> Self {
        let (tails, seen) = (HashMap::default(), HashSet::default());
        Self { base, slow_nanos, tails, seen, second: 0, kept: 0 }
    }

    /// True the first time a table is named. Beyond the bound no table is new any more.
    pub fn is_first(&mut self, table: u64) -> bool {
        self.seen.len() < TAILS_MAX && self.seen.insert(table)
    }

    /// `now_nanos` only bounds how many are kept a second. One that a reason without a bound keeps anyhow takes no room.
    pub fn decide(&mut self, txn: Delivered, now_nanos: u64) -> Verdict {
        let mut reasons = txn.reasons;
        if self.is_slow(txn.table, txn.nanos) {
            reasons.add(Why::Slow);
        }
        if self.base.keeps(txn.trace_id) {
            reasons.add(Why::Sampled);
        }
        let Some(why) = reasons.all().next() else { return Verdict::Pass };
        if reasons.all().all(Why::is_bound) && !self.has_room(now_nanos) {
            return Verdict::Spared(why);
        }
        Verdict::Keep(why)
    }

    /// Every transaction counts for its table's tail, whatever becomes of it.
    fn is_slow(&mut self, table: u64, nanos: u64) -> bool {
        let (has_room, is_above) = (self.tails.len() < TAILS_MAX, nanos > self.slow_nanos);
        match self.tails.get_mut(&table) {
            Some(tail) => tail.is_slow(nanos, is_above),
            None if has_room => self.tails.entry(table).or_default().is_slow(nanos, is_above),
            None => is_above,
        }
    }

    fn has_room(&mut self, now_nanos: u64) -> bool {
        let second = now_nanos / 1_000_000_000;
        if second != self.second {
            (self.second, self.kept) = (second, 0);
        }
        self.kept += 1;
        self.kept <= KEPT_A_SECOND
    }
}

/// Four buckets an octave, from a microsecond to half an hour.
const BUCKETS: usize = 128;

/// As many as a p99 needs to mean something.
const ENOUGH: u32 = 1000;

/// After so many the p99 is found anew.
const FIND_EVERY: u32 = 256;

/// Of so many it is asked whether most are above the bound. A table that begins with a backlog has so many kept that tell the same.
const LATELY: u32 = 32;

/// The counts are halved then, so that a table that became slower is not slow for ever.
const MANY: u32 = 1 << 16;

/// How long one table's transactions take.
#[derive(Debug)]
struct Tail {
    counts: [u32; BUCKETS],
    total: u32,
    /// The bucket in which the p99 lies, found anew now and then.
    p99: usize,
    /// Of the last few, fewer than [`LATELY`]: how many there are, and how many above the bound.
    lately: [u32; 2],
    /// Most of as many before them were.
    mostly_above: bool,
}

impl Default for Tail {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, p99: BUCKETS, lately: [0; 2], mostly_above: false }
    }
}

impl Tail {
    /// Counts it; true where it lies two buckets (a factor of 1.4) or more beyond the p99 of those before, or above the
    /// bound. In a backlog nearly all are above, which tells none of them from the others: there the p99 alone decides.
    fn is_slow(&mut self, nanos: u64, is_above: bool) -> bool {
        let bucket = bucket_of(nanos);
        self.counts[bucket] += 1;
        self.total += 1;
        self.lately[0] += 1;
        self.lately[1] += u32::from(is_above);
        if self.lately[0] == LATELY {
            let [_, above] = std::mem::take(&mut self.lately);
            self.mostly_above = above > LATELY / 2;
        }
        if self.total >= ENOUGH && self.total.is_multiple_of(FIND_EVERY) {
            self.find();
        }
        if self.total >= MANY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
        bucket > self.p99.saturating_add(1) || (is_above && !self.mostly_above)
    }

    fn find(&mut self) {
        let (mut above, hundredth) = (0, self.total / 100);
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            above += count;
            if above > hundredth {
                self.p99 = bucket;
                return;
            }
        }
    }
}

fn bucket_of(nanos: u64) -> usize {
    let units = nanos / 250;
    if units < 4 {
        return units as usize;
    }
    let octave = units.ilog2();
    let quarter = (units >> (octave - 2)) & 3;
    (((octave - 1) * 4) as usize + quarter as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn txn(trace_id: u128, nanos: u64) -> Delivered {
        Delivered { trace_id, table: 1, nanos, reasons: Reasons::default() }
    }

    #[test]
    fn the_base_rate_looks_at_the_last_56_bits_alone() {
        let half = BaseRate::new(0.5);
        let (low, high) = (0x7f_ffff_ffff_ffff_u128, 0x80_0000_0000_0000_u128);
        assert!(!half.keeps(low) && half.keeps(high));
        assert!(!half.keeps(low | u128::MAX << 56) && half.keeps(high | 1 << 100));
        assert_eq!((half.trace_state().as_str(), BaseRate::new(1.0).trace_state().as_str()), ("ot=th:8", "ot=th:0"));
        for id in [0, 1, u128::MAX] {
            assert!(BaseRate::new(1.0).keeps(id) && !BaseRate::new(0.0).keeps(id));
        }
    }

    #[test]
    fn the_base_rate_is_the_part_that_was_asked_for() {
        let rate = BaseRate::new(0.01);
        let ids = (0..100_000_u64).map(|n| u128::from(xxhash_rust::xxh3::xxh3_64(&n.to_be_bytes())));
        let kept = ids.filter(|id| rate.keeps(*id)).count();
        assert!((880..1120).contains(&kept), "{kept} of 100,000");
    }

    #[test]
    fn what_explains_most_is_why() {
        let mut keep = Keep::new(BaseRate::new(1.0), SECOND);
        let with = |whys: &[Why], nanos| Delivered { reasons: of(whys), ..txn(7, nanos) };
        assert_eq!(keep.decide(with(&[], 5), 0), Verdict::Keep(Why::Sampled));
        assert_eq!(keep.decide(with(&[], SECOND + 1), 0), Verdict::Keep(Why::Slow));
        assert_eq!(keep.decide(with(&[Why::First, Why::Error], SECOND + 1), 0), Verdict::Keep(Why::Error));
        assert_eq!(keep.decide(with(&[Why::Asked], 5), 0), Verdict::Keep(Why::Asked));
    }

    fn of(whys: &[Why]) -> Reasons {
        let mut reasons = Reasons::default();
        whys.iter().for_each(|why| reasons.add(*why));
        reasons
    }

    #[test]
    fn no_bound_holds_for_what_a_reason_without_one_keeps() {
        let mut keep = Keep::new(BaseRate::new(0.0), SECOND);
        let mut decide = |whys: &[Why]| keep.decide(Delivered { reasons: of(whys), ..txn(7, 5) }, SECOND);
        for why in [Why::Watched, Why::First] {
            assert!((0..500).all(|_| decide(&[Why::Error, why]) == Verdict::Keep(Why::Error)), "{why:?}");
        }
        let errors = (0..500).filter(|_| decide(&[Why::Error]) == Verdict::Keep(Why::Error)).count();
        assert_eq!(errors, 100, "the others took no room");
        assert_eq!(decide(&[Why::Error, Why::Asked]), Verdict::Spared(Why::Error));
        assert_eq!(decide(&[Why::Error, Why::Watched]), Verdict::Keep(Why::Error));
    }

    #[test]
    fn at_a_rate_of_nothing_only_reasons_keep() {
        let mut keep = Keep::new(BaseRate::new(0.0), SECOND);
        assert_eq!(keep.decide(txn(u128::MAX, SECOND), 0), Verdict::Pass);
        assert_eq!(keep.decide(txn(u128::MAX, SECOND + 1), 0), Verdict::Keep(Why::Slow));
    }

    #[test]
    fn a_table_has_a_tail_of_its_own_once_there_are_enough() {
        let mut keep = Keep::new(BaseRate::new(0.0), 100 * SECOND);
        let mut kept = 0;
        for number in 0..3000_u64 {
            let nanos = 1_000_000 + number % 100 * 1000;
            kept += u32::from(keep.decide(txn(1, nanos), number * SECOND) != Verdict::Pass);
        }
        assert_eq!(kept, 0, "transactions like the others are not slow");
        assert_eq!(keep.decide(txn(1, 3_000_000), 0), Verdict::Keep(Why::Slow));
        let other = Delivered { table: 2, ..txn(1, 3_000_000) };
        assert_eq!(keep.decide(other, 0), Verdict::Pass, "nothing is known of another table");
    }

    #[test]
    fn in_a_backlog_those_alone_are_slow_that_stand_out() {
        let mut keep = Keep::new(BaseRate::new(0.0), SECOND);
        let mut second = 0;
        let mut kept = |count: u32, nanos: u64| {
            let mut decide = || {
                second += 1;
                u32::from(keep.decide(txn(1, nanos), second * SECOND) == Verdict::Keep(Why::Slow))
            };
            (0..count).map(|_| decide()).sum::<u32>()
        };
        assert_eq!(kept(2000, 60 * SECOND), 31, "until the 32nd shows that nearly all are");
        assert_eq!(kept(1, 100 * SECOND), 1, "beyond the others");
        assert_eq!(kept(512, SECOND / 100), 0);
        assert_eq!(kept(3, 2 * SECOND), 3, "and once they are as ever, the bound is what it was");
    }

    #[test]
    fn a_table_that_became_slower_is_not_slow_for_ever() {
        let mut keep = Keep::new(BaseRate::new(0.0), 100 * SECOND);
        let slower = (0..5000).filter(|_| keep.decide(txn(1, 1_000_000), 0) != Verdict::Pass).count();
        assert_eq!(slower, 0);
        assert_ne!(keep.decide(txn(1, 9_000_000), 0), Verdict::Pass);
        let slower = (0..2000).filter(|_| keep.decide(txn(1, 9_000_000), 0) != Verdict::Pass).count();
        assert!(slower < 600, "{slower}");
        assert_eq!(keep.decide(txn(1, 9_000_000), 0), Verdict::Pass);
    }

    #[test]
    fn an_outage_keeps_so_many_a_second_and_the_base_rate_goes_on() {
        let mut keep = Keep::new(BaseRate::new(0.5), 1);
        let low = txn(0, SECOND);
        // Every other one is slow, so that the bound tells them apart.
        let of_second = |keep: &mut Keep, second: u64| {
            let kept = |keep: &mut Keep, txn| matches!(keep.decide(txn, second * SECOND), Verdict::Keep(_));
            (0..1000).filter(|_| kept(keep, low) | kept(keep, txn(0, 0))).count()
        };
        assert_eq!((of_second(&mut keep, 1), of_second(&mut keep, 2)), (100, 100));
        assert_eq!(keep.decide(low, 2 * SECOND), Verdict::Spared(Why::Slow));
        assert_eq!(keep.decide(txn(u128::MAX, SECOND), 2 * SECOND), Verdict::Keep(Why::Slow));
    }

    #[test]
    fn buckets_grow_with_what_they_count() {
        let all = [0, 249, 250, 999, 1000, 1249, 1250, 2000, 1_000_000, 10_000_000_000, u64::MAX].map(bucket_of);
        assert!(all.is_sorted() && all[10] == BUCKETS - 1 && all[9] < BUCKETS - 1, "{all:?}");
        assert!((0..10_000).all(|units| bucket_of(units * 250) <= bucket_of((units + 1) * 250)));
    }
}

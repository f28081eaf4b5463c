//! The verdict over streams that are simulated, look by look.

use super::*;

const SECOND: u64 = 1_000_000_000;
const PERIOD: u64 = SECOND / 5;

/// A stream whose two ends the test moves.
struct Stream {
    trail: Trail,
    now: u64,
    head: u64,
    done: u64,
    saved: u64,
    phase: Phase,
    freshness: f64,
    keeper: Keeper,
    is_at_risk: bool,
    settles_every: Duration,
    lost: Option<(Keeper, &'static str)>,
    seen: Option<(u64, u64)>,
}

impl Stream {
    fn new() -> Self {
        let mut stream = Self {
            trail: Trail::default(),
            now: 100 * SECOND,
            head: 1000,
            done: 1000,
            saved: 0,
            phase: Phase::Running,
            freshness: 0.1,
            keeper: Keeper::Us,
            is_at_risk: false,
            settles_every: Duration::ZERO,
            lost: None,
            seen: None,
        };
        stream.look();
        stream
    }

    fn look(&mut self) {
        let (head, done) = self.seen.unwrap_or((self.head, self.done));
        self.trail.look(Look {
            seen_nanos: self.now,
            is_behind: self.done < self.head,
            lag_bytes: Some(self.head.saturating_sub(self.done)),
            head_moved: head != self.head,
            moved: done != self.done,
            is_back: self.done < self.saved,
            keeper: self.keeper,
            is_at_risk: self.is_at_risk,
            settles_every: self.settles_every,
        });
        self.seen = Some((self.head, self.done));
    }

    /// So many seconds of looks; in each period the head gets `more` and the sink `less`.
    fn run(&mut self, seconds: u64, more: u64, less: u64) -> &mut Self {
        for _ in 0..seconds * 5 {
            self.now += PERIOD;
            self.head += more;
            self.done = (self.done + less).min(self.head);
            self.look();
        }
        self
    }

    /// The same without a look.
    fn unseen(&mut self, seconds: u64, more: u64) -> &mut Self {
        self.now += seconds * SECOND;
        self.head += more;
        self
    }

    fn told(&self) -> (Verdict, String) {
        self.trail.verdict(&Circumstances {
            now_nanos: self.now,
            phase: self.phase,
            freshness_seconds: Some(self.freshness),
            lag_limit: Duration::from_secs(60),
            fault: "SOURCE_AUTH_FAILED",
            lost: self.lost,
        })
    }

    fn verdict(&self) -> Verdict {
        self.told().0
    }
}

#[test]
fn a_stream_that_follows_is_ok_and_one_without_work_idle_after_ten_seconds() {
    let mut stream = Stream::new();
    assert_eq!(stream.run(30, 50, 50).verdict(), Verdict::Ok);
    assert_eq!(stream.run(10, 0, 0).verdict(), Verdict::Ok);
    assert_eq!(stream.run(1, 0, 0).verdict(), Verdict::Idle);
    for _ in 0..600 {
        assert_eq!(stream.run(1, 0, 0).verdict(), Verdict::Idle, "an idle hour raises no alarm");
    }
    assert_eq!(stream.run(1, 50, 50).verdict(), Verdict::Ok);
}

#[test]
fn a_stall_is_told_while_the_head_goes_on_and_names_who_keeps_it() {
    for (keeper, word) in [(Keeper::Source, "source"), (Keeper::Us, "us"), (Keeper::Sink, "sink")] {
        let mut stream = Stream::new();
        stream.run(60, 0, 0).keeper = keeper;
        // What came before the first commit is no time that we were behind.
        assert_eq!(stream.run(3, 50, 0).verdict(), Verdict::Ok);
        let (verdict, reason) = stream.run(1, 50, 0).told();
        assert_eq!(verdict, Verdict::Stall, "writers that go on hide nothing");
        assert!(reason.ends_with(word), "{reason}");
        stream.lost = Some((Keeper::Sink, "broker:9092"));
        assert!(stream.told().1.contains("sink (broker:9092 is lost)"), "{}", stream.told().1);
        assert_eq!(stream.run(1, 0, 10).verdict(), Verdict::Ok, "it moves");
    }
}

#[test]
fn a_sink_that_commits_seldom_as_configured_is_no_stall() {
    let mut stream = Stream::new();
    stream.settles_every = Duration::from_secs(10);
    for _ in 0..5 {
        assert_eq!(stream.run(10, 50, 0).verdict(), Verdict::Ok);
        stream.run(1, 0, 3000);
    }
    assert_eq!(stream.run(13, 50, 0).verdict(), Verdict::Ok);
    assert_eq!(stream.run(1, 50, 0).verdict(), Verdict::Stall, "3 s beyond its interval");
}

#[test]
fn ground_lost_in_a_pause_is_not_held_against_what_comes_after_it() {
    let mut stream = Stream::new();
    stream.phase = Phase::Paused;
    stream.run(90, 2000, 0).phase = Phase::Running;
    stream.trail.goes_on(stream.now);
    assert_eq!(stream.run(15, 2000, 1000).verdict(), Verdict::Ok);
}

#[test]
fn a_head_that_is_not_seen_is_blind_and_nothing_is_held_against_that_time() {
    let mut stream = Stream::new();
    stream.run(5, 50, 50).unseen(1, 0);
    assert_eq!(stream.verdict(), Verdict::Ok);
    assert_eq!(stream.unseen(1, 5000).verdict(), Verdict::Blind);
    // It comes back with a backlog.
    assert_eq!(stream.run(3, 0, 0).verdict(), Verdict::Ok, "not moving for 3 s while the head is seen");
    assert_eq!(stream.run(1, 0, 0).verdict(), Verdict::Stall);
    let unborn = Stream { trail: Trail::default(), ..Stream::new() };
    assert_eq!(unborn.verdict(), Verdict::Blind, "what nobody has looked at yet is not well");
}

#[test]
fn a_stream_that_is_paused_or_halted_or_went_back_says_so() {
    let mut stream = Stream::new();
    stream.run(1, 50, 50).phase = Phase::Paused;
    assert_eq!(stream.run(5, 50, 0).verdict(), Verdict::Stop);
    stream.phase = Phase::Running;
    stream.trail.goes_on(stream.now);
    assert_eq!(stream.run(1, 50, 0).verdict(), Verdict::Ok, "it was not to move");
    stream.phase = Phase::Paused;
    stream.saved = stream.done;
    stream.done -= 100;
    assert_eq!(stream.run(1, 0, 0).verdict(), Verdict::Rewind);
    assert_eq!(stream.unseen(2, 0).verdict(), Verdict::Blind);
    stream.phase = Phase::Halted;
    assert_eq!(stream.told(), (Verdict::Stop, "halted by SOURCE_AUTH_FAILED".to_owned()));
    stream.phase = Phase::Running;
    assert_eq!(stream.run(1, 0, 10).verdict(), Verdict::Rewind);
    assert_eq!(stream.run(3, 0, 50).verdict(), Verdict::Ok, "it is where it was");
}

#[test]
fn a_stream_beyond_the_limit_or_losing_ground_for_a_minute_is_warned_of() {
    let mut stream = Stream::new();
    stream.freshness = 61.0;
    assert_eq!(stream.run(1, 50, 40).verdict(), Verdict::Warn);
    stream.freshness = 0.1;
    assert_eq!(stream.verdict(), Verdict::Ok);
    stream.is_at_risk = true;
    let (verdict, reason) = stream.run(1, 50, 40).told();
    assert!(verdict == Verdict::Warn && reason.contains("the log is kept"), "{reason}");
    stream.is_at_risk = false;
    // 5,000 bytes a second more than we take.
    assert_eq!(stream.run(60, 2000, 1000).verdict(), Verdict::Ok);
    let (verdict, reason) = stream.run(12, 2000, 1000).told();
    assert_eq!((verdict, reason.as_str()), (Verdict::Warn, "moving, and losing ground for a minute"));
    assert_eq!(stream.run(12, 2000, 3000).verdict(), Verdict::Ok, "it gains ground");
}

#[test]
fn a_backlog_that_goes_up_and_down_or_that_shrinks_is_no_lost_ground() {
    let mut stream = Stream::new();
    stream.head += 100_000_000;
    for _ in 0..60 {
        assert_eq!(stream.run(5, 1000, 3000).verdict(), Verdict::Ok);
        assert_eq!(stream.run(15, 2000, 1500).verdict(), Verdict::Ok);
    }
    // A busy stream always has something under way.
    let mut busy = Stream::new();
    busy.head += 50_000;
    for turn in 0..600 {
        assert_eq!(busy.run(1, 1_000_000 + turn % 7 * 1000, 1_000_000).verdict(), Verdict::Ok);
        busy.head = busy.done + 50_000 + turn % 13 * 1000;
    }
}

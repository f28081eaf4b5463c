//! How long the source keeps the log that a restart would need.
//!
//! Owns: what was seen of the log's files, and how each way of losing them is foretold, as a pure machine. Does not own:
//! asking the source (`limpid-connector`'s `Head`).
//!
//! Invariant: the least over all that is known; a way that is not known (a disk that fills, what a provider purges by a
//! rule of its own before it was seen to) is in none of it. Nothing is told while nobody knows which file we need.

use std::collections::{BTreeMap, VecDeque};

use limpid_connector::Retention;

/// Closings of files that are remembered: some weeks of files, and 64 KiB.
const CLOSED_MAX: usize = 4096;
/// Purges, and sizes, that a pace is judged by.
const SEEN_MAX: usize = 60;

/// What would take the log from us first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Files are purged so long after they were closed.
    Expiry,
    /// All files together may have so many bytes.
    Size,
    /// Somebody purges, as was seen.
    Purges,
}

impl Ends {
    pub const fn word(self) -> &'static str {
        match self {
            Ends::Expiry => "expiry",
            Ends::Size => "size",
            Ends::Purges => "purges",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Runway {
    /// Whose log it is.
    server: String,
    /// When a file was seen to be no longer the last one.
    closed: BTreeMap<u64, u64>,
    /// The last file and its size.
    last: Option<(u64, u64)>,
    /// Bytes written since the first look.
    written: u64,
    sizes: VecDeque<(u64, u64)>,
    /// When the oldest file was seen to be another one, and which.
    oldest: VecDeque<(u64, u64)>,
}

impl Runway {
    /// Takes note of the files; the runway in seconds, and what ends it. `age_nanos` is how old what the sink has is.
    pub(crate) fn look(&mut self, now: u64, seen: &Retention, age_nanos: Option<u64>) -> Option<(f64, Ends)> {
        let (Some(&(first, _)), Some(&(last, bytes))) = (seen.files.first(), seen.files.last()) else { return None };
        // Numbers of another log say nothing of this one's.
        if self.server != seen.server || self.last.is_some_and(|(before, _)| last < before) {
            *self = Self { server: seen.server.clone(), ..Self::default() };
        }
        self.grow(now, seen, (last, bytes));
        if self.oldest.back().is_none_or(|(_, known)| first > *known) {
            push(&mut self.oldest, (now, first));
        }
        let ours = seen.ours?;
        if ours < first {
            return Some((0.0, Ends::Purges));
        }
        let ways = [
            (self.expires(now, seen, (ours, last), age_nanos), Ends::Expiry),
            (self.fills(seen, ours), Ends::Size),
            (self.is_purged(now, ours), Ends::Purges),
        ];
        let known = ways.into_iter().filter_map(|(seconds, way)| Some((seconds?.max(0.0), way)));
        known.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn grow(&mut self, now: u64, seen: &Retention, (last, bytes): (u64, u64)) {
        if let Some((before, size)) = self.last {
            let grown =
                |(number, bytes): &(u64, u64)| if *number == before { bytes.saturating_sub(size) } else { *bytes };
            self.written += seen.files.iter().filter(|(number, _)| *number >= before).map(grown).sum::<u64>();
            for number in before..last {
                self.closed.insert(number, now);
            }
            while self.closed.len() > CLOSED_MAX {
                self.closed.pop_first();
            }
        }
        self.last = Some((last, bytes));
        push(&mut self.sizes, (now, self.written));
    }

    /// A file in which a commit lies was closed after it, so where nobody saw it closed, it has the position's age at most.
    fn expires(&self, now: u64, seen: &Retention, (ours, last): (u64, u64), age_nanos: Option<u64>) -> Option<f64> {
        let keeps = seen.keeps?.as_secs_f64();
        if ours >= last {
            return Some(keeps);
        }
        let closed_ago = match self.closed.get(&ours) {
            Some(closed) => now.saturating_sub(*closed),
            None => age_nanos?,
        };
        Some(keeps - closed_ago as f64 / 1e9)
    }

    fn fills(&self, seen: &Retention, ours: u64) -> Option<f64> {
        let from_ours: u64 = seen.files.iter().filter(|(number, _)| *number >= ours).map(|(_, bytes)| bytes).sum();
        let left = seen.bytes_max?.saturating_sub(from_ours) as f64;
        let pace = pace(&self.sizes)?;
        (pace > 0.0).then(|| left / pace)
    }

    /// The oldest file goes on as it went. Purges that have ceased are none.
    fn is_purged(&self, now: u64, ours: u64) -> Option<f64> {
        // The first one is what we found, whoever left it so.
        let seen = self.oldest.len().checked_sub(2).filter(|purges| *purges > 0)? as u64;
        let (&(begun, _), &(last, oldest)) = (self.oldest.get(1)?, self.oldest.back()?);
        let apart = (last - begun) / seen;
        if now.saturating_sub(last) > 4 * apart {
            return None;
        }
        let purges: VecDeque<_> = self.oldest.iter().skip(1).copied().collect();
        let left = (ours + 1).saturating_sub(oldest) as f64 / pace(&purges)?;
        Some(left - now.saturating_sub(last) as f64 / 1e9)
    }
}

/// What grew a second, from the first to the last.
fn pace(seen: &VecDeque<(u64, u64)>) -> Option<f64> {
    let (&(from, before), &(upto, after)) = (seen.front()?, seen.back()?);
    (upto > from).then(|| (after - before) as f64 / ((upto - from) as f64 / 1e9))
}

fn push(seen: &mut VecDeque<(u64, u64)>, one: (u64, u64)) {
    if seen.len() >= SEEN_MAX {
        seen.pop_front();
    }
    seen.push_back(one);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const FILE: u64 = 1000;

    /// A server that writes so many bytes a second into files of `FILE` bytes, seen once a second.
    struct Server {
        runway: Runway,
        seen: Retention,
        now: u64,
        closed: BTreeMap<u64, u64>,
    }

    impl Server {
        fn new(ours: u64) -> Self {
            let server = "a".to_owned();
            let seen = Retention { server, keeps: None, bytes_max: None, files: vec![(1, 0)], ours: Some(ours) };
            Self { runway: Runway::default(), seen, now: 50 * SECOND, closed: BTreeMap::new() }
        }

        fn second(&mut self, bytes: u64, purge: impl Fn(u64, &Self) -> bool) -> Option<(f64, Ends)> {
            self.now += SECOND;
            for _ in 0..bytes / 10 {
                let last = self.seen.files.last_mut().unwrap();
                last.1 += 10;
                if last.1 >= FILE {
                    let number = last.0;
                    self.closed.insert(number, self.now);
                    self.seen.files.push((number + 1, 0));
                }
            }
            while purge(self.seen.files[0].0, self) {
                self.seen.files.remove(0);
            }
            self.runway.look(self.now, &self.seen, Some(0))
        }

        fn is_gone(&self) -> bool {
            self.seen.files[0].0 > self.seen.ours.unwrap()
        }
    }

    /// Runs until our file is purged and demands that what was told on the way was right.
    fn comes_true(server: &mut Server, ends: Ends, bytes: u64, purge: impl Fn(u64, &Server) -> bool + Copy) {
        let mut told = Vec::new();
        while !server.is_gone() {
            if let Some(runway) = server.second(bytes, purge) {
                told.push((server.now, runway));
            }
            assert!(server.now < 100_000 * SECOND, "it is never purged");
        }
        let gone = server.now;
        assert!(told.len() > 20, "{ends:?} was told {} times", told.len());
        for (at, (seconds, way)) in told {
            let left = (gone - at) as f64 / 1e9;
            // To a fifth, or to the time in which one file is written.
            let slack = (0.2 * left).max(2.0 * FILE as f64 / bytes as f64);
            // Once files go, whoever has them go, that is seen too.
            let is_known = way == ends || way == Ends::Purges;
            assert!((seconds - left).abs() <= slack && is_known, "{way:?}: {seconds} s told, {left} s left");
        }
    }

    #[test]
    fn what_expires_is_foretold_from_when_its_file_was_closed() {
        let mut server = Server::new(3);
        server.seen.keeps = Some(Duration::from_secs(300));
        let old = |first: u64, server: &Server| {
            server.closed.get(&first).is_some_and(|closed| server.now - closed > 300 * SECOND)
        };
        for _ in 0..15 {
            assert_eq!(server.second(100, old).unwrap().0, 300.0, "while its file is written");
        }
        while server.seen.files.last().unwrap().0 <= 3 {
            server.second(100, old);
        }
        let mut told = server.second(100, old).unwrap();
        let closed = server.closed[&3];
        while !server.is_gone() {
            let left = (closed + 300 * SECOND) as f64 / 1e9 - server.now as f64 / 1e9;
            assert!((told.0 - left.max(0.0)).abs() <= 2.0, "{told:?} with {left} s left");
            told = server.second(100, old).unwrap();
        }
    }

    #[test]
    fn what_is_pushed_out_by_size_is_foretold_from_the_pace_of_writing() {
        let mut server = Server::new(12);
        server.seen.bytes_max = Some(20 * FILE);
        let too_many = |first: u64, server: &Server| {
            let sum: u64 = server.seen.files.iter().map(|(_, bytes)| bytes).sum();
            sum > 20 * FILE && first < server.seen.files.last().unwrap().0
        };
        for _ in 0..150 {
            server.second(100, too_many);
        }
        comes_true(&mut server, Ends::Size, 100, too_many);
    }

    #[test]
    fn purges_that_were_seen_are_taken_to_go_on_and_ones_that_ceased_are_not() {
        let mut server = Server::new(40);
        let every_five = |first: u64, server: &Server| {
            let due = (server.now / SECOND).saturating_sub(60) / 5;
            first <= due && first < server.seen.files.last().unwrap().0
        };
        for _ in 0..30 {
            server.second(500, every_five);
        }
        comes_true(&mut server, Ends::Purges, 500, every_five);

        let mut ceased = Server::new(40);
        for second in 0..200 {
            let told = ceased.second(500, |first, _| first < (second.min(30) / 5));
            assert!(second < 60 || told.is_none(), "nobody purges any longer: {told:?}");
        }
    }

    #[test]
    fn what_was_seen_of_another_servers_files_counts_for_nothing() {
        let every_five = |first: u64, server: &Server| {
            let due = (server.now / SECOND).saturating_sub(60) / 5;
            first <= due && first < server.seen.files.last().unwrap().0
        };
        for is_named in [true, false] {
            let mut server = Server::new(40);
            for _ in 0..60 {
                server.second(500, every_five);
            }
            assert!(server.second(500, every_five).is_some_and(|(_, ends)| ends == Ends::Purges));
            // Another one takes over, with its own files; or the log of the same one began anew.
            let first = if is_named { 1000 } else { 1 };
            server.seen.files = vec![(first, 0)];
            server.seen.ours = Some(first);
            if is_named {
                server.seen.server = "b".to_owned();
            }
            for _ in 0..5 {
                assert_eq!(server.second(500, |_, _| false), None, "its files were never seen to go");
            }
        }
    }

    #[test]
    fn a_place_that_is_purged_has_no_time_left() {
        let mut server = Server::new(3);
        server.seen.keeps = Some(Duration::from_secs(300));
        for _ in 0..60 {
            server.second(100, |_, _| false);
        }
        server.seen.files.retain(|(number, _)| *number > 3);
        assert_eq!(server.second(100, |_, _| false), Some((0.0, Ends::Purges)));
    }

    #[test]
    fn nothing_is_told_of_a_log_that_nobody_purges_or_a_place_that_nobody_knows() {
        let mut server = Server::new(1);
        for _ in 0..100 {
            assert_eq!(server.second(100, |_, _| false), None);
        }
        server.seen.keeps = Some(Duration::from_secs(60));
        server.seen.ours = None;
        assert_eq!(server.second(100, |_, _| false), None);
    }
}

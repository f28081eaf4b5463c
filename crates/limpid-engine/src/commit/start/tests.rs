//! Starts, one by one and in every order of two instances, their copies and their deaths.
//!
//! Owns: the model of a sink that fences, and the search through it. Does not own: anything that runs.

use std::collections::HashSet;

use super::*;

fn name() -> PipelineName {
    PipelineName::parse("shop").unwrap()
}

fn record(id: u128, epoch: u64, change: u64, at: u64) -> PositionRecord {
    PositionRecord {
        pipeline: name(),
        id: PipelineId(id),
        epoch: Epoch(epoch),
        change: ChangeNumber(change),
        delivered: if at == 0 { String::new() } else { at.to_string() },
        read_from: String::new(),
        undecided: Vec::new(),
        rows_done: 0,
        cursors: Vec::new(),
        schema_version: 0,
        selection: None,
        flow: Vec::new(),
    }
}

fn local(id: u128, epoch: u64, change: u64, saved: Option<PositionRecord>) -> Local {
    Local { pipeline: name(), id: PipelineId(id), epoch: Epoch(epoch), change: ChangeNumber(change), saved }
}

/// Goes through a start with this record at the sink; returns where it begins, or the refusal and how much was done.
fn through(
    local: Local,
    at_sink: Option<PositionRecord>,
    life: Life,
    asked: Asked,
) -> Result<PositionRecord, (Refusal, usize)> {
    let (mut start, mut effect) = Start::new(local, true, life, asked);
    for done in 0.. {
        let happened = match effect {
            Effect::ReadRecord => Happened::Record(at_sink.clone()),
            Effect::Fence => Happened::Fenced,
            Effect::RaiseEpoch(_) => Happened::EpochRaised,
            Effect::SaveRecord(_) => Happened::RecordSaved,
            Effect::Begin(record) => return Ok(record),
        };
        (start, effect) = start.step(happened).map_err(|refusal| (refusal, done))?;
    }
    unreachable!("a start has an end")
}

#[test]
fn state_and_record_are_weighed_as_the_contract_says() {
    let refused = |local, at_sink, life, refusal| {
        assert_eq!(through(local, at_sink, life, Asked::Refuse), Err((refusal, 0)), "before anything is done");
    };
    let goes = |local, at_sink, asked, expected| {
        assert_eq!(through(local, at_sink, Life::First, asked), Ok(expected));
    };
    let at = |epoch, at| Some(record(1, epoch, 3, at));
    // Normal: the record's position wins, the epoch is above both.
    goes(local(1, 5, 3, at(5, 10)), at(5, 11), Asked::Refuse, record(1, 6, 3, 11));
    goes(local(1, 7, 4, at(5, 10)), at(5, 11), Asked::Refuse, record(1, 8, 4, 11));
    // Killed before the first record, and before the first position.
    goes(local(1, 0, 0, None), None, Asked::Refuse, record(1, 1, 0, 0));
    goes(local(1, 1, 0, None), None, Asked::Refuse, record(1, 2, 0, 0));
    goes(local(1, 1, 0, None), Some(record(1, 1, 0, 0)), Asked::Refuse, record(1, 2, 0, 0));
    goes(local(1, 1, 0, None), Some(record(1, 1, 0, 9)), Asked::Refuse, record(1, 2, 0, 9));
    refused(local(1, 4, 3, at(4, 10)), at(5, 11), Life::First, Refusal::Older);
    refused(local(1, 5, 2, at(5, 10)), at(5, 11), Life::First, Refusal::Older);
    refused(local(2, 9, 9, at(9, 10)), at(5, 11), Life::First, Refusal::Foreign);
    refused(local(2, 0, 0, None), at(5, 11), Life::First, Refusal::Empty);
    refused(local(2, 1, 0, None), at(5, 11), Life::First, Refusal::Foreign);
    refused(local(1, 5, 3, at(5, 10)), None, Life::First, Refusal::Lost);
    // While it ran, another has begun.
    refused(local(1, 5, 3, at(5, 10)), at(6, 11), Life::Again, Refusal::Fenced);
    refused(local(1, 5, 3, at(5, 10)), Some(record(2, 6, 0, 11)), Life::Again, Refusal::Fenced);
    refused(local(1, 5, 3, at(5, 10)), None, Life::Again, Refusal::Lost);
    // Accepted knowingly: the state's own position, its own identity.
    goes(local(1, 4, 2, Some(record(1, 4, 2, 10))), at(5, 11), Asked::Accept, record(1, 6, 2, 10));
    goes(local(2, 0, 0, None), at(5, 11), Asked::Accept, record(2, 6, 0, 0));
    goes(local(1, 5, 3, at(5, 10)), None, Asked::Accept, record(1, 6, 3, 10));
    // What fits needs no acceptance.
    goes(local(1, 5, 3, at(5, 10)), at(5, 11), Asked::Accept, record(1, 6, 3, 11));
}

#[test]
fn a_sink_without_a_record_refuses_nothing() {
    let saved = record(1, 5, 3, 10);
    let (start, effect) = Start::new(local(1, 5, 3, Some(saved)), false, Life::First, Asked::Refuse);
    assert_eq!(effect, Effect::RaiseEpoch(Epoch(6)));
    let (_, effect) = start.step(Happened::EpochRaised).unwrap();
    assert_eq!(effect, Effect::Begin(record(1, 6, 3, 10)));
}

/// A state directory of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Dir {
    id: u64,
    epoch: u64,
    saved: Option<(u64, u64)>,
    /// Nobody else has begun since it was last used, and it was never put back: a start of it is legitimate.
    is_current: bool,
}

/// Where an instance stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Dead,
    Starting {
        done: usize,
        fence: u64,
        first: Seen,
        second: Seen,
    },
    /// The position is at the sink, and maybe in the state.
    Running {
        fence: u64,
    },
}

/// What a read of the record showed: id, epoch, position.
type Seen = Option<(u64, u64, u64)>;

/// Two directories, one of which can be put back to an older copy, and a sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    dirs: [Dir; 2],
    copy: Option<Dir>,
    at: [At; 2],
    record: Seen,
    /// The last fence; only its holder writes.
    fence: u64,
    steps: u64,
}

const STEPS_MAX: u64 = 22;

fn seen(record: Seen) -> Option<PositionRecord> {
    record.map(|(id, epoch, at)| PositionRecord {
        read_from: String::new(),
        ..super::tests::record(id.into(), epoch, 0, at)
    })
}

fn of(dir: &Dir) -> Local {
    let saved = dir.saved.map(|(epoch, at)| record(dir.id.into(), epoch, 0, at));
    local(dir.id.into(), dir.epoch, 0, saved)
}

impl World {
    /// The start as it was after so many effects: it is rebuilt, since it is pure.
    fn start(&self, who: usize, local: Local, done: usize, first: Seen, second: Seen) -> Result<Effect, Refusal> {
        let (mut start, mut effect) = Start::new(local, true, Life::First, Asked::Refuse);
        for step in 0..done {
            let happened = match effect {
                Effect::ReadRecord if step == 0 => Happened::Record(seen(first)),
                Effect::ReadRecord => Happened::Record(seen(second)),
                Effect::Fence => Happened::Fenced,
                Effect::RaiseEpoch(_) => Happened::EpochRaised,
                Effect::SaveRecord(_) => Happened::RecordSaved,
                Effect::Begin(_) => unreachable!("instance {who} has begun"),
            };
            (start, effect) = start.step(happened)?;
        }
        Ok(effect)
    }

    fn write(&mut self, who: usize, fence: u64, written: (u64, u64, u64)) -> bool {
        if fence != self.fence {
            return false;
        }
        let before = self.record.filter(|(id, ..)| *id == written.0).map_or(0, |(_, epoch, _)| epoch);
        assert!(written.1 >= before, "the epoch of a record never falls: {self:?}");
        self.record = Some(written);
        for (index, dir) in self.dirs.iter_mut().enumerate() {
            dir.is_current = index == who;
        }
        true
    }

    /// Every world that one step of one instance leads to.
    fn next(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        for who in 0..2 {
            let mut world = self.clone();
            world.steps += 1;
            match &self.at[who] {
                At::Dead => world.at[who] = At::Starting { done: 0, fence: 0, first: None, second: None },
                At::Starting { .. } => world.go_on(who),
                At::Running { fence } => world.save(who, *fence, &mut worlds),
            }
            worlds.push(world);
            if self.at[who] != At::Dead {
                let mut killed = self.clone();
                (killed.at[who], killed.steps) = (At::Dead, self.steps + 1);
                worlds.push(killed);
            }
        }
        // Somebody copies the first directory while it is not in use, and puts it back, here or for the other.
        if self.at[0] == At::Dead && self.copy.is_none() && self.dirs[0].epoch > 0 {
            worlds.push(World { copy: Some(self.dirs[0].clone()), steps: self.steps + 1, ..self.clone() });
        }
        for who in 0..2 {
            if let (At::Dead, Some(copy)) = (&self.at[who], &self.copy) {
                let mut world = World { copy: None, steps: self.steps + 1, ..self.clone() };
                world.dirs[who] = Dir { is_current: false, ..copy.clone() };
                worlds.push(world);
            }
        }
        worlds
    }

    fn go_on(&mut self, who: usize) {
        let At::Starting { done, fence, first, second } = self.at[who].clone() else { return };
        // What the start was told of its state is what the state held when it began: before the epoch was raised.
        let mut dir = self.dirs[who].clone();
        // Two reads and the fence come before.
        if done > 3 {
            dir.epoch -= 1;
        }
        let effect = self.start(who, of(&dir), done, first, second);
        let mut next = (done + 1, fence, first, second);
        match effect {
            Err(refusal) => {
                assert!(!self.dirs[who].is_current, "a legitimate restart is refused as {refusal:?}: {self:?}");
                self.at[who] = At::Dead;
                return;
            }
            Ok(Effect::ReadRecord) if done == 0 => next.2 = self.record,
            Ok(Effect::ReadRecord) => next.3 = self.record,
            Ok(Effect::Fence) => {
                self.fence += 1;
                next.1 = self.fence;
            }
            Ok(Effect::RaiseEpoch(epoch)) => self.dirs[who].epoch = epoch.0,
            Ok(Effect::SaveRecord(record)) => {
                let at = record.delivered.parse().unwrap_or(0);
                if !self.write(who, fence, (self.dirs[who].id, record.epoch.0, at)) {
                    self.at[who] = At::Dead;
                    return;
                }
            }
            Ok(Effect::Begin(record)) => {
                assert!(self.fence != fence || self.record.is_some_and(|(_, epoch, _)| epoch == record.epoch.0));
                self.at[who] = At::Running { fence };
                return;
            }
        }
        let (done, fence, first, second) = next;
        self.at[who] = At::Starting { done, fence, first, second };
    }

    /// One saving: at the sink first, then, unless it is killed between, in the state.
    fn save(&mut self, who: usize, fence: u64, worlds: &mut Vec<World>) {
        let (id, epoch) = (self.dirs[who].id, self.dirs[who].epoch);
        let at = self.record.map_or(0, |(.., at)| at) + 1;
        if !self.write(who, fence, (id, epoch, at)) {
            self.at[who] = At::Dead;
            return;
        }
        let mut killed = self.clone();
        killed.at[who] = At::Dead;
        worlds.push(killed);
        self.dirs[who].saved = Some((epoch, at));
    }
}

#[test]
fn no_order_of_starts_copies_and_kills_refuses_a_legitimate_restart_or_lets_two_write() {
    let dir = |id| Dir { id, epoch: 0, saved: None, is_current: true };
    let first = World {
        dirs: [dir(1), Dir { is_current: false, ..dir(2) }],
        copy: None,
        at: [At::Dead, At::Dead],
        record: None,
        fence: 0,
        steps: 0,
    };
    let (mut open, mut known, mut refused, mut fenced) = (vec![first.clone()], HashSet::from([first]), 0u64, 0u64);
    while let Some(world) = open.pop() {
        if world.steps >= STEPS_MAX {
            continue;
        }
        for next in world.next() {
            let dies = |who: usize| world.at[who] != At::Dead && next.at[who] == At::Dead;
            refused += u64::from((0..2).any(|who| dies(who) && matches!(world.at[who], At::Starting { .. })));
            fenced += u64::from((0..2).any(|who| dies(who) && matches!(world.at[who], At::Running { .. })));
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    assert!(known.len() > 10_000 && refused > 100 && fenced > 100, "{} {refused} {fenced}", known.len());
}

//! The plan under random copiers, refusals and crashes.

use std::collections::BTreeMap;

use super::*;

/// A small generator of its own: the same seed, the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn name(number: usize) -> TableName {
    TableName::new("s", &format!("t{number}"))
}

fn key(text: Option<&String>, none: u64) -> u64 {
    text.map_or(none, |text| text.parse().unwrap())
}

/// Tables of so many keys each, 1 to n; the number of times each key was handed to the sink.
struct World {
    sizes: Vec<u64>,
    keyless: Vec<bool>,
    handed: BTreeMap<(usize, u64), u32>,
}

/// Cursors that were saved, and how often each key had been handed on by then.
type Saved = (Vec<String>, BTreeMap<(usize, u64), u32>);

/// A chunk between admission and the sink.
struct Underway {
    id: ChunkId,
    table: usize,
    keys: (u64, u64),
}

impl World {
    fn found(&self) -> Vec<TableFound> {
        let one = |(number, size): (usize, &u64)| TableFound {
            name: name(number),
            rows: *size,
            bytes: size * 100,
            has_key: !self.keyless[number],
        };
        self.sizes.iter().enumerate().map(one).collect()
    }

    fn hand(&mut self, table: usize, keys: (u64, u64)) {
        for key in keys.0 + 1..=keys.1 {
            *self.handed.entry((table, key)).or_default() += 1;
        }
    }

    fn number(table: &TableName) -> usize {
        table.table[1..].parse().unwrap()
    }

    /// Runs until the plan is finished or a crash; returns the cursors saved last, with what was handed on by then.
    fn run(&mut self, plan: &mut Plan, dice: &mut Dice, crashes: bool) -> Option<Saved> {
        let mut reading: Vec<(ChunkId, KeyRange)> = Vec::new();
        let mut queue: VecDeque<Underway> = VecDeque::new();
        let mut wholes: Vec<ChunkId> = Vec::new();
        let mut saved = (plan.cursors(), self.handed.clone());
        loop {
            if crashes && dice.roll(200) == 0 {
                return Some(saved);
            }
            match dice.roll(6) {
                0 | 1 => match plan.next() {
                    Work::List => drop(plan.listed(&self.found())),
                    Work::Split { table } => {
                        let size = self.sizes[Self::number(&table)];
                        let middle = (size > 4).then(|| (size / 2).to_string());
                        let first = KeyRange { after: None, until: middle.clone() };
                        let second = middle.map(|after| KeyRange { after: Some(after), until: None });
                        plan.split(&table, std::iter::once(first).chain(second).collect());
                    }
                    Work::Chunk { id, range, .. } => {
                        assert!(reading.iter().all(|(other, _)| *other != id), "a lane is in one hand only");
                        reading.push((id, range));
                    }
                    Work::Whole { id, .. } => {
                        assert!(wholes.is_empty(), "the stream stands still for one table only");
                        wholes.push(id);
                    }
                    Work::Wait => {}
                    Work::Finished if queue.is_empty() => return None,
                    Work::Finished => {}
                },
                2 | 3 if !reading.is_empty() => {
                    let (id, range) = reading.swap_remove(dice.roll(reading.len() as u64) as usize);
                    if dice.roll(5) == 0 {
                        plan.redo(&id);
                        continue;
                    }
                    let table = Self::number(&id.table);
                    let (after, until) = (key(range.after.as_ref(), 0), key(range.until.as_ref(), self.sizes[table]));
                    let end = until.min(after + 1 + dice.roll(5));
                    let rest =
                        (end < until).then(|| KeyRange { after: Some(end.to_string()), until: range.until.clone() });
                    let until = if rest.is_some() { Some(end.to_string()) } else { range.until };
                    plan.admitted(&id, KeyRange { after: range.after, until }, rest);
                    queue.push_back(Underway { id, table, keys: (after, end) });
                }
                4 if !queue.is_empty() => {
                    let Some(Underway { id, table, keys }) = queue.pop_front() else { continue };
                    if dice.roll(6) == 0 {
                        plan.spoiled(&id);
                    } else {
                        self.hand(table, keys);
                        plan.delivered(&id, keys.1 - keys.0, true);
                    }
                    if dice.roll(2) == 0 {
                        saved = (plan.cursors(), self.handed.clone());
                    }
                }
                5 => {
                    let Some(id) = wholes.pop() else { continue };
                    plan.stream_released();
                    if dice.roll(3) == 0 {
                        plan.redo_whole(&id);
                        continue;
                    }
                    let number = Self::number(&id.table);
                    self.hand(number, (0, self.sizes[number]));
                    plan.whole_delivered(&id, self.sizes[number]);
                    saved = (plan.cursors(), self.handed.clone());
                }
                _ => {}
            }
        }
    }
}

/// What a crash takes back is what was handed on after the save: then every key is there exactly once.
#[test]
fn every_key_is_handed_on_once_whatever_is_refused_spoiled_or_interrupted() {
    for seed in 1..2000u64 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let sizes: Vec<u64> = (0..1 + dice.roll(4)).map(|_| dice.roll(40)).collect();
        let keyless: Vec<bool> = sizes.iter().map(|_| dice.roll(5) == 0).collect();
        let mut world = World { sizes, keyless, handed: BTreeMap::new() };
        let mut plan = Plan::resume(Cursors { all: true, tables: Vec::new() });
        let mut crashes = 0;
        while let Some((cursors, handed)) = world.run(&mut plan, &mut dice, crashes < 5) {
            crashes += 1;
            world.handed = handed;
            plan = Plan::resume(cursor::decode(&cursors).unwrap());
        }
        assert!(plan.is_finished());
        for (table, size) in world.sizes.iter().enumerate() {
            for key in 1..=*size {
                assert_eq!(world.handed.get(&(table, key)), Some(&1), "seed {seed}, table {table}, key {key}");
            }
        }
    }
}

#[test]
fn a_table_that_came_later_is_copied_and_one_that_is_done_is_not_copied_again() {
    let world = World { sizes: vec![3, 3], keyless: vec![false, false], handed: BTreeMap::new() };
    let mut plan = Plan::resume(cursor::decode(&["all/1".into(), "[\"s\",\"t0\"]".into()]).unwrap());
    assert_eq!(plan.next(), Work::List);
    plan.listed(&world.found());
    assert_eq!(plan.next(), Work::Split { table: name(1) });
    plan.exclude(&name(1));
    assert_eq!(plan.next(), Work::Finished);
    plan.ask(&name(0), Some("a > 1".into()));
    let cursors = plan.cursors();
    assert_eq!(cursors, ["all/1", "[\"s\",\"t0\",\"a > 1\",[null,null]]", "[\"s\",\"t1\"]"]);
    assert_eq!(plan.next(), Work::List);
    plan.listed(&world.found());
    assert_eq!(plan.next(), Work::Split { table: name(0) });
}

#[test]
fn no_two_chunks_have_one_number_and_one_that_is_read_again_has_its_own() {
    let world = World { sizes: vec![9], keyless: vec![false], handed: BTreeMap::new() };
    let mut plan = Plan::resume(Cursors { all: true, tables: Vec::new() });
    let whole = || vec![KeyRange { after: None, until: None }];
    let upto = |until: &str| KeyRange { after: None, until: Some(until.to_owned()) };
    let chunk = |plan: &mut Plan| {
        while let Some(work) = Some(plan.next()) {
            match work {
                Work::List => drop(plan.listed(&world.found())),
                Work::Split { table } => plan.split(&table, whole()),
                Work::Chunk { id, number, .. } => return (id, number),
                other => panic!("{other:?}"),
            }
        }
        unreachable!("it ends with a chunk")
    };
    let first = chunk(&mut plan);
    plan.redo(&first.0);
    assert_eq!(chunk(&mut plan), first, "it was not let in");
    plan.admitted(&first.0, upto("3"), Some(KeyRange { after: Some("3".to_owned()), until: None }));
    let second = chunk(&mut plan);
    plan.spoiled(&first.0);
    let again = chunk(&mut plan);
    // Two are in hand when somebody asks for the table anew.
    plan.ask(&name(0), None);
    let anew = chunk(&mut plan);
    let all = [first, second, again, anew].map(|(id, number)| (id.lane, number));
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{all:?}");
}

#[test]
fn a_table_that_is_gone_is_over() {
    let mut plan = Plan::resume(cursor::decode(&["all/1".into(), "[\"s\",\"t9\",[null,null]]".into()]).unwrap());
    plan.next();
    assert!(plan.listed(&[]).is_empty(), "nobody asked for it");
    assert_eq!((plan.next(), plan.is_finished()), (Work::Finished, true));
}

/// Tables without a key, of which an operator asks for one while it is read: the list that follows must neither begin a
/// second reading beside the first nor take the first one's end for the second's.
#[test]
fn a_whole_table_that_is_asked_for_while_it_is_read_is_read_again_behind_it() {
    let world = World { sizes: vec![3, 3], keyless: vec![true, true], handed: BTreeMap::new() };
    let mut plan = Plan::resume(Cursors { all: true, tables: Vec::new() });
    plan.next();
    assert!(plan.listed(&world.found()).is_empty());
    let Work::Whole { id: first, .. } = plan.next() else { panic!("the first table is read whole") };
    plan.ask(&name(0), None);
    assert_eq!(plan.next(), Work::List);
    plan.listed(&world.found());
    assert_eq!(plan.next(), Work::Wait, "the stream stands still for one only");
    plan.stream_released();
    let Work::Whole { id: second, .. } = plan.next() else { panic!("it is read again") };
    assert_eq!((&second.table, second == first), (&name(0), false));
    plan.whole_delivered(&first, 3);
    assert!(!plan.is_finished(), "the end of the first reading is not that of the second");
    plan.whole_delivered(&second, 3);
    plan.stream_released();
    let Work::Whole { id, .. } = plan.next() else { panic!("the other table follows") };
    plan.listed(&world.found());
    plan.whole_delivered(&id, 3);
    assert!(plan.is_finished(), "a list in the middle of a reading does not begin it anew");
}

#[test]
fn a_table_that_went_has_no_cursor_and_one_that_came_has() {
    let world = World { sizes: vec![3], keyless: vec![false], handed: BTreeMap::new() };
    let mut plan = Plan::resume(cursor::decode(&["all/1".into(), "[\"s\",\"t0\"]".into()]).unwrap());
    plan.created(&name(5));
    plan.next();
    plan.listed(&world.found());
    assert_eq!(plan.cursors(), ["all/1", "[\"s\",\"t0\"]"], "before the list nobody knows what is new");
    plan.created(&name(6));
    assert_eq!(plan.cursors(), ["all/1", "[\"s\",\"t0\"]", "[\"s\",\"t6\"]"]);
    plan.dropped(&name(6));
    plan.failed(&name(7));
    plan.gone(&name(0));
    assert_eq!(plan.cursors(), ["all/1"]);
    plan.ask(&name(9), None);
    plan.next();
    assert_eq!((plan.listed(&world.found()), plan.cursors()), (vec![name(9)], vec!["all/1".to_owned()]));
}

//! A process that is killed while it saves.

use std::path::Path;

use limpid_stack::TempDir;
use limpid_state::Store;

use crate::child;
use crate::sample::{begin, name, number, save};

const ROUNDS: u64 = 12;

#[test]
#[ignore = "run as a child that is killed"]
fn child_saves_until_it_is_killed() {
    let Some(directory) = child::directory() else { return };
    let store = Store::open(&directory).unwrap();
    let (state, epoch) = begin(&store);
    child::say(&format!("begun {}", epoch.0));
    // A history is saved with every tenth number: the first of a life must be one.
    let first = number(&state).map_or(0, |n| n + 10 - n % 10);
    for n in first.. {
        save(&store, state.id, epoch, n).unwrap();
        child::say(&n.to_string());
    }
}

/// Wastes a number of turns, to kill at another place of the child's loop each time.
fn linger(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

#[test]
fn a_checkpoint_that_was_reported_saved_survives_a_kill_in_the_middle_of_the_next() {
    let directory = TempDir::new("state-crash").unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut killed_while_writing = 0;
    for round in 1..=ROUNDS {
        let mut child = child::start(&child::arguments("crash::child_saves_until_it_is_killed"), directory.path());
        assert_eq!(child.line(), Some(format!("begun {round}")), "the epoch of every life is above the last");
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut last = String::new();
        for _ in 0..random % 60 + 1 {
            last = child.line().expect("the child goes on until it is killed");
        }
        linger(random >> 8 & 0x3_ffff);
        last = child.kill().pop().unwrap_or(last);
        killed_while_writing += u64::from(stored(directory.path(), round, last.parse().unwrap()));
    }
    println!("{killed_while_writing} of {ROUNDS} kills fell between a commit and its report");
}

/// Checks the state against the last number reported; true when it is one ahead of that.
fn stored(directory: &Path, epoch: u64, reported: u64) -> bool {
    let store = Store::open(directory).expect("nobody holds the lock of a process that was killed");
    let state = store.pipeline(&name()).unwrap();
    assert_eq!(state.epoch.0, epoch);
    let found = number(&state).expect("a checkpoint was saved");
    assert!(found == reported || found == reported + 1, "stored {found}, reported {reported}");
    found > reported
}

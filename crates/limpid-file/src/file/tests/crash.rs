//! A process that is killed while it writes.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};

use limpid_stack::TempDir;

use super::{Duration, Fsync, child, numbers, options, write};
use crate::FileOptions;
use crate::file::tests::{files, opened, reported};
use limpid_connector::Clock;

const ROUNDS: u64 = 12;
const BATCH: u64 = 500;

#[test]
#[ignore = "run as a child that is killed"]
fn child_writes_until_it_is_killed() {
    let Some(directory) = child::directory() else { return };
    let path = directory.join("rows");
    let first: u64 = fs::read_to_string(directory.join("next")).unwrap().parse().unwrap();
    let rotated = FileOptions { rotate_bytes: Some(4 << 20), ..options(&path, Fsync::Batch) };
    let mut sink = opened(rotated, &Clock::system());
    let mut durable = first;
    for step in 0.. {
        write(&mut sink, first + step * BATCH, BATCH);
        durable += reported(&mut sink, Duration::ZERO);
        child::say(&durable.to_string());
    }
}

#[test]
fn a_kill_leaves_every_line_that_was_reported_durable_and_no_half_line_after_the_next_start() {
    let directory = TempDir::new("file-crash").unwrap();
    let path = directory.path().join("rows");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut durable = 0;
    let mut halves = 0;
    for _ in 0..ROUNDS {
        fs::write(directory.path().join("next"), durable.to_string()).unwrap();
        let name = "file::tests::crash::child_writes_until_it_is_killed";
        let mut child = child::start(&child::arguments(name), directory.path());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut last = String::new();
        for _ in 0..random % 20 + 1 {
            last = child.line().expect("the child goes on until it is killed");
        }
        for _ in 0..random >> 8 & 0x3_ffff {
            std::hint::spin_loop();
        }
        last = child.kill().pop().unwrap_or(last);
        durable = last.parse().unwrap();
        let left = fs::read(&path).unwrap_or_default();
        halves += u64::from(left.last().is_some_and(|byte| *byte != b'\n'));
        drop(opened(options(&path, Fsync::Batch), &Clock::system()));
        let found: BTreeSet<u64> = files(&path).iter().flat_map(|path| numbers(path)).collect();
        assert!((0..durable).all(|number| found.contains(&number)), "a line below {durable} is missing");
    }
    // A kill rarely meets the write itself; a half line is made by hand once, so that the case is never left out.
    println!("{halves} of {ROUNDS} kills left half a line");
    let len = fs::metadata(&path).unwrap().len();
    if len > 0 {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 1).unwrap();
        let sink = opened(options(&path, Fsync::Batch), &Clock::system());
        drop(sink);
        numbers(&path);
    }
}

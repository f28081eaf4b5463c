//! Tests of the file sink: what is reported when, rotation, what a path may be, and (below) a killed process and a
//! full disk.

mod child;
mod crash;
mod disk;

use std::fs;
use std::path::{Path, PathBuf};

use limpid_model::FaultKind;
use limpid_stack::TempDir;

use super::*;
use crate::sample::batch;

const NOW: Duration = Duration::ZERO;

fn options(path: &Path, fsync: Fsync) -> FileOptions {
    FileOptions { path: path.to_owned(), rotate_bytes: None, rotate_every: None, fsync }
}

fn opened(options: FileOptions, clock: &Clock) -> FileSink {
    let mut sink = FileSink::new(options, clock.clone());
    sink.open().unwrap();
    sink
}

fn refused(path: &Path) -> Fault {
    FileSink::new(options(path, Fsync::Batch), Clock::manual()).open().unwrap_err()
}

/// Writes a batch that must be taken.
fn write(sink: &mut FileSink, first: u64, count: u64) {
    assert!(matches!(sink.write(batch(first, count)), Ok(Accepted::Taken)));
}

/// How many records a poll reports durable.
fn reported(sink: &mut FileSink, wait: Duration) -> u64 {
    let mut events = Vec::new();
    sink.poll(wait, &mut events).unwrap();
    events.iter().map(records).sum()
}

fn records(event: &SinkEvent) -> u64 {
    let SinkEvent::Durable { delivered, .. } = event else { panic!("{event:?}") };
    assert!(delivered.iter().all(|delivered| delivered.partition == -1 && delivered.offsets == (-1, -1)));
    delivered.iter().map(|delivered| u64::from(delivered.records)).sum()
}

/// The files that were put aside, in the order of their making, then the one written to.
fn files(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let entries = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let aside = |other: &PathBuf| other.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}."));
    let mut files: Vec<PathBuf> = entries.filter(aside).collect();
    files.sort();
    files.push(path.to_owned());
    files
}

/// The numbers in a file's lines, each of which must be a whole one.
fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends in half a line", path.display());
    let number = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        assert_eq!(line["key"]["n"], line["value"]["n"]);
        line["value"]["n"].as_u64().expect("a number")
    };
    text.lines().map(number).collect()
}

/// The numbers of all files; `end` of them, in order, none missing and none twice.
fn check_complete(path: &Path, end: u64) {
    let all: Vec<u64> = files(path).iter().flat_map(|path| numbers(path)).collect();
    let first_wrong = all.iter().zip(0..).find(|(found, expected)| *found != expected);
    assert!(first_wrong.is_none() && all.len() as u64 == end, "{} of {end}, wrong: {first_wrong:?}", all.len());
}

#[test]
fn a_batch_is_reported_when_the_chosen_level_allows_it() {
    let dir = TempDir::new("file-level").unwrap();
    for fsync in [Fsync::Never, Fsync::Batch] {
        let path = dir.path().join(format!("{fsync:?}"));
        let mut sink = opened(options(&path, fsync), &Clock::manual());
        write(&mut sink, 0, 3);
        write(&mut sink, 3, 2);
        assert!(sink.held_bytes().0 > 0);
        assert_eq!((reported(&mut sink, NOW), reported(&mut sink, NOW)), (5, 0), "{fsync:?}");
        assert_eq!(sink.held_bytes().0, 0);
        let file = sink.file.as_ref().unwrap();
        assert_eq!(file.synced() == file.end(), fsync == Fsync::Batch);
        check_complete(&path, 5);
    }
}

#[test]
fn with_an_interval_nothing_is_reported_before_the_disk_was_asked() {
    let dir = TempDir::new("file-interval").unwrap();
    let path = dir.path().join("rows");
    let clock = Clock::manual();
    let mut sink = opened(options(&path, Fsync::Interval), &clock);
    write(&mut sink, 0, 3);
    assert_eq!(reported(&mut sink, NOW), 0);
    assert_eq!(sink.file.as_ref().unwrap().synced(), 0);
    assert_eq!(reported(&mut sink, Duration::from_millis(900)), 0);
    write(&mut sink, 3, 1);
    let before = clock.nanos();
    assert_eq!(reported(&mut sink, Duration::from_secs(60)), 4);
    assert_eq!(clock.nanos() - before, 100_000_000, "it waits no longer than is left of the interval");
    let file = sink.file.as_ref().unwrap();
    assert_eq!(file.synced(), file.end());
}

#[test]
fn what_waits_for_the_disk_is_bounded_and_the_bound_makes_it_be_asked() {
    let dir = TempDir::new("file-bound").unwrap();
    let path = dir.path().join("rows");
    let mut sink = opened(options(&path, Fsync::Interval), &Clock::manual());
    let mut large = batch(0, 1);
    large.bytes.resize(HELD_BYTES_MAX as usize + 1, b' ');
    assert!(matches!(sink.write(large), Ok(Accepted::Taken)), "one that is larger than the bound passes alone");
    let Ok(Accepted::Full(second)) = sink.write(batch(1, 1)) else { panic!("the bound does not hold") };
    assert_eq!(reported(&mut sink, NOW), 1, "without waiting for the interval");
    assert!(matches!(sink.write(second), Ok(Accepted::Taken)));
    assert_eq!(reported(&mut sink, NOW), 0, "the next one waits again");
}

#[test]
fn rotation_under_load_loses_nothing_and_writes_over_nothing() {
    for fsync in [Fsync::Never, Fsync::Batch, Fsync::Interval] {
        let dir = TempDir::new("file-rotate").unwrap();
        let path = dir.path().join("rows.jsonl");
        let rotated = FileOptions { rotate_bytes: Some(10_000), ..options(&path, fsync) };
        let clock = Clock::manual();
        let mut held = 0;
        // The second life meets the names of the first.
        for life in 0..2 {
            let mut sink = opened(rotated.clone(), &clock);
            for step in 0..100 {
                let first = life * 1000 + step * 10;
                write(&mut sink, first, 10);
                held += 10;
                if step % 3 == 0 {
                    held -= reported(&mut sink, Duration::from_millis(300));
                }
            }
            held -= reported(&mut sink, Duration::from_secs(2));
            assert_eq!(held, 0);
        }
        check_complete(&path, 2000);
        let files = files(&path);
        assert!(files.len() > 20, "{files:?}");
        for file in &files {
            let batch_bytes = 10 * 400;
            assert!(fs::metadata(file).unwrap().len() < 10_000 + batch_bytes);
        }
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("rows.jsonl.19700101T00000") && name.ends_with("Z-000"), "{name}");
    }
}

#[test]
fn an_old_file_is_put_aside_even_when_nothing_comes_and_an_empty_one_never() {
    let dir = TempDir::new("file-age").unwrap();
    let path = dir.path().join("rows");
    let clock = Clock::manual();
    let every = Some(Duration::from_secs(60));
    let mut sink = opened(FileOptions { rotate_every: every, ..options(&path, Fsync::Batch) }, &clock);
    assert_eq!(reported(&mut sink, Duration::from_secs(61)), 0);
    assert_eq!(reported(&mut sink, NOW), 0);
    assert_eq!(files(&path).len(), 1);
    write(&mut sink, 0, 1);
    assert_eq!(reported(&mut sink, NOW), 1);
    reported(&mut sink, Duration::from_secs(59));
    assert_eq!(files(&path).len(), 1, "an empty file's age begins with its first line");
    reported(&mut sink, Duration::from_secs(2));
    reported(&mut sink, NOW);
    assert_eq!(files(&path).len(), 2);
    assert!(numbers(&path).is_empty());
    check_complete(&path, 1);
}

#[test]
fn a_file_that_somebody_else_took_away_is_begun_anew_at_rotation() {
    let dir = TempDir::new("file-taken").unwrap();
    let path = dir.path().join("rows");
    let options = FileOptions { rotate_bytes: Some(1), ..options(&path, Fsync::Batch) };
    let mut sink = opened(options, &Clock::manual());
    write(&mut sink, 0, 1);
    fs::rename(&path, dir.path().join("rows.0")).unwrap();
    write(&mut sink, 1, 1);
    assert_eq!(reported(&mut sink, NOW), 2);
    check_complete(&path, 2);
}

#[test]
fn half_a_line_of_ours_is_cut_off_and_writing_goes_on_behind_whole_ones() {
    let dir = TempDir::new("file-half").unwrap();
    let path = dir.path().join("rows");
    let mut sink = opened(options(&path, Fsync::Batch), &Clock::manual());
    write(&mut sink, 0, 2);
    drop(sink);
    let whole = fs::read(&path).unwrap();
    let long = [&b"{\"topic\":\"shop.a\",\"key\":\""[..], &vec![b'x'; 200_000]].concat();
    for half in [&b"{"[..], b"{\"topic\":", b"{\"topic\":\"shop.a\",\"key\":{\"n\":", &long, &[0; 5000]] {
        fs::write(&path, [&whole[..], half].concat()).unwrap();
        let mut sink = opened(options(&path, Fsync::Batch), &Clock::manual());
        assert_eq!(fs::read(&path).unwrap(), whole);
        write(&mut sink, 2, 1);
        drop(sink);
        check_complete(&path, 3);
    }
    // Half of the very first line.
    fs::write(&path, b"{\"topic\":\"sh").unwrap();
    drop(opened(options(&path, Fsync::Batch), &Clock::manual()));
    assert!(numbers(&path).is_empty());
}

#[test]
fn a_file_that_is_not_ours_is_never_cut() {
    let dir = TempDir::new("file-foreign").unwrap();
    let path = dir.path().join("notes");
    for text in ["buy milk", "one\ntwo", "{\"topic\":1}\n{\"event\":"] {
        fs::write(&path, text).unwrap();
        assert_eq!(refused(&path).code(), FaultCode::SinkSettingInvalid, "{text:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn one_file_has_one_writer() {
    let dir = TempDir::new("file-two").unwrap();
    let path = dir.path().join("rows");
    let mut first = opened(options(&path, Fsync::Batch), &Clock::manual());
    let fault = refused(&path);
    assert_eq!((fault.code(), fault.kind()), (FaultCode::SinkSettingInvalid, FaultKind::Definite));
    first.open().expect("the same sink may open its file again");
    drop(first);
    opened(options(&path, Fsync::Batch), &Clock::manual());
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused_with_what_is_wrong() {
    let dir = TempDir::new("file-path").unwrap();
    let check = |path: &Path, code, sentence: &str| {
        let fault = refused(path);
        assert_eq!((fault.code(), fault.to_string().as_str()), (code, sentence));
        assert_eq!(fault.object(), Some(path.to_str().unwrap()));
    };
    check(dir.path(), FaultCode::SinkSettingInvalid, "sink.path is no ordinary file");
    check(Path::new("/dev/null"), FaultCode::SinkSettingInvalid, "sink.path is no ordinary file");
    let missing = dir.path().join("missing/rows");
    check(&missing, FaultCode::SinkSettingInvalid, "cannot open the file: its directory is missing");
}

#[test]
fn a_record_has_no_place_here() {
    let dir = TempDir::new("file-record").unwrap();
    let path = dir.path().join("rows");
    let mut sink = opened(options(&path, Fsync::Batch), &Clock::manual());
    sink.save_record(b"{}").unwrap();
    assert_eq!(sink.load_record().unwrap(), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(sink.endpoint(), path.display().to_string());
}

//! A disk that is full, and one where this user may not write.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use limpid_connector::{Accepted, Clock, Sink};
use limpid_model::{FaultCode, FaultKind};
use limpid_stack::{TempDir, Unavailable, require};

use super::{Duration, FileOptions, FileSink, Fsync, batch, child, files, numbers, opened, options, reported};

/// Runs the ignored test `name` under `wrapper`, which is first tried on `true`.
fn run(name: &str, what: &'static str, directory: &TempDir, wrapper: &[&str]) {
    let probe = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    let usable = probe.map_err(|error| error.to_string()).and_then(|output| {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(words) }
    });
    let Some(()) = require(usable.map_err(|why| Unavailable { server: what, why }.into())) else { return };
    let words = wrapper.iter().map(|word| (*word).to_owned()).chain(child::arguments(name));
    let mut child = child::start(&words.collect::<Vec<_>>(), directory.path());
    let (well, said) = child.finish();
    assert!(well && said.last().is_some_and(|line| line == "done"), "the child said {said:?}");
}

/// Takes all room that is left but so many bytes.
fn fill(path: &Path, but: u64) {
    let mut file = File::create(path).unwrap();
    for piece in [65_536, 4096, 1] {
        while file.write_all(&vec![b'x'; piece]).is_ok() {}
    }
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(but)).unwrap();
}

const BATCH: u64 = 50;

/// Hands in batches as the engine does: after a fault from the first that was not reported.
fn feed(sink: &mut FileSink, next: &mut u64, durable: &mut u64, steps: u64) -> Result<(), limpid_model::Fault> {
    for _ in 0..steps {
        assert!(matches!(sink.write(batch(*next, BATCH))?, Accepted::Taken));
        *next += BATCH;
        if (*next / BATCH).is_multiple_of(3) {
            *durable += reported(sink, Duration::ZERO);
        }
    }
    *durable += reported(sink, Duration::ZERO);
    Ok(())
}

#[test]
#[ignore = "run as a child on a small disk"]
fn child_fills_the_disk() {
    let Some(directory) = child::directory() else { return };
    let (path, ballast) = (directory.join("rows"), directory.join("ballast"));
    let rotated = FileOptions { rotate_bytes: Some(100_000), ..options(&path, Fsync::Batch) };
    let mut sink = opened(rotated, &Clock::manual());
    let (mut next, mut durable) = (0, 0);
    feed(&mut sink, &mut next, &mut durable, 4).unwrap();
    for round in 0..4u64 {
        fill(&ballast, round * 50_000);
        let fault = feed(&mut sink, &mut next, &mut durable, 1000).unwrap_err();
        assert_eq!((fault.code(), fault.kind()), (FaultCode::SinkDiskFull, FaultKind::Transient), "round {round}");
        let lines = numbers(&path).len() as u64;
        assert!(lines.is_multiple_of(BATCH), "round {round}: {lines} lines are no whole batches");
        let again = sink.write(batch(next, BATCH)).unwrap_err();
        assert_eq!(again.code(), FaultCode::SinkWriteFailed, "a sink that failed writes nothing until it is opened");
        fs::remove_file(&ballast).unwrap();
        sink.open().unwrap();
        next = durable;
        feed(&mut sink, &mut next, &mut durable, 4).unwrap();
        assert_eq!(next, durable);
    }
    let mut all: Vec<u64> = files(&path).iter().flat_map(|path| numbers(path)).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.into_iter().eq(0..durable), "lines are missing");
    child::say("done");
}

#[test]
fn a_full_disk_loses_nothing_and_leaves_no_half_line() {
    let directory = TempDir::new("file-disk").unwrap();
    let script = "mount -t tmpfs -o size=1500k none \"$0\" && exec \"$@\"";
    let place = directory.path().display().to_string();
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, &place];
    run("file::tests::disk::child_fills_the_disk", "a small disk (unshare and mount)", &directory, &wrapper);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it wrote to the small disk only");
}

#[test]
#[ignore = "run as a child that is not all-powerful"]
fn child_may_not_write() {
    let Some(directory) = child::directory() else { return };
    let check = |path: &Path| {
        let fault = FileSink::new(options(path, Fsync::Batch), Clock::manual()).open().unwrap_err();
        assert_eq!((fault.code(), fault.kind()), (FaultCode::SinkWriteFailed, FaultKind::Definite));
        assert_eq!(fault.to_string(), "cannot open the file: this user may not write there");
    };
    check(&directory.join("closed/rows"));
    check(&directory.join("file"));
    child::say("done");
}

#[test]
fn a_place_where_this_user_may_not_write_is_refused_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new("file-rights").unwrap();
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    for path in [closed.clone(), directory.path().join("file")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    // Root may write anywhere, unless it leaves its capabilities behind.
    let wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let wrapper = if root { &wrapper[..] } else { &["env"] };
    run("file::tests::disk::child_may_not_write", "a user without rights (setpriv)", &directory, wrapper);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

//! A disk that is full, and one that is read-only.
//!
//! The disk is a small tmpfs in a mount namespace of the child's own: it is gone with the child, whatever happens.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use limpid_model::{FaultCode, FaultKind};
use limpid_stack::{TempDir, Unavailable, require};
use limpid_state::Store;

use crate::child;
use crate::sample::{begin, name, number, save};

/// Runs the ignored test `name` with a tmpfs of this size mounted at its directory.
fn on_small_disk(name: &str, size: &str) {
    let directory = TempDir::new("state-disk").unwrap();
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"].map(str::to_owned);
    let probe = Command::new(&unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let usable = probe.map_err(|error| error.to_string()).and_then(|output| {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(words) }
    });
    let usable = usable.map_err(|why| Unavailable { server: "a small disk (unshare and mount)", why }.into());
    let Some(()) = require(usable) else { return };
    let script = "mount -t tmpfs -o size=\"$0\" none \"$1\" && shift && exec \"$@\"";
    let words = ["sh", "-c", script, size, &directory.path().display().to_string()].map(str::to_owned);
    let words = [unshare.to_vec(), words.to_vec(), child::arguments(name)].concat();
    let mut child = child::start(&words, directory.path());
    let (well, said) = child.finish();
    assert!(well && said.last().is_some_and(|line| line == "done"), "the child said {said:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it wrote to the small disk only");
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [65_536, 4096, 1] {
        while file.write_all(&vec![b'x'; piece]).is_ok() {}
    }
}

#[test]
#[ignore = "run as a child on a small disk"]
fn child_fills_the_disk() {
    let Some(directory) = child::directory() else { return };
    let ballast = directory.join("ballast");
    let data = directory.join("data");
    fill(&ballast);
    let fault = Store::open(&data).unwrap_err();
    assert_eq!((fault.code(), fault.kind()), (FaultCode::StateDiskFull, FaultKind::Transient), "a first start");
    fs::remove_file(&ballast).unwrap();

    let store = Store::open(&data).unwrap();
    let (state, epoch) = begin(&store);
    let mut saved = None;
    for round in 0..3 {
        fill(&ballast);
        let first = saved.map_or(0, |n: u64| n + 10 - n % 10);
        let fault = (first..first + 10_000).find_map(|n| match save(&store, state.id, epoch, n) {
            Ok(()) => {
                saved = Some(n);
                None
            }
            Err(fault) => Some(fault),
        });
        let fault = fault.expect("the disk is full");
        assert_eq!((fault.code(), fault.kind()), (FaultCode::StateDiskFull, FaultKind::Transient), "round {round}");
        assert_eq!(fault.to_string().split(':').nth(1), Some(" the disk is full"));
        let found = store.pipeline(&name()).expect("reading needs no room");
        assert_eq!(number(&found), saved, "round {round}: what failed has changed nothing");
        fs::remove_file(&ballast).unwrap();
        let next = saved.map_or(0, |n| n + 10 - n % 10);
        save(&store, state.id, epoch, next).expect("saving goes on by itself once there is room");
        saved = Some(next);
    }
    // A restart on a full disk.
    fill(&ballast);
    drop(store);
    let reopened = Store::open(&data).and_then(|store| store.pipeline(&name()));
    match reopened {
        Ok(found) => assert_eq!(number(&found), saved),
        Err(fault) => assert_eq!(fault.code(), FaultCode::StateDiskFull),
    }
    fs::remove_file(&ballast).unwrap();
    let found = Store::open(&data).and_then(|store| store.pipeline(&name())).unwrap();
    assert_eq!(number(&found), saved);
    child::say("done");
}

#[test]
fn a_full_disk_is_waited_out_and_nothing_is_lost() {
    on_small_disk("disk::child_fills_the_disk", "512k");
}

#[test]
#[ignore = "run as a child on a small disk"]
fn child_meets_a_read_only_disk() {
    let Some(directory) = child::directory() else { return };
    let store = Store::open(&directory).unwrap();
    let (state, epoch) = begin(&store);
    save(&store, state.id, epoch, 0).unwrap();
    drop(store);
    let remount = |how| {
        let done = Command::new("mount").args(["-o", how]).arg(&directory).status().unwrap();
        assert!(done.success(), "{how}");
    };
    remount("remount,ro");
    let fault = Store::open(&directory).unwrap_err();
    assert_eq!((fault.code(), fault.kind()), (FaultCode::StateUnwritable, FaultKind::Definite));
    remount("remount,rw");
    let found = Store::open(&directory).unwrap().pipeline(&name()).unwrap();
    assert_eq!(number(&found), Some(0));
    child::say("done");
}

#[test]
fn a_read_only_disk_is_refused_at_once() {
    on_small_disk("disk::child_meets_a_read_only_disk", "2m");
}

#[test]
fn a_data_directory_that_cannot_be_one_is_refused() {
    let directory = TempDir::new("state-no-dir").unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert_eq!(Store::open(&path).unwrap_err().code(), FaultCode::StateUnwritable, "{}", path.display());
    }
    let taken = directory.path().join("taken");
    fs::create_dir_all(taken.join("limpid.db")).unwrap();
    assert_eq!(Store::open(&taken).unwrap_err().code(), FaultCode::StateUnwritable);
}

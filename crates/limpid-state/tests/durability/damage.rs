//! Bytes that changed behind our back.
//!
//! Whatever the damage, the state is refused with a code or is equal to what was saved. It is never mended, and
//! nothing of it is removed.

use std::fs;
use std::path::Path;

use limpid_model::{FaultCode, TableName};
use limpid_stack::TempDir;
use limpid_state::{HaltedTable, PipelineState, Store};

use crate::sample::{begin, name, number, save};

/// A state with a row of each kind, and what it holds.
fn healthy(directory: &Path) -> PipelineState {
    let store = Store::open(directory).unwrap();
    let (state, epoch) = begin(&store);
    for n in 0..=23 {
        save(&store, state.id, epoch, n).unwrap();
    }
    let halted = HaltedTable {
        table: TableName::new("shop", "orders"),
        code: FaultCode::StatementChange,
        position: "gtid:0-1-17".to_owned(),
        at_micros: 1_700_000_000_000_000,
        message: "a session changed it by a statement".to_owned(),
    };
    store.halt_table(&name(), &halted).unwrap();
    store.pipeline(&name()).unwrap()
}

/// Opens a damaged state: the state, or the code it was refused with.
fn open(directory: &Path) -> Result<PipelineState, FaultCode> {
    let found = Store::open(directory).and_then(|store| store.pipeline(&name()));
    found.map_err(|fault| fault.code())
}

struct Damage {
    directory: TempDir,
    good: Vec<u8>,
    expected: PipelineState,
}

impl Damage {
    fn new(name: &str) -> Self {
        let directory = TempDir::new(name).unwrap();
        let expected = healthy(directory.path());
        assert!(!directory.path().join("limpid.db-wal").exists(), "a closed state has no log");
        let good = fs::read(directory.path().join("limpid.db")).unwrap();
        Self { directory, good, expected }
    }

    /// Damages a fresh copy; true when the damage was found.
    fn check(&self, what: &str, damage: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut bytes = self.good.clone();
        damage(&mut bytes);
        let path = self.directory.path().join("limpid.db");
        for log in ["limpid.db-wal", "limpid.db-shm"] {
            let _ = fs::remove_file(self.directory.path().join(log));
        }
        fs::write(&path, &bytes).unwrap();
        match open(self.directory.path()) {
            Ok(state) => {
                assert_eq!(state, self.expected, "{what}: the state reads, and is another");
                false
            }
            Err(code) => {
                assert!(matches!(code, FaultCode::StateCorrupt | FaultCode::StateNewer), "{what}: {code}");
                assert!(fs::read(&path).unwrap() == bytes, "{what}: a refused state was written to");
                true
            }
        }
    }
}

#[test]
fn altered_bytes_are_refused_or_harmless_and_never_a_panic() {
    let damage = Damage::new("state-altered");
    let mut found = 0;
    let mut tried = 0;
    // The first page and every page's head closely, the rest with a stride that meets all columns of the rows.
    let close = |at: usize| at < 128 || at % 4096 < 24;
    for at in (0..damage.good.len()).filter(|at| close(*at) || at % 61 == 0) {
        let flip = 1u8 << (at % 8);
        tried += 1;
        found += usize::from(damage.check(&format!("bit {flip:#x} of byte {at}"), |bytes| bytes[at] ^= flip));
    }
    println!("{found} of {tried} altered bits refused; the others lie in bytes that hold nothing any more");
}

/// SQLite's own check does not look into values: the seals do.
#[test]
fn one_bit_of_a_value_that_a_restart_relies_on_never_goes_unseen() {
    let damage = Damage::new("state-values");
    let checkpoint = damage.expected.checkpoint.clone().unwrap();
    let history = damage.expected.history.clone().unwrap();
    let halted = &damage.expected.halted[0];
    let id = damage.expected.id.to_string();
    let undecided = checkpoint.record.undecided.first().unwrap();
    let cursor = checkpoint.record.cursors.first().unwrap();
    for value in [&id, &checkpoint.record.delivered, undecided, cursor, &history.holds_from, &halted.message] {
        check_value(&damage, value.as_bytes());
    }
    check_value(&damage, &history.definitions[..64]);
}

/// Somewhere in the file the value stands where each of its bytes is guarded; elsewhere may be what is left of rows
/// that were replaced.
fn check_value(damage: &Damage, value: &[u8]) {
    let starts = (0..damage.good.len()).filter(|at| damage.good[*at..].starts_with(value));
    let guarded = |start: usize| {
        // Not bit 5: it makes another case of a letter, and an id in capitals is the same id.
        (start..start + value.len()).all(|at| damage.check(&format!("byte {at}"), |bytes| bytes[at] ^= 1 << (at % 5)))
    };
    assert!(starts.into_iter().any(guarded), "{:?}", String::from_utf8_lossy(value));
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let damage = Damage::new("state-cut");
    let pages = damage.good.len() / 4096;
    for len in (0..pages * 4096).step_by(509) {
        let found = damage.check(&format!("cut to {len}"), |bytes| bytes.truncate(len));
        // The last page may be a free one.
        assert!(found || len > (pages - 1) * 4096, "cut to {len}");
    }
}

#[test]
fn pages_that_were_lost_or_swapped_are_refused_or_harmless() {
    let damage = Damage::new("state-pages");
    let pages = damage.good.len() / 4096;
    let mut found = 0;
    for page in 0..pages {
        let range = page * 4096..(page + 1) * 4096;
        found += usize::from(damage.check(&format!("page {page} zeroed"), |bytes| bytes[range.clone()].fill(0)));
        damage.check(&format!("page {page} garbage"), |bytes| bytes[range.clone()].fill(0xa5));
        for other in page + 1..pages {
            damage.check(&format!("pages {page} and {other} swapped"), |bytes| {
                let (head, tail) = bytes.split_at_mut(other * 4096);
                head[range.clone()].swap_with_slice(&mut tail[..4096]);
            });
        }
    }
    // One page a table at least, and the first.
    assert!(found >= 6, "{found} of {pages} pages missed when zeroed");
}

#[test]
fn what_is_no_state_is_refused_and_left_alone() {
    let damage = Damage::new("state-other");
    assert!(damage.check("text", |bytes| *bytes = b"not a database at all, but somebody's notes\n".repeat(100)));
    assert!(damage.check("nothing", Vec::clear));
    assert!(damage.check("another program's database", |bytes| bytes[68..72].copy_from_slice(b"GPKG")));
    let newer = |bytes: &mut Vec<u8>| bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    assert!(damage.check("a newer layout", newer));
    assert_eq!(open(damage.directory.path()), Err(FaultCode::StateNewer));
    assert!(damage.check("no layout", |bytes| bytes[60..64].fill(0)));
}

#[test]
fn a_log_without_its_file_is_no_fresh_start() {
    let directory = TempDir::new("state-gone").unwrap();
    healthy(directory.path());
    fs::remove_file(directory.path().join("limpid.db")).unwrap();
    fs::write(directory.path().join("limpid.db-wal"), b"something").unwrap();
    assert_eq!(open(directory.path()), Err(FaultCode::StateCorrupt));
    assert!(directory.path().join("limpid.db-wal").exists());
}

/// SQLite takes a damaged log for one that ends before the damage. An older checkpoint repeats rows, which is allowed;
/// none at all would lose them.
#[test]
fn a_damaged_log_leads_back_to_an_earlier_checkpoint_and_never_to_none() {
    let source = TempDir::new("state-log-source").unwrap();
    let store = Store::open(source.path()).unwrap();
    let (state, epoch) = begin(&store);
    for n in 0..=23 {
        save(&store, state.id, epoch, n).unwrap();
    }
    // Copied while it is open: nothing is being written.
    let file = fs::read(source.path().join("limpid.db")).unwrap();
    let log = fs::read(source.path().join("limpid.db-wal")).unwrap();
    drop(store);
    assert!(log.len() > 32, "the log holds the later checkpoints");

    let directory = TempDir::new("state-log").unwrap();
    let mut oldest = u64::MAX;
    for at in (0..log.len()).filter(|at| *at < 64 || at % 1021 == 0) {
        let mut damaged = log.clone();
        damaged[at] ^= 1 << (at % 8);
        let _ = fs::remove_file(directory.path().join("limpid.db-shm"));
        fs::write(directory.path().join("limpid.db"), &file).unwrap();
        fs::write(directory.path().join("limpid.db-wal"), &damaged).unwrap();
        match open(directory.path()) {
            Ok(found) => {
                assert_eq!((found.id, found.epoch), (state.id, epoch), "byte {at}");
                oldest = oldest.min(number(&found).unwrap_or_else(|| panic!("byte {at}: no checkpoint")));
            }
            Err(code) => assert_eq!(code, FaultCode::StateCorrupt, "byte {at}"),
        }
    }
    assert_eq!(oldest, 0, "a log that is damaged at its head holds nothing");
}

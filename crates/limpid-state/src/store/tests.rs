//! Tests of the store: what a restart finds, which histories are kept, what is refused, migration.

use std::collections::BTreeMap;
use std::fs;

use limpid_model::{ChangeNumber, FaultCode, Flow, FlowCounts, FlowSums, PipelineId};
use limpid_stack::TempDir;

use super::*;
use crate::{FlowState, FlowWindow};

fn shop() -> PipelineName {
    PipelineName::parse("shop").unwrap()
}

fn record(id: PipelineId, epoch: Epoch, schema_version: u32) -> PositionRecord {
    PositionRecord {
        pipeline: shop(),
        id,
        epoch,
        change: ChangeNumber(0),
        delivered: "gtid:0-1-5+0-1-6/17".to_owned(),
        read_from: "gtid:0-1-5".to_owned(),
        undecided: vec!["X'61','',1".to_owned(), "\"\\\u{1}é".to_owned()],
        rows_done: u64::MAX,
        cursors: vec!["shop.orders:\"a\"".to_owned()],
        schema_version,
        selection: Some(1 << 63),
        flow: Vec::new(),
    }
}

/// A pipeline in its first life.
fn begun(name: &str) -> (TempDir, Store, PipelineId) {
    let dir = TempDir::new(name).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = store.pipeline(&shop()).unwrap().id;
    store.begin(&shop(), Epoch(1)).unwrap();
    (dir, store, id)
}

#[test]
fn a_first_start_finds_nothing_and_keeps_its_id() {
    let dir = TempDir::new("state-first").unwrap();
    let made = dir.path().join("a/b");
    let store = Store::open(&made).unwrap();
    let first = store.pipeline(&shop()).unwrap();
    assert_eq!((first.epoch, first.change), (Epoch(0), ChangeNumber(0)));
    assert!(first.checkpoint.is_none() && first.history.is_none() && first.halted.is_empty());
    let other = store.pipeline(&PipelineName::parse("other").unwrap()).unwrap();
    assert_ne!(first.id, other.id);
    drop(store);
    assert_eq!(Store::open(&made).unwrap().pipeline(&shop()).unwrap(), first);
}

#[test]
fn a_change_number_is_raised_for_good_and_a_record_may_have_it() {
    let (dir, store, id) = begun("state-change");
    assert_eq!(store.raise_change(&shop()).unwrap(), ChangeNumber(1));
    assert_eq!(store.raise_change(&shop()).unwrap(), ChangeNumber(2));
    let saved = PositionRecord { change: ChangeNumber(2), ..record(id, Epoch(1), 1) };
    store.save_checkpoint(&shop(), &saved, 0).unwrap();
    drop(store);
    let found = Store::open(dir.path()).unwrap().pipeline(&shop()).unwrap();
    assert_eq!((found.change, found.checkpoint.unwrap().record.change), (ChangeNumber(2), ChangeNumber(2)));
}

#[test]
fn a_restart_finds_the_checkpoint_as_it_was_saved() {
    let (dir, store, id) = begun("state-again");
    let mut saved = record(id, Epoch(1), 3);
    store.save_checkpoint(&shop(), &saved, u64::MAX).unwrap();
    saved.undecided.pop();
    saved.cursors.push(String::new());
    saved.delivered = "file:binlog.000001:4".to_owned();
    store.save_checkpoint(&shop(), &saved, 1 << 63).unwrap();
    store.begin(&shop(), Epoch(u64::MAX)).unwrap();
    drop(store);
    let found = Store::open(dir.path()).unwrap().pipeline(&shop()).unwrap();
    assert_eq!(found.epoch, Epoch(u64::MAX));
    let checkpoint = found.checkpoint.unwrap();
    assert_eq!((checkpoint.record, checkpoint.selection), (saved, 1 << 63));
}

#[test]
fn pipelines_in_one_state_do_not_see_each_other() {
    let (_dir, store, id) = begun("state-two");
    let other = PipelineName::parse("other").unwrap();
    store.pipeline(&other).unwrap();
    store.save_checkpoint(&shop(), &record(id, Epoch(1), 0), 1).unwrap();
    store.save_history(&shop(), 7, "gtid:0-1-5", b"tables").unwrap();
    let found = store.pipeline(&other).unwrap();
    assert_eq!((found.epoch, found.checkpoint), (Epoch(0), None));
    assert_eq!(store.history_at(&other, 9).unwrap(), None);
}

/// The versions stored, by asking for each.
fn versions(store: &Store) -> Vec<u32> {
    let mut found: Vec<u32> =
        (0..20).filter_map(|at| store.history_at(&shop(), at).unwrap()).map(|history| history.version).collect();
    found.dedup();
    found
}

#[test]
fn the_history_of_the_checkpoint_outlives_newer_ones_until_the_checkpoint_passes_them() {
    let (dir, store, id) = begun("state-history");
    let save = |version: u32| {
        store.save_history(&shop(), version, &format!("gtid:0-1-{version}"), &[version as u8; 3]).unwrap();
    };
    let pass = |version: u32| store.save_checkpoint(&shop(), &record(id, Epoch(1), version), 0).unwrap();
    save(2);
    pass(2);
    save(5);
    save(9);
    assert_eq!(versions(&store), [2, 5, 9]);
    // Rows between 5 and 9: no history has the very number.
    pass(6);
    assert_eq!(store.pipeline(&shop()).unwrap().history.unwrap().version, 5);
    assert_eq!(versions(&store), [2, 5, 9], "the sink's record may be one checkpoint behind");
    pass(9);
    assert_eq!(versions(&store), [5, 9]);
    pass(9);
    assert_eq!(versions(&store), [9]);
    drop(store);
    let history = Store::open(dir.path()).unwrap().pipeline(&shop()).unwrap().history.unwrap();
    assert_eq!((history.holds_from.as_str(), history.definitions.as_slice()), ("gtid:0-1-9", &[9; 3][..]));
}

#[test]
fn a_restart_that_reads_the_log_otherwise_replaces_what_no_checkpoint_passed() {
    let (_dir, store, id) = begun("state-otherwise");
    let save = |version: u32, definitions: &[u8]| store.save_history(&shop(), version, "p", definitions).unwrap();
    save(2, b"a");
    store.save_checkpoint(&shop(), &record(id, Epoch(1), 2), 0).unwrap();
    save(3, b"b");
    save(4, b"c");
    // Killed here. The same again, and the same as the checkpoint's, then another.
    save(2, b"a");
    assert_eq!(versions(&store), [2, 3, 4]);
    save(3, b"other");
    assert_eq!(versions(&store), [2, 3]);
    assert_eq!(store.history_at(&shop(), 9).unwrap().unwrap().definitions, b"other");
}

#[test]
#[should_panic(expected = "would replace what the checkpoint at version 2 needs")]
fn a_history_never_replaces_the_one_that_the_checkpoint_needs() {
    let (_dir, store, id) = begun("state-replaces");
    store.save_history(&shop(), 2, "p", b"a").unwrap();
    store.save_checkpoint(&shop(), &record(id, Epoch(1), 2), 0).unwrap();
    let _ = store.save_history(&shop(), 2, "p", b"b");
}

#[test]
fn the_first_fault_of_a_table_stands_until_it_is_cleared() {
    let (dir, store, _) = begun("state-halted");
    let orders = TableName::new("shop", "orders");
    let halted = |code, position: &str| HaltedTable {
        table: orders.clone(),
        code,
        position: position.to_owned(),
        at_micros: -1,
        message: "why".to_owned(),
    };
    let first = halted(FaultCode::StatementChange, "gtid:0-1-1");
    store.halt_table(&shop(), &first).unwrap();
    store.halt_table(&shop(), &halted(FaultCode::RowUndecodable, "gtid:0-1-9")).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.pipeline(&shop()).unwrap().halted, [first]);
    assert!(store.clear_halted(&shop(), &orders).unwrap());
    assert!(!store.clear_halted(&shop(), &orders).unwrap());
    assert!(store.pipeline(&shop()).unwrap().halted.is_empty());
}

#[test]
#[should_panic(expected = "an epoch only grows")]
fn two_lives_never_have_one_epoch() {
    let (_dir, store, _) = begun("state-epoch");
    let _ = store.begin(&shop(), Epoch(1));
}

#[test]
fn a_late_saver_of_an_earlier_life_changes_nothing_and_stops_nobody_else() {
    let (_dir, store, id) = begun("state-late");
    store.begin(&shop(), Epoch(2)).unwrap();
    let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.save_checkpoint(&shop(), &record(id, Epoch(1), 0), 0)
    }));
    assert!(late.is_err());
    assert_eq!(store.pipeline(&shop()).unwrap().checkpoint, None);
    store.save_checkpoint(&shop(), &record(id, Epoch(2), 0), 0).unwrap();
}

#[test]
fn an_interrupted_creation_is_begun_anew() {
    let dir = TempDir::new("state-partial").unwrap();
    fs::write(dir.path().join("limpid.db.new"), "half").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.pipeline(&shop()).unwrap().epoch, Epoch(0));
    assert!(!dir.path().join("limpid.db.new").exists());
}

#[test]
fn the_state_and_its_log_are_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _store, _) = begun("state-mode");
    for name in ["limpid.db", "limpid.db-wal", "limpid.lock"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}

/// A layout that the next release might have.
const NEXT: &str = "ALTER TABLE checkpoint ADD COLUMN saved_by TEXT; CREATE TABLE parked (id INTEGER) STRICT;";
const BROKEN: &str = "CREATE TABLE parked (id INTEGER) STRICT; CREATE TABLE pipeline (id INTEGER) STRICT;";

#[test]
fn an_older_state_is_copied_before_it_is_migrated() {
    let (dir, store, id) = begun("state-older");
    store.save_checkpoint(&shop(), &record(id, Epoch(1), 0), 5).unwrap();
    let before = store.pipeline(&shop()).unwrap();
    drop(store);
    let layouts = [LAYOUTS, &[NEXT]].concat();

    let store = Store::open_as(dir.path(), &layouts).unwrap();
    assert_eq!(store.pipeline(&shop()).unwrap(), before);
    drop(store);
    drop(Store::open_as(dir.path(), &layouts).unwrap());
    let backup = dir.path().join("limpid.db.layout-1.backup");
    assert!(backup.exists());
    assert!(!dir.path().join("limpid.db.layout-1.backup-2").exists(), "a state that is up to date is not copied");

    let fault = Store::open(dir.path()).unwrap_err();
    assert_eq!(fault.code(), FaultCode::StateNewer);
    assert_eq!(fault.to_string(), "the state has layout 2; this release reads up to 1");

    // The copy is a whole state that the older release goes on with, and a second migration keeps the first copy.
    fs::rename(&backup, dir.path().join("limpid.db")).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().pipeline(&shop()).unwrap(), before);
    fs::write(&backup, "kept").unwrap();
    drop(Store::open_as(dir.path(), &layouts).unwrap());
    assert_eq!(fs::read(&backup).unwrap(), b"kept");
    assert!(dir.path().join("limpid.db.layout-1.backup-2").exists());
}

#[test]
fn a_migration_that_fails_leaves_the_state_as_it_was() {
    let (dir, store, id) = begun("state-half");
    store.save_checkpoint(&shop(), &record(id, Epoch(1), 0), 5).unwrap();
    let before = store.pipeline(&shop()).unwrap();
    drop(store);
    assert!(Store::open_as(dir.path(), &[LAYOUTS, &[NEXT, BROKEN]].concat()).is_err());
    assert_eq!(Store::open(dir.path()).unwrap().pipeline(&shop()).unwrap(), before);
}

#[test]
fn a_window_is_kept_with_its_position_and_the_totals_for_ever() {
    let (dir, store, id) = begun("state-flow");
    assert_eq!(store.flow(&shop()).unwrap(), FlowState::default());
    let (table, mut totals) = (TableName::new("a.b", "c d"), BTreeMap::new());
    for number in 1..=200 {
        let mut counts = FlowCounts::default();
        counts.add(Flow::Read, 2);
        // One window does not add up, and one is set right.
        counts.add(Flow::Delivered, if number == 3 { 1 } else { 2 });
        totals.entry(table.clone()).or_insert_with(FlowCounts::default).merge(&counts);
        let mut sums = FlowSums::default();
        sums.add(&table, &counts);
        let (from, to) = (format!("gtid:{}", number - 1), format!("gtid:{number}"));
        let window = FlowWindow { number, from, to: to.clone(), at_micros: -1, sums };
        let saved = PositionRecord { delivered: to, ..record(id, Epoch(1), 1) };
        store.save_window(&shop(), (&saved, 0), &window, (&totals, number < 200)).unwrap();
    }
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let flow = store.flow(&shop()).unwrap();
    assert_eq!((flow.number, flow.is_whole, &flow.totals), (200, false, &totals));
    assert_eq!(totals[&table].difference(), 1);
    let numbers: Vec<u64> = flow.windows.iter().map(|window| window.number).collect();
    assert_eq!(numbers, [3].into_iter().chain(137..=200).collect::<Vec<u64>>());
    let state = store.pipeline(&shop()).unwrap();
    assert_eq!(state.checkpoint.as_ref().unwrap().record.delivered, "gtid:200");
    store.replace(&shop(), &state).unwrap();
    assert_eq!(store.flow(&shop()).unwrap(), flow, "it is the same pipeline's");
    store.replace(&shop(), &PipelineState { id: PipelineId(7), checkpoint: None, ..state }).unwrap();
    assert_eq!(store.flow(&shop()).unwrap(), FlowState::default());
}

#[test]
fn sums_that_were_altered_are_found() {
    for alter in [
        "UPDATE flow_total SET counts = '3,0,0,0,3,0,0,0,0'",
        "UPDATE flow SET number = 9",
        "UPDATE flow_window SET to_position = 'gtid:9'",
    ] {
        let (dir, store, id) = begun("state-flow-damage");
        let mut counts = FlowCounts::default();
        counts.add(Flow::Read, 2);
        let mut sums = FlowSums::default();
        sums.add(&TableName::new("s", "t"), &counts);
        let window = FlowWindow { number: 1, from: String::new(), to: String::new(), at_micros: 1, sums };
        let totals = window.sums.0.clone();
        store.save_window(&shop(), (&record(id, Epoch(1), 1), 0), &window, (&totals, true)).unwrap();
        store.connection.lock().unwrap().execute_batch(alter).unwrap();
        assert_eq!(store.flow(&shop()).unwrap_err().code(), FaultCode::StateCorrupt, "{alter}");
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap_err().code(), FaultCode::StateCorrupt, "{alter}");
    }
}

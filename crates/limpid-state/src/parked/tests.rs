//! Tests of parked rows: order, what a start forgets, replays, damage.

use std::fs;

use limpid_model::{ChangeNumber, Epoch, FaultCode, PipelineName, TableName};
use limpid_stack::TempDir;

use super::{ParkedKind, ToPark};
use crate::Store;

fn shop() -> PipelineName {
    PipelineName::parse("shop").unwrap()
}

fn begun(name: &str) -> (TempDir, Store) {
    let dir = TempDir::new(name).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.pipeline(&shop()).unwrap();
    store.begin(&shop(), Epoch(1)).unwrap();
    (dir, store)
}

fn row(key: u128, fault: Option<&str>, body: Vec<u8>) -> ToPark {
    ToPark {
        kind: ParkedKind::Parked,
        table: TableName::new("s", "t"),
        keys: vec![key, u128::MAX],
        operation: "update".into(),
        position: "gtid:0-1-5".into(),
        at_micros: -1,
        fault: fault.map(|message| (FaultCode::RecordTooLarge, message.to_owned())),
        superseded: false,
        body,
    }
}

fn ids(store: &Store) -> Vec<u64> {
    store.parked(&shop()).unwrap().iter().map(|row| row.id).collect()
}

#[test]
fn rows_come_back_in_their_order_and_equal_after_a_restart() {
    let (dir, store) = begun("parked-again");
    let large = vec![7; 3 << 20];
    let (first, one) = store.park(&shop(), &[row(1, Some("too large"), vec![1, 2])]).unwrap();
    let (second, more) = store.park(&shop(), &[row(1, None, large.clone()), row(2, None, Vec::new())]).unwrap();
    assert_eq!((first, second), (ChangeNumber(1), ChangeNumber(2)));
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.pipeline(&shop()).unwrap().change, second);
    let found = store.parked(&shop()).unwrap();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [one[0], more[0], more[1]]);
    assert_eq!(found[0].keys, [1, u128::MAX]);
    assert_eq!(found[0].fault, Some((FaultCode::RecordTooLarge, "too large".to_owned())));
    assert_eq!((found[1].bytes, found[1].change, &found[1].fault), (3 << 20, second, &None));
    assert_eq!(store.parked_body(&shop(), one[0]).unwrap(), Some(vec![1, 2]));
    assert_eq!(store.parked_body(&shop(), more[0]).unwrap(), Some(large));
    assert_eq!(store.parked_body(&shop(), 99).unwrap(), None);
    assert_eq!(fs::read_dir(dir.path().join("parked")).unwrap().count(), 1, "only the large one is a file");
    assert_eq!(store.drop_parked(&shop(), &[more[0], 99]).unwrap(), 1);
    assert_eq!(ids(&store), [one[0], more[1]]);
    assert_eq!(fs::read_dir(dir.path().join("parked")).unwrap().count(), 0);
    // An id is never used again.
    store.drop_parked(&shop(), &[more[1]]).unwrap();
    let (_, next) = store.park(&shop(), &[row(1, None, Vec::new())]).unwrap();
    assert!(next[0] > more[1]);
}

#[test]
fn a_start_forgets_what_its_record_does_not_pass_and_ends_replays_that_it_does() {
    let (dir, store) = begun("parked-settle");
    let (first, a) = store.park(&shop(), &[row(1, Some("x"), vec![0; 2 << 20]), row(1, None, vec![1])]).unwrap();
    let (second, b) = store.park(&shop(), &[row(2, Some("x"), vec![0; 2 << 20])]).unwrap();
    assert!(first < second);
    // A death between a file and its row.
    fs::write(dir.path().join("parked/4711.row"), b"x").unwrap();
    store.settle_parked(&shop(), second).unwrap();
    assert_eq!(ids(&store), [a[0], a[1], b[0]]);
    assert_eq!(fs::read_dir(dir.path().join("parked")).unwrap().count(), 2);
    store.settle_parked(&shop(), first).unwrap();
    assert_eq!(ids(&store), a, "the record is before the second");
    let third = store.begin_replay(&shop(), &a[..1], &[]).unwrap();
    store.settle_parked(&shop(), ChangeNumber(third.0 - 1)).unwrap();
    assert_eq!(ids(&store), a, "what was replayed was not committed");
    store.settle_parked(&shop(), ChangeNumber(third.0 + 5)).unwrap();
    assert_eq!(ids(&store), a, "and is not taken for a replay later");
    let fourth = store.begin_replay(&shop(), &a[..1], &[]).unwrap();
    store.settle_parked(&shop(), fourth).unwrap();
    assert_eq!(ids(&store), a[1..], "committed with its record");
    assert_eq!(fs::read_dir(dir.path().join("parked")).unwrap().count(), 0);
}

#[test]
fn a_refused_replay_has_its_new_cause_and_a_superseded_row_is_a_dead_letter() {
    let (_dir, store) = begun("parked-refused");
    let (_, id) = store.park(&shop(), &[row(1, Some("old"), vec![1]), row(1, None, vec![2])]).unwrap();
    let new = (FaultCode::RecordTooLarge, "new".to_owned());
    store.fail_replay(&shop(), &[(id[0], new.clone()), (99, new.clone())]).unwrap();
    store.settle_parked(&shop(), ChangeNumber(9)).unwrap();
    let found = store.parked(&shop()).unwrap();
    assert_eq!((found.len(), &found[0].fault, &found[1].fault), (2, &Some(new), &None));
    store.supersede_parked(&shop(), &id[..1]).unwrap();
    let found = store.parked(&shop()).unwrap();
    assert_eq!((found[0].kind, found[0].superseded), (ParkedKind::DeadLetter, true));
    assert_eq!((found[1].kind, found[1].superseded), (ParkedKind::Parked, false));
}

/// What superseded a row may not be passed by any record: then it is read again, and decided over again.
#[test]
fn a_supersession_that_no_record_passes_is_taken_back() {
    let (dir, store) = begun("parked-superseded");
    let (_, id) = store.park(&shop(), &[row(1, Some("x"), vec![1]), row(2, None, vec![2])]).unwrap();
    let first = store.supersede_parked(&shop(), &id[..1]).unwrap();
    // Again by a later one: the first is what counts.
    store.supersede_parked(&shop(), &id[..1]).unwrap();
    let replay = store.begin_replay(&shop(), &[], &id[1..]).unwrap();
    let seen = |store: &Store| -> Vec<(ParkedKind, bool)> {
        store.parked(&shop()).unwrap().iter().map(|row| (row.kind, row.superseded)).collect()
    };
    let (waits, is_over) = ((ParkedKind::Parked, false), (ParkedKind::DeadLetter, true));
    assert_eq!(seen(&store), [is_over, is_over]);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    store.settle_parked(&shop(), replay).unwrap();
    assert_eq!(seen(&store), [is_over, is_over]);
    store.settle_parked(&shop(), first).unwrap();
    assert_eq!(seen(&store), [is_over, waits], "the replay was not passed");
    store.settle_parked(&shop(), ChangeNumber(first.0 - 1)).unwrap();
    assert_eq!(seen(&store), [waits, waits], "and what kind of row it was is known");
}

/// Its rows are never read again: what was kept of it is all there is.
#[test]
fn rows_of_a_halted_table_stay_whatever_the_record_passes() {
    let (_dir, store) = begun("parked-halted");
    let other = ToPark { table: TableName::new("s", "other"), ..row(3, Some("x"), vec![3]) };
    let (_, id) = store.park(&shop(), &[row(1, Some("x"), vec![1]), other]).unwrap();
    let halted = crate::HaltedTable {
        table: TableName::new("s", "t"),
        code: FaultCode::RecordTooLarge,
        position: "gtid:0-1-4".into(),
        at_micros: 1,
        message: "too many".into(),
    };
    store.supersede_parked(&shop(), &id[..1]).unwrap();
    store.halt_table(&shop(), &halted).unwrap();
    store.settle_parked(&shop(), ChangeNumber(0)).unwrap();
    assert_eq!(ids(&store), id[..1], "the other table's is read again");
    assert!(store.parked(&shop()).unwrap()[0].superseded, "what superseded it may be at the sink");
}

#[test]
fn damage_is_found() {
    let (dir, store) = begun("parked-damage");
    let (_, id) = store.park(&shop(), &[row(1, Some("x"), vec![0; 2 << 20])]).unwrap();
    let file = dir.path().join(format!("parked/{}.row", id[0]));
    let mut body = fs::read(&file).unwrap();
    body[100] ^= 1;
    fs::write(&file, body).unwrap();
    assert_eq!(store.parked_body(&shop(), id[0]).unwrap_err().code(), FaultCode::StateCorrupt);
    fs::remove_file(&file).unwrap();
    assert_eq!(store.parked_body(&shop(), id[0]).unwrap_err().code(), FaultCode::StateCorrupt);
    drop(store);
    let connection = rusqlite::Connection::open(dir.path().join("limpid.db")).unwrap();
    connection.execute("UPDATE parked_row SET position = 'gtid:0-1-6'", []).unwrap();
    drop(connection);
    assert_eq!(Store::open(dir.path()).unwrap_err().code(), FaultCode::StateCorrupt);
}

/// A state of the release before has no such table.
#[test]
fn an_older_state_gets_the_table_and_keeps_its_number() {
    let (dir, store) = begun("parked-older");
    drop(store);
    let connection = rusqlite::Connection::open(dir.path().join("limpid.db")).unwrap();
    connection.execute_batch("DROP TABLE parked_row").unwrap();
    drop(connection);
    let store = Store::open(dir.path()).unwrap();
    store.park(&shop(), &[row(1, None, Vec::new())]).unwrap();
    assert_eq!(ids(&store).len(), 1);
}

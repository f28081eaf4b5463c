//! What is kept of prepared transactions, over restarts and damage.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::spool::SPILL_BYTES;
use super::*;
use crate::position::Flavor;

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("limpid-held-{}-{number}", std::process::id())))
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".xa") || name.ends_with(".part")).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn xid(name: &str) -> Xid {
    Xid { format: 1, gtrid: name.as_bytes().to_vec(), bqual: b"\x00b".to_vec() }
}

fn head(at: u64) -> RowsHead {
    RowsHead { kind: 30, seconds: 7, server: 1, at }
}

fn open(folder: &Folder, names: &[String]) -> Result<Held, Fault> {
    Held::open(Some(folder.0.clone()), Some(names), Arc::default())
}

fn names(held: &Held) -> Vec<String> {
    held.undecided().map_or(Vec::new(), |undecided| undecided.names.clone())
}

fn prepare(held: &mut Held, name: &str, place: &str, body: &[u8]) {
    held.map(5, 99, b"map").unwrap();
    held.rows(head(100), body).unwrap();
    // The same again is not written again.
    held.map(5, 99, b"map").unwrap();
    held.left_out(6).unwrap();
    held.left_out(6).unwrap();
    held.prepare(xid(name), place, vec![(3, 4)]).unwrap();
}

fn entries(held: &Held, name: &str) -> Vec<(Entry, Vec<u8>)> {
    let (mut reader, undone) = held.read(&xid(name)).unwrap().expect("held");
    assert_eq!(undone, [(3, 4)]);
    let mut entries = Vec::new();
    loop {
        let mut block = Vec::new();
        let Some(entry) = reader.next(&mut block).unwrap() else { return entries };
        let from = match entry {
            Entry::Map { from, .. } | Entry::Rows { from, .. } => from,
            Entry::Left { .. } => block.len(),
        };
        entries.push((entry, block[from..].to_vec()));
    }
}

#[test]
fn what_was_prepared_is_read_back_from_memory_from_its_file_and_after_a_restart() {
    for size in [10, SPILL_BYTES, 3 * SPILL_BYTES] {
        let folder = Folder::new();
        let mut held = open(&folder, &[]).unwrap();
        let body = vec![7; size];
        prepare(&mut held, "a", "0-1-5", &body);
        let expected = [
            (Entry::Map { definition: 99, from: 8 }, b"map".to_vec()),
            (Entry::Rows { head: head(100), from: 17 }, body.clone()),
            (Entry::Left { table: 6 }, Vec::new()),
        ];
        assert_eq!(entries(&held, "a"), expected, "{size} before it is persisted");
        held.persist().unwrap();
        assert_eq!(entries(&held, "a"), expected, "{size}");
        let names = names(&held);
        assert_eq!(names, ["X'61',X'0062',1@0-1-5"]);
        drop(held);
        let again = open(&folder, &names).unwrap();
        assert_eq!(entries(&again, "a"), expected, "{size} after a restart");
        assert_eq!(super::tests::names(&again), names);
    }
}

#[test]
fn a_file_stays_until_a_position_beyond_the_decision_is_saved() {
    let folder = Folder::new();
    let mut held = open(&folder, &[]).unwrap();
    let at = |held: &Held| LogPosition {
        undecided: held.undecided(),
        ..LogPosition::parse("gtid:0-1-9", Flavor::MariaDb).unwrap()
    };
    prepare(&mut held, "a", "0-1-5", b"x");
    prepare(&mut held, "b", "0-1-6", b"y");
    held.persist().unwrap();
    let before = at(&held);
    held.decide(&xid("b"));
    held.persist().unwrap();
    let between = at(&held);
    held.decide(&xid("a"));
    assert_eq!((names(&held).len(), folder.files().len()), (0, 2));
    held.saved(&before);
    assert_eq!(folder.files().len(), 2);
    held.saved(&between);
    assert_eq!(folder.files().len(), 1);
    // A crash here: the record says that one is still held, and it is.
    assert_eq!(entries(&open(&folder, &between.undecided.as_ref().unwrap().names).unwrap(), "a").len(), 3);
    held.saved(&at(&held));
    assert!(folder.files().is_empty());
}

#[test]
fn what_no_position_holds_is_cleared_at_a_start_and_what_is_missing_is_a_fault() {
    let folder = Folder::new();
    let mut held = open(&folder, &[]).unwrap();
    prepare(&mut held, "a", "0-1-5", &vec![1; 2 * SPILL_BYTES]);
    held.persist().unwrap();
    held.rows(head(1), &vec![1; 2 * SPILL_BYTES]).unwrap();
    let names = names(&held);
    assert_eq!(folder.files().len(), 2);
    drop(held);
    drop(open(&folder, &names).unwrap());
    assert_eq!(folder.files().len(), 1);
    drop(open(&folder, &[]).unwrap());
    assert!(folder.files().is_empty());
    let missing = open(&folder, &names).err().unwrap();
    assert_eq!(missing.code(), FaultCode::XaRowsLost);
    assert_eq!(Held::open(None, Some(&names), Arc::default()).err().unwrap().code(), FaultCode::XaRowsLost);
}

/// An operator moved the position, and the server may refuse it yet.
#[test]
fn a_start_elsewhere_clears_what_was_held_only_once_a_position_of_its_own_is_saved() {
    let folder = Folder::new();
    let mut held = open(&folder, &[]).unwrap();
    prepare(&mut held, "a", "0-1-5", b"x");
    held.persist().unwrap();
    let names = names(&held);
    let elsewhere = || Held::open(Some(folder.0.clone()), None, Arc::default()).unwrap();
    drop(elsewhere());
    drop(open(&folder, &names).unwrap());
    let mut held = elsewhere();
    prepare(&mut held, "b", "0-1-9", &vec![1; 2 * SPILL_BYTES]);
    held.persist().unwrap();
    held.rows(head(1), &vec![1; 2 * SPILL_BYTES]).unwrap();
    assert_eq!(folder.files().len(), 3);
    held.saved(&LogPosition::parse("gtid:0-1-9", Flavor::MariaDb).unwrap());
    assert_eq!(folder.files().len(), 2, "b, and what is being read");
    assert_eq!(entries(&held, "b").len(), 3);
}

#[test]
fn a_file_that_is_cut_off_or_changed_anywhere_is_a_fault() {
    let folder = Folder::new();
    let mut held = open(&folder, &[]).unwrap();
    prepare(&mut held, "a", "0-1-5", b"0123456789");
    held.persist().unwrap();
    let names = names(&held);
    let path = folder.0.join(&folder.files()[0]);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        for bytes in [&changed[..], &whole[..at]] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(open(&folder, &names).err().map(|fault| fault.code()), Some(FaultCode::XaRowsLost), "{at}");
            assert_eq!(held.read(&xid("a")).err().map(|fault| fault.code()), Some(FaultCode::XaRowsLost), "{at}");
        }
    }
    fs::write(&path, &whole).unwrap();
    open(&folder, &names).unwrap();
}

#[test]
fn a_transaction_that_was_forgotten_twice_is_given_up_once_the_end_of_the_log_is_reached() {
    let (folder, looks) = (Folder::new(), Arc::new(Looks::default()));
    let mut held = Held::open(Some(folder.0.clone()), Some(&[]), Arc::clone(&looks)).unwrap();
    let at = |gtid: &str| LogPosition::parse(gtid, Flavor::MariaDb).unwrap();
    held.list(Listed::new(Some(&folder.0), 0)).unwrap();
    assert!(!looks.is_holding());
    prepare(&mut held, "a", "0-1-5", b"x");
    prepare(&mut held, "b", "0-1-6", b"y");
    held.persist().unwrap();
    assert!(looks.is_holding());
    let (both, b): (HashSet<Xid>, HashSet<Xid>) = ([xid("a"), xid("b")].into(), [xid("b")].into());
    assert!(!looks.listed(&b));
    assert!(!looks.listed(&both), "listed again: it was none");
    assert!(!looks.listed(&b));
    assert!(looks.listed(&b));
    looks.ends_at(&at("gtid:0-1-20"));
    assert_eq!(held.presume(&at("gtid:0-1-19")).unwrap(), Vec::<String>::new());
    assert_eq!(held.presume(&at("gtid:0-1-20")).unwrap(), ["X'61',X'0062',1@0-1-5"]);
    assert_eq!(names(&held), ["X'62',X'0062',1@0-1-6"]);
    // A commit that comes all the same finds the rows; after a restart it is a fault.
    assert!(held.read(&xid("a")).unwrap().is_some());
    let listed = Listed::load(Some(&folder.0), 0).unwrap();
    assert_eq!((listed.why(&xid("a")), listed.why(&xid("b"))), (Some(Why::RolledBackUnseen), None));
}

#[test]
fn a_list_is_made_anew_for_other_tables_but_for_what_was_given_up() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    let mut listed = Listed::new(Some(&folder.0), 1);
    listed.add(xid("a"), Why::BeforeStart);
    listed.add(xid("b"), Why::RolledBackUnseen);
    listed.save().unwrap();
    let same = Listed::load(Some(&folder.0), 1).unwrap();
    assert_eq!((same.why(&xid("a")), same.why(&xid("b"))), (Some(Why::BeforeStart), Some(Why::RolledBackUnseen)));
    let other = Listed::load(Some(&folder.0), 2).err().unwrap();
    assert_eq!((other.why(&xid("a")), other.why(&xid("b"))), (None, Some(Why::RolledBackUnseen)));
    let path = folder.0.join("listed");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(" 1 ", " 2 ")).unwrap();
    assert!(Listed::load(Some(&folder.0), 1).is_err(), "its checksum does not hold");
}

#[test]
fn an_answer_to_xa_recover_is_read() {
    let row = |texts: [&[u8]; 4]| texts.map(|text| Some(text.to_vec())).to_vec();
    let rows = vec![row([b"7", b"1", b"2", b"a\x00b"]), row([b"1", b"9", b"0", b"short"]), Vec::new()];
    let expected = Xid { format: 7, gtrid: b"a".to_vec(), bqual: b"\x00b".to_vec() };
    assert_eq!(recovered(&rows), [expected].into());
}

//! What is kept of prepared transactions, over restarts and damage.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::spool::SPILL_BYTES;
use super::*;
use crate::copy::ServerMark;
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
    held.persist().unwrap();
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

fn server(id: u32) -> ServerMark {
    ServerMark { id, uuid: String::new() }
}

fn at(gtid: &str) -> LogPosition {
    LogPosition::parse(gtid, Flavor::MariaDb).unwrap()
}

/// A place, with what is held there.
fn told(held: &Held, gtid: &str) -> LogPosition {
    LogPosition { undecided: held.undecided(), ..at(gtid) }
}

fn ids<const N: usize>(names: [&str; N]) -> HashSet<Xid> {
    names.map(xid).into()
}

/// Server 1 is the stream's; `a` and `b` are held.
fn watched(folder: &Folder) -> (Held, Arc<Looks>) {
    let looks = Arc::new(Looks::default());
    looks.belong_to(server(1));
    let mut held = Held::open(Some(folder.0.clone()), Some(&[]), Arc::clone(&looks)).unwrap();
    held.list(Listed::new(Some(&folder.0), 0)).unwrap();
    assert!(!looks.is_holding());
    prepare(&mut held, "a", "0-1-5", b"x");
    prepare(&mut held, "b", "0-1-6", b"y");
    held.persist().unwrap();
    assert!(looks.is_holding());
    (held, looks)
}

/// `a` was given up at the end of the log.
fn given_up(folder: &Folder) -> (Held, Arc<Looks>) {
    let (mut held, looks) = watched(folder);
    assert!(!looks.listed(&server(1), &ids(["b"])));
    assert!(looks.listed(&server(1), &ids(["b"])));
    looks.ends_at(&at("gtid:0-1-20"));
    assert_eq!(held.presume(&at("gtid:0-1-20")).unwrap().unwrap(), ["X'61',X'0062',1@0-1-5"]);
    held.persist().unwrap();
    (held, looks)
}

fn on_disk(folder: &Folder, name: &str) -> Option<Why> {
    Listed::load(Some(&folder.0), 0).unwrap().0.why(&xid(name))
}

#[test]
fn a_transaction_that_was_forgotten_twice_is_given_up_once_the_end_of_the_log_is_reached() {
    let folder = Folder::new();
    let (mut held, looks) = watched(&folder);
    assert!(!looks.listed(&server(1), &ids(["b"])));
    assert!(!looks.listed(&server(1), &ids(["a", "b"])), "listed again: it was none");
    assert!(!looks.listed(&server(1), &ids(["b"])));
    assert!(looks.listed(&server(1), &ids(["b"])));
    looks.ends_at(&at("gtid:0-1-20"));
    assert_eq!(held.presume(&at("gtid:0-1-19")).unwrap(), None);
    assert_eq!(held.presume(&at("gtid:0-1-20")).unwrap().unwrap(), ["X'61',X'0062',1@0-1-5"]);
    held.persist().unwrap();
    assert_eq!(names(&held), ["X'62',X'0062',1@0-1-6"]);
    // A commit that comes all the same finds the rows; after a restart it is a fault.
    assert!(held.read(&xid("a")).unwrap().is_some());
    assert_eq!((on_disk(&folder, "a"), on_disk(&folder, "b")), (Some(Why::RolledBackUnseen), None));
}

#[test]
fn what_another_server_lists_says_nothing() {
    let folder = Folder::new();
    let (mut held, looks) = watched(&folder);
    for _ in 0..3 {
        assert!(!looks.listed(&server(2), &ids([])));
    }
    looks.ends_at(&at("gtid:0-1-20"));
    assert_eq!(held.presume(&at("gtid:0-1-20")).unwrap(), None);
    assert_eq!(names(&held).len(), 2);
}

#[test]
fn what_was_given_up_too_early_is_held_again_once_it_is_listed() {
    let folder = Folder::new();
    let (mut held, looks) = given_up(&folder);
    assert!(!looks.listed(&server(1), &ids(["a", "b"])));
    assert_eq!(held.presume(&at("gtid:0-1-21")).unwrap().unwrap(), Vec::<String>::new());
    held.persist().unwrap();
    let names = names(&held);
    assert_eq!(names.len(), 2);
    held.saved(&told(&held, "gtid:0-1-21"));
    assert_eq!((held.listed(&xid("a")), on_disk(&folder, "a")), (None, None));
    assert_eq!(entries(&open(&folder, &names).unwrap(), "a").len(), 3, "after a restart");
    // It may be forgotten once more.
    assert!(!looks.listed(&server(1), &ids(["b"])));
    assert!(looks.listed(&server(1), &ids(["b"])));
    looks.ends_at(&at("gtid:0-1-30"));
    assert_eq!(held.presume(&at("gtid:0-1-30")).unwrap().unwrap().len(), 1);
}

/// A kill between the commit and the next record: the start after it meets the commit again, without the rows.
#[test]
fn an_id_that_was_given_up_stays_listed_until_a_position_beyond_its_commit_is_saved() {
    let folder = Folder::new();
    let (mut held, _looks) = given_up(&folder);
    let before = told(&held, "gtid:0-1-20");
    held.decide(&xid("a"));
    held.persist().unwrap();
    assert_eq!((held.listed(&xid("a")), on_disk(&folder, "a")), (None, Some(Why::RolledBackUnseen)));
    held.saved(&before);
    assert_eq!(on_disk(&folder, "a"), Some(Why::RolledBackUnseen));
    // Whatever else is saved meanwhile.
    held.listed.save().unwrap();
    assert_eq!(on_disk(&folder, "a"), Some(Why::RolledBackUnseen));
    held.saved(&told(&held, "gtid:0-1-21"));
    assert_eq!(on_disk(&folder, "a"), None);
}

#[test]
fn one_of_an_id_that_is_prepared_again_was_decided_without_a_word() {
    let folder = Folder::new();
    let mut held = open(&folder, &[]).unwrap();
    prepare(&mut held, "a", "0-1-5", b"x");
    held.rows(head(200), b"y").unwrap();
    let older = held.prepare(xid("a"), "0-1-7", Vec::new()).unwrap();
    assert_eq!(older.as_deref(), Some("X'61',X'0062',1@0-1-5"));
    assert_eq!(held.prepare_nothing(&xid("a")).as_deref(), Some("X'61',X'0062',1@0-1-7"));
    assert_eq!(held.prepare_nothing(&xid("a")), None);
    let (mut held, _looks) = given_up(&folder);
    assert_eq!(held.prepare_nothing(&xid("a")), None, "that was told before");
}

#[test]
fn what_could_not_be_kept_is_never_said_to_be() {
    for size in [10, 2 * SPILL_BYTES] {
        let folder = Folder::new();
        let mut held = open(&folder, &[]).unwrap();
        prepare(&mut held, "a", "0-1-5", &vec![1; size]);
        fs::remove_dir_all(&folder.0).unwrap();
        let first = held.persist().err().unwrap();
        assert_eq!(first.code(), FaultCode::StateUnwritable, "{size}");
        assert_eq!(names(&held), Vec::<String>::new());
        fs::create_dir_all(&folder.0).unwrap();
        assert_eq!(held.persist().err().map(|fault| fault.code()), Some(first.code()), "{size}: though it could now");
        assert!(held.check().is_err());
    }
}

#[test]
fn a_list_is_kept_for_other_tables_and_made_anew_where_it_is_damaged() {
    let folder = Folder::new();
    assert!(!Listed::load(Some(&folder.0), 1).unwrap().1, "there is no folder yet");
    fs::create_dir_all(&folder.0).unwrap();
    assert!(!Listed::load(Some(&folder.0), 1).unwrap().1);
    let mut listed = Listed::new(Some(&folder.0), 1);
    listed.add(xid("a"), Why::BeforeStart);
    listed.add(xid("b"), Why::RolledBackUnseen);
    listed.save().unwrap();
    for selection in [1, 2] {
        let (listed, is_same) = Listed::load(Some(&folder.0), selection).unwrap();
        assert_eq!(is_same, selection == 1, "what the server lists is added");
        let why = (listed.why(&xid("a")), listed.why(&xid("b")));
        assert_eq!(why, (Some(Why::BeforeStart), Some(Why::RolledBackUnseen)), "{selection}");
    }
    let path = folder.0.join("listed");
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [text.replace(" 1 ", " 2 ").into_bytes(), text.as_bytes()[..30].to_vec(), vec![0xff; 40]] {
        fs::write(&path, damaged).unwrap();
        let (listed, is_same) = Listed::load(Some(&folder.0), 1).unwrap();
        assert_eq!((is_same, listed.why(&xid("b"))), (false, None), "its checksum does not hold");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let fault = Listed::load(Some(&folder.0), 1).err().unwrap();
    assert_eq!(fault.code(), FaultCode::StateUnwritable, "nobody knows what it says");
}

#[test]
fn an_answer_to_xa_recover_is_read() {
    let row = |texts: [&[u8]; 4]| texts.map(|text| Some(text.to_vec())).to_vec();
    let rows = vec![row([b"7", b"1", b"2", b"a\x00b"]), row([b"1", b"9", b"0", b"short"]), Vec::new()];
    let expected = Xid { format: 7, gtrid: b"a".to_vec(), bqual: b"\x00b".to_vec() };
    assert_eq!(recovered(&rows), [expected].into());
}

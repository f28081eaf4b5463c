//! Two processes that want the same state.

use limpid_model::FaultCode;
use limpid_stack::TempDir;
use limpid_state::Store;

use crate::child;

#[test]
#[ignore = "run as a child that holds the state"]
fn child_holds_the_state() {
    let Some(directory) = child::directory() else { return };
    let _store = Store::open(&directory).unwrap();
    child::say("open");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_second_instance_is_refused_and_told_who_has_the_state() {
    let directory = TempDir::new("state-second").unwrap();
    let mut child = child::start(&child::arguments("second::child_holds_the_state"), directory.path());
    assert_eq!(child.line().as_deref(), Some("open"));

    let fault = Store::open(directory.path()).unwrap_err();
    assert_eq!(fault.code(), FaultCode::StateLocked);
    assert_eq!(fault.to_string(), format!("the data directory is in use by process {}", child.id()));

    child.kill();
    let ours = Store::open(directory.path()).expect("a dead process holds nothing");
    let fault = Store::open(directory.path()).unwrap_err();
    assert_eq!(fault.code(), FaultCode::StateLocked, "not even within one process");
    drop(ours);
    Store::open(directory.path()).unwrap();
}

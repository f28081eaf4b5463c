//! How a failure looks on stderr.
//!
//! Owns: the form `error[CODE]: sentence`, the place or object, the causes, the help and the page. Does not own: the
//! sentences.
//!
//! Invariant: nothing here adds a value or a secret that the fault did not carry.

use std::error::Error;
use std::fmt::Write;

use limpid_config::ConfigFault;
use limpid_model::{Fault, FaultCode, response_to};

/// The report of one fault.
pub fn fault(fault: &Fault) -> String {
    let mut text = format!("error[{}]: {fault}", fault.code());
    if let Some(object) = fault.object() {
        let _ = write!(text, "\n  --> {object}");
    }
    let mut cause = fault.source();
    while let Some(error) = cause {
        let _ = write!(text, "\n  because {error}");
        cause = error.source();
    }
    help(&mut text, fault.code(), fault.remedy());
    text
}

/// The report of one fault of a file.
pub fn config_fault(fault: &ConfigFault) -> String {
    let mut text = format!("error[{}]: {fault}\n  --> {}", fault.code(), fault.place());
    help(&mut text, fault.code(), fault.remedy().unwrap_or(response_to(fault.code()).1));
    text
}

fn help(text: &mut String, code: FaultCode, remedy: &str) {
    let _ = write!(text, "\nhelp: {remedy} (docs/faults/{code}.md)");
}

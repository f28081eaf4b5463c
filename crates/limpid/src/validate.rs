//! `limpid validate`: checks files offline.
//!
//! Owns: the order and the form of reports. Does not own: the checks (`limpid-config`, each connector's section).
//!
//! Invariant: connects to nothing.

use limpid_config::{ConfigFault, Process};
use limpid_model::response_to;
use serde_json::{Value, json};

use crate::cli::{Form, ValidateArguments};
use crate::registry::CONNECTORS;
use crate::report;

/// Checks every file and reports every fault. 0 when there is none, else 2.
pub fn validate(arguments: &ValidateArguments) -> u8 {
    let loaded = limpid_config::load(&arguments.files, &CONNECTORS, &Process);
    let code = if loaded.is_ok() { 0 } else { 2 };
    match (arguments.format, loaded) {
        (Form::Text, Ok(specs)) => specs.iter().for_each(|spec| println!("{}: valid", spec.name)),
        (Form::Text, Err(faults)) => faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault))),
        (Form::Json, Ok(specs)) => {
            let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
            println!("{:#}", json!({ "valid": true, "pipelines": names, "errors": [] }));
        }
        (Form::Json, Err(faults)) => {
            let errors: Vec<_> = faults.iter().map(error).collect();
            println!("{:#}", json!({ "valid": false, "pipelines": [], "errors": errors }));
        }
    }
    code
}

fn error(fault: &ConfigFault) -> Value {
    let code = fault.code();
    json!({
        "code": code.as_str(),
        "message": fault.to_string(),
        "place": fault.place().to_string(),
        "help": fault.remedy().unwrap_or(response_to(code).1),
        "page": format!("docs/faults/{code}.md"),
    })
}

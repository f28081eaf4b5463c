//! `limpid validate`: checks files offline.
//!
//! Owns: nothing but the order of reports. Does not own: the checks (`limpid-config`, each connector's section).
//!
//! Invariant: connects to nothing.

use limpid_config::Process;

use crate::cli::ValidateArguments;
use crate::registry::CONNECTORS;
use crate::report;

/// Checks every file and reports every fault. 0 when there is none, else 2.
pub fn validate(arguments: &ValidateArguments) -> u8 {
    match limpid_config::load(&arguments.files, &CONNECTORS, &Process) {
        Ok(specs) => {
            for spec in specs {
                println!("{}: valid", spec.name);
            }
            0
        }
        Err(faults) => {
            for fault in faults {
                eprintln!("{}", report::config_fault(&fault));
            }
            2
        }
    }
}

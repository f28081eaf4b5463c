//! `limpid doctor`: whether pipelines would run on the real systems, and how to mend what stands in their way.
//!
//! Owns: findings as text and JSON, the exit code. Does not own: the checks (the connectors' `doctor`, `disk`).
//!
//! Invariant: one line a check; nothing is changed anywhere. 10 when a check failed, else 3 when a system could not be
//! asked, else 0.

use std::fmt::Write;

use limpid_config::{PipelineSpec, Process};
use limpid_connector::{Clock, Finding, Outcome};
use limpid_model::FaultCode;
use serde_json::{Value, json};

use crate::cli::{DoctorArguments, Form};
use crate::registry::{self, CONNECTORS, Unmade};
use crate::{disk, report};

/// The word for an outcome. That a system could not be reached shows in the code and in the exit.
const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Warn => "warn",
        Outcome::Unreachable | Outcome::Fail => "fail",
    }
}

/// What was found for one pipeline; its name is empty for what all share.
struct Examined {
    pipeline: String,
    findings: Vec<Finding>,
}

/// Asks and shows.
pub fn doctor(arguments: &DoctorArguments) -> u8 {
    let specs = match limpid_config::load(&arguments.files, &CONNECTORS, &Process) {
        Ok(specs) => specs,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
            return 2;
        }
    };
    let clock = Clock::system();
    let mut all = vec![Examined { pipeline: String::new(), findings: disk::of_state(&arguments.data_dir) }];
    for spec in &specs {
        match registry::examine(spec, &clock) {
            Ok((_, grants)) if arguments.grants => print_grants(spec, &grants),
            Ok((findings, _)) => all.push(Examined { pipeline: spec.name.to_string(), findings }),
            Err(Unmade::Config(faults)) => {
                faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
                return 2;
            }
            Err(Unmade::Fault(fault)) => {
                eprintln!("{}", report::fault(&fault));
                return 2;
            }
        }
    }
    if arguments.grants {
        return 0;
    }
    match arguments.format {
        Form::Text => print!("{}", text(&all)),
        Form::Json => println!("{:#}", document(&all)),
    }
    match worst(&all) {
        Outcome::Fail => 10,
        Outcome::Unreachable => 3,
        Outcome::Pass | Outcome::Warn => 0,
    }
}

fn worst(all: &[Examined]) -> Outcome {
    let outcomes = all.iter().flat_map(|examined| &examined.findings).map(|finding| finding.outcome);
    outcomes.max().unwrap_or(Outcome::Pass)
}

fn print_grants(spec: &PipelineSpec, sql: &str) {
    println!("-- {}\n{sql}", spec.name);
}

fn text(all: &[Examined]) -> String {
    let mut out = String::new();
    for Examined { pipeline, findings } in all {
        let pipeline = if pipeline.is_empty() { "-" } else { pipeline };
        for Finding { name, outcome, sentence, remedy, code } in findings {
            let code = code.map_or(String::new(), |code| format!(" [{code}]"));
            let _ = write!(out, "{:<5} {pipeline} {name}: {sentence}{code}", word(*outcome));
            if let Some(remedy) = remedy {
                // On the same line, for one line is one check; statements stand one after the other.
                let _ = write!(out, "; help: {}", remedy.replace('\n', " "));
            }
            out.push('\n');
        }
    }
    out
}

fn document(all: &[Examined]) -> Value {
    let checks = all.iter().flat_map(|Examined { pipeline, findings }| {
        findings.iter().map(move |finding| {
            json!({
                "pipeline": pipeline,
                "check": finding.name,
                "outcome": word(finding.outcome),
                "message": finding.sentence,
                "remedy": finding.remedy,
                "error_code": finding.code.map(FaultCode::as_str),
            })
        })
    });
    json!({"outcome": word(worst(all)), "checks": checks.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_with_its_remedy_and_code() {
        let findings = vec![
            Finding::pass("a.b", "well"),
            Finding::fail("c.d", FaultCode::SourceGrantMissing, "not well", "GRANT x;\nGRANT y;"),
        ];
        let all = [Examined { pipeline: "shop".to_owned(), findings }];
        let line = "fail  shop c.d: not well [SOURCE_GRANT_MISSING]; help: GRANT x; GRANT y;";
        assert_eq!(text(&all), format!("pass  shop a.b: well\n{line}\n"));
        assert_eq!((worst(&all), worst(&[])), (Outcome::Fail, Outcome::Pass));
        assert_eq!(document(&all)["checks"][1]["error_code"], "SOURCE_GRANT_MISSING");
    }
}

//! `limpid status`: where a running instance's pipelines are.
//!
//! Owns: the text form. Does not own: the document (`limpid-server`), asking for it.
//!
//! Invariant: what the instance does not know is shown as `-`, never as a number.

use std::fmt::Write;

use limpid_model::{Fault, FaultCode};
use limpid_server::api::{PipelineStatus, StatusDocument};
use limpid_server::client::Client;

use crate::cli::{Form, InstanceArguments, StatusArguments};
use crate::progress::bytes_text;
use crate::report;

/// Asks and shows. 3 when nobody answers, 2 when the address, the token or a file is wrong.
pub fn status(arguments: &StatusArguments) -> u8 {
    let document = match client(&arguments.instance).and_then(|client| client.status()) {
        Ok(document) => document,
        Err(fault) => {
            eprintln!("{}", report::fault(&fault));
            return exit_code(&fault);
        }
    };
    match arguments.format {
        Form::Text => print!("{}", text(&document)),
        Form::Json => match serde_json::to_string_pretty(&document) {
            Ok(json) => println!("{json}"),
            Err(error) => {
                eprintln!("the status cannot be written as JSON: {error}");
                return 1;
            }
        },
    }
    0
}

/// What a call that failed ends with.
pub fn exit_code(fault: &Fault) -> u8 {
    match fault.code() {
        FaultCode::UsageInvalid | FaultCode::AuthFileInvalid | FaultCode::AuthTokenInvalid => 2,
        FaultCode::HttpBadRequest | FaultCode::HttpNotFound | FaultCode::AuthForbidden => 2,
        _ => 3,
    }
}

/// The client of the instance that is named.
pub fn client(arguments: &InstanceArguments) -> Result<Client, Fault> {
    let mut client = Client::new(&arguments.server, arguments.timeout)?;
    if let Some(file) = &arguments.token_file {
        client = client.with_token_file(file)?;
    }
    if let Some(file) = &arguments.ca {
        client = client.with_authorities(file)?;
    }
    Ok(client)
}

fn text(document: &StatusDocument) -> String {
    let mut out = String::new();
    for pipeline in &document.pipelines {
        one(&mut out, pipeline);
    }
    if document.pipelines.is_empty() {
        out.push_str("no pipeline\n");
    }
    out
}

fn one(out: &mut String, pipeline: &PipelineStatus) {
    let dash = || "-".to_owned();
    let lag = pipeline.lag_bytes.map_or_else(dash, bytes_text);
    let fresh = pipeline.freshness_seconds.map_or_else(dash, |seconds| format!("{seconds:.1} s"));
    let _ = writeln!(out, "{}: {} ({}: {})", pipeline.name, pipeline.phase, pipeline.verdict, pipeline.reason);
    let _ = writeln!(out, "  position   {}", pipeline.position.as_deref().unwrap_or("-"));
    let _ = writeln!(out, "  head       {}", pipeline.head.as_deref().unwrap_or("-"));
    let _ = writeln!(out, "  behind     {lag}, freshness {fresh}");
    if let Some(seconds) = pipeline.retention_runway_seconds {
        let ends = pipeline.retention_ends_by.as_deref().unwrap_or("-");
        let catchup = pipeline.catchup_p90_seconds.map_or_else(dash, |seconds| format!("{seconds:.0} s"));
        let _ = writeln!(out, "  log kept   for {seconds:.0} s more ({ends}), caught up within {catchup} (p90)");
    }
    let _ = writeln!(out, "  rows       {} read, {} delivered", pipeline.rows_read, pipeline.rows_delivered);
    if let Some(found) = &pipeline.bottleneck {
        let _ = writeln!(out, "  pace       {}: {}; {}", found.component, found.why, found.help);
    }
    if pipeline.flow_findings > 0 {
        let found = pipeline.flow_findings;
        let _ = writeln!(out, "  flow       FLOW_DIFFERENCE: rows of {found} windows do not add up; ask /flow which");
    }
    if let Some(fault) = &pipeline.fault {
        let _ = writeln!(out, "  fault      {}: {} ({})", fault.code, fault.message, fault.page);
        let _ = writeln!(out, "  help       {}", fault.remedy);
    }
    for table in &pipeline.tables {
        let fault = table.fault.as_ref().map_or(String::new(), |fault| format!("  {}", fault.code));
        let rows = table.rows.map_or_else(dash, |rows| rows.to_string());
        let copied = table.snapshot_ratio.filter(|ratio| *ratio < 1.0);
        let copied = copied.map_or(String::new(), |ratio| format!(" {:.0} %", ratio * 100.0));
        let _ = writeln!(out, "  {}.{}  {}{copied}  {rows} rows{fault}", table.schema, table.table, table.phase);
    }
}

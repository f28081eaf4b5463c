//! What became of a pipeline's rows, from the ledger of flow.
//!
//! Owns: the document. Does not own: the counting (`limpid-engine`).
//!
//! Invariant: what is told of a table adds up, or its difference says by how much it does not.

use hyper::StatusCode;
use limpid_engine::{FlowSeen, FlowWindow};
use limpid_model::{Flow, FlowCounts, TableName};
use limpid_telemetry::rfc3339;

use super::Asked;
use super::status::unknown;
use crate::answer::Answer;
use crate::api::{FlowDocument, FlowTable, FlowWindowDocument};
use crate::site::Site;

pub(super) fn show(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    let FlowSeen { is_whole, mut totals, in_flight, windows, findings } = shown.view.handle.flow();
    // Also tables of which nothing is saved yet.
    for table in in_flight.keys().filter(|table| in_flight[*table] > 0) {
        totals.entry(table.clone()).or_default();
    }
    let flies = |name: &TableName| in_flight.get(name).copied().unwrap_or(0);
    let document = FlowDocument {
        whole: is_whole,
        tables: totals.iter().map(|(name, counts)| table(name, counts, flies(name))).collect(),
        windows: windows.iter().map(window).collect(),
        findings: findings.iter().map(window).collect(),
    };
    Answer::json(StatusCode::OK, &document)
}

fn table(name: &TableName, counts: &FlowCounts, in_flight: i64) -> FlowTable {
    FlowTable {
        schema: name.schema.to_string(),
        table: name.table.to_string(),
        read: counts.get(Flow::Read),
        copied: counts.get(Flow::Copied),
        replayed: counts.get(Flow::Replayed),
        filtered: counts.get(Flow::Filtered),
        delivered: counts.get(Flow::Delivered),
        parked: counts.get(Flow::Parked),
        dead_lettered: counts.get(Flow::DeadLettered),
        overtaken: counts.get(Flow::Overtaken),
        withheld: counts.get(Flow::Withheld),
        in_flight,
        difference: counts.difference(),
    }
}

fn window(window: &FlowWindow) -> FlowWindowDocument {
    FlowWindowDocument {
        number: window.number,
        from: window.from.clone(),
        to: window.to.clone(),
        at: rfc3339(window.at_micros),
        tables: window.sums.0.iter().map(|(name, counts)| table(name, counts, 0)).collect(),
    }
}

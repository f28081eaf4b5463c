//! How pipelines stand, for scripts and for `limpid status`.
//!
//! Owns: putting a pipeline's board and its numbers into one document. Does not own: either.
//!
//! Invariant: a number that nobody knows is null, never 0.

use std::collections::BTreeMap;

use hyper::StatusCode;
use limpid_engine::{FaultSeen, STAGES, Status};
use limpid_telemetry::{Moment, TableTotals, rfc3339};

use super::{Asked, shortened};
use crate::answer::{Answer, fault_page};
use crate::api::{BottleneckStatus, FaultStatus, PipelineStatus, StageStatus, StatusDocument, TableStatus};
use crate::site::{Shown, Site};

pub(super) fn all(site: &Site, _: &Asked<'_>) -> Answer {
    let now = site.now();
    let pipelines = site.pipelines.iter().map(|shown| pipeline(shown, now)).collect();
    Answer::json(StatusCode::OK, &StatusDocument { pipelines })
}

pub(super) fn one(site: &Site, asked: &Asked<'_>) -> Answer {
    match site.pipeline(&asked.name) {
        Some(shown) => Answer::json(StatusCode::OK, &pipeline(shown, site.now())),
        None => unknown(&asked.name),
    }
}

pub(in crate::routes) fn unknown(name: &str) -> Answer {
    Answer::not_found(format!("no pipeline here is called {}", shortened(name)))
}

fn pipeline(shown: &Shown, now: Moment) -> PipelineStatus {
    let status = shown.status();
    let totals = shown.view.meter.totals(now);
    let (verdict, reason) = status.verdict(now.nanos, totals.freshness_seconds, shown.view.lag_limit);
    let tables = tables(&status, shown.view.meter.tables());
    // Where nobody looks any more, nothing measured to the head is so; where it was last is told with its time.
    let measured = status.head.clone().filter(|_| status.trail.is_seen(now.nanos));
    let runway = measured.as_ref().and_then(|seen| seen.runway);
    let catchup = measured.as_ref().and_then(|seen| seen.catchup_seconds);
    let bottleneck = status.stages.as_ref().and_then(limpid_engine::bottleneck);
    let stages = status.stages.iter().flat_map(|ratios| STAGES.into_iter().zip(*ratios));
    let stages = stages.map(|(component, [busy, blocked, idle])| StageStatus {
        component: component.word().to_owned(),
        busy,
        blocked,
        idle,
    });
    let stages = stages.collect();
    let seen = status.head;
    let (rows_in_flight, flow_findings) = shown.view.handle.flow_brief();
    PipelineStatus {
        name: shown.view.name.clone(),
        phase: status.phase.word().to_owned(),
        since: rfc3339(status.since_micros),
        verdict: verdict.word().to_owned(),
        reason,
        position: status.position,
        head_seen_at: seen.as_ref().map(|seen| rfc3339(seen.asked_micros)),
        freshness_seconds: totals.freshness_seconds,
        lag_bytes: measured.as_ref().and_then(|seen| seen.lag_bytes),
        lag_transactions: measured.as_ref().and_then(|seen| seen.lag_transactions),
        retention_runway_seconds: runway.map(|(seconds, _)| seconds),
        retention_ends_by: runway.map(|(_, ends)| ends.word().to_owned()),
        catchup_p50_seconds: catchup.map(|[half, _]| half).filter(|seconds| seconds.is_finite()),
        catchup_p90_seconds: catchup.map(|[_, most]| most).filter(|seconds| seconds.is_finite()),
        head: seen.map(|seen| seen.position),
        rows_read: totals.rows_read,
        rows_delivered: totals.rows_delivered,
        rows_filtered: totals.rows_filtered,
        rows_parked: status.parked.rows,
        rows_dead: status.parked.dead_letters,
        rows_in_flight,
        flow_findings,
        rows_per_second: totals.rows_per_second,
        stages,
        bottleneck: bottleneck.map(|found| BottleneckStatus {
            component: found.component.word().to_owned(),
            why: found.why.to_owned(),
            help: found.help.to_owned(),
        }),
        tables,
        fault: status.fault.as_ref().map(fault),
    }
}

/// Those that rows were delivered of, and the halted ones, which may have had none.
fn tables(status: &Status, totals: Vec<TableTotals>) -> Vec<TableStatus> {
    let streaming = |total: TableTotals| TableStatus {
        schema: total.schema.into(),
        table: total.table.into(),
        phase: "streaming".to_owned(),
        snapshot_ratio: None,
        rows: Some(total.rows_delivered),
        fault: None,
    };
    let is_other = |total: &TableTotals| total.table.as_ref() == limpid_telemetry::catalogue::OTHER;
    let uncounted = if totals.iter().any(is_other) { None } else { Some(0) };
    let named = totals.into_iter().map(|total| ((total.schema.clone(), total.table.clone()), streaming(total)));
    let mut tables: BTreeMap<(Box<str>, Box<str>), TableStatus> = named.collect();
    for copy in &status.copying.tables {
        let name = ((&*copy.table.schema).into(), (&*copy.table.table).into());
        let table = tables.entry(name).or_insert_with(|| TableStatus {
            schema: copy.table.schema.to_string(),
            table: copy.table.table.to_string(),
            phase: "streaming".to_owned(),
            snapshot_ratio: None,
            rows: uncounted,
            fault: None,
        });
        table.snapshot_ratio = Some(copy.ratio);
        if !copy.done {
            table.phase = "copying".to_owned();
        }
    }
    for halted in &status.halted {
        let name = ((&*halted.table.schema).into(), (&*halted.table.table).into());
        let table = tables.entry(name).or_insert_with(|| TableStatus {
            schema: halted.table.schema.to_string(),
            table: halted.table.table.to_string(),
            phase: String::new(),
            snapshot_ratio: None,
            rows: uncounted,
            fault: None,
        });
        table.phase = "halted".to_owned();
        table.fault = Some(fault(&halted.fault));
    }
    tables.into_values().collect()
}

pub(in crate::routes) fn fault(seen: &FaultSeen) -> FaultStatus {
    FaultStatus {
        code: seen.code.as_str().to_owned(),
        component: seen.component.word().to_owned(),
        message: seen.message.clone(),
        object: seen.object.clone(),
        remedy: seen.remedy.clone(),
        page: fault_page(seen.code.as_str()),
        at: rfc3339(seen.at_micros),
    }
}

//! What is said of one change.
//!
//! Owns: outcome, stages and target from what the ring, the state and the status know. Does not own: finding them.
//!
//! Invariant: a change that was handed to the sink several times is one; it counts as delivered once any of them was
//! acknowledged.

use std::collections::HashMap;

use limpid_engine::{ParkedRow, Status};
use limpid_model::{Component, Op, TableName};
use limpid_telemetry::trace::{NamedTxn, trace_id, txn_text};
use limpid_telemetry::{Fate, Found, Moment, Offset, rfc3339};

use crate::api::{TraceChange, TraceStage, TraceTarget};
use crate::site::Shown;

const REMEMBERED: &str = "remembered";
const DERIVED: &str = "derived";

/// Stages of a batch by their place in its times.
const STAGES: [(&str, &str); 7] = [
    ("input", "read"),
    ("input", "queued"),
    ("input", "decoded"),
    ("filter", "transformed"),
    ("filter", "encoded"),
    ("scheduler", "sent"),
    ("output", "acknowledged"),
];
const TRANSFORMED: usize = 3;
const ENCODED: usize = 4;
const SENT: usize = 5;
const ACKNOWLEDGED: usize = 6;

/// Of a position that is passed, while rows may have been left out on the way.
const PASSED: &str = "its position is passed; whether its rows were delivered, rejected, kept or of a table that is \
                      halted or not captured is no longer known";
const OVERTAKEN: &str = "nothing was sent of it: the stream has a newer change of its row, or its part is copied again";
const NOT_SENT: &str = "nothing was sent of it this time: it was done before, or its operation is skipped";

/// Two readings of the clocks may be so far apart.
const APART_MICROS: i64 = 5_000;

/// The hash as the ring has it.
pub(super) fn rounded(hash: u64) -> u64 {
    hash & !7
}

/// Everything that a change is told from.
pub(super) struct Scene<'a> {
    shown: &'a Shown,
    status: Status,
    kept: Vec<ParkedRow>,
    topics: HashMap<u64, (TableName, Option<String>)>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(shown: &'a Shown, kept: Vec<ParkedRow>) -> Self {
        let tables = shown.view.meter.known_tables().into_iter();
        let topics = tables.map(|known| {
            (known.schema.key_seed, (known.schema.name.clone(), known.topic.map(|topic| topic.to_string())))
        });
        Self { shown, status: shown.status(), kept, topics: topics.collect() }
    }

    /// One for each change, oldest first, then what only the state has.
    pub(super) fn changes(&self, found: &[Found]) -> Vec<TraceChange> {
        let mut groups: Vec<Vec<&Found>> = Vec::new();
        let mut known: HashMap<(String, u64), usize> = HashMap::new();
        let newest = found.iter().map(|found| found.attempt).max().unwrap_or(0);
        for found in found {
            match txn_text(found.txn, found.tag.as_deref()) {
                Some(text) => {
                    let group = *known.entry((text, found.ordinal)).or_insert_with(|| {
                        groups.push(Vec::new());
                        groups.len() - 1
                    });
                    groups[group].push(found);
                }
                // Of an earlier attempt and not acknowledged: it came again.
                None if !found.done && found.fate.is_none() && found.attempt < newest => {}
                None => groups.push(vec![found]),
            }
        }
        let mut taken = Vec::new();
        let mut changes: Vec<TraceChange> = groups.iter().map(|group| self.change(group, &mut taken)).collect();
        let left = self.kept.iter().filter(|row| !taken.contains(&row.id));
        changes.extend(left.filter(|_| found.iter().all(|found| found.table.is_some())).map(of_state));
        changes
    }

    /// Of one change, every time it was handed to the sink.
    fn change(&self, times: &[&Found], taken: &mut Vec<u64>) -> TraceChange {
        let done = times.iter().rfind(|found| found.done && found.fate.is_none());
        let found = *done.or(times.last()).expect("a group has one");
        let text = txn_text(found.txn, found.tag.as_deref());
        let kept = self.kept.iter().find(|row| !taken.contains(&row.id) && self.is_that(row, found));
        taken.extend(kept.map(|row| row.id));
        let (outcome, rule, code) = match found.fate {
            Some(Fate::Filtered(rule)) => ("filtered", self.shown.view.meter.rule(rule), None),
            Some(Fate::Parked(code)) => ("parked", None, code),
            Some(Fate::DeadLetter(code)) => ("dead_lettered", None, code),
            Some(Fate::Withheld(code)) => ("waiting", None, code),
            Some(Fate::NoRecord) => ("evicted", None, None),
            None if found.done => ("delivered", None, None),
            None => ("waiting", None, None),
        };
        let is_copied = found.op == Op::Read;
        let note = (found.fate == Some(Fate::NoRecord)).then_some(if is_copied { OVERTAKEN } else { NOT_SENT });
        let seconds = f64::from(found.commit.uncertainty_micros) / 1e6;
        TraceChange {
            trace_id: text.as_ref().map(|text| trace_id(&self.shown.view.name, text).to_string()),
            position: text.as_ref().map(|text| format!("gtid:{text}")),
            ordinal: text.as_ref().map(|_| found.ordinal),
            key_hash: Some(format!("{:016x}", found.key_hash)),
            operation: Some(found.op.word().to_owned()),
            committed_at: (!is_copied).then(|| rfc3339(found.commit.micros)),
            committed_at_uncertainty_seconds: (!is_copied).then_some(seconds),
            outcome: outcome.to_owned(),
            waits_for: (outcome == "waiting").then(|| self.waits_for(found)),
            note: note.map(str::to_owned),
            rule: rule.map(|rule| rule.to_string()),
            error_code: code.map(|code| code.as_str().to_owned()),
            kept_id: kept.map(|row| row.id),
            attempts: found.fate.is_none().then_some(times.len() as u64),
            target: self.target(found),
            stages: self.stages(found),
            known: REMEMBERED.to_owned(),
        }
    }

    /// Whether a kept row is this change: rows are kept between their encoding and the rest's way to the sink.
    fn is_that(&self, row: &ParkedRow, found: &Found) -> bool {
        let is_kept = matches!(found.fate, Some(Fate::Parked(_) | Fate::DeadLetter(_)));
        let from = wall_at(found, found.times.encoded) - APART_MICROS;
        let to = wall_at(found, found.times.sent) + APART_MICROS;
        let is_of_key = row.keys.iter().any(|key| rounded((key >> 64) as u64) == found.key_hash);
        is_kept && is_of_key && row.operation == found.op.word() && (from..=to).contains(&row.at_micros)
    }

    fn waits_for(&self, found: &Found) -> String {
        if matches!(found.fate, Some(Fate::Withheld(_))) {
            return "its table, which is halted".to_owned();
        }
        if let Some(fault) = &self.status.fault {
            return format!("the pipeline, which is {}: {}", self.status.phase.word(), fault.code);
        }
        let lost = self.status.peers.iter().find(|peer| !peer.healthy && peer.component == Component::Output);
        match lost {
            Some(peer) => format!("the sink: {} is lost", peer.endpoint),
            None => "the sink's acknowledgement".to_owned(),
        }
    }

    fn target(&self, found: &Found) -> Option<TraceTarget> {
        if found.fate.is_some() || !found.done {
            return None;
        }
        let topic = found.table.and_then(|table| self.topics.get(&table)).and_then(|(_, topic)| topic.clone());
        // Rows without records of their own make offsets that are counted wrong.
        let offset = match (self.shown.view.skips_operations, found.offset, found.rows) {
            (true, Offset::At(_), rows) if rows > 1 => Offset::Unknown,
            (_, offset, _) => offset,
        };
        let (offset, span) = match offset {
            Offset::Unknown => (None, None),
            Offset::At(offset) => (Some(offset), None),
            Offset::Within(first, last) => (None, Some((first, last))),
        };
        let (offset_first, offset_last) = span.unzip();
        Some(TraceTarget { topic, partition: found.partition, offset, offset_first, offset_last })
    }

    fn stages(&self, found: &Found) -> Vec<TraceStage> {
        let mut stages = Vec::with_capacity(STAGES.len() + 2);
        if found.op != Op::Read {
            stages.push(stage(("input", "committed"), Some(found.commit.micros), None, REMEMBERED));
        }
        let last = match found.fate {
            Some(Fate::Filtered(_)) => TRANSFORMED,
            Some(Fate::Parked(_) | Fate::DeadLetter(_) | Fate::Withheld(_) | Fate::NoRecord) => ENCODED,
            None if found.done => ACKNOWLEDGED,
            None => SENT,
        };
        let mut before = None;
        for (name, nanos) in
            STAGES.into_iter().zip(found.times.in_order()).take(last + 1).filter(|(_, nanos)| *nanos > 0)
        {
            let duration = before.map(|before| nanos.saturating_sub(before) / 1000);
            stages.push(stage(name, Some(wall_at(found, nanos)), duration, REMEMBERED));
            before = Some(nanos);
        }
        if matches!(found.fate, Some(Fate::Parked(_) | Fate::DeadLetter(_))) {
            stages.push(stage(("state", "kept"), None, None, DERIVED));
        }
        let named = NamedTxn { id: found.txn, tag: found.tag.clone().unwrap_or_else(|| "".into()) };
        if found.done && self.is_covered(&named) == Some(true) {
            stages.push(stage(("state", "saved"), None, None, DERIVED));
        }
        stages
    }

    fn is_covered(&self, txn: &NamedTxn) -> Option<bool> {
        self.shown.view.positions.covers(self.status.position.as_deref()?, txn)
    }

    /// Of a transaction that is not remembered: what its position tells.
    pub(super) fn derived(&self, txn: &NamedTxn) -> TraceChange {
        let text = txn_text(txn.id, Some(&txn.tag));
        let saved = || vec![stage(("state", "saved"), None, None, DERIVED)];
        let (outcome, waits_for, stages) = match self.is_covered(txn) {
            Some(true) if self.leaves_nothing_out() => ("delivered", None, saved()),
            Some(true) => ("evicted", None, saved()),
            Some(false) => ("waiting", Some("the stream, which has not passed it".to_owned()), Vec::new()),
            None => ("evicted", None, Vec::new()),
        };
        TraceChange {
            trace_id: text.as_ref().map(|text| trace_id(&self.shown.view.name, text).to_string()),
            position: text.map(|text| format!("gtid:{text}")),
            outcome: outcome.to_owned(),
            note: (outcome == "evicted" && !stages.is_empty()).then(|| PASSED.to_owned()),
            waits_for,
            stages,
            ..nothing(DERIVED)
        }
    }

    /// Every row that is passed was delivered: no rule, nothing kept, no table halted.
    fn leaves_nothing_out(&self) -> bool {
        let Status { parked, halted, .. } = &self.status;
        self.shown.view.meter.rule(0).is_none() && parked.rows + parked.dead_letters == 0 && halted.is_empty()
    }

    /// Nothing is known.
    pub(super) fn evicted(&self) -> TraceChange {
        nothing(DERIVED)
    }
}

/// The wall clock when the monotonic one showed `nanos`, by the reading of both that the row has: two questions get one
/// answer.
fn wall_at(found: &Found, nanos: u64) -> i64 {
    let anchor = if found.done { found.times.acked } else { found.times.sent };
    Moment { nanos: anchor, wall_micros: found.wall_micros }.wall_at(nanos)
}

/// Of a row that only the state has.
fn of_state(row: &ParkedRow) -> TraceChange {
    let code = row.fault.as_ref().map(|(code, _)| code.to_string());
    TraceChange {
        position: Some(row.position.clone()),
        key_hash: row.keys.first().map(|key| format!("{:016x}", key >> 64)),
        operation: Some(row.operation.clone()),
        outcome: if row.kind.word() == "parked" { "parked" } else { "dead_lettered" }.to_owned(),
        error_code: code,
        kept_id: Some(row.id),
        stages: vec![stage(("state", "kept"), Some(row.at_micros), None, REMEMBERED)],
        ..nothing(REMEMBERED)
    }
}

fn nothing(known: &str) -> TraceChange {
    TraceChange {
        trace_id: None,
        position: None,
        ordinal: None,
        key_hash: None,
        operation: None,
        committed_at: None,
        committed_at_uncertainty_seconds: None,
        outcome: "evicted".to_owned(),
        waits_for: None,
        note: None,
        rule: None,
        error_code: None,
        kept_id: None,
        attempts: None,
        target: None,
        stages: Vec::new(),
        known: known.to_owned(),
    }
}

fn stage((component, name): (&str, &str), at: Option<i64>, duration_us: Option<u64>, known: &str) -> TraceStage {
    let (component, name) = (component.to_owned(), name.to_owned());
    TraceStage { component, name, at: at.map(rfc3339), duration_us, known: known.to_owned() }
}

//! `/healthz`: what is well and what is not, part by part.
//!
//! Owns: concluding a part's health from a pipeline's board, and the whole from its parts. Does not own: verdicts
//! (`limpid-engine`), what restarts us (`probes`).
//!
//! Invariant: the whole is as its worst part. `failed` says that rows do not arrive: a pipeline halted, a system lost,
//! or a stall that lasts beyond the lag limit. Everything else that is not right is `degraded`.

use hyper::StatusCode;
use limpid_engine::{FaultSeen, HaltedSeen, Peer, Phase, Status, Verdict};
use limpid_model::Component;
use limpid_telemetry::{Moment, rfc3339};

use super::Asked;
use crate::answer::Answer;
use crate::api::{ComponentHealth, HealthDocument};
use crate::site::{Shown, Site};

/// Ordered from well to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Ok,
    Degraded,
    Failed,
}

impl Health {
    const fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::Failed => "failed",
        }
    }
}

pub(super) fn health(site: &Site, asked: &Asked<'_>) -> Answer {
    let now = site.now();
    let parts: Vec<(Health, ComponentHealth)> = site.pipelines.iter().flat_map(|shown| parts(shown, now)).collect();
    let worst = parts.iter().map(|(health, _)| *health).max().unwrap_or(Health::Ok);
    // Names, addresses and causes are for those who may see them; whether all is well is for every probe.
    let components = parts.into_iter().filter(|_| asked.is_viewer).map(|(_, part)| part).collect();
    let status = if worst == Health::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Answer::json(status, &HealthDocument { status: worst.word().to_owned(), components })
}

fn parts(shown: &Shown, now: Moment) -> Vec<(Health, ComponentHealth)> {
    let status = shown.status();
    let name = &shown.view.name;
    let mut parts = vec![own_loop(shown, &status, now)];
    parts.extend(systems(name, &status));
    parts.extend(status.halted.iter().map(|halted| table(name, halted)));
    parts
}

/// The pipeline as a whole.
fn own_loop(shown: &Shown, status: &Status, now: Moment) -> (Health, ComponentHealth) {
    let fresh = shown.view.meter.totals(now).freshness_seconds;
    let (verdict, reason) = status.verdict(now.nanos, fresh, shown.view.lag_limit);
    let beyond_limit = status.trail.still_for(now.nanos) > shown.view.lag_limit;
    let health = match verdict {
        Verdict::Ok | Verdict::Idle => Health::Ok,
        Verdict::Stop if status.phase == Phase::Done => Health::Ok,
        // Somebody wants it so; rows do not arrive all the same.
        Verdict::Stop if status.phase == Phase::Paused => Health::Degraded,
        Verdict::Stop => Health::Failed,
        Verdict::Stall if beyond_limit => Health::Failed,
        // The worse word hides no stall.
        Verdict::Rewind if beyond_limit && status.phase != Phase::Paused => Health::Failed,
        Verdict::Stall | Verdict::Warn | Verdict::Rewind | Verdict::Blind => Health::Degraded,
    };
    let evidence = format!("{}, {}: {reason}", status.phase.word(), verdict.word());
    let part = Part { component: Component::Scheduler, endpoint: "", object: None, since_micros: status.since_micros };
    told(&shown.view.name, health, part, evidence, status.fault.as_ref())
}

/// Of several servers of a source one is read: while it stands rows arrive, but a lost one may not take over.
fn systems(pipeline: &str, status: &Status) -> Vec<(Health, ComponentHealth)> {
    let stands = status.peers.iter().any(|peer| peer.component == Component::Input && peer.healthy);
    let one = |peer: &Peer| {
        let (health, mut part) = system(pipeline, peer, status.phase);
        if health == Health::Failed && peer.component == Component::Input && stands {
            Health::Degraded.word().clone_into(&mut part.status);
            return (Health::Degraded, part);
        }
        (health, part)
    };
    status.peers.iter().map(one).collect()
}

/// A pipeline that ended has let go of its systems: what is told is the last that was known.
fn system(pipeline: &str, peer: &Peer, phase: Phase) -> (Health, ComponentHealth) {
    let part =
        Part { component: peer.component, endpoint: &peer.endpoint, object: None, since_micros: peer.since_micros };
    if peer.healthy {
        let evidence = match phase {
            Phase::Starting | Phase::Running | Phase::Paused | Phase::Draining => "the connection stands",
            Phase::Halted | Phase::Done => "the connection stood when the pipeline ended",
        };
        return told(pipeline, Health::Ok, part, evidence.to_owned(), None);
    }
    let evidence = peer.fault.as_ref().map_or("the connection is lost", |fault| &fault.message).to_owned();
    told(pipeline, Health::Failed, part, evidence, peer.fault.as_ref())
}

fn table(pipeline: &str, halted: &HaltedSeen) -> (Health, ComponentHealth) {
    let name = format!("{}.{}", halted.table.schema, halted.table.table);
    let fault = &halted.fault;
    let part =
        Part { component: fault.component, endpoint: "", object: Some(name), since_micros: halted.fault.at_micros };
    told(pipeline, Health::Degraded, part, format!("the table is halted: {}", fault.message), Some(fault))
}

struct Part<'a> {
    component: Component,
    endpoint: &'a str,
    object: Option<String>,
    since_micros: i64,
}

fn told(
    pipeline: &str,
    health: Health,
    part: Part<'_>,
    evidence: String,
    fault: Option<&FaultSeen>,
) -> (Health, ComponentHealth) {
    let component = ComponentHealth {
        pipeline: pipeline.to_owned(),
        component: part.component.word().to_owned(),
        endpoint: part.endpoint.to_owned(),
        status: health.word().to_owned(),
        since: rfc3339(part.since_micros),
        evidence,
        error_code: fault.map(|fault| fault.code.as_str().to_owned()),
        remedy: fault.map(|fault| fault.remedy.clone()),
        object: part.object.or_else(|| fault.and_then(|fault| fault.object.clone())),
    };
    (health, component)
}

#[cfg(test)]
mod tests;

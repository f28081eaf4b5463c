//! What an orchestrator asks.
//!
//! Owns: alive, ready, started. Does not own: whether a pipeline is well (`health`).
//!
//! Invariant: none of the three depends on a source or a sink: restarting us mends neither.

use hyper::StatusCode;
use limpid_engine::Phase;

use super::Asked;
use crate::answer::Answer;
use crate::site::Site;

/// That this is answered is the answer; with it, that no pipeline's board is lost to a panic.
pub(super) fn live(site: &Site, _: &Asked<'_>) -> Answer {
    site.pipelines.iter().for_each(|shown| drop(shown.status()));
    told(Ok(()))
}

/// State open, pipelines started, and not all of them on their way out.
pub(super) fn ready(site: &Site, _: &Asked<'_>) -> Answer {
    let leaves = |phase| matches!(phase, Phase::Draining | Phase::Done);
    told(if !site.started() {
        Err("pipelines are not started".to_owned())
    } else if !site.pipelines.is_empty() && site.pipelines.iter().all(|shown| leaves(shown.status().phase)) {
        Err("draining".to_owned())
    } else {
        Ok(())
    })
}

/// Each pipeline has run, halted, or failed and tries again.
pub(super) fn startup(site: &Site, _: &Asked<'_>) -> Answer {
    let waits = site.pipelines.iter().find(|shown| !shown.attempted());
    told(waits.map_or(Ok(()), |shown| Err(format!("pipeline {} has not been started", shown.view.name))))
}

fn told(outcome: Result<(), String>) -> Answer {
    match outcome {
        Ok(()) => Answer::text(StatusCode::OK, "ok\n"),
        Err(why) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ok: {why}\n")),
    }
}

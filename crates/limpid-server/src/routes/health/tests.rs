//! From what a pipeline's board says to how well it is.

use std::time::Duration;

use limpid_engine::{Look, Trail};

use super::*;
use crate::site::tests::site;

const S: u64 = 1_000_000_000;
const NOW: u64 = 1000 * S;

/// A pipeline that is behind, with its head just seen, and last moved so long ago.
fn behind(still: u64) -> Status {
    let mut status = site(vec!["shop"]).0.pipelines[0].view.handle.status();
    status.phase = Phase::Running;
    for seen_nanos in (NOW - still..=NOW).step_by(S as usize) {
        status.trail.look(Look { seen_nanos, is_behind: true, lag_bytes: Some(5), ..Look::default() });
    }
    status
}

fn told_of(status: &Status) -> (Health, ComponentHealth) {
    let (site, _) = site(vec!["shop"]);
    assert_eq!(site.pipelines[0].view.lag_limit, Duration::from_secs(60));
    own_loop(&site.pipelines[0], status, Moment { nanos: NOW, wall_micros: 1_000_000 })
}

#[test]
fn a_stall_degrades_and_fails_only_beyond_the_lag_limit() {
    assert_eq!(told_of(&behind(S)).0.word(), "ok");
    assert_eq!(told_of(&behind(4 * S)).0.word(), "degraded");
    let (health, part) = told_of(&behind(61 * S));
    assert_eq!(health.word(), "failed");
    assert_eq!(part.evidence, "running, stall: behind and not moving: source");
}

#[test]
fn a_position_that_went_back_hides_no_stall() {
    let back = |still: u64| {
        let mut status = behind(still);
        status.trail.look(Look { seen_nanos: NOW, is_behind: true, is_back: true, ..Look::default() });
        status
    };
    let (health, part) = told_of(&back(4 * S));
    assert_eq!(health.word(), "degraded");
    assert!(part.evidence.contains("rewind"), "{}", part.evidence);
    assert_eq!(told_of(&back(61 * S)).0.word(), "failed");
    assert_eq!(told_of(&Status { phase: Phase::Paused, ..back(61 * S) }).0.word(), "degraded", "it is not to move");
}

#[test]
fn an_unseen_head_degrades_and_an_end_that_was_asked_for_does_not() {
    assert_eq!(told_of(&Status { trail: Trail::default(), ..behind(S) }).0.word(), "degraded");
    assert_eq!(told_of(&Status { phase: Phase::Done, ..behind(S) }).0.word(), "ok");
    assert_eq!(told_of(&Status { phase: Phase::Halted, ..behind(S) }).0.word(), "failed");
}

#[test]
fn a_lost_system_fails_whatever_else_is_well() {
    let peer = |healthy| Peer {
        component: Component::Output,
        endpoint: "10.0.0.8:9092".to_owned(),
        healthy,
        since_micros: 0,
        fault: None,
    };
    let (health, part) = system("shop", &peer(false), Phase::Running);
    assert_eq!((health.word(), &*part.evidence), ("failed", "the connection is lost"));
    assert_eq!(part.since, "1970-01-01T00:00:00.000000Z");
    let (health, part) = system("shop", &peer(true), Phase::Running);
    assert_eq!((health.word(), &*part.evidence), ("ok", "the connection stands"));
    let evidence = system("shop", &peer(true), Phase::Halted).1.evidence;
    assert_eq!(evidence, "the connection stood when the pipeline ended");
}

#[test]
fn a_lost_server_of_several_degrades_while_another_is_read() {
    let peer = |component, endpoint: &str, healthy| Peer {
        component,
        endpoint: endpoint.to_owned(),
        healthy,
        since_micros: 0,
        fault: None,
    };
    let words = |peers: Vec<Peer>| {
        let told = systems("shop", &Status { peers, ..behind(S) });
        told.into_iter().map(|(_, part)| part.status).collect::<Vec<_>>()
    };
    let (input, output) = (Component::Input, Component::Output);
    assert_eq!(words(vec![peer(input, "a", false), peer(input, "b", true)]), ["degraded", "ok"]);
    assert_eq!(words(vec![peer(input, "a", false), peer(output, "k", true)]), ["failed", "ok"]);
    assert_eq!(words(vec![peer(input, "a", true), peer(output, "k", false)]), ["ok", "failed"]);
}

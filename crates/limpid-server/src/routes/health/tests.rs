//! From what a pipeline's board says to how well it is.

use std::time::Duration;

use limpid_engine::HeadSeenAt;

use super::*;
use crate::site::tests::site;

const S: i64 = 1_000_000;
const NOW: i64 = 1000 * S;

/// A pipeline that is behind, with its head just seen, and last moved so long ago.
fn behind(still: i64) -> Status {
    let head = HeadSeenAt { position: "p".into(), lag_bytes: 5, asked_micros: NOW, still_since_micros: 0 };
    let mut status = site(vec!["shop"]).0.pipelines[0].view.handle.status();
    (status.phase, status.head, status.moved_micros) = (Phase::Running, Some(head), NOW - still);
    status
}

fn told_of(status: &Status) -> (Health, ComponentHealth) {
    let (site, _) = site(vec!["shop"]);
    assert_eq!(site.pipelines[0].view.lag_limit, Duration::from_secs(60));
    own_loop(&site.pipelines[0], status, Moment { nanos: 1, wall_micros: NOW })
}

#[test]
fn a_stall_degrades_and_fails_only_beyond_the_lag_limit() {
    assert_eq!(told_of(&behind(S)).0.word(), "ok");
    assert_eq!(told_of(&behind(4 * S)).0.word(), "degraded");
    let (health, part) = told_of(&behind(61 * S));
    assert_eq!(health.word(), "failed");
    assert_eq!(part.evidence, "running, stall: behind and not moving: us");
}

#[test]
fn an_unseen_head_degrades_and_an_end_that_was_asked_for_does_not() {
    assert_eq!(told_of(&Status { head: None, ..behind(S) }).0.word(), "degraded");
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

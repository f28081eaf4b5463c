//! What each path says.

use std::time::Duration;

use limpid_server::client::Client;
use serde_json::json;

use crate::pipelines::{Fate, desk};
use crate::wire::{ask, get};

#[test]
fn probes_do_not_depend_on_source_or_sink() {
    let desk = desk(&[("away", Fate::Away), ("refused", Fate::Refused)]);
    for path in ["/livez", "/readyz", "/startupz"] {
        let reply = get(desk.address(), path);
        assert_eq!((reply.status, &*reply.body), (200, "ok\n"), "{path}");
    }
    assert_eq!(get(desk.address(), "/healthz").status, 503);
    desk.end();
}

#[test]
fn a_pipeline_that_was_never_started_is_told() {
    let desk = desk(&[("shop", Fate::Runs), ("unborn", Fate::Unborn)]);
    let reply = get(desk.address(), "/startupz");
    assert_eq!((reply.status, &*reply.body), (503, "not ok: pipeline unborn has not been started\n"));
    assert_eq!(get(desk.address(), "/livez").status, 200);
    desk.end();
}

#[test]
fn nothing_is_ready_while_all_of_it_drains() {
    let desk = desk(&[("shop", Fate::Runs)]);
    desk.handles[0].stop();
    let reply = get(desk.address(), "/readyz");
    assert_eq!((reply.status, &*reply.body), (503, "not ok: draining\n"));
    assert_eq!(get(desk.address(), "/livez").status, 200);
    desk.end();
}

#[test]
fn health_names_the_part_that_fails_and_what_to_do() {
    let desk = desk(&[("away", Fate::Away), ("shop", Fate::HaltsTable)]);
    let reply = get(desk.address(), "/healthz");
    assert_eq!(reply.status, 503);
    let health = reply.json();
    assert_eq!(health["status"], "failed");
    let part = |pipeline: &str, component: &str, object: serde_json::Value| {
        let parts = health["components"].as_array().unwrap().iter();
        let mut found = parts
            .filter(|part| part["pipeline"] == pipeline && part["component"] == component && part["object"] == object);
        found.next().cloned().unwrap_or_else(|| panic!("{pipeline} {component} {object} is not in {health}"))
    };
    let source = part("away", "input", json!("user limpid"));
    assert_eq!((&source["status"], &source["error_code"]), (&json!("failed"), &json!("SOURCE_UNREACHABLE")));
    assert_eq!(
        (&source["endpoint"], &source["evidence"]),
        (&json!("10.0.0.7:3306"), &json!("the server cannot be reached"))
    );
    assert!(source["remedy"].as_str().unwrap().contains("port"));
    assert_eq!(part("away", "output", json!(null))["status"], "ok");
    assert_eq!(part("shop", "scheduler", json!(null))["status"], "ok");
    let table = part("shop", "output", json!("s.bad"));
    assert_eq!((&table["status"], &table["error_code"]), (&json!("degraded"), &json!("RECORD_TOO_LARGE")));
    desk.end();
}

#[test]
fn a_halted_table_degrades_without_failing() {
    let desk = desk(&[("shop", Fate::HaltsTable)]);
    let reply = get(desk.address(), "/healthz");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("degraded")));
    desk.end();
}

#[test]
fn status_tells_rows_by_table_and_what_halted() {
    let desk = desk(&[("shop", Fate::HaltsTable), ("refused", Fate::Refused)]);
    let status = get(desk.address(), "/api/v1/pipelines").json();
    let shop = &status["pipelines"][0];
    assert_eq!((&shop["name"], &shop["phase"]), (&json!("shop"), &json!("running")));
    assert_eq!((&shop["position"], &shop["head"]), (&json!("gtid:0-1-7"), &json!("gtid:0-1-7")));
    assert_eq!((&shop["rows_delivered"], &shop["lag_bytes"]), (&json!(7), &json!(0)));
    let tables = shop["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 2);
    assert_eq!(tables[0]["fault"]["code"], "RECORD_TOO_LARGE");
    assert_eq!(
        (&tables[0]["table"], &tables[0]["phase"], &tables[0]["rows"]),
        (&json!("bad"), &json!("halted"), &json!(0))
    );
    let orders = json!({
        "schema": "s", "table": "orders", "phase": "streaming", "snapshot_ratio": null, "rows": 7, "fault": null,
    });
    assert_eq!(tables[1], orders);
    let refused = &status["pipelines"][1];
    assert_eq!((&refused["phase"], &refused["verdict"]), (&json!("halted"), &json!("stop")));
    assert_eq!(refused["reason"], "halted by SOURCE_AUTH_FAILED");
    assert_eq!(refused["fault"]["page"], "docs/faults/SOURCE_AUTH_FAILED.md");
    let one = get(desk.address(), "/api/v1/pipelines/refused").json();
    assert_eq!(one["fault"], refused["fault"]);
    assert_eq!(get(desk.address(), "/api/v1/pipelines/%73hop").json()["name"], "shop");
    desk.end();
}

#[test]
fn gravitys_status_is_one_object_for_one_pipeline_and_a_list_for_several() {
    let one = desk(&[("shop", Fate::Runs)]);
    let status = get(one.address(), "/status").json();
    // The keys of Gravity's own answer, recorded from a running one.
    let mut keys: Vec<&str> = status.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["configHash", "name", "position", "stage", "version", "watermarks"]);
    assert_eq!((&status["name"], &status["stage"]), (&json!("shop"), &json!("Incremental")));
    assert_eq!((&status["configHash"], &status["position"]), (&json!("7567456d94"), &json!("gtid:0-1-7")));
    one.end();
    let two = desk(&[("a", Fate::Runs), ("b", Fate::Runs)]);
    let list = get(two.address(), "/status").json();
    assert_eq!((&list[0]["name"], &list[1]["name"]), (&json!("a"), &json!("b")));
    assert_eq!(get(two.address(), "/status?pipeline=b&x").json()["name"], "b");
    assert_eq!(get(two.address(), "/status?pipeline=c").status, 404);
    assert_eq!(get(two.address(), "/status?pipeline=a&pipeline=b").status, 400);
    two.end();
}

#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let desk = desk(&[("shop", Fate::Runs)]);
    let open = ask(desk.address(), "GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.body.ends_with("# EOF\n"));
    let text = ask(desk.address(), "GET", "/metrics", "Accept: text/html\r\nAccept: */*\r\n");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(text.body.contains("limpid_build_info{version=\"0.1.0\",commit=\"abc1234\"} 1\n"));
    desk.end();
}

#[test]
fn an_error_is_json_with_a_code_and_a_page() {
    let desk = desk(&[]);
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "HTTP_NOT_FOUND"),
        ("GET", "/api/v1/pipelines/nobody", 404, "HTTP_NOT_FOUND"),
        ("GET", "/api/v1/pipelines/%ff", 400, "HTTP_BAD_REQUEST"),
        ("POST", "/status", 405, "HTTP_BAD_REQUEST"),
        ("DELETE", "/nothing", 404, "HTTP_NOT_FOUND"),
        ("OPTIONS", "*", 404, "HTTP_NOT_FOUND"),
        ("BREW", "/livez", 405, "HTTP_BAD_REQUEST"),
    ] {
        let reply = ask(desk.address(), method, path, "");
        assert_eq!(reply.status, status, "{method} {path}");
        let error = &reply.json()["error"];
        assert_eq!(error["code"], code, "{method} {path}");
        assert_eq!(error["page"], format!("docs/faults/{code}.md"));
        assert!(["message", "help"].iter().all(|part| !error[part].as_str().unwrap().is_empty()));
        assert_eq!(reply.header("allow"), (status == 405).then_some("GET, HEAD"));
    }
    desk.end();
}

#[test]
fn no_answer_may_be_cached_sniffed_or_read_from_elsewhere() {
    let desk = desk(&[]);
    for path in ["/", "/metrics", "/livez", "/healthz", "/nothing"] {
        let reply = ask(desk.address(), "GET", path, "Origin: http://evil.example\r\n");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!reply.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{path}");
    }
    desk.end();
}

#[test]
fn head_says_what_get_would() {
    let desk = desk(&[("shop", Fate::Runs)]);
    for path in ["/livez", "/api/v1/openapi.json", "/nothing"] {
        let (head, get) = (ask(desk.address(), "HEAD", path, ""), get(desk.address(), path));
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
    desk.end();
}

#[test]
fn our_own_client_reads_what_we_say() {
    let desk = desk(&[("shop", Fate::HaltsTable), ("away", Fate::Away)]);
    let client = Client::new(&format!("http://{}/", desk.address()), Duration::from_secs(5)).unwrap();
    let status = client.status().unwrap();
    assert_eq!((&*status.pipelines[0].name, status.pipelines[0].tables.len()), ("shop", 2));
    assert_eq!(client.pipeline("away").unwrap().fault.unwrap().code, "SOURCE_UNREACHABLE");
    assert_eq!(client.health().unwrap().status, "failed");
    let unknown = client.pipeline("no such one").unwrap_err();
    assert_eq!(unknown.code().as_str(), "HTTP_NOT_FOUND");
    assert_eq!(client.get("/livez").unwrap().text(), "ok\n");
    let address = desk.address();
    desk.end();
    let gone = Client::new(&format!("http://{address}"), Duration::from_secs(5)).unwrap().status().unwrap_err();
    assert_eq!(gone.code().as_str(), "SERVER_UNREACHABLE");
}

#[test]
fn our_own_client_waits_no_longer_than_it_was_told() {
    // Takes connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let begun = std::time::Instant::now();
    let fault = Client::new(&url, Duration::from_millis(300)).unwrap().status().unwrap_err();
    assert_eq!(fault.code().as_str(), "SERVER_UNREACHABLE");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

//! Calls that change something: to whom they are refused, and what the log tells of them. The route is this file's own.

use std::cell::Cell;
use std::path::Path;

use limpid_stack::TempDir;

use super::*;
use crate::gate::Gate;
use crate::kept::Kept;
use crate::site::tests::Lines;
use crate::tokens::Tokens;

const PATH: &str = "/api/v1/pipelines/{name}/change";
static CHANGING: &[Route] = &[
    route(PATH, "change", "Changes something", Access::Operator, change),
    route("/api/v1/broken", "broken", "Fails", Access::Operator, |_, _| panic!("a broken invariant")),
    route("/livez", "livez", "", Access::Open, probes::live),
];

thread_local! {
    /// How often something was changed.
    static CHANGED: Cell<u32> = const { Cell::new(0) };
}

fn change(site: &Site, asked: &Asked<'_>) -> Answer {
    if site.pipeline(&asked.name).is_none() {
        return status::unknown(&asked.name);
    }
    CHANGED.set(CHANGED.get() + 1);
    Answer::text(StatusCode::OK, "ok\n")
}

const OPERATOR: &str = "Bearer operator-0123456789abcdef";
const VIEWER: &str = "Bearer viewer-0123456789abcdef";
const STRANGER: &str = "Bearer nobody-0123456789abcdef";

fn tokens(directory: &Path) -> Gate {
    let file = directory.join("tokens");
    let lines = [("ada", "operator", OPERATOR), ("vera", "viewer", VIEWER)];
    let lines = lines.map(|(name, role, token)| format!("{name} {role} {}\n", &token["Bearer ".len()..]));
    std::fs::write(&file, lines.concat()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Gate::new(Some(Kept::read(vec![file], FaultCode::AuthFileInvalid, Tokens::parse).unwrap()), false)
}

fn site(gate: Gate) -> (Site, Lines) {
    let (mut site, lines) = crate::site::tests::site(vec!["shop"]);
    site.routes = CHANGING;
    site.gate = gate;
    (site, lines)
}

/// The status of the answer, the code of its error, and whether something was changed.
fn call(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String, bool) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    CHANGED.set(0);
    let answer = answer(site, Port::Main, IpAddr::from([192, 0, 2, 7]), &request.body(()).unwrap());
    let code = answer.code().map_or("", |code| code.as_str());
    (answer.status().as_u16(), code.to_owned(), CHANGED.get() == 1)
}

const SHOP: &str = "/api/v1/pipelines/shop/change";
const REFUSED: (u16, bool) = (403, false);

#[test]
fn nothing_is_changed_without_the_role_operator() {
    let directory = TempDir::new("calls").unwrap();
    let (site, lines) = site(tokens(directory.path()));
    for (token, expected) in [
        (None, (401, "AUTH_TOKEN_INVALID", false)),
        (Some(STRANGER), (401, "AUTH_TOKEN_INVALID", false)),
        (Some("Basic b3BlcmF0b3I6eA=="), (401, "AUTH_TOKEN_INVALID", false)),
        (Some(VIEWER), (403, "AUTH_FORBIDDEN", false)),
        (Some(OPERATOR), (200, "", true)),
    ] {
        let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
        let (status, code, changed) = call(&site, "POST", SHOP, &headers);
        assert_eq!((status, &*code, changed), expected, "{token:?}");
    }
    let twice = [("authorization", OPERATOR), ("authorization", OPERATOR)];
    assert_eq!(call(&site, "POST", SHOP, &twice).0, 401);
    for method in ["GET", "HEAD", "PUT", "DELETE", "BREW"] {
        let (status, _, changed) = call(&site, method, SHOP, &[("authorization", OPERATOR)]);
        assert_eq!((status, changed), (405, false), "{method}");
    }
    let text = lines.text();
    for token in [OPERATOR, VIEWER, STRANGER] {
        assert!(!text.contains(&token["Bearer ".len()..]), "{text}");
    }
}

#[test]
fn a_page_of_another_site_changes_nothing_even_with_a_token() {
    let directory = TempDir::new("calls").unwrap();
    let (site, _) = site(tokens(directory.path()));
    let host = ("host", "limpid.example:7070");
    let token = ("authorization", OPERATOR);
    for header in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://limpid.example"),
        ("origin", "http://limpid.example:7070.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", ""),
    ] {
        let (status, code, changed) = call(&site, "POST", SHOP, &[host, token, header]);
        assert_eq!(((status, changed), &*code), (REFUSED, "CROSS_SITE_REFUSED"), "{header:?}");
    }
    for header in [("origin", "https://limpid.example:7070"), ("sec-fetch-site", "same-origin"), ("x", "y")] {
        assert_eq!(call(&site, "POST", SHOP, &[host, token, header]).0, 200, "{header:?}");
    }
}

#[test]
fn without_tokens_only_this_machine_changes_something() {
    let (site_here, _) = site(Gate::new(None, true));
    for host in ["127.0.0.1:7070", "localhost:7070", "[::1]:7070"] {
        assert_eq!(call(&site_here, "POST", SHOP, &[("host", host)]), (200, String::new(), true), "{host}");
    }
    // A name that leads to this machine by a stranger's doing.
    let (status, code, changed) = call(&site_here, "POST", SHOP, &[("host", "evil.example:7070")]);
    assert_eq!(((status, changed), &*code), (REFUSED, "CROSS_SITE_REFUSED"));
    let (site_there, _) = site(Gate::new(None, false));
    let (status, code, changed) = call(&site_there, "POST", SHOP, &[("host", "127.0.0.1:7070")]);
    assert_eq!(((status, changed), &*code), (REFUSED, "AUTH_FORBIDDEN"));
}

#[test]
fn every_call_has_its_line_with_who_what_and_how_it_ended() {
    let directory = TempDir::new("calls").unwrap();
    let (site, lines) = site(tokens(directory.path()));
    let (operator, viewer) = ([("authorization", OPERATOR)], [("authorization", VIEWER)]);
    call(&site, "POST", SHOP, &operator);
    call(&site, "POST", SHOP, &operator);
    call(&site, "POST", SHOP, &viewer);
    call(&site, "POST", "/api/v1/pipelines/no-such-one/change", &operator);
    call(&site, "POST", "/api/v1/broken", &operator);
    call(&site, "GET", SHOP, &operator);
    call(&site, "GET", "/livez", &operator);
    let text = lines.text();
    let told: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = told.iter().filter(|line| line["message"] == "a call to change something").map(|line| {
        let fact = |name: &str| line["metadata"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!((&*fact("peer"), &*fact("method")), ("192.0.2.7", "POST"));
        let pipeline = line["pipeline"].as_str().unwrap_or_default().to_owned();
        (fact("who"), fact("route"), pipeline, fact("outcome"), line["metadata"]["status"].as_u64().unwrap())
    });
    let line = |who: &str, route: &str, pipeline: &str, outcome: &str, status| {
        (who.to_owned(), route.to_owned(), pipeline.to_owned(), outcome.to_owned(), status)
    };
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            line("ada", PATH, "shop", "done", 200),
            line("ada", PATH, "shop", "done", 200),
            line("vera", PATH, "shop", "refused", 403),
            line("ada", PATH, "", "refused", 404),
            line("ada", "/api/v1/broken", "", "failed", 500),
        ]
    );
    assert!(!text.contains("no-such-one"));
}

#[test]
fn a_changing_route_is_described_as_one() {
    let changing = route(PATH, "getPipeline", "", Access::Operator, change);
    let paths = crate::openapi::path(&changing);
    assert_eq!(paths["post"]["security"], serde_json::json!([{"token": []}]));
    assert!(paths["post"]["responses"]["403"].is_object() && paths.get("get").is_none());
}

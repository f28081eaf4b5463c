//! Who may ask what, over real sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use limpid_server::ServerOptions;
use limpid_server::client::Client;
use limpid_stack::TempDir;

use crate::pipelines::{BUILD, Desk, Fate, Lines, desk_with, log, wait_for};
use crate::wire::{Reply, ask};

pub const OPERATOR: &str = "operator-0123456789abcdef";
pub const VIEWER: &str = "viewer-0123456789abcdef";

/// A file as `--auth-token-file` takes it, replaced in one step.
pub fn write(directory: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let (path, next) = (directory.path().join(name), directory.path().join(format!("{name}.next")));
    std::fs::write(&next, text).unwrap();
    std::fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    std::fs::rename(&next, &path).unwrap();
    path
}

fn both() -> String {
    format!("ada operator {OPERATOR}\nvera viewer {VIEWER}\n")
}

fn options(auth_token_file: PathBuf) -> ServerOptions {
    let any = "127.0.0.1:0".parse().unwrap();
    ServerOptions {
        auth_token_file: Some(auth_token_file),
        metrics_listen: Some(any),
        ..ServerOptions::new(any, BUILD)
    }
}

fn with_token(desk: &Desk, path: &str, token: &str) -> Reply {
    ask(desk.address(), "GET", path, &format!("Authorization: Bearer {token}\r\n"))
}

#[test]
fn every_route_asks_for_a_token_but_the_probes() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let desk = desk_with(&options(file), log(), &[("shop", Fate::Runs)]);
    let document = limpid_server::openapi();
    let (calls, paths): (Vec<_>, Vec<_>) =
        document["paths"].as_object().unwrap().iter().partition(|(_, item)| item["post"].is_object());
    let paths: Vec<&String> = paths.into_iter().map(|(path, _)| path).collect();
    assert!(paths.len() > 10 && !calls.is_empty());
    for (path, _) in calls {
        let path = path.replace("{name}", "shop") + "?action=pause&to=p&all=true";
        let status = |token: &str| ask(desk.address(), "POST", &path, token).status;
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        // A position is not set by one call: it is asked first. A row is shown by its number, a key is watched by name.
        let done = match () {
            () if path.contains("/position/set") => 200,
            () if path.contains("/dlq/raw") || path.contains("/trace/watch") => 400,
            () => 202,
        };
        assert_eq!([status(""), status(&bearer(VIEWER)), status(&bearer(OPERATOR))], [401, 403, done], "{path}");
    }
    for path in paths.iter().map(|path| path.replace("{name}", "shop")).chain(["/nothing".to_owned()]) {
        let probe = ["/livez", "/readyz", "/startupz", "/healthz"].contains(&&*path);
        // A row is shown by its number, and followed by its key.
        let there = match &*path {
            "/nothing" => 404,
            path if path.contains("/dlq/show") || path.ends_with("/trace") => 400,
            _ => 200,
        };
        let statuses = ["", "Authorization: Bearer nobody-0123456789abcdef\r\n", "Authorization: Basic dTpw\r\n"]
            .map(|header| ask(desk.address(), "GET", &path, header).status);
        assert_eq!(statuses, if probe { [200; 3] } else { [401; 3] }, "{path}");
        for token in [VIEWER, OPERATOR] {
            assert_eq!(with_token(&desk, &path, token).status, there, "{path} {token}");
        }
        // A query is no place for a token: it ends in the logs of proxies.
        let in_query = ask(desk.address(), "GET", &format!("{path}?access_token={OPERATOR}"), "");
        assert_eq!(in_query.status, if probe { 200 } else { 401 }, "{path}");
    }
    let refused = ask(desk.address(), "GET", "/metrics", "");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"limpid\""));
    assert_eq!(refused.json()["error"]["code"], "AUTH_TOKEN_INVALID");
    desk.end();
}

/// A watch changes what records carry.
#[test]
fn a_key_is_watched_for_an_operator_and_followed_by_anybody() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let lines = Lines::default();
    let desk = desk_with(&options(file), lines.log(), &[("shop", Fate::Traces), ("bare", Fate::Runs)]);
    let watch = |pipeline: &str, query: &str, token: &str| {
        let path = format!("/api/v1/pipelines/{pipeline}/trace/watch?{query}");
        ask(desk.address(), "POST", &path, &format!("Authorization: Bearer {token}\r\n"))
    };
    let key = "table=s.orders&key=3";
    let refused = watch("shop", key, VIEWER);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &"AUTH_FORBIDDEN".into()));
    let followed = with_token(&desk, &format!("/api/v1/pipelines/shop/trace?{key}&watch=true"), VIEWER);
    assert_eq!((followed.status, &followed.json()["watched"]), (200, &false.into()), "nobody watches by looking");
    let watched = watch("shop", key, OPERATOR).json();
    assert_eq!((&watched["watched"], &watched["seconds"]), (&true.into(), &30.0.into()));
    assert_eq!(watched["key_hash"], followed.json()["key_hash"]);
    let is_watched = |id: u32| {
        let path = format!("/api/v1/pipelines/shop/trace?table=s.orders&key={id}");
        with_token(&desk, &path, VIEWER).json()["watched"].clone()
    };
    assert_eq!((is_watched(3), is_watched(4)), (true.into(), false.into()));
    let bare = watch("bare", key, OPERATOR).json();
    assert_eq!((&bare["watched"], &bare["seconds"]), (&false.into(), &0.0.into()), "it keeps no traces");
    for (query, status) in [("position=0-1-7", 400), ("table=s.orders", 400), ("table=s.nothing&key=1", 404)] {
        assert_eq!(watch("shop", query, OPERATOR).status, status, "{query}");
    }
    desk.end();
    let text = lines.text();
    assert!(text.lines().any(|line| line.contains("trace/watch") && line.contains("\"ada\"")), "audited: {text}");
    assert!(!text.contains("key=3"), "{text}");
}

#[test]
fn a_stranger_learns_whether_all_is_well_and_no_name() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let desk = desk_with(&options(file), log(), &[("away", Fate::Away)]);
    let bare = ask(desk.address(), "GET", "/healthz", "");
    assert_eq!((bare.status, bare.json()), (503, serde_json::json!({"status": "failed", "components": []})));
    assert!(!with_token(&desk, "/healthz", VIEWER).json()["components"].as_array().unwrap().is_empty());
    desk.end();
}

#[test]
fn the_metrics_port_has_metrics_and_probes_and_nothing_else() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let desk = desk_with(&options(file), log(), &[("shop", Fate::Runs)]);
    let metrics = desk.server.metrics_addr().unwrap();
    let token = format!("Authorization: Bearer {VIEWER}\r\n");
    for (path, without, with) in [
        ("/metrics", 401, 200),
        ("/livez", 200, 200),
        ("/readyz", 200, 200),
        ("/startupz", 200, 200),
        ("/healthz", 200, 200),
        ("/", 401, 404),
        ("/status", 401, 404),
        ("/api/v1/pipelines", 401, 404),
        ("/api/v1/pipelines/shop", 401, 404),
    ] {
        let statuses = (ask(metrics, "GET", path, "").status, ask(metrics, "GET", path, &token).status);
        assert_eq!(statuses, (without, with), "{path}");
    }
    desk.end();
}

#[test]
fn a_changed_file_holds_from_the_next_request_on() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let lines = Lines::default();
    let desk = desk_with(&options(file), lines.log(), &[("shop", Fate::Runs)]);
    let statuses = |desk: &Desk| {
        [VIEWER, OPERATOR, "newcomer-0123456789abc"].map(|token| with_token(desk, "/status", token).status)
    };
    assert_eq!(statuses(&desk), [200, 200, 401]);
    write(&directory, "tokens", "nora viewer newcomer-0123456789abc\n", 0o600);
    assert_eq!(statuses(&desk), [401, 401, 200]);
    // What cannot be used leaves what was there: half-written, open to all, gone.
    for text in ["nora vie", ""] {
        write(&directory, "tokens", text, 0o600);
        assert_eq!(statuses(&desk), [401, 401, 200], "{text:?}");
    }
    write(&directory, "tokens", &both(), 0o644);
    assert_eq!(statuses(&desk), [401, 401, 200]);
    std::fs::remove_file(directory.path().join("tokens")).unwrap();
    assert_eq!(statuses(&desk), [401, 401, 200]);
    write(&directory, "tokens", &both(), 0o640);
    assert_eq!(statuses(&desk), [200, 200, 401]);
    desk.end();
    let text = lines.text();
    // Of two equal lines the log tells the second by number.
    assert!(text.contains("a changed file was taken over"), "{text}");
    assert_eq!(text.matches("\"error_code\":\"AUTH_FILE_INVALID\"").count(), 4, "{text}");
    assert!(![VIEWER, OPERATOR, "newcomer"].iter().any(|token| text.contains(token)), "{text}");
}

/// Under both files the viewer's token is good, so that no request may ever be refused or broken off.
#[test]
fn no_request_is_lost_while_the_file_changes_under_it() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let desk = desk_with(&options(file), log(), &[("shop", Fate::Runs)]);
    let token = write(&directory, "vera", &format!("{VIEWER}\n"), 0o600);
    let url = format!("http://{}", desk.address());
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            let client = Client::new(&url, Duration::from_secs(10)).unwrap().with_token_file(&token).unwrap();
            std::thread::spawn(move || {
                while !done.load(Relaxed) {
                    client.status().unwrap();
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for round in 0..50 {
        let seen = answered.load(Relaxed);
        write(
            &directory,
            "tokens",
            &format!("other{round} operator operator-{round:020}\nvera viewer {VIEWER}\n"),
            0o600,
        );
        wait_for(|| answered.load(Relaxed) > seen + 4);
    }
    done.store(true, Relaxed);
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    desk.end();
}

#[test]
fn our_own_client_shows_its_token_and_says_why_it_is_refused() {
    let directory = TempDir::new("tokens").unwrap();
    let file = write(&directory, "tokens", &both(), 0o600);
    let desk = desk_with(&options(file), log(), &[("shop", Fate::Runs)]);
    let client = || Client::new(&format!("http://{}", desk.address()), Duration::from_secs(5)).unwrap();
    let good = write(&directory, "good", &format!("\n{VIEWER}\n"), 0o600);
    let bad = write(&directory, "bad", "nobody-0123456789abcdef", 0o600);
    assert_eq!(client().with_token_file(&good).unwrap().status().unwrap().pipelines.len(), 1);
    assert_eq!(client().with_token_file(&bad).unwrap().status().unwrap_err().code().as_str(), "AUTH_TOKEN_INVALID");
    assert_eq!(client().status().unwrap_err().code().as_str(), "AUTH_TOKEN_INVALID");
    for text in ["", "short", "ada operator operator-0123456789abcdef", "a\r\nX-Injected-Header:0123456789"] {
        let path = write(&directory, "odd", text, 0o600);
        let fault = client().with_token_file(&path).unwrap_err();
        assert_eq!(fault.code().as_str(), "AUTH_FILE_INVALID", "{text}");
    }
    assert!(!format!("{:?}", client().with_token_file(&good).unwrap()).contains(VIEWER));
    desk.end();
}

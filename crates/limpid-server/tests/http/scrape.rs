//! promtool and a real Prometheus read `/metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use limpid_stack::{Unavailable, prometheus, require};

use crate::pipelines::{Fate, desk, wait_for};
use crate::wire::get;

#[test]
fn a_real_prometheus_scrapes_us_again_and_again() {
    let Some(server) = require(prometheus::start(&prometheus::Options::default())) else { return };
    let desk = desk(&[("shop", Fate::HaltsTable)]);
    let target = format!("static_configs: [{{targets: ['{}']}}]", desk.address());
    server.reload(&format!("scrape_configs: [{{job_name: limpid, scrape_interval: 200ms, {target}}}]")).unwrap();
    let value = |expression: &str| {
        let answer: serde_json::Value = serde_json::from_str(&server.query(expression).unwrap()).unwrap();
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    wait_for(|| value("count_over_time(up{job=\"limpid\"}[1m]) > 3").is_some());
    assert_eq!(value("min_over_time(up{job=\"limpid\"}[1m])").as_deref(), Some("1"), "no scrape failed");
    assert_eq!(value("gravity_output_counter{pipeline=\"shop\"}").as_deref(), Some("7"));
    assert_eq!(value("limpid_build_info{version=\"0.1.0\"}").as_deref(), Some("1"));
    desk.end();
}

#[test]
fn promtool_reads_the_page() {
    let desk = desk(&[("shop", Fate::Runs)]);
    let page = get(desk.address(), "/metrics").body;
    desk.end();
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn().map_err(|error| Unavailable { server: "promtool", why: error.to_string() });
    let Some(mut promtool) = require(started.map_err(anyhow::Error::from)) else { return };
    let mut input = promtool.stdin.take().unwrap();
    // In a thread, since neither pipe holds a whole page.
    let writer = std::thread::spawn(move || input.write_all(page.as_bytes()));
    let output = promtool.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    // 3 is "readable, but the names are not as we would have them": the contract keeps Gravity's.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
}

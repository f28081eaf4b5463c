//! A real Prometheus scrapes us, in both formats, and says what it read.
//!
//! Owns: a server of a few lines. Does not own: the server that ships (`limpid-server`).
#![expect(clippy::disallowed_methods, reason = "a server and a wait of a test, on the real clock")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use limpid_stack::{prometheus, require};
use limpid_telemetry::{Exemplar, Format, catalogue, negotiate};

use crate::reader;
use crate::sample::{self, Desk};

/// Serves `/metrics`; remembers which format each path was answered with.
struct Endpoint {
    port: u16,
    answered: Arc<Mutex<BTreeMap<String, Format>>>,
}

fn serve(desk: Desk) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answered = Arc::new(Mutex::new(BTreeMap::new()));
    let kept = Arc::clone(&answered);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &desk, &kept);
        }
    });
    Endpoint { port, answered }
}

fn answer(mut stream: TcpStream, desk: &Desk, answered: &Mutex<BTreeMap<String, Format>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut accept = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("accept")
        {
            accept = Some(value.trim().to_owned());
        }
    }
    // The second path is for a scraper that reads text only: Prometheus 2.42 cannot be told to ask for it.
    let format = if path == "/text" { Format::Text } else { negotiate(accept.as_deref()) };
    answered.lock().unwrap().insert(path, format);
    let page = desk.page(format);
    let kind = format.content_type();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    )?;
    stream.write_all(page.as_bytes())
}

#[test]
fn a_real_prometheus_stores_the_same_samples_from_both_forms() {
    let Some(server) = require(prometheus::start(&prometheus::Options::default())) else { return };
    let desk = sample::desk();
    // An exemplar on a wrong place would cost the whole scrape.
    let histogram = desk.registry.histogram(&catalogue::EVENT_TIME_LATENCY, &["shop"]);
    histogram.exemplify(Exemplar { trace_id: 0xfeed, value: 20.0, wall_micros: desk.now.wall_micros });
    let expected = reader::read(&desk.page(Format::Text));
    let endpoint = serve(desk);
    let job = |name: &str, path: &str| {
        let targets = format!("static_configs: [{{targets: ['127.0.0.1:{}']}}]", endpoint.port);
        format!("{{job_name: {name}, metrics_path: {path}, scrape_interval: 200ms, {targets}}}")
    };
    let config = format!("scrape_configs: [{}, {}]", job("open", "/metrics"), job("text", "/text"));
    server.reload(&config).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let both_are_up = || server.query("sum(up)").unwrap().contains("\"2\"");
    while !both_are_up() {
        assert!(Instant::now() < deadline, "not scraped: {}", server.get("/api/v1/targets").unwrap().1);
        std::thread::sleep(Duration::from_millis(50));
    }
    let answered = endpoint.answered.lock().unwrap().clone();
    assert_eq!(answered["/metrics"], Format::OpenMetrics, "what Prometheus asks for");
    assert_eq!(answered["/text"], Format::Text);
    for name in ["open", "text"] {
        let stored = stored(&server, name);
        for sample in expected.iter().filter(|sample| !sample.name.starts_with("process_")) {
            let labels: BTreeMap<String, String> = sample.labels.iter().cloned().collect();
            // An empty label is, to Prometheus, an absent one.
            let labels = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let found = stored.get(&(sample.name.clone(), labels));
            assert_eq!(found, Some(&sample.value), "{name}: {sample:?}");
        }
    }
    let since = "/api/v1/query_exemplars?query=gravity_event_time_latency_bucket&start=1699999000&end=1700001000";
    let exemplars = server.get(since).unwrap().1;
    assert!(exemplars.contains("0000000000000000000000000000feed"), "{exemplars}");
}

/// Every series of a job as Prometheus has it.
fn stored(server: &prometheus::Server, job: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let answer: serde_json::Value =
        serde_json::from_str(&server.query(&format!("{{job=\"{job}\"}}")).unwrap()).unwrap();
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let labels = series["metric"].as_object().unwrap().iter();
        let mut labels: BTreeMap<String, String> =
            labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        labels.remove("job");
        labels.remove("instance");
        let name = labels.remove("__name__").unwrap();
        ((name, labels), series["value"][1].as_str().unwrap().parse().unwrap())
    });
    series.collect()
}

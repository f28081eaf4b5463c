//! Kept transactions, metrics and log lines arrive at a real OpenTelemetry Collector.
//!
//! Owns: what is sent and how it arrives, by gRPC and by HTTP; what a collector that is away costs. Does not own: unit facts
//! of the rules and the spans.
//!
//! Invariant: the oracles are the collector, which says what it received, a scrape, stderr, the server's own GTIDs, and Apache's
//! consumer.
#![expect(
    clippy::disallowed_methods,
    reason = "how long the broker stands still is told in real time; nothing is awaited by it"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_e2e::received::{LogLine, Metrics, SampleName};
use limpid_e2e::servers::{broker, maria};
use limpid_e2e::{Case, Ended, Limpid, PATIENCE, Pipeline, call, limpid, page, wait_until};
use limpid_stack::kafka::Isolation;
use limpid_stack::{TempDir, kafka, otelcol, ports, require};
use serde_json::Value;
use twox_hash::{XxHash3_64, XxHash3_128};

const SECRET: &str = "no-row-value-leaves";

/// Longer than `slow-ms` is where nothing is said.
const SLOW: Duration = Duration::from_millis(1100);

/// A span as it was received.
#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    start: u64,
    end: u64,
    attributes: BTreeMap<String, String>,
    links: usize,
}

fn received(collector: &otelcol::Server) -> Result<Vec<Span>> {
    let mut all = Vec::new();
    for message in collector.received() {
        let message: Value = serde_json::from_str(&message)?;
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        for resource in list(&message, "resourceSpans") {
            for scope in list(&resource, "scopeSpans") {
                for span in list(&scope, "spans") {
                    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
                    let value = |value: &Value| {
                        ["stringValue", "intValue"].into_iter().find_map(|kind| value[kind].as_str().map(str::to_owned))
                    };
                    let attributes = list(&span, "attributes");
                    let attributes = attributes
                        .iter()
                        .filter_map(|pair| Some((pair["key"].as_str()?.to_owned(), value(&pair["value"])?)))
                        .collect();
                    all.push(Span {
                        trace: text("traceId"),
                        id: text("spanId"),
                        parent: text("parentSpanId"),
                        name: text("name"),
                        start: text("startTimeUnixNano").parse()?,
                        end: text("endTimeUnixNano").parse()?,
                        attributes,
                        links: list(&span, "links").len(),
                    });
                }
            }
        }
    }
    Ok(all)
}

/// The spans of one transaction, by its GTID, once its root is there.
fn of_txn(collector: &otelcol::Server, gtid: &str) -> Result<Vec<Span>> {
    let find = || -> Option<Vec<Span>> {
        let all = received(collector).ok()?;
        let root = all.iter().find(|span| span.attributes.get("limpid.txn.id").is_some_and(|txn| txn == gtid))?;
        let trace = root.trace.clone();
        Some(all.into_iter().filter(|span| span.trace == trace).collect())
    };
    wait_until(&format!("the trace of {gtid}"), PATIENCE, || find().is_some())?;
    find().context("it is there")
}

/// Parents, times and the stages of a trace that was received.
fn check_tree(spans: &[Span]) -> Result<()> {
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    for span in spans.iter().filter(|span| span.id != root.id) {
        ensure!(span.parent == root.id && span.trace == root.trace, "{span:#?} in {root:#?}");
        ensure!(root.start <= span.start && span.start <= span.end && span.end <= root.end, "{span:#?} in {root:#?}");
    }
    for stage in ["Input", "Filter", "Scheduler", "Output"] {
        ensure!(spans.iter().any(|span| span.name == stage), "{stage} is missing: {spans:#?}");
    }
    let mut ids: Vec<&str> = spans.iter().map(|span| &*span.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == spans.len() && spans.len() <= 64, "ids are unique, and bounded: {spans:#?}");
    Ok(())
}

/// The GTID that the server gave last.
fn last_gtid(case: &Case) -> Result<String> {
    Ok(case.db.gtids()?.trim_start_matches("gtid:").to_owned())
}

/// The case with everything that goes by OTLP; one state for all, as the topics' records demand.
fn pipeline(case: &Case, dir: &TempDir, word: &str, address: &str, sample: u8) -> Result<Pipeline> {
    let yaml = std::fs::read_to_string(&case.pipeline.file)?.replace("halt-table", "park-key");
    let text = format!(
        "{yaml}telemetry:\n  traces: {{ {address}, sample: {sample} }}\n  metrics: {{ {address}, push-every: 1s }}\n  logs: {{ {address} }}\n"
    );
    Ok(Pipeline::write(dir.path(), word, &text)?.with_data_dir("kept-data"))
}

fn running(pipeline: &Pipeline) -> Result<Limpid> {
    let limpid = pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    Ok(limpid)
}

/// The ids of the root, by another implementation of XXH3 than the product's.
fn independent_ids(pipeline: &str, gtid: &str) -> (String, String) {
    let trace = XxHash3_128::oneshot(format!("{pipeline}\0{gtid}").as_bytes());
    let numbers = [0_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    let span = XxHash3_64::oneshot(&[&trace.to_be_bytes()[..], b"Transaction\0", &numbers].concat());
    (format!("{trace:032x}"), format!("{span:016x}"))
}

fn counter(limpid: &Limpid, start: &str) -> Result<f64> {
    let page = page(&limpid.address()?, "/metrics")?;
    let values = page
        .lines()
        .filter(|line| line.starts_with(start))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

#[test]
fn kept_transactions_arrive_whole_at_a_collector_by_grpc_and_by_http() -> Result<()> {
    let (Some(broker), Some(db)) = (broker(), maria()) else { return Ok(()) };
    let Some(collector) = require(otelcol::start(&Default::default())) else { return Ok(()) };
    let tables = "create table t (id bigint primary key, v longtext); create table u (id int primary key)";
    let bootstrap = broker.bootstrap();
    let case = Case::unstarted(db, "kept", tables, |spec| spec.to_kafka(&bootstrap).source("start: head"))?;
    broker.create_topic(&format!("{0}.{0}.t", case.name), 3, &[("max.message.bytes", "20000")])?;
    let dir = TempDir::new("kept")?;
    // By gRPC, everything.
    let all = pipeline(&case, &dir, "all", &format!("otlp: \"{}\"", collector.grpc()), 1)?;
    let mut limpid = running(&all)?;
    case.sql(&format!("insert into t values (1, '{SECRET}')"))?;
    let first = last_gtid(&case)?;
    case.sql(&format!("begin; insert into t values (2, '{SECRET}'), (3, 'x'); insert into u values (5); commit"))?;
    let second = last_gtid(&case)?;
    let spans = of_txn(&collector, &first)?;
    check_tree(&spans)?;
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    ensure!(root.name == format!("process {}.t", case.name) && root.attributes["limpid.kept"] == "first", "{root:#?}");
    ensure!(root.attributes["db.system.name"] == "mariadb" && root.attributes["limpid.rows"] == "1", "{root:#?}");
    ensure!((root.trace.clone(), root.id.clone()) == independent_ids(&case.name, &first), "{root:#?}");
    // The output is where Apache's consumer finds the record.
    let output = spans.iter().find(|span| span.name == "Output").context("an output")?;
    let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    let record = records.first().context("a record")?;
    let place = |name: &str| output.attributes.get(name).cloned().unwrap_or_default();
    ensure!(
        place("messaging.system") == "kafka" && place("messaging.destination.name") == format!("{0}.{0}.t", case.name),
        "{output:#?}"
    );
    ensure!(place("messaging.destination.partition.id") == record.partition.to_string(), "{output:#?} {record:?}");
    ensure!(place("messaging.kafka.offset") == record.offset.to_string(), "{output:#?} {record:?}");
    ensure!(stamped(record) == Some(format!("00-{}-{}-01", root.trace, root.id)), "{record:?} of {root:#?}");
    let spans = of_txn(&collector, &second)?;
    check_tree(&spans)?;
    ensure!(spans.iter().filter(|span| span.name == "Output").count() >= 2, "one a table: {spans:#?}");
    exemplars_are_traces(&limpid, &collector)?;
    a_definition_is_a_trace_without_its_text(&case, &collector)?;
    metrics_are_those_of_a_scrape(&limpid, &collector)?;
    ends_with_its_lines_received(&mut limpid, &collector)?;
    // By HTTP and at a rate of nothing, only what has a reason: the first of a table, and what an application keeps.
    let by_http = format!("otlp: \"{}\", protocol: http", collector.http());
    let none = pipeline(&case, &dir, "none", &by_http, 0)?;
    // Exactly once batches come back as receipts, which must tell as much.
    let yaml = std::fs::read_to_string(&none.file)?;
    std::fs::write(&none.file, yaml.replace("delivery: at-least-once", "delivery: exactly-once"))?;
    let mut limpid = running(&none)?;
    case.sql("insert into t values (10, 'a')")?;
    let new = last_gtid(&case)?;
    case.sql("insert into t values (11, 'b')")?;
    let passed = last_gtid(&case)?;
    case.sql("insert into u values (12)")?;
    let last = last_gtid(&case)?;
    check_tree(&of_txn(&collector, &new)?)?;
    check_tree(&of_txn(&collector, &last)?)?;
    let all = received(&collector)?;
    ensure!(all.iter().all(|span| span.attributes.get("limpid.txn.id") != Some(&passed)), "{passed} had no reason");
    ensure!(all.iter().all(|span| span.links == 0), "nobody named a context");
    applications_name_their_traces(&case, &collector)?;
    metrics_are_those_of_a_scrape(&limpid, &collector)?;
    a_row_that_is_parked_is_told_of_with_the_ids_of_its_trace(&case, &limpid, &collector)?;
    what_was_slow_is_kept(&case, &limpid, &collector)?;
    what_somebody_watches_is_kept(&case, &limpid, &collector)?;
    a_chunk_that_is_copied_is_a_trace(&case, &limpid, &collector)?;
    ends_with_its_lines_received(&mut limpid, &collector)?;
    ensure!(collector.received().iter().all(|message| !message.contains(SECRET)), "a row's value was sent");
    nobody_waits_for_a_collector_that_is_away(&case, &dir)
}

/// The `traceparent` of a record.
fn stamped(record: &kafka::Record) -> Option<String> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == "traceparent")?;
    String::from_utf8(value.clone()?).ok()
}

/// At a rate of nothing: one context that its application keeps becomes the parent, several become links.
fn applications_name_their_traces(case: &Case, collector: &otelcol::Server) -> Result<()> {
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let comment = |last: char| format!("/*traceparent='00-{trace}-{}{last}-01'*/", &span[..15]);
    let mut session = case.db.session()?;
    session.exec(&format!("use {}", case.name))?;
    session.exec(&format!("insert into t values (13, 'c') {}", comment('7')))?;
    let asked = last_gtid(case)?;
    let spans = of_txn(collector, &asked)?;
    let root = spans.iter().find(|span| span.attributes.contains_key("limpid.txn.id")).context("a root")?;
    ensure!((&*root.trace, &*root.parent) == (trace, span), "the application's: {root:#?}");
    ensure!(root.attributes["limpid.txn_trace_id"] == independent_ids(&case.name, &asked).0, "ours: {root:#?}");
    ensure!(spans.iter().filter(|other| other.parent == root.id).count() >= 4, "the stages: {spans:#?}");
    session.exec("begin")?;
    session.exec(&format!("{} insert into t values (14, 'd')", comment('8')))?;
    session.exec(&format!("insert into u values (15) {}", comment('9')))?;
    session.exec("commit")?;
    let both = last_gtid(case)?;
    let spans = of_txn(collector, &both)?;
    check_tree(&spans)?;
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    ensure!(root.links == 2 && root.trace == independent_ids(&case.name, &both).0, "{root:#?}");
    // What is not sampled carries nothing, what the application keeps carries its trace.
    let records = broker().context("a broker")?.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    let of = |id: u32| {
        let key = format!("{{\"id\":{id}}}");
        let record = records.iter().find(|record| record.key.as_deref() == Some(key.as_bytes()));
        record.map(stamped).with_context(|| format!("row {id}"))
    };
    ensure!(of(11)?.is_none() && of(14)?.is_none(), "not sampled: {records:?}");
    ensure!(
        of(13)?.is_some_and(|text| text.starts_with(&format!("00-{trace}-")) && text.ends_with("-01")),
        "{records:?}"
    );
    Ok(())
}

fn root_of(spans: &[Span]) -> Result<&Span> {
    spans.iter().find(|span| span.attributes.contains_key("limpid.txn.id")).context("a root")
}

/// By its kind and its table; MariaDB's own GTID names it.
fn a_definition_is_a_trace_without_its_text(case: &Case, collector: &otelcol::Server) -> Result<()> {
    case.sql(&format!("create table d (id int primary key, v varchar(60) default '{SECRET}')"))?;
    let gtid = last_gtid(case)?;
    let spans = of_txn(collector, &gtid)?;
    let root = root_of(&spans)?;
    ensure!(root.name == format!("CREATE TABLE {}.d", case.name) && root.parent.is_empty(), "{root:#?}");
    ensure!((root.trace.clone(), root.id.clone()) == independent_ids(&case.name, &gtid), "{root:#?}");
    let child = spans.iter().find(|span| span.name == "Definition").context("a definition")?;
    ensure!(child.parent == root.id && child.attributes["db.operation.name"] == "CREATE TABLE", "{child:#?}");
    ensure!(child.attributes["db.collection.name"] == "d" && root.start <= child.start, "{child:#?} of {root:#?}");
    // With rows of its own it is one trace, wherever the stream is cut.
    case.sql("create table e (id int primary key) select id from u")?;
    let spans = of_txn(collector, &last_gtid(case)?)?;
    check_tree(&spans)?;
    ensure!(spans.iter().any(|span| span.name == "Definition"), "{spans:#?}");
    let root = root_of(&spans)?;
    ensure!(root.name == format!("process {}.e", case.name) && root.attributes["limpid.rows"] == "1", "{root:#?}");
    Ok(())
}

/// At a rate of nothing the first chunk of a table is kept: its reading, its wait for the fence, its delivery.
fn a_chunk_that_is_copied_is_a_trace(case: &Case, running: &Limpid, collector: &otelcol::Server) -> Result<()> {
    let table = format!("{}.u", case.name);
    let rows = case.sql("select count(*) from u")?;
    let (ended, said) = call("snapshot", &running.address()?, &[&case.name, "--table", &table])?;
    ensure!(ended == Ended::Code(0), "{said}");
    let find = || -> Option<Vec<Span>> {
        let all = received(collector).ok()?;
        let root = all.iter().find(|span| span.attributes.contains_key("limpid.chunk.id"))?.clone();
        Some(all.into_iter().filter(|span| span.trace == root.trace).collect())
    };
    wait_until("the chunk's trace", PATIENCE, || find().is_some())?;
    let spans = find().context("it is there")?;
    check_tree(&spans)?;
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    ensure!(root.name == format!("copy {table}") && root.attributes["limpid.kept"] == "first", "{root:#?}");
    ensure!(root.attributes["limpid.rows"] == rows.trim(), "the server counts {rows}: {root:#?}");
    ensure!(root.attributes["db.system.name"] == "mariadb", "{root:#?}");
    let ids = independent_ids(&case.name, &root.attributes["limpid.chunk.id"]);
    ensure!((root.trace.clone(), root.id.clone()) == ids, "{root:#?}");
    let span =
        |name: &str| spans.iter().find(|span| span.name == name).with_context(|| format!("{name} of {spans:#?}"));
    let (read, fence, output) = (span("Input")?, span("Fence")?, span("Output")?);
    ensure!(read.start == root.start && read.end == fence.start && fence.end <= output.start, "{spans:#?}");
    let sent =
        spans.iter().filter_map(|span| span.attributes.get("messaging.batch.message_count")?.parse::<u64>().ok());
    ensure!(sent.sum::<u64>().to_string() == rows.trim(), "by partition: {spans:#?}");
    Ok(())
}

/// The row's transaction is kept, and what the log says of the row leads to it; to the application's trace where it has one.
fn a_row_that_is_parked_is_told_of_with_the_ids_of_its_trace(
    case: &Case,
    limpid: &Limpid,
    collector: &otelcol::Server,
) -> Result<()> {
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let comment = format!("/*traceparent='00-{trace}-{span}-00'*/");
    let mut session = case.db.session()?;
    session.exec(&format!("use {}", case.name))?;
    for (id, comment) in [(30, ""), (31, &*comment)] {
        session.exec(&format!("insert into t values ({id}, repeat('{SECRET}', 2000)) {comment}"))?;
        let gtid = last_gtid(case)?;
        let spans = of_txn(collector, &gtid)?;
        let root = root_of(&spans)?;
        let attribute = |name: &str| root.attributes.get(name).map(String::as_str);
        ensure!(
            (attribute("limpid.kept"), attribute("error.type")) == (Some("error"), Some("RECORD_TOO_LARGE")),
            "{root:#?}"
        );
        let (own, own_root) = independent_ids(&case.name, &gtid);
        let shown = if comment.is_empty() { own.as_str() } else { trace };
        ensure!((&*root.trace, &*root.id) == (shown, &*own_root), "{root:#?}");
        let said = limpid.stderr();
        let mut lines = said.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["error_code"] == "RECORD_TOO_LARGE").context("a line")?;
        ensure!(line["trace_id"] == shown && line["span_id"] == *own_root, "{line:#} of {root:#?}");
    }
    ensure!(!limpid.stderr().contains(SECRET), "a row's value was logged");
    Ok(())
}

/// A broker that stands still for longer than `slow-ms`.
fn what_was_slow_is_kept(case: &Case, limpid: &Limpid, collector: &otelcol::Server) -> Result<()> {
    let broker = broker().context("a broker")?;
    broker.pause()?;
    let waits = || -> Result<String> {
        case.sql("insert into t values (32, 's')")?;
        let gtid = last_gtid(case)?;
        let (address, path) = (limpid.address()?, format!("/api/v1/pipelines/{}/trace?table=t&key=32", case.name));
        wait_until("the row to be with the sink", PATIENCE, || {
            page(&address, &path).is_ok_and(|text| text.contains("waiting"))
        })?;
        std::thread::sleep(SLOW);
        Ok(gtid)
    };
    let waited = waits();
    broker.resume()?;
    let spans = of_txn(collector, &waited?)?;
    check_tree(&spans)?;
    let root = root_of(&spans)?;
    ensure!(root.attributes["limpid.kept"] == "slow" && root.end - root.start >= 1_000_000_000, "{root:#?}");
    Ok(())
}

/// While a key is watched, its transactions are kept and its records say so; those of another are not.
fn what_somebody_watches_is_kept(case: &Case, running: &Limpid, collector: &otelcol::Server) -> Result<()> {
    let url = format!("http://{}", running.address()?);
    let watcher = limpid(&["trace", &case.name, "--table", "t", "--key", "33", "--watch", "--server", &url])?;
    wait_until("the key to be watched", PATIENCE, || watcher.stdout().contains("kept as traces"))?;
    case.sql("insert into t values (34, 'x')")?;
    let other = last_gtid(case)?;
    case.sql("insert into t values (33, 'w')")?;
    let spans = of_txn(collector, &last_gtid(case)?)?;
    check_tree(&spans)?;
    let root = root_of(&spans)?;
    ensure!(root.attributes["limpid.kept"] == "watched", "{root:#?}");
    ensure!(received(collector)?.iter().all(|span| span.attributes.get("limpid.txn.id") != Some(&other)), "{other}");
    let topic = format!("{0}.{0}.t", case.name);
    let records = broker().context("a broker")?.consume(&topic, Isolation::ReadCommitted)?;
    let of = |id: u32| {
        let key = format!("{{\"id\":{id}}}");
        let record = records.iter().find(|record| record.key.as_deref() == Some(key.as_bytes()));
        record.map(stamped).with_context(|| format!("row {id}"))
    };
    ensure!(of(33)? == Some(format!("00-{}-{}-01", root.trace, root.id)) && of(34)?.is_none(), "{records:?}");
    wait_until("the watcher to tell", PATIENCE, || watcher.stdout().contains("delivered"))
}

/// Each exemplar of the exposition is a trace that the collector has.
fn exemplars_are_traces(limpid: &Limpid, collector: &otelcol::Server) -> Result<()> {
    let page = open_metrics(limpid)?;
    let ids = Metrics::of_page(&page)?.exemplars;
    ensure!(!ids.is_empty(), "there are exemplars: {page}");
    wait_until("the exemplars' traces", PATIENCE, || {
        received(collector).is_ok_and(|all| ids.iter().all(|id| all.iter().any(|span| span.trace == *id)))
    })
}

/// By name, type, help, labels and bounds; by value what does not move while nobody writes; by exemplar.
fn metrics_are_those_of_a_scrape(limpid: &Limpid, collector: &otelcol::Server) -> Result<()> {
    let address = limpid.address()?;
    let port = address.rsplit(':').next().context("a port")?;
    let compared = || -> Result<()> {
        let pushed = Metrics::received(collector, port)?.context("nothing was received")?;
        let scraped = Metrics::of_page(&page(&address, "/metrics")?)?;
        ensure!(pushed.from["service.name"] == "limpid" && !pushed.from["service.version"].is_empty(), "{pushed:?}");
        let is_still = |all: &Metrics, (name, _): &SampleName| {
            let is_gauge = all.heads.get(name).is_some_and(|(kind, _)| kind == "gauge");
            !is_gauge && !name.starts_with("process_") && name != "limpid_metric_pushes_total"
        };
        let still = |all: &Metrics| -> BTreeMap<SampleName, String> {
            // Twelve digits: not every reader of JSON has the last one right.
            let value = |name: &SampleName, value: f64| {
                if is_still(all, name) { format!("{value:.12e}") } else { String::new() }
            };
            all.samples.iter().map(|(name, is)| (name.clone(), value(name, *is))).collect()
        };
        let (here, there) = (still(&scraped), still(&pushed));
        let differ: Vec<_> = here.iter().filter(|(name, value)| there.get(*name) != Some(*value)).collect();
        let further: Vec<_> = there.keys().filter(|name| !here.contains_key(*name)).collect();
        let exemplars = Metrics::of_page(&open_metrics(limpid)?)?.exemplars;
        ensure!(
            differ.is_empty() && further.is_empty(),
            "scraped {differ:#?}, not as pushed; pushed alone {further:#?}"
        );
        ensure!(pushed.heads == scraped.heads, "{:#?} {:#?}", pushed.heads, scraped.heads);
        ensure!(exemplars == pushed.exemplars, "{exemplars:#?} {:#?}", pushed.exemplars);
        Ok(())
    };
    let mut last = String::new();
    let same = wait_until("the metrics of a scrape", PATIENCE, || {
        last = compared().err().map(|error| error.to_string()).unwrap_or_default();
        last.is_empty()
    });
    same.with_context(|| last)
}

/// Whatever stderr has, to the last line.
fn ends_with_its_lines_received(limpid: &mut Limpid, collector: &otelcol::Server) -> Result<()> {
    let address = limpid.address()?;
    let port = address.rsplit(':').next().context("a port")?;
    limpid.signal(libc::SIGTERM);
    limpid.wait(PATIENCE)?;
    let (mut written, mut received) = (LogLine::written(&limpid.stderr())?, LogLine::received(collector, port)?);
    written.sort();
    received.sort();
    ensure!(written.iter().any(|line| line.facts.contains_key("metadata.position")), "facts: {written:#?}");
    ensure!(written == received, "written {written:#?}, received {received:#?}");
    Ok(())
}

fn open_metrics(limpid: &Limpid) -> Result<String> {
    let text = std::process::Command::new("curl")
        .args(["-sf", "-H", "Accept: application/openmetrics-text; version=1.0.0"])
        .arg(format!("http://{}/metrics", limpid.address()?))
        .output()?;
    Ok(String::from_utf8(text.stdout)?)
}

/// Rows flow, the loss is counted and told once.
fn nobody_waits_for_a_collector_that_is_away(case: &Case, dir: &TempDir) -> Result<()> {
    let nobody = ports::lease()?;
    let away = pipeline(case, dir, "away", &format!("otlp: \"http://127.0.0.1:{}\"", nobody.port()), 1)?;
    let mut limpid = running(&away)?;
    case.sql("insert into t values (20, 'a'), (21, 'b')")?;
    let delivered = format!("gravity_output_counter{{pipeline=\"{}\"", case.name);
    wait_until("rows to flow", PATIENCE, || counter(&limpid, &delivered).is_ok_and(|rows| rows >= 2.0))?;
    let dropped = format!("limpid_traces_dropped_total{{pipeline=\"{}\",reason=\"unreachable\"}}", case.name);
    wait_until("the loss to be counted", PATIENCE, || counter(&limpid, &dropped).is_ok_and(|traces| traces >= 1.0))?;
    let failed =
        format!("limpid_metric_pushes_total{{pipeline=\"{}\",receiver=\"otlp\",outcome=\"failed\"}}", case.name);
    wait_until("pushes to fail again", PATIENCE, || counter(&limpid, &failed).is_ok_and(|pushes| pushes >= 2.0))?;
    let lost = format!("limpid_log_lines_dropped_total{{pipeline=\"{}\",reason=\"unreachable\"}}", case.name);
    wait_until("lines to be lost", PATIENCE, || counter(&limpid, &lost).is_ok_and(|lines| lines >= 1.0))?;
    for code in ["TRACE_SEND_FAILED", "METRICS_PUSH_FAILED", "LOG_SEND_FAILED"] {
        ensure!(limpid.stderr().matches(code).count() == 1, "told once: {}", limpid.stderr());
    }
    a_second_signal_ends_at_once_what_waits_for_a_collector(&mut limpid, nobody.port())
}

/// One that takes connections and never answers, so that the last messages take their time.
fn a_second_signal_ends_at_once_what_waits_for_a_collector(limpid: &mut Limpid, port: u16) -> Result<()> {
    let _silent = std::net::TcpListener::bind(("127.0.0.1", port))?;
    limpid.signal(libc::SIGTERM);
    wait_until("the pipeline to end", PATIENCE, || limpid.stderr().contains("pipeline ended"))?;
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(143), "{ended:?}: {}", limpid.stderr());
    Ok(())
}

//! What a log must not do: lose its form, tell values, flood, grow for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use limpid_model::{Component, FaultCode, PipelineName, TableName};
use limpid_stack::TempDir;

use super::*;
use crate::events::{
    CheckpointSaved, DoubtSeen, Event, FaultHalted, FaultRetried, LogsRefused, LogsTaken, PeerLost, PipelineTelemetry,
    TableHalted,
};
use crate::meter::{MeterOptions, PipelineMeter};
use crate::registry::{Build, Registry};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Desk {
    page: Page,
    now: Arc<AtomicI64>,
    to: PipelineTelemetry,
}

impl Desk {
    fn new(style: Style, level: Level, words: Words) -> Self {
        let (page, now) = (Page::default(), Arc::new(AtomicI64::new(1_795_344_236_000_001)));
        let options = LogOptions { style, level, words, file: None };
        let clock = Arc::clone(&now);
        let log = Log::to(Box::new(page.clone()), &options, move || clock.load(Ordering::Relaxed)).unwrap();
        let registry = Arc::new(Registry::new(Build { version: "0", commit: "0" }));
        let pipeline = PipelineName::parse("shop").unwrap();
        let meter = PipelineMeter::new(&registry, &pipeline, MeterOptions::default());
        Self { page, now, to: PipelineTelemetry { meter: Arc::new(meter), log: Arc::new(log) } }
    }

    fn json() -> Self {
        Self::new(Style::Json, Level::Info, Words::Reduced)
    }

    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.page.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

fn full_line<'a>() -> Line<'a> {
    let mut line = Line::new(Level::Warn, "shop", "output", "a \"message\"");
    line.trace_id = Some(0xab);
    line.span_id = Some(0xcd);
    line.schema = Some("s");
    line.table = Some("t");
    line.operation = Some("update");
    line.duration_ms = Some(12);
    line.error = Some("why".into());
    line.error_code = Some("SINK_UNREACHABLE");
    line.with("attempts", Value::Number(3)).with("object", Value::Text("a b".into())).with("last", Value::Flag(true))
}

#[test]
fn keys_stand_in_the_contract_order_and_seven_always() {
    let desk = Desk::json();
    desk.to.log.write(&Line::new(Level::Info, "", "", ""));
    desk.to.log.write(&full_line());
    assert_eq!(
        desk.lines(),
        [
            "{\"timestamp\":\"2026-11-22T10:43:56.000001Z\",\"level\":\"INFO\",\"pipeline\":\"\",\"component\":\"\",\
             \"trace_id\":\"\",\"span_id\":\"\",\"message\":\"\"}",
            "{\"timestamp\":\"2026-11-22T10:43:56.000001Z\",\"level\":\"WARN\",\"pipeline\":\"shop\",\
             \"component\":\"output\",\"trace_id\":\"000000000000000000000000000000ab\",\
             \"span_id\":\"00000000000000cd\",\"message\":\"a \\\"message\\\"\",\"schema\":\"s\",\"table\":\"t\",\
             \"operation\":\"update\",\"duration_ms\":12,\"error\":\"why\",\"error_code\":\"SINK_UNREACHABLE\",\
             \"metadata\":{\"attempts\":3,\"object\":\"a b\",\"last\":true}}",
        ]
    );
}

#[test]
fn the_form_for_people_says_the_same_on_one_line() {
    let desk = Desk::new(Style::Text, Level::Trace, Words::Reduced);
    desk.to.log.write(&full_line());
    desk.to.log.write(&Line::new(Level::Error, "", "server", "two\nlines \u{1b}[31m"));
    assert_eq!(
        desk.lines(),
        [
            "2026-11-22T10:43:56.000001Z WARN  shop output: a \"message\" table=s.t operation=update duration=12ms \
             attempts=3 object=\"a b\" last=true code=SINK_UNREACHABLE error=why \
             trace=000000000000000000000000000000ab",
            "2026-11-22T10:43:56.000001Z ERROR server: two\\nlines \\u{1b}[31m",
        ]
    );
}

#[test]
fn whatever_a_text_holds_the_line_is_one_json_object() {
    use proptest::prelude::*;
    proptest!(|(message in any::<String>(), error in any::<String>(), fact in any::<String>())| {
        let mut line = Line::new(Level::Info, "p", "input", message.clone());
        line.error = Some(error.clone());
        let line = line.with("f", Value::Text(fact.clone()));
        let mut out = String::new();
        json::write(&mut out, 0, &line);
        prop_assert!(!out.contains(|c: char| c.is_control()));
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(&read["message"], &message);
        prop_assert_eq!(&read["error"], &error);
        prop_assert_eq!(&read["metadata"]["f"], &fact);
    });
}

#[test]
fn a_servers_own_words_are_reduced_unless_raw() {
    let secret = "Duplicate entry 'ann@example.com' for key 'PRIMARY'";
    let inner = Fault::new(FaultCode::SourceQueryFailed, Component::Input, "the query failed").because(secret);
    let fault = || Fault::new(FaultCode::SinkWriteFailed, Component::Output, "a write failed").because(secret);
    let outer = Fault::new(FaultCode::SourceUnreachable, Component::Input, "could not connect").because(inner);
    let desk = Desk::json();
    FaultHalted { fault: &fault() }.emit(&desk.to);
    FaultRetried { fault: &outer, pause: std::time::Duration::from_millis(250) }.emit(&desk.to);
    let lines = desk.lines();
    assert!(lines.iter().all(|line| !line.contains("ann@") && !line.contains("PRIMARY")), "{lines:?}");
    let read: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read[0]["error"], "Duplicate entry [...]");
    assert_eq!(read[0]["level"], "ERROR");
    assert_eq!(read[1]["error"], "SOURCE_QUERY_FAILED: the query failed: Duplicate entry [...]");
    assert_eq!(read[1]["error_code"], "SOURCE_UNREACHABLE");
    assert_eq!(read[1]["metadata"]["pause_ms"], 250);
    let raw = Desk::new(Style::Json, Level::Info, Words::Raw);
    FaultHalted { fault: &fault() }.emit(&raw.to);
    assert!(raw.lines()[0].contains("ann@example.com"));
}

#[test]
fn an_event_is_both_counted_and_told() {
    let desk = Desk::json();
    let fault = Fault::new(FaultCode::RecordTooLarge, Component::Output, "a record is too large").about("topic x");
    TableHalted { table: &TableName::new("s", "t"), fault: &fault, trace: None }.emit(&desk.to);
    DoubtSeen { code: FaultCode::LogEventUnknown, object: "binlog.000001:4" }.emit(&desk.to);
    let lines = desk.lines();
    assert_eq!(
        lines[0],
        "{\"timestamp\":\"2026-11-22T10:43:56.000001Z\",\"level\":\"ERROR\",\"pipeline\":\"shop\",\
         \"component\":\"output\",\"trace_id\":\"\",\"span_id\":\"\",\"message\":\"a record is too large\",\
         \"schema\":\"s\",\"table\":\"t\",\"error_code\":\"RECORD_TOO_LARGE\",\"metadata\":{\"object\":\"topic x\",\
         \"help\":\"raise max.message.bytes of the topic, or exclude the large column\"}}"
    );
    assert!(lines[1].contains("\"level\":\"WARN\"") && lines[1].contains("LOG_EVENT_UNKNOWN"));
}

#[test]
fn a_line_that_repeats_is_told_once_and_then_by_number() {
    let desk = Desk::json();
    let lost = |endpoint| PeerLost { component: Component::Output, endpoint }.emit(&desk.to);
    for _ in 0..5 {
        lost("a:1");
        desk.wait(1);
    }
    lost("b:2");
    let lines = desk.lines();
    assert_eq!(lines.len(), 2, "the first of each peer: {lines:?}");
    desk.wait(6);
    lost("a:1");
    let lines = desk.lines();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with("\"metadata\":{\"endpoint\":\"a:1\",\"repeated\":4}}"), "{lines:?}");
    lost("a:1");
    desk.to.log.flush();
    let lines = desk.lines();
    assert!(lines.len() == 1 && lines[0].contains("\"repeated\":1"), "{lines:?}");
    desk.to.log.flush();
    assert_eq!(desk.lines(), [""; 0]);
}

#[test]
fn a_clock_set_back_does_not_silence_the_log() {
    let desk = Desk::json();
    let lost = || PeerLost { component: Component::Output, endpoint: "a:1" }.emit(&desk.to);
    lost();
    desk.wait(-3600);
    lost();
    assert_eq!(desk.lines().len(), 2);
}

#[test]
fn what_is_below_the_level_is_counted_but_not_told() {
    let desk = Desk::json();
    let saved = CheckpointSaved { position: "gtid:0-1-2", took: std::time::Duration::from_millis(3) };
    saved.emit(&desk.to);
    assert_eq!(desk.lines(), [""; 0]);
    let debug = Desk::new(Style::Json, Level::Debug, Words::Reduced);
    saved.emit(&debug.to);
    assert!(debug.lines()[0].contains("\"duration_ms\":3"));
}

#[test]
fn a_log_file_is_rotated_whole_lines_at_a_time_and_old_ones_go() {
    let dir = TempDir::new("log").unwrap();
    let path = dir.path().join("limpid.log");
    let file = FileOptions { path: path.clone(), bytes_max: 400, kept: 2 };
    let options = LogOptions { style: Style::Text, level: Level::Info, words: Words::Reduced, file: Some(file) };
    let log = Log::to(Box::new(io::sink()), &options, || 0).unwrap();
    for number in 0..40 {
        log.write(&Line::new(Level::Info, "p", "input", format!("line {number}")));
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let all = read("limpid.log.2") + &read("limpid.log.1") + &read("limpid.log");
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.len() > 10 && lines.last().unwrap().ends_with("line 39"));
    for (number, line) in lines.iter().enumerate() {
        assert!(line.ends_with(&format!("line {}", 40 - lines.len() + number)), "{line}");
    }
    assert!(read("limpid.log").len() <= 400 && read("limpid.log.1").len() <= 400);
    assert!(!dir.path().join("limpid.log.3").exists());
}

#[test]
fn a_full_disk_stops_the_file_and_nothing_else() {
    let file = FileOptions { path: "/dev/full".into(), bytes_max: 1 << 20, kept: 1 };
    let page = Page::default();
    let options = LogOptions { style: Style::Text, level: Level::Info, words: Words::Reduced, file: Some(file) };
    let log = Log::to(Box::new(page.clone()), &options, || 0).unwrap();
    log.write(&Line::new(Level::Info, "p", "input", "one"));
    log.write(&Line::new(Level::Info, "p", "input", "two"));
    assert_eq!(page.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[test]
fn what_tells_of_sending_lines_is_not_sent() {
    let (page, now) = (Page::default(), Arc::new(AtomicI64::new(1_795_344_236_000_001)));
    let options = LogOptions { style: Style::Text, level: Level::Info, words: Words::Reduced, file: None };
    let registry = Arc::new(Registry::new(Build { version: "0", commit: "0" }));
    let queue = LogQueue::new(&registry, "shop");
    let clock = Arc::clone(&now);
    let log = Log::to(Box::new(page.clone()), &options, move || clock.load(Ordering::Relaxed)).unwrap();
    let log = Arc::new(log.sending(Arc::clone(&queue)));
    let pipeline = PipelineName::parse("shop").unwrap();
    let meter = Arc::new(PipelineMeter::new(&registry, &pipeline, MeterOptions::default()));
    let to = PipelineTelemetry { meter, log };
    let fault = Fault::new(FaultCode::LogSendFailed, Component::Server, "the collector does not answer");
    for _ in 0..3 {
        LogsRefused { fault: &fault, is_first: true }.emit(&to);
        LogsTaken { endpoint: "http://c", is_again: true }.emit(&to);
    }
    now.fetch_add(60_000_000, Ordering::Relaxed);
    PeerLost { component: Component::Output, endpoint: "b:9092" }.emit(&to);
    let sent = queue.take(usize::MAX);
    assert_eq!(sent.len(), 1, "{sent:#?}");
    assert!(sent[0].facts.contains(&("pipeline".to_owned(), Value::Text("shop".to_owned()))), "{sent:#?}");
    let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written.matches("LOG_SEND_FAILED").count(), 2, "the first, and how often it came again: {written}");
}

#[test]
fn lines_beyond_what_may_wait_are_counted() {
    let registry = Registry::new(Build { version: "0", commit: "0" });
    let queue = LogQueue::new(&registry, "shop");
    let line = Line::new(Level::Info, "shop", "input", "x".repeat(1024 * 1024));
    (0..3).for_each(|_| queue.put(LogRecord::of(1, &line)));
    assert_eq!(queue.take(usize::MAX).len(), 1, "two do not fit in 2 MiB with what stands around them");
    let lost = registry.counter(&crate::catalogue::LOG_LINES_DROPPED_TOTAL, &["shop", "queue_full"]);
    assert_eq!(lost.get(), 2);
}

//! The exposition against everyone who reads it: promtool, Prometheus' Python client, a real Prometheus, and a small
//! parser of our own that shares no code with the writer.
//!
//! Owns: one page with every metric in use. Does not own: what the numbers mean (the meter's own tests).

mod oracles;
mod reader;
mod sample;
mod scrape;

use limpid_telemetry::{Build, Exemplar, Format, Moment, Registry, catalogue};
use proptest::prelude::*;

use reader::Sample;

#[test]
fn both_forms_carry_the_same_samples() {
    let desk = sample::desk();
    let text = reader::read(&desk.page(Format::Text));
    let open = reader::read(&desk.page(Format::OpenMetrics));
    let stable = |samples: Vec<Sample>| -> Vec<Sample> {
        samples.into_iter().filter(|sample| !sample.name.starts_with("process_")).collect()
    };
    assert_eq!(stable(text), stable(open));
}

#[test]
fn every_metric_of_the_catalogue_can_be_told() {
    let samples = reader::read(&sample::desk().page(Format::Text));
    for metric in catalogue::ALL {
        let found = samples
            .iter()
            .find(|sample| sample.name == metric.name || sample.name.strip_suffix("_bucket") == Some(metric.name));
        let found = found.unwrap_or_else(|| panic!("{} is not on the page", metric.name));
        let labels: Vec<&str> = found.labels.iter().map(|(name, _)| &**name).filter(|name| *name != "le").collect();
        assert_eq!(labels, metric.labels, "{}", metric.name);
    }
}

#[test]
fn le_is_printed_as_gravity_prints_it() {
    let page = sample::desk().page(Format::OpenMetrics);
    let le = |name: &str| -> Vec<String> {
        let samples = reader::read(&page).into_iter().filter(|sample| sample.name == format!("{name}_bucket"));
        let mut bounds: Vec<String> = samples.map(|sample| sample.labels.last().unwrap().1.clone()).collect();
        bounds.truncate(bounds.iter().position(|bound| bound == "+Inf").unwrap() + 1);
        bounds
    };
    // Copied from the page of a running Gravity.
    let gravity = "0.0005 0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384 \
                   131.072 1048.576 8388.608 67108.864 536870.912 +Inf";
    assert_eq!(le("gravity_event_time_latency").join(" "), gravity);
    assert_eq!(le("gravity_output_latency").last_chunk::<4>().unwrap(), &["16.384", "32.768", "65.536", "+Inf"]);
    assert_eq!(le("gravity_process_time_latency").last_chunk::<3>().unwrap(), &["65.536", "131.072", "+Inf"]);
    let lag = "0.1 0.2 0.4 0.8 1.6 3.2 6.4 12.8 25.6 51.2 102.4 204.8 409.6 819.2 1638.4 +Inf";
    assert_eq!(le("gravity_data_lag_seconds").join(" "), lag);
}

proptest! {
    #[test]
    fn any_label_and_any_value_come_back(labels in prop::collection::vec(any::<String>(), 2), value in any::<f64>()) {
        let registry = Registry::new(Build { version: "0", commit: "0" });
        let values = ["p", &labels[0], &labels[1]];
        registry.gauge(&catalogue::QUEUE_LENGTH, &values).set(value);
        for format in [Format::Text, Format::OpenMetrics] {
            let page = registry.render(format, Moment { nanos: 1, wall_micros: 1 });
            let samples = reader::read(&page);
            let found: Vec<&Sample> = samples.iter().filter(|sample| sample.name == "gravity_queue_length").collect();
            prop_assert_eq!(found.len(), 1);
            let read: Vec<&str> = found[0].labels.iter().map(|(_, value)| &**value).collect();
            prop_assert_eq!(&read, &values);
            let same = found[0].value == value || (found[0].value.is_nan() && value.is_nan());
            prop_assert!(same, "{} is not {value}", found[0].value);
        }
    }
}

#[test]
fn an_exemplar_on_a_page_is_read_by_the_openmetrics_parser() {
    let desk = sample::desk();
    let histogram = desk.registry.histogram(&catalogue::EVENT_TIME_LATENCY, &["shop"]);
    histogram.exemplify(Exemplar { trace_id: 7, value: 0.25, wall_micros: 1_700_000_000_000_000 });
    oracles::openmetrics_parser(&desk.page(Format::OpenMetrics), 1);
}

/// `docs/metrics.md` is the catalogue, word by word. `LIMPID_BLESS=1` writes it.
#[test]
fn metrics_page_is_the_catalogue() {
    let path = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests") + "/../../docs/metrics.md";
    let page = catalogue::markdown();
    if std::env::var_os("LIMPID_BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/metrics.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/metrics.md is not the catalogue any more: run this test with LIMPID_BLESS=1");
}

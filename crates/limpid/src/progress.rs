//! How far pipelines are, for whoever watches the process.
//!
//! Owns: when it is told and in which words. Does not own: the numbers (`limpid-telemetry`).
//!
//! Invariant: on a terminal a few lines that change; elsewhere one log line in ten seconds, and only while rows move.

use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_engine::Handle;
use limpid_telemetry::{Event, PipelineTelemetry, Progress, Totals};

use crate::observe::moment;
use crate::screen::Screen;

/// Often enough for the eye, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(500);

/// A log line in so many redraws.
const LOG_EVERY: u32 = 20;

/// One pipeline to tell of.
pub struct Watched {
    pub name: String,
    pub handle: Handle,
    pub telemetry: PipelineTelemetry,
}

/// Runs until the stop is raised.
pub fn run(watched: &[Watched], screen: &Screen, clock: &Clock, stop: &Stop) {
    let terminal = screen.is_terminal();
    let mut told: Vec<u64> = vec![0; watched.len()];
    let mut turn = 0u32;
    while !stop.wait(REDRAW) {
        turn += 1;
        if terminal {
            screen.show(watched.iter().map(|pipeline| line(pipeline, clock)).collect());
        } else if turn.is_multiple_of(LOG_EVERY) {
            for (pipeline, told) in watched.iter().zip(&mut told) {
                tell(pipeline, told, clock);
            }
        }
    }
    screen.show(Vec::new());
}

fn tell(pipeline: &Watched, told: &mut u64, clock: &Clock) {
    let totals = pipeline.telemetry.meter.totals(moment(clock));
    if std::mem::replace(told, totals.rows_delivered) != totals.rows_delivered {
        let position = pipeline.handle.status().position.unwrap_or_default();
        Progress { totals, position: &position }.emit(&pipeline.telemetry);
    }
}

fn line(pipeline: &Watched, clock: &Clock) -> String {
    let Totals { rows_delivered, rows_per_second, lag_bytes, freshness_seconds, .. } =
        pipeline.telemetry.meter.totals(moment(clock));
    let status = pipeline.handle.status();
    let lag = lag_bytes.map_or("lag unknown".to_owned(), |bytes| format!("{} behind", bytes_text(bytes)));
    let fresh = freshness_seconds.map_or(String::new(), |seconds| format!("  {seconds:.1} s late"));
    let fault = status.fault.map_or(String::new(), |fault| format!("  {}", fault.code));
    format!(
        "{}: {}  {rows_per_second:.0} rows/s  {rows_delivered} delivered  {lag}{fresh}{fault}  {}",
        pipeline.name,
        status.phase.word(),
        status.position.unwrap_or_default(),
    )
}

/// Bytes in the largest unit that leaves a number above 1.
pub fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

//! How far pipelines are, for whoever watches the process.
//!
//! Owns: when it is told and in which words. Does not own: the numbers (`limpid-telemetry`).
//!
//! Invariant: on a terminal a few lines that change; elsewhere one log line in ten seconds, and only while rows move.

use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_engine::{CopyProgress, Handle};
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
    let copied = copied(&status.copying);
    let fault = status.fault.map_or(String::new(), |fault| format!("  {}", fault.code));
    format!(
        "{}: {}{copied}  {rows_per_second:.0} rows/s  {rows_delivered} delivered  {lag}{fresh}{fault}  {}",
        pipeline.name,
        status.phase.word(),
        status.position.unwrap_or_default(),
    )
}

/// How far tables are copied, while they are: a bar, and when it will be full.
fn copied(copying: &CopyProgress) -> String {
    const CELLS: usize = 20;
    if copying.ratio >= 1.0 {
        return String::new();
    }
    let full = ((copying.ratio * CELLS as f64) as usize).min(CELLS);
    let left = copying.remaining.map_or("time left unknown".to_owned(), |time| {
        let seconds = time.as_secs();
        match seconds {
            0..60 => format!("{seconds} s left"),
            60..3600 => format!("{} min left", seconds.div_ceil(60)),
            _ => format!("{} h {} min left", seconds / 3600, seconds % 3600 / 60),
        }
    });
    format!("  [{}{}] {:.0} % copied, {left}", "#".repeat(full), " ".repeat(CELLS - full), copying.ratio * 100.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_while_it_lasts() {
        let copying = |ratio, seconds: Option<u64>| {
            copied(&CopyProgress { tables: Vec::new(), ratio, remaining: seconds.map(Duration::from_secs), cost: None })
        };
        assert_eq!(copying(1.0, Some(0)), "");
        assert_eq!(copying(0.0, None), format!("  [{}] 0 % copied, time left unknown", " ".repeat(20)));
        assert_eq!(copying(0.25, Some(59)), format!("  [#####{}] 25 % copied, 59 s left", " ".repeat(15)));
        assert!(copying(0.5, Some(61)).ends_with("50 % copied, 2 min left"));
        assert!(copying(0.999, Some(3660)).ends_with("1 h 1 min left"));
    }
}

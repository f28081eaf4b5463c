//! What the server shows.
//!
//! Owns: the list of pipelines and where their numbers come from. Does not own: sockets (`server`), the form of
//! answers (`routes`).
//!
//! Invariant: it is the same for the whole life of the server, but for two facts that only ever become true (that the
//! pipelines' threads were started, and that a pipeline has been through its first attempt) and the questions that
//! stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use limpid_engine::{Handle, Phase, Status};
use limpid_telemetry::trace::Positions;
use limpid_telemetry::{Build, Log, Moment, PipelineMeter, Registry};

use crate::gate::Gate;
use crate::routes::{Questions, ROUTES, Route};

/// Both clocks, read together. The engine's clock stays out: the server names no connector's trait.
pub type WallAndMonotonic = Arc<dyn Fn() -> Moment + Send + Sync>;

/// A pipeline as the server is told of it.
#[derive(Clone)]
pub struct PipelineView {
    /// Unique in the process.
    pub name: String,
    pub handle: Handle,
    pub meter: Arc<PipelineMeter>,
    /// Above it the verdict is `warn`.
    pub lag_limit: Duration,
    /// Tells two configurations apart: `configHash` of `/status`.
    pub config_hash: String,
    /// The key of `watermarks` in `/status`, Gravity's word for the kind of stream (`mysqlstream`).
    pub stream_key: String,
    /// Reads positions as people name them.
    pub positions: Arc<dyn Positions>,
    /// Some operations make no record, so that offsets cannot be counted from rows.
    pub skips_operations: bool,
}

/// A pipeline, and whether its first attempt is over.
pub(crate) struct Shown {
    pub(crate) view: PipelineView,
    attempted: AtomicBool,
}

impl Shown {
    /// How it stands now. Remembers a first attempt that is over.
    pub(crate) fn status(&self) -> Status {
        let status = self.view.handle.status();
        let waits_for_its_first = status.phase == Phase::Starting && status.fault.is_none() && status.head.is_none();
        if !waits_for_its_first {
            self.attempted.store(true, Relaxed);
        }
        status
    }

    /// Whether it has run once, or failed once: a source that is away at the start is no reason to restart us.
    pub(crate) fn attempted(&self) -> bool {
        self.status();
        self.attempted.load(Relaxed)
    }
}

/// Everything an answer is made of.
pub(crate) struct Site {
    pub(crate) build: Build,
    pub(crate) pipelines: Vec<Shown>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: WallAndMonotonic,
    pub(crate) log: Arc<Log>,
    pub(crate) gate: Gate,
    pub(crate) routes: &'static [Route],
    pub(crate) questions: Questions,
    started: AtomicBool,
}

impl Site {
    pub(crate) fn new(
        build: Build,
        registry: Arc<Registry>,
        pipelines: Vec<PipelineView>,
        clock: WallAndMonotonic,
        log: Arc<Log>,
        gate: Gate,
    ) -> Self {
        let pipelines = pipelines.into_iter().map(|view| Shown { view, attempted: AtomicBool::new(false) }).collect();
        let (questions, started) = (Questions::default(), AtomicBool::new(false));
        Self { build, pipelines, registry, clock, log, gate, routes: ROUTES, questions, started }
    }

    pub(crate) fn now(&self) -> Moment {
        (self.clock)()
    }

    pub(crate) fn pipeline(&self, name: &str) -> Option<&Shown> {
        self.pipelines.iter().find(|shown| shown.view.name == name)
    }

    /// The state is open and every pipeline has its thread.
    pub(crate) fn mark_started(&self) {
        self.started.store(true, Relaxed);
    }

    pub(crate) fn started(&self) -> bool {
        self.started.load(Relaxed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use limpid_connector::{Clock, Stop};
    use limpid_model::PipelineName;
    use limpid_telemetry::trace::NamedTxn;
    use limpid_telemetry::{Level, LogOptions, MeterOptions, Style, Words};

    use super::*;

    /// Positions that name nothing.
    struct Nameless;

    impl Positions for Nameless {
        fn transaction(&self, _: &str) -> Option<NamedTxn> {
            None
        }
        fn covers(&self, _: &str, _: &NamedTxn) -> Option<bool> {
            None
        }
    }

    /// What was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A site over pipelines that have not begun.
    pub(crate) fn site(names: Vec<&str>) -> (Site, Lines) {
        let build = Build { version: "0.1.0", commit: "abc1234" };
        let (registry, clock, lines) = (Arc::new(Registry::new(build)), Clock::system(), Lines::default());
        let views = names.into_iter().map(|name| PipelineView {
            name: name.to_owned(),
            handle: Handle::new(Stop::new(), clock.clone()),
            meter: Arc::new(PipelineMeter::new(
                &registry,
                &PipelineName::parse(name).unwrap(),
                MeterOptions::default(),
            )),
            lag_limit: Duration::from_secs(60),
            config_hash: String::new(),
            stream_key: String::new(),
            positions: Arc::new(Nameless),
            skips_operations: false,
        });
        let views = views.collect();
        let options = LogOptions { style: Style::Json, level: Level::Info, words: Words::Reduced, file: None };
        let log = Arc::new(Log::to(Box::new(lines.clone()), &options, || 0).unwrap());
        let now = Arc::new(move || Moment { nanos: clock.nanos(), wall_micros: clock.wall_micros() });
        (Site::new(build, registry, views, now, log, Gate::new(None, true)), lines)
    }
}

//! `limpid run`: pipelines in the foreground.
//!
//! Owns: opening the state, a thread for each pipeline, signals, the exit code. Does not own: a pipeline's life
//! (`limpid-engine`).
//!
//! Invariant: one pipeline's end or fault never stops another; the first signal drains all, a second ends at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_config::{ConfigFault, LogFormat, PipelineSpec, Process, QualitySpec, SnapshotMode, SnapshotSpec};
use limpid_connector::{Clock, Stop, Until};
use limpid_engine::{
    CopyMode, CopyOptions, Handle, Misfit, Observer, OnRowError, Outcome, Parts, Throttle, Unobserved, failpoint,
};
use limpid_model::{Component, Fault, FaultCode, PipelineName, Response};
use limpid_server::{PipelineView, Server};
use limpid_state::Store;
use limpid_telemetry::{
    Build, Event, MeterOptions, PipelineEnded, PipelineMeter, PipelineTelemetry, Registry, SketchOptions,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{LogStyle, OnHalt, RunArguments};
use crate::crew::Crew;
use crate::logs::{Logged, Outlet};
use crate::observe::{self, Told};
use crate::otlp;
use crate::progress::{self, Watched};
use crate::push::{self, Pushed};
use crate::registry::{self, CONNECTORS, Unmade};
use crate::report;
use crate::screen::Screen;
use crate::traces::Traced;
use crate::{kept, serve, turns, verdict};

/// What runs.
pub const BUILD: Build = Build { version: env!("CARGO_PKG_VERSION"), commit: env!("LIMPID_COMMIT") };

/// Runs until the pipelines end or a signal comes.
pub fn run(arguments: &RunArguments) -> u8 {
    match prepare(arguments) {
        Ok(process) => supervise(process, arguments),
        Err(code) => code,
    }
}

/// A pipeline before its thread starts.
struct Pipeline {
    name: PipelineName,
    parts: Parts,
    handle: Handle,
    telemetry: PipelineTelemetry,
    lag_limit: Duration,
    /// Tells two configurations apart.
    config_hash: String,
    pushed: Vec<Pushed>,
    traced: Option<Traced>,
    logged: Option<Logged>,
}

/// Everything that runs.
struct ProcessParts {
    pipelines: Vec<Pipeline>,
    clock: Clock,
    screen: Screen,
    server: Server,
    /// Metrics and traces on their way elsewhere.
    sending: Crew,
    /// Log lines on theirs.
    logs: Crew,
}

/// What every pipeline of the process shares.
struct Common<'a> {
    arguments: &'a RunArguments,
    until: Until,
    clock: Clock,
    store: Arc<Store>,
    registry: Arc<Registry>,
    screen: Screen,
}

/// Everything before the first thread of a pipeline. The error is the exit code; the reports are out.
fn prepare(arguments: &RunArguments) -> Result<ProcessParts, u8> {
    if let Some(failpoint) = &arguments.failpoint {
        let (name, count) = failpoint.split_once(':').unwrap_or((failpoint, "1"));
        if !count.parse().is_ok_and(|count| failpoint::arm(name, count)) {
            eprintln!("error[USAGE_INVALID]: no failpoint is called {name}");
            return Err(2);
        }
    }
    if let Some(file) = &arguments.turns
        && let Err(error) = turns::begin(file)
    {
        let fault = Fault::new(FaultCode::ConfigBadValue, Component::Server, "the file of --turns cannot be made");
        return Err(refused(&fault.about(file.display().to_string()).because(error)));
    }
    let until = until(arguments.until.as_deref());
    let specs = limpid_config::load(&arguments.files, &CONNECTORS, &Process).map_err(|faults| config(&faults))?;
    let clock = Clock::system();
    let common = Common {
        arguments,
        until,
        clock: clock.clone(),
        store: Arc::new(Store::open(&arguments.data_dir).map_err(|fault| refused(&fault))?),
        registry: Arc::new(Registry::new(BUILD)),
        screen: Screen::stderr(),
    };
    let files: BTreeSet<_> = specs.iter().filter_map(|spec| spec.telemetry.logs.file.clone()).collect();
    kept::show(&common.registry, &arguments.data_dir, &Vec::from_iter(files));
    let mut pipelines: Vec<Pipeline> = specs.iter().map(|spec| pipeline(spec, &common)).collect::<Result<_, _>>()?;
    let views = pipelines
        .iter()
        .zip(&specs)
        .map(|(pipeline, spec)| PipelineView {
            name: pipeline.name.to_string(),
            handle: pipeline.handle.clone(),
            meter: Arc::clone(&pipeline.telemetry.meter),
            lag_limit: pipeline.lag_limit,
            config_hash: pipeline.config_hash.clone(),
            // Gravity's word for the stream of a MySQL, which is all there is to stream from.
            stream_key: "mysqlstream".to_owned(),
            positions: registry::positions(spec),
            skips_operations: registry::skips_operations(spec),
        })
        .collect();
    let style = arguments.log_format.unwrap_or(match specs.first().map(|spec| spec.telemetry.logs.format) {
        Some(LogFormat::Text) => LogStyle::Text,
        Some(LogFormat::Json) | None => LogStyle::Json,
    });
    // What is no pipeline's goes with the first that sends its lines, as with metrics.
    let sent =
        pipelines.iter().find_map(|pipeline| pipeline.logged.as_ref()).map(|logged| Arc::clone(&logged.outlet.queue));
    let server = serve::start(arguments, views, &common.registry, &clock, style, &common.screen, sent);
    let server = server.map_err(|fault| refused(&fault))?;
    let pushed = pipelines.iter_mut().flat_map(|pipeline| std::mem::take(&mut pipeline.pushed)).collect();
    let instance = push::instance(server.local_addr().port());
    let (sending, logs) = (Crew::new(), Crew::new());
    push::start(pushed, &instance, &clock, &sending).map_err(|fault| refused(&fault))?;
    let traced = pipelines.iter_mut().filter_map(|pipeline| pipeline.traced.take()).collect();
    otlp::start(traced, &instance, &clock, &sending).map_err(|fault| refused(&fault))?;
    let logged = pipelines.iter_mut().filter_map(|pipeline| pipeline.logged.take()).collect();
    otlp::start(logged, &instance, &clock, &logs).map_err(|fault| refused(&fault))?;
    Ok(ProcessParts { pipelines, clock, screen: common.screen, server, sending, logs })
}

fn config(faults: &[ConfigFault]) -> u8 {
    faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
    2
}

fn refused(fault: &Fault) -> u8 {
    eprintln!("{}", report::fault(fault));
    exit_code(fault)
}

fn until(text: Option<&str>) -> Until {
    match text {
        None => Until::Forever,
        Some(SNAPSHOT_DONE) => Until::Forever,
        Some("caught-up") => Until::CaughtUp,
        Some(position) => Until::Position(position.to_owned()),
    }
}

/// The end of a copy, as `--until` has it.
const SNAPSHOT_DONE: &str = "snapshot-done";

fn copy_options(spec: &SnapshotSpec) -> CopyOptions {
    CopyOptions {
        mode: match spec.mode {
            SnapshotMode::Never => CopyMode::Never,
            SnapshotMode::Initial => CopyMode::Initial,
            SnapshotMode::Only => CopyMode::Only,
            SnapshotMode::WhenNeeded => CopyMode::WhenNeeded,
        },
        parallel: spec.parallel,
        chunk_rows: spec.chunk_rows,
        predicates: spec.predicates.iter().cloned().collect(),
        throttle: Throttle {
            rows_per_second: spec.rows_per_second,
            threads_running: spec.threads_running,
            replica_lag: spec.replica_lag,
            duty_percent: spec.duty_percent,
            slowdown_percent: spec.slowdown_percent,
        },
    }
}

fn pipeline(spec: &PipelineSpec, common: &Common<'_>) -> Result<Pipeline, u8> {
    let Common { arguments, clock, .. } = common;
    let made = registry::make(spec, Some(&arguments.data_dir), clock).map_err(|unmade| match unmade {
        Unmade::Config(faults) => config(&faults),
        Unmade::Fault(fault) => {
            eprintln!("{}", report::fault(&fault));
            2
        }
    })?;
    let registry = match spec.telemetry.metrics.prometheus {
        true => Arc::clone(&common.registry),
        // Counted all the same, for the API, but rendered nowhere.
        false => Arc::new(Registry::new(BUILD)),
    };
    let (telemetry, logged) = telemetry(spec, common, &registry)?;
    if let Some(transforms) = &made.transforms {
        telemetry.meter.rules(transforms.rules());
    }
    let pushed = Pushed::of(spec, &registry, &telemetry).map_err(|fault| refused(&fault))?;
    let traced = Traced::of(spec, &telemetry, made.watches).map_err(|fault| refused(&fault))?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let parts = Parts {
        name: spec.name.clone(),
        source: made.source,
        sink: made.sink,
        transforms: made.transforms,
        encoders: made.encoders,
        store: Arc::clone(&common.store),
        observer: observer(arguments, &telemetry, clock),
        clock: clock.clone(),
        workers: arguments.workers.unwrap_or(cores.saturating_sub(1).max(1)),
        start: made.start,
        until: common.until.clone(),
        copy: copy_options(&spec.source.snapshot),
        until_copied: arguments.until.as_deref() == Some(SNAPSHOT_DONE),
        selection: made.selection,
        misfit: if arguments.accept_new_state { Misfit::Accept } else { Misfit::Refuse },
        on_row_error: match spec.on_row_error {
            limpid_config::OnRowError::ParkKey => OnRowError::ParkKey,
            limpid_config::OnRowError::DeadLetter => OnRowError::DeadLetter,
            limpid_config::OnRowError::HaltTable => OnRowError::HaltTable,
        },
    };
    let handle = Handle::new(Stop::new(), clock.clone());
    verdict::show(&registry, &handle, &telemetry.meter, spec.lag_limit);
    let config_hash = format!("{:016x}", made.selection);
    let (name, lag_limit) = (spec.name.clone(), spec.lag_limit);
    Ok(Pipeline { name, parts, handle, telemetry, lag_limit, config_hash, pushed, traced, logged })
}

/// Where a pipeline's occurrences go, and its lines on their way elsewhere.
fn telemetry(
    spec: &PipelineSpec,
    common: &Common<'_>,
    registry: &Arc<Registry>,
) -> Result<(PipelineTelemetry, Option<Logged>), u8> {
    let outlet = Outlet::of(spec, registry).map_err(|fault| refused(&fault))?;
    let sent = outlet.as_ref().map(|outlet| Arc::clone(&outlet.queue));
    let (logs, style, out) = (&spec.telemetry.logs, common.arguments.log_format, Box::new(common.screen.clone()));
    let log = observe::log(logs, style, out, sent, &common.clock).map_err(|error| {
        let path = logs.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let text = "the log file of telemetry.logs cannot be opened";
        refused(&Fault::new(FaultCode::ConfigBadValue, Component::Server, text).about(path).because(error))
    })?;
    let tombstones = spec.sink.format.as_ref().is_some_and(|format| format.tombstones);
    let ring_bytes = spec.telemetry.ring_bytes as usize;
    let options = MeterOptions { tombstones, ring_bytes, ..MeterOptions::default() };
    let meter = Arc::new(PipelineMeter::new(registry, &spec.name, options));
    if let Some(QualitySpec { one_in, window_rows }) = spec.telemetry.quality {
        meter.sketch(SketchOptions { one_in, window_rows });
    }
    let telemetry = PipelineTelemetry { meter, log };
    let logged = outlet.map(|outlet| Logged { outlet, telemetry: telemetry.clone() });
    Ok((telemetry, logged))
}

fn observer(arguments: &RunArguments, telemetry: &PipelineTelemetry, clock: &Clock) -> Arc<dyn Observer> {
    if arguments.unobserved {
        return turns::by_turns(Arc::new(Unobserved));
    }
    turns::by_turns(Arc::new(Told {
        telemetry: telemetry.clone(),
        clock: clock.clone(),
        copied: AtomicU64::new(0),
        holds_back: AtomicBool::new(false),
    }))
}

/// A pipeline's whole life. One that has halted and stays may be tried again.
fn live(mut pipeline: Pipeline, on_halt: OnHalt, happened: &mpsc::Sender<Happened>) {
    loop {
        let outcome = limpid_engine::run(&mut pipeline.parts, &pipeline.handle);
        let stays = on_halt == OnHalt::Stay && matches!(outcome, Outcome::Halted(_));
        let told = happened.send(Happened::Ended(pipeline.name.clone(), outcome));
        if told.is_err() || !stays || !pipeline.handle.waits_to_go_on() {
            return;
        }
        if happened.send(Happened::Again(pipeline.name.clone())).is_err() {
            return;
        }
    }
}

/// What the main thread waits for.
enum Happened {
    Ended(PipelineName, Outcome),
    /// A pipeline that had halted runs again.
    Again(PipelineName),
    Signal(i32),
    /// All that was left to send is sent, or given up.
    Sent,
}

/// Starts a thread for each pipeline, waits for their ends, and takes the rest down.
fn supervise(process: ProcessParts, arguments: &RunArguments) -> u8 {
    let ProcessParts { pipelines, clock, screen, server, sending, logs } = process;
    let on_halt = arguments.on_halt.unwrap_or(match arguments.until {
        Some(_) => OnHalt::Exit,
        None => OnHalt::Stay,
    });
    let (happened_out, happened) = mpsc::channel();
    watch_signals(happened_out.clone());
    let watched: Vec<Watched> = pipelines
        .iter()
        .map(|pipeline| Watched {
            name: pipeline.name.to_string(),
            handle: pipeline.handle.clone(),
            telemetry: pipeline.telemetry.clone(),
        })
        .collect();
    let handles: Vec<Handle> = watched.iter().map(|watched| watched.handle.clone()).collect();
    let told: Vec<(String, PipelineTelemetry)> =
        watched.iter().map(|watched| (watched.name.clone(), watched.telemetry.clone())).collect();
    for pipeline in pipelines {
        let happened = happened_out.clone();
        spawn(&format!("pipeline {}", pipeline.name), move || live(pipeline, on_halt, &happened));
    }
    server.pipelines_started();
    let done = Stop::new();
    let (progress_done, progress_clock) = (done.clone(), clock);
    let progress = spawn("progress", move || progress::run(&watched, &screen, &progress_clock, &progress_done));
    let drained = wait(&happened, &handles, &told, on_halt);
    if let Err(error) = turns::end() {
        eprintln!("warning: the accounts of --turns could not be written: {error}");
    }
    done.raise();
    let _ = progress.join();
    let Drained { code, mut stopping } = match drained {
        Ok(drained) => drained,
        Err(code) => {
            told.iter().for_each(|(_, telemetry)| telemetry.log.flush());
            return code;
        }
    };
    // On a thread of its own, so that a signal is heard meanwhile.
    spawn("ending", move || {
        sending.finish(ENDS_WITHIN);
        told.iter().for_each(|(_, telemetry)| telemetry.log.flush());
        server.shutdown();
        // Behind whatever writes a line.
        logs.finish(ENDS_WITHIN);
        let _ = happened_out.send(Happened::Sent);
    });
    loop {
        match happened.recv() {
            Ok(Happened::Signal(signal)) if stopping => return at_once(signal),
            Ok(Happened::Signal(_)) => stopping = true,
            Ok(Happened::Ended(..) | Happened::Again(_)) => {}
            Ok(Happened::Sent) | Err(_) => return code,
        }
    }
}

/// Metrics and traces have so long for their last messages once the pipelines have ended, and then log lines as long again: a call
/// that is under way, and one more ([`otlp::LAST_TIMEOUT`]). An instance that is told to end has 30 seconds in most places.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// No pipeline runs any more.
struct Drained {
    code: u8,
    /// A signal came, so that the next one is the second.
    stopping: bool,
}

/// The exit code of a second signal.
fn at_once(signal: i32) -> u8 {
    if signal == SIGINT { 130 } else { 143 }
}

/// Waits until nothing is left to wait for. A halted pipeline that stays is waited for until it is stopped. The error is the exit code
/// of a second signal.
fn wait(
    happened: &mpsc::Receiver<Happened>,
    handles: &[Handle],
    told: &[(String, PipelineTelemetry)],
    on_halt: OnHalt,
) -> Result<Drained, u8> {
    let (mut running, mut stopping) = (handles.len(), false);
    // What those that are halted would end with.
    let mut halted: BTreeMap<String, u8> = BTreeMap::new();
    while running > 0 || (!halted.is_empty() && !stopping) {
        let Ok(event) = happened.recv() else { break };
        match event {
            Happened::Signal(signal) if stopping => return Err(at_once(signal)),
            Happened::Signal(_) => {
                stopping = true;
                handles.iter().for_each(Handle::stop);
            }
            Happened::Sent => {}
            Happened::Again(name) => {
                running += 1;
                halted.remove(name.as_str());
            }
            Happened::Ended(name, outcome) => {
                running -= 1;
                let why = match outcome {
                    Outcome::Stopped => "stopped",
                    Outcome::Reached => "the end that was asked for is reached",
                    Outcome::Halted(fault) => {
                        halted.insert(name.to_string(), exit_code(&fault));
                        if on_halt == OnHalt::Exit {
                            stopping = true;
                            handles.iter().for_each(Handle::stop);
                        }
                        continue;
                    }
                };
                if let Some(((_, telemetry), handle)) =
                    told.iter().zip(handles).find(|((known, _), _)| *known == *name.as_str())
                {
                    let position = handle.status().position.unwrap_or_default();
                    PipelineEnded { position: &position, why }.emit(telemetry);
                }
            }
        }
    }
    Ok(Drained { code: halted.into_values().max().unwrap_or(0), stopping })
}

/// A drain that ran out of time is told apart from a halt, and what a machine lacks from what a file says.
fn exit_code(fault: &Fault) -> u8 {
    use FaultCode::{DrainTimedOut, ListenFailed, StateCorrupt, StateLocked, StateNewer};
    match (fault.code(), fault.response()) {
        (DrainTimedOut, _) => 143,
        (StateLocked | StateNewer | StateCorrupt | ListenFailed, _) => 1,
        (_, Response::Refuse) => 2,
        _ => 1,
    }
}

fn watch_signals(happened: mpsc::Sender<Happened>) {
    let mut signals = match Signals::new([SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("signals cannot be watched: {error}");
            return;
        }
    };
    spawn("signals", move || {
        for signal in &mut signals {
            if happened.send(Happened::Signal(signal)).is_err() {
                return;
            }
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the composition root names and starts the process's threads")]
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.expect("a process that cannot start its first threads cannot run")
}

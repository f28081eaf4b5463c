//! `limpid run`: pipelines in the foreground.
//!
//! Owns: opening the state, a thread for each pipeline, signals, the exit code. Does not own: a pipeline's life
//! (`limpid-engine`).
//!
//! Invariant: one pipeline's end or fault never stops another; the first signal drains all, a second ends at once.

use std::sync::Arc;
use std::sync::mpsc;

use limpid_config::{PipelineSpec, Process};
use limpid_connector::{Clock, Stop, Until};
use limpid_engine::{Handle, Outcome, Parts, failpoint};
use limpid_model::{Fault, FaultCode, PipelineName, Response};
use limpid_state::Store;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{OnHalt, RunArguments};
use crate::observe::Lines;
use crate::registry::{self, CONNECTORS, Unmade};
use crate::report;

/// Runs until the pipelines end or a signal comes.
pub fn run(arguments: &RunArguments) -> u8 {
    match prepare(arguments) {
        Ok(pipelines) => supervise(pipelines, arguments),
        Err(code) => code,
    }
}

struct Pipeline {
    name: PipelineName,
    parts: Parts,
    handle: Handle,
}

/// Everything before the first thread. The error is the exit code; the reports are out.
fn prepare(arguments: &RunArguments) -> Result<Vec<Pipeline>, u8> {
    if let Some(failpoint) = &arguments.failpoint {
        let (name, count) = failpoint.split_once(':').unwrap_or((failpoint, "1"));
        if !count.parse().is_ok_and(|count| failpoint::arm(name, count)) {
            eprintln!("error[USAGE_INVALID]: no failpoint is called {name}");
            return Err(2);
        }
    }
    let until = until(arguments.until.as_deref())?;
    let specs = limpid_config::load(&arguments.files, &CONNECTORS, &Process).map_err(|faults| {
        faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
        2
    })?;
    let clock = Clock::system();
    let store = Arc::new(Store::open(&arguments.data_dir).map_err(|fault| refused(&fault))?);
    specs.iter().map(|spec| pipeline(spec, arguments, &until, &clock, &store)).collect()
}

fn refused(fault: &Fault) -> u8 {
    eprintln!("{}", report::fault(fault));
    1
}

fn until(text: Option<&str>) -> Result<Until, u8> {
    match text {
        None => Ok(Until::Forever),
        Some("caught-up") => Ok(Until::CaughtUp),
        Some("snapshot-done") => {
            eprintln!("error[NOT_IN_THIS_VERSION]: snapshots are not in this version\nhelp: use --until caught-up");
            Err(2)
        }
        Some(position) => Ok(Until::Position(position.to_owned())),
    }
}

fn pipeline(
    spec: &PipelineSpec,
    arguments: &RunArguments,
    until: &Until,
    clock: &Clock,
    store: &Arc<Store>,
) -> Result<Pipeline, u8> {
    let made = registry::make(spec, clock).map_err(|unmade| match unmade {
        Unmade::Config(faults) => {
            faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
            2
        }
        Unmade::Sink(fault) => {
            eprintln!("{}", report::fault(&fault));
            2
        }
    })?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let parts = Parts {
        name: spec.name.clone(),
        source: made.source,
        sink: made.sink,
        encoders: made.encoders,
        store: Arc::clone(store),
        observer: Arc::new(Lines { pipeline: spec.name.to_string() }),
        clock: clock.clone(),
        workers: arguments.workers.unwrap_or(cores.saturating_sub(1).max(1)),
        start: made.start,
        until: until.clone(),
        selection: made.selection,
    };
    Ok(Pipeline { name: spec.name.clone(), parts, handle: Handle::new(Stop::new()) })
}

/// What the main thread waits for.
enum Event {
    Ended(PipelineName, Outcome),
    Signal(i32),
}

fn supervise(pipelines: Vec<Pipeline>, arguments: &RunArguments) -> u8 {
    let on_halt = arguments.on_halt.unwrap_or(match arguments.until {
        Some(_) => OnHalt::Exit,
        None => OnHalt::Stay,
    });
    let (events_out, events) = mpsc::channel();
    let handles: Vec<Handle> = pipelines.iter().map(|pipeline| pipeline.handle.clone()).collect();
    watch_signals(events_out.clone());
    let mut running = pipelines.len();
    for pipeline in pipelines {
        let events = events_out.clone();
        spawn(&format!("pipeline {}", pipeline.name), move || {
            let outcome = limpid_engine::run(pipeline.parts, &pipeline.handle);
            let _ = events.send(Event::Ended(pipeline.name, outcome));
        });
    }
    let mut stopping = false;
    let mut code = 0;
    while running > 0 {
        let Ok(event) = events.recv() else { break };
        match event {
            Event::Signal(signal) if stopping => return if signal == SIGINT { 130 } else { 143 },
            Event::Signal(_) => {
                stopping = true;
                handles.iter().for_each(Handle::stop);
                // A halted pipeline has no thread left that would tell of its end.
                if running == 0 {
                    return code;
                }
            }
            Event::Ended(_, Outcome::Stopped | Outcome::Reached) => running -= 1,
            Event::Ended(name, Outcome::Halted(fault)) => {
                code = code.max(exit_code(&fault));
                if stopping || on_halt == OnHalt::Exit {
                    running -= 1;
                    handles.iter().for_each(Handle::stop);
                } else {
                    eprintln!("{name}: halted; waiting for a signal (--on-halt exit ends the process)");
                    return wait_for_signal(&events, &handles, running - 1, code);
                }
            }
        }
    }
    code
}

/// One pipeline is halted and stays so; the others go on until a signal.
fn wait_for_signal(events: &mpsc::Receiver<Event>, handles: &[Handle], mut running: usize, mut code: u8) -> u8 {
    let mut stopping = false;
    loop {
        match events.recv() {
            Ok(Event::Signal(signal)) if stopping => return if signal == SIGINT { 130 } else { 143 },
            Ok(Event::Signal(_)) => {
                stopping = true;
                handles.iter().for_each(Handle::stop);
            }
            Ok(Event::Ended(_, outcome)) => {
                running -= 1;
                if let Outcome::Halted(fault) = outcome {
                    code = code.max(exit_code(&fault));
                }
            }
            Err(_) => return code,
        }
        if stopping && running == 0 {
            return code;
        }
    }
}

/// A drain that ran out of time is told apart from a halt.
fn exit_code(fault: &Fault) -> u8 {
    match (fault.code(), fault.response()) {
        (FaultCode::DrainTimedOut, _) => 143,
        (_, Response::Refuse) => 2,
        _ => 1,
    }
}

fn watch_signals(events: mpsc::Sender<Event>) {
    let mut signals = match Signals::new([SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("signals cannot be watched: {error}");
            return;
        }
    };
    spawn("signals", move || {
        for signal in &mut signals {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the composition root names and starts the process's threads")]
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.expect("a process that cannot start its first threads cannot run");
}

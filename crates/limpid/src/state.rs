//! `limpid state`: a pipeline's state, looked at, copied and rebuilt while it does not run.
//!
//! Owns: the commands. Does not own: the state (`limpid-state`), the form of an export (`document`).
//!
//! Invariant: the lock is honoured, so a running instance's state is never touched; before anything is replaced the
//! whole state is copied; nothing is written to the sink.

mod document;

use std::path::Path;

use limpid_codec::record;
use limpid_config::{PipelineSpec, Process};
use limpid_connector::{Clock, Keeping};
use limpid_model::{Component, Fault, FaultCode, PositionRecord};
use limpid_state::{Checkpoint, PipelineState, Store};

use crate::cli::{CheckArguments, Form, ImportArguments, StateArguments, StateCommand};
use crate::registry::{self, CONNECTORS, Unmade};
use crate::report;

/// Why a command failed: an exit code whose report is out, or a fault to report.
enum Failed {
    Told(u8),
    Fault(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Runs one of the commands. 1 when the state cannot be had, 2 for a wrong file, 3 when the sink cannot be reached.
pub fn state(command: &StateCommand) -> u8 {
    let done = match command {
        StateCommand::Export(arguments) => export(arguments),
        StateCommand::Import(arguments) => import(arguments),
        StateCommand::Backup(arguments) => backup(arguments),
        StateCommand::Check(arguments) => check(arguments),
    };
    match done {
        Ok(()) => 0,
        Err(Failed::Told(code)) => code,
        Err(Failed::Fault(fault)) => {
            eprintln!("{}", report::fault(&fault));
            match fault.code() {
                FaultCode::UsageInvalid => 2,
                FaultCode::SinkUnreachable | FaultCode::SinkAuthFailed | FaultCode::SinkTlsFailed => 3,
                _ => 1,
            }
        }
    }
}

fn spec(file: &Path) -> Result<PipelineSpec, Failed> {
    let told = |faults: Vec<limpid_config::ConfigFault>| {
        faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
        Failed::Told(2)
    };
    let mut specs = limpid_config::load(&[file.to_owned()], &CONNECTORS, &Process).map_err(told)?;
    specs.pop().ok_or(Failed::Told(2))
}

/// What is stored of the pipeline of a file.
fn stored(arguments: &StateArguments, spec: &PipelineSpec) -> Result<(Store, PipelineState), Failed> {
    let store = Store::open_existing(&arguments.data_dir)?;
    match store.find(&spec.name)? {
        Some(state) => Ok((store, state)),
        None => {
            let text = format!("the state holds nothing of the pipeline {}", spec.name);
            Err(fault(FaultCode::StateEmpty, text).about(arguments.data_dir.display().to_string()).into())
        }
    }
}

fn fault(code: FaultCode, text: impl Into<String>) -> Fault {
    Fault::new(code, Component::State, text)
}

fn export(arguments: &StateArguments) -> Result<(), Failed> {
    let spec = spec(&arguments.file)?;
    let (store, state) = stored(arguments, &spec)?;
    let parked = store.parked(&spec.name)?.len();
    if parked > 0 {
        let text = format!("{parked} rows are parked, which an export does not carry");
        let fault = fault(FaultCode::UsageInvalid, text).about(arguments.data_dir.display().to_string());
        return Err(fault.help("replay or drop them (limpid dlq), or keep a copy of the whole directory").into());
    }
    println!("{}", document::of(&spec.name, &state));
    Ok(())
}

fn backup(arguments: &StateArguments) -> Result<(), Failed> {
    spec(&arguments.file)?;
    let copy = Store::open_existing(&arguments.data_dir)?.back_up()?;
    println!("{}", copy.display());
    Ok(())
}

/// Opening reads every row and compares it with its seal.
fn check(arguments: &CheckArguments) -> Result<(), Failed> {
    let spec = spec(&arguments.state.file)?;
    let (store, state) = stored(&arguments.state, &spec)?;
    let parked = store.parked(&spec.name)?;
    for row in &parked {
        store.parked_body(&spec.name, row.id)?;
    }
    match arguments.format {
        Form::Json => {
            let mut summary = document::summary(&spec.name, &state);
            summary["parked"] = parked.len().into();
            println!("{summary}");
        }
        Form::Text => {
            let position = state.checkpoint.as_ref().map_or("-", |found| found.record.delivered.as_str());
            println!("{}: whole", spec.name);
            println!("  id         {}", state.id);
            println!("  epoch      {}, change number {}", state.epoch.0, state.change.0);
            println!("  position   {position}");
            println!("  halted     {} tables", state.halted.len());
            println!("  parked     {} rows", parked.len());
        }
    }
    Ok(())
}

fn import(arguments: &ImportArguments) -> Result<(), Failed> {
    let spec = spec(&arguments.state.file)?;
    let store = Store::open(&arguments.state.data_dir)?;
    let before = store.find(&spec.name)?;
    let state = match &arguments.from {
        Some(path) => document::read(&spec.name, path)?,
        None => rebuilt(&spec, before.as_ref())?,
    };
    if before.is_some() {
        println!("the state as it was: {}", store.back_up()?.display());
    }
    store.replace(&spec.name, &state)?;
    let position = state.checkpoint.as_ref().map_or("", |found| found.record.delivered.as_str());
    let shown = if position.is_empty() { "no position yet" } else { position };
    println!("{}: epoch {}, change number {}, {shown}", spec.name, state.epoch.0, state.change.0);
    Ok(())
}

/// A state made of the record at the sink: identity and position. Definitions are left out: the source reads them anew
/// from its catalogue, as they are now.
fn rebuilt(spec: &PipelineSpec, before: Option<&PipelineState>) -> Result<PipelineState, Failed> {
    let record = at_sink(spec)?;
    let same = before.filter(|before| before.id == record.id);
    let checkpoint = (!record.delivered.is_empty()).then(|| Checkpoint {
        selection: record.selection.unwrap_or_default(),
        record: PositionRecord { schema_version: 0, ..record.clone() },
    });
    Ok(PipelineState {
        id: record.id,
        epoch: record.epoch,
        change: record.change,
        checkpoint,
        history: None,
        // Their rows were passed over, which the record does not know.
        halted: same.map(|before| before.halted.clone()).unwrap_or_default(),
    })
}

fn at_sink(spec: &PipelineSpec) -> Result<PositionRecord, Failed> {
    let mut made = registry::make(spec, None, &Clock::system()).map_err(|unmade| match unmade {
        Unmade::Config(faults) => {
            faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
            Failed::Told(2)
        }
        Unmade::Fault(fault) => Failed::Fault(fault),
    })?;
    if made.sink.keeping() == Keeping::Nowhere {
        let text = format!("a `{}` sink keeps no position record", spec.sink.kind);
        return Err(fault(FaultCode::UsageInvalid, text).help("restore the directory from a backup").into());
    }
    made.sink.open()?;
    let Some(bytes) = made.sink.load_record()? else {
        let text = format!("the sink has no position record of {}", spec.name);
        return Err(fault(FaultCode::RecordLost, text).about(made.sink.endpoint()).into());
    };
    record::decode(&bytes).map_err(|error| {
        let text = "the position record at the sink cannot be read";
        fault(FaultCode::PositionTopicInvalid, text).about(made.sink.endpoint()).because(error).into()
    })
}

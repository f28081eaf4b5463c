//! `limpid plan`: what starting a pipeline would do, as far as state, source and sink tell before it is done.
//!
//! Owns: asking the three, and telling what follows. Does not own: how a start weighs state and record
//! (`limpid-engine`), the text forms (`shown`).
//!
//! Invariant: nothing is changed anywhere: no topic is made, no instance is shut out, no state is given an id. What
//! cannot be known before a start is said to be so.

mod shown;

use std::path::Path;

use limpid_codec::cursor::{self, Cursors};
use limpid_codec::record;
use limpid_config::{PipelineSpec, Process, SnapshotMode};
use limpid_connector::{Clock, Keeping, Source, StartPoint, TableFound};
use limpid_model::{Component, Fault, FaultCode, FaultKind, PositionRecord, TableName};
use limpid_state::{PipelineState, Store};

use crate::cli::{Form, PlanArguments};
use crate::registry::{self, CONNECTORS, Destination, Made, Unmade};
use crate::report;

/// What would become of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Copied from its beginning.
    Copy,
    /// Its copy goes on where it was.
    GoOn,
    /// Its changes alone.
    Stream,
    /// Nothing: it is halted.
    Halted,
}

impl Work {
    const fn word(self) -> &'static str {
        match self {
            Work::Copy => "copy",
            Work::GoOn => "copy on",
            Work::Stream => "stream",
            Work::Halted => "halted",
        }
    }
}

/// One captured table.
struct Planned {
    found: TableFound,
    work: Work,
    to: Destination,
}

/// How the stream would begin.
enum Begins {
    /// Nothing is stored: here.
    First(String),
    /// Behind what is delivered.
    At(String),
    /// The position is gone, and the file says that everything is copied anew then.
    Anew(FaultCode),
    /// It would be tried until this is over.
    Waits(Fault),
    /// It would halt at once, or not start at all.
    Refused(Fault),
}

/// What a start would do.
struct Plan {
    name: String,
    begins: Begins,
    /// Rows of a transaction in progress that would be delivered again: other tables or columns are captured now.
    recounted: bool,
    /// Other tables or columns are captured than before.
    reselected: bool,
    tables: Vec<Planned>,
    /// Rules that are to hide columns and match none of the tables.
    idle_rules: Vec<String>,
    chunk_rows: u32,
    parallel: usize,
}

/// 0, 1 when the start would be refused, 2 for a wrong file, 3 when a system cannot be reached.
pub fn plan(arguments: &PlanArguments) -> u8 {
    let mut specs = match limpid_config::load(std::slice::from_ref(&arguments.file), &CONNECTORS, &Process) {
        Ok(specs) => specs,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
            return 2;
        }
    };
    let Some(spec) = specs.pop() else { return 2 };
    match made(&spec, &arguments.data_dir) {
        Ok(plan) => {
            match arguments.format {
                Form::Text => print!("{}", shown::text(&plan)),
                Form::Json => println!("{:#}", shown::document(&plan)),
            }
            u8::from(matches!(plan.begins, Begins::Refused(_)))
        }
        Err(Unmade::Config(faults)) => {
            faults.iter().for_each(|fault| eprintln!("{}", report::config_fault(fault)));
            2
        }
        Err(Unmade::Fault(fault)) => {
            eprintln!("{}", report::fault(&fault));
            match fault.code() {
                FaultCode::SourceUnreachable | FaultCode::SinkUnreachable => 3,
                _ => 1,
            }
        }
    }
}

fn made(spec: &PipelineSpec, data_dir: &Path) -> Result<Plan, Unmade> {
    let clock = Clock::system();
    let mut made = registry::make(spec, None, &clock)?;
    let found = made.source.tables().map_err(Unmade::Fault)?;
    let names: Vec<TableName> = found.iter().map(|table| table.name.clone()).collect();
    let destinations = registry::destinations(spec, &names, &clock)?;
    let state = stored(spec, data_dir);
    let weighed = state.and_then(|state| weigh(spec, &mut made, state.as_ref()).map(|record| (state, record)));
    let mut plan = Plan {
        name: spec.name.to_string(),
        begins: Begins::First(String::new()),
        recounted: false,
        reselected: false,
        tables: Vec::new(),
        idle_rules: registry::idle_rules(spec, &names)?,
        chunk_rows: spec.source.snapshot.chunk_rows,
        parallel: spec.source.snapshot.parallel,
    };
    let (state, record) = match weighed {
        Ok((state, record)) => (state, record.filter(|record| !record.delivered.is_empty())),
        // What cannot be asked leaves everything open; what is refused is the answer.
        Err(fault) if fault.code() == FaultCode::SinkUnreachable => return Err(Unmade::Fault(fault)),
        Err(fault) => {
            plan.begins = Begins::Refused(fault);
            (None, None)
        }
    };
    let mode = spec.source.snapshot.mode;
    if !matches!(plan.begins, Begins::Refused(_)) {
        plan.begins = begins(&*made.source, &made.start, mode, record.as_ref())?;
    }
    let is_anew = record.is_none() || matches!(plan.begins, Begins::Anew(_));
    let halted: Vec<&TableName> = state.iter().flat_map(|state| &state.halted).map(|halted| &halted.table).collect();
    if let Some(record) = &record {
        let counted = halted.iter().fold(made.selection, |sum, table| sum ^ limpid_model::key_seed(table));
        plan.reselected = record.selection.is_some_and(|selection| selection != counted);
        plan.recounted = plan.reselected && record.rows_done > 0;
    }
    let cursors = record.as_ref().filter(|_| !is_anew).map(|record| cursor::decode(&record.cursors));
    let cursors = cursors.transpose().map_err(|_| unreadable())?;
    let is_refused = matches!(plan.begins, Begins::Refused(_));
    plan.tables = found
        .into_iter()
        .zip(destinations)
        .map(|(found, to)| {
            let work = match () {
                () if halted.contains(&&found.name) => Work::Halted,
                () if is_refused || mode == SnapshotMode::Never => Work::Stream,
                () => cursors.as_ref().map_or(Work::Copy, |cursors| work(&found.name, cursors)),
            };
            Planned { found, work, to }
        })
        .collect();
    Ok(plan)
}

fn unreadable() -> Unmade {
    let text = "the cursors of copied tables in the position record cannot be read";
    Unmade::Fault(Fault::new(FaultCode::PositionTopicInvalid, Component::State, text))
}

fn work(table: &TableName, cursors: &Cursors) -> Work {
    match cursors.tables.iter().find(|cursor| cursor.table == *table) {
        Some(cursor) if cursor.ranges.is_empty() => Work::Stream,
        Some(_) => Work::GoOn,
        None if cursors.all => Work::Copy,
        None => Work::Stream,
    }
}

/// What the state directory holds of the pipeline. It is not made where it is not there.
fn stored(spec: &PipelineSpec, data_dir: &Path) -> Result<Option<PipelineState>, Fault> {
    match Store::look(data_dir) {
        Ok(store) => store.find(&spec.name),
        Err(fault) if fault.code() == FaultCode::StateEmpty => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// As a start does it, up to where others would be shut out.
fn weigh(spec: &PipelineSpec, made: &mut Made, state: Option<&PipelineState>) -> Result<Option<PositionRecord>, Fault> {
    if made.sink.keeping() == Keeping::Nowhere {
        return Ok(state.and_then(|state| state.checkpoint.as_ref()).map(|checkpoint| checkpoint.record.clone()));
    }
    made.sink.open()?;
    let bytes = made.sink.load_record()?;
    let found = bytes.map(|bytes| record::decode(&bytes)).transpose().map_err(|error| {
        let text = "the position record at the sink cannot be read";
        Fault::new(FaultCode::PositionTopicInvalid, Component::Output, text).because(error)
    })?;
    limpid_engine::foretell(&spec.name, state, found.as_ref(), &made.sink.endpoint())
}

fn begins(
    source: &dyn Source,
    start: &StartPoint,
    mode: SnapshotMode,
    record: Option<&PositionRecord>,
) -> Result<Begins, Unmade> {
    let from = match record {
        Some(record) => StartPoint::At(record.delivered.clone()),
        None if mode == SnapshotMode::Never => start.clone(),
        // What was committed before is in the tables.
        None => StartPoint::Head,
    };
    match source.foresee(&from) {
        Ok(position) if record.is_some() => Ok(Begins::At(position.text())),
        Ok(position) => Ok(Begins::First(position.text())),
        Err(fault) if fault.code() == FaultCode::SourceUnreachable => Err(Unmade::Fault(fault)),
        Err(fault)
            if record.is_some()
                && mode == SnapshotMode::WhenNeeded
                && matches!(fault.code(), FaultCode::SourceLogPurged | FaultCode::SourceChanged) =>
        {
            Ok(Begins::Anew(fault.code()))
        }
        Err(fault) if fault.kind() == FaultKind::Transient => Ok(Begins::Waits(fault)),
        Err(fault) => Ok(Begins::Refused(fault)),
    }
}

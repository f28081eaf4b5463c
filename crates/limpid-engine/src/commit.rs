//! The start of an attempt: what is stored and what is at the sink become one truth, and this instance its only writer.
//!
//! Owns: performing what the protocol (`start`) says, in its order. Does not own: the protocol, positions while rows
//! flow (`saver`).
//!
//! Invariant: no row flows before the raised epoch is durable in the state and then at the sink; nobody is shut out by
//! an instance whose state is refused.

mod start;

use std::time::Duration;

use limpid_codec::record;
use limpid_connector::{Fenced, Keeping, Sink, SinkEvent};
use limpid_model::{ChangeNumber, Component, Epoch, Fault, FaultCode, PipelineId, PipelineName, PositionRecord};
use limpid_state::{HaltedTable, PipelineState, Store};

pub(crate) use self::start::{Asked, Life};
use self::start::{Effect, Happened, Local, Start};
use crate::failpoint::{Point, pass};
use crate::observe::Observer;

/// One step of the wait for a record; the sink has the deadline.
const STEP: Duration = Duration::from_millis(20);

/// What a start ended with.
pub(crate) struct Begun {
    /// Where to go on; its position is empty where there is none yet.
    pub(crate) record: PositionRecord,
    pub(crate) halted: Vec<HaltedTable>,
}

/// What a start would make of what is stored and what is at the sink, if anything is. `None`: it would be a first start.
///
/// # Errors
/// The state would be refused, with this fault.
pub fn foretell(
    name: &PipelineName,
    state: Option<&PipelineState>,
    found: Option<&PositionRecord>,
    endpoint: &str,
) -> Result<Option<PositionRecord>, Fault> {
    let local = match state {
        Some(state) => local(name, state),
        None => {
            let id = found.map_or(PipelineId(0), |found| found.id);
            Local { pipeline: name.clone(), id, epoch: Epoch(0), change: ChangeNumber(0), saved: None }
        }
    };
    Start::foretell(local, found).map_err(|refusal| refusal.fault(name, endpoint))
}

fn local(name: &PipelineName, state: &PipelineState) -> Local {
    Local {
        pipeline: name.clone(),
        id: state.id,
        epoch: state.epoch,
        change: state.change,
        saved: state.checkpoint.as_ref().map(|checkpoint| checkpoint.record.clone()),
    }
}

/// Goes through the start, up to where rows may flow.
pub(crate) fn begin(
    store: &Store,
    name: &PipelineName,
    sink: &mut dyn Sink,
    (life, asked): (Life, Asked),
    observer: &dyn Observer,
) -> Result<Begun, Fault> {
    let state = store.pipeline(name)?;
    let local = local(name, &state);
    let keeps = sink.keeping() != Keeping::Nowhere;
    let endpoint = sink.endpoint();
    let (mut start, mut effect) = Start::new(local, keeps, life, asked);
    loop {
        let happened = match effect {
            Effect::ReadRecord => Happened::Record(sink.load_record()?.map(|bytes| read_record(&bytes)).transpose()?),
            Effect::Fence => {
                if let Fenced::Open(why) = sink.fence()?
                    && life == Life::First
                {
                    observer.unfenced(&why);
                }
                pass(Point::AfterFence);
                Happened::Fenced
            }
            Effect::RaiseEpoch(epoch) => {
                // Before a record carries the state's own number.
                store.settle_parked(name, start.passed())?;
                store.begin(name, epoch)?;
                pass(Point::AfterEpoch);
                Happened::EpochRaised
            }
            Effect::SaveRecord(record) => {
                save_and_wait(sink, &record)?;
                pass(Point::AfterFirstRecord);
                Happened::RecordSaved
            }
            Effect::Begin(record) => {
                if let Some(accepted) = start.accepted() {
                    observer.accepted(accepted, &record.delivered);
                }
                return Ok(Begun { record, halted: state.halted });
            }
        };
        let next = start.step(happened);
        (start, effect) = next.map_err(|refusal| refusal.fault(name, &endpoint))?;
    }
}

/// Saves a record while nothing else is under way.
pub(crate) fn save_and_wait(sink: &mut dyn Sink, record: &PositionRecord) -> Result<(), Fault> {
    sink.save_record(&record::encode(record))?;
    let mut events = Vec::new();
    loop {
        sink.poll(STEP, &mut events)?;
        if events.drain(..).any(|event| matches!(event, SinkEvent::RecordSaved)) {
            return Ok(());
        }
    }
}

fn read_record(bytes: &[u8]) -> Result<PositionRecord, Fault> {
    record::decode(bytes).map_err(|error| {
        let text = "the position record at the sink cannot be read";
        Fault::new(FaultCode::PositionTopicInvalid, Component::Output, text).because(error)
    })
}

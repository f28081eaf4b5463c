//! How an instance begins: which of state and record is right, and who may write from then on.
//!
//! Owns: the order of a start, the weighing of state and record, refusals. Does not own: doing any of it (`commit`).
//! Pure: no clock, no I/O.
//!
//! Invariant: refused before the first fencing, an instance has changed nothing anywhere. The epoch is raised first in
//! the state, then in the record, so that a state whose own life wrote the record is never below it, wherever that life
//! was killed. `tests` goes through every order of two instances, their copies and their deaths.

use limpid_model::{ChangeNumber, Component, Epoch, Fault, FaultCode, PipelineId, PipelineName, PositionRecord};

/// What the local state holds.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) pipeline: PipelineName,
    pub(crate) id: PipelineId,
    /// That of the last life; 0 before the first.
    pub(crate) epoch: Epoch,
    pub(crate) change: ChangeNumber,
    /// The record as it was saved last here; `None`: no position ever was.
    pub(crate) saved: Option<PositionRecord>,
}

/// Whether this process has begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    First,
    /// After an attempt that failed: whoever raised the record's epoch meanwhile has taken over.
    Again,
}

/// What the operator wants of a state that does not fit the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is refused.
    Refuse,
    /// It is taken as it is: where it has a position, from there; where it has none, as at a first start.
    Accept,
}

/// Why a state is not gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Older,
    Foreign,
    Empty,
    Lost,
    /// Another instance has begun since.
    Fenced,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    ReadRecord,
    Fence,
    RaiseEpoch(Epoch),
    SaveRecord(PositionRecord),
    /// Rows may flow from here on.
    Begin(PositionRecord),
}

/// What came of it.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful in the life of an attempt")]
pub(crate) enum Happened {
    Record(Option<PositionRecord>),
    Fenced,
    EpochRaised,
    RecordSaved,
}

/// One start under way.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    local: Local,
    keeps_record: bool,
    life: Life,
    asked: Asked,
    stage: Stage,
    accepted: Option<Refusal>,
    /// The change number of what is gone on from.
    passed: ChangeNumber,
}

#[derive(Clone, Debug)]
enum Stage {
    Reading,
    Fencing,
    ReadingAgain,
    Raising(PositionRecord),
    Saving(PositionRecord),
    Begun,
}

impl Start {
    /// `keeps_record`: the sink has a place for the record. One that has none knows nothing, and refuses nothing.
    pub(crate) fn new(local: Local, keeps_record: bool, life: Life, asked: Asked) -> (Self, Effect) {
        let (stage, passed) = (Stage::Reading, ChangeNumber(0));
        let mut start = Self { local, keeps_record, life, asked, stage, accepted: None, passed };
        if keeps_record {
            return (start, Effect::ReadRecord);
        }
        let record = start.begin_from(start.local.saved.clone(), start.local.epoch);
        start.raise(record)
    }

    /// What a first look makes of state and record, before anybody is shut out: what would be gone on from.
    ///
    /// # Errors
    /// The state would be refused.
    pub(crate) fn foretell(local: Local, found: Option<&PositionRecord>) -> Result<Option<PositionRecord>, Refusal> {
        let (mut start, _) = Self::new(local, true, Life::First, Asked::Refuse);
        start.weigh(found)
    }

    /// What the operator had accepted although it does not fit.
    pub(crate) fn accepted(&self) -> Option<FaultCode> {
        self.accepted.map(Refusal::code)
    }

    /// What the state had remembered where it goes on from: whatever it remembers beyond is read again. Known once the
    /// epoch is to be raised.
    pub(crate) fn passed(&self) -> ChangeNumber {
        self.passed
    }

    /// # Errors
    /// The state is not gone on from.
    pub(crate) fn step(mut self, happened: Happened) -> Result<(Self, Effect), Refusal> {
        Ok(match (self.stage.clone(), happened) {
            // Before anybody is shut out.
            (Stage::Reading, Happened::Record(found)) => {
                self.weigh(found.as_ref())?;
                self.at(Stage::Fencing, Effect::Fence)
            }
            // The instance that was shut out may have written since the first look.
            (Stage::Fencing, Happened::Fenced) => self.at(Stage::ReadingAgain, Effect::ReadRecord),
            (Stage::ReadingAgain, Happened::Record(found)) => {
                let from = self.weigh(found.as_ref())?;
                let at_sink = found.map_or(Epoch(0), |record| record.epoch);
                let record = self.begin_from(from, self.local.epoch.max(at_sink));
                self.raise(record)
            }
            (Stage::Raising(record), Happened::EpochRaised) if self.keeps_record => {
                self.at(Stage::Saving(record.clone()), Effect::SaveRecord(record))
            }
            (Stage::Raising(record), Happened::EpochRaised) | (Stage::Saving(record), Happened::RecordSaved) => {
                self.at(Stage::Begun, Effect::Begin(record))
            }
            (stage, happened) => unreachable!("a start at {stage:?} is told what it did not ask for: {happened:?}"),
        })
    }

    fn at(mut self, stage: Stage, effect: Effect) -> (Self, Effect) {
        self.stage = stage;
        (self, effect)
    }

    fn raise(self, record: PositionRecord) -> (Self, Effect) {
        let epoch = record.epoch;
        self.at(Stage::Raising(record), Effect::RaiseEpoch(epoch))
    }

    /// The record to go on from.
    fn weigh(&mut self, record: Option<&PositionRecord>) -> Result<Option<PositionRecord>, Refusal> {
        let local = &self.local;
        let never_begun = local.epoch == Epoch(0) && local.saved.is_none();
        let refusal = match record {
            None if local.saved.is_some() => Refusal::Lost,
            None => return Ok(None),
            Some(_) if never_begun => Refusal::Empty,
            Some(record) if record.id != local.id => Refusal::Foreign,
            Some(record) if local.epoch < record.epoch || local.change < record.change => Refusal::Older,
            // The record is at the sink with the data: it knows better than we do.
            Some(record) => return Ok(Some(record.clone())),
        };
        match (self.asked, self.life, refusal) {
            (Asked::Accept, ..) => {
                self.accepted = Some(refusal);
                Ok(local.saved.clone())
            }
            (Asked::Refuse, Life::Again, Refusal::Older | Refusal::Foreign) => Err(Refusal::Fenced),
            (Asked::Refuse, ..) => Err(refusal),
        }
    }

    /// What the record says from now on: the position of `from`, our own identity, an epoch above both.
    fn begin_from(&mut self, from: Option<PositionRecord>, epoch: Epoch) -> PositionRecord {
        self.passed = from.as_ref().map_or(ChangeNumber(0), |record| record.change);
        let local = &self.local;
        let (id, epoch, change) = (local.id, Epoch(epoch.0 + 1), local.change);
        match from {
            Some(record) => PositionRecord { pipeline: local.pipeline.clone(), id, epoch, change, ..record },
            None => PositionRecord {
                pipeline: local.pipeline.clone(),
                id,
                epoch,
                change,
                delivered: String::new(),
                read_from: String::new(),
                undecided: Vec::new(),
                rows_done: 0,
                cursors: Vec::new(),
                schema_version: 0,
                selection: None,
                flow: Vec::new(),
            },
        }
    }
}

impl Refusal {
    pub(crate) fn code(self) -> FaultCode {
        match self {
            Refusal::Older => FaultCode::StateOlder,
            Refusal::Foreign => FaultCode::StateForeign,
            Refusal::Empty => FaultCode::StateEmpty,
            Refusal::Lost => FaultCode::RecordLost,
            Refusal::Fenced => FaultCode::Fenced,
        }
    }

    pub(crate) fn fault(self, name: &PipelineName, endpoint: &str) -> Fault {
        let text = match self {
            Refusal::Older => "the state is older than the position record at the sink: it was restored or copied",
            Refusal::Foreign => "the state is of another pipeline than the position record at the sink",
            Refusal::Empty => "the sink has a position record of this pipeline, but the state has never run it",
            Refusal::Lost => "the state has a position, but the sink has lost the position record",
            Refusal::Fenced => "another instance of this pipeline has taken over",
        };
        Fault::new(self.code(), Component::State, text).about(format!("{name} at {endpoint}"))
    }
}

#[cfg(test)]
mod tests;

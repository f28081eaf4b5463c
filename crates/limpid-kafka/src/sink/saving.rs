//! Saving the position record: by itself, or in one transaction with the rows.
//!
//! Owns: fencing, and the stages of one saving. Does not own: the record's content and when it is due
//! (`limpid-engine`), the calls (`producer`).
//!
//! Invariant: a record counts as saved only when it is acknowledged and, where there is a transaction, that is
//! committed; rows of a transaction are told durable only then. Nothing here waits but fencing and a commit.

use std::time::Duration;

use limpid_connector::{Fenced, SinkEvent};
use limpid_model::{Fault, FaultCode};

use super::{KafkaSink, Live, OURSELVES, STEP, not_open};
use crate::faults;
use crate::position;
use crate::producer::{Ask, Code, Outcome, Producer, Progress, ask};
use crate::settings;

/// How long fencing may take: a transaction of the instance before is undone first, and a coordinator may have to be
/// elected.
const FENCE_NS_MAX: u64 = 30_000_000_000;
/// How long a record may wait for its acknowledgement or its commit before the sink is opened anew: longer than a
/// broker takes to come back after a kill, and half of what Kafka lets a transaction stand open.
const SAVE_NS_MAX: u64 = 30_000_000_000;

/// Which producer writes the record.
#[derive(Debug)]
pub(super) enum Way {
    /// That of the rows, outside any transaction: before fencing, or without the right to it.
    Plain,
    /// A small one of its own, whose transactional id shuts out earlier instances.
    Own(Box<Own>),
    /// That of the rows, in their transaction.
    Together,
}

/// A producer that writes nothing but the record.
#[derive(Debug)]
pub(super) struct Own {
    producer: Producer,
    topic: u16,
    out: Outcome,
}

/// One saving under way.
#[derive(Debug)]
pub(super) struct Saving {
    record: Vec<u8>,
    stage: Stage,
    deadline: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// librdkafka has not taken it yet.
    Sending,
    /// A broker has not acknowledged it yet.
    Sent,
    /// Its transaction is not committed yet.
    Committing,
}

impl KafkaSink {
    pub(super) fn take_over(&mut self) -> Result<Fenced, Fault> {
        let id = settings::transactional_id(self.pipeline.as_str());
        let live = self.live.as_ref().ok_or_else(not_open)?;
        if self.is_exactly_once() {
            let mut live = self.live.take().ok_or_else(not_open)?;
            self.await_fence(&mut live.producer, &id)?;
            live.way = Way::Together;
            live.is_fenced = true;
            self.live = Some(live);
            return Ok(Fenced::Shut);
        }
        let (pipeline, protection) = (self.pipeline.as_str(), live.protection);
        let plain = settings::producer(&self.options, pipeline, protection, self.batch_bytes_max);
        let mut producer = Producer::new(&settings::transactional(pipeline, plain))?;
        let fenced = match self.await_fence(&mut producer, &id) {
            Ok(()) => Fenced::Shut,
            Err(fault) if fault.code() == FaultCode::SinkGrantMissing => Fenced::Open(fault),
            Err(fault) => return Err(fault),
        };
        let live = self.live.as_mut().ok_or_else(not_open)?;
        live.is_fenced = true;
        if matches!(fenced, Fenced::Shut) {
            let topic = producer.add_topic(&self.options.position_topic);
            live.way = Way::Own(Box::new(Own { producer, topic, out: Outcome::default() }));
        }
        Ok(fenced)
    }

    fn await_fence(&self, producer: &mut Producer, id: &str) -> Result<(), Fault> {
        let deadline = self.clock.nanos() + FENCE_NS_MAX;
        let mut out = Outcome::default();
        // librdkafka that has no connection when it is to fence tries again only after half a second: it makes one for a
        // question. Whatever the answer is, fencing tells more.
        ask(producer.client(), OURSELVES, &Ask::Describe, &self.options.position_topic, &position::creation());
        while out.answers.is_empty() && self.clock.nanos() < deadline {
            producer.poll(STEP, &mut out);
            self.refused(&out)?;
        }
        while producer.fence().map_err(|said| faults::of_transaction(id, said))? == Progress::Pending {
            producer.poll(Duration::ZERO, &mut out);
            self.refused(&out)?;
            if self.clock.nanos() > deadline {
                return Err(faults::unreachable(&self.endpoint, out.errors.pop()));
            }
        }
        Ok(())
    }

    /// Whether a client that is about to fence may not connect at all.
    fn refused(&self, out: &Outcome) -> Result<(), Fault> {
        let definite = out.errors.iter().find_map(|said| faults::of_client(&self.endpoint, said));
        definite.map_or(Ok(()), Err)
    }

    pub(super) fn begin_saving(&mut self, record: &[u8]) -> Result<(), Fault> {
        let deadline = self.clock.nanos() + SAVE_NS_MAX;
        let live = self.live.as_mut().ok_or_else(not_open)?;
        assert!(live.saving.is_none(), "one record is saved at a time");
        live.saving = Some(Saving { record: record.to_owned(), stage: Stage::Sending, deadline });
        self.save_on()
    }

    /// Takes the saving under way as far as it goes now.
    pub(super) fn save_on(&mut self) -> Result<(), Fault> {
        let now = self.clock.nanos();
        let Some(live) = self.live.as_mut() else { return Ok(()) };
        let Live { producer, way, saving: under_way, position, out, last_error, .. } = live;
        let Some(saving) = under_way.as_mut() else { return Ok(()) };
        let (producer, topic, acknowledged) = match way {
            Way::Plain | Way::Together => (producer, *position, &mut out.position),
            Way::Own(own) => {
                own.producer.poll(Duration::ZERO, &mut own.out);
                (&mut own.producer, own.topic, &mut own.out.position)
            }
        };
        let refused = |said| faults::of_transaction(&self.endpoint, said);
        if let Some(said) = producer.fatal().filter(|_| producer.is_transactional()) {
            return Err(refused(said));
        }
        let written = |code: Code| position::written(&self.options.position_topic, &self.endpoint, code);
        if saving.stage == Stage::Sending {
            producer.begin().map_err(refused)?;
            match producer.send_position(topic, self.pipeline.as_str().as_bytes(), &saving.record) {
                Ok(()) => saving.stage = Stage::Sent,
                Err(Code::QUEUE_FULL) => {}
                Err(code) => written(code)?,
            }
        }
        if saving.stage == Stage::Sent
            && let Some(code) = acknowledged.take()
        {
            written(code)?;
            saving.stage = Stage::Committing;
        }
        if saving.stage == Stage::Committing && producer.commit(&mut out.events).map_err(refused)? == Progress::Done {
            *under_way = None;
            out.events.push(SinkEvent::RecordSaved);
        } else if now > saving.deadline {
            return Err(faults::save_unanswered(&self.endpoint, SAVE_NS_MAX / 1_000_000_000, last_error.take()));
        }
        Ok(())
    }
}

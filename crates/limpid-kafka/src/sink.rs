//! The `kafka` sink.
//!
//! Owns: opening, back-pressure, health, the position record's loading; the order in which the other parts act. Does
//! not own: sending and counting (`producer`), topics (`topics`), how the record is saved (`saving`), retrying a broken
//! sink (`limpid-engine`).
//!
//! Invariant: a batch is handed to the producer only when every topic it needs is known to exist; nothing here waits
//! but `open`, `fence` and `load_record`, and those for a bounded time.

mod health;
mod saving;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use limpid_config::Delivery;
use limpid_connector::{Accepted, Clock, EncodedBatch, Fenced, Keeping, Sink, SinkEvent};
use limpid_model::{Fault, FaultCode, PipelineName};

use self::health::{Health, Silence};
use self::saving::{Saving, Way};
use crate::config::KafkaOptions;
use crate::faults::{self, Said};
use crate::position;
use crate::producer::{
    ANSWER_NS_MAX, Answer, Ask, Asker, COMMIT_MS_MAX, Code, Outcome, Producer, Reach, ReadFault, Target, ask, is_over,
    read_latest, wire_bytes,
};
use crate::settings::{self, HELD_BYTES_MAX, Protection};
use crate::topics::Topics;

/// How long `open` waits for a first answer: librdkafka tries every address of every broker several times in it.
const OPEN_NS_MAX: u64 = 10_000_000_000;
/// The same, once every broker has been found down: what is refused now may be listened to in a moment, and a name
/// may have two addresses of which one is dead.
const OPEN_DOWN_NS_MAX: u64 = 3_000_000_000;
/// How long the position topic may take to be made and found; a controller that is elected takes some seconds.
const POSITION_NS_MAX: u64 = 30_000_000_000;
/// How long reading the position topic may take.
const LOAD_NS_MAX: u64 = 60_000_000_000;
/// The asker of questions that are about no topic of a table.
const OURSELVES: Asker = Asker { who: u32::MAX, question: 0 };
/// One step of a wait that has a deadline.
const STEP: Duration = Duration::from_millis(20);

/// Writes batches to topics.
#[derive(Debug)]
pub struct KafkaSink {
    options: KafkaOptions,
    pipeline: PipelineName,
    clock: Clock,
    endpoint: String,
    /// The least of our own batch size and the limits of all topics seen: a batch of small records must fit each.
    batch_bytes_max: u64,
    /// By topic: a record of more bytes was refused. What only a refusal told of is kept over attempts, so that the next
    /// one knows it beforehand. One entry for each topic whose limit we may not read.
    learned: HashMap<String, u64>,
    live: Option<Live>,
}

/// An open sink.
#[derive(Debug)]
struct Live {
    producer: Producer,
    protection: Protection,
    batch_bytes_max: u64,
    topics: Topics,
    /// Where the batch goes that was asked about last, by its number.
    planned: Option<(u64, Vec<Target>)>,
    /// The position topic's number in the producer.
    position: u16,
    /// Earlier instances are shut out, as far as we may.
    is_fenced: bool,
    way: Way,
    saving: Option<Saving>,
    out: Outcome,
    health: Health,
    silence: Silence,
    /// Refused connections since the last answer: the cause, should waiting end.
    last_error: Option<Said>,
}

impl KafkaSink {
    /// A sink that is not open yet.
    ///
    /// # Errors
    /// `SINK_SETTING_INVALID`: a setting in `librdkafka` is unknown, has a bad value, or would break a promise.
    pub fn new(options: KafkaOptions, pipeline: PipelineName, clock: Clock) -> Result<Self, Fault> {
        settings::check(&options)?;
        let endpoint = options.brokers.join(",");
        let batch_bytes_max = settings::batch_bytes_max(&options);
        Ok(Self { options, pipeline, clock, endpoint, batch_bytes_max, learned: HashMap::new(), live: None })
    }

    fn connect(&self, protection: Protection) -> Result<Live, Fault> {
        let producer = self.make_producer(protection)?;
        let mut live = Live {
            producer,
            protection,
            batch_bytes_max: self.batch_bytes_max,
            topics: Topics::new(self.options.creation.enabled),
            planned: None,
            position: 0,
            is_fenced: false,
            way: Way::Plain,
            saving: None,
            out: Outcome::default(),
            health: Health::Good,
            silence: Silence::default(),
            last_error: None,
        };
        self.await_cluster(&mut live)?;
        self.await_position_topic(&mut live)?;
        live.position = live.producer.add_topic(&self.options.position_topic);
        Ok(live)
    }

    fn make_producer(&self, protection: Protection) -> Result<Producer, Fault> {
        let pipeline = self.pipeline.as_str();
        let settings = settings::producer(&self.options, pipeline, protection, self.batch_bytes_max);
        match self.is_exactly_once() {
            true => Producer::new(&settings::transactional(pipeline, settings)),
            false => Producer::new(&settings),
        }
    }

    fn is_exactly_once(&self) -> bool {
        self.options.delivery == Delivery::ExactlyOnce
    }

    /// Waits until a broker answers, or says for good that it will not.
    fn await_cluster(&self, live: &mut Live) -> Result<(), Fault> {
        let started = self.clock.nanos();
        let mut deadline = started + OPEN_NS_MAX;
        let topic = &self.options.position_topic;
        self.ask(live, &Ask::Describe, topic);
        loop {
            match self.await_answer(live, &mut deadline)? {
                // Whatever a broker says of a topic: there is one.
                Some(answer) if answer.is_of_a_broker() => return Ok(()),
                Some(answer) => {
                    if let Answer::Failed(said) = answer {
                        live.last_error.get_or_insert(said);
                    }
                    self.ask(live, &Ask::Describe, topic);
                }
                None => return Err(faults::unreachable(&self.endpoint, live.last_error.take())),
            }
        }
    }

    /// Finds the position topic, or makes it.
    fn await_position_topic(&self, live: &mut Live) -> Result<(), Fault> {
        let mut deadline = self.clock.nanos() + POSITION_NS_MAX;
        let topic = &self.options.position_topic;
        let mut stage = position::Stage::Describing { made: false };
        let mut short = None;
        while let Some(question) = stage.ask() {
            self.ask(live, &question, topic);
            let Some(answer) = self.await_answer(live, &mut deadline)? else {
                let away = || faults::unreachable(&self.endpoint, live.last_error.take());
                return Err(short.map_or_else(away, |said| position::not_made(topic, &self.endpoint, &said)));
            };
            short = position::too_few_brokers(&answer);
            let next = position::step(topic, &self.endpoint, stage, &answer)?;
            if next == stage {
                self.clock.sleep(STEP);
            }
            stage = next;
        }
        Ok(())
    }

    fn ask(&self, live: &Live, question: &Ask, topic: &str) {
        ask(live.producer.client(), OURSELVES, question, topic, &position::creation());
    }

    /// The next answer to ourselves; `None` at the deadline, which draws near once every broker is found down.
    fn await_answer(&self, live: &mut Live, deadline: &mut u64) -> Result<Option<Answer>, Fault> {
        while self.clock.nanos() < *deadline {
            live.producer.poll(STEP, &mut live.out);
            if let Some(fault) = live.failure(&self.endpoint) {
                return Err(fault);
            }
            for said in std::mem::take(&mut live.out.errors) {
                if let Some(fault) = faults::of_client(&self.endpoint, &said) {
                    return Err(fault);
                }
                if said.code == Code::ALL_BROKERS_DOWN {
                    *deadline = (*deadline).min(self.clock.nanos() + OPEN_DOWN_NS_MAX);
                } else {
                    live.last_error = Some(said);
                }
            }
            if let Some((_, answer)) = live.out.answers.pop() {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Goes through a batch once: where each of its tables goes, and which rows have a record that its topic would not
    /// take. `None` while a topic is being looked up, or the producer must first be made anew.
    fn look(&mut self, batch: &EncodedBatch) -> Result<Option<Looked>, Fault> {
        let mut targets: Vec<Option<Target>> = vec![None; batch.topics.len()];
        let mut refused: Vec<(u32, Fault)> = Vec::new();
        let mut is_waiting = false;
        // A row without a form has a record without key and value, and is sent nowhere.
        for record in batch.records.iter().filter(|record| !(record.key.is_null() && record.value.is_null())) {
            let table = usize::from(record.table);
            let target = match targets[table] {
                Some(target) => target,
                None => {
                    let name = batch.topics[table].as_ref();
                    let found = self.target(name.expect("an encoder for Kafka names a topic for every record"))?;
                    is_waiting |= found.is_none();
                    *targets[table].insert(found.unwrap_or(Target::Nowhere))
                }
            };
            let Target::Topic { record_bytes_max: max, .. } = target else { continue };
            if is_over(batch, record, max) && refused.last().is_none_or(|(row, _)| *row != record.row) {
                let topic = batch.topics[table].as_deref().unwrap_or_default();
                refused.push((record.row, faults::too_large(topic, wire_bytes(batch, record), max)));
            }
        }
        let live = self.live.as_ref().ok_or_else(not_open)?;
        if is_waiting || live.batch_bytes_max > self.batch_bytes_max {
            return Ok(None);
        }
        let targets = targets.into_iter().map(|target| target.unwrap_or(Target::Nowhere)).collect();
        Ok(Some(Looked { targets, refused }))
    }

    /// A topic that is ready, with the limit of its records.
    fn target(&mut self, name: &Arc<str>) -> Result<Option<Target>, Fault> {
        let live = self.live.as_mut().ok_or_else(not_open)?;
        let Some(place) = live.topics.place(name, self.clock.nanos())? else { return Ok(None) };
        let limit = place.record_bytes_max.unwrap_or(u64::MAX);
        self.batch_bytes_max = self.batch_bytes_max.min(limit);
        let topic = place.number.unwrap_or_else(|| {
            let number = live.producer.add_topic(name);
            live.topics.set_number(place.index, number);
            number
        });
        let learned = self.learned.get(&**name).copied().unwrap_or(u64::MAX);
        let own = settings::record_bytes_max(&self.options);
        Ok(Some(Target::Topic { topic, record_bytes_max: limit.min(own).min(learned) }))
    }

    /// A topic takes less than our batches hold: batches are to be smaller from now on, which only a new producer can
    /// do. Waits, without blocking, until the old one has nothing under way, so that order holds.
    fn shrink_batches(&mut self) -> Result<(), Fault> {
        let Some(live) = self.live.as_ref() else { return Ok(()) };
        if live.batch_bytes_max <= self.batch_bytes_max || !live.producer.is_empty() {
            return Ok(());
        }
        if self.is_exactly_once() {
            // A new producer has to fence, and only the engine may decide that, by what the record says then.
            let message = "a topic takes smaller batches than the producer makes: it is made anew";
            return Err(faults::fault(FaultCode::SinkTransactionAborted, message).about(self.endpoint.as_str()));
        }
        let producer = self.make_producer(live.protection)?;
        let (batch_bytes_max, position_topic) = (self.batch_bytes_max, &self.options.position_topic);
        if let Some(live) = self.live.as_mut() {
            live.producer = producer;
            live.batch_bytes_max = batch_bytes_max;
            live.topics.begin_anew(self.clock.nanos());
            live.planned = None;
            live.position = live.producer.add_topic(position_topic);
        }
        Ok(())
    }

    /// One round with the producer: questions due, events, answers, health.
    fn turn(&mut self, wait: Duration) -> Result<(), Fault> {
        let live = self.live.as_mut().ok_or_else(not_open)?;
        let now = self.clock.nanos();
        for (asker, question, topic) in live.topics.due(now) {
            ask(live.producer.client(), asker, &question, &topic, &self.options.creation);
        }
        if matches!(live.health, Health::Lost { probe_at } if probe_at <= now) {
            live.health = Health::Lost { probe_at: now + ANSWER_NS_MAX };
            let topic = &self.options.position_topic;
            ask(live.producer.client(), OURSELVES, &Ask::Describe, topic, &self.options.creation);
        }
        let until = [live.topics.next_due(), live.health.probe_at()].into_iter().flatten().min();
        let wait = until.map_or(wait, |at| wait.min(Duration::from_nanos(at.saturating_sub(now))));
        live.producer.poll(wait, &mut live.out);
        let now = self.clock.nanos();
        let mut heard = live.out.position.is_some();
        for (asker, answer) in std::mem::take(&mut live.out.answers) {
            heard |= answer.is_of_a_broker();
            match (asker, answer) {
                (OURSELVES, answer) if answer.is_of_a_broker() => live.found(&self.endpoint),
                (OURSELVES, _) => live.health.probe_failed(now),
                (asker, answer) => live.topics.answered(asker, &answer, now)?,
            }
        }
        if let Some((topic, bytes)) = live.out.too_large.take() {
            let known = self.learned.entry(topic).or_insert(u64::MAX);
            *known = (*known).min(bytes.saturating_sub(1));
        }
        if std::mem::take(&mut live.out.acknowledged) > 0 {
            heard = true;
            live.found(&self.endpoint);
        }
        let owes = live.owes_an_answer();
        if live.silence.is_too_long(owes, heard, now) {
            live.producer.client().look_for_brokers(&self.endpoint);
        }
        for said in std::mem::take(&mut live.out.errors) {
            // A connection that broke in the middle of a handshake is no wrong certificate.
            let definite = said.code != Code::SSL || said.text.contains("verif");
            if let Some(fault) = faults::of_client(&self.endpoint, &said).filter(|_| definite) {
                live.out.broken.get_or_insert(fault);
            } else if said.code == Code::ALL_BROKERS_DOWN {
                live.lost(&self.endpoint, now);
            } else {
                live.last_error = Some(said);
            }
        }
        Ok(())
    }
}

/// What going through a batch brought.
struct Looked {
    targets: Vec<Target>,
    refused: Vec<(u32, Fault)>,
}

fn not_open() -> Fault {
    faults::fault(FaultCode::SinkWriteFailed, "the sink was used before it was opened")
}

impl Live {
    fn has_failed(&self) -> bool {
        self.out.broken.is_some() || self.out.fatal.is_some()
    }

    /// Why the producer cannot go on. What librdkafka gave up for comes first: the records refused follow from it.
    fn failure(&mut self, endpoint: &str) -> Option<Fault> {
        let of_fatal = match self.producer.is_transactional() {
            true => faults::of_transaction,
            false => faults::of_fatal,
        };
        let fatal = self.out.fatal.take().map(|said| of_fatal(endpoint, said));
        fatal.or_else(|| self.out.broken.take())
    }

    /// Whether something waits for a broker.
    fn owes_an_answer(&self) -> bool {
        let asked = self.topics.next_due().is_some() || self.saving.is_some();
        asked || !self.producer.is_empty() || self.health != Health::Good
    }

    fn found(&mut self, endpoint: &str) {
        if self.health != Health::Good {
            self.health = Health::Good;
            self.out.events.push(SinkEvent::Health { endpoint: endpoint.to_owned(), healthy: true });
        }
    }

    fn lost(&mut self, endpoint: &str, now: u64) {
        if self.health == Health::Good {
            self.health = Health::lost(now);
            self.out.events.push(SinkEvent::Health { endpoint: endpoint.to_owned(), healthy: false });
        }
    }
}

impl Sink for KafkaSink {
    fn open(&mut self) -> Result<(), Fault> {
        // What an earlier attempt had under way is handed in again by the engine.
        self.live = None;
        let mut failed = None;
        for protection in settings::protections(self.options.tls.mode) {
            match self.connect(*protection) {
                Ok(live) => {
                    self.live = Some(live);
                    return Ok(());
                }
                Err(fault) => match fault.code() {
                    // `preferred`: it may be a plain port. The first reason is kept: it is about what was preferred.
                    FaultCode::SinkTlsFailed | FaultCode::SinkUnreachable => failed = failed.or(Some(fault)),
                    _ => return Err(fault),
                },
            }
        }
        Err(failed.expect("each mode of TLS tries something"))
    }

    fn refusals(&mut self, batch: &EncodedBatch) -> Result<Option<Vec<(u32, Fault)>>, Fault> {
        let Some(Looked { targets, refused }) = self.look(batch)? else { return Ok(None) };
        let live = self.live.as_mut().ok_or_else(not_open)?;
        live.planned = Some((batch.batch.seq, targets));
        Ok(Some(refused))
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        let live = self.live.as_mut().ok_or_else(not_open)?;
        let held = live.producer.bytes();
        // What is larger than the bound passes alone.
        let fits = held == 0 || held + batch.bytes.len() as u64 <= HELD_BYTES_MAX;
        // Until its commit is through, a transaction takes nothing.
        let is_ending = live.saving.is_some() && matches!(live.way, Way::Together);
        if !fits || !live.producer.has_room() || live.has_failed() || is_ending {
            return Ok(Accepted::Full(batch));
        }
        let targets = match live.planned.take_if(|(seq, _)| *seq == batch.batch.seq) {
            Some((_, targets)) => targets,
            // Nobody asked, or the producer is another since.
            None => match self.look(&batch)? {
                Some(looked) => looked.targets,
                None => return Ok(Accepted::Full(batch)),
            },
        };
        let live = self.live.as_mut().ok_or_else(not_open)?;
        live.producer.begin().map_err(|said| faults::of_transaction(&self.endpoint, said))?;
        live.producer.take(batch, targets, &mut live.out);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        self.shrink_batches()?;
        let has_news = self.live.as_ref().is_some_and(|live| !live.out.events.is_empty() || live.has_failed());
        self.turn(if has_news { Duration::ZERO } else { wait })?;
        let saved = self.save_on();
        let live = self.live.as_mut().ok_or_else(not_open)?;
        if let Err(fault) = saved {
            live.out.broken.get_or_insert(fault);
        }
        // What was still delivered is told before the failure.
        if live.out.events.is_empty()
            && let Some(fault) = live.failure(&self.endpoint)
        {
            self.live = None;
            return Err(fault);
        }
        events.append(&mut live.out.events);
        Ok(())
    }

    fn keeping(&self) -> Keeping {
        match self.options.delivery {
            Delivery::AtLeastOnce => Keeping::Beside,
            Delivery::ExactlyOnce => Keeping::Together {
                every: self.options.commit_interval,
                takes_max: Duration::from_millis(COMMIT_MS_MAX as u64),
            },
        }
    }

    fn fence(&mut self) -> Result<Fenced, Fault> {
        self.take_over()
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let live = self.live.as_ref().ok_or_else(not_open)?;
        let settings = settings::reader(&self.options, self.pipeline.as_str(), live.protection);
        let (topic, key) = (&self.options.position_topic, self.pipeline.as_str().as_bytes());
        // Before fencing, a transaction of an instance that died may stand open for a minute.
        let reach = if live.is_fenced { Reach::Whole } else { Reach::Settled };
        read_latest(&settings, &self.endpoint, topic, key, reach, (&self.clock, LOAD_NS_MAX)).map_err(|fault| {
            match fault {
                ReadFault::Client(fault) => fault,
                ReadFault::TimedOut(said) => faults::unreachable(&self.endpoint, said),
                ReadFault::Refused(said) => position::unreadable(topic, said),
            }
        })
    }

    fn save_record(&mut self, record: &[u8]) -> Result<(), Fault> {
        self.begin_saving(record)
    }

    fn refresh(&mut self) {
        self.learned.clear();
        let now = self.clock.nanos();
        if let Some(live) = &mut self.live {
            live.topics.refresh(now);
            live.planned = None;
        }
    }

    fn held_bytes(&self) -> (u64, u64) {
        (self.live.as_ref().map_or(0, |live| live.producer.bytes()), HELD_BYTES_MAX)
    }

    fn endpoint(&self) -> String {
        self.endpoint.clone()
    }
}

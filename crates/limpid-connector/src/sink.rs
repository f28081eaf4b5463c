//! What a sink is: something that takes encoded batches whole and says when they are durable.
//!
//! Owns: the trait. Does not own: the window and the checkpoint (`limpid-engine`).
//!
//! Invariant: "accepted" is never "durable"; a batch comes back as durable only once every record of it is (in a
//! transaction: once that is committed), and batches with records may come back in any order.

use std::time::Duration;

use limpid_model::{Fault, TableName};

use limpid_codec::EncodedBatch;

/// What became of a batch handed to [`Sink::write`].
#[derive(Debug)]
pub enum Accepted {
    /// The sink holds it and will report it.
    Taken,
    /// The sink is full: poll it, then hand the same batch in again.
    Full(Box<EncodedBatch>),
}

/// What polling a sink brought.
#[derive(Debug)]
pub enum SinkEvent {
    /// Every record of the batch is durable. `delivered` counts its records by table index, partition and number.
    Durable { batch: Box<EncodedBatch>, delivered: Vec<Delivered> },
    /// With [`Keeping::Together`]: every record of the batch has arrived, and `Durable` follows once the record is saved,
    /// with a receipt in the place of the batch, which comes back now. A sink may leave this out and keep the batch, which then
    /// counts as in flight until its record is saved.
    Arrived { batch: Box<EncodedBatch>, receipt_bytes: u64 },
    /// Nothing of this table can be delivered any more, whatever is tried. The sink drops its records and goes on with
    /// the others.
    TableFault { table: TableName, fault: Fault },
    /// The sink lost its peer, or found it again.
    Health { endpoint: String, healthy: bool },
    /// The record of the last [`Sink::save_record`] is durable, and with [`Keeping::Together`] everything handed in
    /// before it, which was reported first.
    RecordSaved,
}

/// Where a sink keeps the position record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Nowhere: the local state alone counts.
    Nowhere,
    /// With the data, but by itself: only for what is durable already.
    Beside,
    /// In one transaction with the rows: whatever was handed in becomes durable when the record is saved, and is seen
    /// by nobody before. A record is due at least `every` so often while rows move, and is saved or given up within
    /// `takes_max`.
    Together { every: Duration, takes_max: Duration },
}

/// Whether earlier instances of the same pipeline are shut out.
#[derive(Debug)]
pub enum Fenced {
    /// They are, or there is nothing that two could both write.
    Shut,
    /// A right to do so is missing, which the fault names.
    Open(Fault),
}

/// Records delivered to one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Index into the batch's tables.
    pub table: u16,
    /// The partition; -1 where the sink has none.
    pub partition: i32,
    /// First and last offset; -1 where the sink has none.
    pub offsets: (i64, i64),
    pub records: u32,
}

/// One system to write to. Used by one thread.
pub trait Sink: Send {
    /// Connects and checks what can be checked before the first record.
    ///
    /// # Errors
    /// A fault with the sink's own code; transient ones may be tried again.
    fn open(&mut self) -> Result<(), Fault>;

    /// The rows of a batch (indices into its rows, in their order) that it would never get into its system; `None` when
    /// that is not known yet: poll it, then ask again. Asked once before each batch is handed in, which is then done
    /// without the records of these rows. Does not block.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn refusals(&mut self, _batch: &EncodedBatch) -> Result<Option<Vec<(u32, Fault)>>, Fault> {
        Ok(Some(Vec::new()))
    }

    /// Hands in a batch. Does not block.
    ///
    /// # Errors
    /// The sink is broken; everything not reported durable must be handed in again after a restart.
    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault>;

    /// Works off what the sink has to say, waiting at most `wait` for the first of it.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault>;

    /// Where it keeps the position record. The same for the sink's whole life.
    fn keeping(&self) -> Keeping {
        Keeping::Nowhere
    }

    /// Shuts out earlier instances of this pipeline: whatever they had under way is undone, and what they try from now
    /// on fails with `FENCED`. Once after each [`Sink::open`], before the first batch. May block for a bounded time.
    ///
    /// # Errors
    /// As [`Sink::open`].
    fn fence(&mut self) -> Result<Fenced, Fault> {
        Ok(Fenced::Shut)
    }

    /// The position record kept with the data, if this sink keeps one and has it: its wire form. After
    /// [`Sink::fence`] the newest there can be. May block for a bounded time.
    ///
    /// # Errors
    /// As [`Sink::open`].
    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault>;

    /// Begins to keep the record with the data; [`SinkEvent::RecordSaved`] says when it is durable. One at a time, and
    /// after [`Sink::fence`]. Does not block. Until then [`Sink::write`] may take nothing. Not called on a sink that
    /// keeps it nowhere.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn save_record(&mut self, record: &[u8]) -> Result<(), Fault>;

    /// What it knows of the limits of its system is asked for anew before it takes another batch: an operator may
    /// have changed them.
    fn refresh(&mut self) {}

    /// Bytes held and not yet durable, and the bound on them.
    fn held_bytes(&self) -> (u64, u64);

    /// Where it writes to, without credentials.
    fn endpoint(&self) -> String;
}

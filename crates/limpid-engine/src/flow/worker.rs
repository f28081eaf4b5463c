//! A worker thread: decode, transform, encode.
//!
//! Owns: one encoder, and what its transforms resolved. Does not own: order, which delivery restores.
//!
//! Invariant: a batch goes out once for each that came in, whatever its rows held.

use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};
use limpid_connector::{Decode, DecodeTally, Encode, EncodeTally, Transform, TransformTally};
use limpid_model::Fault;

use super::{Made, Raw, Shared};
use crate::failpoint::{Point, pass};
use crate::ledger;
use crate::stages::State;

pub(super) fn run(
    (raw, out): (&Receiver<Raw>, &Sender<Made>),
    number: usize,
    decoder: &dyn Decode,
    mut transform: Option<Box<dyn Transform>>,
    mut encoder: Option<Box<dyn Encode>>,
    shared: &Shared,
) -> Result<(), Fault> {
    let account = &shared.stages.filter[number];
    for Raw { mut encoded, events, taken, mark } in raw {
        account.enter(State::Busy, shared.clock.nanos());
        if shared.abort.is_raised() {
            return Ok(());
        }
        shared.waiting.0.store(raw.len(), Ordering::Relaxed);
        let mut decoded = DecodeTally::default();
        // What was read from a table has its rows already.
        if mark.is_none() {
            decoder.decode(&mut encoded.batch, &mut decoded)?;
        }
        pass(Point::AfterDecode);
        encoded.batch.times.decoded = shared.clock.nanos();
        // Before anybody else lays hands on them.
        let read = ledger::rows_read(&encoded.batch);
        shared.book.read(&encoded.batch, &read);
        let mut transformed = TransformTally::default();
        encoded.batch.times.transformed = match &mut transform {
            Some(transform) => {
                transform.transform(&mut encoded.batch, &mut transformed);
                shared.clock.nanos()
            }
            None => encoded.batch.times.decoded,
        };
        let mut encoding = EncodeTally::default();
        if let Some(encoder) = &mut encoder {
            encoder.encode(&mut encoded, shared.clock.wall_micros(), &mut encoding);
        }
        pass(Point::AfterEncode);
        encoded.batch.times.encoded = shared.clock.nanos();
        shared.observer.made(&encoded, &transformed);
        account.enter(State::Blocked, shared.clock.nanos());
        if out.send(Made { encoded, events, decoded, transformed, encoding, taken, mark, read }).is_err() {
            return Ok(());
        }
        account.enter(State::Idle, shared.clock.nanos());
    }
    Ok(())
}

//! An encoder whose records carry the ids of their traces.
//!
//! Owns: the header's name. Does not own: which records have one (`limpid-telemetry`), records (`limpid-codec`).
//!
//! Invariant: as the encoder within, and one more header on some records; a batch of which nothing is sampled pays one decision a
//! transaction.

use limpid_codec::{Encode, EncodeTally, EncodedBatch, JsonText};
use limpid_telemetry::trace::Stamp;

use crate::turns;

const NAME: &[u8] = b"traceparent";

pub struct Stamped {
    pub inner: Box<dyn Encode>,
    pub stamp: Stamp,
}

impl Encode for Stamped {
    fn encode(&mut self, out: &mut EncodedBatch, now_micros: i64, tally: &mut EncodeTally) {
        self.inner.encode(out, now_micros, tally);
        if turns::tells(out.batch.seq) && self.stamp.begin_batch(&out.batch) {
            out.add_header(NAME, |batch, txn| self.stamp.of(batch, txn));
        }
    }

    fn json_text(&self) -> JsonText {
        self.inner.json_text()
    }
}

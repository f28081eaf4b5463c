//! Whether a chunk of a table's rows may pass behind what the stream has yielded, and standing still at its fence.
//!
//! Owns: the comparison of places and definitions. Does not own: reading chunks (`copy`), dropping rows (the engine).
//!
//! Invariant: a chunk passes only where the stream has yielded everything up to its fence, and knows the table as the
//! chunk's rows were decoded.

use std::sync::Arc;

use limpid_connector::{Admission, Chunk};
use limpid_model::{Column, LogicalType, TableSchema};

use super::MySqlStream;
use crate::assemble::Assembler;
use crate::catalogue::may_be_one;
use crate::copy::Proof;
use crate::ddl::NativeType;
use crate::history::{ColumnDefinition, TableDefinition};
use crate::position::{LogPosition, log_number};

impl MySqlStream {
    pub(super) fn weigh(&mut self, chunk: &mut Chunk) -> Admission {
        let Some(proof) = chunk.proof.downcast_ref::<Proof>() else {
            return Admission::Stale("it was not read from this source");
        };
        let Some(fence) = chunk.fence.downcast::<LogPosition>() else {
            return Admission::Stale("its fence is no place in this source's log");
        };
        if fence.gtids.is_none() && proof.server != self.server {
            return Admission::Stale("it was read from another server than the stream's");
        }
        if !self.assembler.has_passed(fence) || self.assembler.has_news() {
            return Admission::NotYet;
        }
        if let Some((before, prepared)) = &proof.prepared
            && prepared.iter().any(|xid| self.assembler.held.course.is_unclear(xid, before, fence))
        {
            return Admission::Stale("an XA transaction was being committed when it was read");
        }
        // What lay between may have been no transaction.
        self.assembler.schemas.reached(&self.assembler.position());
        let Some(definition) = self.assembler.schemas.definition(&chunk.table) else {
            return Admission::Stale("the table is not known at this place of the log");
        };
        if !is_same(&definition, &proof.definition) {
            return Admission::Stale("the table is defined otherwise at this place of the log");
        }
        let Some(captured) = self.assembler.current(&chunk.table) else {
            return Admission::Stale("the table halted");
        };
        for batch in &mut chunk.batches {
            let fits = batch.tables.first().is_some_and(|schema| is_same_shape(schema, &captured.schema));
            if !fits {
                return Admission::Stale("the log describes the table otherwise than the catalogue");
            }
            batch.tables[0] = Arc::clone(&captured.schema);
            batch.layouts[0] = Arc::clone(&captured.layout);
        }
        Admission::Admitted
    }
}

impl Assembler {
    /// True once everything before `fence` is settled, whether or not events of ours were there.
    pub fn has_passed(&self, fence: &LogPosition) -> bool {
        if let Some(wanted) = &fence.gtids {
            return self.position().gtids.is_some_and(|settled| wanted.is_subset(&settled));
        }
        let passed = |(file, offset): (&str, u64)| {
            let place = log_number(file).map(|number| (number, offset));
            place.is_some() && place >= log_number(&fence.file).map(|number| (number, fence.offset))
        };
        log_number(&fence.file).is_some() && self.settled_places().into_iter().flatten().any(passed)
    }
}

/// True where both read and identify rows alike.
fn is_same(ours: &TableDefinition, theirs: &TableDefinition) -> bool {
    let columns = |table: &TableDefinition| table.columns.len();
    columns(ours) == columns(theirs)
        && ours.columns.iter().zip(&theirs.columns).all(|(ours, theirs)| is_same_column(ours, theirs))
        && ours.row_key() == theirs.row_key()
        && ours.versioning == theirs.versioning
}

fn is_same_column(ours: &ColumnDefinition, theirs: &ColumnDefinition) -> bool {
    ours.hidden_for.is_some() && theirs.hidden_for.is_some()
        || ours.name == theirs.name
            && ours.charset == theirs.charset
            && ours.nullable == theirs.nullable
            && is_same_type(&ours.native, &theirs.native)
}

fn is_same_type(ours: &NativeType, theirs: &NativeType) -> bool {
    match (ours, theirs) {
        (NativeType::Enum { members: ours }, NativeType::Enum { members: theirs })
        | (NativeType::Set { members: ours }, NativeType::Set { members: theirs }) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| may_be_one(ours, theirs))
        }
        _ => ours == theirs,
    }
}

/// True where cells of the one are cells of the other.
fn is_same_shape(ours: &TableSchema, theirs: &TableSchema) -> bool {
    let same = |(ours, theirs): (&Column, &Column)| {
        let members = |logical: &LogicalType| match logical {
            LogicalType::Enum { members } | LogicalType::Set { members } => Some(members.len()),
            _ => None,
        };
        let same_type = match (members(&ours.logical), members(&theirs.logical)) {
            (None, None) => ours.logical == theirs.logical,
            (ours, theirs) => ours == theirs,
        };
        ours.name == theirs.name && same_type
    };
    ours.columns.len() == theirs.columns.len()
        && ours.columns.iter().zip(&theirs.columns).all(same)
        && ours.key == theirs.key
}

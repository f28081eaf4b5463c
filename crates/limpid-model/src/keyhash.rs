//! The hash by which the ring and the traces know a row's key.
//!
//! Owns: the canonical bytes of a key and their hash. Does not own: partitioning (a sink's own hash of the encoded
//! key).
//!
//! Invariant: the hash depends on the logical values and the table's name alone, so that a key typed by a user, read
//! by a snapshot or decoded from a log gives the same number. XXH3-64, seeded by the table.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::batch::Batch;
use crate::cell::{Cell, CellKind, Place};
use crate::schema::{TableName, TableSchema};

/// The seed of a table: a hash of its qualified name.
pub fn key_seed(name: &TableName) -> u64 {
    xxh3_64(format!("{}\0{}", name.schema, name.table).as_bytes())
}

/// The hash of the key in one row image; of all its columns where the table has no key.
#[inline]
pub fn key_hash(batch: &Batch, schema: &TableSchema, image: &[Cell]) -> u64 {
    seeded(batch, schema, image, schema.key_seed)
}

/// Makes the two halves of a digest differ; any number would do.
const SECOND_HALF: u64 = 0x9e37_79b9_7f4a_7c15;

/// 128 bits that tell keys apart where taking two for one would lose a row: the key's hash and a second one.
pub fn key_digest(batch: &Batch, schema: &TableSchema, image: &[Cell]) -> u128 {
    let first = seeded(batch, schema, image, schema.key_seed);
    let second = seeded(batch, schema, image, schema.key_seed ^ SECOND_HALF);
    u128::from(first) << 64 | u128::from(second)
}

/// The same for a key that is bytes: a record's.
pub fn bytes_digest(schema: &TableSchema, key: &[u8]) -> u128 {
    let first = xxh3_64_with_seed(key, schema.key_seed);
    u128::from(first) << 64 | u128::from(xxh3_64_with_seed(key, schema.key_seed ^ SECOND_HALF))
}

#[inline]
fn seeded(batch: &Batch, schema: &TableSchema, image: &[Cell], seed: u64) -> u64 {
    if let [only] = *schema.key {
        return one(batch, image[only as usize], seed);
    }
    if schema.key.is_empty() {
        return image.iter().fold(seed, |seed, cell| one(batch, *cell, seed));
    }
    schema.key.iter().fold(seed, |seed, index| one(batch, image[*index as usize], seed))
}

/// The hash of one value: equal for equal values of a column, whatever they are.
#[inline]
pub fn cell_hash(batch: &Batch, cell: Cell) -> u64 {
    one(batch, cell, 0)
}

#[inline]
fn one(batch: &Batch, cell: Cell, seed: u64) -> u64 {
    match cell.place() {
        Place::Inline if cell.kind() == CellKind::Decimal => decimal(cell.as_i64(), cell.scale(), seed),
        Place::Inline => xxh3_64_with_seed(&cell.bits().to_le_bytes(), seed),
        Place::Raw | Place::Arena => xxh3_64_with_seed(batch.bytes(cell), seed),
        Place::Null | Place::Absent | Place::Unchanged => xxh3_64_with_seed(&[cell.place() as u8], seed),
    }
}

fn decimal(unscaled: i64, scale: u16, seed: u64) -> u64 {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&unscaled.to_le_bytes());
    bytes[8..].copy_from_slice(&scale.to_le_bytes());
    xxh3_64_with_seed(&bytes, seed)
}

//! The form of a line.
//!
//! Owns: how a record becomes one JSON object on one line. Does not own: where lines go.
//!
//! Invariant: every record is exactly one line of valid JSON, whatever bytes it has, and nothing of it is lost.
//!
//! Form: `{"topic":T,"key":K,"value":V,"headers":{"name":H,...}}`, ended by `\n`. `T` is a string, or null where records
//! have no destination. `K`, `V` and `H` are
//! - null where the record has null (a tombstone's value);
//! - the JSON text itself where the bytes are one: numbers keep their digits, objects their order and their spaces;
//!   only a line break between tokens becomes a space;
//! - `{"$base64":"..."}` for all other bytes (Avro, plain text, nothing at all).
//!
//! Headers stand in their order, under their name with invalid UTF-8 replaced; one that is there twice stands there
//! twice.

use std::io;

use limpid_connector::{EncodedBatch, RecordSpan};
use serde::de::IgnoredAny;

/// So many bytes are gathered before they are written: a system call costs less than copying this much, and the buffer
/// stays small beside the batch itself.
const CHUNK_BYTES: usize = 256 << 10;

/// Makes the lines of a batch in `buffer` and hands them on in chunks of whole lines.
pub(crate) fn write_lines(
    batch: &EncodedBatch,
    buffer: &mut Vec<u8>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    buffer.clear();
    for record in &batch.records {
        put_line(batch, record, buffer);
        if buffer.len() >= CHUNK_BYTES {
            write(buffer)?;
            buffer.clear();
        }
    }
    if !buffer.is_empty() {
        write(buffer)?;
    }
    buffer.clear();
    // One huge row must not keep its room for ever.
    buffer.shrink_to(2 * CHUNK_BYTES);
    Ok(())
}

/// What every line begins with: half a line is known by it.
pub(crate) const LINE_START: &[u8] = b"{\"topic\":";

fn put_line(batch: &EncodedBatch, record: &RecordSpan, out: &mut Vec<u8>) {
    out.extend_from_slice(LINE_START);
    match batch.topics.get(usize::from(record.table)).and_then(Option::as_deref) {
        Some(topic) => put_string(topic, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"key\":");
    put_json(batch.get(record.key), out);
    out.extend_from_slice(b",\"value\":");
    put_json(batch.get(record.value), out);
    out.extend_from_slice(b",\"headers\":{");
    let (first, count) = (record.headers.0 as usize, usize::from(record.headers.1));
    for (index, (name, value)) in batch.headers.iter().skip(first).take(count).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_string(&String::from_utf8_lossy(batch.get(*name).unwrap_or_default()), out);
        out.push(b':');
        put_json(batch.get(*value), out);
    }
    out.extend_from_slice(b"}}\n");
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string has a JSON form and a vector takes it");
}

fn put_json(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(b"null") };
    if !is_json(bytes) {
        out.extend_from_slice(b"{\"$base64\":\"");
        put_base64(bytes, out);
        out.extend_from_slice(b"\"}");
        return;
    }
    let start = out.len();
    out.extend_from_slice(bytes);
    // In valid JSON a raw line break can only stand between tokens.
    for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

fn is_json(bytes: &[u8]) -> bool {
    // Reading to the end without a value to build does not look into strings, so UTF-8 is checked apart.
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= chunk.len() { DIGITS[value] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests;

//! MySQL's binary JSON as text, and its partial updates.
//!
//! Owns: what the two text forms are, the two entry points. Does not own: where the bytes lie in a row (`rows::image`),
//! the binary layout (`jsonb::document`), JSON text of other columns.
//!
//! Invariant: whatever the bytes, a call either appends valid UTF-8 and returns `Some`, or leaves `out` as it was; its
//! time, its memory and what it appends are linear in the length of its input (for `apply_differences`, see there).
//!
//! Sources: `json_binary.h`, `json_dom.cc` (`wrapper_to_string`), `json_diff.cc` and `dtoa.cc` (`my_gcvt`) of the MySQL
//! server; `JsonBinary` and `JsonStringFormatter` of `mysql-binlog-connector-java` 0.40.6, which Debezium 3.5 uses.
//! What real ones print is in `jsonb/fixtures`, made by `jsonb/record.py`.
//!
//! # Why hostile bytes cannot make the output explode
//!
//! Offsets point forward inside their container, so there are no cycles, but two entries may name the same bytes, and a
//! hundred levels of that would be exponential. No server writes such a thing: each value has its own bytes. So a
//! [`document::Budget`] of the input's length is charged with every value's own bytes (a container's header and
//! entries, a key, a number behind an offset, a text with its length), once for each time it is reached. Honest
//! documents never exceed it; others fail when they do. An entry takes at least 3 bytes, so at most `len / 3 + 1` values
//! are ever reached, and `n` own bytes print as at most `6 n + 16` (escapes), or 1,077 for the 8 of a double in
//! Debezium's form: all in all less than `150 * len + 16`.
//!
//! # Where the Debezium form leaves Debezium
//!
//! Its reader garbles three kinds of value, found by the fixtures; a number that changed or text that is no JSON helps
//! nobody, so these print as they should have:
//! - unsigned integers of four bytes: from 2^31 on they come out negative, and inside a container above 64 KB as nothing
//!   at all (`{"u":}`);
//! - negative times: `-01:30:00` becomes `02:0-30:00`;
//! - minutes of datetimes whose 16th bit of `year * 13 + month` is set (years 2520 to 5041 and 7562 on): `08:0-5:10`.

mod difference;
mod document;
mod number;
mod opaque;
mod path;
mod retext;
mod text;

use limpid_connector::JsonText;

use document::{Budget, Value};
use text::{Debezium, Form, Server, Writer};

/// Containers may be nested so deep: the server's `JSON_DOCUMENT_MAX_DEPTH`. It also bounds our recursion.
const DEPTH_MAX: usize = 100;

/// Appends the text of a binary JSON value. No bytes at all are `null`, as the server has it: it stores them where an
/// ALTER made a NULL column NOT NULL. `None` for what no server writes; `out` is then as before.
pub fn write_text(data: &[u8], form: JsonText, out: &mut Vec<u8>) -> Option<()> {
    match form {
        JsonText::Server => whole(out, |out| write::<Server>(data, out)),
        JsonText::Debezium => whole(out, |out| write::<Debezium>(data, out)),
    }
}

fn write<F: Form>(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut budget = Budget::of(data.len());
    let root = Value::root(data, &mut budget)?;
    Writer::<F>::new(out, budget).value(root, 0)
}

/// Appends the text of what partial updates (WL#2955: `binlog_row_value_options=PARTIAL_JSON`) make of the binary value
/// `before`. `diffs` is the whole vector without the four bytes of its length. `None` where the server would refuse
/// them: it applies them exactly as logged, without wrapping scalars in arrays.
///
/// Each difference moves at most one array's entries by one place, as it does on the server, so time is bounded by
/// input times number of differences; memory and output are linear.
pub fn apply_differences(before: &[u8], diffs: &[u8], form: JsonText, out: &mut Vec<u8>) -> Option<()> {
    match form {
        JsonText::Server => whole(out, |out| difference::apply::<Server>(before, diffs, out)),
        JsonText::Debezium => whole(out, |out| difference::apply::<Debezium>(before, diffs, out)),
    }
}

/// Appends Debezium's form of a document of which only the server's text is known. A date, a time or bytes inside it
/// are strings to us; a decimal is told from a double by digits that no double has.
pub fn debezium_of_server(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    whole(out, |out| retext::write(text, out))
}

/// Keeps what `write` appended only if all of it came about and is UTF-8. The server refuses other text in JSON, so a
/// byte that is none means that this is no binary JSON.
fn whole(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let start = out.len();
    let written = write(out).filter(|()| std::str::from_utf8(&out[start..]).is_ok());
    if written.is_none() {
        out.truncate(start);
    }
    written
}

#[cfg(test)]
mod tests;

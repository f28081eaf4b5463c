//! Binary JSON to text.
//!
//! Owns: the walk, what the two forms put between values, strings and their escapes. Does not own: the binary layout
//! (`jsonb::document`), the text of doubles (`jsonb::number`) and of other SQL types (`jsonb::opaque`).
//!
//! Invariant: recursion ends at `DEPTH_MAX` containers; nothing is allocated but `out`'s own growth.

use std::marker::PhantomData;

use super::DEPTH_MAX;
use super::document::{Budget, Container, Value};
use super::{number, opaque};

/// How a text form differs from the other.
pub(super) trait Form {
    /// Between two entries.
    const COMMA: &'static [u8];
    /// Behind a key: its closing quote and what divides it from its value.
    const COLON: &'static [u8];
    /// Digits of `\u00XX`.
    const HEX: &'static [u8; 16];
    fn double(value: f64, out: &mut Vec<u8>);
    /// The part of a time below a second, with its point.
    fn micros(micros: u32, out: &mut Vec<u8>);
    /// A value of an SQL type that JSON has no form for, between quotes.
    fn bytes(kind: u8, data: &[u8], out: &mut Vec<u8>);
}

/// As the server prints it.
pub(super) struct Server;

impl Form for Server {
    const COMMA: &'static [u8] = b", ";
    const COLON: &'static [u8] = b"\": ";
    const HEX: &'static [u8; 16] = b"0123456789abcdef";

    fn double(value: f64, out: &mut Vec<u8>) {
        number::double_as_server(value, out);
    }

    fn micros(micros: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&opaque::fraction(micros));
    }

    fn bytes(kind: u8, data: &[u8], out: &mut Vec<u8>) {
        // Servers from about 8.0.20 on, but not 8.0.15, treat this type as text in their own output.
        if kind == opaque::VAR_STRING && std::str::from_utf8(data).is_ok() {
            escaped::<Self>(data, out);
            return;
        }
        out.extend_from_slice(b"base64:type");
        out.extend_from_slice(itoa::Buffer::new().format(kind).as_bytes());
        out.push(b':');
        // The server's encoder breaks lines of 76 characters; within JSON a line end is an escape.
        for (index, line) in data.chunks(57).enumerate() {
            if index > 0 {
                out.extend_from_slice(b"\\n");
            }
            opaque::base64(line, out);
        }
    }
}

/// As Debezium prints it.
pub(super) struct Debezium;

impl Form for Debezium {
    const COMMA: &'static [u8] = b",";
    const COLON: &'static [u8] = b"\":";
    const HEX: &'static [u8; 16] = b"0123456789ABCDEF";

    fn double(value: f64, out: &mut Vec<u8>) {
        number::double_as_debezium(value, out);
    }

    fn micros(micros: u32, out: &mut Vec<u8>) {
        if micros > 0 {
            let text = opaque::fraction(micros);
            let zeros = text.iter().rev().take_while(|digit| **digit == b'0').count();
            out.extend_from_slice(&text[..text.len() - zeros]);
        }
    }

    fn bytes(_: u8, data: &[u8], out: &mut Vec<u8>) {
        opaque::base64(data, out);
    }
}

/// Appends values in one form.
pub(super) struct Writer<'o, F> {
    out: &'o mut Vec<u8>,
    budget: Budget,
    form: PhantomData<F>,
}

impl<'o, F: Form> Writer<'o, F> {
    pub(super) fn new(out: &'o mut Vec<u8>, budget: Budget) -> Self {
        Self { out, budget, form: PhantomData }
    }

    /// A value that stands inside `depth` containers, and all below it.
    pub(super) fn value(&mut self, value: Value<'_>, depth: usize) -> Option<()> {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Int(value) => self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            Value::Uint(value) => self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            // JSON has no such thing and the server refuses it.
            Value::Double(value) if !value.is_finite() => return None,
            Value::Double(value) => F::double(value, self.out),
            Value::Text(text) => {
                self.out.push(b'"');
                escaped::<F>(text, self.out);
                self.out.push(b'"');
            }
            Value::Opaque { kind, data } => opaque::write::<F>(kind, data, self.out)?,
            Value::Array(array) => self.stored_array(&array, depth)?,
            Value::Object(object) => self.stored_object(&object, depth)?,
        }
        Some(())
    }

    fn stored_array(&mut self, array: &Container<'_>, depth: usize) -> Option<()> {
        self.between(b'[', array.count(), b']', depth, |writer, index| {
            let value = array.value(index, &mut writer.budget)?;
            writer.value(value, depth + 1)
        })
    }

    fn stored_object(&mut self, object: &Container<'_>, depth: usize) -> Option<()> {
        self.between(b'{', object.count(), b'}', depth, |writer, index| {
            let key = object.key(index, &mut writer.budget)?;
            writer.key(key);
            let value = object.value(index, &mut writer.budget)?;
            writer.value(value, depth + 1)
        })
    }

    /// A container: `entry` writes one entry.
    #[inline]
    pub(super) fn between(
        &mut self,
        open: u8,
        count: usize,
        close: u8,
        depth: usize,
        mut entry: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        if depth >= DEPTH_MAX {
            return None;
        }
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                self.out.extend_from_slice(F::COMMA);
            }
            entry(self, index)?;
        }
        self.out.push(close);
        Some(())
    }

    #[inline]
    pub(super) fn key(&mut self, key: &[u8]) {
        self.out.push(b'"');
        escaped::<F>(key, self.out);
        self.out.extend_from_slice(F::COLON);
    }
}

/// What stands behind the backslash for each byte; 0 where none is needed, `u` for `\u00XX`. Both forms agree.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Appends a string's inside.
#[inline]
fn escaped<F: Form>(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let plain = plain_len(rest);
        let (run, special) = rest.split_at(plain);
        out.extend_from_slice(run);
        let Some((byte, behind)) = special.split_first() else { return };
        match ESCAPES[*byte as usize] {
            b'u' => {
                let digits = [F::HEX[(byte >> 4) as usize], F::HEX[(byte & 0xf) as usize]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        rest = behind;
    }
}

/// How many bytes go by until one needs an escape. Eight at a time: nearly all text is plain.
#[inline]
fn plain_len(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let (words, _) = text.as_chunks::<8>();
    // Not zero if and only if some byte is less than `than`: "Bit Twiddling Hacks", `hasless`.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGHS;
    let quick = words.iter().take_while(|word| {
        let word = u64::from_le_bytes(**word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        less(word, 0x20) | less(quote, 1) | less(backslash, 1) == 0
    });
    let start = quick.count() * 8;
    let slow = text[start..].iter().take_while(|byte| ESCAPES[**byte as usize] == 0);
    start + slow.count()
}

//! JSON as RFC 8259 has it, with places.
//!
//! Owns: a strict reader of 200 lines. A crate that keeps places was not found that also refuses duplicate keys and
//! bounds depth; reading JSON as YAML would accept comments and trailing commas that no other tool then reads.
//! Does not own: bounds (`parse`), meaning (`check`).
//!
//! Invariant: the cursor never passes the end, and every loop moves it.

use super::{Budget, DEPTH_MAX, Lines, refuse_duplicates, syntax_fault, too_deep};
use crate::faults::ConfigFault;
use crate::node::{Entry, Node, Place, Text, Value};

pub(super) fn parse(file: &str, text: &str) -> Result<Node, ConfigFault> {
    let mut reader =
        Reader { bytes: text.as_bytes(), text, at: 0, lines: Lines::new(file, text), budget: Budget::new() };
    let node = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.fault("there is something after the end of the JSON value")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    lines: Lines<'a>,
    budget: Budget,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, ConfigFault> {
        self.space();
        let place = self.place();
        self.budget.spend(0, &place)?;
        let value = match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => return Err(too_deep(&place)),
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::Text(Text::written(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null { word: true })?,
            Some(_) => return Err(self.fault("this is no JSON value")),
            None => return Err(self.fault("the file ends where a JSON value should be")),
        };
        Ok(Node { value, place })
    }

    fn object(&mut self, depth: usize) -> Result<Value, ConfigFault> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key in double quotes should be here"));
            }
            let place = self.place();
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.fault("a colon should follow the key"));
            }
            let node = self.value(depth + 1)?;
            entries.push(Entry { key, place, node });
            self.space();
            if self.take(b'}') {
                refuse_duplicates(&entries)?;
                return Ok(Value::Map(entries));
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or a closing brace should be here"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ConfigFault> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or a closing bracket should be here"));
            }
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ConfigFault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("this is no JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, ConfigFault> {
        let start = self.at;
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        let mut good = digits > 0 && !(leading_zero && digits > 1);
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            good &= self.digits() > 0;
        }
        if self.take(b'e') || self.take(b'E') {
            whole = false;
            let _signed = self.take(b'+') || self.take(b'-');
            good &= self.digits() > 0;
        }
        let text = &self.text[start..self.at];
        let value = match whole {
            true => text.parse().map(Value::Int).ok(),
            false => text.parse().map(Value::Float).ok(),
        };
        value.filter(|_| good).ok_or_else(|| syntax_fault(&self.lines.place(start), "this is no JSON number"))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<String, ConfigFault> {
        let place = self.place();
        self.at += 1;
        let mut text = String::new();
        loop {
            let run = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            // The run ends before an ASCII byte or at the end, so it is whole characters.
            text.push_str(&self.text[run..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.budget.spend(text.len(), &place)?;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.fault("a control character in a text must be escaped")),
                None => return Err(syntax_fault(&place, "this text has no closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ConfigFault> {
        let start = self.at;
        let wrong = |reader: &Self| syntax_fault(&reader.lines.place(start), "this is no JSON escape");
        self.at += 1;
        let Some(letter) = self.peek() else { return Err(wrong(self)) };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex().ok_or_else(|| wrong(self))?;
                let code = match first {
                    0xd800..=0xdbff if self.take(b'\\') && self.take(b'u') => {
                        let second = self.hex().filter(|low| (0xdc00..=0xdfff).contains(low));
                        0x10000 + ((first - 0xd800) << 10) + (second.ok_or_else(|| wrong(self))? - 0xdc00)
                    }
                    _ => first,
                };
                char::from_u32(code).ok_or_else(|| wrong(self))?
            }
            _ => return Err(wrong(self)),
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16)?;
        }
        self.at += 4;
        Some(code)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn place(&self) -> Place {
        self.lines.place(self.at)
    }

    fn fault(&self, message: &str) -> ConfigFault {
        syntax_fault(&self.place(), message)
    }
}

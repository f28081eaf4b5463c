//! The console consumer's output as records.
//!
//! Owns: the separators that it is told to print, and taking them apart again.
//! Does not own: running it (`tools`).
//!
//! Invariant: keys and values may hold any bytes. Separators carry a random word, so no record can contain them by
//! accident or forge them.

use anyhow::{Context, bail};

/// A record as Kafka's own consumer saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition's number.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// Milliseconds since 1970, as the producer or the broker set it; `None` for a record without.
    pub timestamp: Option<i64>,
    /// In their order, repeated names included. A name ends at the first colon.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// `None` for null, `Some` of nothing for an empty key.
    pub key: Option<Vec<u8>>,
    /// `None` for null: a tombstone.
    pub value: Option<Vec<u8>>,
}

/// The separators of one run of the consumer.
pub(crate) struct Format {
    field: String,
    line: String,
    header: String,
    null: String,
}

impl Format {
    pub(crate) fn new() -> anyhow::Result<Format> {
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("read a random UUID")?;
        Ok(Format::with_word(uuid.trim()))
    }

    /// Control characters on both sides keep a separator from running into text that it ends or begins.
    fn with_word(word: &str) -> Format {
        let mark = |kind: char| format!("\u{1e}{kind}{word}\u{1f}");
        Format { field: mark('f'), line: mark('l'), header: mark('h'), null: mark('n') }
    }

    /// For `--property`, one each.
    pub(crate) fn properties(&self) -> Vec<String> {
        let shown =
            ["timestamp", "partition", "offset", "headers", "key", "value"].map(|part| format!("print.{part}=true"));
        let own = [
            format!("key.separator={}", self.field),
            format!("line.separator={}", self.line),
            format!("headers.separator={}", self.header),
            format!("null.literal={}", self.null),
        ];
        shown.into_iter().chain(own).collect()
    }

    pub(crate) fn read(&self, printed: &[u8]) -> anyhow::Result<Vec<Record>> {
        let mut lines = split(printed, self.line.as_bytes());
        match lines.pop() {
            None => Ok(Vec::new()),
            Some(rest) if rest.iter().all(u8::is_ascii_whitespace) => {
                lines.into_iter().map(|line| self.record(line)).collect()
            }
            Some(rest) => {
                bail!("the consumer's output ends in the middle of a record: {}", String::from_utf8_lossy(rest))
            }
        }
    }

    fn record(&self, line: &[u8]) -> anyhow::Result<Record> {
        let fields = split(line, self.field.as_bytes());
        let [timestamp, partition, offset, headers, key, value] = fields.as_slice() else {
            bail!("a record has {} fields, not 6: {}", fields.len(), String::from_utf8_lossy(line));
        };
        let timestamp = match text(timestamp)?.split_once(':') {
            Some((_, number)) => Some(number.parse().context("read a timestamp")?),
            None => None,
        };
        Ok(Record {
            partition: numbered(partition, "Partition:")?.try_into().context("read a partition")?,
            offset: numbered(offset, "Offset:")?,
            timestamp,
            headers: self.headers(headers)?,
            key: self.nullable(key),
            value: self.nullable(value),
        })
    }

    fn headers(&self, field: &[u8]) -> anyhow::Result<Vec<(String, Option<Vec<u8>>)>> {
        if field == b"NO_HEADERS" {
            return Ok(Vec::new());
        }
        let headers = split(field, self.header.as_bytes()).into_iter();
        headers
            .map(|header| {
                let colon = header.iter().position(|&byte| byte == b':').context("find the end of a header's name")?;
                let (name, value) = header.split_at(colon);
                Ok((text(name)?.to_owned(), self.nullable(value.get(1..).unwrap_or_default())))
            })
            .collect()
    }

    fn nullable(&self, field: &[u8]) -> Option<Vec<u8>> {
        (field != self.null.as_bytes()).then(|| field.to_vec())
    }
}

fn text(field: &[u8]) -> anyhow::Result<&str> {
    std::str::from_utf8(field).context("read the consumer's output as UTF-8")
}

fn numbered(field: &[u8], label: &str) -> anyhow::Result<i64> {
    let text = text(field)?;
    text.strip_prefix(label)
        .with_context(|| format!("find {label} in {text}"))?
        .parse()
        .with_context(|| format!("read {text}"))
}

/// Splits at every occurrence of `mark`, like `str::split`, but for bytes.
fn split<'a>(mut bytes: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut from = 0;
    // Marks begin with a byte that is rare in records, so looking for that byte first makes this linear in practice.
    while let Some(step) = bytes.get(from..).and_then(|rest| rest.iter().position(|byte| mark.first() == Some(byte))) {
        let at = from + step;
        if let Some(after) = bytes.get(at..).and_then(|rest| rest.strip_prefix(mark)) {
            parts.push(bytes.get(..at).unwrap_or_default());
            bytes = after;
            from = 0;
        } else {
            from = at + 1;
        }
    }
    parts.push(bytes);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_empty_and_binary_are_told_apart() {
        let format = Format::with_word("w");
        let Format { field, line, header, null } = &format;
        let first = format!(
            "CreateTime:5{field}Partition:2{field}Offset:7{field}a:1{header}b:{null}{header}a:{field}{null}{field}"
        );
        let second = format!("NO_TIMESTAMP{field}Partition:0{field}Offset:8{field}NO_HEADERS{field}k\n\t\u{1e}{field}");
        let printed =
            [first.as_bytes(), line.as_bytes(), second.as_bytes(), &[0, 0xff, 0x1e], line.as_bytes()].concat();
        let read = format.read(&printed).unwrap();
        let headers = vec![("a".into(), Some(b"1".to_vec())), ("b".into(), None), ("a".into(), Some(vec![]))];
        let first = Record { partition: 2, offset: 7, timestamp: Some(5), headers, key: None, value: Some(vec![]) };
        let value = Some(vec![0, 0xff, 0x1e]);
        let second = Record {
            partition: 0,
            offset: 8,
            timestamp: None,
            headers: vec![],
            key: Some(b"k\n\t\x1e".to_vec()),
            value,
        };
        assert_eq!(read, [first, second]);
    }

    #[test]
    fn output_that_breaks_off_is_an_error() {
        let format = Format::with_word("w");
        assert!(format.read(b"CreateTime:5").is_err());
        assert_eq!(format.read(b"").unwrap(), []);
    }
}

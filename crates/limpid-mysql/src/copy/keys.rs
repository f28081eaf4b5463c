//! Keys as texts that survive a restart, and the conditions they become.
//!
//! Owns: the text of a key, its strict reading, SQL that compares in each column's own order. Does not own: which key
//! a table has (`history`), when a range is read (`copy`).
//!
//! Invariant: a text that was read back compares exactly as the value it was made of, or is refused: it names the key
//! it belongs to by a number made of the key's columns, types and collations. No byte of a text reaches the server
//! unless it is a digit, a hex digit or one of a few signs, each only where its type allows.
//!
//! The text is `<number>,<value>[,<value>...]`, the number in eight hex digits. Fewer values than the key has columns
//! stand for the end of all keys that begin with them. A value is a letter and its body: `i` a whole number, `d` a
//! decimal, `f` a double, `t` a date or time as the server prints it, `n` a UUID or an address, `x` bytes in hex (of
//! text, in the column's own character set).

use std::fmt::Write;

use limpid_connector::KeyRange;
use limpid_model::{Component, Fault, FaultCode, TableName, TableSchema};

use crate::catalogue::quoted;
use crate::ddl::NativeType;
use crate::history::{ColumnDefinition, KeyPart, TableDefinition};

/// What a key column's values are compared as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Whole,
    /// A SET of more members than a double has digits for.
    WideSet,
    Decimal,
    Double,
    Clock,
    /// UUIDs and addresses.
    Net,
    Bytes,
    Text {
        charset: String,
        collation: String,
    },
}

/// One column of a key.
#[derive(Clone, Debug)]
pub struct KeyColumn {
    /// Quoted.
    pub name: String,
    pub kind: KeyKind,
    /// Its place among the captured columns.
    pub cell: usize,
    /// A whole number of the server's own integer types: borders may be made up.
    pub is_int: bool,
}

/// The key of a table that is read in its order.
#[derive(Clone, Debug)]
pub struct Key {
    pub columns: Vec<KeyColumn>,
    /// The index to go through, quoted; `None` where none has this order.
    pub index: Option<String>,
    number: u32,
}

/// A key's values as SQL, as far as they are given.
pub type Values = Vec<String>;

/// A range in a form the server can be asked in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlRange {
    pub after: Option<Values>,
    pub until: Option<Values>,
}

impl Key {
    /// The key of a captured table; `None` where it has none or it is not captured whole.
    pub fn of(definition: &TableDefinition, schema: &TableSchema) -> Option<Self> {
        if schema.key.is_empty() {
            return None;
        }
        let columns: Option<Vec<KeyColumn>> = schema.key.iter().map(|cell| column(definition, schema, *cell)).collect();
        let columns = columns?;
        let wanted: Vec<&str> = schema.key.iter().map(|cell| &*schema.columns[*cell as usize].name).collect();
        let index = definition.keys.iter().find(|key| {
            let whole = |part: &KeyPart| matches!(part, KeyPart::Column { prefix: None, .. });
            let names = key.parts.iter().filter_map(|part| match part {
                KeyPart::Column { name, .. } => Some(name.to_lowercase()),
                KeyPart::Expression => None,
            });
            let begins = names.take(wanted.len()).eq(wanted.iter().map(|name| name.to_lowercase()));
            definition.identifying(key).is_some() && begins && !key.hashed && key.parts.iter().all(whole)
        });
        let index = index.map(|key| quoted(&key.name));
        let number = number(&columns);
        Some(Self { columns, index, number })
    }

    /// Writes a key's text; `values` come from [`Key::value`].
    pub fn text(&self, values: &[String]) -> String {
        format!("{:08x},{}", self.number, values.join(","))
    }

    /// Reads both ends of a range.
    ///
    /// # Errors
    /// `POSITION_INVALID` for a text that is none, or that belongs to another key.
    pub fn range(&self, table: &TableName, range: &KeyRange) -> Result<SqlRange, Fault> {
        let end = |text: &Option<String>| match text {
            Some(text) => self.parse(text).map(Some).ok_or_else(|| invalid(table)),
            None => Ok(None),
        };
        Ok(SqlRange { after: end(&range.after)?, until: end(&range.until)? })
    }

    fn parse(&self, text: &str) -> Option<Values> {
        let (number, values) = text.split_once(',')?;
        if number.len() != 8 || number != format!("{:08x}", self.number) {
            return None;
        }
        let values: Vec<&str> = values.split(',').collect();
        if values.len() > self.columns.len() {
            return None;
        }
        values.iter().zip(&self.columns).map(|(value, column)| column.literal(value)).collect()
    }

    /// `ORDER BY`'s list.
    pub fn order(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }

    /// The condition of a range; nothing where it has no ends.
    pub fn condition(&self, range: &SqlRange) -> Vec<String> {
        let ends = [(&range.after, ">", ">", ">="), (&range.until, "<", "<=", "<=")];
        let ends = ends.into_iter().filter_map(|(values, beyond, last, loose)| {
            let values = values.as_ref().filter(|values| !values.is_empty())?;
            Some(self.compare(values, beyond, last, loose))
        });
        ends.collect()
    }

    /// `a >= x AND (a > x OR (a = x AND (b > y OR ...)))`: what stands first is what the index is entered by.
    fn compare(&self, values: &[String], beyond: &str, last: &str, loose: &str) -> String {
        let mut sql = String::new();
        for (column, value) in self.columns.iter().zip(values).rev() {
            let name = column.side();
            sql = if sql.is_empty() {
                format!("{name} {last} {value}")
            } else {
                format!("({name} {beyond} {value} OR ({name} = {value} AND {sql}))")
            };
        }
        match (self.columns.first(), values) {
            (Some(first), [value, _, ..]) => format!("{} {loose} {value} AND {sql}", first.side()),
            _ => sql,
        }
    }
}

impl KeyColumn {
    /// The column as a comparison's left side.
    fn side(&self) -> String {
        match self.kind {
            KeyKind::WideSet => format!("CAST({} AS UNSIGNED)", self.name),
            _ => self.name.clone(),
        }
    }

    /// A value's text as SQL, if it is one of this column.
    fn literal(&self, value: &str) -> Option<String> {
        let all = |body: &str, set: &[u8]| !body.is_empty() && body.bytes().all(|byte| set.contains(&byte));
        let hex = |body: &str| body.len().is_multiple_of(2) && body.bytes().all(|byte| HEX.contains(&byte));
        let (letter, body) = value.split_at_checked(1)?;
        match (&self.kind, letter) {
            (KeyKind::Whole | KeyKind::WideSet, "i") => {
                let value: i128 = body.parse().ok().filter(|_| all(body, b"-0123456789"))?;
                let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value);
                fits.then(|| value.to_string())
            }
            (KeyKind::Decimal, "d") => {
                let digits = body.strip_prefix('-').unwrap_or(body);
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
                let fits = digits.len() <= 67 && all(whole, b"0123456789") && all(fraction, b"0123456789");
                fits.then(|| body.to_owned())
            }
            (KeyKind::Double, "f") => {
                let value: f64 = body.parse().ok().filter(|_| all(body, b"-+.e0123456789"))?;
                value.is_finite().then(|| format!("{value:e}"))
            }
            (KeyKind::Clock, "t") => (body.len() <= 40 && all(body, b"-:. 0123456789")).then(|| format!("'{body}'")),
            (KeyKind::Net, "n") => {
                (body.len() <= 45 && all(body, b"-:.0123456789abcdefABCDEF")).then(|| format!("'{body}'"))
            }
            (KeyKind::Bytes, "x") => hex(body).then(|| format!("x'{body}'")),
            (KeyKind::Text { charset, collation }, "x") => {
                hex(body).then(|| format!("_{charset} x'{body}' COLLATE {collation}"))
            }
            _ => None,
        }
    }
}

const HEX: &[u8] = b"0123456789abcdef";

/// The text of one value out of its bytes, as `x` wants it.
pub fn hex_value(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(1 + bytes.len() * 2);
    text.push('x');
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn column(definition: &TableDefinition, schema: &TableSchema, cell: u16) -> Option<KeyColumn> {
    let name = &schema.columns.get(cell as usize)?.name;
    let column = definition.columns.get(definition.column(name)?)?;
    let is_int = matches!(column.native, NativeType::Int { .. });
    Some(KeyColumn { name: quoted(name), kind: kind(column)?, cell: cell as usize, is_int })
}

fn kind(column: &ColumnDefinition) -> Option<KeyKind> {
    Some(match &column.native {
        NativeType::Set { members } if members.len() > 53 => KeyKind::WideSet,
        NativeType::Int { .. }
        | NativeType::Bit { .. }
        | NativeType::Year
        | NativeType::Enum { .. }
        | NativeType::Set { .. } => KeyKind::Whole,
        NativeType::Decimal { .. } => KeyKind::Decimal,
        NativeType::Float { .. } | NativeType::Double { .. } => KeyKind::Double,
        NativeType::Date | NativeType::Time { .. } | NativeType::DateTime { .. } | NativeType::Timestamp { .. } => {
            KeyKind::Clock
        }
        NativeType::Uuid | NativeType::Inet4 | NativeType::Inet6 => KeyKind::Net,
        NativeType::Binary { .. } | NativeType::Varbinary { .. } | NativeType::Blob { .. } => KeyKind::Bytes,
        NativeType::Char { .. } | NativeType::Varchar { .. } | NativeType::Text { .. } => {
            let charset = column.charset.as_ref()?;
            let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if charset.is_binary() {
                return Some(KeyKind::Bytes);
            }
            let (charset, collation) = (charset.charset.clone(), charset.collation.clone());
            (word(&charset) && word(&collation)).then_some(KeyKind::Text { charset, collation })?
        }
        NativeType::Json | NativeType::Geometry { .. } | NativeType::Vector { .. } | NativeType::Unknown { .. } => {
            return None;
        }
    })
}

/// Tells a key from any other whose texts would mean something else.
fn number(columns: &[KeyColumn]) -> u32 {
    let mut text = String::new();
    for column in columns {
        let _ = write!(text, "{}\0{:?}\0", column.name, column.kind);
    }
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as u32
}

fn invalid(table: &TableName) -> Fault {
    let text = "the place reached in a copy of the table is none in its present key; copy the table afresh";
    Fault::new(FaultCode::PositionInvalid, Component::Input, text).about(table.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kinds: &[KeyKind]) -> Key {
        let columns: Vec<KeyColumn> = kinds
            .iter()
            .zip(["`a`", "`b`", "`c`"])
            .enumerate()
            .map(|(cell, (kind, name))| KeyColumn { name: name.into(), kind: kind.clone(), cell, is_int: false })
            .collect();
        let number = number(&columns);
        Key { columns, index: None, number }
    }

    fn text() -> KeyKind {
        KeyKind::Text { charset: "latin1".into(), collation: "latin1_swedish_ci".into() }
    }

    fn read(key: &Key, text: &str) -> Option<Values> {
        let range = KeyRange { after: Some(text.into()), until: None };
        key.range(&TableName::new("s", "t"), &range).ok()?.after
    }

    #[test]
    fn what_is_no_value_of_the_column_is_refused() {
        use KeyKind::*;
        for (kind, bad) in [
            (Whole, "i1 OR 1=1"),
            (Whole, "i"),
            (Whole, "i99999999999999999999"),
            (Whole, "x31"),
            (Whole, ""),
            (Decimal, "d1.2.3"),
            (Decimal, "d--1"),
            (Decimal, "d1e5"),
            (Double, "fnan"),
            (Double, "finf"),
            (Clock, "t2024' OR '1"),
            (Clock, "t"),
            (Net, "n' OR 1"),
            (Bytes, "x0"),
            (Bytes, "x0g"),
            (text(), "x'41"),
            (text(), "i1"),
        ] {
            let key = key(&[kind]);
            assert_eq!(read(&key, &format!("{:08x},{bad}", key.number)), None, "{bad}");
        }
        let one = key(&[Whole]);
        for bad in [String::new(), "i1".into(), format!("{:08x}", one.number), format!("{:08x},i1,i2", one.number)] {
            assert_eq!(read(&one, &bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_of_another_key_is_refused() {
        let before = key(&[text()]);
        let after = key(&[KeyKind::Text { charset: "latin1".into(), collation: "latin1_bin".into() }]);
        assert!(read(&before, &before.text(&["x41".into()])).is_some());
        assert_eq!(read(&after, &before.text(&["x41".into()])), None);
    }

    #[test]
    fn a_composite_key_is_compared_column_by_column() {
        let key = key(&[KeyKind::Whole, text()]);
        let range =
            KeyRange { after: Some(key.text(&["i7".into(), "x41".into()])), until: Some(key.text(&["i9".into()])) };
        let range = key.range(&TableName::new("s", "t"), &range).unwrap();
        let literal = "_latin1 x'41' COLLATE latin1_swedish_ci";
        let after = format!("`a` >= 7 AND (`a` > 7 OR (`a` = 7 AND `b` > {literal}))");
        assert_eq!(key.condition(&range), [after, "`a` <= 9".to_owned()]);
    }
}

//! How far tables are copied, as the position record keeps it.
//!
//! Owns: the text of each cursor: a word that a copy was begun, then one JSON array a table. Does not own: what is
//! copied when (`limpid-engine`), the text inside a key (the source).
//!
//! Invariant: what this release writes it reads back equal; anything else is refused as a whole, since a cursor that
//! is not understood would be a table that is never copied.

use limpid_model::TableName;
use serde_json::{Value, json};

/// A copy of all captured tables was begun, perhaps with none copied yet: one without a cursor is still to be copied.
/// The number is the version of the cursors' form.
const ALL: &str = "all/1";
/// Only tables that an operator asked for have cursors.
const ASKED: &str = "asked/1";

/// A range of keys: behind the first, up to the second, which is part of it; `None` is the table's own end.
pub type KeyTexts = (Option<String>, Option<String>);

/// How far one table is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCursor {
    pub table: TableName,
    /// What is still to be read; empty when the table is done.
    pub ranges: Vec<KeyTexts>,
    /// Set for a copy that an operator asked for: its condition, empty for none.
    pub asked: Option<String>,
}

/// The cursors of copies that were begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// All captured tables are to be copied, those without a cursor too.
    pub all: bool,
    pub tables: Vec<TableCursor>,
}

/// The texts of the cursors; none when no copy was ever begun.
pub fn encode(cursors: &Cursors) -> Vec<String> {
    let Cursors { all, tables } = cursors;
    if !all && tables.is_empty() {
        return Vec::new();
    }
    let mut texts = vec![if *all { ALL } else { ASKED }.to_owned()];
    texts.extend(tables.iter().map(|cursor| {
        let mut parts = vec![json!(&*cursor.table.schema), json!(&*cursor.table.table)];
        if let Some(condition) = &cursor.asked {
            parts.push(json!(condition));
        }
        parts.extend(cursor.ranges.iter().map(|(after, until)| json!([after, until])));
        Value::Array(parts).to_string()
    }));
    texts
}

/// The cursors in `texts`.
///
/// # Errors
/// The number of the first text that is no cursor of ours.
pub fn decode(texts: &[String]) -> Result<Cursors, usize> {
    let Some((first, tables)) = texts.split_first() else { return Ok(Cursors::default()) };
    let all = match first.as_str() {
        ALL => true,
        ASKED => false,
        _ => return Err(0),
    };
    let tables = tables.iter().zip(1usize..).map(|(text, number)| table(text).ok_or(number));
    let tables = tables.collect::<Result<_, _>>()?;
    Ok(Cursors { all, tables })
}

fn table(text: &str) -> Option<TableCursor> {
    let Value::Array(parts) = serde_json::from_str(text).ok()? else { return None };
    let mut parts = parts.into_iter().peekable();
    let (schema, table) = (string(parts.next()?)?, string(parts.next()?)?);
    let asked = match parts.peek() {
        Some(Value::String(_)) => Some(string(parts.next()?)?),
        _ => None,
    };
    let ranges = parts.map(range).collect::<Option<_>>()?;
    Some(TableCursor { table: TableName::new(&schema, &table), ranges, asked })
}

fn range(value: Value) -> Option<KeyTexts> {
    let Value::Array(ends) = value else { return None };
    let [after, until] = <[Value; 2]>::try_from(ends).ok()?;
    let end = |value| match value {
        Value::Null => Some(None),
        value => string(value).map(Some),
    };
    Some((end(after)?, end(until)?))
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_as_they_were_written() {
        let cursor = |table: &str, ranges: &[KeyTexts], asked: Option<&str>| TableCursor {
            table: TableName::new("s\"1", table),
            ranges: ranges.to_vec(),
            asked: asked.map(str::to_owned),
        };
        let some = |text: &str| Some(text.to_owned());
        let tables = vec![
            cursor("done", &[], None),
            cursor("whole", &[(None, None)], Some("")),
            cursor("ü\\", &[(some("[1]"), some("[\"x\"]")), (some(""), None)], Some("a > 'b'")),
        ];
        for cursors in [
            Cursors { all: true, tables: tables.clone() },
            Cursors { all: false, tables },
            Cursors { all: true, tables: Vec::new() },
            Cursors::default(),
        ] {
            assert_eq!(decode(&encode(&cursors)), Ok(cursors));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused_by_its_number() {
        let bad = ["", "{}", "[]", "[1,\"t\"]", "[\"s\"]", "[\"s\",\"t\",[null]]", "[\"s\",\"t\",[1,null]]"];
        for bad in bad.into_iter().chain(["[\"s\",\"t\",\"p\",\"q\"]"]) {
            let texts = [ALL.to_owned(), "[\"s\",\"t\"]".to_owned(), bad.to_owned()];
            assert_eq!(decode(&texts), Err(2), "{bad}");
        }
        assert_eq!(decode(&["all/2".to_owned()]), Err(0));
    }
}

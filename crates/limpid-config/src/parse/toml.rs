//! TOML.
//!
//! Owns: the only use of the `toml` crate. Does not own: bounds (`parse`), meaning (`check`).
//!
//! Invariant: the crate's own error text is used only as far as it speaks of grammar: its `Display`, which quotes the
//! line, might quote a password.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Budget, DEPTH_MAX, Lines, syntax_fault, too_deep};
use crate::faults::ConfigFault;
use crate::node::{Entry, Node, Place, Text, Value};

pub(super) fn parse(file: &str, text: &str) -> Result<Node, ConfigFault> {
    let lines = Lines::new(file, text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        syntax_fault(&lines.place(at), format!("this is no TOML: {}", error.message()))
    })?;
    let mut builder = Builder { lines, budget: Budget::new() };
    let place = builder.lines.place(0);
    let value = builder.table(table.get_ref(), &place, 0)?;
    Ok(Node { value, place })
}

struct Builder<'a> {
    lines: Lines<'a>,
    budget: Budget,
}

impl Builder<'_> {
    fn table(&mut self, table: &DeTable<'_>, place: &Place, depth: usize) -> Result<Value, ConfigFault> {
        if depth > DEPTH_MAX {
            return Err(too_deep(place));
        }
        // The crate orders by key; a reader expects the order of the file.
        let mut pairs: Vec<_> = table.iter().collect();
        pairs.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let place = self.lines.place(key.span().start);
            self.budget.spend(key.get_ref().len(), &place)?;
            let node = self.value(value, depth + 1)?;
            entries.push(Entry { key: key.get_ref().to_string(), place, node });
        }
        Ok(Value::Map(entries))
    }

    fn value(&mut self, spanned: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, ConfigFault> {
        let place = self.lines.place(spanned.span().start);
        let value = match spanned.get_ref() {
            DeValue::String(text) => {
                self.budget.spend(text.len(), &place)?;
                Value::Text(Text::written(text.as_ref()))
            }
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix());
                Value::Int(parsed.map_err(|_| syntax_fault(&place, "this number is too large"))?)
            }
            DeValue::Float(number) => {
                Value::Float(number.as_str().parse().map_err(|_| syntax_fault(&place, "this is no number"))?)
            }
            DeValue::Boolean(value) => Value::Bool(*value),
            // No key is a date: as a text it is refused by whatever the key wants instead.
            DeValue::Datetime(value) => Value::Text(Text::written(value.to_string())),
            DeValue::Array(items) => {
                if depth > DEPTH_MAX {
                    return Err(too_deep(&place));
                }
                let mut list = Vec::with_capacity(items.len());
                for item in items.iter() {
                    list.push(self.value(item, depth + 1)?);
                }
                Value::List(list)
            }
            DeValue::Table(table) => self.table(table, &place, depth)?,
        };
        self.budget.spend(0, &place)?;
        Ok(Node { value, place })
    }
}

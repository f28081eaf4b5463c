//! One rule of a pipeline file.
//!
//! Owns: what can be said of rows, and which tables and operations it is said of. Does not own: how it is written
//! (`config`), what it comes to for one table (`compile`).
//!
//! Invariant: a rule speaks of the source's names, whatever the rules before it renamed.

use std::sync::Arc;

use limpid_config::listed;
use limpid_model::{Op, TableName};

use crate::mask::Mask;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    /// Globs of `schema.table`; empty for all.
    pub(crate) tables: Vec<String>,
    pub(crate) action: Action,
}

/// What it does.
#[derive(Debug)]
pub(crate) enum Action {
    /// What is not among these tables and operations goes no further.
    Accept(Operations),
    /// What is among them goes no further.
    Reject(Operations),
    Rename(NewName),
    Route {
        topic: Arc<str>,
        is_shared: bool,
    },
    DropColumns(Columns),
    /// From and to, in the order of the file.
    RenameColumns {
        pairs: Vec<(String, Arc<str>)>,
        missing: Missing,
    },
    Mask {
        columns: Columns,
        mask: Arc<Mask>,
    },
}

/// Columns by the source's names, whatever their case.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    pub(crate) missing: Missing,
}

/// What a column that a table does not have means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The rule no longer does what was wanted of it: the table halts.
    Halt,
    Ignore,
}

/// Which changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operations {
    pub(crate) rows: [bool; Op::COUNT],
    /// Statements that change a definition.
    pub(crate) ddl: bool,
}

impl Operations {
    pub(crate) const ALL: Self = Self { rows: [true; Op::COUNT], ddl: true };
    pub(crate) const NONE: Self = Self { rows: [false; Op::COUNT], ddl: false };

    /// Whether some change is among both.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        self.ddl && other.ddl || self.rows.iter().zip(&other.rows).any(|(a, b)| *a && *b)
    }
}

/// What a table is called behind us: `NAME` or `SCHEMA.NAME`, with `{schema}` and `{table}` for the source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewName {
    schema: Option<String>,
    table: String,
}

impl NewName {
    /// `None`: more than one dot, an empty part, or a brace that is none of the two names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = text.replace("{schema}", "s").replace("{table}", "t");
        if plain.contains(['{', '}']) || plain.split('.').any(str::is_empty) {
            return None;
        }
        match text.split('.').collect::<Vec<_>>()[..] {
            [table] => Some(Self { schema: None, table: table.to_owned() }),
            [schema, table] => Some(Self { schema: Some(schema.to_owned()), table: table.to_owned() }),
            _ => None,
        }
    }

    pub(crate) fn of(&self, name: &TableName) -> TableName {
        let fill = |part: &str| part.replace("{schema}", &name.schema).replace("{table}", &name.table);
        let schema = self.schema.as_ref().map_or_else(|| name.schema.to_string(), |schema| fill(schema));
        TableName::new(&schema, &fill(&self.table))
    }
}

impl Rule {
    /// Whether the rule speaks of this table.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.tables.is_empty() || listed(&self.tables, name)
    }

    /// Whether the rule rejects a change of this kind; `is_among` says so of the operations it names.
    pub(crate) fn rejects(&self, table: &str, is_among: impl Fn(&Operations) -> bool) -> bool {
        match &self.action {
            Action::Accept(operations) => !(self.is_of(table) && is_among(operations)),
            Action::Reject(operations) => self.is_of(table) && is_among(operations),
            Action::Rename(_)
            | Action::Route { .. }
            | Action::DropColumns(_)
            | Action::RenameColumns { .. }
            | Action::Mask { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_keeps_what_it_does_not_name() {
        let of = |text: &str| NewName::parse(text).map(|name| name.of(&TableName::new("shop", "orders")).to_string());
        assert_eq!(of("sales").as_deref(), Some("shop.sales"));
        assert_eq!(of("old_{table}").as_deref(), Some("shop.old_orders"));
        assert_eq!(of("archive.{schema}_{table}").as_deref(), Some("archive.shop_orders"));
        for bad in ["", "a.", ".a", "a.b.c", "{tabel}", "{table", "a}"] {
            assert_eq!(NewName::parse(bad), None, "{bad}");
        }
    }
}

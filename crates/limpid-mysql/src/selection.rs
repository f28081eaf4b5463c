//! Which tables and columns are captured.
//!
//! Owns: the patterns of `source.tables` and `source.columns`. Does not own: the configuration file (`config`), what a
//! pattern means (`limpid-config`).
//!
//! Invariant: a name is captured when some pattern names it and no pattern with `!` does; a list with exclusions only
//! starts from everything.

use limpid_config::listed;
use limpid_model::TableName;

/// Patterns for tables (`schema.table`) and columns (`schema.table.column`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub tables: Vec<String>,
    pub columns: Vec<String>,
}

/// Schemas that hold no user's data.
const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

impl Selection {
    /// True when rows of this table are captured.
    pub fn takes(&self, name: &TableName) -> bool {
        !SYSTEM.contains(&&*name.schema) && listed(&self.tables, &name.to_string())
    }

    /// True when this column of a captured table is captured.
    pub fn takes_column(&self, name: &TableName, column: &str) -> bool {
        listed(&self.columns, &format!("{name}.{column}"))
    }

    /// A number that differs when the selection does: rows counted under one selection mean nothing under another.
    pub fn fingerprint(&self) -> u64 {
        let mut text = self.tables.join("\0");
        text.push('\u{1}');
        text.push_str(&self.columns.join("\0"));
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusion_wins_whatever_its_place() {
        let select = |tables: &[&str]| Selection {
            tables: tables.iter().map(|text| text.to_string()).collect(),
            columns: vec!["!*.*.ssn".into()],
        };
        let takes = |tables: &[&str], table: &str| select(tables).takes(&TableName::new("shop", table));
        assert!(takes(&["shop.*", "!shop.tmp_*"], "orders"));
        assert!(!takes(&["!shop.tmp_*", "shop.*"], "tmp_1"));
        assert!(!takes(&["other.*"], "orders"));
        assert!(takes(&["!shop.tmp_*"], "orders"), "only exclusions: everything else");
        assert!(takes(&["shop.o?ders"], "orders") && !takes(&["shop.o?ders"], "oders"));
        assert!(!select(&["*"]).takes(&TableName::new("mysql", "user")));
        assert!(!select(&["*"]).takes_column(&TableName::new("a", "b"), "ssn"));
        assert!(select(&["*"]).takes_column(&TableName::new("a", "b"), "name"));
    }
}

//! What an account may, and what it must.
//!
//! Owns: reading `SHOW GRANTS`, the rights that are needed, the statements that grant them. Does not own: asking.
//!
//! Invariant: a line that is not understood grants nothing, so that at worst a right is asked for that is there. A line is
//! never repeated: MariaDB's hold a password's hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use limpid_config::glob;
use limpid_model::TableName;

use crate::catalogue::quoted;
use crate::position::Flavor;
use crate::selection::Selection;

/// Where a right holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Global,
    /// A pattern of `%` and `_`, as the server has it.
    Schema(String),
    Table(String, String),
}

/// A right that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    right: &'static str,
    scope: Scope,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Global => f.write_str("*.*"),
            Scope::Schema(schema) => write!(f, "{}.*", quoted(schema)),
            Scope::Table(schema, table) => write!(f, "{}.{}", quoted(schema), quoted(table)),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ON {}", self.right, self.scope)
    }
}

/// The two rights that concern the log. MariaDB calls the second by another name since 10.5.
fn of_log(flavor: Flavor) -> [(&'static str, &'static [&'static str]); 2] {
    match flavor {
        Flavor::MariaDb => [
            ("REPLICATION SLAVE", &["REPLICATION SLAVE", "REPLICATION REPLICA"]),
            ("BINLOG MONITOR", &["BINLOG MONITOR", "REPLICATION CLIENT"]),
        ],
        Flavor::MySql => {
            [("REPLICATION SLAVE", &["REPLICATION SLAVE"]), ("REPLICATION CLIENT", &["REPLICATION CLIENT"])]
        }
    }
}

/// What is there of the table that heartbeats are written to, as far as the account sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing but writing takes a right.
    Table,
    /// The table is to be made.
    Schema,
    /// So is its schema.
    Nothing,
}

/// The table that heartbeats are written to.
#[derive(Clone, Copy, Debug)]
pub struct Beats<'a> {
    pub table: &'a TableName,
    pub there: There,
}

/// The least that is needed, as SQL.
pub fn needed(flavor: Flavor, account: &str, selection: &Selection, beats: Option<Beats<'_>>) -> String {
    let mut needs: BTreeSet<Need> = of_log(flavor).map(|(right, _)| Need { right, scope: Scope::Global }).into();
    needs.extend(selects(selection));
    needs.extend(beats.into_iter().flat_map(|beats| beats.needs()));
    grants(&needs.into_iter().collect::<Vec<_>>(), account)
}

impl Beats<'_> {
    /// What writing heartbeats takes.
    fn needs(self) -> Vec<Need> {
        let schema = Scope::Schema(escaped(&self.table.schema));
        let table = Scope::Table(self.table.schema.to_string(), self.table.table.to_string());
        let (on_schema, on_table): (&[_], &[_]) = match self.there {
            There::Table => (&[], &["INSERT", "SELECT", "UPDATE"]),
            There::Schema => (&[], &["CREATE", "INSERT", "SELECT", "UPDATE"]),
            There::Nothing => (&["CREATE"], &["CREATE", "INSERT", "SELECT", "UPDATE"]),
        };
        let of = |scope: Scope, rights: &[&'static str]| -> Vec<Need> {
            rights.iter().map(|right| Need { right, scope: scope.clone() }).collect()
        };
        [of(schema, on_schema), of(table, on_table)].concat()
    }

    /// What lets an account write them, as SQL.
    pub fn grants(self, account: &str) -> String {
        grants(&self.needs(), account)
    }

    /// Those that the account lacks. Where one on a table that is not there is among them, so is the right to make it: the
    /// servers refuse a grant on such a table without it.
    fn missing(self, rights: &Rights) -> Vec<Need> {
        let is_there = |need: &Need| rights.has(&need.scope, &[need.right]);
        let is_table = |need: &Need| matches!(need.scope, Scope::Table(..));
        let needs = self.needs();
        let any = needs.iter().any(|need| is_table(need) && !is_there(need));
        needs.into_iter().filter(|need| !is_there(need) || (any && is_table(need) && need.right == "CREATE")).collect()
    }
}

/// A schema's name as a pattern that is no other's.
fn escaped(schema: &str) -> String {
    schema.replace('_', "\\_").replace('%', "\\%")
}

/// What the patterns of a selection name, as far as a grant can say it.
fn selects(selection: &Selection) -> BTreeSet<Need> {
    let positive = selection.tables.iter().filter(|pattern| !pattern.starts_with('!'));
    let scopes: BTreeSet<Scope> = positive.map(|pattern| scope_of(pattern)).collect();
    let scopes = if scopes.is_empty() || scopes.contains(&Scope::Global) { [Scope::Global].into() } else { scopes };
    scopes.into_iter().map(|scope| Need { right: "SELECT", scope }).collect()
}

fn scope_of(pattern: &str) -> Scope {
    let wild = |text: &str| text.contains(['*', '?']);
    match pattern.split_once('.') {
        Some((schema, table)) if !wild(schema) && !wild(table) => Scope::Table(schema.to_owned(), table.to_owned()),
        Some((schema, _)) if !wild(schema) => Scope::Schema(escaped(schema)),
        _ => Scope::Global,
    }
}

/// Statements that grant these rights, one a scope: the right to make a table must come with those on it.
pub fn grants(needs: &[Need], account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let to = format!("{}@{}", quoted(user), quoted(host));
    let mut by_scope: BTreeMap<&Scope, Vec<&str>> = BTreeMap::new();
    needs.iter().for_each(|need| by_scope.entry(&need.scope).or_default().push(need.right));
    let lines = by_scope.iter().map(|(scope, rights)| format!("GRANT {} ON {scope} TO {to};", rights.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}

/// Rights as `SHOW GRANTS` tells them.
#[derive(Debug, Default)]
pub(super) struct Rights(Vec<(Scope, BTreeSet<String>)>);

impl Rights {
    pub(super) fn parse(lines: impl IntoIterator<Item = String>) -> Self {
        Self(lines.into_iter().filter_map(|line| parsed(&line)).collect())
    }

    /// What is needed and not there. `tables` are those that the account sees.
    pub(super) fn missing(
        &self,
        flavor: Flavor,
        selection: &Selection,
        beats: Option<Beats<'_>>,
        tables: &[TableName],
    ) -> Vec<Need> {
        let log = of_log(flavor).into_iter().filter(|(_, names)| !self.has(&Scope::Global, names));
        let mut missing: BTreeSet<Need> = log.map(|(right, _)| Need { right, scope: Scope::Global }).collect();
        for need in selects(selection) {
            let seen = tables.iter().filter(|table| within(&need.scope, table));
            let unread: Vec<&TableName> = seen.clone().filter(|table| !self.reads(table)).collect();
            // A table that a grant for each by name covers needs none for the schema.
            if !unread.is_empty() || (seen.count() == 0 && !self.has(&need.scope, &["SELECT"])) {
                missing.insert(need);
            }
        }
        missing.extend(beats.into_iter().flat_map(|beats| beats.missing(self)));
        missing.into_iter().collect()
    }

    fn has(&self, wanted: &Scope, names: &[&str]) -> bool {
        self.0.iter().any(|(scope, rights)| {
            let holds = match (scope, wanted) {
                (Scope::Global, _) => true,
                (Scope::Schema(pattern), Scope::Schema(schema) | Scope::Table(schema, _)) => {
                    pattern == schema || like(pattern, &schema.replace('\\', ""))
                }
                (Scope::Table(..), _) => scope == wanted,
                _ => false,
            };
            holds && (rights.contains("ALL PRIVILEGES") || names.iter().any(|name| rights.contains(*name)))
        })
    }

    fn reads(&self, table: &TableName) -> bool {
        self.has(&Scope::Table(table.schema.to_string(), table.table.to_string()), &["SELECT"])
    }
}

fn within(scope: &Scope, table: &TableName) -> bool {
    match scope {
        Scope::Global => true,
        Scope::Schema(pattern) => like(pattern, &table.schema),
        Scope::Table(schema, name) => **schema == *table.schema && **name == *table.table,
    }
}

/// A schema's pattern in a grant: `%` is any run, `_` one, a backslash takes the next as it is.
fn like(pattern: &str, text: &str) -> bool {
    let mut chars = pattern.chars();
    let mut globbed = String::new();
    while let Some(c) = chars.next() {
        match c {
            '%' => globbed.push('*'),
            '_' => globbed.push('?'),
            '\\' => globbed.extend(chars.next()),
            c => globbed.push(c),
        }
    }
    glob(&globbed, text)
}

/// `GRANT rights ON scope TO account ...`; a role's line and a routine's say nothing of tables.
fn parsed(line: &str) -> Option<(Scope, BTreeSet<String>)> {
    let (rights, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let rights = rights.split(',').map(|right| right.trim().to_ascii_uppercase()).collect();
    let (first, rest) = name(rest)?;
    let (second, _) = name(rest.strip_prefix('.')?)?;
    Some(match (first, second) {
        (None, None) => (Scope::Global, rights),
        (Some(schema), None) => (Scope::Schema(schema), rights),
        (Some(schema), Some(table)) => (Scope::Table(schema, table), rights),
        (None, Some(_)) => return None,
    })
}

/// A name in backticks, or a star; and what follows.
fn name(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((None, rest));
    }
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (before, after) = rest.split_once('`')?;
        name.push_str(before);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((Some(name), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(tables: &[&str]) -> Selection {
        Selection { tables: tables.iter().map(|text| (*text).to_owned()).collect(), columns: Vec::new() }
    }

    fn missing(flavor: Flavor, lines: &[&str], patterns: &[&str], tables: &[(&str, &str)]) -> Vec<String> {
        let rights = Rights::parse(lines.iter().map(|line| (*line).to_owned()));
        let tables: Vec<TableName> = tables.iter().map(|(schema, table)| TableName::new(schema, table)).collect();
        rights.missing(flavor, &selection(patterns), None, &tables).iter().map(Need::to_string).collect()
    }

    const LOG: &str = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `limpid`@`%`";

    #[test]
    fn what_is_there_is_not_asked_for_whichever_way_it_was_granted() {
        for lines in [
            &["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"][..],
            &["GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `l`@`%` IDENTIFIED BY PASSWORD '*0'"],
            &[LOG, "GRANT SELECT ON `my\\_shop`.* TO `limpid`@`%`"],
            &[LOG, "GRANT SELECT ON `my_shop`.* TO `limpid`@`%`"],
            &[LOG, "GRANT SELECT, INSERT ON `%shop`.* TO `limpid`@`%`"],
            &[LOG, "GRANT SELECT ON `my_shop`.`a` TO `limpid`@`%`", "GRANT SELECT ON `my_shop`.`b``c` TO `limpid`@`%`"],
        ] {
            let found = missing(Flavor::MySql, lines, &["my_shop.*"], &[("my_shop", "a"), ("my_shop", "b`c")]);
            assert_eq!(found, [""; 0], "{lines:?}");
        }
        let maria = "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `limpid`@`%`";
        assert_eq!(missing(Flavor::MariaDb, &[maria, "GRANT SELECT ON *.* TO `l`@`%`"], &[], &[]), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_named_with_its_scope() {
        let shop = ["SELECT ON `shop`.*"];
        assert_eq!(missing(Flavor::MySql, &[LOG], &["shop.*"], &[("shop", "a")]), shop);
        assert_eq!(
            missing(Flavor::MySql, &[LOG], &["shop.*"], &[]),
            shop,
            "what is not seen is not there or not granted"
        );
        let column = "GRANT SELECT (`a`), INSERT ON `shop`.`a` TO `l`@`%`";
        assert_eq!(missing(Flavor::MySql, &[LOG, column], &["shop.*"], &[("shop", "a")]), shop);
        let role = "GRANT `reader`@`%` TO `limpid`@`%`";
        assert_eq!(missing(Flavor::MySql, &[LOG, role], &["shop.a"], &[]), ["SELECT ON `shop`.`a`"]);
        let other = "GRANT SELECT ON `other`.* TO `limpid`@`%`";
        assert_eq!(missing(Flavor::MySql, &[LOG, other], &["*.orders"], &[("shop", "orders")]), ["SELECT ON *.*"]);
        let none = ["BINLOG MONITOR ON *.*", "REPLICATION SLAVE ON *.*"];
        assert_eq!(missing(Flavor::MariaDb, &["GRANT SELECT ON *.* TO `l`@`%`"], &[], &[]), none);
    }

    #[test]
    fn the_least_is_granted_to_the_account_as_it_is() {
        let sql = needed(Flavor::MySql, "o'neill@10.0.%", &selection(&["my_shop.*", "x.y", "!x.z"]), None);
        let to = "'o''neill'@'10.0.%'";
        assert_eq!(
            sql,
            format!(
                "GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO {to};\n\
                 GRANT SELECT ON `my\\_shop`.* TO {to};\nGRANT SELECT ON `x`.`y` TO {to};"
            )
        );
        let all = needed(Flavor::MariaDb, "l@%", &selection(&[]), None);
        assert_eq!(all, "GRANT BINLOG MONITOR, REPLICATION SLAVE, SELECT ON *.* TO 'l'@'%';");
    }

    #[test]
    fn heartbeats_take_rights_of_their_own() {
        let table = TableName::new("my_limpid", "heartbeat");
        let selection = selection(&["shop.*"]);
        let shop = [LOG, "GRANT SELECT ON `shop`.* TO `l`@`%`"];
        let on_table = "ON `my_limpid`.`heartbeat` TO 'l'@'%';";
        let on_schema = "GRANT CREATE ON `my\\_limpid`.* TO 'l'@'%';\n";
        for (there, schema, rights) in [
            (There::Table, "", "INSERT, SELECT, UPDATE"),
            (There::Schema, "", "CREATE, INSERT, SELECT, UPDATE"),
            (There::Nothing, on_schema, "CREATE, INSERT, SELECT, UPDATE"),
        ] {
            let beats = Beats { table: &table, there };
            let expected = format!("{schema}GRANT {rights} {on_table}");
            assert_eq!(beats.grants("l@%"), expected);
            let all = needed(Flavor::MySql, "l@%", &selection, Some(beats));
            assert!(expected.lines().all(|line| all.lines().any(|one| one == line)), "{all}");
            assert_eq!(all.matches("CREATE").count(), expected.matches("CREATE").count(), "{all}");
        }
        let lacks = |there, line: &str| -> Vec<String> {
            let rights = Rights::parse(shop.iter().copied().chain([line]).map(str::to_owned));
            let missing = rights.missing(Flavor::MySql, &selection, Some(Beats { table: &table, there }), &[]);
            missing.iter().map(Need::to_string).collect()
        };
        let of_table = |right: &str| format!("{right} ON `my_limpid`.`heartbeat`");
        let some = "GRANT INSERT, SELECT ON `my\\_limpid`.* TO `l`@`%`";
        assert_eq!(lacks(There::Table, some), [of_table("UPDATE")]);
        assert_eq!(lacks(There::Schema, some), [of_table("CREATE"), of_table("UPDATE")]);
        let by_name = "GRANT CREATE, INSERT, SELECT, UPDATE ON `my_limpid`.`heartbeat` TO `l`@`%`";
        assert_eq!(lacks(There::Schema, by_name), [""; 0]);
        assert_eq!(lacks(There::Nothing, by_name), ["CREATE ON `my\\_limpid`.*"]);
        // A grant on a table that is not there must have the right to make it.
        let half = "GRANT CREATE, INSERT ON `my_limpid`.`heartbeat` TO `l`@`%`";
        assert_eq!(lacks(There::Schema, half), ["CREATE", "SELECT", "UPDATE"].map(of_table));
    }
}

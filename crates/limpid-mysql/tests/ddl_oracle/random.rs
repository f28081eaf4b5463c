//! Makes statements that change a few tables at random, the same for the same seed.
//!
//! Owns: a small grammar. Does not own: whether a statement can be carried out: the server refuses many.

use std::collections::BTreeMap;

use limpid_mysql::ddl::Flavor;

/// What exists: tables with their columns.
pub(crate) type Tables = BTreeMap<String, Vec<String>>;

/// A source of statements.
pub(crate) struct Random {
    /// xorshift64.
    state: u64,
    flavor: Flavor,
    tables: Tables,
    /// The table that the statement under way is about.
    table: String,
}

impl Random {
    pub(crate) fn new(seed: u64, flavor: Flavor) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { state, flavor, tables: Tables::new(), table: String::new() }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn table(&mut self) -> String {
        format!("r{}", self.below(4))
    }

    /// A column that is there, mostly.
    fn column(&mut self) -> String {
        let columns = self.tables.get(&self.table).cloned().unwrap_or_default();
        if columns.is_empty() || self.below(12) == 0 {
            return self.new_column();
        }
        columns[self.below(columns.len())].clone()
    }

    fn new_column(&mut self) -> String {
        format!("c{}", self.below(14))
    }

    pub(crate) fn statement(&mut self, step: u64, tables: Tables) -> String {
        self.tables = tables;
        self.table = if step < 4 { format!("r{step}") } else { self.table() };
        let table = self.table.clone();
        if !self.tables.contains_key(&table) {
            return self.create();
        }
        match self.below(30) {
            0 => format!("drop table {table}"),
            1 => format!("rename table {table} to swap, {} to {table}, swap to {}", self.table(), self.table()),
            2 => format!("create table if not exists {} like {table}", self.table()),
            3 => format!("create unique index k1 on {table} {}", self.parts()),
            4 => format!("create table {} select * from {table}", self.table()),
            _ => {
                let mut clauses: Vec<String> = (0..=self.below(3)).map(|_| self.clause()).collect();
                // MySQL 8.0.15 dies of signal 11 when CONVERT comes with other clauses.
                if self.flavor == Flavor::MySql && clauses.iter().any(|clause| clause.starts_with("convert")) {
                    clauses.retain(|clause| clause.starts_with("convert"));
                    clauses.truncate(1);
                }
                format!("alter table {table} {}", clauses.join(", "))
            }
        }
    }

    fn create(&mut self) -> String {
        let count = 2 + self.below(4);
        self.tables.insert(self.table.clone(), (0..count).map(|index| format!("c{index}")).collect());
        let mut elements: Vec<String> = (0..count).map(|index| format!("c{index} {}", self.definition())).collect();
        for _ in 0..self.below(3) {
            elements.push(self.key());
        }
        let options = [
            "",
            "",
            "",
            " charset latin1",
            " collate utf8mb4_bin",
            " engine=MyISAM",
            " default character set = ucs2",
            " charset binary",
        ];
        let options = self.pick(&options);
        format!("create table {} ({}){options}", self.table, elements.join(", "))
    }

    fn definition(&mut self) -> String {
        let own: &[&str] = match self.flavor {
            Flavor::MariaDb => &["uuid", "inet6", "varchar(30) compressed", "json", "inet4", "text compressed"],
            Flavor::MySql => &["json", "geometry srid 4326", "point"],
        };
        let common = [
            "int",
            "int unsigned",
            "bigint(20)",
            "tinyint(1)",
            "smallint(5) zerofill",
            "bool",
            "varchar(20)",
            "char(7)",
            "varchar(10) character set latin1",
            "text",
            "tinytext",
            "text(50)",
            "blob",
            "varbinary(9)",
            "binary(3)",
            "decimal(9,3)",
            "double(7,2)",
            "float(30)",
            "bit(5)",
            "enum('a','b''c')",
            "set('x','y') collate utf8mb4_bin",
            "datetime(3)",
            "timestamp null",
            "timestamp",
            "time(2)",
            "date",
            "year",
            "varchar(5) binary",
            "mediumtext charset ucs2",
            "nchar(4)",
            "char(3) byte",
            "double precision",
            "dec",
            "long varchar",
            "varchar(2000)",
        ];
        let whole = [
            "int as (1+1) virtual",
            "int generated always as (2) stored",
            "int as (3)",
            "serial",
            "int auto_increment unique",
        ];
        let attributes = [
            "",
            "",
            "",
            "",
            " not null",
            " not null",
            " not null",
            " null",
            " default null",
            " comment 'a, b)'",
            " unique",
            " primary key",
            " not null unique key",
        ];
        match self.below(12) {
            0 => self.pick(&whole).to_owned(),
            1 | 2 => self.pick(own).to_owned() + self.pick(&attributes),
            _ => self.pick(&common).to_owned() + self.pick(&attributes),
        }
    }

    fn parts(&mut self) -> String {
        let mut part = || {
            let column = self.column();
            let prefix = self.pick(&["", "", "", "", "", "", "(3)", "(20)"]);
            format!("{column}{prefix}{}", self.pick(&["", "", " desc", " asc"]))
        };
        let first = part();
        if self.below(2) == 0 { format!("({first})") } else { format!("({first}, {})", self.column()) }
    }

    fn key(&mut self) -> String {
        let expression = self.flavor == Flavor::MySql && self.below(5) == 0;
        let parts = if expression { format!("(({} + 1))", self.column()) } else { self.parts() };
        let kinds = ["unique", "unique key", "index", "key", "unique index", "constraint k7 unique", "primary key"];
        let kind = self.pick(&kinds);
        let name = if kind == "primary key" { "" } else { self.pick(&["", "", "k1", "k2", "`k 3`", "c1"]) };
        let using = match self.flavor {
            Flavor::MariaDb => self.pick(&["", "", "", "", " using hash", " using btree"]),
            Flavor::MySql => "",
        };
        format!("{kind} {name} {parts}{using}")
    }

    fn clause(&mut self) -> String {
        let (a, new, new2) = (self.column(), self.new_column(), self.new_column());
        let place = match self.below(4) {
            0 => " first".to_owned(),
            1 => format!(" after {}", self.column()),
            _ => String::new(),
        };
        let dropped_keys =
            ["drop primary key", "drop key k1", "drop index k2", "drop key `k 3`", "drop index c1", "drop key k7"];
        let converted = [
            "convert to character set utf8mb4",
            "convert to character set latin1",
            "convert to character set utf8 collate utf8_bin",
            "convert to character set binary",
        ];
        let options = [
            "default character set latin1",
            "charset utf8mb4",
            "collate utf8mb4_unicode_ci",
            "engine=innodb",
            "engine=myisam",
        ];
        let nothing = [
            "force",
            "comment 'x, drop column c1'",
            "order by c1, c2 desc",
            "alter column c1 drop default",
            "disable keys",
            "row_format=dynamic",
        ];
        match self.below(17) {
            0..=2 => format!("add column {new} {}{place}", self.definition()),
            3 => format!("add ({new} {}, {new2} {})", self.definition(), self.definition()),
            4 | 5 => format!("drop column {a}"),
            6 => format!("change {a} {new} {}{place}", self.definition()),
            7 | 8 => format!("modify column {a} {}{place}", self.definition()),
            9 => format!("rename column {a} to {new}"),
            10 | 11 => format!("add {}", self.key()),
            12 => self.pick(&dropped_keys).to_owned(),
            13 => self.pick(&["rename index k1 to k2", "rename key k2 to `k 3`", "rename index c1 to k1"]).to_owned(),
            14 => self.pick(&converted).to_owned(),
            15 => self.pick(&options).to_owned(),
            _ => self.pick(&nothing).to_owned(),
        }
    }
}

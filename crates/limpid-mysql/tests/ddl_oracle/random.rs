//! Makes statements that change a few tables at random, the same for the same seed.
//!
//! Owns: a small grammar. Does not own: whether a statement can be carried out: the server refuses many.

use limpid_mysql::ddl::Flavor;

/// xorshift64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn table(&mut self) -> String {
        format!("r{}", self.below(4))
    }

    fn column(&mut self) -> String {
        format!("c{}", self.below(7))
    }

    pub(crate) fn statement(&mut self, step: u64, flavor: Flavor) -> String {
        let table = self.table();
        if step < 4 {
            return self.create(&format!("r{step}"), flavor);
        }
        match self.below(24) {
            0 => format!("drop table {table}"),
            1 | 2 => self.create(&table, flavor),
            3 => format!("rename table {table} to swap, {} to {table}, swap to {}", self.table(), self.table()),
            4 => format!("create table {table} like {}", self.table()),
            5 => format!("create unique index k1 on {table} {}", self.parts()),
            _ => {
                let clauses: Vec<String> = (0..=self.below(3)).map(|_| self.clause(flavor)).collect();
                format!("alter table {table} {}", clauses.join(", "))
            }
        }
    }

    fn create(&mut self, table: &str, flavor: Flavor) -> String {
        let count = 2 + self.below(5);
        let mut elements: Vec<String> = (0..count).map(|index| format!("c{index} {}", self.definition(flavor))).collect();
        for _ in 0..self.below(4) {
            elements.push(self.key(flavor));
        }
        let options = [
            "", "", "", " charset latin1", " collate utf8mb4_bin", " engine=MyISAM", " default character set = ucs2",
            " charset binary",
        ];
        format!("create table {table} ({}){}", elements.join(", "), self.pick(&options))
    }

    fn definition(&mut self, flavor: Flavor) -> String {
        let own: &[&str] = match flavor {
            Flavor::MariaDb => &["uuid", "inet6", "varchar(30) compressed", "json", "inet4", "text compressed"],
            Flavor::MySql => &["json", "geometry srid 4326", "point"],
        };
        let common = [
            "int", "int unsigned", "bigint(20)", "tinyint(1)", "smallint(5) zerofill", "bool", "varchar(20)",
            "char(7)", "varchar(10) character set latin1", "text", "tinytext", "text(50)", "blob", "varbinary(9)",
            "binary(3)", "decimal(9,3)", "double(7,2)", "float(30)", "bit(5)", "enum('a','b''c')",
            "set('x','y') collate utf8mb4_bin", "datetime(3)", "timestamp null", "timestamp", "time(2)", "date",
            "year", "varchar(5) binary", "mediumtext charset ucs2", "nchar(4)", "char(3) byte", "double precision",
            "dec", "long varchar", "varchar(2000)",
        ];
        let whole = ["int as (1+1) virtual", "int generated always as (2) stored", "int as (3)", "serial", "int auto_increment unique"];
        let attributes = [
            "", "", "", " not null", " not null", " null", " default null", " comment 'a, b)'", " unique",
            " primary key", " not null unique key",
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
            let prefix = self.pick(&["", "", "", "", "(3)", "(20)"]);
            format!("{column}{prefix}{}", self.pick(&["", "", " desc", " asc"]))
        };
        let first = part();
        if self.below(2) == 0 { format!("({first})") } else { format!("({first}, {})", self.column()) }
    }

    fn key(&mut self, flavor: Flavor) -> String {
        let expression = flavor == Flavor::MySql && self.below(5) == 0;
        let parts = if expression { "((c1 + 1))".to_owned() } else { self.parts() };
        let kinds = ["unique", "unique key", "index", "key", "unique index", "constraint k7 unique", "primary key"];
        let kind = self.pick(&kinds);
        let name = if kind == "primary key" { "" } else { self.pick(&["", "", "k1", "k2", "`k 3`", "c1"]) };
        let using = match flavor {
            Flavor::MariaDb => self.pick(&["", "", "", "", " using hash", " using btree"]),
            Flavor::MySql => "",
        };
        format!("{kind} {name} {parts}{using}")
    }

    fn clause(&mut self, flavor: Flavor) -> String {
        let (a, b) = (self.column(), self.column());
        let place = match self.below(4) {
            0 => " first".to_owned(),
            1 => format!(" after {}", self.column()),
            _ => String::new(),
        };
        let dropped_keys =
            ["drop primary key", "drop key k1", "drop index k2", "drop key `k 3`", "drop index c1", "drop key k7"];
        let converted = [
            "convert to character set utf8mb4", "convert to character set latin1",
            "convert to character set utf8 collate utf8_bin", "convert to character set binary",
        ];
        let options = [
            "default character set latin1", "charset utf8mb4", "collate utf8mb4_unicode_ci", "engine=innodb",
            "engine=myisam",
        ];
        let nothing = [
            "force", "comment 'x, drop column c1'", "order by c1, c2 desc", "alter column c1 drop default",
            "disable keys", "row_format=dynamic",
        ];
        match self.below(17) {
            0..=2 => format!("add column {a} {}{place}", self.definition(flavor)),
            3 => format!("add ({a} {}, {b} {})", self.definition(flavor), self.definition(flavor)),
            4 | 5 => format!("drop column {a}"),
            6 => format!("change {a} {b} {}{place}", self.definition(flavor)),
            7 | 8 => format!("modify column {a} {}{place}", self.definition(flavor)),
            9 => format!("rename column {a} to {b}"),
            10 | 11 => format!("add {}", self.key(flavor)),
            12 => self.pick(&dropped_keys).to_owned(),
            13 => self.pick(&["rename index k1 to k2", "rename key k2 to `k 3`", "rename index c1 to k1"]).to_owned(),
            14 => self.pick(&converted).to_owned(),
            15 => self.pick(&options).to_owned(),
            _ => self.pick(&nothing).to_owned(),
        }
    }
}

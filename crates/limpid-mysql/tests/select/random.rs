//! Tables of random columns and rows of random values, the same for the same seed.
//!
//! Owns: the types of both servers, how a value of each is written, and how it is asked for. Does not own: whether the
//! server takes a value as it is: without strict mode it bends what does not fit, and only what it kept counts.

use limpid_mysql::Flavor;

/// xorshift64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.bits() >> 16) % limit
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// How values of a column are made and asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Decimal,
    Float,
    Bit,
    Plain,
    Clock,
    Text,
    Bytes,
    Members(u8),
    Json,
    Geometry,
    Uuid,
    Inet6,
    Inet4,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub declared: String,
    pub kind: Kind,
    nullable: bool,
}

impl Column {
    /// The expression whose text our value must equal.
    pub fn select(&self) -> String {
        let name = &self.name;
        match self.kind {
            Kind::Number | Kind::Bit => format!("{name}+0"),
            // Each FLOAT is a DOUBLE, and of that the server prints all digits.
            Kind::Float => format!("{name}*1e0"),
            Kind::Decimal | Kind::Plain | Kind::Clock | Kind::Uuid | Kind::Inet4 => name.clone(),
            Kind::Text | Kind::Members(_) | Kind::Json => format!("HEX(CONVERT({name} USING utf8mb4))"),
            Kind::Bytes | Kind::Geometry => format!("HEX({name})"),
            Kind::Inet6 => format!("HEX(INET6_ATON({name}))"),
        }
    }

    /// A value as SQL.
    pub fn value(&self, random: &mut Random) -> String {
        if self.nullable && random.below(5) == 0 {
            return "NULL".to_owned();
        }
        match self.kind {
            Kind::Number => number(random),
            Kind::Decimal => decimal(random),
            Kind::Float => float(random),
            Kind::Bit => format!("{}", random.bits() >> random.below(64)),
            Kind::Plain => random.pick(&["0", "1901", "1970", "2024", "2155", "'0000'"]).to_owned(),
            Kind::Clock => clock(random),
            Kind::Text => format!("_utf8mb4 x'{}'", super::reader::hex(characters(random).as_bytes())),
            Kind::Bytes => {
                let len = random.pick(&[0, 1, 2, 9, 40, 300]);
                let bytes: Vec<u8> = (0..len).map(|_| random.pick(&[0, 0x20, 0xff, random.0 as u8])).collect();
                format!("x'{}'", super::reader::hex(&bytes))
            }
            Kind::Members(count) => random.below(1 << count).to_string(),
            Kind::Json => json(random, 3),
            Kind::Geometry => {
                let mut place = || random.below(2_000) as i64 - 1_000;
                format!("ST_GeomFromText('POINT({} {}.25)')", place(), place())
            }
            Kind::Uuid => {
                format!("'{:08x}-{:04x}-4000-8000-0000{:08x}'", random.below(1 << 32), 7, random.below(1 << 32))
            }
            Kind::Inet6 => {
                random.pick(&["'::'", "'2001:db8::ff00:42:8329'", "'::ffff:10.0.0.1'", "'fe80::'"]).to_owned()
            }
            Kind::Inet4 => random.pick(&["'0.0.0.0'", "'10.0.0.1'", "'255.255.255.0'"]).to_owned(),
        }
    }
}

/// A table's columns beside `id`. `charsets` are the server's.
pub fn columns(random: &mut Random, flavor: Flavor, charsets: &[String]) -> Vec<Column> {
    (0..18)
        .map(|nth| {
            let (declared, kind) = declared(random, flavor, charsets);
            let nullable = random.below(3) > 0;
            let null = if nullable { "NULL" } else { "NOT NULL" };
            // Without it the first TIMESTAMP of a table changes by itself.
            let default = if declared.starts_with("TIMESTAMP") && nullable { " DEFAULT NULL" } else { "" };
            let default = if declared.starts_with("TIMESTAMP") && !nullable { " DEFAULT 0" } else { default };
            Column { name: format!("c{nth}"), declared: format!("{declared} {null}{default}"), kind, nullable }
        })
        .collect()
}

fn declared(random: &mut Random, flavor: Flavor, charsets: &[String]) -> (String, Kind) {
    let charset = charsets[random.below(charsets.len() as u64) as usize].clone();
    let compressed = if flavor == Flavor::MariaDb { random.pick(&["", " COMPRESSED"]) } else { "" };
    let digits = random.below(7);
    match random.below(16) {
        0 | 1 => {
            let sign = random.pick(&["", " UNSIGNED"]);
            (random.pick(&["TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"]).to_owned() + sign, Kind::Number)
        }
        2 => {
            let precision = random.below(65) + 1;
            let scale = random.below(precision.min(30) + 1);
            (format!("DECIMAL({precision},{scale})"), Kind::Decimal)
        }
        3 => (random.pick(&["FLOAT", "DOUBLE"]).to_owned(), Kind::Float),
        4 => (format!("BIT({})", random.below(64) + 1), Kind::Bit),
        5 => ("YEAR".to_owned(), Kind::Plain),
        6 => ("DATE".to_owned(), Kind::Clock),
        7 => (format!("{}({digits})", random.pick(&["TIME", "DATETIME", "TIMESTAMP"])), Kind::Clock),
        8 | 9 => {
            let (base, after) = (random.pick(&["CHAR(9)", "CHAR(70)", "VARCHAR(9)", "VARCHAR(70)"]), compressed);
            let after = if base.starts_with("CHAR") { "" } else { after };
            (format!("{base}{after} CHARACTER SET {charset}"), Kind::Text)
        }
        10 => {
            let base = random.pick(&["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"]);
            (format!("{base}{compressed} CHARACTER SET {charset}"), Kind::Text)
        }
        11 => {
            let base = random.pick(&["BINARY(9)", "BINARY(40)", "VARBINARY(9)", "VARBINARY(300)"]);
            let after = if base.starts_with("BIN") { "" } else { compressed };
            (format!("{base}{after}"), Kind::Bytes)
        }
        12 => (random.pick(&["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"]).to_owned() + compressed, Kind::Bytes),
        13 => {
            let base = random.pick(&["ENUM", "SET"]);
            // Both catalogues know members as utf8mb3 only: what is beyond is a question mark there.
            let members = ["a", "\u{e9}", "\u{44f}", "\u{65e5}", "\u{d55c}"].map(|text| format!("'{text}{text}_'"));
            // A character that the set lacks would be a question mark in several members; each has its own number.
            let members: Vec<String> =
                members.iter().enumerate().map(|(nth, text)| text.replace('_', &nth.to_string())).collect();
            let count = if base == "ENUM" { 2 } else { 5 };
            (format!("{base}({}) CHARACTER SET {charset}", members.join(",")), Kind::Members(count))
        }
        14 if flavor == Flavor::MySql => ("JSON".to_owned(), Kind::Json),
        14 => {
            let kinds = [("UUID", Kind::Uuid), ("INET6", Kind::Inet6), ("INET4", Kind::Inet4)];
            let (base, kind) = random.pick(&kinds);
            (base.to_owned(), kind)
        }
        _ => (random.pick(&["GEOMETRY", "POINT"]).to_owned(), Kind::Geometry),
    }
}

fn number(random: &mut Random) -> String {
    let value = random.bits() >> random.below(64);
    if random.below(2) == 0 { format!("-{value}") } else { value.to_string() }
}

fn decimal(random: &mut Random) -> String {
    let mut digits = |count: u64| -> String { (0..count).map(|_| random.pick(b"0123456789") as char).collect() };
    let (whole, fraction) = (digits(40), digits(30));
    let cut = random.below(41) as usize;
    format!("{}0{}.{}", random.pick(&["", "-"]), &whole[cut..], fraction)
}

fn float(random: &mut Random) -> String {
    match random.below(4) {
        0 => number(random),
        1 => format!("{}.{}e{}", random.below(10), random.bits(), random.below(60) as i64 - 30),
        2 => random.pick(&["0", "-0e0", "0.1", "1e30", "3.4e38", "1.1754944e-38", "1e-40"]).to_owned(),
        _ => format!("{}.{}", number(random), random.below(1_000_000)),
    }
}

fn clock(random: &mut Random) -> String {
    let date = match random.below(5) {
        0 => random
            .pick(&["0000-00-00", "2024-02-00", "2023-02-31", "9999-12-31", "0001-01-01", "1970-01-01"])
            .to_owned(),
        _ => format!("{:04}-{:02}-{:02}", random.below(9_000) + 1_000, random.below(12) + 1, random.below(28) + 1),
    };
    let hour = random.below(24);
    let clock = format!("{hour:02}:{:02}:{:02}.{:06}", random.below(60), random.below(60), random.below(1_000_000));
    match random.below(4) {
        0 => format!("'{}{:02}{}'", random.pick(&["", "-"]), random.below(839), &clock[2..]),
        1 => format!("'{}-{:02}-03 {clock}'", 1970 + random.below(68), random.below(12) + 1),
        _ => format!("'{date} {clock}'"),
    }
}

/// Characters of many scripts: some that a set has, some that it lacks.
fn characters(random: &mut Random) -> String {
    const SCRIPTS: [(u32, u32); 10] = [
        (0x20, 95),
        (0xa0, 96),
        (0x100, 128),
        (0x390, 60),
        (0x410, 64),
        (0x5d0, 27),
        (0xe01, 58),
        (0x3041, 80),
        (0x4e00, 20_000),
        (0x1f600, 60),
    ];
    let len = random.pick(&[0, 1, 3, 8, 60]);
    let (first, count) = random.pick(&SCRIPTS);
    (0..len)
        .filter_map(|_| {
            let (first, count) = if random.below(3) == 0 { random.pick(&SCRIPTS) } else { (first, count) };
            char::from_u32(first + random.below(u64::from(count)) as u32)
        })
        .collect()
}

fn json(random: &mut Random, depth: u32) -> String {
    let scalar = |random: &mut Random| match random.below(6) {
        0 => "CAST('null' AS JSON)".to_owned(),
        1 => number(random),
        2 => format!("{}.5e{}", random.below(100), random.below(20)),
        3 => format!("CONVERT(x'{}' USING utf8mb4)", super::reader::hex(characters(random).as_bytes())),
        4 => decimal(random),
        _ => format!("CAST({} AS DATETIME(6))", "'2024-02-29 01:02:03.000450'"),
    };
    if depth == 0 {
        return scalar(random);
    }
    let count = random.below(4);
    let mut inner: Vec<String> = Vec::new();
    for nth in 0..count {
        let value = if random.below(2) == 0 { json(random, depth - 1) } else { scalar(random) };
        inner.push(if depth.is_multiple_of(2) { value } else { format!("'k{nth}', {value}") });
    }
    format!("{}({})", if depth.is_multiple_of(2) { "JSON_ARRAY" } else { "JSON_OBJECT" }, inner.join(", "))
}

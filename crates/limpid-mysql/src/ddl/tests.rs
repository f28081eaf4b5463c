//! The scanner against statements as data, and against bytes that are none.

mod show;

use super::*;

/// Pairs of lines: a statement, and `=> ` what it is and does. A line `@ FLAVOUR VERSION MODES` sets what the following
/// are scanned under; `#` lines are remarks. `\n` in a statement stands for a newline.
const STATEMENTS: &str = include_str!("tests/statements.txt");

struct Case {
    line: usize,
    flavor: Flavor,
    version: u32,
    mode: SqlMode,
    lower: bool,
    sql: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let (mut flavor, mut version, mut mode, mut lower) = (Flavor::MariaDb, 101_119, SqlMode(0), false);
    let mut sql = None;
    for (number, line) in STATEMENTS.lines().enumerate() {
        if let Some(setting) = line.strip_prefix("@ ") {
            let mut words = setting.split(' ');
            flavor = if words.next() == Some("mysql") { Flavor::MySql } else { Flavor::MariaDb };
            version = words.next().and_then(|word| word.parse().ok()).unwrap();
            let words: Vec<&str> = words.collect();
            let known = [("ansi_quotes", 4), ("no_backslash_escapes", 1 << 20), ("oracle", 512)];
            mode = SqlMode(known.iter().filter(|(name, _)| words.contains(name)).map(|(_, bit)| bit).sum());
            lower = words.contains(&"lower");
        } else if let Some(expected) = line.strip_prefix("=> ") {
            let sql: String = sql.take().expect("a statement before what it does");
            let expected = expected.to_owned();
            cases.push(Case { line: number, flavor, version, mode, lower, sql, expected });
        } else if !line.is_empty() && !line.starts_with("# ") {
            sql = Some(line.replace("\\n", "\n"));
        }
    }
    cases
}

fn context(case: &Case) -> ScanContext<'static> {
    let mut ctx = ScanContext::of_server(case.flavor, case.version, "db");
    ctx.sql_mode = case.mode;
    ctx.lower_case_names = case.lower;
    ctx
}

#[test]
fn each_statement_does_what_it_says() {
    let cases = cases();
    assert!(cases.len() >= 250, "only {} statements", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let found = show::statement(&scan(case.sql.as_bytes(), &context(case)));
        if found != case.expected {
            wrong += &format!("line {}: {}\n  expected {}\n  found    {found}\n", case.line, case.sql, case.expected);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit.max(1)
    }
}

fn contexts() -> Vec<ScanContext<'static>> {
    let mut contexts = Vec::new();
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        for mode in [0, 4, 1 << 20, 512] {
            let mut ctx = ScanContext::of_server(flavor, 101_119, "db");
            ctx.sql_mode = SqlMode(mode);
            contexts.push(ctx);
        }
    }
    contexts
}

/// Scans, applies to a history that knows a little, and stores it.
fn survive(sql: &[u8], ctx: &ScanContext<'_>) {
    use crate::history::{Charsets, History, TextCharset};
    let statement = scan(sql, ctx);
    let mut history = History::new(ctx.flavor, ctx.version, Charsets::default(), TextCharset::new("utf8", "utf8_bin"));
    let known = b"create table t (id int primary key, a varchar(9), b text, unique (a(3)), key k1 (b(4)))";
    history.apply(&scan(known, ctx));
    history.apply(&statement);
    history.apply(&statement);
    for (_, table) in history.tables() {
        let image = table.row_image();
        assert!(table.row_key().len() <= image.len());
    }
    assert_eq!(History::from_bytes(&history.to_bytes()), Ok(history));
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(7);
    for _ in 0..3000 {
        let length = random.below(120);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        contexts().iter().for_each(|ctx| survive(&bytes, ctx));
    }
}

#[test]
fn statements_cut_and_mixed_never_panic() {
    let cases = cases();
    let words: Vec<&str> = cases.iter().flat_map(|case| case.sql.split(' ')).collect();
    let contexts = contexts();
    let mut random = Random(11);
    for case in &cases {
        let sql = case.sql.as_bytes();
        let ctx = &contexts[random.below(contexts.len())];
        for end in 0..sql.len() {
            survive(&sql[..end], ctx);
        }
        for _ in 0..20 {
            let mut mutant = sql.to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(mutant.len());
                match random.below(4) {
                    0 => mutant.splice(at..at, words[random.below(words.len())].bytes()).for_each(drop),
                    1 => mutant.insert(at, b"()`'\",;\\*/-# .=@"[random.below(16)]),
                    2 if !mutant.is_empty() => mutant[at] = random.below(256) as u8,
                    _ => drop(mutant.drain(at..mutant.len().min(at + random.below(9)))),
                }
            }
            survive(&mutant, ctx);
        }
    }
}

#[test]
fn random_words_of_ddl_never_panic() {
    let cases = cases();
    let words: Vec<&str> = cases.iter().flat_map(|case| case.sql.split(' ')).collect();
    let starts =
        ["create table t (", "alter table t ", "alter table t add ", "rename table ", "drop ", "create ", "delete "];
    let contexts = contexts();
    let mut random = Random(13);
    for _ in 0..20_000 {
        let mut sql = starts[random.below(starts.len())].to_owned();
        for _ in 0..random.below(20) {
            sql += words[random.below(words.len())];
            sql += " ";
        }
        survive(sql.as_bytes(), &contexts[random.below(contexts.len())]);
    }
}

#[test]
fn a_long_statement_takes_linear_time() {
    let ctx = ScanContext::of_server(Flavor::MariaDb, 101_119, "db");
    let wide = format!("create table t ({} x int)", "x int, ".repeat(20_000));
    let deep = format!("alter table t add x int default {}", "(".repeat(1_000_000));
    let quotes = format!("insert into t values ('{}')", "''".repeat(1_000_000));
    let comments = "/* x */ ".repeat(300_000);
    let orders = format!("alter table t order by {} a", "a, ".repeat(100_000));
    for sql in [wide, deep, quotes, comments, orders] {
        scan(sql.as_bytes(), &ctx);
    }
}

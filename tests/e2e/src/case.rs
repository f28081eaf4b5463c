//! One case: a database of its own, a pipeline that captures it, and what came out of it so far.
//!
//! Owns: the pipeline file, the runs, the comparison of what came out with the server's own SELECT. Does not own: the
//! server, the statements.
//!
//! Invariant: a case sees its own database only, so cases that share a server do not meet; `start` is at the head
//! before the first statement of the case's own.

use anyhow::{Context, Result, ensure};
use limpid_stack::TempDir;

use crate::binary::{Ended, Limpid, PATIENCE, Pipeline};
use crate::changes::{Change, changes_in, fold};
use crate::servers::Db;

/// A pipeline file in parts.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    /// The value of `source.snapshot`.
    pub snapshot: String,
    /// Lines of the section `source` besides `type` and `snapshot`.
    pub source: Vec<String>,
    /// Lines of the section `sink` besides `delivery`.
    pub sink: Vec<String>,
    /// The value of `sink.delivery`.
    pub delivery: String,
}

impl Spec {
    /// Captures the database called like the pipeline, from the head on, to standard output.
    pub fn new(name: &str, port: u16) -> Self {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Self {
            name: name.to_owned(),
            snapshot: "never".to_owned(),
            source: vec![
                format!("url: mysql://127.0.0.1:{port}"),
                "user: root".to_owned(),
                format!("tables: [\"{name}.*\"]"),
                "start: head".to_owned(),
                "tls: { mode: disabled }".to_owned(),
            ],
            delivery: "at-least-once".to_owned(),
            sink: lines(&["type: stdout", "format: debezium-json", "skipped-operations: none"]),
        }
    }

    /// What is promised of each row.
    pub fn delivery(mut self, value: &str) -> Self {
        value.clone_into(&mut self.delivery);
        self
    }

    /// Whether and how tables are copied.
    pub fn snapshot(mut self, value: &str) -> Self {
        value.clone_into(&mut self.snapshot);
        self
    }

    /// Replaces the line of the source with this line's key, or adds it.
    pub fn source(mut self, line: &str) -> Self {
        put(&mut self.source, line);
        self
    }

    /// Replaces the line of the sink with this line's key, or adds it.
    pub fn sink(mut self, line: &str) -> Self {
        put(&mut self.sink, line);
        self
    }

    /// To a broker instead.
    pub fn to_kafka(mut self, bootstrap: &str) -> Self {
        self.sink = vec![
            "type: kafka".to_owned(),
            format!("brokers: [\"{bootstrap}\"]"),
            "topic-creation: { partitions: 3 }".to_owned(),
        ];
        self
    }

    pub fn yaml(&self) -> String {
        let indented = |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        format!(
            "name: {}\nsource:\n  type: mysql\n  snapshot: {}\n{}sink:\n{}  delivery: {}\n\
             on-row-error: halt-table\n",
            self.name,
            self.snapshot,
            indented(&self.source),
            indented(&self.sink),
            self.delivery
        )
    }
}

fn put(lines: &mut Vec<String>, line: &str) {
    let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    match lines.iter_mut().find(|known| key(known) == key(line)) {
        Some(known) => *known = line.to_owned(),
        None => lines.push(line.to_owned()),
    }
}

/// A database, a pipeline, and its output.
pub struct Case<'a> {
    pub db: Db<'a>,
    pub name: String,
    pub dir: TempDir,
    pub pipeline: Pipeline,
    /// Everything that came out of all runs.
    pub seen: Vec<Change>,
}

impl<'a> Case<'a> {
    /// Makes the database `name` (with the server's word behind it) with `tables`, and notes the head.
    pub fn begin(db: Db<'a>, name: &str, tables: &str) -> Result<Self> {
        Self::begin_with(db, name, tables, |spec| spec)
    }

    /// The same with a changed pipeline file.
    pub fn begin_with(db: Db<'a>, name: &str, tables: &str, change: impl FnOnce(Spec) -> Spec) -> Result<Self> {
        let mut case = Self::unstarted(db, name, tables, change)?;
        case.read()?;
        ensure!(case.seen.is_empty(), "rows before the first row: {:?}", case.seen);
        Ok(case)
    }

    /// The same without a first run.
    pub fn unstarted(db: Db<'a>, name: &str, tables: &str, change: impl FnOnce(Spec) -> Spec) -> Result<Self> {
        let name = format!("{name}_{}", db.word());
        db.sql(&format!("create database {name}; use {name}; {tables}"))?;
        let dir = TempDir::new(&name)?;
        let spec = change(Spec::new(&name, db.port()));
        let pipeline = Pipeline::write(dir.path(), &name, &spec.yaml())?;
        Ok(Self { db, name, dir, pipeline, seen: Vec::new() })
    }

    /// Runs statements in the database.
    pub fn sql(&self, script: &str) -> Result<String> {
        self.db.sql(&format!("use {}; {script}", self.name))
    }

    /// Reads to the end of the log; the process must end well. Returns what it said on stderr.
    pub fn read(&mut self) -> Result<String> {
        let (ended, said) = self.run(&["--until", "caught-up"])?;
        ensure!(ended == Ended::Code(0), "ended with {ended:?}: {said}");
        Ok(said)
    }

    /// Reads to the end of the log, where the pipeline must halt with `code` before it gets there.
    pub fn read_to_halt(&mut self, code: &str) -> Result<String> {
        let (ended, said) = self.run(&["--until", "caught-up"])?;
        ensure!(ended == Ended::Code(1), "ended with {ended:?} instead of a halt: {said}");
        ensure!(said.contains(code), "it halted, but not with {code}: {said}");
        Ok(said)
    }

    /// Runs with `arguments` to its end, and keeps what came out.
    pub fn run(&mut self, arguments: &[&str]) -> Result<(Ended, String)> {
        let mut limpid = self.pipeline.run(arguments)?;
        let ended = limpid.wait(PATIENCE)?;
        self.keep(&limpid)?;
        Ok((ended, limpid.stderr()))
    }

    /// Keeps what a process of this case wrote.
    pub fn keep(&mut self, limpid: &Limpid) -> Result<()> {
        self.seen.extend(changes_in(&limpid.stdout())?);
        Ok(())
    }

    /// Changes of one table.
    pub fn changes(&self, table: &str) -> Vec<&Change> {
        let table = format!("{}.{table}", self.name);
        self.seen.iter().filter(|change| change.table == table).collect()
    }

    /// The operations of one table, in their order: `"ccud-"`, where `-` is a tombstone.
    pub fn operations(&self, table: &str) -> String {
        self.changes(table).iter().map(|change| change.op.chars().next().unwrap_or('-')).collect()
    }

    /// What came out, folded, is what the table has. `columns` is the select list.
    pub fn check(&self, table: &str, columns: &str) -> Result<()> {
        let list: Vec<&str> = columns.split(',').map(str::trim).collect();
        let ours = fold(&self.seen, &format!("{}.{table}", self.name), &list)
            .with_context(|| format!("{}.{table}: {:?}", self.name, self.operations(table)))?;
        let mut theirs: Vec<String> =
            self.sql(&format!("select {columns} from {table}"))?.lines().map(str::to_owned).collect();
        theirs.sort();
        ensure!(ours == theirs, "{}.{table} is\n{ours:#?}\nthe server has\n{theirs:#?}", self.name);
        Ok(())
    }
}

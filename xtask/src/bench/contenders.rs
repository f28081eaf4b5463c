//! Command lines of the contenders.
//!
//! Owns: arguments, pipeline files. Does not own: running them (`measure`), Debezium (`debezium`).
//!
//! Invariant: every run of limpid has a pipeline, a state and topics of its own, so that none goes on where another
//! ended.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::Bench;
use super::load::Load;
use super::measure::{Account, Contender, Count};

/// What the sink's part of a pipeline file has besides.
pub(crate) const EXACTLY_ONCE: &str = ", delivery: exactly-once";

impl Contender {
    /// A program of ours or of the system's; nothing is counted.
    fn plain(name: &str, program: PathBuf, arguments: Vec<String>) -> Self {
        Self { name: name.to_owned(), program, arguments, count: Count::Nothing, rows: 0, account: Account::Kernel }
    }
}

pub(crate) fn bare_reader(bench: &Bench, load: &Load) -> Contender {
    let arguments = vec![bench.server.port().to_string(), load.file.clone()];
    Contender::plain("bare reader", bench.programs.join("bare_reader"), arguments)
}

pub(crate) fn mariadb_binlog(bench: &Bench, load: &Load, name: &str, options: &[&str]) -> Contender {
    let port = bench.server.port();
    let mut arguments = vec!["--no-defaults".to_owned(), "-R".into(), "-h127.0.0.1".into(), "-uroot".into()];
    arguments.push(format!("-P{port}"));
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    // Both write to a file: what they read is measured with what they make of it.
    if options.contains(&"--raw") {
        arguments.push(format!("--result-file={}/", bench.dir.path().display()));
    } else {
        arguments.push("--result-file=/dev/null".into());
    }
    arguments.push(load.file.clone());
    Contender::plain(name, "mariadb-binlog".into(), arguments)
}

/// A pipeline of its own from the load's file to its end. `word` sets it apart.
pub(crate) fn limpid(bench: &Bench, load: &Load, name: &str, word: &str, sink: &str) -> anyhow::Result<Contender> {
    let end = bench.server.sql("show master status")?;
    ensure!(end.split('\t').nth(1).is_some_and(|offset| !offset.is_empty()), "the server names its position");
    let pipeline = format!("{}{word}", load.table);
    let start = format!("file:{}:4", load.file);
    let mut arguments = run_arguments(bench, &pipeline, &load.table, &start, "never", sink)?;
    arguments.extend(["--until", "caught-up", "--listen", "127.0.0.1:0"].map(str::to_owned));
    Ok(Contender::plain(name, bench.programs.join("limpid"), arguments))
}

pub(crate) fn limpid_to_kafka(bench: &Bench, load: &Load, name: &str, word: &str) -> anyhow::Result<Contender> {
    limpid_delivering(bench, load, name, word, "")
}

/// The same in transactions, with all else by default.
pub(crate) fn limpid_once_to_kafka(bench: &Bench, load: &Load, name: &str, word: &str) -> anyhow::Result<Contender> {
    limpid_delivering(bench, load, name, word, EXACTLY_ONCE)
}

fn limpid_delivering(bench: &Bench, load: &Load, name: &str, word: &str, delivery: &str) -> anyhow::Result<Contender> {
    let sink = kafka(bench, word) + delivery;
    let mut contender = limpid(bench, load, name, &format!("{word}k"), &sink)?;
    (contender.count, contender.rows) = (Count::Topic { topic: load.topic(word), before: 0 }, load.rows);
    Ok(contender)
}

/// The load's table as it stands, copied and nothing else.
pub(crate) fn limpid_copying(
    bench: &Bench,
    load: &Load,
    name: &str,
    word: &str,
    sink: &str,
) -> anyhow::Result<Contender> {
    let pipeline = format!("{}{word}", load.table);
    let mut arguments = run_arguments(bench, &pipeline, &load.table, "head", "only", sink)?;
    arguments.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
    Ok(Contender::plain(name, bench.programs.join("limpid"), arguments))
}

/// The same to Kafka, where the rows are counted.
pub(crate) fn limpid_copying_to_kafka(bench: &Bench, load: &Load, name: &str, word: &str) -> anyhow::Result<Contender> {
    let mut contender = limpid_copying(bench, load, name, &format!("{word}k"), &kafka(bench, word))?;
    (contender.count, contender.rows) = (Count::Topic { topic: load.topic(word), before: 0 }, load.rows);
    Ok(contender)
}

/// The server's own client reading the table row by row, its text thrown away.
pub(crate) fn mariadb_quick(bench: &Bench, load: &Load) -> Contender {
    let select = format!(
        "exec mariadb --no-defaults -h127.0.0.1 -P{} -uroot --quick --batch -e 'select * from bench.{}' > /dev/null",
        bench.server.port(),
        load.table
    );
    Contender::plain("mariadb --quick", "sh".into(), vec!["-c".into(), select])
}

/// A pipeline that runs until it is told to end, with its metrics at `port`.
pub(crate) fn limpid_running(
    bench: &Bench,
    table: &str,
    word: &str,
    start: &str,
    sink: &str,
    port: u16,
) -> anyhow::Result<Contender> {
    let mut arguments = run_arguments(bench, &format!("{table}{word}"), table, start, "never", sink)?;
    arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
    Ok(Contender::plain("limpid", bench.programs.join("limpid"), arguments))
}

/// Reads tables of these names to null until it is told to end, with its metrics at `port`.
pub(crate) fn limpid_beside(
    bench: &Bench,
    tables: &str,
    word: &str,
    snapshot: &str,
    port: u16,
) -> anyhow::Result<Contender> {
    let mut arguments = run_arguments(bench, &format!("beside{word}"), tables, "head", snapshot, "type: \"null\"")?;
    arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
    Ok(Contender::plain("limpid", bench.programs.join("limpid"), arguments))
}

/// The sink's part of a pipeline file; compression and all else are the sink's defaults.
pub(crate) fn kafka(bench: &Bench, prefix: &str) -> String {
    format!("type: kafka, brokers: [\"{}\"], topic: \"{prefix}.{{schema}}.{{table}}\"", bench.broker.bootstrap())
}

fn run_arguments(
    bench: &Bench,
    pipeline: &str,
    table: &str,
    start: &str,
    snapshot: &str,
    sink: &str,
) -> anyhow::Result<Vec<String>> {
    let port = bench.server.port();
    let file = bench.dir.path().join(format!("{pipeline}.yaml"));
    let yaml = format!(
        "name: {pipeline}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  snapshot: {snapshot}\n  \
         start: \"{start}\"\n  tables: [\"bench.{table}\"]\n  tls: {{ mode: disabled }}\n\
         sink: {{ {sink} }}\non-row-error: halt-table\n"
    );
    std::fs::write(&file, yaml)?;
    let state = bench.dir.path().join(format!("{pipeline}-state"));
    Ok(vec!["run".into(), file.display().to_string(), "--data-dir".into(), state.display().to_string()])
}

/// Reads a topic into a file that `librdkafka_alone` takes, in a process of its own: this one stays small, since the
/// kernel counts a child's peak from its parent's size.
pub(crate) fn records_of(bench: &Bench, topic: &str, rows: u64) -> anyhow::Result<PathBuf> {
    let file = bench.dir.path().join("records");
    let arguments = [bench.broker.bootstrap(), topic.to_owned(), rows.to_string(), file.display().to_string()];
    Contender::plain("records_of", bench.programs.join("records_of"), arguments.to_vec()).run(bench)?;
    Ok(file)
}

/// The records of that file by librdkafka and nothing else. Its own account is taken, which leaves out reading the
/// file into memory and connecting.
pub(crate) fn librdkafka(bench: &Bench, load: &Load, records: &Path, topic: &str) -> anyhow::Result<Contender> {
    bench.broker.create_topic(topic, 1, &[])?;
    let arguments = vec![bench.broker.bootstrap(), topic.to_owned(), records.display().to_string()];
    let mut contender = Contender::plain("librdkafka alone", bench.programs.join("librdkafka_alone"), arguments);
    (contender.count, contender.rows) = (Count::Topic { topic: topic.to_owned(), before: 0 }, load.rows);
    contender.account = Account::Own;
    Ok(contender)
}

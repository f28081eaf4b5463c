//! The loads: logs made once and read by every contender.
//!
//! Owns: tables, statements, which log file holds what. Does not own: who reads it.
//!
//! Invariant: a load is alone in its log file, from the file's start to the log's end.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::Bench;

/// A log file to be read.
pub(crate) struct Load {
    pub(crate) table: String,
    pub(crate) file: String,
    pub(crate) rows: u64,
    /// The file's length.
    pub(crate) bytes: u64,
    /// What Debezium keeps of the position where the load begins.
    pub(crate) offsets: Option<PathBuf>,
}

impl Load {
    /// The topic that a pipeline of this name fills.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{name}.bench.{}", self.table)
    }
}

const COLUMNS: &str = "id bigint not null primary key, customer int unsigned not null, status varchar(20) not null, \
     amount decimal(12,2) not null, qty smallint not null, price double, created datetime(6) not null, \
     updated timestamp not null, note varchar(200), ref char(32), flag tinyint, extra int";

const VALUES: &str = "s.seq, s.seq*7%100000, elt(1+s.seq%4,'new','paid','shipped','cancelled'), \
     round(s.seq*1.37%10000,2), s.seq%500, s.seq*0.125, '2024-01-01 00:00:00.123456' + interval s.seq second, \
     '2024-02-01 00:00:00' + interval s.seq%100000 second, \
     concat('order note number ', s.seq, ' lorem ipsum dolor sit amet, consectetur adipiscing elit sed do'), \
     md5(s.seq), s.seq%2, if(s.seq%3=0,null,s.seq%1000)";

/// Rows of 12 columns, so many a transaction.
pub(crate) fn bulk(bench: &Bench, table: &str, rows: u64, step: u64) -> anyhow::Result<Load> {
    let mut sql = String::new();
    let mut first = 1;
    while first <= rows {
        let last = (first + step - 1).min(rows);
        writeln!(sql, "insert into {table} select {VALUES} from seq_{first}_to_{last} s;")?;
        first += step;
    }
    make(bench, table, COLUMNS, &sql, rows)
}

/// Autocommitted single-row inserts, each with its statement beside its row in the log, as sysbench writes them. The
/// server loops: a client's round trips would take most of the time, and its script our memory.
pub(crate) fn single(bench: &Bench, rows: u64) -> anyhow::Result<Load> {
    let columns = "id bigint not null auto_increment primary key, k int not null, c char(120) not null, \
         pad char(60) not null";
    let sql = format!(
        r#"delimiter //
for i in 1..{rows} do
  execute immediate concat("insert into single (k, c, pad) values (", i, ", '",
    md5(i), "-", md5(i + 1), "-", md5(i + 2), "-", left(md5(i + 3), 18), "', '",
    md5(-i), "-", left(md5(i * 7), 26), "')");
end for//"#
    );
    make(bench, "single", columns, &sql, rows)
}

/// Rows of the bulk load in a table of their own, and none of them in the log.
pub(crate) fn unlogged(bench: &Bench, table: &str, rows: u64) -> anyhow::Result<()> {
    bench.server.sql(&format!(
        "use bench; set sql_log_bin=0; drop table if exists {table}; create table {table} ({COLUMNS}); \
         insert into {table} select {VALUES} from seq_1_to_{rows} s;"
    ))?;
    Ok(())
}

/// One row.
pub(crate) fn one_row(bench: &Bench) -> anyhow::Result<Load> {
    make(bench, "one", "id int not null primary key", "insert into one values (1);", 1)
}

/// One transaction beyond 2 GiB, so that it crosses what fits a signed position too.
pub(crate) fn huge(bench: &Bench) -> anyhow::Result<Load> {
    let sql = "insert into huge select seq, repeat(md5(seq), 68) from seq_1_to_1000000;";
    make(bench, "huge", "id bigint not null primary key, body varchar(3000) not null", sql, 1_000_000)
}

/// An empty table, a fresh log file, and the statements alone in it.
fn make(bench: &Bench, table: &str, columns: &str, sql: &str, rows: u64) -> anyhow::Result<Load> {
    println!("making the load {table}");
    let file = table_and_file(bench, table, columns)?;
    let offsets = match &bench.debezium {
        Ok(debezium) if ["bulk", "single"].contains(&table) => Some(debezium.prepare(bench, table)?),
        _ => None,
    };
    bench.server.sql(&format!("use bench;\n{sql}"))?;
    let path = bench.server.dir().join("binlog").join(&file);
    let bytes = std::fs::metadata(&path).with_context(|| format!("measure {}", path.display()))?.len();
    Ok(Load { table: table.to_owned(), file, rows, bytes, offsets })
}

/// Makes a table and begins a log file, whose name is returned.
pub(crate) fn table_and_file(bench: &Bench, table: &str, columns: &str) -> anyhow::Result<String> {
    bench.server.sql(&format!(
        "create database if not exists bench; use bench; create table if not exists {table} ({columns}); \
         flush binary logs;"
    ))?;
    let status = bench.server.sql("show master status")?;
    Ok(status.split('\t').next().unwrap_or_default().to_owned())
}

//! The loads: logs made once and read by every contender.
//!
//! Owns: tables, statements, which log file holds what. Does not own: who reads it.
//!
//! Invariant: a load is alone in its log file, from the file's start to the log's end.

use std::fmt::Write;

use super::Bench;

/// A log file to be read.
pub(crate) struct Load {
    pub(crate) table: String,
    pub(crate) file: String,
    pub(crate) rows: u64,
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
    let mut sql = format!("create database if not exists bench; use bench; create table {table} ({COLUMNS}); ");
    sql += "flush binary logs;\n";
    let mut first = 1;
    while first <= rows {
        let last = (first + step - 1).min(rows);
        writeln!(sql, "insert into {table} select {VALUES} from seq_{first}_to_{last} s;")?;
        first += step;
    }
    let file = newest_file_after(bench, &sql)?;
    Ok(Load { table: table.to_owned(), file, rows })
}

/// Autocommitted single-row inserts.
pub(crate) fn single(bench: &Bench, rows: u64) -> anyhow::Result<Load> {
    let mut sql = "create database if not exists bench; use bench; create table single (id bigint not null \
         auto_increment primary key, k int not null, c char(120) not null, pad char(60) not null); \
         flush binary logs;\n"
        .to_owned();
    for row in 0..rows {
        writeln!(sql, "insert into single (k, c, pad) values ({row}, md5({row}), md5({}));", row * 7)?;
    }
    let file = newest_file_after(bench, &sql)?;
    Ok(Load { table: "single".into(), file, rows })
}

/// Runs the statements, of which the first end with a fresh log file, and names that file.
fn newest_file_after(bench: &Bench, sql: &str) -> anyhow::Result<String> {
    bench.server.sql(sql)?;
    let status = bench.server.sql("show master status")?;
    Ok(status.split('\t').next().unwrap_or_default().to_owned())
}

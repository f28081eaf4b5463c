//! Two servers of one kind, the second a replica of the first.
//!
//! Owns: their start, their replication, its end. Does not own: what is read from which.
//!
//! Invariant: they replicate by their own means, set up by their own client.

use anyhow::{Result, ensure};
use limpid_stack::{mariadb, mysql, require};

use crate::servers::Db;

/// Two servers, the second a replica of the first.
#[derive(Debug)]
pub enum Pair {
    Maria(mariadb::Server, mariadb::Server),
    MySql(mysql::Server, mysql::Server),
}

impl Pair {
    pub fn maria() -> Result<Option<Self>> {
        let start = |server_id| mariadb::start(&mariadb::Options { server_id, ..mariadb::Options::default() });
        let Some(first) = require(start(1)) else { return Ok(None) };
        let Some(second) = require(start(2)) else { return Ok(None) };
        Ok(Some(Pair::Maria(first, second).follows()?))
    }

    pub fn mysql() -> Result<Option<Self>> {
        let start = |server_id| mysql::start(&mysql::Options { server_id, ..mysql::Options::default() });
        let Some(first) = require(start(11)) else { return Ok(None) };
        let Some(second) = require(start(12)) else { return Ok(None) };
        Ok(Some(Pair::MySql(first, second).follows()?))
    }

    pub fn both() -> Result<Vec<Self>> {
        Ok([Self::maria()?, Self::mysql()?].into_iter().flatten().collect())
    }

    fn follows(self) -> Result<Self> {
        let how = if self.first().is_maria() { "master_use_gtid=slave_pos" } else { "master_auto_position=1" };
        self.second().sql(&format!(
            "change master to master_host='127.0.0.1', master_port={}, master_user='root', master_connect_retry=1, {how}; \
             start slave",
            self.first().port()
        ))?;
        Ok(self)
    }

    pub fn first(&self) -> Db<'_> {
        match self {
            Pair::Maria(first, _) => Db::Maria(first),
            Pair::MySql(first, _) => Db::MySql(first),
        }
    }

    pub fn second(&self) -> Db<'_> {
        match self {
            Pair::Maria(_, second) => Db::Maria(second),
            Pair::MySql(_, second) => Db::MySql(second),
        }
    }

    pub fn kill_first(&self) -> Result<()> {
        match self {
            Pair::Maria(first, _) => first.kill(),
            Pair::MySql(first, _) => first.kill(),
        }
    }

    pub fn restart_first(&self) -> Result<()> {
        match self {
            Pair::Maria(first, _) => first.restart(),
            Pair::MySql(first, _) => first.restart(),
        }
    }

    pub fn url(&self) -> String {
        format!("url: mysql://127.0.0.1:{},127.0.0.1:{}", self.first().port(), self.second().port())
    }

    /// Waits until the second has what the first has now.
    pub fn settle(&self) -> Result<()> {
        let gtids = self.first().gtids()?;
        let gtids = gtids.trim_start_matches("gtid:");
        let ask = if self.first().is_maria() {
            format!("select master_gtid_wait('{gtids}', 60)")
        } else {
            format!("select wait_for_executed_gtid_set('{gtids}', 60)")
        };
        let answer = self.second().sql(&ask)?;
        ensure!(answer.trim() == "0", "the replica did not get {gtids}: {answer}");
        Ok(())
    }

    /// Makes a server of its own of the second.
    pub fn promote(&self) -> Result<()> {
        self.second().sql("stop slave; reset slave all").map(drop)
    }

    pub fn endpoints(&self) -> [String; 2] {
        [self.first(), self.second()].map(|db| format!("127.0.0.1:{}", db.port()))
    }
}

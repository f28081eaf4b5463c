//! Reads chunks of tables at a replica, while the stream is read at its source.
//!
//! Owns: which of the two is asked for what, the proof that the replica can be read so. Does not own: reading (`copy`), the
//! moment of a chunk and its fence (`copy::fence`).
//!
//! Invariant: before the moment of a chunk the replica holds everything that the stream may have yielded when its caller
//! began to watch, and its fence holds everything that the chunk shows. So no row of it is older than what the stream said.
//!
//! Why that is so:
//! - A stream yields a transaction once it is in the source's log, which is before others see it. `gtid_binlog_pos` of
//!   MariaDB has it by then; on MySQL `gtid_executed` may not, but then the session that commits it still owns it, and it
//!   is in `gtid_owned`. What is waited for at the replica is therefore both together, the owned ones read first.
//! - The fence is what the moment shows, or more. MariaDB keeps the last transaction of each domain in a table of
//!   InnoDB's, written by the very transaction; read inside the snapshot it is exact. MySQL: what is visible is in
//!   `gtid_executed`, or still owned by the session that applies it.
//! - The replica writes nothing of its own, filters nothing, and had nothing that the source had not: a fence of other
//!   transactions would never be reached, and rows of others never corrected.
//!
//! What cannot be proved at a replica is read at the source: tables without a key, and tables of other engines.

use std::collections::BTreeMap;

use limpid_connector::{Chunk, ChunkAsk, KeyRange, SourceLoad, TableFound, TableReader};
use limpid_model::{Component, Fault, FaultCode, Position, TableName};

use super::MySqlTableReader;
use super::fence::{self, Nearness};
use crate::client::{Client, ConnectOptions};
use crate::company::{self, Holds};
use crate::gtid::GtidSet;
use crate::position::Flavor;
use crate::server::ServerFacts;
use crate::stream::MySqlOptions;

/// Reads tables of one server at another one.
pub struct ElsewhereReader {
    source: MySqlTableReader,
    replica: MySqlTableReader,
    /// For questions to the source. `None` after a failure.
    head: Option<(Client, ServerFacts)>,
    /// What the replica wrote itself when it was found fit.
    own: GtidSet,
}

impl ElsewhereReader {
    /// Connects to both, and refuses a replica that cannot be read in place of its source.
    ///
    /// # Errors
    /// Those of connecting; `POSITION_INVALID` without GTIDs; `SOURCE_REPLICA_UNFIT` for a server that is no whole replica of the
    /// source.
    pub fn open(options: MySqlOptions, replica: ConnectOptions) -> Result<Self, Fault> {
        let at_replica = MySqlOptions { connect: replica, others: Vec::new(), ..options.clone() };
        let mut replica = MySqlTableReader::open(at_replica)?;
        replica.nearness = Nearness::Replica;
        let mut reader = Self {
            source: MySqlTableReader::open(options)?,
            replica,
            head: None,
            own: GtidSet::MySql(BTreeMap::new()),
        };
        reader.check()?;
        Ok(reader)
    }

    fn check(&mut self) -> Result<(), Fault> {
        let (mut source, facts) = self.take_head()?;
        let mut link = self.replica.take_link()?;
        let endpoint = link.connect.endpoint();
        let refused = |code, text: &str, help: &str| {
            Err(Fault::new(code, Component::Input, text.to_owned()).about(endpoint.as_str()).help(help.to_owned()))
        };
        if facts.flavor != link.facts.flavor {
            let text = "tables cannot be read from a server of the other kind than the source";
            return refused(FaultCode::SourceReplicaUnfit, text, "set source.snapshot-from to a replica of source.url");
        }
        if !facts.gtids || !link.facts.gtids {
            let text = "tables can be read from a replica only where both have GTIDs";
            return refused(
                FaultCode::PositionInvalid,
                text,
                "set gtid_mode=ON at both, or leave source.snapshot-from out",
            );
        }
        if !company::follows_whole(&mut link.client, &link.facts)? {
            let text =
                "what is to be read from is no replica, or one that filters what it replicates, or may not be asked";
            let right = if facts.flavor == Flavor::MariaDb { "REPLICA MONITOR" } else { "REPLICATION CLIENT" };
            let help = format!("GRANT {right} ON *.* TO '{}'@'...' there", link.connect.user);
            return refused(FaultCode::SourceReplicaUnfit, text, &help);
        }
        if facts.flavor == Flavor::MariaDb && !fence::has_exact_position(&mut link)? {
            let text = "the replica's position is not in one table of InnoDB's, or may not be read";
            let help = format!("GRANT SELECT ON mysql.gtid_slave_pos TO '{}'@'...' there", link.connect.user);
            return refused(FaultCode::SourceGrantMissing, text, &help);
        }
        // The replica first: what it has the source then has too.
        let theirs = Holds::read(&mut link.client, &link.facts)?;
        let ours = Holds::read(&mut source, &facts)?;
        if let Some(lacking) = ours.lacks(&theirs.as_set()) {
            let text = format!(
                "the replica holds transactions that the source never had: {}",
                company::cut(&lacking.set.to_string())
            );
            return refused(
                FaultCode::SourceReplicaUnfit,
                &text,
                "set source.snapshot-from to a replica of source.url",
            );
        }
        self.own = theirs.own(&link.facts);
        self.replica.link = Some(link);
        self.head = Some((source, facts));
        Ok(())
    }

    fn take_head(&mut self) -> Result<(Client, ServerFacts), Fault> {
        match self.head.take() {
            Some(head) => Ok(head),
            None => {
                let mut client = Client::connect(&self.source.options.connect)?;
                let facts = ServerFacts::read(&mut client)?;
                Ok((client, facts))
            }
        }
    }

    /// True where a chunk of the table can be read at the replica.
    fn is_there(&mut self, table: &TableName) -> Result<bool, Fault> {
        let mut link = self.replica.take_link()?;
        let known = self.replica.known(&mut link, table)?;
        self.replica.link = Some(link);
        Ok(known.is_some_and(|known| known.is_innodb() && known.key.is_some()))
    }

    fn reader_of(&mut self, table: &TableName) -> Result<&mut MySqlTableReader, Fault> {
        Ok(if self.is_there(table)? { &mut self.replica } else { &mut self.source })
    }
}

impl TableReader for ElsewhereReader {
    fn tables(&mut self) -> Result<Vec<TableFound>, Fault> {
        self.source.tables()
    }

    fn split(&mut self, table: &TableName, pieces: u32) -> Result<Vec<KeyRange>, Fault> {
        self.reader_of(table)?.split(table, pieces)
    }

    fn is_behind(&mut self) -> Result<bool, Fault> {
        let (mut source, facts) = self.take_head()?;
        let head = may_be_yielded(&mut source, &facts)?;
        self.head = Some((source, facts));
        let mut link = self.replica.take_link()?;
        let held = company::wait_for(&mut link.client, link.facts.flavor, &head)?;
        let own = Holds::read(&mut link.client, &link.facts)?.own(&link.facts);
        if own != self.own {
            let text = "the replica that tables are read from has begun to write transactions of its own";
            let fault =
                Fault::new(FaultCode::SourceReplicaUnfit, Component::Input, text).about(link.connect.endpoint());
            return Err(fault.help("leave source.snapshot-from out, or set it to a replica that nobody writes to"));
        }
        self.replica.link = Some(link);
        Ok(!held)
    }

    fn read(&mut self, ask: &ChunkAsk<'_>) -> Result<Option<Chunk>, Fault> {
        self.reader_of(ask.table)?.read(ask)
    }

    fn begin_whole(&mut self, table: &TableName, predicate: Option<&str>) -> Result<Option<Position>, Fault> {
        self.source.begin_whole(table, predicate)
    }

    fn read_whole(&mut self, bytes_max: u64) -> Result<Option<Chunk>, Fault> {
        self.source.read_whole(bytes_max)
    }

    fn statements_of_others(&mut self) -> Result<Option<u64>, Fault> {
        self.replica.statements_of_others()
    }

    fn load(&mut self) -> Result<SourceLoad, Fault> {
        self.replica.load()
    }
}

/// Everything that a stream may have yielded by now.
fn may_be_yielded(client: &mut Client, facts: &ServerFacts) -> Result<GtidSet, Fault> {
    match facts.flavor {
        Flavor::MySql => company::owned_and_executed(client),
        Flavor::MariaDb => company::logged(client),
    }
}

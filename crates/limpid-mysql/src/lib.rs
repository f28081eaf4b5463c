//! MySQL and MariaDB: the replication client, the log's decoder, schemas as of the log position.
//!
//! Owns: everything that knows these two servers. Does not own: order, checkpoints, other systems.
//!
//! Invariant: a row leaves only when its transaction is known to be committed, decoded with the schema it was written
//! with.

mod assemble;
mod bytes;
pub mod catalogue;
mod charset;
mod checksum;
mod client;
mod comments;
mod company;
mod compressed;
pub mod config;
mod copy;
pub mod ddl;
pub mod doctor;
mod dump;
mod events;
mod facts;
#[cfg(test)]
mod fixture;
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod gtid;
mod head;
mod heartbeat;
mod held;
pub mod history;
mod intake;
mod jsonb;
mod lookahead;
pub mod lookup;
mod mapping;
mod payload;
mod position;
mod replay;
mod rows;
mod schemas;
mod selection;
mod server;
mod stream;
mod tablemap;
mod tables;
mod values;

pub use client::{Asked, ConnectOptions, TlsMode, TlsOptions};
pub use heartbeat::HeartbeatOptions;
pub use position::{Flavor, LogPosition};
pub use replay::LogFile;
pub use rows::RowsDecoder;
pub use selection::Selection;
pub use stream::{MySqlOptions, MySqlSource};

/// For the programs that the benches run beside us: the same dump flags and the same client, and nothing else of ours.
pub mod bench {
    use std::io;

    use limpid_model::Fault;

    use crate::client::{Client, ConnectOptions, Socket};
    use crate::dump::{DumpFrom, DumpOptions, start};
    use crate::position::Flavor;

    /// A socket on which a dump was asked for.
    pub struct BareDump(Socket);

    impl BareDump {
        /// Reads what is there.
        ///
        /// # Errors
        /// The connection broke.
        pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes)
        }
    }

    /// Asks a MariaDB server for its log from the start of `file` to the log's end.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn open_dump(options: &ConnectOptions, file: &str) -> Result<BareDump, Fault> {
        let from = DumpFrom::File { file: file.into(), offset: 4 };
        let heartbeat = std::time::Duration::from_secs(1);
        let dump =
            DumpOptions { flavor: Flavor::MariaDb, server_id: 4242, non_block: true, heartbeat, statements: false };
        start(options, &from, &dump).map(|dump| BareDump(dump.socket))
    }

    /// A connection that runs statements, one at a time.
    pub struct Session(Client);

    impl Session {
        /// Connects and logs in.
        ///
        /// # Errors
        /// Those of connecting.
        pub fn open(options: &ConnectOptions) -> Result<Self, Fault> {
            Client::connect(options).map(Self)
        }

        /// Runs a statement; returns when the server has answered.
        ///
        /// # Errors
        /// The server's refusal, or a broken connection.
        pub fn query(&mut self, sql: &str) -> Result<(), Fault> {
            let done = self.0.query(sql).map(drop);
            done.map_err(|error| error.into_fault("run a statement", self.0.endpoint()))
        }
    }
}

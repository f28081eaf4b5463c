//! Asking a server for its log.
//!
//! Owns: session variables, registration and the dump command of both flavours. Does not own: reading what follows
//! (`intake`), choosing the position (`stream`).
//!
//! Invariant: after `start` the socket yields event packets only.

use std::sync::Arc;
use std::time::Duration;

use limpid_model::{Fault, FaultCode};

use crate::client::{Client, ConnectOptions, Socket};
use crate::gtid::GtidSet;
use crate::position::Flavor;
use crate::server::grant_help;

/// Where a dump begins.
#[derive(Clone, Debug)]
pub enum DumpFrom {
    File {
        file: Arc<str>,
        offset: u32,
    },
    /// After every transaction of the set.
    Gtids(Arc<GtidSet>),
}

/// How to ask.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    pub flavor: Flavor,
    pub server_id: u32,
    /// Ends at the end of the log instead of waiting there.
    pub non_block: bool,
    /// The server sends something at least this often.
    pub heartbeat: Duration,
    /// MariaDB sends the text of each statement only to those who ask; MySQL sends what its log has
    /// (`binlog_rows_query_log_events`).
    pub statements: bool,
}

/// A dump that was asked for.
pub struct Dump {
    pub socket: Socket,
    /// What comes before the first FORMAT_DESCRIPTION event ends in a CRC32.
    pub checksum: bool,
}

const NON_BLOCK: u16 = 0x01;
/// MariaDB only.
const ANNOTATE_ROWS: u16 = 0x02;
const THROUGH_GTID: u16 = 0x04;

/// Connects and asks for the log.
///
/// # Errors
/// Those of connecting, and a server that refuses a variable.
pub fn start(options: &ConnectOptions, from: &DumpFrom, dump: &DumpOptions) -> Result<Dump, Fault> {
    start_on(Client::connect(options)?, options, from, dump)
}

/// Asks for the log on a connection that was made with these options.
///
/// # Errors
/// A server that refuses a variable.
pub fn start_on(
    mut client: Client,
    options: &ConnectOptions,
    from: &DumpFrom,
    dump: &DumpOptions,
) -> Result<Dump, Fault> {
    let checksum = prepare(&mut client, from, dump).map_err(|fault| match fault.code() {
        FaultCode::SourceGrantMissing => fault.help(grant_help(dump.flavor, &options.user)),
        _ => fault,
    })?;
    let command = command(from, dump);
    client.command(&command).map_err(|error| error.into_fault("ask for the log", &options.endpoint()))?;
    Ok(Dump { socket: client.into_socket(), checksum })
}

/// True where the server writes checksums now.
fn prepare(client: &mut Client, from: &DumpFrom, dump: &DumpOptions) -> Result<bool, Fault> {
    let heartbeat = dump.heartbeat.as_nanos();
    let mut statements = vec![
        "SET @master_binlog_checksum=@@global.binlog_checksum, @source_binlog_checksum=@@global.binlog_checksum".into(),
        format!("SET @master_heartbeat_period={heartbeat}, @source_heartbeat_period={heartbeat}"),
        // Nobody reads while the stream stands at the fence of a table that is copied whole.
        "SET net_write_timeout=86400".into(),
    ];
    match dump.flavor {
        Flavor::MariaDb => {
            // Without capability 4 the server rewrites GTID events into BEGIN.
            statements.push("SET @mariadb_slave_capability=4".into());
            if let DumpFrom::Gtids(set) = from {
                statements.push(format!("SET @slave_connect_state='{set}'"));
                statements.push("SET @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0".into());
            }
        }
        Flavor::MySql => {
            // Servers tell replicas apart by this; it only has to differ from every other replica's.
            let uuid = format!("00000000-0000-4000-8000-{:012x}", dump.server_id);
            statements.push(format!("SET @slave_uuid='{uuid}', @replica_uuid='{uuid}'"));
        }
    }
    for statement in statements {
        let endpoint = client.endpoint().to_owned();
        client.query(&statement).map_err(|error| error.into_fault("prepare the session for a dump", &endpoint))?;
    }
    let checksum = client.query_value("SELECT @master_binlog_checksum");
    let endpoint = client.endpoint().to_owned();
    let checksum = checksum.map_err(|error| error.into_fault("prepare the session for a dump", &endpoint))?;
    register(client, dump.server_id)?;
    Ok(checksum.is_some_and(|checksum| checksum != "NONE"))
}

/// COM_REGISTER_SLAVE: makes us visible among the server's replicas.
fn register(client: &mut Client, server_id: u32) -> Result<(), Fault> {
    let mut command = vec![0x15];
    command.extend_from_slice(&server_id.to_le_bytes());
    // Host, user and password empty, port, rank and master id zero.
    command.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
    let endpoint = client.endpoint().to_owned();
    let fault = |error: crate::client::QueryError| error.into_fault("register as a replica", &endpoint);
    client.command(&command).map_err(fault)?;
    let answer = client.read_packet().map_err(fault)?;
    match answer.first() {
        Some(0xff) => Err(fault(crate::client::QueryError::Server(crate::client::server_error(&answer)))),
        _ => Ok(()),
    }
}

fn command(from: &DumpFrom, dump: &DumpOptions) -> Vec<u8> {
    let mut flags = if dump.non_block { NON_BLOCK } else { 0 };
    if dump.statements && dump.flavor == Flavor::MariaDb {
        flags |= ANNOTATE_ROWS;
    }
    let mut command = Vec::new();
    match (from, dump.flavor) {
        (DumpFrom::File { file, offset }, _) => {
            command.push(0x12);
            command.extend_from_slice(&offset.to_le_bytes());
            command.extend_from_slice(&flags.to_le_bytes());
            command.extend_from_slice(&dump.server_id.to_le_bytes());
            command.extend_from_slice(file.as_bytes());
        }
        (DumpFrom::Gtids(_), Flavor::MariaDb) => {
            command.push(0x12);
            command.extend_from_slice(&4u32.to_le_bytes());
            command.extend_from_slice(&flags.to_le_bytes());
            command.extend_from_slice(&dump.server_id.to_le_bytes());
        }
        (DumpFrom::Gtids(set), Flavor::MySql) => {
            let data = set.dump_bytes();
            command.push(0x1e);
            command.extend_from_slice(&(flags | THROUGH_GTID).to_le_bytes());
            command.extend_from_slice(&dump.server_id.to_le_bytes());
            command.extend_from_slice(&0u32.to_le_bytes());
            command.extend_from_slice(&4u64.to_le_bytes());
            command.extend_from_slice(&(data.len() as u32).to_le_bytes());
            command.extend_from_slice(&data);
        }
    }
    command
}

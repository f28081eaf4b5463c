//! A stream whose disk fails under it.
//!
//! Owns: what leaves it then. Does not own: streams from real servers (the end-to-end tests).

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::client::{Socket, TlsMode, TlsOptions};
use crate::events::{EventHead, number};
use crate::fixture::{self, Log};
use crate::held::{Held, Looks};
use crate::rows::kind;
use crate::schemas::{Schemas, ServerNames};

/// A stream of a server that has sent `log`, and the server's side of it.
fn stream(log: &Log, held: Held) -> (MySqlStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut theirs = listener.accept().unwrap().0;
    let mut rest = &log.bytes()[4..];
    while !rest.is_empty() {
        let len = EventHead::parse(rest).unwrap().size as usize;
        let (event, behind) = rest.split_at(len);
        let head = (len as u32 + 1).to_le_bytes();
        theirs.write_all(&[&head[..3], &[0, 0], event].concat()).unwrap();
        rest = behind;
    }
    let flavor = Flavor::MySql;
    let start = LogPosition { gtids: None, file: "bin.000001".into(), offset: 4, inside: None, undecided: None };
    let selection = Selection { tables: vec!["shop.*".to_owned()], columns: Vec::new() };
    let schemas = Schemas::new(selection, ServerNames { flavor, version: 8_0000, lower_case_names: false });
    let stream = MySqlStream {
        assembler: Assembler::new(flavor, schemas, &start).with_held(held),
        opened_at: Position::new(start),
        intake: Intake::new(Socket::Plain(ours)),
        checksum: true,
        decoder: Arc::new(RowsDecoder { json_text: JsonText::Debezium, accept_partial_images: true }),
        until: StopAt::Never,
        ended: false,
        fault: None,
        payload: None,
        silent: Duration::ZERO,
        clock: Clock::system(),
        waited: Duration::ZERO,
        dump: DumpOptions { flavor, server_id: 9, non_block: false, heartbeat: HEARTBEAT, statements: false },
        connect: ConnectOptions {
            host: "127.0.0.1".to_owned(),
            port: 0,
            user: String::new(),
            password: String::new(),
            tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
            connect_timeout: Duration::from_secs(1),
            asked: Default::default(),
        },
        user: String::new(),
        server: ServerMark { id: 7, uuid: String::new() },
        hold: None,
    };
    (stream, theirs)
}

/// The position is saved with the first batch beyond the PREPARE, and nothing before it is read again.
#[test]
fn no_batch_leaves_a_stream_that_could_not_keep_what_was_prepared() {
    let folder = std::env::temp_dir().join(format!("limpid-stream-{}", std::process::id()));
    let mut log = Log::new("8.0.36", true);
    log.transaction(1, 1);
    log.push(number::GTID, 0, &fixture::gtid(2)).push(number::QUERY, 0, &fixture::query("XA START X'61',X'',1"));
    log.push(number::TABLE_MAP, 0, &fixture::table_map(1)).push(kind::WRITE_V2, 0, &fixture::rows(1, [2]));
    log.push(number::QUERY, 0, &fixture::query("XA END X'61',X'',1"));
    log.push(number::XA_PREPARE, 0, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a']).transaction(3, 3);
    let mut batch = Batch::default();
    for fails in [false, true] {
        let held = Held::open(Some(folder.clone()), Some(&[]), Arc::<Looks>::default()).unwrap();
        let (mut stream, server) = stream(&log, held);
        if fails {
            fs::remove_dir_all(&folder).unwrap();
            fs::write(&folder, b"no folder").unwrap();
        }
        let mut next = || stream.next(&mut batch, Duration::from_secs(10));
        if !fails {
            assert!(matches!(next().unwrap(), Next::Batch));
            assert_eq!(batch.end.as_ref().map(|end| end.undecided().len()), Some(1));
            continue;
        }
        let fault = next().err().unwrap();
        assert_eq!(fault.code(), FaultCode::StateUnwritable);
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        // Though the disk is well again, and the connection breaks, at which whatever is settled leaves.
        drop(server);
        for _ in 0..3 {
            assert_eq!(next().err().map(|fault| fault.code()), Some(FaultCode::StateUnwritable));
        }
    }
    let _ = fs::remove_dir_all(&folder);
}

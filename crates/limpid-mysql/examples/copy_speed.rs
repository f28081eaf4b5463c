//! Reads one table with several readers as fast as it goes and says how fast that was.
//!
//! Owns: nothing. Does not own: anything that a pipeline uses. Usage: `copy_speed PORT SCHEMA.TABLE READERS`.
//!
//! Invariant: what is timed is reading and decoding alone; chunks are dropped.

use std::sync::Mutex;
use std::time::Duration;

use limpid_connector::{ChunkAsk, Clock, JsonText, Source};
use limpid_model::TableName;
use limpid_mysql::{ConnectOptions, MySqlOptions, MySqlSource, Selection, TlsMode, TlsOptions};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, port, table, readers] = args.as_slice() else { panic!("copy_speed PORT SCHEMA.TABLE READERS") };
    let (schema, table) = table.split_once('.').expect("SCHEMA.TABLE");
    let (table, readers) = (TableName::new(schema, table), readers.parse::<u32>().expect("a number of readers"));
    let source = MySqlSource::new(MySqlOptions {
        connect: ConnectOptions {
            host: "127.0.0.1".into(),
            port: port.parse().expect("a port"),
            user: "root".into(),
            password: String::new(),
            tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
            connect_timeout: Duration::from_secs(5),
            asked: Default::default(),
        },
        others: Vec::new(),
        snapshot_from: None,
        selection: Selection { tables: vec![table.to_string()], columns: Vec::new() },
        accept_partial_images: false,
        server_id: 1,
        json_text: JsonText::Debezium,
        held: None,
        contexts: false,
        heartbeat: None,
    });
    let clock = Clock::system();
    let begin = clock.nanos();
    let ranges = source.table_reader().expect("connect").split(&table, readers * 4).expect("split");
    let split = clock.nanos();
    let queue = Mutex::new(ranges);
    let sums = Mutex::new((0, 0, 0));
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let mut reader = source.table_reader().expect("connect");
                loop {
                    let Some(range) = queue.lock().expect("no reader panics").pop() else { return };
                    let mut rest = Some(range);
                    while let Some(range) = rest {
                        let range = &range;
                        let (rows_max, bytes_max) = (u32::MAX, 8 << 20);
                        let ask = ChunkAsk { table: &table, range, predicate: None, rows_max, bytes_max };
                        let chunk = reader.read(&ask).expect("read").expect("the table is there");
                        let mut sums = sums.lock().expect("no reader panics");
                        *sums = (sums.0 + chunk.rows, sums.1 + chunk.bytes, sums.2 + 1);
                        rest = chunk.rest;
                    }
                }
            });
        }
    });
    let (rows, bytes, chunks) = *sums.lock().expect("no reader panics");
    let seconds = |from: u64, to: u64| (to - from) as f64 / 1e9;
    let (borders, all) = (seconds(begin, split), seconds(begin, clock.nanos()));
    println!("{rows} rows, {bytes} bytes, {chunks} chunks in {all:.3} s ({borders:.3} s of it for borders)");
}

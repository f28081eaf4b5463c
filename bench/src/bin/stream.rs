//! The reader and the decoder against a real server, without an engine around them.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
use std::time::{Duration, Instant};

use limpid_connector::{DecodeTally, Next, Source, StartPoint, Until};
use limpid_model::Batch;
use limpid_mysql::{ConnectOptions, MySqlOptions, MySqlSource, Selection, TlsMode, TlsOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().unwrap().parse()?;
    let from = args.next().unwrap();
    let decode = args.next().is_none();
    let connect = ConnectOptions {
        host: "127.0.0.1".into(),
        port,
        user: "root".into(),
        password: String::new(),
        tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
        connect_timeout: Duration::from_secs(5),
        asked: Default::default(),
    };
    let mut source = MySqlSource::new(MySqlOptions {
        connect,
        others: Vec::new(),
        snapshot_from: None,
        selection: Selection::default(),
        accept_partial_images: false,
        server_id: 777,
        json_text: Default::default(),
        held: None,
        contexts: false,
        heartbeat: None,
    });
    let start = Instant::now();
    let mut stream = source
        .open(&StartPoint::At(from), &Until::CaughtUp, None)
        .map_err(|f| anyhow::anyhow!("{} {f:?}", f.code()))?;
    let decoder = stream.decoder();
    let mut batch = Batch::default();
    let mut tally = DecodeTally::default();
    let (mut rows, mut batches) = (0u64, 0u64);
    let mut sum = 0u64;
    loop {
        match stream.next(&mut batch, Duration::from_secs(1)).map_err(|f| anyhow::anyhow!("{} {f:?}", f.code()))? {
            Next::Batch => {
                if decode {
                    decoder.decode(&mut batch, &mut tally).map_err(|f| anyhow::anyhow!("{f:?}"))?;
                    for cell in &batch.cells {
                        sum = sum.wrapping_add(cell.bits());
                    }
                }
                rows += batch.rows.len() as u64;
                batches += 1;
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    println!(
        "{rows} rows, {batches} batches, sum {sum:x}, end {:?} in {:.3} s",
        batch.end,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

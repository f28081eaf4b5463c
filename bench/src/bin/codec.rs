//! Decode a recorded log into cells, and encode the cells, without any server: the vertical slice under a stopwatch.
//!
//! Owns: the loop and its figures. Does not own: the code it measures.
//!
//! Invariant: every value of every row is read (their bytes are folded into a sum that is printed), so that nothing
//! can be optimised away.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::Instant;

use limpid_codec::{Connector, DebeziumEncoder, DebeziumOptions, TopicRegistry, TopicTemplate};
use limpid_connector::{Decode, DecodeTally, Encode, EncodeTally, EncodedBatch};
use limpid_model::{CellKind, PipelineName};
use limpid_mysql::{Flavor, LogFile, RowsDecoder, Selection};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or_else(|| anyhow::anyhow!("usage: codec LOG_FILE [mysql|mariadb] [rounds]"))?;
    let flavor = if args.next().as_deref() == Some("mysql") { Flavor::MySql } else { Flavor::MariaDb };
    let rounds: u32 = args.next().map_or(Ok(5), |text| text.parse())?;
    let bytes = bytes::Bytes::from(std::fs::read(path)?);
    for round in 0..rounds {
        let mut log = LogFile::open(bytes.clone(), "bench", flavor, Selection::default())?;
        let decoder = RowsDecoder { json_text: Default::default(), accept_partial_images: false };
        let connector = if flavor == Flavor::MySql { Connector::MySql } else { Connector::MariaDb };
        let options = DebeziumOptions::new(PipelineName::parse("bench").expect("a legal name"), connector);
        let template = TopicTemplate::parse("{pipeline}.{schema}.{table}").expect("a legal template");
        let mut encoder = DebeziumEncoder::new(options, std::sync::Arc::new(TopicRegistry::new(template)));
        let (mut out, mut tally) = (EncodedBatch::default(), DecodeTally::default());
        let mut encoding = EncodeTally::default();
        let (mut encode, mut encoded_bytes) = (std::time::Duration::ZERO, 0u64);
        let (mut rows, mut cells, mut sum, mut batches) = (0u64, 0u64, 0u64, 0u64);
        let mut assemble = std::time::Duration::ZERO;
        let mut decode = std::time::Duration::ZERO;
        let mut touch = std::time::Duration::ZERO;
        loop {
            let start = Instant::now();
            let more = log.next(&mut out.batch)?;
            assemble += start.elapsed();
            if !more {
                break;
            }
            let start = Instant::now();
            decoder.decode(&mut out.batch, &mut tally)?;
            decode += start.elapsed();
            let start = Instant::now();
            let batch = &out.batch;
            for cell in &batch.cells {
                sum = sum.wrapping_add(match cell.kind() {
                    CellKind::Text | CellKind::Bytes => batch.bytes(*cell).iter().map(|byte| *byte as u64).sum(),
                    _ => cell.bits(),
                });
            }
            touch += start.elapsed();
            rows += batch.rows.len() as u64;
            cells += batch.cells.len() as u64;
            batches += 1;
            let start = Instant::now();
            out.clear_records();
            encoder.encode(&mut out, 1_700_000_000_000_000, &mut encoding);
            encode += start.elapsed();
            encoded_bytes += out.bytes.len() as u64;
        }
        let per_row = |time: std::time::Duration| time.as_nanos() as f64 / rows.max(1) as f64;
        println!(
            "round {round}: {rows} rows, {cells} cells, {batches} batches, sum {sum:x}: assemble {:.0} ns, decode {:.0} ns, touch {:.0} ns, encode {:.0} ns a row ({} B of records a row)",
            per_row(assemble),
            per_row(decode),
            per_row(touch),
            per_row(encode),
            encoded_bytes / rows.max(1)
        );
    }
    Ok(())
}

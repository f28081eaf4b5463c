//! A bare reader of a MariaDB dump: the mark against which reading is measured.
//!
//! Owns: the cheapest way to receive a log: one socket, reads into 256 KiB, a walk over packet headers, nothing kept.
//! Does not own: decoding, checksums, anything else.
//!
//! Invariant: asks with the same dump flags as the product and reads to the same end.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::{Duration, Instant};

use limpid_mysql::bench::{BareDump, open_dump};
use limpid_mysql::{ConnectOptions, TlsMode, TlsOptions};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().ok_or_else(|| anyhow::anyhow!("usage: bare_reader PORT FILE"))?.parse()?;
    let file = args.next().ok_or_else(|| anyhow::anyhow!("usage: bare_reader PORT FILE"))?;
    let options = ConnectOptions {
        host: "127.0.0.1".into(),
        port,
        user: "root".into(),
        password: String::new(),
        tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
        connect_timeout: Duration::from_secs(5),
        asked: Default::default(),
    };
    let start = Instant::now();
    let mut dump: BareDump = open_dump(&options, &file).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let mut buffer = vec![0u8; 256 * 1024];
    let (mut held, mut packets, mut bytes) = (0usize, 0u64, 0u64);
    // How much of the packet in hand is still to come.
    let mut skip = 0usize;
    'read: loop {
        let n = dump.read(&mut buffer[held..])?;
        anyhow::ensure!(n > 0, "the server closed the connection");
        bytes += n as u64;
        let filled = held + n;
        let mut pos = 0;
        loop {
            let step = skip.min(filled - pos);
            pos += step;
            skip -= step;
            if filled - pos < 5 {
                break;
            }
            let len = u32::from_le_bytes([buffer[pos], buffer[pos + 1], buffer[pos + 2], 0]) as usize;
            if buffer[pos + 4] == 0xfe && len < 9 {
                break 'read;
            }
            anyhow::ensure!(buffer[pos + 4] == 0, "the server sent an error");
            packets += 1;
            pos += 4;
            skip = len;
        }
        buffer.copy_within(pos..filled, 0);
        held = filled - pos;
    }
    println!("{packets} packets, {bytes} bytes in {:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}

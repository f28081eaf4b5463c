//! Keeps a server busy, as `oltp_read_write` of sysbench does, and tells how many transactions it got done.
//!
//! Owns: the connections and their statements. Does not own: the table, and who else uses the server meanwhile.
//!
//! Invariant: each connection begins its next statement when the last one is answered, so whatever the server has to
//! spare is used, and what somebody else takes of it is missing here.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use limpid_mysql::bench::Session;
use limpid_mysql::{ConnectOptions, TlsMode, TlsOptions};

const USAGE: &str = "usage: busy_clients PORT TABLE ROWS CONNECTIONS WARM_UP_SECONDS SECONDS";

/// Statements of one transaction: ten rows by key, four ranges, two updates, a delete and its insert.
const POINTS: u64 = 10;
const RANGE: u64 = 100;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, table, rows, connections, warm, seconds] = &arguments[..] else { anyhow::bail!(USAGE) };
    let options = ConnectOptions {
        host: "127.0.0.1".into(),
        port: port.parse().context(USAGE)?,
        user: "root".into(),
        password: String::new(),
        tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
        connect_timeout: Duration::from_secs(10),
        asked: Default::default(),
    };
    let (rows, connections): (u64, u64) = (rows.parse().context(USAGE)?, connections.parse().context(USAGE)?);
    let (warm, seconds): (u64, u64) = (warm.parse().context(USAGE)?, seconds.parse().context(USAGE)?);
    let begin = Instant::now() + Duration::from_secs(warm);
    let end = begin + Duration::from_secs(seconds);
    let done = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            let (options, table, done) = (options.clone(), table.clone(), Arc::clone(&done));
            thread::spawn(move || {
                let mut session = Session::open(&options).map_err(|fault| anyhow::anyhow!("{fault}"))?;
                let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (number + 1));
                while Instant::now() < end {
                    transaction(&mut session, &table, rows, &mut random)?;
                    if Instant::now() >= begin {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let transactions = done.load(Ordering::Relaxed);
    println!("{{\"transactions\": {transactions}, \"rate\": {}}}", transactions as f64 / seconds as f64);
    Ok(())
}

/// Xorshift: the same rows in every run, and none of its time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Tries again what another connection's locks have ended, as its clients do.
fn transaction(session: &mut Session, table: &str, rows: u64, random: &mut Random) -> anyhow::Result<()> {
    const TRIES: u32 = 20;
    let mut tries = 0;
    loop {
        match attempt(session, table, rows, random) {
            Ok(()) => return Ok(()),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

fn attempt(session: &mut Session, table: &str, rows: u64, random: &mut Random) -> anyhow::Result<()> {
    let mut run = |sql: &str| session.query(sql).map_err(|fault| anyhow::anyhow!("{fault}"));
    run("begin")?;
    for _ in 0..POINTS {
        run(&format!("select c from {table} where id={}", 1 + random.below(rows)))?;
    }
    let from = 1 + random.below(rows - RANGE);
    let within = format!("where id between {from} and {}", from + RANGE - 1);
    for select in ["select c", "select sum(k)"] {
        run(&format!("{select} from {table} {within}"))?;
    }
    run(&format!("select c from {table} {within} order by c"))?;
    run(&format!("select distinct c from {table} {within} order by c"))?;
    run(&format!("update {table} set k=k+1 where id={}", 1 + random.below(rows)))?;
    let (id, c) = (1 + random.below(rows), random.below(u64::MAX));
    run(&format!("update {table} set c='{c:0>119}' where id={id}"))?;
    let id = 1 + random.below(rows);
    run(&format!("delete from {table} where id={id}"))?;
    run(&format!("insert into {table} (id, k, c, pad) values ({id}, {}, '{c:0>119}', '{c:0>59}')", id % 997))?;
    run("commit")
}

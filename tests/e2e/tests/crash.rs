//! Killed at every place of a start, and between reading a row and saving its position, under load: nothing is lost,
//! and exactly once means that nothing repeats.
//!
//! Owns: the crash cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the table's own SELECT and Apache's console consumer.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use limpid_e2e::{
    PATIENCE, Pipeline, Seeded, Writer, check_exactly_once, check_nothing_lost, page, seen_in, wait_until,
};
use limpid_engine::failpoint::POINTS;
use limpid_stack::kafka::Isolation;
use limpid_stack::{TempDir, kafka, mariadb, mysql, require};

fn broker() -> Option<&'static kafka::Server> {
    static SERVER: OnceLock<Option<kafka::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(kafka::start(&kafka::Options::default()))).as_ref()
}

fn maria() -> Option<&'static mariadb::Server> {
    static SERVER: OnceLock<Option<mariadb::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(mariadb::start(&mariadb::Options::default()))).as_ref()
}

fn mysqld() -> Option<&'static mysql::Server> {
    static SERVER: OnceLock<Option<mysql::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(mysql::start(&mysql::Options::default()))).as_ref()
}

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";

fn yaml(name: &str, port: u16, bootstrap: &str, delivery: &str) -> String {
    format!(
        "name: {name}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  tables: [\"{name}.*\"]\n  \
         snapshot: never\n  start: head\nsink:\n  type: kafka\n  brokers: [\"{bootstrap}\"]\n  \
         topic-creation: {{ partitions: 3 }}\n  delivery: {delivery}\non-row-error: halt-table\n"
    )
}

/// So many of the places are tried in one run, others in the next; `make soak` tries all.
const PLACES_A_RUN: usize = 8;

/// The places that a restart and a stream of small batches pass; the history is only saved when a definition changes,
/// the first position once in a pipeline's life, no table is copied, and no row is parked.
fn places() -> impl Iterator<Item = &'static str> {
    const NEVER: [&str; 4] = ["after-first-position", "after-chunk", "after-admission", "after-copied"];
    const PARKING: [&str; 3] = ["after-parked", "after-replay-marked", "after-replay-durable"];
    let never = |name: &str| name.contains("history") || NEVER.contains(&name) || PARKING.contains(&name);
    POINTS.iter().map(|(name, _)| *name).filter(move |name| !never(name))
}

#[test]
fn nothing_is_lost_when_killed_at_every_place_of_the_way_from_mariadb() -> Result<()> {
    let (Some(broker), Some(server)) = (broker(), maria()) else { return Ok(()) };
    server.sql(&format!("create database crash_maria; use crash_maria; {TABLE}"))?;
    let sessions = [server.session()?, server.session()?];
    let table = || server.sql("select id, v from crash_maria.t");
    killed_everywhere("crash_maria", server.port(), sessions, broker, "at-least-once", table)
}

#[test]
fn nothing_is_lost_or_doubled_exactly_once_when_killed_at_every_place_of_the_way_from_mariadb() -> Result<()> {
    let (Some(broker), Some(server)) = (broker(), maria()) else { return Ok(()) };
    server.sql(&format!("create database once_maria; use once_maria; {TABLE}"))?;
    let sessions = [server.session()?, server.session()?];
    let table = || server.sql("select id, v from once_maria.t");
    killed_everywhere("once_maria", server.port(), sessions, broker, "exactly-once", table)
}

#[test]
fn nothing_is_lost_or_doubled_exactly_once_when_killed_at_every_place_of_the_way_from_mysql() -> Result<()> {
    let (Some(broker), Some(server)) = (broker(), mysqld()) else { return Ok(()) };
    server.sql(&format!("create database once_mysql; use once_mysql; {TABLE}"))?;
    let sessions = [server.session()?, server.session()?];
    let table = || server.sql("select id, v from once_mysql.t");
    killed_everywhere("once_mysql", server.port(), sessions, broker, "exactly-once", table)
}

#[test]
fn nothing_is_lost_when_killed_at_every_place_of_the_way_from_mysql() -> Result<()> {
    let (Some(broker), Some(server)) = (broker(), mysqld()) else { return Ok(()) };
    server.sql(&format!("create database crash_mysql; use crash_mysql; {TABLE}"))?;
    let sessions = [server.session()?, server.session()?];
    let table = || server.sql("select id, v from crash_mysql.t");
    killed_everywhere("crash_mysql", server.port(), sessions, broker, "at-least-once", table)
}

fn killed_everywhere(
    name: &str,
    port: u16,
    sessions: [limpid_stack::Session; 2],
    broker: &kafka::Server,
    delivery: &str,
    table: impl Fn() -> Result<String>,
) -> Result<()> {
    let dir = TempDir::new(name)?;
    let pipeline = Pipeline::write(dir.path(), name, &yaml(name, port, &broker.bootstrap(), delivery))?;
    // First lives that end before the first row, the last of them with the position it begins at, at the sink alone.
    for place in ["after-fence", "after-epoch", "after-first-record", "after-first-position"] {
        let ended = pipeline.run(&["--failpoint", place])?.wait(PATIENCE)?;
        ensure!(format!("{ended:?}") == "Signal(9)", "{place}: ended with {ended:?}");
    }
    let mut writers = Vec::new();
    for (number, session) in sessions.into_iter().enumerate() {
        writers.push(Writer::start(session, name, number as u64)?);
    }
    let mut restarts = 0;
    let all: Vec<&str> = places().collect();
    for place in Seeded::new().part(&all, PLACES_A_RUN) {
        let nth = all.iter().position(|known| *known == place).unwrap_or_default();
        let count = match place {
            // Passed once a save or once a life, so its first time must do.
            "after-fence" | "after-epoch" | "after-first-record" => 1,
            "before-record" | "record-under-way" | "after-record" | "before-state" | "after-state" => 1,
            "before-drain" => 1,
            _ => 3 + 7 * nth,
        };
        let mut limpid = pipeline.run(&["--failpoint", &format!("{place}:{count}")])?;
        if place == "before-drain" {
            limpid.wait_for("running", PATIENCE)?;
            limpid.signal(libc_sigterm());
        }
        let ended = limpid.wait(PATIENCE)?;
        ensure!(format!("{ended:?}") == "Signal(9)", "{place}: ended with {ended:?}: {}", limpid.stderr());
        restarts += 1;
    }
    let before = writers.iter().map(Writer::statements).sum::<u64>();
    wait_until("more statements", PATIENCE, || writers.iter().map(Writer::statements).sum::<u64>() > before + 100)?;
    for writer in writers {
        writer.stop()?;
    }
    pipeline.run_to_end()?;
    let records = broker.consume(&format!("{name}.{name}.t"), Isolation::ReadCommitted)?;
    let seen = seen_in(&records)?;
    check_flow(&pipeline, name, &records)?;
    match delivery {
        "exactly-once" => check_exactly_once(&seen, &table()?),
        _ => check_nothing_lost(&seen, &table()?, restarts),
    }
}

/// The ledger of flow has each row once: as many as there are different places in the log that a consumer sees.
fn check_flow(pipeline: &Pipeline, name: &str, records: &[kafka::Record]) -> Result<()> {
    let mut places = BTreeSet::new();
    for value in records.iter().filter_map(|record| record.value.as_deref()) {
        let source = &serde_json::from_slice::<serde_json::Value>(value)?["source"];
        places.insert(format!("{} {} {}", source["file"], source["pos"], source["row"]));
    }
    let rows = places.len();
    let mut limpid = pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let flow = page(&limpid.address()?, &format!("/api/v1/pipelines/{name}/flow"));
    limpid.kill()?;
    let flow: serde_json::Value = serde_json::from_str(&flow?)?;
    let table = &flow["tables"][0];
    let adds_up = flow["whole"] == true && table["difference"] == 0 && table["read"] == table["delivered"];
    ensure!(adds_up && table["read"] == rows, "a consumer sees rows of {rows} places, the ledger has {flow}");
    Ok(())
}

const fn libc_sigterm() -> i32 {
    15
}

//! What we show of lag against what is.
//!
//! Owns: what befalls the servers, and the verdict that is true then by the contract. Does not own: knowing the truth
//! (`limpid_e2e::truth`).
//!
//! Invariant: each quarter of a second both surfaces are asked, and each answer is compared: no `ok` that is false, no
//! alarm while there is no work, the right verdict within 3 s of becoming true, freshness never told younger than it is.
//! `make soak` lets everything last longer.
#![expect(clippy::disallowed_methods, reason = "what befalls a server lasts real time; nothing is awaited by it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::maria;
use limpid_e2e::truth::{
    FileReader, Ledger, Said, Sampler, SteadyWriter, Stretch, TopicReader, compare, heartbeat_error, offset_is, sample,
};
use limpid_e2e::{Case, Db, Ended, Limpid, PATIENCE, Proxy, Skew, call, page, wait_until};
use limpid_stack::kafka::Isolation;
use limpid_stack::{TempDir, kafka, mariadb, require};

const TABLES: &str = "create table t (id bigint primary key, pad varchar(20)); \
                      create table quiet (id bigint primary key); insert into quiet values (1)";
const WELL: &[&str] = &["ok"];
const NO_ALARM: &[&str] = &["ok", "idle"];

fn seconds(short: f64, soak: f64) -> Duration {
    Duration::from_secs_f64(if std::env::var_os("LIMPID_SOAK").is_some() { soak } else { short })
}

/// A pipeline whose truth is known, and what befalls it.
struct Scene<'a> {
    case: Case<'a>,
    limpid: Limpid,
    ledger: Arc<Ledger>,
    writer: SteadyWriter,
    sampler: Sampler,
    stretches: Vec<Stretch>,
}

impl<'a> Scene<'a> {
    fn begin(case: Case<'a>) -> Result<Self> {
        let limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        let ledger = Arc::new(Ledger::default());
        let writer = SteadyWriter::start(case.db.session()?, &case.name, &ledger)?;
        writer.write(true);
        let address = limpid.address()?;
        let is_ok = || {
            page(&address, "/metrics").is_ok_and(|metrics| sample(&metrics, "limpid_clock_offset_seconds{").is_some())
        };
        wait_until("the first look", PATIENCE, is_ok)?;
        let sampler = Sampler::start(address);
        Ok(Self { case, limpid, ledger, writer, sampler, stretches: Vec::new() })
    }

    /// Lets time pass in which `then` becomes true `after` a while, and until it is told, one of `first` may be.
    fn stretch(
        &mut self,
        name: &'static str,
        lasts: Duration,
        first: &'static [&'static str],
        (after, then): (Duration, &'static str),
    ) {
        let from = Instant::now();
        std::thread::sleep(lasts);
        self.stretches.push(Stretch { name, from, upto: Instant::now(), first, then, after });
    }

    fn said(&self) -> Result<Said> {
        self.sampler.last().context("somebody looked")
    }

    fn finish(self) -> Result<Vec<Said>> {
        self.writer.end()?;
        let said = self.sampler.end()?;
        compare(&said, &self.stretches, &self.ledger).with_context(|| self.limpid.stderr())?;
        let said_aloud = self.limpid.stderr();
        ensure!(!said_aloud.contains("\"level\":\"ERROR\""), "{said_aloud}");
        Ok(said)
    }
}

/// The time in which nothing answers is blind; clocks and commit times that lie change nothing.
#[test]
fn a_source_that_freezes_a_network_that_is_silent_and_clocks_that_lie_are_told_as_they_are() -> Result<()> {
    let skew = Skew::new("truth")?;
    let environment = skew.variables().map(|(name, path)| (name.to_owned(), path)).into();
    let Some(server) = require(mariadb::start(&mariadb::Options { environment, ..mariadb::Options::default() })) else {
        return Ok(());
    };
    let proxy = Proxy::start("127.0.0.1", 0, format!("127.0.0.1:{}", server.port()))?;
    let url = format!("url: mysql://{}", proxy.address());
    let out = TempDir::new("truth-out")?;
    let path = out.path().join("changes.jsonl");
    let sink = format!("path: {}", path.display());
    let case =
        Case::unstarted(Db::Maria(&server), "truth", TABLES, |spec| spec.source(&url).sink("type: file").sink(&sink))?;
    let mut scene = Scene::begin(case)?;
    let reader = FileReader::start(path, &scene.ledger);
    scene.stretch("writers at work", seconds(4.0, 60.0), WELL, (Duration::ZERO, "ok"));

    server.pause()?;
    scene.stretch("the source stands still", seconds(5.0, 9.0), WELL, (Duration::from_millis(600), "blind"));
    server.resume()?;
    scene.stretch("it goes on", seconds(4.0, 20.0), &["blind"], (Duration::ZERO, "ok"));

    proxy.silence(true);
    scene.stretch("the network is silent", seconds(5.0, 9.0), WELL, (Duration::from_millis(600), "blind"));
    proxy.silence(false);
    scene.stretch("it is back", seconds(4.0, 20.0), &["blind"], (Duration::ZERO, "ok"));

    ensure!(offset_is(&scene.said()?, 0.0), "clocks of one machine: {:?}", scene.said()?);
    skew.set(5)?;
    scene.stretch("the source's clock is 5 s ahead", seconds(3.0, 30.0), WELL, (Duration::ZERO, "ok"));
    ensure!(offset_is(&scene.said()?, 5.0), "5 s ahead: {:?}", scene.said()?);
    commit_times_lie(&mut scene)?;
    skew.set(0)?;
    scene.stretch("its clock is right again", seconds(2.0, 10.0), WELL, (Duration::ZERO, "ok"));
    let said = scene.said()?;
    ensure!(offset_is(&said, 0.0), "right again: {said:?}");
    ensure!(said.clock_uncertainty.is_some_and(|within| within < 0.05), "hardly known: {said:?}");

    scene.writer.write(false);
    let is_there = || scene.ledger.committed() > 300 && scene.ledger.delivered() == scene.ledger.committed();
    wait_until("all rows at the sink", PATIENCE, is_there)?;
    scene.finish()?;
    reader.end()
}

/// Rows that claim to be of other decades, and one whose statement takes its time before it is committed.
fn commit_times_lie(scene: &mut Scene<'_>) -> Result<()> {
    let mut session = scene.case.db.session()?;
    session.exec(&format!("use {}", scene.case.name))?;
    session.exec("set timestamp = unix_timestamp('2001-01-01')")?;
    session.exec("insert into quiet values (2)")?;
    session.exec("set timestamp = unix_timestamp('2037-01-01')")?;
    session.exec("insert into quiet values (3)")?;
    session.exec("set timestamp = default")?;
    let takes = seconds(3.0, 30.0);
    session.send(&format!("insert into quiet select 4 + sleep({})", takes.as_secs()))?;
    scene.stretch("commit times lie", takes + Duration::from_secs(1), WELL, (Duration::ZERO, "ok"));
    session.finish()?;
    let metrics = page(&scene.limpid.address()?, "/metrics")?;
    let labels = format!("{{pipeline=\"{0}\",schema=\"{0}\",table=\"quiet\"}}", scene.case.name);
    let of = |name: &str| sample(&metrics, &format!("gravity_data_lag_seconds_{name}{labels}"));
    // Three rows that were delivered at once.
    ensure!(of("count") == Some(3.0), "{metrics}");
    ensure!(of("sum").is_some_and(|sum| (0.0..1.5).contains(&sum)), "late by {:?}", of("sum"));
    let disbelieved = |why: &str| {
        sample(&metrics, &format!("limpid_disbelieved_commits_total{{pipeline=\"{}\",why=\"{why}\"}}", scene.case.name))
    };
    ensure!(disbelieved("ahead").is_some_and(|count| count >= 1.0), "{metrics}");
    ensure!(disbelieved("behind").is_some_and(|count| count >= 2.0), "{metrics}");
    Ok(())
}

/// Without work there is no alarm; a broker that stands still is named; a large transaction is work like any other.
#[test]
fn a_stream_without_work_a_broker_that_stands_still_and_a_large_transaction_are_told_as_they_are() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), require(kafka::start(&kafka::Options::default()))) else { return Ok(()) };
    let case = Case::unstarted(db, "truth_sink", TABLES, |spec| spec.to_kafka(&broker.bootstrap()))?;
    let mut scene = Scene::begin(case)?;
    scene.stretch("writers at work", seconds(2.0, 60.0), WELL, (Duration::ZERO, "ok"));

    scene.writer.write(false);
    scene.stretch("no work", seconds(15.0, 180.0), WELL, (Duration::from_secs(10), "idle"));
    let before = scene.said()?;
    ensure!(before.freshness.is_some_and(|age| age < 1.0), "old though there is nothing new: {before:?}");
    scene.writer.write(true);
    scene.stretch("work again", seconds(2.0, 20.0), NO_ALARM, (Duration::ZERO, "ok"));

    broker.pause()?;
    scene.stretch("the broker stands still", seconds(8.0, 60.0), WELL, (Duration::from_secs(3), "stall"));
    let said = scene.said()?;
    ensure!(said.reason.contains("sink"), "who keeps it: {said:?}");
    ensure!(said.lag_transactions.is_some_and(|count| count > 100), "transactions wait: {said:?}");
    resumed(&broker, &mut scene)?;
    scene.stretch("it goes on", seconds(4.0, 20.0), &["stall", "ok"], (Duration::ZERO, "ok"));

    let rows = if std::env::var_os("LIMPID_SOAK").is_some() { 1_000_000 } else { 100_000 };
    scene.case.sql(&format!("insert into quiet select 1000 + seq from seq_1_to_{rows}"))?;
    scene.stretch("a large transaction", seconds(3.0, 20.0), WELL, (Duration::ZERO, "ok"));
    let is_caught_up = || scene.said().is_ok_and(|said| said.lag_transactions.is_some_and(|count| count < 50));
    wait_until("the transaction to be over", PATIENCE, is_caught_up)?;
    scene.finish()?;
    lag_by_heartbeat(db, &Arc::new(broker))
}

/// Lets a broker go on, which takes as long as it takes: until it has taken a row it is a stall, and rightly told. Once it
/// takes some, nobody but the pipeline knows for a while, so either may be told, and nothing else.
fn resumed(broker: &kafka::Server, scene: &mut Scene<'_>) -> Result<()> {
    let from = Instant::now();
    broker.resume()?;
    let topic = format!("{0}.{0}.t", scene.case.name);
    let mut first = None;
    wait_until("the broker to take rows again", PATIENCE, || {
        match (broker.count(&topic, Isolation::ReadCommitted).ok(), first) {
            (Some(now), None) => {
                first = Some(now);
                false
            }
            (Some(now), Some(first)) => now > first,
            (None, _) => false,
        }
    })?;
    let (upto, first) = (Instant::now(), &["stall", "ok"]);
    let name = "it does not take rows yet";
    scene.stretches.push(Stretch { name, from, upto, first, then: "ok", after: upto - from });
    Ok(())
}

/// What heartbeats tell against what the rows beside them show, while a broker stands still and after.
fn lag_by_heartbeat(db: Db<'_>, broker: &Arc<kafka::Server>) -> Result<()> {
    // So often that the time between two of them is no part of the error.
    let heartbeat = "heartbeat: { every: 20ms, table: truth_beat.heartbeat }";
    let case = Case::unstarted(db, "truth_beats", TABLES, |spec| spec.to_kafka(&broker.bootstrap()).source(heartbeat))?;
    let mut scene = Scene::begin(case)?;
    let (counted, topic) = (Arc::clone(broker), format!("{0}.{0}.t", scene.case.name));
    let count = move || counted.count(&topic, Isolation::ReadCommitted);
    wait_until("rows at the broker", PATIENCE, || count().is_ok_and(|count| count > 0))?;
    let reader = TopicReader::start(count, &scene.ledger);
    let sampler = Sampler::every(Duration::from_millis(40), scene.limpid.address()?);
    scene.stretch("writers at work", seconds(5.0, 60.0), WELL, (Duration::ZERO, "ok"));
    broker.pause()?;
    let paused = Instant::now();
    scene.stretch("the broker stands still", seconds(4.0, 60.0), WELL, (Duration::from_secs(3), "stall"));
    scene.ledger.stood_still(paused, Instant::now());
    resumed(broker, &mut scene)?;
    scene.stretch("it goes on", seconds(4.0, 20.0), &["stall", "ok"], (Duration::ZERO, "ok"));
    let said = sampler.end()?;
    reader.end()?;
    let ledger = Arc::clone(&scene.ledger);
    scene.finish()?;
    let (error, looks) = heartbeat_error(&said, &ledger).context("heartbeats were told")?;
    println!("lag by heartbeat: off by {error:.3} s at most in 99 of 100 of {looks} looks");
    ensure!(looks > 100, "{looks} looks");
    let told = said.iter().filter_map(|said| said.heartbeat).fold(0.0, f64::max);
    ensure!(told > 3.0, "the broker stood still for four seconds, and {told:.1} s are told");
    ensure!(error <= 0.05, "{error:.3} s: {:?}", said.iter().filter_map(|said| said.heartbeat).collect::<Vec<_>>());
    Ok(())
}

/// A stream that stands, on a server whose oldest file somebody purges at a steady pace: the deadline is known.
#[test]
fn the_time_until_the_log_is_purged_is_told_to_a_fifth() -> Result<()> {
    let extra_args = vec!["--binlog-expire-logs-seconds=600".to_owned()];
    let Some(server) = require(mariadb::start(&mariadb::Options { extra_args, ..mariadb::Options::default() })) else {
        return Ok(());
    };
    let files = if std::env::var_os("LIMPID_SOAK").is_some() { 200 } else { 30 };
    server.sql(&"flush binary logs;".repeat(files))?;
    let case = Case::unstarted(Db::Maria(&server), "truth_kept", TABLES, |spec| spec.sink("type: null"))?;
    let mut limpid = case.pipeline.run(&[])?;
    let address = limpid.address()?;
    let told = || -> Result<(Option<f64>, String)> {
        let said: serde_json::Value = serde_json::from_str(&page(&address, "/api/v1/pipelines")?)?;
        let said = &said["pipelines"][0];
        Ok((said["retention_runway_seconds"].as_f64(), said["retention_ends_by"].as_str().unwrap_or("").to_owned()))
    };
    case.sql("insert into t values (1, 'x')")?;
    let expires = || told().is_ok_and(|told| told == (Some(600.0), "expiry".to_owned()));
    wait_until("the runway by expiry", PATIENCE, expires).with_context(|| format!("{:?}", told()))?;
    ensure!(call("pause", &address, &[&case.name])?.0 == Ended::Code(0), "{}", limpid.stderr());
    // One file a turn goes, one comes: the stream's own goes in the turn after those before it.
    let ours = last_file(&server)?;
    let (mut looks, mut oldest) = (Vec::new(), 1);
    let turn = Duration::from_millis(600);
    while oldest <= ours {
        oldest += 1;
        server.sql(&format!("flush binary logs; purge binary logs to 'bin.{oldest:06}'"))?;
        let end = Instant::now() + turn;
        while Instant::now() < end {
            looks.push((Instant::now(), told()?));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let gone = Instant::now() - turn;
    let by_purges: Vec<_> = looks.iter().filter(|(at, (_, ends))| ends == "purges" && *at < gone).collect();
    ensure!(by_purges.len() > 20, "told {} times of {}", by_purges.len(), looks.len());
    // Two purges must have been seen first, at one question in two seconds.
    let begun = looks.first().context("somebody looked")?.0;
    for (at, (runway, ends)) in &looks {
        let left = gone.saturating_duration_since(*at).as_secs_f64();
        if *at < begun + Duration::from_secs(8) || left < 2.0 {
            continue;
        }
        let told = runway.with_context(|| format!("nothing told {left:.1} s before"))?;
        // It was asked up to two seconds before.
        ensure!((told - left).abs() <= 0.2 * left + 2.5, "{told:.1} s told by {ends}, {left:.1} s left");
    }
    limpid.kill()
}

/// The number of the file that the server writes to.
fn last_file(server: &mariadb::Server) -> Result<u32> {
    let end = Db::Maria(server).end_of_log()?;
    let name = end.split(':').nth(1).context("a file")?;
    Ok(name.rsplit('.').next().context("a number")?.parse()?)
}

//! Under load to a real broker: whatever goes away and comes back, nothing is lost.
//!
//! Owns: restarts of either side, cut connections, drains, neighbours in one process. Does not own: being killed
//! ourselves (`crash.rs`).
//!
//! Invariant: the oracle is the table's own SELECT and Apache's console consumer. Where a connection is cut is random;
//! the seed is printed and `LIMPID_SEED` repeats it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria, mysqld};
use limpid_e2e::{
    Case, Db, Ended, Limpid, PATIENCE, Proxy, Seeded, Spec, Trouble, Writer, call, check_exactly_once,
    check_nothing_lost, page, seen_in, wait_until,
};
use limpid_stack::kafka::{self, Isolation};
use limpid_stack::{Instance, Placement, mariadb, mysql, ports, require};

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";

/// A case that writes to a broker, with a reader that runs and a writer that writes.
struct Load<'a> {
    case: Case<'a>,
    limpid: Limpid,
    writer: Writer,
}

impl<'a> Load<'a> {
    fn start(db: Db<'a>, name: &str, bootstrap: &str, change: impl FnOnce(Spec) -> Spec) -> Result<Self> {
        let case = Case::unstarted(db, name, TABLE, |spec| change(spec.to_kafka(bootstrap)))?;
        let limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        let writer = Writer::start(db.session()?, &case.name, 0)?;
        let load = Self { case, limpid, writer };
        load.go_on()?;
        Ok(load)
    }

    /// Waits until some more was written.
    fn go_on(&self) -> Result<()> {
        let before = self.writer.statements();
        wait_until("more statements", PATIENCE, || self.writer.statements() > before + 200)
    }

    /// Ends writer and reader, reads what is left, and compares.
    fn finish(mut self, broker: &kafka::Server, restarts: usize) -> Result<()> {
        self.writer.stop()?;
        self.limpid.signal(libc::SIGTERM);
        let ended = self.limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {}", self.limpid.stderr());
        check(&self.case, broker, restarts).with_context(|| self.limpid.stderr())
    }
}

fn check(case: &Case, broker: &kafka::Server, restarts: usize) -> Result<()> {
    case.pipeline.run_to_end()?;
    let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    let (seen, table) = (seen_in(&records)?, case.sql("select id, v from t")?);
    if std::fs::read_to_string(&case.pipeline.file)?.contains("delivery: exactly-once") {
        return check_exactly_once(&seen, &table);
    }
    check_nothing_lost(&seen, &table, restarts)
}

#[test]
fn nothing_is_lost_when_the_broker_is_killed_and_comes_back() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let Some(broker) = require(kafka::start(&kafka::Options::default())) else { return Ok(()) };
    let load = Load::start(db, "broker", &broker.bootstrap(), |spec| spec)?;
    broker.kill()?;
    load.go_on()?;
    broker.restart()?;
    load.go_on()?;
    load.finish(&broker, 3)
}

fn source_killed(db: Db, broker: &kafka::Server, server: &Instance) -> Result<()> {
    let mut load = Load::start(db, "source", &broker.bootstrap(), |spec| spec)?;
    let address = load.limpid.address()?;
    let tells_stages = || page(&address, "/metrics").is_ok_and(|page| page.contains("limpid_stage_time_ratio{"));
    wait_until("stages to be told of", PATIENCE, tells_stages)?;
    server.kill()?;
    // Nothing runs that could be busy or idle.
    wait_until("nothing to be told of stages", PATIENCE, || !tells_stages()).with_context(|| load.limpid.stderr())?;
    server.restart()?;
    // It went down with its server, in the middle of a statement.
    let writer = Writer::start(db.session()?, &load.case.name, 1)?;
    load.writer = writer;
    load.go_on()?;
    load.finish(broker, 2)
}

#[test]
fn nothing_is_lost_when_the_source_is_killed_and_comes_back() -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    if let Some(server) = require(mariadb::start(&mariadb::Options::default())) {
        source_killed(Db::Maria(&server), broker, &server)?;
    }
    if let Some(server) = require(mysql::start(&mysql::Options::default())) {
        source_killed(Db::MySql(&server), broker, &server)?;
    }
    Ok(())
}

/// How often the plan is gone through with one trouble after the other: so many of them in one run of the tests, all of
/// them in `make soak`.
const TROUBLES: usize = 2;

/// Makes trouble on the connection that carries the next bytes, somewhere, one kind after the other. After each the
/// rows go on arriving.
fn trouble(load: &Load, proxy: &Proxy, broker: &kafka::Server, seeded: &mut Seeded, bytes_max: u32) -> Result<()> {
    let topic = format!("{0}.{0}.t", load.case.name);
    let seen = || broker.count(&topic, Isolation::ReadCommitted).unwrap_or(0);
    // What the network made of a login or of a log may read as a definite fault, which never heals by itself: an operator
    // looks, and has the pipeline go on.
    let looked_after = |done: bool| {
        if !done && load.limpid.stderr().contains("\"level\":\"ERROR\"") {
            let _ = load.limpid.address().and_then(|at| call("resume", &at, &[&load.case.name]));
        }
        done
    };
    for word in seeded.part(&Trouble::ALL.map(|(word, _)| word), TROUBLES) {
        let (_, kind) = Trouble::ALL.into_iter().find(|(known, _)| *known == word).context("one of all")?;
        let struck = proxy.struck();
        proxy.trouble(seeded.below(bytes_max), kind);
        wait_until(&format!("{word} to strike"), PATIENCE, || looked_after(proxy.struck() > struck))
            .with_context(|| load.limpid.stderr())?;
        // A connection that is half open is found to be dead after a while; what was written meanwhile comes too.
        load.go_on()?;
        let before = seen();
        wait_until(&format!("rows after {word}"), PATIENCE, || looked_after(seen() > before))
            .with_context(|| load.limpid.stderr())?;
    }
    Ok(())
}

#[test]
fn a_bad_network_to_the_source_loses_nothing_and_doubles_nothing_exactly_once() -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let mut seeded = Seeded::new();
    for db in [maria(), mysqld()].into_iter().flatten() {
        let proxy = Proxy::start("127.0.0.1", 0, format!("127.0.0.1:{}", db.port()))?;
        let url = format!("url: mysql://{}", proxy.address());
        for (name, delivery) in [("bad_source_least", "at-least-once"), ("bad_source_once", "exactly-once")] {
            let load = Load::start(db, name, &broker.bootstrap(), |spec| spec.source(&url).delivery(delivery))?;
            trouble(&load, &proxy, broker, &mut seeded, 100_000)?;
            load.finish(broker, 2 + TROUBLES)?;
        }
    }
    Ok(())
}

#[test]
fn a_bad_network_to_the_broker_loses_nothing_and_doubles_nothing_exactly_once() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    // A listener of its own, whose clients are sent to the proxy. Ports must be known before the broker starts.
    let [plain, controller, proxied] = [ports::lease()?, ports::lease()?, ports::lease()?].map(|lease| lease.port());
    let proxy = Proxy::start("127.0.0.1", 0, format!("127.0.0.1:{proxied}"))?;
    let own = format!("PLAINTEXT://127.0.0.1:{plain}");
    let settings = [
        ("listeners", format!("{own},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{proxied}")),
        ("advertised.listeners", format!("{own},PROXIED://{}", proxy.address())),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT".to_owned()),
    ];
    let options = kafka::Options {
        extra_settings: settings.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        placement: Placement { port: Some(plain), ..Placement::default() },
        ..kafka::Options::default()
    };
    let Some(broker) = require(kafka::start(&options)) else { return Ok(()) };
    let mut seeded = Seeded::new();
    for (name, delivery) in [("bad_sink_least", "at-least-once"), ("bad_sink_once", "exactly-once")] {
        let load = Load::start(db, name, proxy.address(), |spec| spec.delivery(delivery))?;
        trouble(&load, &proxy, &broker, &mut seeded, 5_000)?;
        load.finish(&broker, 2 + TROUBLES)?;
    }
    Ok(())
}

#[test]
fn a_sigterm_under_load_drains_and_the_next_life_goes_on_without_a_gap() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let mut load = Load::start(db, "drain", &broker.bootstrap(), |spec| spec)?;
    for _ in 0..2 {
        load.limpid.signal(libc::SIGTERM);
        let ended = load.limpid.wait(Duration::from_secs(25))?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {}", load.limpid.stderr());
        load.limpid = load.case.pipeline.run(&[])?;
        load.limpid.wait_for("the pipeline is running", PATIENCE)?;
        load.go_on()?;
    }
    // A drain leaves nothing to repeat, so no key ever goes back.
    load.finish(broker, 0)
}

/// Pipelines that are broken, each in its own way, and what each says of it.
fn broken<'a>(db: Db<'a>) -> Result<Vec<(Case<'a>, &'static str)>> {
    let nowhere = ports::lease()?;
    let away = format!("127.0.0.1:{}", nowhere.port());
    let source = format!("url: mysql://{away}");
    let case = |name: &str, change: &dyn Fn(Spec) -> Spec| Case::unstarted(db, name, TABLE, change);
    let cases = vec![
        (case("bad_user", &|spec| spec.source("user: nobody_at_all"))?, "SOURCE_AUTH_FAILED"),
        (case("bad_source", &|spec| spec.source(&source))?, "SOURCE_UNREACHABLE"),
        (case("bad_position", &|spec| spec.source("start: \"file:nosuch.000009:4\""))?, "SOURCE_CHANGED"),
        (case("bad_brokers", &|spec| spec.to_kafka(&away))?, "SINK_UNREACHABLE"),
        (case("bad_disk", &|spec| spec.sink("type: file").sink("path: /dev/full"))?, "SINK_"),
        (case("bad_topic", &|spec| spec.sink("type: file").sink("path: /proc/nowhere/x.jsonl"))?, "SINK_"),
    ];
    Ok(cases)
}

#[test]
fn pipelines_that_are_broken_in_every_way_leave_their_neighbour_alone() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let bad = broken(db)?;
    let good =
        Case::unstarted(db, "neighbour", TABLE, |spec| spec.to_kafka(&broker.bootstrap()).delivery("exactly-once"))?;
    let files = bad.iter().map(|(case, _)| case.pipeline.file.to_str().context("a path in UTF-8"));
    let limpid = good.pipeline.run(&files.collect::<Result<Vec<_>>>()?)?;
    let says = |name: &str, code: &str| {
        let of = format!("\"pipeline\":\"{name}\"");
        limpid.stderr().lines().any(|line| line.contains(&of) && line.contains(&format!("\"error_code\":\"{code}")))
    };
    let runs = || {
        let of = format!("\"pipeline\":\"{}\"", good.name);
        limpid.stderr().lines().any(|line| line.contains(&of) && line.contains("the pipeline is running"))
    };
    wait_until("the good one to run", PATIENCE, runs).with_context(|| limpid.stderr())?;
    // A row for those that get so far.
    for (case, code) in &bad {
        case.sql("insert into t values (1, 1, '')")?;
        wait_until(&format!("{} to say {code}", case.name), PATIENCE, || says(&case.name, code))
            .with_context(|| limpid.stderr())?;
    }
    let writer = Writer::start(db.session()?, &good.name, 0)?;
    let mut load = Load { case: good, limpid, writer };
    load.go_on()?;
    ensure!(load.limpid.is_running(), "{}", load.limpid.stderr());
    ensure!(!load.limpid.stderr().contains("PIPELINE_PANICKED"), "{}", load.limpid.stderr());
    let own = format!("\"pipeline\":\"{}\"", load.case.name);
    let odd = |line: &&str| line.contains(&own) && ["\"ERROR\"", "\"WARN\""].iter().any(|level| line.contains(level));
    let said = load.limpid.stderr();
    ensure!(said.lines().find(odd).is_none(), "{:?}", said.lines().find(odd));
    load.writer.stop()?;
    load.limpid.signal(libc::SIGTERM);
    let ended = load.limpid.wait(PATIENCE)?;
    ensure!(matches!(ended, Ended::Code(0 | 1)), "{ended:?}");
    check(&load.case, broker, 0).with_context(|| load.limpid.stderr())
}

#[test]
fn a_second_instance_on_the_same_state_is_refused_and_the_first_goes_on() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let load = Load::start(db, "locked", &broker.bootstrap(), |spec| spec)?;
    let mut second = load.case.pipeline.run(&[])?;
    let ended = second.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(1) && second.stderr().contains("STATE_LOCKED"), "{ended:?}: {}", second.stderr());
    load.go_on()?;
    load.finish(broker, 0)
}

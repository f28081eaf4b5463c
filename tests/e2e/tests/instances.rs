//! Two instances of one pipeline, and states that do not fit the record at the sink.
//!
//! Owns: the cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the table's own SELECT and Apache's console consumer, reading committed records.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, broker, maria};
use limpid_e2e::{Ended, Limpid, PATIENCE, Pipeline, Writer, check_exactly_once, seen_in, wait_until};
use limpid_stack::TempDir;
use limpid_stack::kafka::{Isolation, Server};

/// A table, a pipeline that captures it exactly once, and where it goes.
struct Scene {
    name: &'static str,
    broker: &'static Server,
    db: Db<'static>,
    dir: TempDir,
    pipeline: Pipeline,
}

impl Scene {
    fn begin(name: &'static str) -> Result<Option<Self>> {
        let (Some(broker), Some(db)) = (broker(), maria()) else { return Ok(None) };
        db.sql(&format!(
            "create database {name}; use {name};
             create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)"
        ))?;
        let dir = TempDir::new(name)?;
        let yaml = Self::yaml(name, db.port(), &format!("type: kafka\n  brokers: [\"{}\"]", broker.bootstrap()));
        let pipeline = Pipeline::write(dir.path(), name, &yaml)?;
        Ok(Some(Self { name, broker, db, dir, pipeline }))
    }

    fn yaml(name: &str, port: u16, sink: &str) -> String {
        let delivery = if sink.contains("kafka") { "exactly-once\n  commit-interval: 20ms" } else { "at-least-once" };
        format!(
            "name: {name}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  tables: [\"{name}.*\"]\n  \
             snapshot: never\n  start: head\nsink:\n  {sink}\n  delivery: {delivery}\non-row-error: halt-table\n"
        )
    }

    fn writer(&self, number: u64) -> Result<Writer> {
        Writer::start(self.db.session()?, self.name, number)
    }

    fn topic(&self) -> String {
        format!("{0}.{0}.t", self.name)
    }

    /// Waits until so many records more are seen.
    fn more_arrive(&self, count: u64) -> Result<()> {
        let seen = || self.broker.count(&self.topic(), Isolation::ReadCommitted).unwrap_or(0);
        let before = seen();
        wait_until(&format!("{count} records more than {before}"), PATIENCE, || seen() >= before + count)
    }

    fn check(&self) -> Result<()> {
        let records = self.broker.consume(&self.topic(), Isolation::ReadCommitted)?;
        let table = self.db.sql(&format!("select id, v from {}.t", self.name))?;
        check_exactly_once(&seen_in(&records)?, &table)
    }

    /// Starts with this state and expects a refusal.
    fn refused(&self, pipeline: &Pipeline, code: &str) -> Result<()> {
        let mut limpid = pipeline.run(&["--on-halt", "exit"])?;
        let ended = limpid.wait(PATIENCE)?;
        let said = limpid.stderr();
        ensure!(ended == Ended::Code(1) && said.contains(&format!("\"error_code\":\"{code}\"")), "{ended:?}: {said}");
        ensure!(said.contains("--accept-new-state"), "the way out is not named: {said}");
        Ok(())
    }
}

fn running(pipeline: &Pipeline) -> Result<Limpid> {
    let limpid = pipeline.run(&["--on-halt", "exit"])?;
    limpid.wait_for("running", PATIENCE)?;
    Ok(limpid)
}

fn stopped(mut limpid: Limpid) -> Result<()> {
    limpid.signal(15);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "ended with {ended:?}: {}", limpid.stderr());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[test]
fn the_newer_of_two_instances_goes_on_and_the_older_halts_without_a_doubled_row() -> Result<()> {
    let Some(scene) = Scene::begin("two_instances")? else { return Ok(()) };
    let mut first = running(&scene.pipeline)?;
    let writer = scene.writer(0)?;
    scene.more_arrive(200)?;
    // Its machine stands still, and somebody brings its disk up elsewhere.
    first.signal(19);
    let other = scene.pipeline.with_data_dir("elsewhere");
    copy(&scene.pipeline.data_dir, &other.data_dir)?;
    let second = running(&other)?;
    scene.more_arrive(100)?;
    first.signal(18);
    let ended = first.wait(PATIENCE)?;
    let said = first.stderr();
    ensure!(ended == Ended::Code(1) && said.contains("\"error_code\":\"FENCED\""), "{ended:?}: {said}");
    scene.more_arrive(100)?;
    writer.stop()?;
    stopped(second)?;
    other.run_to_end()?;
    scene.check()?;
    // The state of the one that was shut out is an older one from now on.
    scene.refused(&scene.pipeline, "STATE_OLDER")
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_the_running_instance_goes_on_undisturbed() -> Result<()> {
    let Some(scene) = Scene::begin("misfits")? else { return Ok(()) };
    let older = scene.pipeline.with_data_dir("older");
    let limpid = running(&scene.pipeline)?;
    let writer = scene.writer(0)?;
    scene.more_arrive(20)?;
    stopped(limpid)?;
    copy(&scene.pipeline.data_dir, &older.data_dir)?;
    let mut limpid = running(&scene.pipeline)?;
    scene.more_arrive(50)?;
    scene.refused(&older, "STATE_OLDER")?;
    scene.refused(&scene.pipeline.with_data_dir("new"), "STATE_EMPTY")?;
    // A pipeline of the same name that has run elsewhere.
    let stdout = Pipeline::write(scene.dir.path(), "other", &Scene::yaml(scene.name, scene.db.port(), "type: stdout"))?;
    stdout.run_to_end()?;
    let foreign = Pipeline { file: scene.pipeline.file.clone(), data_dir: stdout.data_dir };
    scene.refused(&foreign, "STATE_FOREIGN")?;
    scene.more_arrive(50)?;
    writer.stop()?;
    ensure!(limpid.is_running() && !limpid.stderr().contains("FENCED"), "{}", limpid.stderr());
    stopped(limpid)?;
    scene.pipeline.run_to_end()?;
    scene.check()
}

#[test]
fn a_record_that_is_gone_is_refused_and_accepted_knowingly() -> Result<()> {
    let Some(scene) = Scene::begin("record_gone")? else { return Ok(()) };
    let limpid = running(&scene.pipeline)?;
    let writer = scene.writer(0)?;
    scene.more_arrive(50)?;
    writer.stop()?;
    stopped(limpid)?;
    scene.pipeline.run_to_end()?;
    let text = std::fs::read_to_string(&scene.pipeline.file)?;
    let text = text.replace("  commit-interval: 20ms", "  position-topic: elsewhere_positions");
    std::fs::write(&scene.pipeline.file, text)?;
    scene.refused(&scene.pipeline, "RECORD_LOST")?;
    let mut limpid = scene.pipeline.run(&["--until", "caught-up", "--accept-new-state"])?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0) && limpid.stderr().contains("RECORD_LOST"), "{ended:?}: {}", limpid.stderr());
    // From then on there is a record again; and the state's position was the last one, so nothing repeats.
    scene.db.sql("insert into record_gone.t values (1000, 1, '')")?;
    scene.pipeline.run_to_end()?;
    scene.check()
}

#[test]
fn a_state_that_is_rebuilt_from_the_record_goes_on_without_loss_or_doubles() -> Result<()> {
    let Some(scene) = Scene::begin("rebuilt")? else { return Ok(()) };
    let mut limpid = running(&scene.pipeline)?;
    let writer = scene.writer(0)?;
    scene.more_arrive(100)?;
    let (ended, said) = scene.pipeline.state("export", &[])?;
    ensure!(ended == Ended::Code(1) && said.stderr().contains("STATE_LOCKED"), "{ended:?}: {}", said.stderr());
    limpid.kill()?;
    let (ended, checked) = scene.pipeline.state("check", &["--format", "json"])?;
    ensure!(ended == Ended::Code(0) && checked.stdout().contains("\"position\":\"gtid:"), "{}", checked.stderr());
    let (ended, backup) = scene.pipeline.state("backup", &[])?;
    ensure!(ended == Ended::Code(0) && Path::new(backup.stdout().trim()).is_file(), "{}", backup.stdout());
    let (ended, exported) = scene.pipeline.state("export", &[])?;
    ensure!(ended == Ended::Code(0), "{}", exported.stderr());
    // The directory is gone.
    let new = scene.pipeline.with_data_dir("rebuilt");
    let (ended, imported) = new.state("import", &["--from-sink"])?;
    ensure!(ended == Ended::Code(0), "{}", imported.stderr());
    let limpid = running(&new)?;
    scene.more_arrive(100)?;
    // Definitions change twice, under numbers that begin anew.
    scene.db.sql("use rebuilt; create table u (id int primary key); alter table u add column more int")?;
    scene.more_arrive(10)?;
    scene.db.sql("use rebuilt; alter table u drop column more; insert into u values (1)")?;
    writer.stop()?;
    stopped(limpid)?;
    new.run_to_end()?;
    scene.check()?;
    // An export comes back as it was, and is by now an older one.
    let file = scene.dir.path().join("export.json");
    std::fs::write(&file, exported.stdout())?;
    let last = scene.pipeline.with_data_dir("from-export");
    let (ended, said) = last.state("import", &["--from", file.to_str().context("a path in UTF-8")?])?;
    ensure!(ended == Ended::Code(0), "{}", said.stderr());
    let (_, again) = last.state("export", &[])?;
    ensure!(again.stdout() == exported.stdout(), "{} became {}", exported.stdout(), again.stdout());
    scene.refused(&last, "STATE_OLDER")
}

/// Whether the last position record of the pipeline stands inside a transaction.
fn stands_inside(scene: &Scene) -> Result<bool> {
    let positions = scene.broker.consume("__limpid_positions", Isolation::ReadCommitted)?;
    let ours = positions.iter().rfind(|record| record.key.as_deref() == Some(scene.name.as_bytes()));
    let value = ours.and_then(|record| record.value.as_deref()).context("the pipeline has a record")?;
    Ok(!String::from_utf8_lossy(value).contains("\"rows_done\":0"))
}

#[test]
fn a_transaction_larger_than_kafkas_goes_on_in_the_next_and_a_kill_between_them_doubles_nothing() -> Result<()> {
    /// How much of one transaction goes into one of Kafka's is up to the machine's pace, so a kill may come after its
    /// end: then another one is written. This many kills inside, out of so many.
    const KILLS: (u32, u32) = (3, 12);
    const ROWS: u64 = 150_000;
    let Some(scene) = Scene::begin("split")? else { return Ok(()) };
    let mut limpid = running(&scene.pipeline)?;
    limpid.kill()?;
    let (mut kills, mut inside, mut rows, mut is_inside) = (0, 0, 0, false);
    while inside < KILLS.0 {
        ensure!(kills < KILLS.1, "of {kills} kills {inside} came inside a transaction");
        if !is_inside {
            scene.db.sql(&format!(
                "use split; insert into t select seq, 1, repeat('x', 90) from seq_{}_to_{}",
                rows + 1,
                rows + ROWS
            ))?;
            rows += ROWS;
        }
        let mut limpid = scene.pipeline.run(&["--failpoint", "after-record:2"])?;
        let ended = limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Signal(9), "{ended:?}: {}", limpid.stderr());
        kills += 1;
        is_inside = stands_inside(&scene)?;
        inside += u32::from(is_inside);
    }
    scene.db.sql("insert into split.t values (0, 1, '')")?;
    scene.pipeline.run_to_end()?;
    let seen = seen_in(&scene.broker.consume(&scene.topic(), Isolation::ReadCommitted)?)?;
    ensure!(seen.len() as u64 == rows + 1, "{} keys of {}", seen.len(), rows + 1);
    let twice = seen.iter().find(|(_, history)| history.len() != 1);
    ensure!(twice.is_none(), "{twice:?}");
    Ok(())
}

//! When a chunk may pass: not before its fence, not after its table changed; and an idle server gets there too.

use limpid_connector::{Admission, Chunk, ChunkAsk, JsonText, KeyRange, Source, StartPoint, Until};
use limpid_model::FaultCode;
use limpid_mysql::Flavor;

use super::follow::{Site, name};

pub fn check(site: &mut Site) {
    site.run("CREATE TABLE m (id INT PRIMARY KEY, v VARCHAR(9))");
    site.run("INSERT INTO m VALUES (1, 'a'), (2, 'b')");
    not_before_its_fence(site);
    not_after_a_definition(site);
    on_an_idle_server(site);
    gone(site);
    grants(site);
}

/// A transaction that is in the log counts only once it is visible: until then its session owns its GTID.
#[expect(clippy::disallowed_methods, reason = "the reader must wait while the session that it waits for goes on")]
pub fn check_owned(site: &mut Site) {
    site.run("CREATE TABLE owned (id INT PRIMARY KEY, v INT)");
    site.run("INSERT INTO owned VALUES (1, 1)");
    let mut committing = site.another();
    for statement in ["SET gtid_next='3e11fa47-71ca-11e1-9e33-c80aa9429562:1'", "BEGIN", "UPDATE owned SET v=2"] {
        committing.exec(statement).unwrap();
    }
    // A restart in this moment: what was read from the log is held, though it does not count as executed yet.
    let told = format!("gtid:{},3e11fa47-71ca-11e1-9e33-c80aa9429562:1", executed(site));
    let mut source = site.source_as("root", JsonText::Server);
    source.open(&StartPoint::At(told.clone()), &Until::Forever, None).map(drop).unwrap();
    let never = format!("gtid:{},3e11fa47-71ca-11e1-9e33-c80aa9429562:1-2", executed(site));
    let refused = source.foresee(&StartPoint::At(never)).map_err(|fault| fault.code());
    assert_eq!(refused.map(|position| position.text()), Err(FaultCode::SourceChanged));
    let mut reader = site.reader();
    let reading = std::thread::spawn(move || {
        let (name, range) = (name("owned"), KeyRange::default());
        let ask = ChunkAsk { table: &name, range: &range, predicate: None, rows_max: 10, bytes_max: 1 << 20 };
        reader.read(&ask).unwrap().unwrap()
    });
    let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT WAIT_FOR_EXECUTED%'";
    while site.run(waits).trim() != "1" {
        assert!(!reading.is_finished(), "the chunk was read while a commit was under way");
        std::thread::yield_now();
    }
    committing.exec("COMMIT").unwrap();
    let chunk = reading.join().unwrap();
    let batch = &chunk.batches[0];
    assert_eq!(batch.image(batch.rows[0].after, 2)[1].as_i64(), 2);
}

fn executed(site: &mut Site) -> String {
    site.run("SELECT @@global.gtid_executed").trim().replace("\\n", "")
}

fn read(site: &Site, table: &str) -> Option<Chunk> {
    let (name, range) = (name(table), KeyRange::default());
    let ask = ChunkAsk { table: &name, range: &range, predicate: None, rows_max: 10, bytes_max: 1 << 20 };
    site.reader().read(&ask).unwrap()
}

fn not_before_its_fence(site: &mut Site) {
    let mut follower = site.follow();
    site.run("INSERT INTO m VALUES (3, 'c')");
    let mut chunk = read(site, "m").unwrap();
    assert_eq!(follower.stream.admit(&mut chunk), Admission::NotYet, "{:?}", chunk.fence);
    let mut rows = 0;
    assert_eq!(follower.until_weighed(&mut chunk, |batch| rows += batch.rows.len()), Admission::Admitted);
    assert_eq!((rows, chunk.rows), (1, 3));
    // Its version of the table is the one that the log's rows have.
    site.run("INSERT INTO m VALUES (4, 'd')");
    let mut later = read(site, "m").unwrap();
    let mut versions = Vec::new();
    follower.until_weighed(&mut later, |batch| versions.extend(batch.tables.iter().map(|table| table.version)));
    assert_eq!(later.batches[0].tables[0].version, versions[0]);
}

fn not_after_a_definition(site: &mut Site) {
    for change in [
        "ALTER TABLE m ADD w INT",
        "ALTER TABLE m MODIFY v VARCHAR(300)",
        "ALTER TABLE m CHANGE w x INT",
        "ALTER TABLE m DROP PRIMARY KEY, ADD PRIMARY KEY (id, v)",
        "ALTER TABLE m CONVERT TO CHARACTER SET latin1",
    ] {
        let mut follower = site.follow();
        let mut chunk = read(site, "m").unwrap();
        site.run(change);
        site.run("INSERT INTO m (id, v) VALUES (100, 'x')");
        // The stream is told of the change before the chunk is weighed.
        let mut after = read(site, "m").unwrap();
        assert_eq!(follower.until_weighed(&mut after, |_| ()), Admission::Admitted, "{change}");
        assert!(matches!(follower.stream.admit(&mut chunk), Admission::Stale(_)), "{change}");
        site.run("DELETE FROM m WHERE id = 100");
    }
    // What does not touch rows or keys does not count.
    let mut follower = site.follow();
    let mut chunk = read(site, "m").unwrap();
    site.run("ALTER TABLE m COMMENT 'another', ADD INDEX (v)");
    let mut after = read(site, "m").unwrap();
    assert_eq!(follower.until_weighed(&mut after, |_| ()), Admission::Admitted);
    assert_eq!(follower.stream.admit(&mut chunk), Admission::Admitted);
}

fn on_an_idle_server(site: &mut Site) {
    let mut follower = site.follow();
    site.run("FLUSH BINARY LOGS");
    let mut chunk = read(site, "m").unwrap();
    assert_eq!(follower.until_weighed(&mut chunk, |_| ()), Admission::Admitted);
    // A stream that begins at the end of the log is sent nothing on the way there.
    let mut follower = site.follow();
    let mut chunk = read(site, "m").unwrap();
    assert_eq!(follower.until_weighed(&mut chunk, |_| ()), Admission::Admitted);
    // Events that belong to nobody.
    site.run("CREATE DATABASE IF NOT EXISTS elsewhere");
    site.run("CREATE TABLE IF NOT EXISTS elsewhere.t (a INT)");
    site.run("INSERT INTO elsewhere.t VALUES (1)");
    let mut chunk = read(site, "m").unwrap();
    assert_eq!(follower.until_weighed(&mut chunk, |_| ()), Admission::Admitted);
}

fn gone(site: &mut Site) {
    assert!(read(site, "never").is_none());
    let mut reader = site.reader();
    assert!(reader.begin_whole(&name("never"), None).unwrap().is_none());
    site.run("CREATE TABLE m_brief (id INT PRIMARY KEY)");
    let range = KeyRange::default();
    let table = name("m_brief");
    let ask = ChunkAsk { table: &table, range: &range, predicate: None, rows_max: 10, bytes_max: 1 << 20 };
    assert_eq!(reader.read(&ask).unwrap().unwrap().rows, 0);
    site.run("ALTER TABLE m_brief ADD v INT");
    let chunk = reader.read(&ask).unwrap().unwrap();
    assert_eq!(chunk.rest, None);
    site.run("DROP TABLE m_brief");
    assert!(reader.read(&ask).unwrap().is_none());
}

/// A right that is missing is told with the statement that gives it.
fn grants(site: &mut Site) {
    site.run("CREATE TABLE m_isam (id INT PRIMARY KEY) ENGINE=MyISAM");
    site.run(match site.flavor {
        Flavor::MariaDb => "CREATE USER 'poor'@'%' IDENTIFIED BY ''",
        Flavor::MySql => "CREATE USER 'poor'@'%' IDENTIFIED WITH mysql_native_password BY ''",
    });
    site.run(match site.flavor {
        Flavor::MariaDb => "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO 'poor'@'%'",
        Flavor::MySql => "GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO 'poor'@'%'",
    });
    let mut reader = site.source_as("poor", JsonText::Server).table_reader().unwrap();
    let range = KeyRange::default();
    let (inno, isam) = (name("m"), name("m_isam"));
    let ask = |table| ChunkAsk { table, range: &range, predicate: None, rows_max: 10, bytes_max: 1 << 20 };
    assert!(reader.read(&ask(&inno)).unwrap().is_some());
    let fault = reader.read(&ask(&isam)).unwrap_err();
    assert_eq!(fault.code(), FaultCode::SourceGrantMissing);
    let help = format!("{fault:?}");
    assert!(help.contains("GRANT LOCK TABLES, SELECT ON `copied`.* TO 'poor'@'...'"), "{help}");
    site.run("GRANT LOCK TABLES ON *.* TO 'poor'@'%'");
    let mut reader = site.source_as("poor", JsonText::Server).table_reader().unwrap();
    assert!(reader.read(&ask(&isam)).unwrap().is_some());
}

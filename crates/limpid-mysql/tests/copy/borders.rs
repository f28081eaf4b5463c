//! Splitting a table into ranges, and chunks that end by bytes.

use std::collections::BTreeSet;

use limpid_connector::{ChunkAsk, JsonText, KeyRange, Source};
use limpid_mysql::Flavor;

use super::follow::{Plain, SCHEMA, Site, chunk_rows, name, read_range};

const ROWS: usize = 210_000;

fn numbers(flavor: Flavor) -> String {
    match flavor {
        Flavor::MariaDb => format!("(SELECT seq AS n FROM seq_1_to_{ROWS}) s"),
        Flavor::MySql => {
            let digits = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION \
                          SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
            let sum = (0..6).map(|place| format!("d{place}.d * {}", 10u32.pow(place))).collect::<Vec<_>>().join(" + ");
            let from = (0..6).map(|place| format!("{digits} d{place}")).collect::<Vec<_>>().join(", ");
            format!("(SELECT {sum} + 1 AS n FROM {from} HAVING n <= {ROWS}) s")
        }
    }
}

/// Ranges of about equal size that together are the table, whatever leads its key.
pub fn check(site: &mut Site) {
    let cases = [
        ("b_dense", "k INT PRIMARY KEY", "n"),
        ("b_sparse", "k BIGINT PRIMARY KEY", "CAST(n AS SIGNED) * 1000003 - 4000000000"),
        ("b_text", "k VARCHAR(40) PRIMARY KEY", "MD5(n)"),
        ("b_pair", "a INT, k INT, PRIMARY KEY (a, k)", "n % 3, n"),
    ];
    for (table, columns, values) in cases {
        site.run(&format!("CREATE TABLE {table} ({columns}) ENGINE=InnoDB"));
        let numbers = numbers(site.flavor);
        site.run(&format!("INSERT INTO {table} SELECT {values} FROM {numbers}"));
        site.run(&format!("ANALYZE TABLE {table}"));
        let table = name(table);
        let ranges = site.reader().split(&table, 4).unwrap();
        assert!(ranges.len() > 1 && ranges.len() <= 4, "{table}: {ranges:?}");
        let (first, last) = (&ranges[0], &ranges[ranges.len() - 1]);
        assert_eq!((&first.after, &last.until), (&None, &None));
        let mut seen: BTreeSet<Vec<Plain>> = BTreeSet::new();
        let mut sum = 0;
        let mut reader = Some(site.reader());
        for (nth, range) in ranges.iter().enumerate() {
            if let Some(before) = nth.checked_sub(1) {
                assert_eq!(ranges[before].until, range.after);
            }
            let mut rows = 0;
            let mut rest = Some(range.clone());
            let mut held = reader.take().unwrap();
            while let Some(range) = rest {
                let ask = limpid_connector::ChunkAsk {
                    table: &table,
                    range: &range,
                    predicate: None,
                    rows_max: 30_000,
                    bytes_max: 1 << 30,
                };
                let chunk = held.read(&ask).unwrap().unwrap();
                rows += chunk.rows;
                seen.extend(chunk_rows(&chunk).into_iter().map(|row| row.after));
                rest = chunk.rest;
            }
            reader = Some(held);
            sum += rows;
            let fair = ROWS as u64 / ranges.len() as u64;
            assert!(rows > fair / 3 && rows < fair * 2, "{table}: range {nth} of {} has {rows} rows", ranges.len());
        }
        assert_eq!((sum, seen.len()), (ROWS as u64, ROWS), "{table}");
    }
    let small = site.reader().split(&name("k_int"), 8).unwrap();
    assert_eq!(small, [KeyRange::default()]);
    estimates(site);
    by_bytes(site);
}

fn estimates(site: &mut Site) {
    site.run("CREATE TABLE b_empty (k INT PRIMARY KEY)");
    site.run("CREATE TABLE b_keyless (k INT)");
    site.run("CREATE TABLE b_nullable (k INT, UNIQUE KEY (k))");
    site.run("CREATE VIEW b_view AS SELECT * FROM b_dense");
    let found = site.reader().tables().unwrap();
    assert!(found.is_sorted_by(|a, b| a.name < b.name));
    let of = |table: &str| found.iter().find(|found| found.name == name(table));
    let dense = of("b_dense").unwrap();
    assert!(dense.has_key && dense.rows > ROWS as u64 / 2 && dense.bytes > ROWS as u64, "{dense:?}");
    assert_eq!(of("b_empty").map(|found| (found.rows, found.bytes, found.has_key)), Some((0, 0, true)));
    assert_eq!((of("b_keyless").unwrap().has_key, of("b_nullable").unwrap().has_key), (false, false));
    assert_eq!(of("b_view"), None);
    assert!(found.iter().all(|found| &*found.name.schema == SCHEMA));
    let load = site.reader().load().unwrap();
    assert!(load.threads_running.is_some_and(|threads| threads > 0) && load.replica_lag.is_none(), "{load:?}");
    others(site);
}

/// The server counts our statements too; what is told leaves them out, those of other connections of ours among them.
fn others(site: &mut Site) {
    let source = site.source_as("root", JsonText::Server);
    let (mut one, mut two) = (source.table_reader().unwrap(), source.table_reader().unwrap());
    let before = one.statements_of_others().unwrap().unwrap();
    let ask = ChunkAsk {
        table: &name("b_dense"),
        range: &KeyRange::default(),
        predicate: None,
        rows_max: 100,
        bytes_max: 1 << 20,
    };
    for _ in 0..5 {
        two.read(&ask).unwrap().unwrap();
        one.tables().unwrap();
    }
    let quiet = one.statements_of_others().unwrap().unwrap();
    for _ in 0..50 {
        site.run("SELECT 1");
    }
    let after = two.statements_of_others().unwrap().unwrap();
    // The session asks for a marker behind each statement.
    assert_eq!((quiet - before, after - quiet), (0, 2 * 50));
}

/// Rows of very different sizes, some larger than a packet: a chunk ends with the row that fills it.
fn by_bytes(site: &mut Site) {
    site.run("CREATE TABLE b_wide (k INT PRIMARY KEY, v LONGBLOB)");
    let sizes: Vec<usize> = (0..400).map(|k| if k % 100 == 99 { 300_000 } else { 5 + k }).collect();
    for (k, size) in sizes.iter().enumerate() {
        site.run(&format!("INSERT INTO b_wide VALUES ({k}, REPEAT('x', {size}))"));
    }
    let (big, packet) = (sizes.len(), 0xff_ffff);
    site.run("SET GLOBAL max_allowed_packet=134217728");
    let mut session = site.another();
    let double = "UPDATE b_wide SET v=CONCAT(v, v) WHERE k=";
    session.exec(&format!("INSERT INTO b_wide VALUES ({big}, REPEAT('y', 9000000))")).unwrap();
    session.exec(&format!("{double}{big}")).unwrap();
    session.exec(&format!("INSERT INTO b_wide VALUES ({}, 'last')", big + 1)).unwrap();
    let bytes_max = 50_000;
    let mut reader = Some(site.reader());
    let mut rest = Some(KeyRange::default());
    let mut read = Vec::new();
    while let Some(range) = rest {
        let table = name("b_wide");
        let mut held = reader.take().unwrap();
        let ask =
            limpid_connector::ChunkAsk { table: &table, range: &range, predicate: None, rows_max: 9000, bytes_max };
        let chunk = held.read(&ask).unwrap().unwrap();
        let rows = chunk_rows(&chunk);
        let lengths: Vec<usize> = rows.iter().map(|row| value_bytes(&row.after[1])).collect();
        let but_last: usize = lengths.iter().rev().skip(1).sum();
        assert!(but_last < bytes_max as usize, "{lengths:?}");
        read.extend(lengths);
        rest = chunk.rest;
        reader = Some(held);
    }
    let mut expected = sizes;
    expected.extend([18_000_000, 4]);
    assert!(expected[big] > packet);
    assert_eq!(read, expected);
}

fn value_bytes(value: &Plain) -> usize {
    match value {
        Plain::Bytes(_, bytes, _) => bytes.len(),
        other => panic!("{other:?}"),
    }
}

/// Chunks of a case-insensitive key come in the server's order, not in that of bytes.
pub fn check_order_of_text(site: &mut Site) {
    let order = site.run("SELECT n FROM k_general ORDER BY k");
    let mut fresh = || site.reader();
    let chunks = read_range(&mut fresh, &name("k_general"), KeyRange::default(), (2, 1 << 20));
    let read: Vec<String> = chunks
        .iter()
        .flat_map(chunk_rows)
        .map(|row| match &row.after[0] {
            Plain::Scalar(_, n, _) => n.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(read, order.lines().collect::<Vec<_>>());
}

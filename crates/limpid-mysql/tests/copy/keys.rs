//! Every kind of key: each row exactly once, in small chunks, each with a reader that knows nothing but the last text.

use std::collections::BTreeSet;

use limpid_connector::{ChunkAsk, KeyRange};
use limpid_model::FaultCode;
use limpid_mysql::Flavor;

use super::follow::{Plain, Site, chunk_rows, name, read_range};

/// Columns of the key with their types, the key's names, and the values of rows.
struct Case {
    table: &'static str,
    columns: &'static str,
    key: &'static str,
    rows: Vec<String>,
}

fn case(table: &'static str, columns: &'static str, key: &'static str, rows: &[&str]) -> Case {
    Case { table, columns, key, rows: rows.iter().map(|row| (*row).to_owned()).collect() }
}

fn cases(flavor: Flavor) -> Vec<Case> {
    let words = ["''", "'a'", "'B'", "'c '", "'\u{f6}'", "'z'", "'ss'", "'_'", "'%'", "'a\\\\b'", "'it''s'", "'aa'"];
    let emoji = ["'\u{1f600}'", "'\u{1f601}x'", "'\u{1f602}'", "'plain'", "'\u{65e5}'", "'\u{44f}'", "'e'", "'f'"];
    let mut cases = vec![
        case("k_int", "k INT", "k", &["-2147483648", "-5", "-1", "0", "1", "2", "7", "2147483647"]),
        case(
            "k_uint",
            "k BIGINT UNSIGNED",
            "k",
            &["0", "1", "9223372036854775807", "9223372036854775808", "18446744073709551614", "18446744073709551615"],
        ),
        case(
            "k_big",
            "k BIGINT",
            "k",
            &["-9223372036854775808", "-9223372036854775807", "-1", "0", "9223372036854775807"],
        ),
        case("k_swedish", "k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "k", &words),
        case("k_general", "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "k", &words),
        case("k_unicode", "k CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "k", &words),
        case("k_bin", "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "k", &emoji),
        case("k_emoji", "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci", "k", &emoji),
        case("k_utf16", "k VARCHAR(20) CHARACTER SET utf16 COLLATE utf16_general_ci", "k", &words),
        case(
            "k_decimal",
            "k DECIMAL(30,10)",
            "k",
            &["-99999999999999999999.9999999999", "-0.0000000001", "0", "1.5", "1.51"],
        ),
        case(
            "k_date",
            "k DATE",
            "k",
            &["'0000-00-00'", "'2024-02-00'", "'2023-02-31'", "'2024-02-29'", "'9999-12-31'"],
        ),
        case(
            "k_moment",
            "k DATETIME(6)",
            "k",
            &[
                "'0000-00-00'",
                "'2024-01-01 00:00:00.000001'",
                "'2024-01-01 00:00:00.000002'",
                "'9999-12-31 23:59:59.999999'",
            ],
        ),
        case(
            "k_stamp",
            "k TIMESTAMP(3) DEFAULT 0",
            "k",
            &["'0000-00-00'", "'1970-01-01 00:00:01.001'", "'2024-01-01 00:00:00.001'", "'2038-01-19 03:14:07'"],
        ),
        case(
            "k_time",
            "k TIME(2)",
            "k",
            &["'-838:59:59'", "'-00:00:00.01'", "'00:00:00'", "'12:00:00.5'", "'838:59:59'"],
        ),
        case(
            "k_binary",
            "k BINARY(4)",
            "k",
            &["x'00000000'", "x'00000001'", "x'27273b2d'", "x'ff00ff00'", "x'ffffffff'"],
        ),
        case("k_varbinary", "k VARBINARY(9)", "k", &["x''", "x'00'", "x'0000'", "x'27'", "x'5c27'", "x'ff'"]),
        case("k_double", "k DOUBLE", "k", &["-1e300", "-0.1", "0", "5e-324", "0.1", "0.30000000000000004", "1e300"]),
        case("k_float", "k FLOAT", "k", &["-1.5", "0.1", "0.2", "3.4e38", "1e-40"]),
        case("k_year", "k YEAR", "k", &["0", "1901", "2000", "2024", "2155"]),
        case("k_bit", "k BIT(64)", "k", &["b'0'", "b'1'", "18446744073709551615", "9223372036854775808", "77"]),
        case("k_enum", "k ENUM('z','y','x','w')", "k", &["'z'", "'y'", "'x'", "'w'"]),
        case("k_set", "k SET('a','b','c')", "k", &["''", "'a'", "'b'", "'a,b'", "'c'", "'a,b,c'"]),
        case(
            "k_uuids",
            "k BINARY(16)",
            "k",
            &["x'00112233445566778899aabbccddeeff'", "x'ff112233445566778899aabbccddeeff'"],
        ),
        Case {
            table: "k_pair",
            columns: "a INT, b VARCHAR(9) COLLATE utf8mb4_general_ci, c DATE",
            key: "a, b, c",
            rows: (0..90)
                .map(|n| format!("{}, '{}', '2024-01-{:02}'", n / 30, ["x", "Y", "z"][n / 10 % 3], n % 10 + 1))
                .collect(),
        },
    ];
    if flavor == Flavor::MariaDb {
        let uuids = [
            "'00000000-0000-4000-8000-000000000001'",
            "'ffffffff-0000-4000-8000-000000000001'",
            "'12345678-0000-1000-8000-000000000001'",
            "'12345678-0001-1000-8000-000000000002'",
        ];
        cases.push(case("k_uuid", "k UUID", "k", &uuids));
        cases.push(case(
            "k_inet6",
            "k INET6",
            "k",
            &["'::'", "'::1'", "'::ffff:10.0.0.1'", "'fe80::1'", "'2001:db8::'"],
        ));
    }
    cases
}

pub fn check(site: &mut Site) {
    for case in cases(site.flavor) {
        fill(site, &case, "");
        once(site, &case);
    }
    unique_and_prefix(site);
    refuses(site);
}

fn fill(site: &mut Site, case: &Case, more: &str) {
    let Case { table, columns, key, rows } = case;
    // A number tells rows to us.
    let key = if more.is_empty() { format!("PRIMARY KEY ({key})") } else { more.to_owned() };
    site.run(&format!("CREATE TABLE {table} (n INT, {columns}, {key}) ENGINE=InnoDB"));
    for (n, row) in rows.iter().enumerate() {
        site.run(&format!("INSERT INTO {table} VALUES ({n}, {row})"));
    }
}

fn once(site: &mut Site, case: &Case) {
    let count = case.rows.len();
    for rows_max in [1, 3, 1000] {
        let mut fresh = || site.reader();
        let chunks = read_range(&mut fresh, &name(case.table), KeyRange::default(), (rows_max, 1 << 20));
        let read: Vec<Plain> = chunks.iter().flat_map(chunk_rows).map(|row| row.after[0].clone()).collect();
        let distinct: BTreeSet<&Plain> = read.iter().collect();
        assert_eq!((read.len(), distinct.len()), (count, count), "{} by {rows_max}", case.table);
    }
    // A range is what lies between two keys, wherever the table changes: the middle one once more.
    let mut fresh = || site.reader();
    let parts = read_range(&mut fresh, &name(case.table), KeyRange::default(), (2, 1 << 20));
    let middle = &parts[parts.len() / 2];
    let again = read_range(&mut fresh, &name(case.table), middle.range.clone(), (1000, 1 << 20));
    let rows = |chunks: &[limpid_connector::Chunk]| -> Vec<_> { chunks.iter().flat_map(chunk_rows).collect() };
    assert_eq!(rows(&again), rows(std::slice::from_ref(middle)), "{}", case.table);
}

fn unique_and_prefix(site: &mut Site) {
    let rows = &["5, 'e'", "3, 'c'", "9, 'a'", "1, 'b'"];
    let unique = case("k_unique", "a INT NOT NULL, b VARCHAR(9) NOT NULL", "", rows);
    fill(site, &unique, "UNIQUE KEY other (b, a), UNIQUE KEY (a)");
    once(site, &unique);
    let prefix = case("k_prefix", "a INT, b VARCHAR(9)", "", rows);
    fill(site, &prefix, "PRIMARY KEY (b(1))");
    once(site, &prefix);
}

/// Texts that are no key, or another table's: a fault with its code, and nothing of it reaches the server.
fn refuses(site: &mut Site) {
    let table = name("k_int");
    let text = |site: &Site, table: &str| {
        let ask = ChunkAsk {
            table: &name(table),
            range: &KeyRange::default(),
            predicate: None,
            rows_max: 1,
            bytes_max: 1 << 20,
        };
        site.reader().read(&ask).unwrap().unwrap().range.until.unwrap()
    };
    let good = text(site, "k_int");
    let number = &good[..8];
    for bad in [
        "1) OR (1=1".to_owned(),
        format!("{number},i1) OR (1=1"),
        format!("{number},i1,i2"),
        format!("{number},x31"),
        text(site, "k_swedish"),
        text(site, "k_unique"),
    ] {
        for range in
            [KeyRange { after: Some(bad.clone()), until: None }, KeyRange { after: None, until: Some(bad.clone()) }]
        {
            let ask = ChunkAsk { table: &table, range: &range, predicate: None, rows_max: 9, bytes_max: 1 << 20 };
            assert_eq!(site.reader().read(&ask).unwrap_err().code(), FaultCode::PositionInvalid, "{bad}");
        }
    }
    let predicate = "k > -3 AND k < 3 -- no more";
    let ask = ChunkAsk {
        table: &table,
        range: &KeyRange::default(),
        predicate: Some(predicate),
        rows_max: 9,
        bytes_max: 1 << 20,
    };
    assert_eq!(site.reader().read(&ask).unwrap().unwrap().rows, 4);
    let wrong = ChunkAsk { predicate: Some("nothing_of_the_kind = 1"), ..ask };
    assert_eq!(site.reader().read(&wrong).unwrap_err().code(), FaultCode::SourceQueryFailed);
}

//! Values that are not delivered as they are stored, told by column, from both servers.
//!
//! Owns: the cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the server's own SELECT, which counts what is odd by a condition of its own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, both};
use limpid_e2e::{Case, Limpid, PATIENCE, Pipeline, Spec, page, wait_until};
use serde_json::{Value, json};

const TABLES: &str = "create table t (id int primary key, d date, z timestamp null, m datetime(6), c time(6), \
                      u bigint unsigned, b boolean, g varchar(9) character set greek, s varchar(9) character set ucs2); \
                      create table h (id int primary key, n int, e enum('a', '😀') character set utf8mb4, \
                      f set('b', 'c😀') character set utf8mb4); create table done (id int primary key);";

/// A column, why it is odd, and the server's own condition for it.
const ODD: [(&str, &str, &str); 8] = [
    ("d", "impossible_date", "month(d) = 0 or day(d) = 0"),
    ("z", "impossible_date", "z = 0"),
    ("m", "truncated", "microsecond(m) % 1000 > 0"),
    ("c", "truncated", "microsecond(c) % 1000 > 0"),
    ("u", "unsigned_wrap", "u > 9223372036854775807"),
    ("b", "out_of_range", "b not in (0, 1)"),
    ("g", "unmapped_text", "convert(g using utf8mb4) like '%?%'"),
    ("s", "malformed_text", "hex(s) like '%D800'"),
];

/// Rows from `first` on: one of nothing odd, one of NULLs, one that is odd in every way, one in some.
fn rows(first: u32) -> String {
    let [plain, null, odd, some] = [first, first + 1, first + 2, first + 3];
    format!(
        "set sql_mode=''; insert into t values \
         ({plain}, '2024-02-29', '2024-02-29', '2024-01-01 00:00:00.120', '12:00:00.5', 5, 1, 'a', 'a'), \
         ({null}, null, null, null, null, null, null, null, null), \
         ({odd}, '0000-00-00', '0000-00-00', '2024-01-01 00:00:00.123456', '-00:00:00.000001', 18446744073709551615, 5, \
          _greek x'61d2d2', _ucs2 x'0061d800'), \
         ({some}, '2024-00-10', '2024-02-29', '1969-12-31 23:59:59.999999', '12:00:00', 9223372036854775808, 0, 'b', 'b');"
    )
}

/// Every series of the counter, as `table.column.reason`.
fn told(metrics: &str) -> Result<BTreeMap<String, u64>> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("limpid_quality_values_total{"));
    lines
        .map(|line| {
            let label = |name: &str| line.split(&format!("{name}=\"")).nth(1)?.split('"').next();
            let name = [label("table"), label("column"), label("reason")].map(Option::unwrap_or_default).join(".");
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).context(line.to_owned())?;
            Ok((name, value as u64))
        })
        .collect()
}

#[test]
fn what_is_not_delivered_as_it_is_stored_is_counted_by_column_in_stream_and_copy() -> Result<()> {
    for db in both() {
        let lossy = |spec: Spec| spec.snapshot("initial").sink("time-precision: connect").sink("tinyint1: boolean");
        let case = Case::unstarted(db, "quality", TABLES, lossy)?;
        if !db.is_maria() {
            case.sql("create table j (id int primary key, v json); insert into j values (1, json_object('a', repeat('x', 99), 'b', 1))")?;
        }
        case.sql(&rows(1))?;
        let mut limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the tables are copied", PATIENCE)?;
        case.sql(&rows(11))?;
        let mut expected = BTreeMap::new();
        for (column, why, condition) in ODD {
            let count = case.sql(&format!("set sql_mode=''; select count(*) from t where {condition}"))?;
            let count: u64 = count.trim().parse()?;
            ensure!(count >= 2, "{column} is not odd enough: {count}");
            // Copied or inserted, then before and after a change, then deleted.
            expected.insert(format!("t.{column}.{why}"), 4 * count);
        }
        // The definition is changed where the log does not see it.
        case.sql("set sql_mode=''; update t set id = id + 100; delete from t; insert into h values (1, 1, 2, 2)")?;
        case.sql(
            "set sql_log_bin=0; alter table h modify n bigint; set sql_log_bin=1; insert into h values (2, 1, 1, 3), (3, 1, 2, 0)",
        )?;
        expected.insert("h.n.schema_disagreement".to_owned(), 2);
        if !db.is_maria() {
            case.sql(
                "set binlog_row_value_options='partial_json'; update j set v = json_set(v, '$.b', 2) where id = 1",
            )?;
            expected.insert("j.v.json_partial".to_owned(), 1);
        }
        case.sql("insert into done values (1)")?;
        wait_until("the last row", PATIENCE, || limpid.stdout().contains("\"table\":\"done\""))?;
        let metrics = page(&limpid.address()?, "/metrics")?;
        let told = told(&metrics)?;
        ensure!(
            !metrics.contains("limpid_quality_null_ratio") && !metrics.contains("limpid_quality_drift"),
            "{metrics}"
        );
        let document: Value = serde_json::from_str(&quality(&limpid, &case)?)?;
        ensure!(document["sample"].is_null() && document["columns"] == json!([]), "{document}");
        let odd = document["odd"].as_array().context("a list")?.iter();
        let text = |odd: &Value, name: &str| odd[name].as_str().unwrap_or_default().to_owned();
        let by_name =
            |odd: &Value| (["table", "column", "reason"].map(|name| text(odd, name)).join("."), odd["values"].as_u64());
        let odd: BTreeMap<_, _> = odd.map(by_name).map(|(name, values)| (name, values.unwrap_or(0))).collect();
        ensure!(odd == told, "the API says {odd:#?}");
        ensure!(told == expected, "{}: told\n{told:#?}\nthe server says\n{expected:#?}", db.word());
        for (kind, whys) in [
            ("impossible_date", &["impossible_date"][..]),
            ("malformed_text", &["malformed_text", "unmapped_text"]),
            ("unrepresentable", &["truncated", "unsigned_wrap", "out_of_range"]),
        ] {
            let of_kind = expected.iter().filter(|(name, _)| whys.iter().any(|why| name.ends_with(why)));
            let values: u64 = of_kind.map(|(_, count)| count).sum();
            let line = format!("limpid_coerced_values_total{{pipeline=\"{}\",kind=\"{kind}\"}} {values}", case.name);
            ensure!(metrics.lines().any(|told| told == line), "no {line} in\n{metrics}");
        }
        limpid.kill()?;
    }
    Ok(())
}

fn quality(limpid: &Limpid, case: &Case<'_>) -> Result<String> {
    page(&limpid.address()?, &format!("/api/v1/pipelines/{}/quality", case.name))
}

/// So many rows from `first` on in one statement; `v` is the text's expression.
fn bulk(db: Db<'_>, first: u32, count: u32, v: &str) -> String {
    let last = first + count - 1;
    let numbers = match db.is_maria() {
        true => format!("select seq n from seq_{first}_to_{last}"),
        false => format!(
            "with recursive s as (select {first} n union all select n + 1 from s where n < {last}) select n from s"
        ),
    };
    format!("insert into q select n, n % 5, {v} from ({numbers}) numbers;")
}

#[test]
fn a_sudden_rise_of_nulls_is_told_and_an_even_stream_is_not() -> Result<()> {
    for db in both() {
        let mut case =
            Case::unstarted(db, "sketch", "create table q (id int primary key, k int, v varchar(20));", |spec| spec)?;
        let yaml = Spec::new(&case.name, db.port()).yaml();
        let telemetry = "telemetry:\n  quality: { one-in: 1, window-rows: 100 }\n";
        case.pipeline = Pipeline::write(case.dir.path(), &case.name, &format!("{yaml}{telemetry}"))?;
        let mut limpid = case.pipeline.run(&[])?;
        limpid.wait_for("is running", PATIENCE)?;
        let even = "concat('a name ', lpad(n, 6, '0'))";
        // One at a time, so that no two are in one batch: a batch ends one window at most.
        for first in (1..=1800).step_by(100) {
            case.sql(&bulk(db, first, 100, even))?;
            let rows = first as usize + 99;
            wait_until("the even rows", PATIENCE, || limpid.stdout().lines().count() >= rows)?;
        }
        let document: Value = serde_json::from_str(&quality(&limpid, &case)?)?;
        let columns = document["columns"].as_array().context("a list")?;
        ensure!(columns.len() == 3 && columns.iter().all(|column| column["windows"] == 18), "{document}");
        ensure!(!limpid.stderr().contains("not as usual"), "an even stream: {}", limpid.stderr());
        let measures = columns.iter().flat_map(|column| column["measures"].as_array().into_iter().flatten());
        ensure!(measures.clone().all(|measure| measure["drifting"] == false), "{document}");

        let odd = format!("if(n % 2 = 0, null, {even})");
        case.sql(&bulk(db, 1801, 100, &odd))?;
        limpid.wait_for("a column is not as usual", PATIENCE)?;
        case.sql(&bulk(db, 1901, 100, &odd))?;
        wait_until("the other rows", PATIENCE, || limpid.stdout().lines().count() >= 2000)?;
        let metrics = page(&limpid.address()?, "/metrics")?;
        let drifts: Vec<&str> =
            metrics.lines().filter(|line| line.starts_with("limpid_quality_drifts_total{")).collect();
        let labels = format!("pipeline=\"{0}\",schema=\"{0}\",table=\"q\",column=\"v\"", case.name);
        ensure!(drifts == [format!("limpid_quality_drifts_total{{{labels},measure=\"null_ratio\"}} 1")], "{drifts:?}");
        // The last window is the last 100 rows.
        let last = case.sql("select avg(v is null), avg(length(v)) from q where id > 1900")?;
        for (name, said) in
            ["limpid_quality_null_ratio", "limpid_quality_length_bytes"].iter().zip(last.trim().split('\t'))
        {
            let said: f64 = said.parse()?;
            let line = format!("{name}{{{labels}}} {said}");
            ensure!(metrics.lines().any(|told| told == line), "no {line} in\n{metrics}");
        }
        let told = limpid.stderr();
        let told: Vec<&str> = told.lines().filter(|line| line.contains("not as usual")).collect();
        ensure!(told.len() == 1 && told[0].contains("\"now\":\"0.5000\"") && !told[0].contains("a name"), "{told:?}");
        limpid.kill()?;
    }
    Ok(())
}

//! What rows become in `debezium-json`, by hand-built batches.
//!
//! Owns: order of records, keys, headers, source block, every column type, faults. Does not own: the comparison with
//! Debezium itself (`tests/oracle`).

use std::sync::Arc;

use crate::odd::odd;
use crate::support::{Builder, Val, column, encode, encoder, int, options, table, text};
use limpid_codec::{
    BigintUnsignedHandling, BinaryHandling, Compat, Connector, DebeziumOptions, DecimalHandling, MessageKey,
    SkippedOperations, TimePrecision, TinyInt1,
};
use limpid_model::{Cell, CellKind, CommitTime, FaultCode, LogicalType, Oddity, Op, Shown, TxnId};

const TIMES: &str = "\"ts_ms\":1700000000123,\"ts_us\":1700000000123456,\"ts_ns\":1700000000123456000}";

fn source(pos: u64, row: u32) -> String {
    format!(
        "\"source\":{{\"version\":\"3.5.0.Final\",\"connector\":\"mariadb\",\"name\":\"shop\",\
         \"ts_ms\":1600000000000,\"snapshot\":\"false\",\"db\":\"db\",\"sequence\":null,\
         \"ts_us\":1600000000000000,\"ts_ns\":1600000000000000000,\"table\":\"t\",\"server_id\":1,\
         \"gtid\":\"0-1-7\",\"file\":\"bin.000001\",\"pos\":{pos},\"row\":{row},\"thread\":null,\"query\":null}}"
    )
}

fn two_columns() -> Arc<limpid_model::TableSchema> {
    table("t", 1, vec![column("id", int(), false), column("v", LogicalType::Text, true)], &[0])
}

fn one_event() -> Builder {
    Builder::new().table(&two_columns()).maria_txn(7).event(400)
}

fn check(options: DebeziumOptions, builder: Builder, expected: &[&str]) {
    let got = encode(&mut encoder(options), builder);
    assert!(got.tally.table_faults.is_empty() && got.tally.row_faults.is_empty(), "{:?}", got.tally);
    assert_eq!(got.short_lines(), expected);
}

#[test]
fn an_insert_is_one_record_byte_for_byte() {
    let builder =
        one_event().row(Op::Insert, &[], &[Val::Int(7), text("x")]).row(Op::Insert, &[], &[Val::Int(-8), Val::Null]);
    let got = encode(&mut encoder(options()), builder);
    assert_eq!(got.out.topics, [Some("shop.db.t".into())]);
    let expected = |id: i64, v: &str, row: u32| {
        format!(
            "{{\"id\":{id}}} {{\"before\":null,\"after\":{{\"id\":{id},\"v\":{v}}},{},\"transaction\":null,\
             \"op\":\"c\",{TIMES}",
            source(400, row)
        )
    };
    assert_eq!(got.lines(), [expected(7, "\"x\"", 0), expected(-8, "null", 1)]);
}

#[test]
fn a_rejected_row_has_no_record_and_the_others_keep_their_numbers() {
    for rejected in [&[][..], &[0], &[1], &[2], &[0, 2], &[0, 1, 2]] {
        let mut builder = one_event();
        for id in 0..3 {
            builder = builder.row(Op::Insert, &[], &[Val::Int(id), Val::Null]);
        }
        builder.batch.counts = vec![[3, 0, 0, 0, 0]];
        rejected.iter().for_each(|row| builder.batch.reject(*row, 0));
        let passed = builder.batch.passed(0)[Op::Insert as usize];
        let got = encode(&mut encoder(options()), builder);
        let rows: Vec<u32> = got.out.records.iter().map(|record| record.row).collect();
        let expected: Vec<u32> = (0..3).filter(|row| !rejected.contains(row)).collect();
        assert_eq!((rows, passed as usize), (expected, 3 - rejected.len()));
        for (line, row) in got.lines().iter().zip((0..3).filter(|row| !rejected.contains(row))) {
            assert!(line.contains(&format!("\"row\":{row},")), "{line}");
        }
    }
}

#[test]
fn update_delete_and_tombstone_keep_their_order() {
    let row = |v: &str| [Val::Int(1), text(v)];
    check(
        options(),
        one_event().row(Op::Update, &row("a"), &row("b")).row(Op::Delete, &row("b"), &[]),
        &[
            r#"{"id":1} {"before":{"id":1,"v":"a"},"after":{"id":1,"v":"b"} u"#,
            r#"{"id":1} {"before":{"id":1,"v":"b"},"after":null d"#,
            r#"{"id":1} -"#,
        ],
    );
    check(
        DebeziumOptions { tombstones: false, ..options() },
        one_event().row(Op::Delete, &row("b"), &[]),
        &[r#"{"id":1} {"before":{"id":1,"v":"b"},"after":null d"#],
    );
}

#[test]
fn a_changed_key_is_a_delete_and_a_create_that_name_each_other() {
    let builder = one_event().row(Op::Update, &[Val::Int(1), text("a")], &[Val::Int(2), text("a")]);
    check(
        options(),
        builder,
        &[
            r#"{"id":1} {"before":{"id":1,"v":"a"},"after":null d __debezium.newkey={"id":2}"#,
            r#"{"id":1} - __debezium.newkey={"id":2}"#,
            r#"{"id":2} {"before":null,"after":{"id":2,"v":"a"} c __debezium.oldkey={"id":1}"#,
        ],
    );
}

#[test]
fn a_key_whose_cells_differ_but_whose_text_does_not_is_no_key_change() {
    let schema = table("t", 1, vec![column("d", LogicalType::Decimal { precision: 20, scale: 0 }, false)], &[0]);
    let inline = Val::Cell(Cell::scaled(CellKind::Decimal, 258, 0));
    let arena = Val::Decimal(vec![1, 2], 0);
    let builder = Builder::new().table(&schema).maria_txn(1).event(4).row(Op::Update, &[inline], &[arena]);
    check(options(), builder, &[r#"{"d":"AQI="} {"before":{"d":"AQI="},"after":{"d":"AQI="} u"#]);
}

#[test]
fn a_table_without_a_key_has_records_without_one() {
    let schema = table("t", 1, vec![column("v", LogicalType::Text, true)], &[]);
    let builder = Builder::new().table(&schema).maria_txn(1).event(4).row(Op::Delete, &[text("a")], &[]);
    check(options(), builder, &[r#"- {"before":{"v":"a"},"after":null d"#, "- -"]);
}

#[test]
fn a_key_of_several_columns_keeps_the_keys_order() {
    let columns = vec![column("a", int(), false), column("b", int(), false), column("c", int(), true)];
    let schema = table("t", 1, columns, &[1, 0]);
    let row = [Val::Int(1), Val::Int(2), Val::Null];
    let build = || Builder::new().table(&schema).maria_txn(1).event(4).row(Op::Insert, &[], &row);
    let value = r#"{"before":null,"after":{"a":1,"b":2,"c":null} c"#;
    check(options(), build(), &[&format!(r#"{{"b":2,"a":1}} {value}"#)]);
    let message_key_columns = MessageKey::parse_all("db.other:a;DB.T:c,a").unwrap();
    check(DebeziumOptions { message_key_columns, ..options() }, build(), &[&format!(r#"{{"c":null,"a":1}} {value}"#)]);
}

#[test]
fn operations_are_skipped_as_asked() {
    let build = || {
        one_event().row(Op::Truncate, &[], &[]).row(Op::Insert, &[], &[Val::Int(1), Val::Null]).row(
            Op::Delete,
            &[Val::Int(1), Val::Null],
            &[],
        )
    };
    let insert = r#"{"id":1} {"before":null,"after":{"id":1,"v":null} c"#;
    check(options(), build(), &[insert, r#"{"id":1} {"before":{"id":1,"v":null},"after":null d"#, r#"{"id":1} -"#]);
    let skipped = |text| DebeziumOptions { skipped_operations: SkippedOperations::parse(text).unwrap(), ..options() };
    check(skipped("d"), build(), &[r#"- {"before":null,"after":null t"#, insert]);
    check(skipped("c,d,t"), build(), &[]);
}

#[test]
fn partial_images_leave_columns_out_and_find_the_key_in_either() {
    let builder = one_event()
        .row(Op::Update, &[Val::Int(1), Val::Absent], &[Val::Absent, text("b")])
        .row(Op::Delete, &[Val::Int(1), Val::Absent], &[])
        .row(Op::Update, &[Val::Int(1), Val::Absent], &[Val::Int(2), Val::Absent]);
    check(
        options(),
        builder,
        &[
            r#"{"id":1} {"before":{"id":1},"after":{"v":"b"} u"#,
            r#"{"id":1} {"before":{"id":1},"after":null d"#,
            r#"{"id":1} -"#,
            r#"{"id":1} {"before":{"id":1},"after":null d __debezium.newkey={"id":2}"#,
            r#"{"id":1} - __debezium.newkey={"id":2}"#,
            r#"{"id":2} {"before":null,"after":{"id":2} c __debezium.oldkey={"id":1}"#,
        ],
    );
}

#[test]
fn a_snapshot_row_is_a_read_and_says_incremental() {
    let got = encode(&mut encoder(options()), one_event().row(Op::Read, &[], &[Val::Int(1), Val::Null]));
    let line = &got.lines()[0];
    assert!(line.contains("\"op\":\"r\"") && line.contains("\"snapshot\":\"incremental\""), "{line}");
}

#[test]
fn the_source_block_of_mysql_has_the_commit_time_and_the_thread() {
    let options = DebeziumOptions { connector: Connector::MySql, compat: Compat::V3_7, ..options() };
    let sid = *b"\x3e\x11\xfa\x47\x71\xca\x11\xe1\x9e\x33\xc8\x0a\xa9\x42\x95\x62";
    let commit = CommitTime { micros: 1_600_000_001_234_567, uncertainty_micros: 0 };
    let mut builder = Builder::new()
        .table(&two_columns())
        .txn(TxnId::Uuid { sid, gno: 23, tag: 0 }, commit, 42)
        .event(4)
        .row(Op::Insert, &[], &[Val::Int(1), Val::Null])
        .txn(TxnId::Uuid { sid, gno: 24, tag: 1 }, commit, 43)
        .event(5)
        .row(Op::Insert, &[], &[Val::Int(2), Val::Null])
        .txn(TxnId::Anonymous, commit, 44)
        .event(6)
        .row(Op::Insert, &[], &[Val::Int(3), Val::Null]);
    builder.batch.tags.push("blue".into());
    let lines = encode(&mut encoder(options), builder).lines();
    let has = |line: &str, part: &str| assert!(line.contains(part), "{part} not in {line}");
    has(&lines[0], "\"version\":\"3.7.0.Final\",\"connector\":\"mysql\",\"name\":\"shop\",\"ts_ms\":1600000001234,");
    has(&lines[0], "\"ts_us\":1600000001234567,\"ts_ns\":1600000001234567000,");
    has(&lines[0], "\"gtid\":\"3e11fa47-71ca-11e1-9e33-c80aa9429562:23\",");
    has(&lines[0], "\"pos\":4,\"row\":0,\"thread\":42,\"query\":null},");
    has(&lines[1], "\"gtid\":\"3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:24\",");
    has(&lines[2], "\"ts_ms\":1600000000000,");
    has(&lines[2], "\"gtid\":null,");
}

#[test]
fn a_row_without_a_form_leaves_one_record_that_says_nothing_and_stops_no_other() {
    let bad = table("bad", 1, vec![column("id", int(), false), column("d", LogicalType::Document, true)], &[0]);
    let builder = Builder::new()
        .table(&two_columns())
        .maria_txn(1)
        .event(1)
        .row(Op::Insert, &[], &[Val::Int(1), Val::Null])
        .table(&bad)
        .event(2)
        .row(Op::Insert, &[], &[Val::Int(1), Val::Null])
        .row(Op::Update, &[Val::Int(1), Val::Null], &[Val::Int(2), Val::Bytes(CellKind::Document, vec![5])])
        .row(Op::Insert, &[], &[Val::Int(3), Val::Null]);
    let got = encode(&mut encoder(options()), builder);
    let [(2, fault)] = &got.tally.row_faults[..] else { panic!("{:?}", got.tally.row_faults) };
    assert_eq!(fault.code(), FaultCode::RowUnencodable);
    assert_eq!(fault.object(), Some("db.bad, column d"));
    let rows: Vec<(u32, bool)> = got.out.records.iter().map(|record| (record.row, record.value.is_null())).collect();
    assert_eq!(
        rows,
        [(0, false), (1, false), (2, true), (3, false)],
        "one record that says nothing, of that row alone"
    );
    assert!(got.out.headers.is_empty());
}

#[test]
fn a_row_without_a_form_stops_no_other_row_of_its_table() {
    let columns = || vec![column("id", int(), false), column("d", LogicalType::Document, true)];
    let (older, newer) = (table("bad", 1, columns(), &[0]), table("bad", 2, columns(), &[0]));
    let builder = Builder::new()
        .table(&older)
        .maria_txn(1)
        .event(1)
        .row(Op::Insert, &[], &[Val::Int(1), Val::Null])
        .row(Op::Insert, &[], &[Val::Int(2), Val::Bytes(CellKind::Document, vec![5])])
        .table(&newer)
        .event(2)
        .row(Op::Insert, &[], &[Val::Int(3), Val::Null]);
    let got = encode(&mut encoder(options()), builder);
    assert!(got.tally.table_faults.is_empty(), "{:?}", got.tally.table_faults);
    assert_eq!((got.tally.row_faults.len(), got.out.records.len()), (1, 3), "{:?}", got.tally.row_faults);
}

#[test]
fn tables_whose_topics_collide_are_faults_and_have_no_records() {
    let other = table("t$", 2, vec![column("id", int(), false)], &[0]);
    let same = table("t#", 3, vec![column("id", int(), false)], &[0]);
    let build = |schema| Builder::new().table(schema).maria_txn(1).event(1).row(Op::Insert, &[], &[Val::Int(1)]);
    let mut encoder = encoder(options());
    assert_eq!(encode(&mut encoder, build(&other)).out.records.len(), 1);
    for _ in 0..2 {
        let got = encode(&mut encoder, build(&same));
        assert_eq!(got.tally.table_faults[0].1.code(), FaultCode::TopicCollision);
        assert!(got.out.records.is_empty() && got.out.topics == [None]);
    }
}

#[test]
fn a_table_that_nothing_is_shown_of_claims_no_topic() {
    let other = table("t$", 2, vec![column("id", int(), false)], &[0]);
    let same = table("t#", 3, vec![column("id", int(), false)], &[0]);
    let build = |schema| Builder::new().table(schema).maria_txn(1).event(1).row(Op::Insert, &[], &[Val::Int(1)]);
    let mut encoder = encoder(options());
    let mut hidden = build(&other);
    hidden.batch.shown.push(Shown::Withheld);
    let withheld = encode(&mut encoder, hidden);
    assert!(withheld.tally.table_faults.is_empty() && withheld.out.records.is_empty());
    let got = encode(&mut encoder, build(&same));
    assert_eq!((got.tally.table_faults.len(), got.out.records.len()), (0, 1));
}

/// Encodes one value of one column; `changed` turns the options.
fn value(logical: LogicalType, value: Val, changed: &dyn Fn(&mut DebeziumOptions)) -> Result<String, FaultCode> {
    let mut options = options();
    changed(&mut options);
    let mut schema = (*table("t", 1, vec![column("v", logical, true)], &[])).clone();
    schema.columns[0].tinyint1 = options.tinyint1 == TinyInt1::Boolean;
    let builder = Builder::new().table(&Arc::new(schema)).maria_txn(1).event(1).row(Op::Insert, &[], &[value]);
    let got = encode(&mut encoder(options), builder);
    if let Some((_, fault)) = got.tally.row_faults.first() {
        return Err(fault.code());
    }
    let line = &got.short_lines()[0];
    Ok(line["- {\"before\":null,\"after\":{\"v\":".len()..line.len() - "} c".len()].to_owned())
}

fn check_value(logical: LogicalType, cell: Val, changed: &dyn Fn(&mut DebeziumOptions), expected: &str) {
    assert_eq!(value(logical.clone(), cell.clone(), changed).as_deref(), Ok(expected), "{logical:?} {cell:?}");
}

fn inline(kind: CellKind, value: i64) -> Val {
    Val::Cell(Cell::int(kind, value))
}

fn decimal(value: i64, scale: u16) -> Val {
    Val::Cell(Cell::scaled(CellKind::Decimal, value, scale))
}

#[test]
fn numbers() {
    let big = LogicalType::Int { bits: 64, signed: false };
    let precise = |o: &mut DebeziumOptions| o.bigint_unsigned_handling = BigintUnsignedHandling::Precise;
    let same = |_: &mut DebeziumOptions| {};
    check_value(int(), Val::Int(i32::MIN as i64), &same, "-2147483648");
    check_value(LogicalType::Int { bits: 32, signed: false }, Val::UInt(4_294_967_295), &same, "4294967295");
    check_value(big.clone(), Val::UInt(u64::MAX), &same, "-1");
    check_value(big.clone(), Val::UInt(u64::MAX), &precise, "\"AP//////////\"");
    check_value(big.clone(), Val::UInt(0), &precise, "\"AA==\"");
    check_value(big, Val::UInt(128), &precise, "\"AIA=\"");
    check_value(LogicalType::F64, Val::Cell(Cell::inline(CellKind::F64, 1e10f64.to_bits())), &same, "1.0E10");
    check_value(LogicalType::F32, Val::Cell(Cell::inline(CellKind::F32, 1.1f32.to_bits() as u64)), &same, "1.1");
    check_value(LogicalType::Year, inline(CellKind::Year, 0), &same, "0");
    let boolean = |o: &mut DebeziumOptions| o.tinyint1 = TinyInt1::Boolean;
    check_value(LogicalType::Int { bits: 8, signed: true }, Val::Int(1), &boolean, "true");
    check_value(LogicalType::Int { bits: 8, signed: true }, Val::Int(0), &boolean, "false");
    check_value(LogicalType::Int { bits: 8, signed: true }, Val::Int(-128), &boolean, "false");
    check_value(LogicalType::Int { bits: 8, signed: true }, Val::Int(1), &same, "1");
}

#[test]
fn decimals() {
    let logical = |scale| LogicalType::Decimal { precision: 65, scale };
    let string = |o: &mut DebeziumOptions| o.decimal_handling = DecimalHandling::String;
    let double = |o: &mut DebeziumOptions| o.decimal_handling = DecimalHandling::Double;
    let same = |_: &mut DebeziumOptions| {};
    check_value(logical(2), decimal(12345, 2), &same, "\"MDk=\"");
    check_value(logical(2), decimal(-128, 2), &same, "\"gA==\"");
    check_value(logical(2), decimal(0, 2), &same, "\"AA==\"");
    check_value(logical(0), decimal(i64::MIN, 0), &same, "\"gAAAAAAAAAA=\"");
    check_value(logical(2), decimal(-5, 2), &string, "\"-0.05\"");
    check_value(logical(2), decimal(0, 2), &string, "\"0.00\"");
    check_value(logical(0), decimal(42, 0), &string, "\"42\"");
    check_value(logical(2), decimal(1999, 2), &double, "19.99");
    check_value(logical(2), decimal(0, 2), &double, "0.0");
    check_value(logical(1), Val::Decimal(vec![0xff, 0x7f], 1), &string, "\"-12.9\"");
    check_value(logical(20), Val::Decimal(vec![1], 20), &string, "\"0.00000000000000000001\"");
    check_value(logical(20), Val::Decimal(vec![1], 20), &double, "1.0E-20");
}

#[test]
fn times() {
    let at = |kind, micros| Val::Cell(Cell::scaled(kind, micros, 6));
    let of = |precision| move |o: &mut DebeziumOptions| o.time_precision = precision;
    let same = of(TimePrecision::AdaptiveTimeMicroseconds);
    let date = || inline(CellKind::Date, -1);
    check_value(LogicalType::Date, date(), &same, "-1");
    check_value(LogicalType::Date, date(), &of(TimePrecision::Isostring), "\"1969-12-31Z\"");
    let time = || at(CellKind::Time, -3_020_399_000_000);
    let logical = || LogicalType::Time { digits: 6 };
    check_value(logical(), time(), &same, "-3020399000000");
    check_value(logical(), time(), &of(TimePrecision::Connect), "-3020399000");
    check_value(logical(), time(), &of(TimePrecision::Nanoseconds), "-3020399000000000");
    check_value(logical(), at(CellKind::Time, 3_120_000), &of(TimePrecision::Isostring), "\"00:00:03.12Z\"");
    let moment = |kind| at(kind, 1_577_934_240_120_000);
    let datetime = |digits| LogicalType::DateTime { digits };
    check_value(datetime(3), moment(CellKind::DateTime), &same, "1577934240120");
    check_value(datetime(4), moment(CellKind::DateTime), &same, "1577934240120000");
    check_value(datetime(6), moment(CellKind::DateTime), &of(TimePrecision::Connect), "1577934240120");
    check_value(datetime(0), moment(CellKind::DateTime), &of(TimePrecision::Microseconds), "1577934240120000");
    check_value(datetime(0), moment(CellKind::DateTime), &of(TimePrecision::Nanoseconds), "1577934240120000000");
    let far = at(CellKind::DateTime, 253_402_300_799_000_000);
    check_value(datetime(0), far, &of(TimePrecision::Nanoseconds), "9223372036854775807");
    let iso = of(TimePrecision::Isostring);
    check_value(datetime(6), moment(CellKind::DateTime), &iso, "\"2020-01-02T03:04:00.12Z\"");
    check_value(datetime(3), at(CellKind::DateTime, -1), &same, "-1");
    for (digits, expected) in [(0, "00"), (1, "00.1"), (3, "00.120"), (6, "00.120000")] {
        let expected = format!("\"2020-01-02T03:04:{expected}Z\"");
        check_value(LogicalType::Timestamp { digits }, moment(CellKind::Timestamp), &same, &expected);
    }
}

#[test]
fn dates_that_no_calendar_has_are_null_or_the_epoch_and_counted() {
    let cases = [
        (LogicalType::Date, "null", "0"),
        (LogicalType::DateTime { digits: 0 }, "null", "0"),
        (LogicalType::Timestamp { digits: 0 }, "\"1970-01-01T00:00:00Z\"", "\"1970-01-01T00:00:00Z\""),
        (LogicalType::Timestamp { digits: 2 }, "\"1970-01-01T00:00:00.00Z\"", "\"1970-01-01T00:00:00.00Z\""),
    ];
    for (logical, null, epoch) in cases {
        for (nullable, expected) in [(true, null), (false, epoch)] {
            let schema = table("t", 1, vec![column("v", logical.clone(), nullable)], &[]);
            let cell = Val::Cell(Cell::impossible(0, 0, 0, 0, 0));
            let builder = Builder::new().table(&schema).maria_txn(1).event(1).row(Op::Insert, &[], &[cell]);
            let got = encode(&mut encoder(options()), builder);
            assert_eq!(got.short_lines(), [format!("- {{\"before\":null,\"after\":{{\"v\":{expected}}} c")]);
            assert_eq!(odd(&got), [(0, Oddity::ImpossibleDate, 1)]);
        }
    }
}

#[test]
fn members_bits_and_bytes() {
    let same = |_: &mut DebeziumOptions| {};
    let members: Arc<[Arc<str>]> = ["a", "b\"", "c,d"].map(Arc::from).into();
    let choice = || LogicalType::Enum { members: Arc::clone(&members) };
    check_value(choice(), inline(CellKind::Enum, 2), &same, r#""b\"""#);
    check_value(choice(), inline(CellKind::Enum, 0), &same, "\"\"");
    assert_eq!(value(choice(), inline(CellKind::Enum, 4), &same), Err(FaultCode::RowUnencodable));
    let set = || LogicalType::Set { members: Arc::clone(&members) };
    check_value(set(), inline(CellKind::Set, 0), &same, "\"\"");
    check_value(set(), inline(CellKind::Set, 0b110), &same, r#""b\",c,d""#);
    check_value(LogicalType::Bit { width: 1 }, inline(CellKind::Bit, 1), &same, "true");
    check_value(LogicalType::Bit { width: 10 }, inline(CellKind::Bit, 0x102), &same, "\"AgE=\"");
    check_value(LogicalType::Bit { width: 64 }, inline(CellKind::Bit, -1), &same, "\"//////////8=\"");
    let bytes = || Val::Bytes(CellKind::Bytes, vec![0xfb, 0xff, 0]);
    let by = |handling| move |o: &mut DebeziumOptions| o.binary_handling = handling;
    let logical = || LogicalType::Bytes { fixed: None };
    check_value(logical(), bytes(), &same, "\"+/8A\"");
    check_value(logical(), bytes(), &by(BinaryHandling::Base64), "\"+/8A\"");
    check_value(logical(), bytes(), &by(BinaryHandling::Base64UrlSafe), "\"-_8A\"");
    check_value(logical(), bytes(), &by(BinaryHandling::Hex), "\"fbff00\"");
}

#[test]
fn structured_values() {
    let same = |_: &mut DebeziumOptions| {};
    let mut point = vec![0xe6, 0x10, 0, 0, 1, 1, 0, 0, 0];
    point.extend_from_slice(&1.5f64.to_le_bytes());
    point.extend_from_slice(&(-2f64).to_le_bytes());
    let geometry = |bytes: &[u8]| Val::Bytes(CellKind::Geometry, bytes.to_vec());
    let wkb = "AQEAAAAAAAAAAAD4PwAAAAAAAADA";
    let expected = format!(r#"{{"x":1.5,"y":-2.0,"wkb":"{wkb}","srid":4326}}"#);
    check_value(LogicalType::Geometry { point: true }, geometry(&point), &same, &expected);
    point[0] = 0;
    point[1] = 0;
    let expected = format!(r#"{{"wkb":"{wkb}","srid":null}}"#);
    check_value(LogicalType::Geometry { point: false }, geometry(&point), &same, &expected);
    let short = value(LogicalType::Geometry { point: true }, geometry(&point[..20]), &same);
    assert_eq!(short, Err(FaultCode::RowUnencodable));
    let uuid = Val::Bytes(CellKind::Uuid, (0..16).collect());
    check_value(LogicalType::Uuid, uuid, &same, "\"00010203-0405-0607-0809-0a0b0c0d0e0f\"");
    check_value(LogicalType::Inet4, Val::Bytes(CellKind::Inet, vec![10, 0, 0, 1]), &same, "\"10.0.0.1\"");
    let mut six = vec![0; 16];
    six[15] = 1;
    check_value(LogicalType::Inet6, Val::Bytes(CellKind::Inet, six), &same, "\"::1\"");
    let floats = [1.5f32, -0.25].iter().flat_map(|float| float.to_le_bytes()).collect();
    let vector = Val::Bytes(CellKind::Vector, floats);
    check_value(LogicalType::Vector { dimensions: 2 }, vector, &same, "[1.5,-0.25]");
    let json = Val::Bytes(CellKind::Json, br#"{"a":"b\n"}"#.to_vec());
    check_value(LogicalType::Json, json, &same, r#""{\"a\":\"b\\n\"}""#);
    let unchanged = Val::Cell(Cell::UNCHANGED);
    check_value(LogicalType::Text, unchanged, &same, "\"__debezium_unavailable_value\"");
}

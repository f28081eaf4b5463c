//! Batches gone through.
//!
//! Owns: the cases. Does not own: what a rule means for a table (`compile`).

use limpid_model::{
    Cell, CellKind, CommitTime, DdlKind, Definition, Filtered, NONE, Op, RowHeader, RowMark, TxnHeader, TxnId,
};

use super::*;
use crate::compile::tests::{table, users};
use crate::config::tests::rules_of;

fn stage(rules: &str) -> Stage {
    let rules = rules_of(rules).unwrap();
    let names = rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
    Stage { rules: rules.into(), names }
}

/// Rows of (table, operation); each image has the table's columns, all of them the text of the row's number.
fn batch(tables: &[Arc<TableSchema>], rows: &[(u16, Op)]) -> Batch {
    let mut batch = Batch { tables: tables.to_vec(), counts: vec![[0; Op::COUNT]; tables.len()], ..Batch::default() };
    let commit = CommitTime { micros: 0, uncertainty_micros: 0 };
    batch.txns.push(TxnHeader { id: TxnId::Anonymous, commit, thread: 0, rows_before: 0, ends: true });
    for (number, (table, op)) in rows.iter().enumerate() {
        let mut image = |is_there: bool| {
            let first = batch.cells.len() as u32;
            if is_there {
                let text = number.to_string();
                let offset = batch.arena.len() as u64;
                batch.arena.extend_from_slice(text.as_bytes());
                let cell = Cell::arena(CellKind::Text, offset, text.len() as u32, 0);
                batch.cells.extend(std::iter::repeat_n(cell, tables[usize::from(*table)].columns.len()));
            }
            if is_there { first } else { NONE }
        };
        let before = image(matches!(op, Op::Update | Op::Delete));
        let after = image(matches!(op, Op::Insert | Op::Update | Op::Read));
        batch.counts[usize::from(*table)][*op as usize] += 1;
        let (event, txn, row_in_event) = (0, 0, number as u32);
        batch.marks.push(RowMark::new(number as u64 * 8, *op));
        batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table: *table, op: *op });
    }
    batch
}

fn run(stage: &Stage, batch: &mut Batch) -> TransformTally {
    let mut tally = TransformTally::default();
    stage.worker().transform(batch, &mut tally);
    tally
}

/// The texts of one row's images.
fn texts(batch: &Batch, row: usize) -> Vec<String> {
    let row = &batch.rows[row];
    let columns = batch.tables[usize::from(row.table)].columns.len();
    let cells = [row.before, row.after].into_iter().flat_map(|first| batch.image(first, columns));
    cells.map(|cell| String::from_utf8(batch.bytes(*cell).to_vec()).unwrap()).collect()
}

fn texts_table(name: &str) -> Arc<TableSchema> {
    use limpid_model::LogicalType::Text;
    table(name, &[("a", Text), ("b", Text)], &[0])
}

#[test]
fn rejected_rows_are_marked_in_their_order_and_counted_by_table_and_operation() {
    let rules = "- { type: reject, match: { table: shop.a, op: delete } }\n- { type: reject, match: { op: update } }";
    let tables = [texts_table("a"), texts_table("b")];
    let mut batch = batch(
        &tables,
        &[(0, Op::Insert), (0, Op::Delete), (1, Op::Delete), (1, Op::Update), (0, Op::Update), (0, Op::Delete)],
    );
    let tally = run(&stage(rules), &mut batch);
    let rejected = |row, rule| Filtered { row, rule };
    assert_eq!(batch.filtered, [rejected(1, 0), rejected(3, 1), rejected(4, 1), rejected(5, 0)]);
    assert_eq!(batch.rejected, [[0, 1, 2, 0, 0], [0, 1, 0, 0, 0]]);
    assert_eq!((batch.passed(0), batch.passed(1)), ([1, 0, 0, 0, 0], [0, 0, 1, 0, 0]));
    assert!(batch.shown.is_empty() && tally.table_faults.is_empty());
    assert_eq!(batch.rows.len(), 6, "rows stay where they are");
}

#[test]
fn a_batch_that_nothing_matches_is_left_as_it_is() {
    let rules = "- { type: reject, match: { table: shop.a, op: delete } }\n- { type: mask, match: { table: shop.c }, columns: a, \
                 with: redact }";
    let mut batch = batch(&[texts_table("a"), texts_table("b")], &[(0, Op::Insert), (1, Op::Delete)]);
    let before = format!("{batch:?}");
    run(&stage(rules), &mut batch);
    assert_eq!(format!("{batch:?}"), before);
}

#[test]
fn both_images_are_masked_and_a_rejected_row_costs_nothing() {
    let rules = "- { type: reject, match: { op: delete } }\n- { type: mask, match: { table: shop.a }, columns: b, with: redact }";
    let mut batch = batch(
        &[texts_table("a"), texts_table("b")],
        &[(0, Op::Update), (0, Op::Delete), (1, Op::Insert), (0, Op::Read)],
    );
    run(&stage(rules), &mut batch);
    assert_eq!(texts(&batch, 0), ["0", "***", "0", "***"]);
    assert_eq!(texts(&batch, 1), ["1", "1"]);
    assert_eq!(texts(&batch, 2), ["2", "2"]);
    assert_eq!(texts(&batch, 3), ["3", "***"]);
    assert!(matches!(batch.shown[..], [Shown::As(_), Shown::AsIs]));
    let hashes: Vec<u64> = batch.marks.iter().map(|mark| mark.key_hash() / 8).collect();
    assert_eq!(hashes, (0..batch.rows.len() as u64).collect::<Vec<_>>(), "rows are found by the source's key");
}

#[test]
fn a_table_that_a_rule_does_not_fit_is_told_of_with_every_batch_and_not_shown() {
    let stage = stage("- { type: drop-columns, match: { table: shop.* }, columns: b }");
    let mut worker = stage.worker();
    for _ in 0..2 {
        let mut batch = batch(&[users(), texts_table("a")], &[(0, Op::Truncate), (1, Op::Insert)]);
        let mut tally = TransformTally::default();
        worker.transform(&mut batch, &mut tally);
        assert_eq!(tally.table_faults.iter().map(|(table, _)| *table).collect::<Vec<_>>(), [0]);
        assert!(matches!(batch.shown[..], [Shown::Withheld, Shown::As(_)]));
    }
}

#[test]
fn statements_are_rejected_by_the_first_rule_that_speaks_of_them() {
    let rules =
        "- { type: accept, match: { table: shop.* } }\n- { type: reject, match: { table: shop.a, op: [ddl, delete] } }";
    let mut batch = Batch::default();
    for (schema, table) in [("shop", "a"), ("shop", "b"), ("other", "a")] {
        batch.control.ddl.push(Definition::anonymous(DdlKind::AlterTable, schema, table));
    }
    assert_eq!(run(&stage(rules), &mut batch).statements, [1, 0]);
}

#[test]
fn where_a_table_goes_is_known_without_its_columns() {
    let stage = stage(
        "- { type: rename, match: { table: shop.a }, to: \"x.{table}\" }\n- { type: route, match: { table: shop.* }, topic: t, \
         shared: true }",
    );
    let target = stage.target(&TableName::new("shop", "a"));
    assert_eq!((target.name.to_string().as_str(), target.topic.as_deref(), target.is_shared), ("x.a", Some("t"), true));
    assert_eq!(stage.target(&TableName::new("b", "a")), Target::of(&TableName::new("b", "a")));
}

#[test]
fn rules_that_hide_columns_of_no_table_and_tables_that_go_nowhere_are_known() {
    let stage = stage(
        "- { type: mask, match: { table: shop.user }, columns: b, with: redact }
- { type: drop-columns, match: { table: shop.* }, columns: a }
- { type: reject, match: { table: crm.* } }
- { type: reject, match: { table: shop.b, op: [insert, update] } }",
    );
    let [users, b] = [TableName::new("shop", "users"), TableName::new("shop", "b")];
    assert_eq!(stage.idle(&[users, b.clone()]), [Arc::from("mask-1")]);
    assert_eq!((stage.is_rejected(&TableName::new("crm", "b")), stage.is_rejected(&b)), (true, false));
}

#[test]
fn room_for_a_huge_value_is_given_back() {
    let rules = "- { type: mask, match: { table: shop.a }, columns: b, with: partial, first: 1 }";
    let stage = stage(rules);
    let mut worker = Worker {
        rules: Arc::clone(&stage.rules),
        known: Vec::new(),
        here: Vec::new(),
        scratch: Vec::with_capacity(SCRATCH_MAX + 1),
    };
    worker.transform(&mut batch(&[texts_table("a")], &[(0, Op::Insert)]), &mut TransformTally::default());
    assert_eq!(worker.scratch.capacity(), 0);
}

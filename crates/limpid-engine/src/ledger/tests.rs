//! Tests of the ledger: what counts when, what counts never, and what shows.

use std::sync::Arc;

use limpid_connector::{RecordSpan, Span};
use limpid_model::{Filtered, NONE, RowHeader, TableSchema};

use super::*;
use crate::copy::tests_ids;

fn name(table: &str) -> TableName {
    TableName::new("s", table)
}

/// A batch of `t` with a record for each insert, and two for each delete.
fn batch(ops: &[Op]) -> (EncodedBatch, EncodeTally) {
    let (mut encoded, mut tally) = (EncodedBatch::default(), EncodeTally::default());
    let (key_seed, columns, key) = (1, Vec::new(), [].into());
    encoded.batch.tables.push(Arc::new(TableSchema { name: name("t"), version: 1, columns, key, key_seed }));
    encoded.batch.counts.push([0; Op::COUNT]);
    encoded.topics.push(Some("s.t".into()));
    tally.more_records.push(0);
    for (index, op) in ops.iter().enumerate() {
        let (event, row_in_event, txn, before, after) = (0, index as u32, 0, NONE, NONE);
        let row = RowHeader { event, row_in_event, txn, before, after, table: 0, op: *op };
        encoded.batch.rows.push(row);
        encoded.batch.counts[0][*op as usize] += 1;
        let record = RecordSpan { key: Span::NULL, value: Span::NULL, headers: (0, 0), table: 0, row: index as u32 };
        encoded.records.push(record);
        if *op == Op::Delete {
            encoded.records.push(record);
            tally.more_records[0] += 1;
        }
    }
    (encoded, tally)
}

fn acked(records: u32) -> [Delivered; 1] {
    [Delivered { table: 0, partition: 0, offsets: (0, 0), records }]
}

fn begin(ledger: &mut Ledger, (encoded, tally): &(EncodedBatch, EncodeTally), mark: Option<&Mark>) {
    ledger.begin(encoded, &rows_read(&encoded.batch), tally, mark);
}

/// Takes a batch through a ledger that counts with the acknowledgement.
fn through(ledger: &mut Ledger, seq: u64, records: u32) -> FlowCounts {
    assert!(ledger.handed_in(seq).0.is_empty());
    of_t(&ledger.durable(seq, &acked(records), &HashSet::new()))
}

fn of_t(sums: &FlowSums) -> FlowCounts {
    sums.0.get(&name("t")).copied().unwrap_or_default()
}

fn counts(expected: &[(Flow, i64)]) -> FlowCounts {
    let mut counts = FlowCounts::default();
    expected.iter().for_each(|(flow, rows)| counts.add(*flow, *rows));
    counts
}

fn kept_of(mut sum: FlowCounts) -> FlowCounts {
    sum.landed = 0;
    sum
}

#[test]
fn a_record_that_is_missing_and_one_too_many_show() {
    for (records, difference) in [(4, 0), (3, 1), (5, -1)] {
        let mut ledger = Ledger::new(false);
        begin(&mut ledger, &batch(&[Op::Insert, Op::Delete, Op::Insert]), None);
        let sum = through(&mut ledger, 0, records);
        assert_eq!((sum.get(Flow::Read), sum.difference(), sum.landed), (3, difference, 3));
    }
}

#[test]
fn in_one_transaction_with_the_record_rows_count_as_they_are_handed_in_and_are_set_right_later() {
    let mut ledger = Ledger::new(true);
    begin(&mut ledger, &batch(&[Op::Insert, Op::Insert]), None);
    let sum = of_t(&ledger.handed_in(0));
    assert_eq!(kept_of(sum), counts(&[(Flow::Read, 2), (Flow::Delivered, 2)]));
    assert_eq!(of_t(&ledger.durable(0, &acked(1), &HashSet::new())), counts(&[(Flow::Delivered, -1)]));
    begin(&mut ledger, &batch(&[Op::Insert]), None);
    ledger.handed_in(1);
    assert!(ledger.durable(1, &acked(1), &HashSet::new()).0.is_empty());
}

#[test]
fn what_a_rule_rejects_and_what_the_format_skips_is_filtered() {
    let mut ledger = Ledger::new(false);
    let (mut encoded, mut tally) = batch(&[Op::Insert, Op::Insert, Op::Truncate]);
    encoded.batch.reject(1, 0);
    tally.skipped[Op::Truncate as usize] = true;
    begin(&mut ledger, &(encoded, tally), None);
    let sum = through(&mut ledger, 0, 1);
    assert_eq!(kept_of(sum), counts(&[(Flow::Read, 3), (Flow::Filtered, 2), (Flow::Delivered, 1)]));
}

#[test]
fn rows_that_are_read_again_count_for_nothing() {
    let mut ledger = Ledger::new(false);
    let (mut encoded, tally) = batch(&[Op::Insert, Op::Insert, Op::Delete, Op::Insert]);
    encoded.batch.filtered.push(Filtered { row: 1, rule: 0 });
    encoded.batch.rejected.push([1, 0, 0, 0, 0]);
    begin(&mut ledger, &(encoded, tally), None);
    let (encoded, _) = {
        let (mut encoded, tally) = batch(&[Op::Insert, Op::Insert, Op::Delete, Op::Insert]);
        encoded.batch.filtered.push(Filtered { row: 1, rule: 0 });
        (encoded, tally)
    };
    // One record of the first row, none of the second, two of the third.
    ledger.again(&encoded.batch, &[false; Op::COUNT], &[3], |row| row < 3);
    let sum = through(&mut ledger, 0, 1);
    assert_eq!(kept_of(sum), counts(&[(Flow::Read, 1), (Flow::Delivered, 1)]));
    assert_eq!(sum.landed, 4);
}

#[test]
fn what_a_halted_table_lacks_is_withheld_and_what_another_lacks_is_lost() {
    for (halted, withheld) in [(HashSet::from([name("t")]), 1), (HashSet::new(), 0)] {
        let mut ledger = Ledger::new(false);
        begin(&mut ledger, &batch(&[Op::Insert, Op::Insert]), None);
        ledger.handed_in(0);
        let sum = of_t(&ledger.durable(0, &acked(1), &halted));
        assert_eq!((sum.get(Flow::Withheld), sum.difference()), (withheld, 1 - withheld));
    }
}

#[test]
fn kept_rows_go_out_with_all_their_records() {
    let mut ledger = Ledger::new(false);
    let made = batch(&[Op::Insert, Op::Delete, Op::Insert]);
    begin(&mut ledger, &made, None);
    ledger.diverted(&made.0.batch, &[(1, RowFate::Parked(None)), (2, RowFate::DeadLetter(None))], &[3]);
    let sum = through(&mut ledger, 0, 1);
    let expected = [(Flow::Read, 3), (Flow::Delivered, 1), (Flow::Parked, 1), (Flow::DeadLettered, 1)];
    assert_eq!(kept_of(sum), counts(&expected));
    ledger.replayed(&made.0);
    assert_eq!(kept_of(through(&mut ledger, 1, 4)), counts(&[(Flow::Replayed, 3), (Flow::Delivered, 3)]));
}

#[test]
fn a_range_counts_when_its_last_batch_is_there_and_one_that_was_spoiled_never() {
    let mut ledger = Ledger::new(false);
    for is_spoiled in [true, false] {
        begin(&mut ledger, &batch(&[Op::Read, Op::Read]), Some(&tests_ids::chunk("t", 3, false)));
        assert_eq!(through(&mut ledger, 2 * u64::from(!is_spoiled), 2), FlowCounts::default());
        begin(&mut ledger, &batch(&[Op::Read]), Some(&tests_ids::chunk("t", 3, true)));
        let sum = match is_spoiled {
            true => {
                ledger.void();
                through(&mut ledger, 1, 0)
            }
            false => through(&mut ledger, 3, 1),
        };
        let expected = if is_spoiled { vec![] } else { vec![(Flow::Copied, 3), (Flow::Delivered, 3)] };
        assert_eq!((kept_of(sum), sum.landed), (counts(&expected), 3));
    }
}

#[test]
fn of_a_table_that_is_read_whole_the_reading_that_got_through_counts() {
    let mut ledger = Ledger::new(false);
    for (seq, rows) in [(0, 3), (1, 2), (2, 2)] {
        begin(&mut ledger, &batch(&vec![Op::Read; rows]), Some(&Mark::Piece));
        assert_eq!(through(&mut ledger, seq, rows as u32), FlowCounts::default());
    }
    let (empty, tally) = (EncodedBatch::default(), EncodeTally::default());
    begin(&mut ledger, &(empty, tally), Some(&tests_ids::whole("t", 4)));
    ledger.handed_in(3);
    let sum = of_t(&ledger.durable(3, &[], &HashSet::new()));
    assert_eq!((kept_of(sum), sum.landed), (counts(&[(Flow::Copied, 4), (Flow::Delivered, 4)]), 7));
}

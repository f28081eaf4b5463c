//! What the ring must not do: forget early, remember halves, mix batches up.

use std::sync::atomic::{AtomicBool, Ordering};

use limpid_model::{ALL_CODES, Batch, CommitTime, Op, RowHeader, RowMark, TxnHeader, TxnId};
use proptest::prelude::*;

use super::frame::{Frame, PLACES_MAX};
use super::look::FOUND_MAX;
use super::*;
use crate::meter::tests::event_of;
use crate::outline::Outline;

/// The table of all rows, as its seed.
const TABLE: u64 = 77;

/// A hash that differs in the bits that are kept.
fn h(number: u64) -> u64 {
    number << 3
}

/// A batch of transactions with the key hashes of their rows.
fn batch(seq: u64, txns: &[(TxnId, u64, &[u64])]) -> Batch {
    let mut batch = Batch { seq, ..Batch::default() };
    for (index, (id, rows_before, hashes)) in txns.iter().enumerate() {
        let commit = CommitTime { micros: seq as i64 * 10 + index as i64, uncertainty_micros: 3 };
        batch.txns.push(TxnHeader { id: *id, commit, thread: 0, rows_before: *rows_before, ends: true });
        batch.rows.extend(hashes.iter().map(|_| RowHeader {
            event: 0,
            row_in_event: 0,
            txn: index as u32,
            before: 0,
            after: 0,
            table: 0,
            op: Op::Insert,
        }));
    }
    let hashes: Vec<u64> = txns.iter().flat_map(|(.., hashes)| hashes.iter().copied()).collect();
    batch.marks.extend(hashes.iter().map(|key_hash| RowMark::new(h(*key_hash), Op::Insert)));
    batch.counts.push([batch.rows.len() as u32, 0, 0, 0, 0]);
    batch.times.read = seq * 1_000_000_000 + 1;
    batch.times.acked = batch.times.read + 5;
    batch
}

fn place(partition: i32, offsets: (i64, i64), records: u32) -> PlaceOf {
    PlaceOf { table: TABLE, partition, offsets, records }
}

/// Through the sink in one go.
fn put(writer: &mut RingWriter, batch: &Batch, remember: Remember<'_>) {
    let seq = batch.seq;
    writer.push(&Outline::of(batch), &[], 70);
    let places = [place(3, (seq as i64, seq as i64 + 1), 9)];
    writer.complete(
        &Outline::of(batch),
        remember,
        Delivery { bytes: seq * 100, acked_wall_micros: 77, places: &places },
    );
}

/// What a batch takes of a ring: 8 bytes a row, and 32 a transaction and a place where there are more than fit in the frame.
fn bytes(rows: usize, txns: usize) -> usize {
    let beside = |count: usize, inline| if count > inline { 32 * count } else { 0 };
    size_of::<Frame>() + 64 + 8 * rows + beside(txns, 1) + beside(rows.min(PLACES_MAX), 1)
}

fn find(ring: &Ring, number: u64) -> Vec<Found> {
    ring.find(TABLE, h(number))
}

const MARIA: TxnId = TxnId::Domain { domain: 1, server: 2, seq: 30 };

#[test]
fn a_row_is_found_with_its_place_in_its_transaction() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let tagged = TxnId::Uuid { sid: [7; 16], gno: 9, tag: 1 };
    let mut made = batch(4, &[(MARIA, 1000, &[11, 12]), (TxnId::Anonymous, 0, &[]), (tagged, 0, &[13, 11])]);
    made.tags.push("blue".into());
    put(&mut writer, &made, Remember::All);
    let found = find(&ring, 11);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].txn, found[0].ordinal, found[0].commit.micros), (MARIA, 1000, 40));
    assert_eq!((found[1].ordinal, found[1].tag.as_deref()), (1, Some("blue")));
    assert!(found[1].txn.is_same(tagged));
    assert_eq!((found[0].seq, found[0].rows, found[0].bytes, found[0].partition), (4, 4, 400, Some(3)));
    assert_eq!(found[0].offset, Offset::Within(4, 5), "the counts do not fit");
    assert_eq!((found[0].times.read, found[0].times.acked, found[0].wall_micros), (4_000_000_001, 4_000_000_006, 77));
    assert_eq!(find(&ring, 12)[0].ordinal, 1001);
    assert_eq!(find(&ring, 99), []);
}

#[test]
fn rows_belong_to_the_transactions_that_the_events_tell_of() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let other = TxnId::Domain { domain: 1, server: 2, seq: 31 };
    let event = |txn, rows| event_of(txn, 0, rows);
    for (seq, events) in
        [vec![event(0, 2), event(0, 1), event(1, 1)], vec![event(0, 1)], vec![]].into_iter().enumerate()
    {
        let mut made = batch(seq as u64, &[(MARIA, 5, &[11, 12, 13]), (other, 0, &[14])]);
        made.events = events;
        put(&mut writer, &made, Remember::All);
    }
    let of = |number| -> Vec<_> { find(&ring, number).iter().map(|found| (found.txn, found.ordinal)).collect() };
    assert_eq!(of(13), [(MARIA, 7); 3], "by events that tell of every row, and by the rows where they do not");
    assert_eq!(of(14), [(other, 0); 3]);
}

#[test]
fn rows_that_nobody_marked_are_found_by_their_transaction_alone() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let mut made = batch(4, &[(MARIA, 0, &[11, 12])]);
    made.marks.clear();
    put(&mut writer, &made, Remember::All);
    let found = ring.find_txns(|id, _| id == MARIA);
    assert_eq!(
        found.iter().map(|found| (found.ordinal, found.op)).collect::<Vec<_>>(),
        [(0, Op::Insert), (1, Op::Insert)]
    );
    assert_eq!(find(&ring, 11), []);
}

#[test]
fn a_row_of_a_halted_table_is_not_called_delivered_and_moves_no_ordinal() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let mut made = batch(4, &[(MARIA, 0, &[11, 12, 13])]);
    made.rows[1].table = 1;
    put(&mut writer, &made, Remember::Tables(&[true, false]));
    assert_eq!((find(&ring, 11).len(), find(&ring, 12).len(), find(&ring, 0).len()), (1, 0, 0));
    assert_eq!(find(&ring, 13)[0].ordinal, 2);
}

#[test]
fn an_empty_ring_reaches_nowhere_and_a_batch_without_rows_leaves_it_so() {
    let (ring, mut writer) = Ring::new(4096, true);
    put(&mut writer, &batch(1, &[]), Remember::All);
    assert_eq!((ring.reach_seconds(5), find(&ring, 0)), (None, vec![]));
}

#[test]
fn a_batch_larger_than_the_ring_is_counted_and_spoils_nothing() {
    let (ring, mut writer) = Ring::new(3 * bytes(1, 1), true);
    put(&mut writer, &batch(1, &[(MARIA, 0, &[5])]), Remember::All);
    put(&mut writer, &batch(2, &[(MARIA, 0, &[6; 200])]), Remember::All);
    assert_eq!((ring.skipped(), find(&ring, 6).len(), find(&ring, 5).len()), (1, 0, 1));
}

#[test]
fn a_hot_key_gives_its_newest_rows_only() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    for seq in 0..10 {
        put(&mut writer, &batch(seq, &[(MARIA, 0, &[1; 100])]), Remember::All);
    }
    let found = find(&ring, 1);
    assert_eq!(found.len(), FOUND_MAX);
    assert_eq!(found.last().map(|found| (found.seq, found.ordinal)), Some((9, 99)));
}

#[test]
fn reach_is_the_age_of_the_oldest_batch_kept() {
    // Five fit, a sixth does not.
    let (ring, mut writer) = Ring::new(6 * bytes(1, 1) - 1, true);
    for seq in 1..=9 {
        put(&mut writer, &batch(seq, &[(MARIA, 0, &[seq])]), Remember::All);
    }
    let kept: Vec<u64> = (1..=9).filter(|seq| !find(&ring, *seq).is_empty()).collect();
    assert_eq!(kept, [5, 6, 7, 8, 9]);
    assert_eq!(ring.reach_seconds(10_000_000_001), Some(5.0));
}

proptest! {
    #[test]
    fn whatever_was_written_last_is_remembered_whole(sizes in prop::collection::vec((1usize..30, 1usize..4), 1..60)) {
        let room = 10 * bytes(10, 2);
        let (ring, mut writer) = Ring::new(room, true);
        let mut kept: Vec<(u64, usize)> = Vec::new();
        let mut used = 0;
        for (seq, (rows, txns)) in sizes.iter().enumerate() {
            let hashes: Vec<u64> = (0..*rows as u64).map(|row| seq as u64 * 1000 + row + 1).collect();
            let parts: Vec<(TxnId, u64, &[u64])> = (0..*txns).map(|txn| {
                let id = TxnId::Domain { domain: 0, server: 0, seq: txn as u64 };
                (id, 0, &hashes[rows * txn / txns..rows * (txn + 1) / txns])
            }).collect();
            put(&mut writer, &batch(seq as u64, &parts), Remember::All);
            let len = bytes(*rows, *txns);
            kept.push((seq as u64, len));
            used += len;
            while used > room {
                used -= kept.remove(0).1;
            }
        }
        for (seq, (rows, txns)) in sizes.iter().enumerate() {
            let seq = seq as u64;
            let remembered = kept.iter().any(|(kept, _)| *kept == seq);
            for row in 0..*rows {
                let found = find(&ring, seq * 1000 + row as u64 + 1);
                prop_assert_eq!(found.len(), usize::from(remembered));
                if let [found] = &found[..] {
                    let txn = (0..*txns).find(|txn| row < rows * (txn + 1) / txns).unwrap();
                    prop_assert_eq!(found.txn, TxnId::Domain { domain: 0, server: 0, seq: txn as u64 });
                    prop_assert_eq!(found.ordinal as usize, row - rows * txn / txns);
                }
            }
        }
    }
}

#[test]
fn a_reader_that_is_overtaken_never_sees_two_batches_mixed() {
    let (ring, mut writer) = Ring::new(10 * bytes(4, 1), true);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !done.load(Ordering::Acquire) {
                        for found in find(&ring, 42) {
                            // Everything in a frame is derived from its number.
                            assert_eq!(found.bytes, if found.done { found.seq * 100 } else { 0 });
                            assert_eq!(
                                (found.partition, found.done),
                                if found.done { (Some(3), true) } else { (None, false) }
                            );
                            assert_eq!(found.commit.micros, found.seq as i64 * 10);
                            assert_eq!(u64::from(found.rows), found.seq % 7 + 1);
                            assert_eq!(found.txn, TxnId::Domain { domain: 0, server: 0, seq: found.seq });
                            seen += 1;
                        }
                        ring.reach_seconds(u64::MAX);
                    }
                    seen
                })
            })
            .collect();
        for seq in 0..20_000 {
            let rows = vec![42; seq as usize % 7 + 1];
            let id = TxnId::Domain { domain: 0, server: 0, seq };
            put(&mut writer, &batch(seq, &[(id, 0, &rows)]), Remember::All);
            if seq % 64 == 0 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "the reader found something");
        }
    });
}

#[test]
fn a_reader_that_is_overtaken_goes_on_with_the_oldest_that_is_left() {
    let (ring, mut writer) = Ring::new(6 * bytes(1, 1) - 1, true);
    for seq in 1..=9 {
        put(&mut writer, &batch(seq, &[(MARIA, 0, &[seq])]), Remember::All);
    }
    let hold = |from, end| {
        let mut held = Vec::new();
        let next = ring.hold(from, end, &mut held);
        (next, held.iter().map(|frame| frame.seq).collect::<Vec<_>>())
    };
    assert_eq!(hold(2, 9), (9, vec![5, 6, 7, 8, 9]), "two that it had not read are gone");
    assert_eq!(hold(7, 8), (8, vec![8]));
    assert_eq!(hold(1, 3), (4, vec![]), "all that it wanted are");
}

#[test]
fn marks_of_forgotten_batches_are_room_for_others_once_nobody_reads_them() {
    let (ring, mut writer) = Ring::new(3 * bytes(1, 1), true);
    let mut given = |seq: u64| {
        let made = Outline::of(&batch(seq, &[(MARIA, 0, &[seq])]));
        writer.push(&made, &[], 70);
        writer.complete(&made, Remember::All, Delivery { bytes: 1, acked_wall_micros: 77, places: &[] });
        made.marks.as_ptr()
    };
    let first: Vec<_> = (1..=3).map(&mut given).collect();
    assert_eq!(ring.room().capacity(), 0, "nothing was forgotten");
    let mut held = Vec::new();
    ring.hold(1, 2, &mut held);
    given(4);
    given(5);
    let room = ring.room();
    assert_eq!((room.as_ptr(), room.len(), room.capacity()), (first[0], 0, 1));
    assert_eq!((ring.room().capacity(), held[0].marks.len()), (0, 1), "somebody reads the second");
}

#[test]
fn a_batch_with_the_sink_is_there_and_says_that_it_waits() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    writer.started();
    let made = batch(4, &[(MARIA, 0, &[11])]);
    writer.push(&Outline::of(&made), &[], 70);
    let found = find(&ring, 11);
    assert_eq!((found[0].done, found[0].wall_micros, found[0].offset), (false, 70, Offset::Unknown));
    // Of another attempt, it comes again.
    writer.started();
    put(&mut writer, &made, Remember::All);
    let found: Vec<_> = find(&ring, 11).iter().map(|found| (found.attempt, found.done)).collect();
    assert_eq!(found, [(1, false), (2, true)]);
}

#[test]
fn acknowledgements_in_any_order_complete_their_own_batches() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let made: Vec<Batch> = (0..3).map(|seq| batch(seq, &[(MARIA, 0, &[11])])).collect();
    made.iter().for_each(|batch| writer.push(&Outline::of(batch), &[], 70));
    for seq in [2, 0] {
        let places = [place(seq as i32, (50, 50), 1)];
        let delivery = Delivery { bytes: 1, acked_wall_micros: 99, places: &places };
        writer.complete(&Outline::of(&made[seq]), Remember::All, delivery);
    }
    let found: Vec<_> = find(&ring, 11).iter().map(|found| (found.done, found.partition)).collect();
    assert_eq!(found, [(true, Some(0)), (false, None), (true, Some(2))]);
}

#[test]
fn rows_that_were_not_delivered_say_why_and_move_the_offsets_of_the_others() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let mut made = batch(4, &[(MARIA, 0, &[11, 12, 13, 14, 15])]);
    made.rows[2].op = Op::Delete;
    made.marks[2] = RowMark::new(made.marks[2].key_hash(), Op::Delete);
    made.counts[0] = [4, 0, 1, 0, 0];
    made.filtered.push(limpid_model::Filtered { row: 0, rule: 9 });
    let code = ALL_CODES[3];
    writer.push(&Outline::of(&made), &[(3, Fate::Parked(Some(code)))], 70);
    // A deletion with its tombstone, and two others.
    let places = [place(1, (100, 103), 4)];
    writer.complete(&Outline::of(&made), Remember::All, Delivery { bytes: 1, acked_wall_micros: 99, places: &places });
    let of = |number| find(&ring, number).pop().map(|found| (found.fate, found.op, found.offset));
    assert_eq!(of(11), Some((Some(Fate::Filtered(9)), Op::Insert, Offset::Unknown)));
    assert_eq!(of(12), Some((None, Op::Insert, Offset::At(100))));
    assert_eq!(of(13), Some((None, Op::Delete, Offset::At(101))));
    assert_eq!(of(14), Some((Some(Fate::Parked(Some(code))), Op::Insert, Offset::Unknown)));
    assert_eq!(of(15), Some((None, Op::Insert, Offset::At(103))));
}

#[test]
fn rows_without_a_record_are_told_and_not_counted() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let made = batch(4, &[(MARIA, 0, &[11, 12, 13])]);
    writer.push(&Outline::of(&made), &[(0, Fate::NoRecord)], 70);
    let places = [place(1, (100, 101), 2)];
    writer.complete(&Outline::of(&made), Remember::All, Delivery { bytes: 1, acked_wall_micros: 99, places: &places });
    let of = |number| find(&ring, number).pop().map(|found| (found.fate, found.offset));
    assert_eq!(of(11), Some((Some(Fate::NoRecord), Offset::Unknown)));
    assert_eq!((of(12), of(13)), (Some((None, Offset::At(100))), Some((None, Offset::At(101)))));
}

#[test]
fn a_single_record_of_several_rows_is_nobodys_for_sure() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let made = batch(4, &[(MARIA, 0, &[11, 12])]);
    writer.push(&Outline::of(&made), &[], 70);
    let places = [place(1, (5, 5), 1)];
    writer.complete(&Outline::of(&made), Remember::All, Delivery { bytes: 1, acked_wall_micros: 99, places: &places });
    assert_eq!(find(&ring, 11)[0].offset, Offset::Within(5, 5));
}

#[test]
fn deletions_have_as_many_records_as_the_pipelines_file_says() {
    for (tombstones, records, expected) in [
        (true, 3, Offset::At(12)),
        (false, 2, Offset::At(11)),
        (true, 2, Offset::Within(10, 11)),
        (false, 3, Offset::Within(10, 12)),
    ] {
        let (ring, mut writer) = Ring::new(RING_BYTES, tombstones);
        let mut made = batch(4, &[(MARIA, 0, &[11, 12])]);
        made.rows[0].op = Op::Delete;
        made.marks[0] = RowMark::new(made.marks[0].key_hash(), Op::Delete);
        writer.push(&Outline::of(&made), &[], 70);
        let places = [place(1, (10, 9 + i64::from(records)), records)];
        writer.complete(
            &Outline::of(&made),
            Remember::All,
            Delivery { bytes: 1, acked_wall_micros: 99, places: &places },
        );
        assert_eq!(find(&ring, 12)[0].offset, expected, "{tombstones} {records}");
    }
}

#[test]
fn a_row_whose_table_went_to_several_partitions_is_given_none() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let made = batch(4, &[(MARIA, 0, &[11, 12])]);
    writer.push(&Outline::of(&made), &[], 70);
    let places = [place(0, (5, 5), 1), place(1, (7, 7), 1)];
    writer.complete(&Outline::of(&made), Remember::All, Delivery { bytes: 1, acked_wall_micros: 99, places: &places });
    assert_eq!(find(&ring, 11)[0].partition, None);
    assert_eq!(ring.find(TABLE + 1, h(11))[0].offset, Offset::Unknown, "a table without a place");
}

#[test]
fn a_transaction_is_found_with_all_its_rows_over_several_batches() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    put(&mut writer, &batch(1, &[(MARIA, 0, &[1, 2])]), Remember::All);
    let other = TxnId::Domain { domain: 1, server: 2, seq: 31 };
    put(&mut writer, &batch(2, &[(MARIA, 2, &[3]), (other, 0, &[4])]), Remember::All);
    let found: Vec<_> =
        ring.find_txns(|id, _| id == MARIA).iter().map(|found| (found.ordinal, found.key_hash)).collect();
    assert_eq!(found, [(0, h(1)), (1, h(2)), (2, h(3))]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is tested")]
fn a_full_ring_is_searched_within_a_second() {
    let (ring, mut writer) = Ring::new(RING_BYTES, true);
    let mut number = 0;
    while ring.frames().gone == 0 {
        let hashes: Vec<[u64; 1]> = (number..number + 100).map(|hash| [hash + 1]).collect();
        let id = |hash: &[u64; 1]| TxnId::Domain { domain: 0, server: 1, seq: hash[0] };
        let txns: Vec<(TxnId, u64, &[u64])> = hashes.iter().map(|hash| (id(hash), 0, &hash[..])).collect();
        put(&mut writer, &batch(number / 100, &txns), Remember::All);
        number += 100;
    }
    assert!(number > 300_000, "{number} transactions filled it");
    let wanted = crate::trace::trace_id("shop", &format!("0-1-{number}"));
    let by_trace = || {
        ring.find_txns(|id, tag| {
            let text = crate::trace::txn_text(id, tag.map(|tag| &**tag));
            text.is_some_and(|text| crate::trace::trace_id("shop", &text) == wanted)
        })
    };
    // The best of three, for a machine that others use too.
    let timed = |look: &dyn Fn() -> Vec<Found>| {
        let begun = std::time::Instant::now();
        (look(), begun.elapsed())
    };
    let took = (0..3).map(|_| {
        let ((by_trace, trace_took), (by_key, key_took)) = (timed(&by_trace), timed(&|| find(&ring, number)));
        assert_eq!((by_trace.len(), &by_key), (1, &by_trace));
        (trace_took + key_took, trace_took, key_took)
    });
    let (best, by_trace, by_key) = took.min().unwrap();
    println!("{number} transactions, by trace {by_trace:?}, by key {by_key:?}");
    assert!(best < std::time::Duration::from_secs(1), "{best:?}");
}

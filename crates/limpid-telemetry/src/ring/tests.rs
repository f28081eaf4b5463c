//! What the ring must not do: forget early, remember halves, mix batches up.

use std::sync::atomic::AtomicBool;

use limpid_model::{Op, RowHeader, TxnHeader};
use proptest::prelude::*;

use super::*;

/// A batch of transactions with the key hashes of their rows.
fn batch(seq: u64, txns: &[(TxnId, u64, &[u64])]) -> Batch {
    let mut batch = Batch { seq, ..Batch::default() };
    for (index, (id, rows_before, hashes)) in txns.iter().enumerate() {
        let commit = CommitTime { micros: seq as i64 * 10 + index as i64, uncertainty_micros: 3 };
        batch.txns.push(TxnHeader { id: *id, commit, thread: 0, rows_before: *rows_before, ends: true });
        batch.rows.extend(hashes.iter().map(|key_hash| RowHeader {
            key_hash: *key_hash,
            event: 0,
            row_in_event: 0,
            txn: index as u32,
            before: 0,
            after: 0,
            table: 0,
            op: Op::Insert,
        }));
    }
    batch.times.read = seq * 1_000_000_000 + 1;
    batch.times.acked = batch.times.read + 5;
    batch
}

fn delivery(seq: u64) -> Delivery {
    Delivery { bytes: seq * 100, acked_wall_micros: 77, place: Some((3, (seq as i64, seq as i64 + 1))) }
}

const MARIA: TxnId = TxnId::Domain { domain: 1, server: 2, seq: 30 };

#[test]
fn a_row_is_found_with_its_place_in_its_transaction() {
    let (ring, mut writer) = Ring::new(RING_BYTES);
    let tagged = TxnId::Uuid { sid: [7; 16], gno: 9, tag: 1 };
    let mut made = batch(4, &[(MARIA, 1000, &[11, 12]), (TxnId::Anonymous, 0, &[]), (tagged, 0, &[13, 11])]);
    made.tags.push("blue".into());
    writer.push(&made, Remember::All, delivery(4));
    let found = ring.find(11);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].txn, found[0].ordinal, found[0].commit.micros), (MARIA, 1000, 40));
    assert_eq!((found[1].ordinal, found[1].tag.as_deref()), (1, Some("blue")));
    assert!(found[1].txn.is_same(tagged));
    assert_eq!((found[0].seq, found[0].rows, found[0].bytes, found[0].place), (4, 4, 400, Some((3, (4, 5)))));
    assert_eq!((found[0].times[0], found[0].times[6], found[0].acked_wall_micros), (4_000_000_001, 4_000_000_006, 77));
    assert_eq!(ring.find(12)[0].ordinal, 1001);
    assert_eq!(ring.find(99), []);
}

#[test]
fn a_row_of_a_halted_table_is_not_called_delivered_and_moves_no_ordinal() {
    let (ring, mut writer) = Ring::new(RING_BYTES);
    let mut made = batch(4, &[(MARIA, 0, &[11, 12, 13])]);
    made.rows[1].table = 1;
    writer.push(&made, Remember::Tables(&[true, false]), delivery(4));
    assert_eq!((ring.find(11).len(), ring.find(12).len(), ring.find(0).len()), (1, 0, 0));
    assert_eq!(ring.find(13)[0].ordinal, 2);
}

#[test]
fn an_empty_ring_reaches_nowhere_and_a_batch_without_rows_leaves_it_so() {
    let (ring, mut writer) = Ring::new(4096);
    writer.push(&batch(1, &[]), Remember::All, delivery(1));
    assert_eq!((ring.reach_seconds(5), ring.find(0)), (None, vec![]));
}

#[test]
fn a_batch_larger_than_the_ring_is_counted_and_spoils_nothing() {
    let (ring, mut writer) = Ring::new(1024);
    writer.push(&batch(1, &[(MARIA, 0, &[5])]), Remember::All, delivery(1));
    writer.push(&batch(2, &[(MARIA, 0, &[6; 200])]), Remember::All, delivery(2));
    assert_eq!((ring.skipped(), ring.find(6).len(), ring.find(5).len()), (1, 0, 1));
}

#[test]
fn a_hot_key_gives_its_newest_rows_only() {
    let (ring, mut writer) = Ring::new(RING_BYTES);
    for seq in 0..10 {
        writer.push(&batch(seq, &[(MARIA, 0, &[1; 100])]), Remember::All, delivery(seq));
    }
    let found = ring.find(1);
    assert_eq!(found.len(), FOUND_MAX);
    assert_eq!(found.last().map(|found| (found.seq, found.ordinal)), Some((9, 99)));
}

#[test]
fn reach_is_the_age_of_the_oldest_batch_kept() {
    let (ring, mut writer) = Ring::new(1024);
    // 128 words: five frames of 21 fit, a sixth does not.
    for seq in 1..=9 {
        writer.push(&batch(seq, &[(MARIA, 0, &[seq])]), Remember::All, delivery(seq));
    }
    let kept: Vec<u64> = (1..=9).filter(|seq| !ring.find(*seq).is_empty()).collect();
    assert_eq!(kept, [4, 5, 6, 7, 8, 9]);
    assert_eq!(ring.reach_seconds(10_000_000_001), Some(6.0));
}

proptest! {
    #[test]
    fn whatever_was_written_last_is_remembered_whole(sizes in prop::collection::vec((1usize..30, 1usize..4), 1..60)) {
        let (ring, mut writer) = Ring::new(2048);
        let mut kept: Vec<(u64, usize)> = Vec::new();
        let mut words = 0;
        for (seq, (rows, txns)) in sizes.iter().enumerate() {
            let hashes: Vec<u64> = (0..*rows as u64).map(|row| seq as u64 * 1000 + row + 1).collect();
            let parts: Vec<(TxnId, u64, &[u64])> = (0..*txns).map(|txn| {
                let id = TxnId::Domain { domain: 0, server: 0, seq: txn as u64 };
                (id, 0, &hashes[rows * txn / txns..rows * (txn + 1) / txns])
            }).collect();
            writer.push(&batch(seq as u64, &parts), Remember::All, delivery(seq as u64));
            let len = HEADER_WORDS + txns * TXN_WORDS + rows;
            kept.push((seq as u64, len));
            words += len;
            while words > 2048 / 8 {
                words -= kept.remove(0).1;
            }
        }
        for (seq, (rows, txns)) in sizes.iter().enumerate() {
            let seq = seq as u64;
            let remembered = kept.iter().any(|(kept, _)| *kept == seq);
            for row in 0..*rows {
                let found = ring.find(seq * 1000 + row as u64 + 1);
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
    let (ring, mut writer) = Ring::new(4096);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !done.load(Ordering::Acquire) {
                        for found in ring.find(42) {
                            // Everything in a frame is derived from its number.
                            assert_eq!(found.bytes, found.seq * 100);
                            assert_eq!(found.place, Some((3, (found.seq as i64, found.seq as i64 + 1))));
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
            writer.push(&batch(seq, &[(id, 0, &rows)]), Remember::All, delivery(seq));
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

//! Tests of replays over a state: order, damage, what is superseded.

use std::fs;

use limpid_model::{Component, Epoch};
use limpid_stack::TempDir;

use super::*;
use crate::observe::Unobserved;

struct Scene {
    dir: TempDir,
    store: Arc<Store>,
    asks: Arc<Asks>,
}

fn shop() -> PipelineName {
    PipelineName::parse("shop").unwrap()
}

/// A row whose record has the length given.
fn row(kind: ParkedKind, keys: &[u128], length: usize) -> ToPark {
    let record = BodyRecord { key: Some(b"k".to_vec()), value: Some(vec![b'v'; length]), headers: Vec::new() };
    let body = Body { topic: Some("t".into()), records: vec![record], cells: Vec::new() };
    ToPark {
        kind,
        table: TableName::new("s", "t"),
        keys: keys.to_vec(),
        operation: "update".into(),
        position: "p".into(),
        at_micros: 1,
        fault: Some((FaultCode::RecordTooLarge, "too large".into())),
        superseded: false,
        body: body.encode(),
    }
}

fn too_large() -> Fault {
    Fault::new(FaultCode::RecordTooLarge, Component::Output, "still too large")
}

impl Scene {
    fn begin(name: &str) -> Self {
        let dir = TempDir::new(name).unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        store.pipeline(&shop()).unwrap();
        store.begin(&shop(), Epoch(1)).unwrap();
        Self { dir, store, asks: Arc::default() }
    }

    fn park(&self, rows: &[ToPark]) -> Vec<u64> {
        self.store.park(&shop(), rows).unwrap().1
    }

    /// A parking that has taken up the replay of these rows.
    fn replaying(&self, ids: Option<Vec<u64>>) -> Parking {
        let (store, asks) = (Arc::clone(&self.store), Arc::clone(&self.asks));
        let mut parking = Parking::load(store, shop(), OnRowError::ParkKey, asks).unwrap();
        let selection = ParkedSelection { ids, table: None };
        self.asks.ask(ParkedAction::Replay { force: false }, selection).unwrap();
        parking.take_asks(&Unobserved).unwrap();
        parking
    }

    fn superseded(&self) -> Vec<u64> {
        let rows = self.store.parked(&shop()).unwrap();
        rows.into_iter().filter(|row| row.superseded).map(|row| row.id).collect()
    }
}

#[test]
fn a_row_that_ties_a_free_key_to_a_stuck_one_is_not_overtaken() {
    let scene = Scene::begin("parking-tied");
    let ids = scene.park(&[row(ParkedKind::Parked, &[1], 5), row(ParkedKind::Parked, &[2], 5)]);
    let mut parking = scene.replaying(None);
    let mut piece = parking.next_piece(Box::default()).unwrap().unwrap();
    assert_eq!(piece.records.len(), 2);
    parking.begin_piece(&mut piece, &[(0, too_large())]).unwrap();
    assert_eq!((piece.records.len(), piece.records[0].row), (1, 0));
    parking.handed_out(7);
    // Meanwhile a row goes from the stuck key to the free one, and another follows it there.
    let joined = [row(ParkedKind::Parked, &[1, 2], 5), row(ParkedKind::Parked, &[2], 5)];
    let more = scene.park(&joined);
    parking.index.extend(joined.into(), &more);
    assert!(parking.next_piece(Box::default()).unwrap().is_none(), "what comes behind the tie waits with it");
    parking.durable(7, &Unobserved).unwrap();
    parking.end_replay();
    let outcomes = scene.asks.outcomes();
    assert_eq!((outcomes[0].done, outcomes[0].refused[0].0), (1, ids[0]), "{outcomes:?}");
    let left: Vec<u64> = scene.store.parked(&shop()).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [ids[0], more[0], more[1]]);
}

#[test]
fn a_row_whose_bytes_are_lost_stays_and_the_others_go() {
    let scene = Scene::begin("parking-lost");
    let rows = [(1, 2 << 20), (1, 5), (2, 2 << 20), (3, 5)];
    let ids = scene.park(&rows.map(|(key, length)| row(ParkedKind::Parked, &[key], length)));
    let file = |id: u64| scene.dir.path().join(format!("parked/{id}.row"));
    fs::remove_file(file(ids[0])).unwrap();
    fs::write(file(ids[2]), b"something else").unwrap();
    let mut parking = scene.replaying(None);
    for seq in 0.. {
        let Some(mut piece) = parking.next_piece(Box::default()).unwrap() else { break };
        parking.begin_piece(&mut piece, &[]).unwrap();
        parking.handed_out(seq);
        parking.durable(seq, &Unobserved).unwrap();
    }
    parking.end_replay();
    let outcomes = scene.asks.outcomes();
    assert_eq!(outcomes[0].done, 1, "{outcomes:?}");
    let refused: Vec<u64> = outcomes[0].refused.iter().map(|(id, _)| *id).collect();
    assert_eq!(refused, [ids[0], ids[2]]);
    assert!(outcomes[0].refused.iter().all(|(_, why)| why.contains("STATE_CORRUPT")), "{outcomes:?}");
    let left = scene.store.parked(&shop()).unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), ids[..3], "what waits behind one waits on");
    assert_eq!(left[0].fault.as_ref().map(|(code, _)| *code), Some(FaultCode::StateCorrupt));
    assert_eq!(left[1].fault.as_ref().map(|(code, _)| *code), Some(FaultCode::RecordTooLarge));
}

#[test]
fn a_dead_letter_older_than_what_is_replayed_is_superseded_before_the_sink_has_it() {
    let scene = Scene::begin("parking-older");
    let ids = scene.park(&[1, 1, 2, 1].map(|key| row(ParkedKind::DeadLetter, &[key], 5)));
    let mut parking = scene.replaying(Some(vec![ids[1], ids[2]]));
    let mut piece = parking.next_piece(Box::default()).unwrap().unwrap();
    assert_eq!(scene.superseded(), [0u64; 0], "the sink was not asked yet");
    let change = parking.begin_piece(&mut piece, &[(1, too_large())]).unwrap().unwrap();
    assert_eq!(scene.superseded(), ids[..1]);
    scene.store.settle_parked(&shop(), ChangeNumber(change.0 - 1)).unwrap();
    assert_eq!(scene.superseded(), [0u64; 0], "no record has the newer one");
    assert_eq!(scene.store.parked(&shop()).unwrap().len(), 4);
}

//! Records whose parts all follow from one number, so that a reader can tell a whole one from a mixture of two.

use limpid_model::{ChangeNumber, Epoch, PipelineId, PipelineName, PositionRecord};
use limpid_state::{PipelineState, Store};

pub fn name() -> PipelineName {
    PipelineName::parse("shop").unwrap()
}

pub fn record(id: PipelineId, epoch: Epoch, n: u64) -> PositionRecord {
    PositionRecord {
        pipeline: name(),
        id,
        epoch,
        change: ChangeNumber(0),
        delivered: format!("gtid:0-1-{n}+0-1-{}/{}", n + 1, n % 7),
        read_from: format!("gtid:0-1-{n}"),
        undecided: (0..n % 4).map(|i| format!("X'{n:x}',X'{i:x}',1")).collect(),
        rows_done: n % 7,
        cursors: (0..n % 3).map(|i| format!("shop.t{i}:{n}")).collect(),
        schema_version: (n / 10) as u32,
        selection: Some(n),
        flow: Vec::new(),
    }
}

/// The history of a version: some kilobytes that follow from it.
pub fn definitions(version: u32) -> Vec<u8> {
    (0..5000u32).map(|i| (i.wrapping_mul(version + 1) >> 3) as u8).collect()
}

/// Begins the next life of the pipeline.
pub fn begin(store: &Store) -> (PipelineState, Epoch) {
    let state = store.pipeline(&name()).unwrap();
    let epoch = Epoch(state.epoch.0 + 1);
    store.begin(&name(), epoch).unwrap();
    (state, epoch)
}

/// The number that the stored checkpoint was made from, after checking that all of it was made from that one.
pub fn number(state: &PipelineState) -> Option<u64> {
    let checkpoint = state.checkpoint.as_ref()?;
    let n = checkpoint.selection;
    assert_eq!(checkpoint.record, record(state.id, checkpoint.record.epoch, n));
    let history = state.history.as_ref().expect("the history of a checkpoint is there");
    assert_eq!(history.version, checkpoint.record.schema_version);
    assert_eq!(history.definitions, definitions(history.version));
    Some(n)
}

/// Saves checkpoint `n`, and before it the history that it needs.
pub fn save(store: &Store, id: PipelineId, epoch: Epoch, n: u64) -> Result<(), limpid_model::Fault> {
    let record = record(id, epoch, n);
    let (version, read_from) = (record.schema_version, &record.read_from);
    if n.is_multiple_of(10) {
        store.save_history(&name(), version, read_from, &definitions(version))?;
    }
    store.save_checkpoint(&name(), &record, n)
}

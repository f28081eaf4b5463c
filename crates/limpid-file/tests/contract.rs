//! The contract that every sink keeps: files, standard output and nothing.

use std::io::Write;
use std::sync::{Arc, Mutex};

use limpid_connector::testkit::{self, Pair, SinkRig};
use limpid_connector::{Clock, Sink};
use limpid_file::{FileOptions, FileSink, Fsync, NullSink, StdoutSink};
use limpid_stack::TempDir;

/// Lines as any reader of JSON finds them.
fn pairs(lines: &str, table: &str) -> Vec<Pair> {
    let topic = format!("contract.{table}");
    let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let bytes = |value: &serde_json::Value| (!value.is_null()).then(|| value.to_string().into_bytes());
    records
        .filter(|record| record["topic"] == *topic)
        .map(|record| (bytes(&record["key"]), bytes(&record["value"])))
        .collect()
}

struct Lines {
    dir: TempDir,
    fsync: Fsync,
}

impl SinkRig for Lines {
    fn sink(&mut self) -> Box<dyn Sink> {
        let path = self.dir.path().join("out.jsonl");
        let options = FileOptions { path, rotate_bytes: None, rotate_every: None, fsync: self.fsync };
        Box::new(FileSink::new(options, Clock::system()))
    }

    fn found(&mut self, table: &str) -> Option<Vec<Pair>> {
        Some(pairs(&std::fs::read_to_string(self.dir.path().join("out.jsonl")).unwrap(), table))
    }
}

#[test]
fn the_contract_of_a_sink_is_kept_by_files_however_they_are_synced() {
    for fsync in [Fsync::Never, Fsync::Batch, Fsync::Interval] {
        let dir = TempDir::new("file-contract").unwrap();
        assert_eq!(testkit::sink(&mut Lines { dir, fsync }), Ok(()), "{fsync:?}");
    }
}

/// What a pipe's other end got.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SinkRig for Pipe {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(StdoutSink::to(self.clone(), Clock::system()))
    }

    fn found(&mut self, table: &str) -> Option<Vec<Pair>> {
        Some(pairs(std::str::from_utf8(&self.0.lock().unwrap()).unwrap(), table))
    }
}

#[test]
fn the_contract_of_a_sink_is_kept_by_a_pipe() {
    assert_eq!(testkit::sink(&mut Pipe::default()), Ok(()));
}

/// Nobody can look into it.
struct Nothing;

impl SinkRig for Nothing {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(NullSink::new(Clock::system()))
    }

    fn found(&mut self, _: &str) -> Option<Vec<Pair>> {
        None
    }
}

#[test]
fn the_contract_of_a_sink_is_kept_by_the_one_that_drops_everything() {
    assert_eq!(testkit::sink(&mut Nothing), Ok(()));
}

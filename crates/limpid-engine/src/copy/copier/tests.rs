//! A table without a key, read from a source that is none.

use std::sync::{Arc, Mutex};

use limpid_codec::cursor::{Cursors, encode};
use limpid_connector::testkit::{MemoryLog, MemorySource, done};
use limpid_connector::{Admission, ChangeStream, Chunk, Decode, Next, SourceLoad, Stop, StreamEvent};
use limpid_model::{Batch, Position};

use super::*;
use crate::copy::Told;
use crate::copy::{Control, CopyMode, CopyOptions, Mark};
use crate::observe::Unobserved;

/// Two pieces, then the end or a failure.
struct Reader {
    pieces: u32,
    fails: bool,
}

fn name() -> TableName {
    TableName::new("s", "t")
}

impl TableReader for Reader {
    fn tables(&mut self) -> Result<Vec<TableFound>, Fault> {
        Ok(vec![TableFound { name: name(), rows: 2, bytes: 2, has_key: false }])
    }
    fn split(&mut self, _: &TableName, _: u32) -> Result<Vec<KeyRange>, Fault> {
        unreachable!("it has no key")
    }
    fn read(&mut self, _: &ChunkAsk<'_>) -> Result<Option<Chunk>, Fault> {
        unreachable!("it has no key")
    }
    fn begin_whole(&mut self, _: &TableName, _: Option<&str>) -> Result<Option<Position>, Fault> {
        Ok(Some(done(1)))
    }
    fn read_whole(&mut self, _: u64) -> Result<Option<Chunk>, Fault> {
        if self.pieces == 0 {
            let fault = Fault::new(FaultCode::SourceQueryFailed, Component::Input, "no more of it can be read");
            return if self.fails { Err(fault) } else { Ok(None) };
        }
        self.pieces -= 1;
        Ok(Some(Chunk {
            table: name(),
            range: KeyRange::default(),
            rest: None,
            batches: vec![Batch::default()],
            fence: done(1),
            rows: 1,
            bytes: 1,
            took: Duration::ZERO,
            proof: Box::new(()),
        }))
    }
    fn statements_of_others(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
    fn load(&mut self) -> Result<SourceLoad, Fault> {
        Ok(SourceLoad::default())
    }
}

/// A stream that remembers how it was held.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<bool>>>);

impl ChangeStream for Stream {
    fn next(&mut self, _: &mut Batch, _: Duration) -> Result<Next, Fault> {
        Ok(Next::Idle)
    }
    fn decoder(&self) -> Arc<dyn Decode> {
        unreachable!("nothing is decoded here")
    }
    fn take_events(&mut self) -> Vec<StreamEvent> {
        Vec::new()
    }
    fn halt_table(&mut self, _: &TableName) {}
    fn captures(&self, _: &TableName) -> bool {
        true
    }
    fn connector(&self) -> &'static str {
        "memory"
    }
    fn opened_at(&self) -> Position {
        done(1)
    }
    fn admit(&mut self, _: &mut Chunk) -> Admission {
        Admission::Admitted
    }
    fn hold_at(&mut self, fence: Option<Position>) {
        self.0.lock().unwrap().push(fence.is_some());
    }
}

/// Reads the table whole beside a reader thread's part; what passed, how the stream was held, and how reading ended.
fn read_whole(fails: bool) -> (Vec<Mark>, Vec<bool>, Result<(), Fault>, Work) {
    let (stop, abort, clock) = (Stop::new(), Stop::new(), Clock::system());
    let cursors = encode(&Cursors { all: true, tables: Vec::new() });
    let control: Arc<Control> = Arc::default();
    let copying = Copying::resume(
        CopyOptions { mode: CopyMode::Initial, ..CopyOptions::never() },
        control,
        (&cursors, Told { epoch: 1, system: "mariadb" }),
        &[],
        &stop,
        &abort,
        Arc::new(Unobserved),
    );
    let copying = copying.unwrap();
    // The reader is given: nobody asks it for one.
    let source = MemorySource::new(MemoryLog::default());
    let parts = CopierParts { source: &source, clock: &clock, copying: &copying };
    let mut reader = Reader { pieces: 2, fails };
    let work = copying.plan().next();
    parts.work(&mut reader, work).unwrap();
    let work = copying.plan().next();
    assert!(matches!(work, Work::Whole { .. }), "{work:?}");
    let mut stream = Stream::default();
    let (mut marks, mut ended) = (Vec::new(), None);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| parts.work(&mut reader, work));
        // Until the copier has no more to say and nothing waits for us.
        while !reading.is_finished() || copying.waits_for_reader() {
            assert!(copying.stand_if_asked(&mut stream));
            marks.extend(copying.admit(&mut stream).into_iter().map(|passing| passing.mark));
        }
        ended = reading.join().ok();
    });
    let held = stream.0.lock().unwrap().clone();
    let next = copying.plan().next();
    (marks, held, ended.expect("the copier does not panic"), next)
}

#[test]
fn the_stream_goes_on_behind_the_last_piece() {
    let (marks, held, ended, next) = read_whole(false);
    assert!(matches!(&marks[..], [Mark::Piece, Mark::Piece, Mark::Whole { rows: 2, .. }]), "{marks:?}");
    assert_eq!((held, ended.is_ok(), next), (vec![true, false], true, Work::Wait));
}

#[test]
fn the_stream_goes_on_where_the_rest_of_a_table_cannot_be_read() {
    let (marks, held, ended, _) = read_whole(true);
    assert!(matches!(&marks[..], [Mark::Piece, Mark::Piece]), "{marks:?}");
    assert_eq!((held, ended.is_err()), (vec![true, false], true));
}

//! The contract of a source.
//!
//! Owns: its clauses. Does not own: the server written to and the statements (the rig).
//!
//! Invariant: everything happens in one captured table whose first column is its key, a 64-bit integer.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::Duration;

use limpid_model::{Batch, FaultKind, NONE, Op, Position, TableName};

use super::{Broken, Patience, holds};
use crate::clock::Clock;
use crate::copy::{Admission, Chunk, ChunkAsk, KeyRange};
use crate::source::{ChangeStream, DecodeTally, Next, Source, StartPoint, Until};

/// A server with an empty table.
pub trait SourceRig {
    /// Another source onto the server, not opened.
    fn source(&mut self) -> Box<dyn Source>;

    /// The table.
    fn table(&self) -> TableName;

    /// Inserts rows with these keys, in one transaction.
    fn insert(&mut self, keys: &[u64]);

    /// The keys in the table, in their order, as the server itself lists them.
    fn keys(&mut self) -> Vec<u64>;
}

/// Goes through the contract on a server whose table is empty.
///
/// # Errors
/// The first clause that is broken.
pub fn source(rig: &mut dyn SourceRig) -> Result<(), Broken> {
    let mut source = rig.source();
    let (begun, empty) = read(&mut *source, &StartPoint::Head, &Until::CaughtUp)?;
    holds(keys(&empty).is_empty(), "behind the head there is nothing", || format!("{empty:?}"))?;
    let endpoint = source.endpoint();
    holds(!endpoint.contains('@') && !endpoint.is_empty(), "an endpoint shows no credentials", || endpoint)?;
    let told = source.open(&StartPoint::At("no position".to_owned()), &Until::CaughtUp, None).map(drop);
    let told = told.map_err(|fault| fault.kind());
    holds(told == Err(FaultKind::Definite), "what is no position is refused for good", || format!("{told:?}"))?;
    let ends = goes_on_at_each_end(rig, &mut *source, &begun)?;
    ends_where_asked(&mut *source, &begun, &ends)?;
    waits(rig, &mut *source)?;
    sees_the_head(&*source, &begun, &ends)?;
    skips_what_is_halted(rig, &mut *source)?;
    copies(rig, &mut *source)
}

/// A batch's rows, its place, and how many transactions ended in it.
#[derive(Clone, Debug)]
struct Seen {
    keys: Vec<u64>,
    end: Position,
    ended: usize,
}

fn keys(seen: &[Seen]) -> Vec<u64> {
    seen.iter().flat_map(|seen| seen.keys.iter().copied()).collect()
}

/// Reads to the end that is asked for.
fn read(source: &mut dyn Source, from: &StartPoint, until: &Until) -> Result<(Position, Vec<Seen>), Broken> {
    let mut stream = source.open(from, until, None)?;
    let (mut seen, patience) = (Vec::new(), Patience::new());
    while let Some(batch) = next(&mut *stream)? {
        seen.extend(batch);
        holds(!patience.is_over(), "a stream with an end ends", || format!("{} batches", seen.len()))?;
    }
    Ok((stream.opened_at(), seen))
}

/// `None` at the end; nothing where nothing came.
fn next(stream: &mut dyn ChangeStream) -> Result<Option<Option<Seen>>, Broken> {
    let mut batch = Batch::default();
    match stream.next(&mut batch, Duration::from_millis(50))? {
        Next::End => return Ok(None),
        Next::Idle => return Ok(Some(None)),
        Next::Batch => {}
    }
    let Some(end) = batch.end.clone() else { return Err(Broken::new("each batch has an end: this one has none")) };
    let mut tally = DecodeTally::default();
    stream.decoder().decode(&mut batch, &mut tally)?;
    holds(tally.table_faults.is_empty(), "good rows are decoded", || format!("{:?}", tally.table_faults))?;
    let keys = rows(&batch, Op::Insert)?;
    let ended = batch.txns.iter().filter(|txn| txn.ends).count();
    Ok(Some(Some(Seen { keys, end, ended })))
}

fn rows(batch: &Batch, op: Op) -> Result<Vec<u64>, Broken> {
    let of = |row: &limpid_model::RowHeader| {
        holds(row.op == op && row.after != NONE, "rows say what happened", || format!("{row:?}"))?;
        let columns = batch.tables[usize::from(row.table)].columns.len();
        Ok(batch.image(row.after, columns)[0].as_i64() as u64)
    };
    batch.rows.iter().map(of).collect()
}

/// So many rows in one transaction: more than one batch of any source.
const LARGE: u64 = 20_000;

/// Rows come once, in the order of their commits; a restart at any batch's end sees the rest, exactly.
fn goes_on_at_each_end(
    rig: &mut dyn SourceRig,
    source: &mut dyn Source,
    begun: &Position,
) -> Result<Vec<Seen>, Broken> {
    let mut written = Vec::new();
    let mut all = Vec::new();
    let mut from = begun.clone();
    for keys in [vec![2], vec![1, 3], (4..4 + LARGE).collect(), vec![LARGE + 9]] {
        rig.insert(&keys);
        let (opened_at, seen) = read(source, &StartPoint::At(from.text()), &Until::CaughtUp)?;
        let clause = "a stream begins where it is asked to";
        holds(opened_at.compare(&from) == Some(Ordering::Equal), clause, || opened_at.text())?;
        let came: Vec<u64> = seen.iter().flat_map(|seen| seen.keys.iter().copied()).collect();
        let clause = "what was committed since comes, once and in order";
        holds(came == keys, clause, || format!("{} rows of {}", came.len(), keys.len()))?;
        let ended: usize = seen.iter().map(|seen| seen.ended).sum();
        holds(ended == 1, "one transaction ends once", || format!("{ended} times"))?;
        let Some(last) = seen.last() else { return Err(Broken::new("rows come in batches: none came")) };
        from = last.end.clone();
        written.extend(keys);
        all.extend(seen);
    }
    for pair in all.windows(2) {
        let order = pair[0].end.compare(&pair[1].end);
        // Two places inside one transaction have only its rows between them, which the source does not count.
        let moves = pair[0].end.inside().is_none() && pair[1].end.inside().is_none() && pair[1].ended > 0;
        let is_later = order == Some(Ordering::Less) || (!moves && order == Some(Ordering::Equal));
        holds(is_later, "a later end is a later position", || format!("{order:?}"))?;
    }
    // Inside a transaction a restart reads it from its beginning, and whoever counts its rows leaves out those done.
    let mut done = 0;
    for seen in &all {
        done += seen.keys.len();
        if seen.end.inside().is_some() {
            continue;
        }
        let (_, rest) = read(source, &StartPoint::At(seen.end.text()), &Until::CaughtUp)?;
        let rest = keys(&rest);
        let clause = "behind a batch's end comes what is in no batch up to it";
        holds(rest == written[done..], clause, || format!("{} rows after {done} of {}", rest.len(), written.len()))?;
    }
    Ok(all)
}

fn ends_where_asked(source: &mut dyn Source, begun: &Position, all: &[Seen]) -> Result<(), Broken> {
    let mut expected = Vec::new();
    for seen in all {
        expected.extend_from_slice(&seen.keys);
        if seen.end.inside().is_some() {
            continue;
        }
        let (_, came) = read(source, &StartPoint::At(begun.text()), &Until::Position(seen.end.text()))?;
        let came = keys(&came);
        let clause = "an end at a position is exact";
        holds(came == expected, clause, || format!("{} rows of {}", came.len(), expected.len()))?;
    }
    Ok(())
}

/// At the end of the log a stream without an end says so, and goes on when something comes.
fn waits(rig: &mut dyn SourceRig, source: &mut dyn Source) -> Result<(), Broken> {
    let mut stream = source.open(&StartPoint::Head, &Until::Forever, None)?;
    let captures = (stream.captures(&rig.table()), stream.captures(&TableName::new("no_such", "table")));
    holds(captures == (true, false), "it knows what it captures", || format!("{captures:?}"))?;
    holds(!stream.connector().is_empty(), "it says what it is", String::new)?;
    let patience = Patience::new();
    while !matches!(next(&mut *stream)?, Some(None)) {
        holds(!patience.is_over(), "a stream with nothing to say is idle", || "never".to_owned())?;
    }
    rig.insert(&[LARGE + 20]);
    let came = until_row(&mut *stream)?;
    holds(came == [LARGE + 20], "an idle stream goes on", || format!("{came:?}"))
}

/// The first rows that come.
fn until_row(stream: &mut dyn ChangeStream) -> Result<Vec<u64>, Broken> {
    let patience = Patience::new();
    loop {
        if let Some(Some(seen)) = next(stream)?
            && !seen.keys.is_empty()
        {
            return Ok(seen.keys);
        }
        holds(!patience.is_over(), "a row that is committed comes", || "not in 30 s".to_owned())?;
    }
}

fn sees_the_head(source: &dyn Source, begun: &Position, all: &[Seen]) -> Result<(), Broken> {
    let (mut head, clock) = (source.head()?, Clock::system());
    let seen = head.look(begun, &clock)?;
    let last = all.last().map_or(begun, |seen| &seen.end);
    let order = last.compare(&seen.position);
    let clause = "the head is not before what was read";
    holds(order != Some(Ordering::Greater), clause, || seen.position.text())?;
    let behind = head.look(begun, &clock)?.lag_bytes;
    holds(behind.is_none_or(|bytes| bytes > 0), "who is behind is told how far", || format!("{behind:?}"))?;
    let behind = head.look(begun, &clock)?.lag_transactions;
    let written: u64 = all.iter().map(|seen| seen.ended as u64).sum();
    let clause = "transactions between are counted";
    holds(behind.is_none_or(|transactions| transactions >= written), clause, || format!("{behind:?} of {written}"))?;
    let caught_up = head.look(&seen.position, &clock)?;
    let is_there =
        caught_up.lag_bytes.is_none_or(|bytes| bytes == 0) && caught_up.lag_transactions.is_none_or(|n| n == 0);
    holds(is_there, "at the head there is no lag", || format!("{caught_up:?}"))?;
    holds(seen.position.reaches(begun), "the head reaches what was read", || seen.position.text())?;
    let Some(sample) = caught_up.clock else { return Ok(()) };
    let ours = clock.wall_micros() - ((clock.nanos() - sample.got_nanos) / 1000) as i64;
    let clause = "a source on this machine has this machine's clock";
    holds(ours.abs_diff(sample.source_micros) < 1_000_000, clause, || format!("{sample:?} is not {ours}"))
}

fn skips_what_is_halted(rig: &mut dyn SourceRig, source: &mut dyn Source) -> Result<(), Broken> {
    let mut stream = source.open(&StartPoint::Head, &Until::CaughtUp, None)?;
    let at = stream.opened_at();
    drop(stream);
    rig.insert(&[LARGE + 30]);
    stream = source.open(&StartPoint::At(at.text()), &Until::CaughtUp, None)?;
    stream.halt_table(&rig.table());
    let mut came = Vec::new();
    while let Some(batch) = next(&mut *stream)? {
        came.extend(batch);
    }
    holds(keys(&came).is_empty(), "no row of a halted table comes", || format!("{:?}", keys(&came)))?;
    holds(!came.is_empty(), "its position moves all the same", || "nothing came".to_owned())
}

/// The table in chunks, each admitted once the stream has passed its fence.
fn copies(rig: &mut dyn SourceRig, source: &mut dyn Source) -> Result<(), Broken> {
    let mut stream = source.open(&StartPoint::Head, &Until::Forever, None)?;
    let mut reader = source.table_reader()?;
    let table = rig.table();
    let listed = reader.tables()?.into_iter().find(|found| found.name == table);
    holds(listed.is_some_and(|found| found.has_key), "captured tables are listed", || table.to_string())?;
    let (mut copied, mut rest, mut chunks) = (Vec::<u64>::new(), Some(KeyRange::default()), 0);
    while let Some(range) = rest.take() {
        let ask = ChunkAsk { table: &table, range: &range, predicate: None, rows_max: 6_000, bytes_max: 1 << 20 };
        let Some(mut chunk) = reader.read(&ask)? else { return Err(Broken::new("a table that is there is read")) };
        admitted(rig, &mut *stream, &mut chunk)?;
        for batch in &chunk.batches {
            copied.extend(rows(batch, Op::Read)?);
        }
        (rest, chunks) = (chunk.rest, chunks + 1);
    }
    let there: HashSet<u64> = rig.keys().into_iter().collect();
    let found: HashSet<u64> = copied.iter().copied().collect();
    let strange = found.difference(&there).count();
    holds(strange == 0, "a copy has no row that was never there", || format!("{strange} are strange"))?;
    // Marks that were written later are the stream's.
    let missing = there.difference(&found).filter(|key| **key < MARKS).count();
    holds(missing == 0, "a copy has each row that was there", || format!("{missing} are missing"))?;
    let is_ordered = copied.windows(2).all(|pair| pair[0] < pair[1]);
    holds(is_ordered, "chunks are in the key's order and do not meet", || format!("{} rows", copied.len()))?;
    holds(chunks > 1, "a chunk keeps its bound", || format!("{} rows in {chunks}", copied.len()))
}

/// Rows that move the log on, beyond those that are counted.
const MARKS: u64 = 1 << 40;

fn admitted(rig: &mut dyn SourceRig, stream: &mut dyn ChangeStream, chunk: &mut Chunk) -> Result<(), Broken> {
    let patience = Patience::new();
    loop {
        match stream.admit(chunk) {
            Admission::Admitted => return Ok(()),
            Admission::Stale(why) => return Err(Broken::new(format!("a chunk of a table at rest is of use: {why}"))),
            Admission::NotYet => {}
        }
        holds(!patience.is_over(), "a chunk is admitted when its fence is passed", || chunk.fence.text())?;
        let mark = MARKS + rig.keys().len() as u64;
        rig.insert(&[mark]);
        until_row(stream)?;
    }
}

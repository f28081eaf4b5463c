//! Reads a server's log through our source, and writes values as the server's SELECT does.
//!
//! Owns: one stream from a place to the log's end, and the text of each value. Does not own: servers, what is expected.
//!
//! Invariant: a fault of the stream or of a table is an answer, never a panic: tests ask for them too.

use std::time::Duration;

use limpid_connector::{DecodeTally, JsonText, Next, Source, StartPoint, StreamEvent, Until};
use limpid_model::{
    Batch, Cell, CellKind, Column, Fault, FaultCode, LogicalType, Op, Place, TraceContext, unpack_impossible,
};
use limpid_mysql::{ConnectOptions, MySqlOptions, MySqlSource, Selection, TlsMode, TlsOptions};

/// One value as text; of columns that are compared as bytes, its hex. `None` is NULL.
pub type Value = Option<String>;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub table: String,
    pub op: Op,
    pub before: Vec<Value>,
    pub after: Vec<Value>,
    /// What comments of the transaction's statements named.
    pub contexts: Vec<TraceContext>,
}

/// What a log was read as.
#[derive(Debug, Default)]
pub struct Log {
    pub changes: Vec<Change>,
    pub fault: Option<FaultCode>,
    pub table_faults: Vec<(String, FaultCode)>,
    pub doubts: Vec<String>,
    /// What the batches count as while they are in flight.
    pub raw_bytes: u64,
    /// Where the stream began.
    pub opened_at: String,
}

impl Log {
    fn ended(self, fault: &Fault) -> Self {
        println!("{fault} {:?}", fault.object());
        Self { fault: Some(fault.code()), ..self }
    }
}

/// Reads from `from` to the end of the log, tables of `schema` only.
pub fn read(port: u16, from: &str, schema: &str) -> Log {
    read_while(port, (StartPoint::At(from.into()), Until::CaughtUp), schema, || (), usize::MAX)
}

/// Opens at `from`, lets `change` change something, and reads to `until` or until there are `enough` changes.
pub fn read_while(
    port: u16,
    (from, until): (StartPoint, Until),
    schema: &str,
    change: impl FnOnce(),
    enough: usize,
) -> Log {
    let mut source = MySqlSource::new(options(port, schema));
    let mut log = Log::default();
    let mut stream = match source.open(&from, &until, None) {
        Ok(stream) => stream,
        Err(fault) => return log.ended(&fault),
    };
    log.opened_at = stream.opened_at().text();
    change();
    let decoder = stream.decoder();
    let mut batch = Batch::default();
    loop {
        let next = stream.next(&mut batch, Duration::from_secs(1));
        for event in stream.take_events() {
            match event {
                StreamEvent::TableFault { table, fault } => log.table_faults.push((table.to_string(), fault.code())),
                StreamEvent::Doubt { object, .. } => log.doubts.push(object),
                _ => {}
            }
        }
        match next {
            Ok(Next::Batch) => {}
            Ok(Next::Idle) => continue,
            Ok(Next::End) => return log,
            Err(fault) => return log.ended(&fault),
        }
        log.raw_bytes += batch.raw_bytes() as u64;
        let mut tally = DecodeTally::default();
        if let Err(fault) = decoder.decode(&mut batch, &mut tally) {
            return log.ended(&fault);
        }
        for (table, fault) in &tally.table_faults {
            log.table_faults.push((batch.tables[*table as usize].name.to_string(), fault.code()));
        }
        log.changes.extend(changes(&batch));
        if log.changes.len() >= enough || !log.table_faults.is_empty() {
            return log;
        }
    }
}

/// A source that reads tables of `schema`.
pub fn options(port: u16, schema: &str) -> MySqlOptions {
    let connect = ConnectOptions {
        host: "127.0.0.1".into(),
        port,
        user: "root".into(),
        password: String::new(),
        tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
        connect_timeout: Duration::from_secs(5),
        asked: Default::default(),
    };
    MySqlOptions {
        connect,
        others: Vec::new(),
        snapshot_from: None,
        selection: Selection { tables: vec![format!("{schema}.*")], columns: Vec::new() },
        accept_partial_images: false,
        server_id: 4_711,
        json_text: JsonText::Server,
        held: None,
        contexts: true,
        heartbeat: None,
    }
}

fn changes(batch: &Batch) -> Vec<Change> {
    let image = |table: u16, first: u32| -> Vec<Value> {
        let columns = &batch.tables[table as usize].columns;
        let cells = batch.image(first, columns.len());
        cells.iter().zip(columns).map(|(cell, column)| text(batch, column, *cell)).collect()
    };
    let change = |row: &limpid_model::RowHeader| Change {
        table: batch.tables[row.table as usize].name.to_string(),
        op: row.op,
        before: image(row.table, row.before),
        after: image(row.table, row.after),
        contexts: batch.contexts.iter().filter(|(txn, _)| *txn == row.txn).map(|(_, context)| *context).collect(),
    };
    batch.rows.iter().map(change).collect()
}

/// A value as `SELECT` prints it with time zone UTC; text, bytes, JSON, geometries and members as hex.
fn text(batch: &Batch, column: &Column, cell: Cell) -> Value {
    if cell.place() == Place::Null {
        return None;
    }
    assert!(cell.is_value(), "{column:?} is not in a full row image");
    let bytes = batch.bytes(cell);
    Some(match cell.kind() {
        CellKind::Int => cell.as_i64().to_string(),
        CellKind::UInt | CellKind::Bit => cell.bits().to_string(),
        CellKind::F32 => f64::from(f32::from_bits(cell.bits() as u32)).to_string(),
        CellKind::F64 => f64::from_bits(cell.bits()).to_string(),
        CellKind::Decimal if cell.place() == Place::Inline => decimal(&cell.as_i64().to_be_bytes(), cell.scale()),
        CellKind::Decimal => decimal(bytes, cell.scale()),
        CellKind::Year => format!("{:04}", cell.as_i64()),
        CellKind::Date => date(cell.as_i64()),
        CellKind::Time => time(cell.as_i64(), digits(&column.logical)),
        CellKind::DateTime | CellKind::Timestamp => {
            let micros = cell.as_i64();
            let day = micros.div_euclid(86_400_000_000);
            let clock = time(micros.rem_euclid(86_400_000_000), digits(&column.logical));
            format!("{} {clock}", date(day))
        }
        CellKind::Impossible => impossible(cell, &column.logical),
        CellKind::Enum | CellKind::Set => members(&column.logical, cell.bits()),
        CellKind::Uuid => uuid(bytes),
        CellKind::Inet if bytes.len() == 4 => std::net::Ipv4Addr::from(*bytes.first_chunk().unwrap()).to_string(),
        CellKind::Text | CellKind::Bytes | CellKind::Json | CellKind::Geometry | CellKind::Inet => hex(bytes),
        other => panic!("{other:?} of {column:?} is no type of these servers"),
    })
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn uuid(bytes: &[u8]) -> String {
    let hex = hex(bytes).to_lowercase();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn digits(logical: &LogicalType) -> usize {
    match logical {
        LogicalType::Time { digits } | LogicalType::DateTime { digits } | LogicalType::Timestamp { digits } => {
            *digits as usize
        }
        _ => 0,
    }
}

/// Big-endian two's complement as a decimal with a scale.
fn decimal(bytes: &[u8], scale: u16) -> String {
    let negative = bytes[0] & 0x80 != 0;
    let mut digits = vec![0u32];
    let mut step = |times: u32, plus: u32| {
        let mut carry = plus;
        for digit in &mut digits {
            let value = *digit * times + carry;
            (*digit, carry) = (value % 10, value / 10);
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    };
    for byte in bytes {
        step(256, u32::from(if negative { !byte } else { *byte }));
    }
    step(1, u32::from(negative));
    digits.resize(digits.len().max(scale as usize + 1), 0);
    let mut text: String = digits.iter().rev().map(|digit| char::from(b'0' + *digit as u8)).collect();
    if scale > 0 {
        text.insert(text.len() - scale as usize, '.');
    }
    let whole = text.trim_start_matches('0');
    let text = if whole.starts_with('.') || whole.is_empty() { format!("0{whole}") } else { whole.to_owned() };
    if negative { format!("-{text}") } else { text }
}

/// Walks year by year: slow, and nothing like the code under test.
fn date(days: i64) -> String {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut left = days + 719_528;
    let mut year = 0;
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, left + 1)
}

fn time(micros: i64, digits: usize) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, fraction) = (micros.abs() / 1_000_000, micros.abs() % 1_000_000);
    let clock = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if digits == 0 { clock } else { format!("{clock}.{}", &format!("{fraction:06}")[..digits]) }
}

fn impossible(cell: Cell, logical: &LogicalType) -> String {
    let (year, month, day, second, micros) = unpack_impossible(cell.bits());
    let date = format!("{year:04}-{month:02}-{day:02}");
    match logical {
        LogicalType::Date => date,
        _ => format!("{date} {}", time(i64::from(second) * 1_000_000 + i64::from(micros), digits(logical))),
    }
}

fn members(logical: &LogicalType, bits: u64) -> String {
    match logical {
        LogicalType::Enum { members } => {
            let place = (bits as usize).checked_sub(1);
            hex(place.map_or("", |place| &*members[place]).as_bytes())
        }
        LogicalType::Set { members } => {
            let chosen: Vec<&str> =
                members.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, text)| &**text).collect();
            hex(chosen.join(",").as_bytes())
        }
        other => panic!("{other:?} has no members"),
    }
}

//! Which table version a row was written with: the log's own metadata, and the history for the rest.
//!
//! Owns: the captured tables' versions, halted tables, doubts. Does not own: scanning statements (`ddl`), the model
//! of definitions (`history`), reading catalogues (`catalogue`).
//!
//! Invariant: a table map of a captured table gives a schema that fits its bytes, or a fault of that table; never a
//! guess.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use limpid_connector::StreamEvent;
use limpid_model::{Column, Component, Fault, FaultCode, LogicalType, TableName, TableSchema};

use crate::catalogue::may_be_one;
use crate::copy::shape;
use crate::ddl::{ScanContext, SqlMode, Statement, Xid, scan};
use crate::facts::table_facts;
use crate::history::{Change, History, TableDefinition};
use crate::mapping::{Layout, Mismatch, table_layout};
use crate::position::{Flavor, LogPosition};
use crate::selection::Selection;
use crate::tablemap::{self, TableMap};
use crate::tables::Captured;

/// Schemas as of the place in the log that the reader has reached.
#[derive(Debug)]
pub struct Schemas {
    selection: Selection,
    halted: HashSet<TableName>,
    /// Definitions as of the place reached; `None` where nobody could ask (a recorded log).
    history: Option<History>,
    /// Set while the stream is behind the place that the history was read at: until there its facts are from the
    /// future, and statements do not move them.
    holds_from: Option<LogPosition>,
    doubted: HashSet<TableName>,
    events: Vec<StreamEvent>,
    /// Raised whenever a definition changes or a table halts: cached table maps are resolved anew.
    generation: u64,
    /// The last version number given out.
    version: u32,
    server: ServerNames,
    /// XA transactions seen prepared without rows of ours, until they are decided.
    prepared: HashSet<Xid>,
    /// Tables made of their definitions, with the generation they were made in.
    made: HashMap<TableName, (u64, Captured)>,
}

/// What scanning a statement must know of its server.
#[derive(Clone, Copy, Debug)]
pub struct ServerNames {
    pub flavor: Flavor,
    pub version: u32,
    pub lower_case_names: bool,
}

/// So many undecided XA transactions without rows of ours are remembered (an id is at most 140 bytes); beyond, their
/// commits are counted as doubts, which is the safe side.
const PREPARED_MAX: usize = 10_000;

impl Schemas {
    /// Whether rows of a table of this name are captured.
    pub fn captures(&self, table: &TableName) -> bool {
        self.selection.takes(table)
    }

    pub fn new(selection: Selection, server: ServerNames) -> Self {
        Self {
            selection,
            halted: HashSet::new(),
            history: None,
            holds_from: None,
            doubted: HashSet::new(),
            events: Vec::new(),
            generation: 0,
            version: 0,
            server,
            prepared: HashSet::new(),
            made: HashMap::new(),
        }
    }

    /// Changes whenever cached table maps must be looked at again.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn take_events(&mut self) -> Vec<StreamEvent> {
        std::mem::take(&mut self.events)
    }

    /// The schema and layout for a table map; `Some(None)` for a table that is not captured, `None` for bytes that
    /// are no table map.
    pub fn resolve(&mut self, body: &[u8]) -> Option<Option<Captured>> {
        let (schema, table) = tablemap::names(body)?;
        let name = TableName::new(schema, table);
        if !self.selection.takes(&name) || self.halted.contains(&name) {
            return Some(None);
        }
        let map = TableMap::parse(body, self.server.flavor)?;
        let definition = self.history.as_ref().and_then(|history| history.table(&name)).cloned();
        if definition.as_ref().is_some_and(|definition| definition.is_sequence) {
            return Some(None);
        }
        let facts = definition.as_deref().map(table_facts);
        if self.is_doubtful(&name, &map, definition.as_ref().is_some_and(|definition| !definition.certain)) {
            self.doubt(FaultCode::TableSchemaUnknown, format!("{name}: column names are the present ones"));
        }
        self.version += 1;
        let keep = |column: &str| self.selection.takes_column(&name, column);
        match table_layout(&map, facts.as_ref(), self.version, &keep) {
            Ok((schema, mut layout)) => {
                if let Some(definition) = definition.filter(|_| self.holds_from.is_none()) {
                    layout.disputed = disputed(&schema, &definition, &keep);
                }
                let layout: Arc<dyn Any + Send + Sync> = Arc::new(layout);
                Some(Some(Captured { schema: Arc::new(schema), layout }))
            }
            Err(mismatch) => {
                self.halt(name.clone(), mismatch_fault(&mismatch, &name));
                Some(None)
            }
        }
    }

    /// The definition of a table at the place reached, where it is captured and known.
    pub fn definition(&self, name: &TableName) -> Option<Arc<TableDefinition>> {
        let definition = self.history.as_ref().filter(|_| self.holds_from.is_none())?.table(name)?;
        self.selection.takes(name).then(|| Arc::clone(definition))
    }

    /// Schema and layout of a table as its definition alone tells, for rows that no table map came with. One version
    /// for as long as nothing changes.
    pub fn made(&mut self, name: &TableName) -> Option<Captured> {
        let definition = self.definition(name).filter(|_| !self.halted.contains(name))?;
        if let Some((generation, captured)) = self.made.get(name)
            && *generation == self.generation
        {
            return Some(captured.clone());
        }
        let keep = |column: &str| self.selection.takes_column(name, column);
        let (schema, layout) = shape::of_definition(name, &definition, self.version + 1, &keep).ok()?;
        self.version += 1;
        let layout: Arc<dyn Any + Send + Sync> = Arc::new(layout);
        let captured = Captured { schema: Arc::new(schema), layout };
        self.made.insert(name.clone(), (self.generation, captured.clone()));
        Some(captured)
    }

    /// As [`Schemas::halt`], for a table whose fault is known already.
    pub fn skip(&mut self, table: TableName) {
        if self.halted.insert(table) {
            self.generation += 1;
        }
    }

    /// From here on no row of this table is yielded.
    pub fn halt(&mut self, table: TableName, fault: Fault) {
        if self.halted.insert(table.clone()) {
            self.generation += 1;
            self.events.push(StreamEvent::TableFault { table, fault });
        }
    }

    /// True while no row of this table is yielded.
    pub fn is_halted(&self, name: &TableName) -> bool {
        self.halted.contains(name)
    }

    /// A number that tells a table's definition from others, for as long as a transaction may be prepared; 0 where
    /// the definition is not known.
    pub fn fingerprint(&self, name: &TableName) -> u64 {
        let history = self.history.as_ref().filter(|_| self.holds_from.is_none());
        history.map_or(0, |history| history.table(name).map_or(1, |table| table.fingerprint()))
    }

    /// True where a captured table is known not to be defined any more as it was under this number.
    pub fn differs(&self, name: &TableName, fingerprint: u64) -> bool {
        let now = self.fingerprint(name);
        fingerprint != 0 && now != 0 && now != fingerprint && self.selection.takes(name)
    }

    /// Scans a statement of this server's log.
    pub fn scan(&self, sql: &[u8], schema: &str, mode: SqlMode) -> Statement {
        let mut context = ScanContext::of_server(self.server.flavor, self.server.version, schema);
        context.sql_mode = mode;
        context.lower_case_names = self.server.lower_case_names;
        scan(sql, &context)
    }

    /// True, once a table, where names come from a definition that may not have held when the rows were written.
    fn is_doubtful(&mut self, name: &TableName, map: &TableMap, uncertain: bool) -> bool {
        let named = map.columns.iter().all(|column| column.name.is_some());
        let ahead = self.holds_from.is_some();
        !named && (ahead || uncertain) && self.doubted.insert(name.clone())
    }

    /// Begins with these definitions. `holds_from`: the place they were read at, where the stream is behind it.
    /// `version` is the number it was saved under; later ones are higher.
    pub fn begin(&mut self, history: History, holds_from: Option<LogPosition>, version: u32) {
        self.version = version.max(history.last_version());
        self.history = Some(history);
        self.holds_from = holds_from;
        self.generation += 1;
    }

    /// The stream has reached `position`: definitions read there hold from now on.
    pub fn reached(&mut self, position: &LogPosition) {
        if self.holds_from.as_ref().is_some_and(|from| position.reaches(from)) {
            self.holds_from = None;
            self.generation += 1;
            self.save();
        }
    }

    /// True while [`Schemas::reached`] has something to wait for.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.holds_from.is_some()
    }

    /// Moves the definitions by what a statement does.
    pub fn apply(&mut self, statement: &Statement) {
        if statement.effects.is_empty() && statement.doubts.is_empty() {
            return;
        }
        self.generation += 1;
        if self.holds_from.is_some() {
            return;
        }
        let Some(history) = &mut self.history else { return };
        let changes = history.apply(statement);
        let mut moved = false;
        for change in changes {
            match change {
                Change::Doubt { table, reason } => {
                    if table.as_ref().is_none_or(|table| self.selection.takes(table)) {
                        let object = table.map_or_else(|| "any table".to_owned(), |table| table.to_string());
                        let text = format!("{object}: {reason}");
                        self.events.push(StreamEvent::Doubt { code: FaultCode::TableSchemaUnknown, object: text });
                    }
                    moved = true;
                }
                Change::RowsChanged { table, .. } => {
                    if self.selection.takes(&table) {
                        let text = format!("{table}: its rows changed by a definition, not by rows");
                        self.events.push(StreamEvent::Doubt { code: FaultCode::StatementChange, object: text });
                    }
                }
                Change::Truncated(_) => {}
                Change::Created(_) | Change::Altered(_) | Change::Dropped(_) | Change::Renamed { .. } => moved = true,
            }
        }
        if moved {
            self.save();
        }
    }

    /// Passes the history on to be saved.
    pub fn save(&mut self) {
        if let Some(history) = &self.history {
            self.version += 1;
            let version = self.version;
            self.events.retain(|event| !matches!(event, StreamEvent::History { .. }));
            self.events.push(StreamEvent::History { version, snapshot: history.to_bytes() });
        }
    }

    /// A statement changed rows of `table` without row events.
    pub fn statement_change(&mut self, table: &TableName, file: &str, at: u64) {
        if self.selection.takes(table) {
            let text = format!("a session changed it by a statement in the log at {file}:{at}, not by rows");
            let fault = Fault::new(FaultCode::StatementChange, Component::Input, text).about(table.to_string());
            self.halt(table.clone(), fault);
        }
    }

    /// Rows begin here: whatever was wrong with earlier ones is nobody's business.
    pub fn begin_here(&mut self) {
        self.events.retain(|event| matches!(event, StreamEvent::History { .. }));
        self.halted.clear();
        self.doubted.clear();
        self.generation += 1;
    }

    /// Something that needs no action but must be told.
    pub fn doubt(&mut self, code: FaultCode, object: String) {
        self.events.push(StreamEvent::Doubt { code, object });
    }

    /// An XA transaction without rows of ours was prepared.
    pub fn remember_prepared(&mut self, xid: Xid) {
        if self.prepared.len() < PREPARED_MAX {
            self.prepared.insert(xid);
        }
    }

    /// An XA transaction was decided; true if it was seen prepared.
    pub fn forget_prepared(&mut self, xid: &Xid) -> bool {
        self.prepared.remove(xid)
    }

    /// A schema without columns, for events that carry no row.
    pub fn empty_layout(&mut self, name: &TableName) -> Option<(Arc<TableSchema>, Arc<Layout>)> {
        if !self.selection.takes(name) || self.halted.contains(name) {
            return None;
        }
        let key_seed = limpid_model::key_seed(name);
        let schema = TableSchema { name: name.clone(), version: 0, columns: Vec::new(), key: [].into(), key_seed };
        let layout = Layout { columns: Vec::new(), json_columns: 0, row_end: None, disputed: [].into() };
        Some((Arc::new(schema), Arc::new(layout)))
    }
}

/// The columns that a definition alone describes otherwise than `schema`, which follows the log.
fn disputed(schema: &TableSchema, definition: &TableDefinition, keep: &dyn Fn(&str) -> bool) -> Box<[u16]> {
    let Ok((known, _)) = shape::of_definition(&schema.name, definition, 0, keep) else { return [].into() };
    let agrees = |column: &Column| {
        let known = known.column(&column.name).and_then(|index| known.columns.get(index));
        known.is_some_and(|known| known.nullable == column.nullable && is_same(&known.logical, &column.logical))
    };
    let differs = schema.columns.iter().enumerate().filter(|(_, column)| !agrees(column));
    differs.map(|(index, _)| index as u16).collect()
}

/// As far as can be told: what the history has of members may come from the catalogue.
fn is_same(ours: &LogicalType, theirs: &LogicalType) -> bool {
    match (ours, theirs) {
        (LogicalType::Enum { members: ours }, LogicalType::Enum { members: theirs })
        | (LogicalType::Set { members: ours }, LogicalType::Set { members: theirs }) => {
            ours.len() == theirs.len() && ours.iter().zip(&**theirs).all(|(ours, theirs)| may_be_one(ours, theirs))
        }
        _ => ours == theirs,
    }
}

/// The fault of a table whose columns cannot be read.
pub fn mismatch_fault(mismatch: &Mismatch, name: &TableName) -> Fault {
    let (code, text) = match mismatch {
        Mismatch::Unknown => (
            FaultCode::TableSchemaUnknown,
            "the log does not name its columns and nothing else is known of them".into(),
        ),
        Mismatch::Differs { log_columns, known_columns } => (
            FaultCode::TableSchemaMismatch,
            format!("the log has {log_columns} columns where {known_columns} are known"),
        ),
        Mismatch::Type { column, code } => {
            (FaultCode::RowUndecodable, format!("column {column} has type number {code}, which cannot be read"))
        }
        Mismatch::Charset { column, collation } => {
            let number = collation.map_or_else(|| "unknown".to_owned(), |id| format!("number {id}"));
            let text = format!("column {column} is in a character set that cannot be read (its collation is {number})");
            (FaultCode::RowUndecodable, text)
        }
    };
    Fault::new(code, Component::Input, text).about(name.to_string())
}

//! Moves a history along by one statement.
//!
//! Owns: databases, and tables coming, going and changing names. Does not own: what ALTER TABLE does inside a table
//! (`alter`), nor keys (`keys`).
//!
//! Invariant: a statement that reached the log has succeeded, so where it contradicts the history, the history is
//! wrong: it takes the statement's side and says so with a doubt.

use std::sync::Arc;

use limpid_model::TableName;

use super::alter::{self, Surroundings};
use super::keys::Occasion;
use super::{Change, History, SystemVersioning, TableDefinition, keys};
use crate::ddl::{
    Alteration, CharsetClause, ColumnSpec, Effect, KeySpec, Period, Statement, TableOptions, VersioningRole,
};

const UNKNOWN_TABLE: &str = "the statement changes a table that the history does not know";

impl History {
    /// Applies a statement that stands in the log. What it says of tables that nobody captures may be ignored.
    pub fn apply(&mut self, statement: &Statement) -> Vec<Change> {
        let mut changes = Vec::new();
        for effect in &statement.effects {
            self.apply_effect(effect, &mut changes);
        }
        for doubt in &statement.doubts {
            self.doubt(doubt.table.clone(), doubt.reason, &mut changes);
        }
        changes
    }

    fn apply_effect(&mut self, effect: &Effect, changes: &mut Vec<Change>) {
        match effect {
            Effect::CreateDatabase { name, or_replace, if_not_exists, charset } => {
                if *or_replace {
                    self.drop_database(name, changes);
                }
                if !(*if_not_exists && self.databases.contains_key(name)) {
                    let charset = self.charsets.resolve(charset, &self.server_charset);
                    self.databases.insert(name.clone(), charset);
                }
            }
            Effect::AlterDatabase { name, charset } => self.alter_database(name, charset),
            Effect::DropDatabase { name } => self.drop_database(name, changes),
            Effect::CreateTable { table, or_replace, if_not_exists, columns, keys, periods, options, selects } => {
                if self.makes_way(table, *or_replace, *if_not_exists) {
                    let body = Body { columns, keys, periods, options };
                    self.create_table(table, &body, *selects, changes);
                }
            }
            Effect::CreateTableLike { table, like, or_replace, if_not_exists } => {
                if self.makes_way(table, *or_replace, *if_not_exists) {
                    self.create_like(table, like, changes);
                }
            }
            Effect::CreateSequence { table, or_replace, if_not_exists } => {
                if self.makes_way(table, *or_replace, *if_not_exists) {
                    let mut definition = self.empty_table(table);
                    definition.is_sequence = true;
                    self.put(table, definition);
                    changes.push(Change::Created(table.clone()));
                }
            }
            Effect::AlterTable { table, if_exists, alterations } => {
                self.alter_table(table, *if_exists, alterations, changes);
            }
            Effect::DropTable { table, if_exists } => self.drop_table(table, *if_exists, changes),
            Effect::RenameTable { from, to, if_exists } => self.rename_table(from, to, *if_exists, changes),
            Effect::TruncateTable { table } => changes.push(Change::Truncated(table.clone())),
            Effect::TemporaryTable { .. } => {}
            Effect::RowsChanged { table, how } => {
                changes.push(Change::RowsChanged { table: table.clone(), how: *how });
            }
        }
    }

    /// Whether a CREATE makes the table, rather than leaving one that is there.
    fn makes_way(&self, table: &TableName, or_replace: bool, if_not_exists: bool) -> bool {
        or_replace || !if_not_exists || !self.tables.contains_key(table)
    }

    fn alter_database(&mut self, name: &str, clause: &CharsetClause) {
        if clause.is_empty() {
            return;
        }
        // DEFAULT is the server's, and a collation alone keeps nothing of the old one.
        let charset = self.charsets.resolve(clause, &self.server_charset);
        self.databases.insert(name.to_owned(), charset);
    }

    fn drop_database(&mut self, name: &str, changes: &mut Vec<Change>) {
        self.databases.remove(name);
        let gone: Vec<TableName> = self.tables.keys().filter(|table| &*table.schema == name).cloned().collect();
        for table in gone {
            self.tables.remove(&table);
            changes.push(Change::Dropped(table));
        }
    }

    fn empty_table(&self, table: &TableName) -> TableDefinition {
        TableDefinition {
            version: 0,
            columns: Vec::new(),
            keys: Vec::new(),
            charset: self.database_charset(&table.schema),
            engine: String::new(),
            is_sequence: false,
            versioning: None,
            periods: Vec::new(),
            certain: true,
        }
    }

    fn put(&mut self, table: &TableName, definition: TableDefinition) {
        self.set_table(table.clone(), Some(definition));
    }

    fn create_table(&mut self, table: &TableName, body: &Body<'_>, selects: bool, changes: &mut Vec<Change>) {
        let mut definition = self.empty_table(table);
        let options = body.options;
        definition.charset = self.charsets.resolve(&options.charset, &definition.charset);
        definition.engine = options.engine.clone().unwrap_or_default();
        definition.is_sequence = options.sequence;
        definition.certain = !selects;
        definition.columns =
            body.columns.iter().map(|spec| alter::column(spec, &self.charsets, &definition.charset, None)).collect();
        for period in body.periods {
            alter::add_period(&mut definition, period);
        }
        let explicit = body.periods.iter().any(Period::is_system);
        let by_column = body.columns.iter().any(|column| column.versioning == Some(VersioningRole::Versioned));
        definition.versioning = match (explicit, options.system_versioning || by_column) {
            (true, true) => Some(SystemVersioning::Explicit),
            (false, true) => Some(SystemVersioning::Implicit),
            (_, false) => None,
        };
        if by_column && !options.system_versioning {
            // Only the columns that say so keep a history.
            for (column, spec) in definition.columns.iter_mut().zip(body.columns) {
                if spec.versioning.is_none() {
                    column.versioning = Some(VersioningRole::Unversioned);
                }
            }
        }
        let outcome = keys::add(&mut definition, body.keys, self.flavor, Occasion::Create);
        self.put(table, definition);
        changes.push(Change::Created(table.clone()));
        if let Err(reason) = outcome {
            // AS SELECT may bring the columns that a key names.
            self.doubt(Some(table.clone()), reason, changes);
        }
    }

    fn create_like(&mut self, table: &TableName, like: &TableName, changes: &mut Vec<Change>) {
        let mut source = self.tables.get(like).map(|definition| TableDefinition::clone(definition));
        if let Some(source) = &mut source {
            keys::prepare_again(source, self.flavor);
            keys::sort(source);
        }
        let known = source.is_some();
        self.put(table, source.unwrap_or_else(|| self.empty_table(table)));
        changes.push(Change::Created(table.clone()));
        if !known {
            self.doubt(Some(table.clone()), "CREATE TABLE LIKE a table that the history does not know", changes);
        }
    }

    fn alter_table(
        &mut self,
        table: &TableName,
        if_exists: bool,
        alterations: &[Alteration],
        changes: &mut Vec<Change>,
    ) {
        let Some(definition) = self.tables.get(table) else {
            if !if_exists {
                self.doubt(Some(table.clone()), UNKNOWN_TABLE, changes);
            }
            return;
        };
        let around = Surroundings {
            flavor: self.flavor,
            charsets: &self.charsets,
            database: self.database_charset(&table.schema),
        };
        let (altered, problem) = alter::apply(definition, alterations, &around);
        if altered != **definition {
            self.put(table, altered);
            changes.push(Change::Altered(table.clone()));
        }
        if let Some(reason) = problem {
            self.doubt(Some(table.clone()), reason, changes);
        }
        for alteration in alterations {
            if let Alteration::RenameTo(to) = alteration {
                self.rename_table(table, to, false, changes);
            }
        }
    }

    fn drop_table(&mut self, table: &TableName, if_exists: bool, changes: &mut Vec<Change>) {
        if self.tables.remove(table).is_some() || !if_exists {
            changes.push(Change::Dropped(table.clone()));
        }
    }

    fn rename_table(&mut self, from: &TableName, to: &TableName, if_exists: bool, changes: &mut Vec<Change>) {
        if from == to {
            return;
        }
        match self.tables.remove(from) {
            Some(definition) => {
                // A new version: the table that had the name before may have the same columns.
                self.put(to, TableDefinition::clone(&definition));
                changes.push(Change::Renamed { from: from.clone(), to: to.clone() });
            }
            None if if_exists => {}
            // Perhaps a view; whoever captures `to` must look.
            None => self.doubt(Some(to.clone()), "RENAME of a table that the history does not know", changes),
        }
    }

    fn doubt(&mut self, table: Option<TableName>, reason: &'static str, changes: &mut Vec<Change>) {
        match &table {
            Some(name) => {
                if let Some(definition) = self.tables.get_mut(name) {
                    Arc::make_mut(definition).certain = false;
                }
            }
            None => {
                for definition in self.tables.values_mut() {
                    Arc::make_mut(definition).certain = false;
                }
            }
        }
        changes.push(Change::Doubt { table, reason });
    }
}

/// What CREATE TABLE lists.
struct Body<'e> {
    columns: &'e [ColumnSpec],
    keys: &'e [KeySpec],
    periods: &'e [Period],
    options: &'e TableOptions,
}

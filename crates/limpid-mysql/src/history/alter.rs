//! Carries out ALTER TABLE on one table's definition.
//!
//! Owns: the order in which clauses take effect. Does not own: names of tables (`apply`), keys' names and order
//! (`keys`).
//!
//! Invariant: as `mysql_prepare_alter_table` does it: the old columns are walked once, dropped, changed or kept;
//! then changed columns with a new place and added columns are put in, in the order of the text; keys follow the
//! columns they name. So `CHANGE a b, CHANGE b a` is a swap, and AFTER means the new names.

use std::collections::HashMap;

use super::keys::{self, Occasion, PRIMARY};
use super::{Charsets, ColumnDefinition, KeyPart, SystemVersioning, TableDefinition, TextCharset};
use crate::ddl::{Alteration, CharsetClause, ColumnSpec, Flavor, KeyKind, KeyPartSpec, KeySpec, Period, Position, VersioningRole};

const UNKNOWN_COLUMN: &str = "ALTER TABLE names a column that the history does not know";
const UNKNOWN_KEY: &str = "ALTER TABLE names a key that the history does not know";

/// What a table's definition depends on beside itself.
pub(super) struct Surroundings<'h> {
    pub(super) flavor: Flavor,
    pub(super) charsets: &'h Charsets,
    pub(super) database: TextCharset,
}

/// Returns the new definition, and a reason to doubt it.
pub(super) fn apply<'h>(
    old: &'h TableDefinition,
    alterations: &[Alteration],
    around: &'h Surroundings<'h>,
) -> (TableDefinition, Option<&'static str>) {
    let mut work = Work { before: old, table: old.clone(), around, added_keys: Vec::new(), moves: HashMap::new(), problem: None };
    work.options(alterations);
    work.columns(alterations);
    work.keys(alterations);
    work.versioning(alterations);
    (work.table, work.problem)
}

/// A column's definition as the server settles it.
pub(super) fn column(spec: &ColumnSpec, charsets: &Charsets, table: &TextCharset) -> ColumnDefinition {
    let (native, charset) = charsets.settle(&spec.declared, table);
    ColumnDefinition {
        name: spec.name.clone(),
        native,
        charset,
        nullable: spec.nullable,
        generated: spec.generated,
        invisible: spec.invisible,
        auto_increment: spec.auto_increment,
        versioning: spec.versioning.filter(|role| *role != VersioningRole::Versioned),
        hidden_for: None,
    }
}

/// A period's columns are NOT NULL; only an application's is kept.
pub(super) fn add_period(table: &mut TableDefinition, period: &Period) {
    for name in &period.columns {
        if let Some(column) = table.column(name).and_then(|index| table.columns.get_mut(index)) {
            column.nullable = false;
        }
    }
    if !period.is_system() {
        table.periods.push(period.clone());
    }
}

struct Work<'h> {
    before: &'h TableDefinition,
    table: TableDefinition,
    around: &'h Surroundings<'h>,
    added_keys: Vec<KeySpec>,
    /// Old names, in lower case, to new ones; `None` for dropped columns.
    moves: HashMap<String, Option<String>>,
    problem: Option<&'static str>,
}

impl Work<'_> {
    fn doubt_unless(&mut self, fine: bool, reason: &'static str) {
        if !fine {
            self.problem = Some(reason);
        }
    }

    /// Table options come first: added columns take the new character set.
    fn options(&mut self, alterations: &[Alteration]) {
        for alteration in alterations {
            match alteration {
                Alteration::Options(options) => {
                    if let Some(engine) = &options.engine {
                        self.table.engine.clone_from(engine);
                    }
                    if !options.charset.is_empty() {
                        let above = if options.charset.charset.is_some() { &self.around.database } else { &self.table.charset };
                        self.table.charset = self.around.charsets.resolve(&options.charset, above);
                    }
                    if options.system_versioning {
                        self.add_versioning();
                    }
                }
                Alteration::ConvertCharset(clause) => {
                    self.table.charset = self.around.charsets.resolve(clause, &self.around.database);
                }
                _ => {}
            }
        }
    }

    /// All columns of the new table, those that the statement adds with another character set included.
    fn convert(&mut self, clause: &CharsetClause) {
        let to = self.around.charsets.resolve(clause, &self.around.database);
        for column in &mut self.table.columns {
            if let (true, Some(from)) = (column.native.is_text(), &column.charset) {
                if !from.is_binary() {
                    (column.native, column.charset) = self.around.charsets.convert(column.native.clone(), from, &to);
                }
            }
        }
    }

    fn columns(&mut self, alterations: &[Alteration]) {
        self.walk_old_columns(alterations);
        for (index, alteration) in alterations.iter().enumerate() {
            match alteration {
                Alteration::ChangeColumn { column, position, .. } if *position != Position::Last => {
                    self.move_column(&column.name, position);
                }
                Alteration::AddColumn { column, position, if_not_exists } => {
                    if *if_not_exists && self.table.column(&column.name).is_some() {
                        continue;
                    }
                    let definition = self::column(column, self.around.charsets, &self.table.charset);
                    self.table.columns.push(definition);
                    self.move_column(&column.name, position);
                    self.take_inline_keys(alterations, index, &column.name);
                }
                Alteration::ChangeColumn { column, .. } => self.take_inline_keys(alterations, index, &column.name),
                _ => {}
            }
        }
        for alteration in alterations {
            match alteration {
                Alteration::SetInvisible { name, invisible } => {
                    let found = self.table.column(name).and_then(|index| self.table.columns.get_mut(index));
                    match found {
                        Some(column) => column.invisible = *invisible,
                        None => self.problem = Some(UNKNOWN_COLUMN),
                    }
                }
                Alteration::ConvertCharset(clause) => self.convert(clause),
                Alteration::AddPeriod(period) => add_period(&mut self.table, period),
                Alteration::DropPeriod { name } => {
                    self.table.periods.retain(|period| !period.name.eq_ignore_ascii_case(name));
                }
                _ => {}
            }
        }
    }

    /// Drops, changes and renames, each by the old names.
    fn walk_old_columns(&mut self, alterations: &[Alteration]) {
        let mut matched = vec![false; alterations.len()];
        let mut columns = Vec::with_capacity(self.table.columns.len());
        for old in std::mem::take(&mut self.table.columns) {
            let named = |name: &str| old.hidden_for.is_none() && name.to_lowercase() == old.name.to_lowercase();
            let found = alterations.iter().position(|alteration| match alteration {
                Alteration::DropColumn { name, .. } => named(name),
                Alteration::ChangeColumn { from, .. } | Alteration::RenameColumn { from, .. } => named(from),
                _ => false,
            });
            let Some(index) = found else {
                columns.push(old);
                continue;
            };
            if let Some(matched) = matched.get_mut(index) {
                *matched = true;
            }
            let new = match alterations.get(index) {
                Some(Alteration::ChangeColumn { column, .. }) => {
                    Some(self::column(column, self.around.charsets, &self.table.charset))
                }
                Some(Alteration::RenameColumn { to, .. }) => Some(ColumnDefinition { name: to.clone(), ..old.clone() }),
                _ => None,
            };
            self.moves.insert(old.name.to_lowercase(), new.as_ref().map(|column| column.name.clone()));
            columns.extend(new);
        }
        self.table.columns = columns;
        for (alteration, matched) in alterations.iter().zip(matched) {
            let needed = matches!(
                alteration,
                Alteration::DropColumn { if_exists: false, .. }
                    | Alteration::ChangeColumn { if_exists: false, .. }
                    | Alteration::RenameColumn { if_exists: false, .. }
            );
            self.doubt_unless(matched || !needed, UNKNOWN_COLUMN);
        }
    }

    fn move_column(&mut self, name: &str, position: &Position) {
        let Some(from) = self.table.columns.iter().rposition(|column| {
            column.hidden_for.is_none() && column.name.to_lowercase() == name.to_lowercase()
        }) else {
            // CHANGE IF EXISTS of a column that is not there.
            return;
        };
        let column = self.table.columns.remove(from);
        let to = match position {
            Position::Last => self.table.columns.len(),
            Position::First => 0,
            Position::After(after) => match self.table.column(after) {
                Some(index) => index + 1,
                None => {
                    self.problem = Some(UNKNOWN_COLUMN);
                    self.table.columns.len()
                }
            },
        };
        self.table.columns.insert(to, column);
    }

    /// The keys of a column's own definition stand behind it, without a name and with that column alone.
    fn take_inline_keys(&mut self, alterations: &[Alteration], index: usize, name: &str) {
        for alteration in alterations.iter().skip(index + 1) {
            let Alteration::AddKey(key) = alteration else { return };
            if !is_inline(key, name) {
                return;
            }
            self.added_keys.push(key.clone());
        }
    }

    fn keys(&mut self, alterations: &[Alteration]) {
        for alteration in alterations {
            match alteration {
                Alteration::DropPrimaryKey => self.drop_key(PRIMARY, false),
                Alteration::DropKey { name, if_exists } => self.drop_key(name, *if_exists),
                // It may be a check or a foreign key as well.
                Alteration::DropConstraint { name } => self.drop_key(name, true),
                Alteration::RenameKey { from, to, if_exists } => self.rename_key(from, to, *if_exists),
                _ => {}
            }
        }
        self.follow_columns();
        let mut added = std::mem::take(&mut self.added_keys);
        let mut previous_column: Option<&str> = None;
        for alteration in alterations {
            match alteration {
                Alteration::AddKey(key) if previous_column.is_some_and(|name| is_inline(key, name)) => {}
                Alteration::AddKey(key) => added.push(key.clone()),
                Alteration::AddColumn { column, .. } | Alteration::ChangeColumn { column, .. } => {
                    previous_column = Some(&column.name);
                    continue;
                }
                _ => previous_column = None,
            }
        }
        let rebuild = alterations.iter().any(|alteration| !matches!(alteration, Alteration::RenameTo(_)));
        let occasion = Occasion::Alter { before: self.before, rebuild };
        if let Err(reason) = keys::add(&mut self.table, &added, self.around.flavor, occasion) {
            self.problem = Some(reason);
        }
    }

    fn drop_key(&mut self, name: &str, if_exists: bool) {
        match keys::position(&self.table, name) {
            Some(index) => {
                let key = self.table.keys.remove(index);
                self.table.columns.retain(|column| column.hidden_for.as_deref() != Some(&key.name));
            }
            None => self.doubt_unless(if_exists, UNKNOWN_KEY),
        }
    }

    fn rename_key(&mut self, from: &str, to: &str, if_exists: bool) {
        let Some(key) = keys::position(&self.table, from).and_then(|index| self.table.keys.get_mut(index)) else {
            return self.doubt_unless(if_exists, UNKNOWN_KEY);
        };
        let old = std::mem::replace(&mut key.name, to.to_owned());
        for column in self.table.columns.iter_mut().filter(|column| column.hidden_for.as_deref() == Some(&old)) {
            column.hidden_for = Some(to.to_owned());
        }
    }

    /// Keys lose dropped columns and take new names; a key without columns is gone.
    fn follow_columns(&mut self) {
        for key in &mut self.table.keys {
            for part in &mut key.parts {
                if let KeyPart::Column { name, .. } = part {
                    if let Some(Some(new)) = self.moves.get(&name.to_lowercase()) {
                        name.clone_from(new);
                    } else if let Some(None) = self.moves.get(&name.to_lowercase()) {
                        name.clear();
                    }
                }
            }
            key.parts.retain(|part| !matches!(part, KeyPart::Column { name, .. } if name.is_empty()));
        }
        self.table.keys.retain(|key| !key.parts.is_empty());
    }

    fn versioning(&mut self, alterations: &[Alteration]) {
        for alteration in alterations {
            match alteration {
                Alteration::AddSystemVersioning => self.add_versioning(),
                Alteration::DropSystemVersioning => self.table.versioning = None,
                _ => {}
            }
        }
    }

    fn add_versioning(&mut self) {
        let explicit = self.table.columns.iter().any(|column| column.versioning == Some(VersioningRole::RowStart));
        self.table.versioning = Some(if explicit { SystemVersioning::Explicit } else { SystemVersioning::Implicit });
    }
}

fn is_inline(key: &KeySpec, column: &str) -> bool {
    key.name.is_none()
        && key.kind != KeyKind::Plain
        && matches!(key.parts.as_slice(), [KeyPartSpec::Column { name, prefix: None }] if name == column)
}

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
use crate::ddl::{
    Alteration, CharsetClause, ColumnSpec, Flavor, KeyKind, KeyPartSpec, KeySpec, NativeType, Period, Position,
    VersioningRole,
};

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
    let mut work = Work {
        before: old,
        table: old.clone(),
        around,
        skipped: Vec::new(),
        converted: None,
        origins: HashMap::new(),
        added: Vec::new(),
        problem: None,
    };
    work.options(alterations);
    work.columns(alterations);
    work.keys(alterations);
    work.versioning(alterations);
    (work.table, work.problem)
}

/// A column's definition as the server settles it.
pub(super) fn column(
    spec: &ColumnSpec,
    charsets: &Charsets,
    table: &TextCharset,
    converted: Option<&TextCharset>,
) -> ColumnDefinition {
    let (native, charset) = charsets.settle(&spec.declared, table, converted);
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
    /// Clauses that an IF [NOT] EXISTS makes void.
    skipped: Vec<usize>,
    /// What CONVERT TO names.
    converted: Option<TextCharset>,
    /// New names of changed and renamed columns to their old ones, in lower case.
    origins: HashMap<String, String>,
    /// Names of added columns, in lower case.
    added: Vec<String>,
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
            if let Alteration::Options(options) = alteration {
                if let Some(engine) = &options.engine {
                    self.table.engine.clone_from(engine);
                }
                if !options.charset.is_empty() {
                    let above =
                        if options.charset.charset.is_some() { &self.around.database } else { &self.table.charset };
                    self.table.charset = self.around.charsets.resolve(&options.charset, above);
                }
                if options.system_versioning {
                    self.add_versioning();
                }
            }
        }
        for alteration in alterations {
            if let Alteration::ConvertCharset(clause) = alteration {
                self.convert(clause);
            }
        }
        let options = alterations.iter().filter_map(|alteration| match alteration {
            Alteration::Options(options) => Some(options),
            _ => None,
        });
        // A default that the statement gives wins over CONVERT TO, wherever it stands; but what a changed column gets
        // from the two is beyond us.
        let only_converted = options.into_iter().all(|options| options.charset.is_empty());
        let changes = |alteration: &Alteration| {
            matches!(alteration, Alteration::AddColumn { .. } | Alteration::ChangeColumn { .. })
        };
        match &self.converted {
            Some(to) if only_converted => self.table.charset = to.clone(),
            Some(_) if alterations.iter().any(changes) => {
                self.problem = Some("CONVERT TO, a default character set and a column's definition in one statement");
            }
            _ => {}
        }
    }

    /// The columns there are; those that the statement adds or changes follow without growing.
    fn convert(&mut self, clause: &CharsetClause) {
        let to = self.around.charsets.resolve(clause, &self.around.database);
        for column in &mut self.table.columns {
            if let (true, Some(from)) = (column.native.is_text(), &column.charset)
                && !from.is_binary()
            {
                if !members_survive(&column.native, from, &to) {
                    self.problem = Some("members of an ENUM or SET may become other bytes");
                }
                (column.native, column.charset) = self.around.charsets.convert(column.native.clone(), from, &to);
            }
        }
        self.converted = Some(to);
    }

    fn new_column(&self, spec: &ColumnSpec) -> ColumnDefinition {
        self::column(spec, self.around.charsets, &self.table.charset, self.converted.as_ref())
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
                        self.skipped.push(index);
                        continue;
                    }
                    let definition = self.new_column(column);
                    self.table.columns.push(definition);
                    self.move_column(&column.name, position);
                    self.added.push(column.name.to_lowercase());
                }
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
                Some(Alteration::ChangeColumn { column, .. }) => Some(self.new_column(column)),
                Some(Alteration::RenameColumn { to, .. }) => Some(ColumnDefinition { name: to.clone(), ..old.clone() }),
                _ => None,
            };
            if let Some(new) = &new {
                self.origins.insert(new.name.to_lowercase(), old.name.to_lowercase());
            }
            columns.extend(new);
        }
        self.table.columns = columns;
        for (index, (alteration, matched)) in alterations.iter().zip(matched).enumerate() {
            let needed = matches!(
                alteration,
                Alteration::DropColumn { if_exists: false, .. }
                    | Alteration::ChangeColumn { if_exists: false, .. }
                    | Alteration::RenameColumn { if_exists: false, .. }
            );
            self.doubt_unless(matched || !needed, UNKNOWN_COLUMN);
            if !matched && matches!(alteration, Alteration::ChangeColumn { .. }) {
                self.skipped.push(index);
            }
        }
    }

    fn move_column(&mut self, name: &str, position: &Position) {
        let Some(from) = self
            .table
            .columns
            .iter()
            .rposition(|column| column.hidden_for.is_none() && column.name.to_lowercase() == name.to_lowercase())
        else {
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

    fn keys(&mut self, alterations: &[Alteration]) {
        for alteration in alterations {
            match alteration {
                Alteration::DropPrimaryKey => self.drop_key(PRIMARY, false),
                Alteration::DropKey { name, if_exists } => self.drop_key(name, *if_exists),
                // It may be a check or a foreign key as well.
                Alteration::DropConstraint { name } => self.drop_key(name, true),
                _ => {}
            }
        }
        self.rename_keys(alterations);
        let shrunk = self.follow_columns();
        let added = self.added_keys(alterations);
        let rebuild = alterations.iter().any(|alteration| !matches!(alteration, Alteration::RenameTo(_)));
        let occasion = Occasion::Alter { before: self.before, rebuild, shrunk: &shrunk };
        if let Err(reason) = keys::add(&mut self.table, &added, self.around.flavor, occasion) {
            self.problem = Some(reason);
        }
    }

    /// All keys that are added, but for those in the definitions of columns that are not. They stand behind their
    /// column, without a name and with that column alone.
    fn added_keys(&self, alterations: &[Alteration]) -> Vec<KeySpec> {
        let mut added = Vec::new();
        let mut skipped: Option<&str> = None;
        for (index, alteration) in alterations.iter().enumerate() {
            match alteration {
                Alteration::AddKey(key) if skipped.is_some_and(|name| is_inline(key, name)) => {}
                Alteration::AddKey(key) => added.push(key.clone()),
                Alteration::AddColumn { column, .. } | Alteration::ChangeColumn { column, .. } => {
                    skipped = self.skipped.contains(&index).then_some(&*column.name);
                }
                _ => skipped = None,
            }
        }
        added
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

    /// All by their names before the statement, so that two keys can change names.
    fn rename_keys(&mut self, alterations: &[Alteration]) {
        let mut renamed = Vec::new();
        for alteration in alterations {
            if let Alteration::RenameKey { from, to, if_exists } = alteration {
                match keys::position(&self.table, from) {
                    Some(index) => renamed.push((index, to)),
                    None => self.doubt_unless(*if_exists, UNKNOWN_KEY),
                }
            }
        }
        let mut hidden = Vec::new();
        for (index, to) in renamed {
            let Some(key) = self.table.keys.get_mut(index) else { continue };
            hidden.push((std::mem::replace(&mut key.name, to.clone()), to));
        }
        for owner in self.table.columns.iter_mut().filter_map(|column| column.hidden_for.as_mut()) {
            if let Some((_, to)) = hidden.iter().find(|(old, _)| old == owner) {
                owner.clone_from(to);
            }
        }
    }

    /// Keys lose dropped columns and take new names; a key without columns is gone.
    /// Returns the names of those that lost a column.
    fn follow_columns(&mut self) -> Vec<String> {
        let mut keys = std::mem::take(&mut self.table.keys);
        let mut shrunk = Vec::new();
        for key in &mut keys {
            let identifies = matches!(key.kind, KeyKind::Primary | KeyKind::Unique);
            let parts = key.parts.len();
            key.parts.retain_mut(|part| self.follow(part, identifies));
            if key.parts.len() < parts {
                shrunk.push(key.name.clone());
            }
        }
        keys.retain(|key| !key.parts.is_empty());
        self.table.keys = keys;
        shrunk
    }

    /// Gives a part its column's new name; returns false when there is none. As the server, it takes the first column
    /// that was called so, or is added with that name, even if the old one is dropped or renamed.
    fn follow(&mut self, part: &mut KeyPart, identifies: bool) -> bool {
        let KeyPart::Column { name, prefix } = part else { return true };
        let old_name = name.to_lowercase();
        let is_heir = |column: &&ColumnDefinition| {
            let now = column.name.to_lowercase();
            column.hidden_for.is_none() && *self.origins.get(&now).unwrap_or(&now) == old_name
        };
        let Some(new) = self.table.columns.iter().find(is_heir) else { return false };
        name.clone_from(&new.name);
        let old = self.before.column(&old_name).and_then(|index| self.before.columns.get(index));
        if self.added.contains(&new.name.to_lowercase()) {
            // The part keeps the old column's length, in bytes.
            if identifies && keys::takes_prefix(new) {
                self.problem = Some("a column of a key gives way to another of its name");
            }
        } else if let (Flavor::MySql, None, Some(old)) = (self.around.flavor, &prefix, old) {
            *prefix = keys::members_prefix(old, new);
        }
        true
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

/// Whether the members of an ENUM or SET stay what they are: BINARY takes their bytes, and MySQL 8.0.15 was seen to
/// take the bytes of wide character sets in any case.
fn members_survive(native: &NativeType, from: &TextCharset, to: &TextCharset) -> bool {
    let wide = matches!(from.charset.as_str(), "ucs2" | "utf16" | "utf16le" | "utf32");
    match native {
        NativeType::Enum { members } | NativeType::Set { members } => {
            !wide && (!to.is_binary() || members.iter().all(|member| member.is_ascii()))
        }
        _ => true,
    }
}

fn is_inline(key: &KeySpec, column: &str) -> bool {
    key.name.is_none()
        && key.kind != KeyKind::Plain
        && matches!(key.parts.as_slice(), [KeyPartSpec::Column { name, prefix: None }] if name == column)
}

//! Names, order and nature of keys, as the servers settle them.
//!
//! Owns: the name of a nameless key, which foreign keys get an index, the server's order of keys, whole and partial
//! parts, MariaDB's hashed unique keys. Does not own: which key identifies a row (`TableDefinition::row_key`).
//!
//! Invariant: keys are in the order of `sql/sql_table.cc: sort_keys`, which SHOW CREATE TABLE shows. A key with an
//! expression may stand elsewhere than on the server, where the expression's nullability counts: it never identifies
//! rows, so the order of the others is what matters.

use super::{ColumnDefinition, KeyDefinition, KeyPart, TableDefinition};
use crate::ddl::{Flavor, KeyKind, KeyPartSpec, KeySpec, NativeType};

/// What the servers call the primary key.
pub(super) const PRIMARY: &str = "PRIMARY";

/// The longest key of an engine: InnoDB with its usual row formats, MyISAM.
const INNODB_KEY_BYTES_MAX: u64 = 3072;
const MYISAM_KEY_BYTES_MAX: u64 = 1000;

/// What an order of keys depends on beside the keys.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'o> {
    Create,
    /// The definition before the statement, and whether the server prepares the keys anew, which ENABLE KEYS and a
    /// mere RENAME do not.
    /// `shrunk`: keys that lost a column with it, by name.
    Alter {
        before: &'o TableDefinition,
        rebuild: bool,
        shrunk: &'o [String],
    },
}

/// Adds keys to a table whose columns are settled, and puts all keys in order.
/// Fails with a reason when a key names a column or a period that the table has not.
pub(super) fn add(
    table: &mut TableDefinition,
    specs: &[KeySpec],
    flavor: Flavor,
    occasion: Occasion<'_>,
) -> Result<(), &'static str> {
    let named = name_expression_keys(table, specs);
    let specs = without_redundant_indexes(table, named);
    if let Occasion::Alter { rebuild: true, .. } = occasion {
        prepare_again(table, flavor);
    }
    let mut ranks: Vec<Rank> = Vec::with_capacity(table.keys.len() + specs.len());
    for index in 0..table.keys.len() {
        ranks.extend(rank_next(table, index));
    }
    let sorts = flavor == Flavor::MySql || !specs.is_empty() || candidate_lost(table, occasion);
    let mut outcome = Ok(());
    for spec in specs {
        let exists = spec.name.as_deref().is_some_and(|name| position(table, name).is_some());
        if exists && spec.if_not_exists {
            continue;
        }
        match key(table, &spec, flavor) {
            Ok(key) => {
                table.keys.push(key);
                ranks.extend(rank_next(table, table.keys.len() - 1));
            }
            Err(reason) => outcome = Err(reason),
        }
    }
    if sorts {
        let mut ranked: Vec<(Rank, KeyDefinition)> = ranks.into_iter().zip(std::mem::take(&mut table.keys)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        table.keys = ranked.into_iter().map(|(_, key)| key).collect();
    }
    outcome
}

/// Puts the keys of a table that is made anew in order. MySQL's catalogue does not tell the order: this is the likely
/// one.
pub(crate) fn sort(table: &mut TableDefinition) {
    let mut keys = std::mem::take(&mut table.keys);
    keys.sort_by_key(|key| rank(table, key));
    table.keys = keys;
}

/// MariaDB keeps the order of old keys (MDEV-25803) unless a key comes in, or the first key, if it identifies rows,
/// loses a column or gets a nullable one. DROP PRIMARY KEY is no such loss.
fn candidate_lost(table: &TableDefinition, occasion: Occasion<'_>) -> bool {
    let Occasion::Alter { before, shrunk, .. } = occasion else { return true };
    let Some(first) = before.keys.first().filter(|key| before.identifying(key).is_some()) else { return false };
    let now = position(table, &first.name).and_then(|index| table.keys.get(index));
    let nullable = now.is_some_and(|key| key.parts.iter().any(|part| is_nullable(table, part)));
    nullable || shrunk.contains(&first.name)
}

/// A key that was USING HASH without need is an ordinary one after the server has made it anew.
pub(super) fn prepare_again(table: &mut TableDefinition, flavor: Flavor) {
    let mut keys = std::mem::take(&mut table.keys);
    for key in &mut keys {
        key.parts.iter_mut().for_each(|part| whole(table, part));
        key.hashed = flavor == Flavor::MariaDb && is_hashed(table, key, false);
    }
    table.keys = keys;
}

/// Ranks the key at `index` as the server does when it comes to it: the columns of a primary key are NOT NULL from
/// there on, so that a unique key before it counts as nullable.
fn rank_next(table: &mut TableDefinition, index: usize) -> Option<Rank> {
    let key = table.keys.get(index)?.clone();
    if key.kind == KeyKind::Primary {
        for name in key.parts.iter().filter_map(column_name) {
            if let Some(column) = table.column(&name).and_then(|index| table.columns.get_mut(index)) {
                column.nullable = false;
            }
        }
    }
    Some(rank(table, &key))
}

fn key(table: &mut TableDefinition, spec: &KeySpec, flavor: Flavor) -> Result<KeyDefinition, &'static str> {
    let mut parts = parts(table, spec)?;
    parts.iter_mut().for_each(|part| whole(table, part));
    let name = name(table, spec, &parts);
    let generated = spec.kind == KeyKind::Foreign;
    let kind = if generated { KeyKind::Plain } else { spec.kind };
    let mut key = KeyDefinition { name, kind, parts, hashed: false, generated };
    match flavor {
        Flavor::MariaDb => key.hashed = is_hashed(table, &key, spec.using_hash),
        Flavor::MySql => add_hidden_columns(table, &key),
    }
    Ok(key)
}

/// The place of the key called `name`.
pub(super) fn position(table: &TableDefinition, name: &str) -> Option<usize> {
    table
        .keys
        .iter()
        .position(|key| key.name.eq_ignore_ascii_case(name) || key.name.to_lowercase() == name.to_lowercase())
}

fn column_name(part: &KeyPart) -> Option<String> {
    match part {
        KeyPart::Column { name, .. } => Some(name.clone()),
        KeyPart::Expression => None,
    }
}

/// A prefix as long as the column is none.
fn whole(table: &TableDefinition, part: &mut KeyPart) {
    let KeyPart::Column { name, prefix } = part else { return };
    let column = table.column(name).and_then(|index| table.columns.get(index));
    let length = column.and_then(|column| match &column.native {
        NativeType::Char { length } | NativeType::Varchar { length, .. } => Some(*length),
        NativeType::Binary { length } | NativeType::Varbinary { length, .. } => Some(*length),
        NativeType::Text { .. } | NativeType::Blob { .. } | NativeType::Geometry { .. } => None,
        _ => Some(0),
    });
    if length.is_some_and(|length| prefix.is_some_and(|prefix| prefix >= length)) {
        *prefix = None;
    }
}

/// Smaller comes first.
type Rank = [bool; 6];

/// `sort_keys`: unique before others, hashed last among them; without nullable columns first; the primary key; whole
/// before partial; FULLTEXT last; else as they were.
fn rank(table: &TableDefinition, key: &KeyDefinition) -> Rank {
    let unique = matches!(key.kind, KeyKind::Primary | KeyKind::Unique);
    if !unique {
        return [true, false, false, false, false, key.kind == KeyKind::Fulltext];
    }
    if key.hashed {
        return [false, true, false, false, false, false];
    }
    let partial = |part: &KeyPart| matches!(part, KeyPart::Column { prefix: Some(_), .. });
    [
        false,
        false,
        key.parts.iter().any(|part| is_nullable(table, part)),
        key.kind != KeyKind::Primary,
        key.parts.iter().any(partial),
        false,
    ]
}

fn is_nullable(table: &TableDefinition, part: &KeyPart) -> bool {
    let KeyPart::Column { name, .. } = part else { return true };
    table.column(name).and_then(|index| table.columns.get(index)).is_some_and(|column| column.nullable)
}

/// MySQL names a key with an expression before all others: `functional_index`, `functional_index_2`, ...
fn name_expression_keys(table: &TableDefinition, specs: &[KeySpec]) -> Vec<KeySpec> {
    let mut specs = specs.to_vec();
    for index in 0..specs.len() {
        let Some(spec) = specs.get(index) else { break };
        if spec.name.is_some() || spec.kind == KeyKind::Primary || !spec.parts.contains(&KeyPartSpec::Expression) {
            continue;
        }
        let taken = |name: &str| {
            position(table, name).is_some()
                || specs.iter().any(|spec| spec.name.as_deref().is_some_and(|other| other.eq_ignore_ascii_case(name)))
        };
        let name = numbered("functional_index", taken);
        if let Some(spec) = specs.get_mut(index) {
            spec.name = Some(name);
        }
    }
    specs
}

/// `base`, or the first of `base_2`, `base_3`, ... that is free. A table has fewer than 100 keys.
fn numbered(base: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(base) && !base.eq_ignore_ascii_case(PRIMARY) {
        return base.to_owned();
    }
    (2..100).map(|number| format!("{base}_{number}")).find(|name| !taken(name)).unwrap_or_else(|| base.to_owned())
}

fn name(table: &TableDefinition, spec: &KeySpec, parts: &[KeyPart]) -> String {
    if spec.kind == KeyKind::Primary {
        return PRIMARY.to_owned();
    }
    if let Some(name) = &spec.name {
        return name.clone();
    }
    let first = parts.first().and_then(column_name).unwrap_or_default();
    numbered(&first, |name| position(table, name).is_some())
}

/// An index that a foreign key would make gives way to any other that begins with its columns, and an index made
/// for an older one gives way to a new key (`foreign_key_prefix` in `sql/sql_class.cc`).
fn without_redundant_indexes(table: &mut TableDefinition, specs: Vec<KeySpec>) -> Vec<KeySpec> {
    let begins_with = |long: &[String], short: &[String]| {
        short.len() <= long.len() && short.iter().zip(long).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let spec_columns: Vec<Vec<String>> =
        specs.iter().map(|spec| spec.parts.iter().map(spec_column).collect()).collect();
    let serves = |kind: KeyKind| !matches!(kind, KeyKind::Fulltext | KeyKind::Spatial);
    table.keys.retain(|key| {
        let columns = whole_columns(key);
        let covered = specs
            .iter()
            .zip(&spec_columns)
            .any(|(spec, long)| spec.kind != KeyKind::Foreign && serves(spec.kind) && begins_with(long, &columns));
        !(key.generated && covered)
    });
    let existing: Vec<Vec<String>> = table.keys.iter().filter(|key| serves(key.kind)).map(whole_columns).collect();
    let keep = |index: usize, spec: &KeySpec| {
        let Some(short) = spec_columns.get(index) else { return true };
        let other_serves = |(other, long): (usize, &Vec<String>)| {
            let Some(kind) = specs.get(other).map(|spec| spec.kind) else { return false };
            let first_of_equals = kind == KeyKind::Foreign && long.len() == short.len() && other > index;
            other != index && serves(kind) && begins_with(long, short) && !first_of_equals
        };
        spec.kind != KeyKind::Foreign
            || !(existing.iter().any(|long| begins_with(long, short))
                || spec_columns.iter().enumerate().any(other_serves))
    };
    specs.iter().enumerate().filter(|(index, spec)| keep(*index, spec)).map(|(_, spec)| spec.clone()).collect()
}

/// A column that serves a foreign key only when whole; a name that no column has stands for the rest.
fn spec_column(part: &KeyPartSpec) -> String {
    match part {
        KeyPartSpec::Column { name, prefix: None } => name.clone(),
        _ => "\0".to_owned(),
    }
}

fn whole_columns(key: &KeyDefinition) -> Vec<String> {
    let column = |part: &KeyPart| match part {
        KeyPart::Column { name, prefix: None } => name.clone(),
        _ => "\0".to_owned(),
    };
    key.parts.iter().map(column).collect()
}

fn parts(table: &TableDefinition, spec: &KeySpec) -> Result<Vec<KeyPart>, &'static str> {
    let mut parts = Vec::with_capacity(spec.parts.len());
    for part in &spec.parts {
        match part {
            KeyPartSpec::Expression => parts.push(KeyPart::Expression),
            KeyPartSpec::Column { name, prefix } => {
                let column = table.column(name).and_then(|index| table.columns.get(index));
                let name = column.ok_or("a key names a column that the table has not")?.name.clone();
                let prefix = prefix.map(|prefix| u32::try_from(prefix).unwrap_or(u32::MAX));
                parts.push(KeyPart::Column { name, prefix });
            }
            KeyPartSpec::Period(name) => {
                let period = table.periods.iter().find(|period| period.name.eq_ignore_ascii_case(name));
                let [start, end] = &period.ok_or("a key names a period that is not known")?.columns;
                // The server puts the end first: that is what lookups compare.
                parts.extend([end, start].map(|name| KeyPart::Column { name: name.clone(), prefix: None }));
            }
        }
    }
    if parts.is_empty() { Err("a key without columns") } else { Ok(parts) }
}

/// MariaDB: a unique key that its engine cannot index whole, or that asks for HASH where the engine has none.
fn is_hashed(table: &TableDefinition, key: &KeyDefinition, using_hash: bool) -> bool {
    let key_bytes_max = match table.engine.as_str() {
        // MEMORY has real hash indexes, and Aria refuses long keys.
        "memory" | "heap" | "aria" => return false,
        "myisam" | "mrg_myisam" => MYISAM_KEY_BYTES_MAX,
        _ => INNODB_KEY_BYTES_MAX,
    };
    if key.kind != KeyKind::Unique {
        return false;
    }
    let bytes = |part: &KeyPart| match part {
        KeyPart::Column { name, prefix } => {
            let column = table.column(name).and_then(|index| table.columns.get(index));
            column.map_or(0, |column| part_bytes(column, *prefix))
        }
        KeyPart::Expression => 0,
    };
    using_hash || key.parts.iter().map(bytes).fold(0, u64::saturating_add) > key_bytes_max
}

/// Whether a key can hold the beginning of a column alone.
pub(super) fn takes_prefix(column: &ColumnDefinition) -> bool {
    matches!(
        column.native,
        NativeType::Char { .. }
            | NativeType::Varchar { .. }
            | NativeType::Text { .. }
            | NativeType::Binary { .. }
            | NativeType::Varbinary { .. }
            | NativeType::Blob { .. }
    )
}

/// MySQL: the key of an ENUM or SET in a character set of one byte keeps its length in bytes when the column becomes a
/// string: a prefix from then on.
pub(super) fn members_prefix(old: &ColumnDefinition, new: &ColumnDefinition) -> Option<u32> {
    let bytes = match &old.native {
        NativeType::Enum { members } => 1 + usize::from(members.len() > 255),
        NativeType::Set { members } => match members.len().div_ceil(8) {
            bytes @ 0..=4 => bytes,
            _ => 8,
        },
        _ => return None,
    };
    (takes_prefix(new) && bytes_per_character(old) == 1).then_some(bytes as u32)
}

fn bytes_per_character(column: &ColumnDefinition) -> u64 {
    match column.charset.as_ref().map(|charset| charset.charset.as_str()) {
        Some("utf8mb4" | "utf32" | "utf16" | "utf16le" | "gb18030") => 4,
        Some("utf8mb3" | "ujis" | "eucjpms") => 3,
        Some("ucs2" | "big5" | "sjis" | "euckr" | "gb2312" | "gbk" | "cp932") => 2,
        _ => 1,
    }
}

/// Bytes of a column's key part; endless for a BLOB as a whole.
fn part_bytes(column: &ColumnDefinition, prefix: Option<u32>) -> u64 {
    let length = match &column.native {
        NativeType::Char { length } | NativeType::Varchar { length, .. } => *length,
        NativeType::Binary { length } | NativeType::Varbinary { length, .. } => *length,
        NativeType::Text { .. } | NativeType::Blob { .. } | NativeType::Geometry { .. } => {
            let Some(prefix) = prefix else { return u64::MAX };
            prefix
        }
        _ => return 8,
    };
    u64::from(prefix.unwrap_or(length).min(length)) * bytes_per_character(column)
}

/// MySQL appends one hidden column per expression, in the order of the statement, behind all columns there are.
fn add_hidden_columns(table: &mut TableDefinition, key: &KeyDefinition) {
    let expressions = key.parts.iter().filter(|part| **part == KeyPart::Expression).count();
    table.columns.extend(std::iter::repeat_n(hidden_column(key.name.clone()), expressions));
}

/// A hidden column; its type is the expression's, which nothing reads.
pub(crate) fn hidden_column(key: String) -> ColumnDefinition {
    ColumnDefinition {
        name: String::new(),
        native: NativeType::Unknown { name: String::new() },
        charset: None,
        nullable: true,
        generated: Some(crate::ddl::Generated::Virtual),
        invisible: true,
        auto_increment: false,
        versioning: None,
        hidden_for: Some(key),
    }
}

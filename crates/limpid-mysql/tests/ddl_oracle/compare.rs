//! Compares our history of a database with the server's catalogue.
//!
//! Owns: what of a definition the catalogue can know. Does not own: how either came about.
//!
//! Invariant: every difference that could change a row's decoding or key is reported.

use std::collections::{BTreeMap, BTreeSet};

use limpid_mysql::ddl::{Flavor, KeyKind};
use limpid_mysql::history::{History, KeyDefinition, KeyPart, TableDefinition};

pub(crate) fn schemas(flavor: Flavor, ours: &History, real: &History, schema: &str) -> Option<String> {
    let of_schema = |history: &History| -> BTreeMap<String, TableDefinition> {
        let tables = history.tables().filter(|(name, _)| &*name.schema == schema);
        tables.map(|(name, table)| (name.table.to_string(), TableDefinition::clone(table))).collect()
    };
    let mut differences = Vec::new();
    let (ours_default, real_default) = (default_of(ours, schema), default_of(real, schema));
    if ours_default != real_default {
        differences.push(format!("  database {schema}: {ours_default:?}, really {real_default:?}"));
    }
    let (mut ours, mut real) = (of_schema(ours), of_schema(real));
    for name in ours.keys().chain(real.keys()).cloned().collect::<BTreeSet<_>>() {
        match (ours.remove(&name), real.remove(&name)) {
            (Some(ours), Some(real)) => differences.extend(tables(flavor, &name, ours, real)),
            (Some(_), None) => differences.push(format!("  {name}: there is no such table")),
            (None, _) => differences.push(format!("  {name}: not in the history")),
        }
    }
    (!differences.is_empty()).then(|| differences.join("\n"))
}

fn default_of(history: &History, schema: &str) -> Option<String> {
    history.databases().find(|(name, _)| *name == schema).map(|(_, charset)| format!("{charset:?}"))
}

fn tables(flavor: Flavor, name: &str, mut ours: TableDefinition, mut real: TableDefinition) -> Option<String> {
    if ours.is_sequence && real.is_sequence {
        return None;
    }
    if ours.engine.is_empty() {
        ours.engine.clone_from(&real.engine);
    }
    let (our_names, real_names) = (key_names(&ours), key_names(&real));
    let (our_key, real_key) = (ours.row_key(), real.row_key());
    comparable(&mut ours, flavor);
    comparable(&mut real, flavor);
    let mut differences = Vec::new();
    if our_key != real_key {
        differences.push(format!("  {name} row key {our_key:?}, really {real_key:?}"));
    }
    if our_names != real_names {
        differences.push(format!("  {name} keys {our_names:?}, really {real_names:?}"));
    }
    lists(&mut differences, &format!("{name} column"), &ours.columns, &real.columns);
    lists(&mut differences, &format!("{name} key"), &ours.keys, &real.keys);
    for table in [&mut ours, &mut real] {
        table.columns.clear();
        table.keys.clear();
    }
    if ours != real {
        differences.push(format!("  {name}:\n    ours   {ours:?}\n    really {real:?}"));
    }
    (!differences.is_empty()).then(|| differences.join("\n"))
}

fn lists<T: PartialEq + std::fmt::Debug>(differences: &mut Vec<String>, what: &str, ours: &[T], real: &[T]) {
    for index in 0..ours.len().max(real.len()) {
        let (ours, real) = (ours.get(index), real.get(index));
        if ours != real {
            differences.push(format!("  {what} {index}:\n    ours   {ours:?}\n    really {real:?}"));
        }
    }
}

fn key_names(table: &TableDefinition) -> BTreeSet<String> {
    table.keys.iter().map(|key| key.name.clone()).collect()
}

/// Takes away what the catalogue cannot know.
fn comparable(table: &mut TableDefinition, flavor: Flavor) {
    table.version = 0;
    table.periods.clear();
    for column in &mut table.columns {
        if column.hidden_for.is_some() {
            column.hidden_for = Some(String::new());
        }
    }
    table.keys.iter_mut().for_each(|key| key.generated = false);
    // The server cuts a part of an ordinary index that is too long for the engine; of no use to anyone here.
    // So is whether an index on a geometry is a SPATIAL one.
    for key in table.keys.iter_mut().filter(|key| key.kind == KeyKind::Spatial) {
        key.kind = KeyKind::Plain;
    }
    let ordinary = table.keys.iter_mut().filter(|key| key.kind == KeyKind::Plain);
    for part in ordinary.flat_map(|key| &mut key.parts) {
        if let KeyPart::Column { prefix, .. } = part {
            *prefix = None;
        }
    }
    // The place of a key with an expression depends on whether the expression can be NULL.
    let plain = |key: &KeyDefinition| !key.parts.contains(&KeyPart::Expression);
    table.keys.retain(plain);
    if flavor == Flavor::MySql {
        // Only the order of keys that could identify rows is asked for, and the row key shows it.
        table.keys.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

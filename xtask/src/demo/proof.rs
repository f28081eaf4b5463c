//! That the topics are the tables.
//!
//! Owns: folding what a plain consumer sees, and comparing. Does not own: any code of the product: keys and values are
//! read as any consumer of Debezium's JSON would.
//!
//! Invariant: equal means every row of the table and no other, in every column compared.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use limpid_stack::kafka::Isolation;
use limpid_stack::{kafka, mariadb};
use serde_json::Value;

use super::shop::TABLES;

/// Rows by key, each as the texts of its columns.
type Rows = BTreeMap<u64, Vec<String>>;

/// Compares all tables; returns how many rows they hold.
pub(super) fn compare(server: &mariadb::Server, broker: &kafka::Server) -> anyhow::Result<usize> {
    let mut sum = 0;
    for (table, columns) in TABLES {
        let (there, records) = folded(broker, table, columns)?;
        let here = selected(server, table, columns)?;
        ensure!(!here.is_empty(), "shop.{table} is empty: nothing was proved");
        let different = here.iter().filter(|(id, row)| there.get(id) != Some(row)).map(|(id, _)| *id);
        let surplus = there.keys().filter(|id| !here.contains_key(id)).copied();
        let wrong: Vec<u64> = different.chain(surplus).take(5).collect();
        ensure!(wrong.is_empty(), "shop.{table} and its topic differ, for example in the rows {wrong:?}");
        println!("  shop.{table:<9} {:>7} rows = demo.shop.{table:<9} {records:>7} records", here.len());
        sum += here.len();
    }
    Ok(sum)
}

fn folded(broker: &kafka::Server, table: &str, columns: &[(&str, &str)]) -> anyhow::Result<(Rows, usize)> {
    let records = broker.consume(&format!("demo.shop.{table}"), Isolation::ReadCommitted)?;
    let mut rows = Rows::new();
    for record in &records {
        let key: Value = serde_json::from_slice(record.key.as_deref().context("every record has a key")?)?;
        let id = key["id"].as_u64().context("the key is the primary key")?;
        let Some(value) = &record.value else {
            rows.remove(&id);
            continue;
        };
        let envelope: Value = serde_json::from_slice(value)?;
        match &envelope["after"] {
            Value::Object(after) => {
                let text = |(name, _): &(&str, &str)| match after.get(*name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => "absent".to_owned(),
                };
                rows.insert(id, columns.iter().map(text).collect());
            }
            _ => {
                rows.remove(&id);
            }
        }
    }
    Ok((rows, records.len()))
}

fn selected(server: &mariadb::Server, table: &str, columns: &[(&str, &str)]) -> anyhow::Result<Rows> {
    let list = columns.iter().map(|(_, sql)| *sql).collect::<Vec<_>>().join(", ");
    let text = server.sql(&format!("select {list} from shop.{table}"))?;
    text.lines()
        .map(|line| {
            let row: Vec<String> = line.split('\t').map(str::to_owned).collect();
            Ok((row.first().context("a row has columns")?.parse()?, row))
        })
        .collect()
}

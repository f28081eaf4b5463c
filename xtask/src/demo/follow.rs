//! One order on its way.
//!
//! Owns: the question and its proof. Does not own: the process that answers.
//!
//! Invariant: where the answer says that the record is, Kafka's own consumer finds that order's record.

use anyhow::{Context, ensure};
use limpid_stack::kafka::{self, Isolation};
use limpid_stack::mariadb;
use serde_json::Value;

use super::Limpid;

/// Beyond the shop's own, past and present.
const ORDER: u64 = 2_000_000_000;

/// Buys once more, follows the order by its key, and looks for it where it is said to be.
pub(super) fn one_order(limpid: &mut Limpid, server: &mariadb::Server, broker: &kafka::Server) -> anyhow::Result<()> {
    println!("\nOne more order, and where it went:");
    server.sql(&format!("insert into shop.orders values ({ORDER}, 'you', 'new', 9.99, now(6))"))?;
    limpid.wait_until_caught_up()?;
    let key = ORDER.to_string();
    println!("$ limpid trace demo --table shop.orders --key {key}");
    print!("{}", limpid.trace(&["--table", "shop.orders", "--key", &key])?);
    let answer = limpid.trace(&["--table", "shop.orders", "--key", &key, "--format", "json"])?;
    let answer: Value = serde_json::from_str(&answer).context("read the answer")?;
    let target = &answer["changes"][0]["target"];
    let (partition, offset) = (target["partition"].as_i64(), target["offset"].as_i64());
    let records = broker.consume("demo.shop.orders", Isolation::ReadCommitted)?;
    let there = records.iter().find(|r| Some(i64::from(r.partition)) == partition && Some(r.offset) == offset);
    let found: Value = serde_json::from_slice(there.and_then(|r| r.key.as_deref()).context("a record is there")?)?;
    ensure!(found["id"] == ORDER, "another record is there: {found}");
    println!("  Kafka's own consumer has it there.");
    Ok(())
}

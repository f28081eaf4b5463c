//! How rules come out for tables, and when they do not fit.
//!
//! Owns: the cases, and tables for others. Does not own: rows.

use limpid_model::key_seed;

use super::*;
use crate::config::tests::rules_of;

pub(crate) fn table(name: &str, columns: &[(&str, LogicalType)], key: &[u16]) -> Arc<TableSchema> {
    let name = TableName::new("shop", name);
    let column = |(name, logical): &(&str, LogicalType)| Column {
        name: (*name).into(),
        logical: logical.clone(),
        nullable: true,
        tinyint1: false,
    };
    let (key_seed, columns) = (key_seed(&name), columns.iter().map(column).collect());
    Arc::new(TableSchema { name, version: 1, columns, key: key.into(), key_seed })
}

pub(crate) fn users() -> Arc<TableSchema> {
    let int = LogicalType::Int { bits: 32, signed: true };
    table(
        "users",
        &[("id", int), ("email", LogicalType::Text), ("Note", LogicalType::Text), ("at", LogicalType::Date)],
        &[0],
    )
}

fn compiled(rules: &str, schema: &Arc<TableSchema>) -> Compiled {
    Compiled::new(&rules_of(rules).unwrap(), schema)
}

/// The columns shown, as `cell:name`, and where they go; or the fault's code and sentence.
fn check(rules: &str, expected: Result<(&[&str], &str), (FaultCode, &str)>) {
    let compiled = compiled(rules, &users());
    let shown = match (&compiled.shown, &compiled.fault) {
        (Shown::AsIs, None) => Ok((Vec::new(), String::new())),
        (Shown::As(table), None) => Ok((
            table.columns.iter().map(|shown| format!("{}:{}", shown.cell, shown.column.name)).collect(),
            format!("{} {}", table.target.name, table.target.topic.as_deref().unwrap_or("-")),
        )),
        (Shown::Withheld, Some(unfit)) => {
            let fault = unfit.fault(&users().name);
            assert_eq!((fault.object(), fault.component()), (Some("shop.users"), Component::Filter));
            Err((fault.code(), fault.to_string()))
        }
        other => panic!("{other:?}"),
    };
    let expected =
        expected.map(|(columns, to)| (columns.iter().map(|text| (*text).to_owned()).collect(), to.to_owned()));
    assert_eq!(shown, expected.map_err(|(code, text)| (code, text.to_owned())), "{rules}");
}

const KEY: &str = "with: hash, key: \"${env:KEY}\"";

#[test]
fn rules_change_how_a_table_is_shown() {
    check("- { type: drop-columns, match: { table: shop.other }, columns: x }", Ok((&[], "")));
    check("- { type: reject, match: { op: delete } }", Ok((&[], "")));
    check(
        "- { type: drop-columns, match: { table: shop.* }, columns: [EMAIL, note] }",
        Ok((&["0:id", "3:at"], "shop.users -")),
    );
    check(
        "- { type: rename-columns, match: { table: shop.users }, columns: { email: at, at: email } }",
        Ok((&["0:id", "1:at", "2:Note", "3:email"], "shop.users -")),
    );
    check(
        "- { type: rename, match: { table: shop.users }, to: \"crm.{table}\" }\n- { type: route, match: { table: \"*\" }, topic: \
         \"t.{table}\" }",
        Ok((&["0:id", "1:email", "2:Note", "3:at"], "crm.users t.{table}")),
    );
    check(
        "- { type: drop-columns, match: { table: shop.users }, columns: [ssn, note], missing: ignore }",
        Ok((&["0:id", "1:email", "3:at"], "shop.users -")),
    );
    check(
        "- { type: drop-columns, match: { table: shop.users }, columns: id }",
        Ok((&["1:email", "2:Note", "3:at"], "shop.users -")),
    );
}

#[test]
fn a_rule_that_does_not_fit_withholds_the_table_and_says_why() {
    check(
        "- { type: mask, match: { table: shop.* }, columns: [mail], with: redact }",
        Err((
            FaultCode::TransformColumnMissing,
            "the rule mask-1 names the column mail, which the table does not have",
        )),
    );
    check(
        &format!("- {{ type: mask, match: {{ table: shop.* }}, columns: [at], {KEY} }}"),
        Err((
            FaultCode::TransformUnfit,
            "the rule mask-1 cannot mask the column at by hash: its type has no such form",
        )),
    );
    check(
        "- { type: mask, match: { table: shop.* }, columns: [id], with: redact }",
        Err((
            FaultCode::TransformKeyColumn,
            "the rule mask-1 would mask the key column id by redact, and rows of different keys could look the same",
        )),
    );
    check(
        "- { type: rename-columns, match: { table: shop.* }, columns: { email: id } }",
        Err((FaultCode::TransformUnfit, "two columns would be called id")),
    );
    check(
        "- { type: drop-columns, match: { table: [shop.*, \"!x\"] }, columns: [email] }\n- { type: mask, name: m, match: { \
         table: shop.users }, columns: [email], with: redact }",
        Err((FaultCode::TransformUnfit, "the rules drop-columns-1 and m drop the column email and keep it otherwise")),
    );
    check(
        "- { type: mask, match: { table: [shop.*, \"!x\"] }, columns: [email], with: redact }\n- { type: mask, match: { table: \
         shop.users }, columns: [Email], with: redact }",
        Err((FaultCode::TransformUnfit, "the rules mask-1 and mask-2 both mask the column email")),
    );
    check(
        "- { type: drop-columns, match: { table: shop.* }, columns: [id, email, note, at] }",
        Err((FaultCode::TransformUnfit, "every column would be dropped")),
    );
}

#[test]
fn a_table_that_nothing_passes_of_needs_to_fit_no_rule() {
    let rules = "- { type: reject, match: { table: shop.users } }\n- { type: mask, match: { table: shop.* }, columns: [mail], \
                 with: redact }";
    let compiled = compiled(rules, &users());
    assert_eq!((compiled.rejects, compiled.shown), ([Some(0); Op::COUNT], Shown::Withheld));
    assert_eq!(compiled.fault, None);
}

#[test]
fn the_first_rule_that_rejects_an_operation_is_the_one_named() {
    let rules = rules_of(
        "- { type: reject, match: { table: shop.users, op: delete } }
- { type: accept, match: { table: [\"shop.*\"], op: [insert, update, read] } }
- { type: reject, match: { op: [read, delete] } }",
    )
    .unwrap();
    let of = |schema: &Arc<TableSchema>| Compiled::new(&rules, schema).rejects;
    let (insert, update) = (None, None);
    assert_eq!(of(&users()), [insert, update, Some(0), Some(1), Some(2)]);
    assert_eq!(of(&table("orders", &[], &[])), [insert, update, Some(1), Some(1), Some(2)]);
}

#[test]
fn a_hash_of_a_key_column_keeps_the_key_and_a_blurred_column_says_so() {
    let rules = format!(
        "- {{ type: mask, match: {{ table: shop.* }}, columns: [id], {KEY} }}\n- {{ type: mask, match: {{ table: shop.* }}, \
         columns: [email], with: partial, first: 1 }}"
    );
    let Shown::As(shown) = compiled(&rules, &users()).shown else { panic!("it is masked") };
    let told: Vec<_> = shown.columns.iter().map(|shown| (shown.is_blurred, &shown.column.logical)).collect();
    let text = &LogicalType::Text;
    assert_eq!(told, [(false, text), (true, text), (false, text), (false, &LogicalType::Date)]);
}

//! Where rows are, as the API tells it.

use serde_json::Value;

use crate::pipelines::{Fate, desk};
use crate::wire::get;

#[test]
fn a_row_is_found_by_key_by_position_and_by_trace() {
    let desk = desk(&[("shop", Fate::Runs)]);
    let ask = |query: &str| get(desk.address(), &format!("/api/v1/pipelines/shop/trace?{query}"));
    let by_key = ask("table=s.orders&key=3").json();
    let change = &by_key["changes"][0];
    assert_eq!(by_key["changes"].as_array().unwrap().len(), 1);
    assert_eq!((&change["outcome"], &change["ordinal"]), (&Value::from("delivered"), &Value::from(3)));
    let target = &change["target"];
    assert_eq!((&target["topic"], &target["partition"]), (&Value::from("t"), &Value::from(0)));
    assert_eq!(target["offset"], Value::from(3), "seven records for seven rows");
    assert_eq!(change["position"], "gtid:0-1-7");
    for same in ["table=orders&key=3", "table=s.orders&key=id%3D3", "table=s.orders&key=%7B%22id%22%3A3%7D"] {
        assert_eq!(ask(same).json()["changes"], by_key["changes"], "{same}");
    }
    let trace = change["trace_id"].as_str().unwrap();
    for query in ["position=0-1-7".to_owned(), format!("trace_id={trace}")] {
        let whole = ask(&query).json();
        let changes = whole["changes"].as_array().unwrap();
        assert_eq!((changes.len(), &changes[3]), (7, change), "{query}");
    }
    desk.end();
}

#[test]
fn what_is_not_remembered_is_derived_or_evicted() {
    let desk = desk(&[("shop", Fate::Runs)]);
    let ask = |query: &str| get(desk.address(), &format!("/api/v1/pipelines/shop/trace?{query}")).json();
    for (query, outcome, known) in [
        ("table=s.orders&key=99", "evicted", "derived"),
        ("trace_id=00000000000000000000000000000001", "evicted", "derived"),
        // The position is at 0-1-7.
        ("position=0-1-6", "delivered", "derived"),
        ("position=0-1-8", "waiting", "derived"),
    ] {
        let document = ask(query);
        let change = &document["changes"][0];
        assert_eq!((&change["outcome"], &change["known"]), (&Value::from(outcome), &Value::from(known)), "{query}");
        assert_eq!(change["trace_id"].is_string(), query.starts_with("position"), "{query}");
    }
    desk.end();
}

#[test]
fn a_position_that_is_passed_tells_nothing_of_a_row_where_a_table_is_halted() {
    let desk = desk(&[("shop", Fate::HaltsTable)]);
    let document = get(desk.address(), "/api/v1/pipelines/shop/trace?position=0-1-6").json();
    let change = &document["changes"][0];
    assert_eq!((&change["outcome"], &change["stages"][0]["name"]), (&Value::from("evicted"), &Value::from("saved")));
    assert!(change["note"].is_string());
    desk.end();
}

#[test]
fn a_wrong_question_has_a_code_and_repeats_no_key() {
    let desk = desk(&[("shop", Fate::Runs)]);
    for (query, status, code) in [
        ("", 400, "HTTP_BAD_REQUEST"),
        ("table=s.orders", 400, "HTTP_BAD_REQUEST"),
        ("table=s.orders&key=1&position=0-1-7", 400, "HTTP_BAD_REQUEST"),
        ("table=s.nothing&key=1", 404, "HTTP_NOT_FOUND"),
        ("table=s.orders&key=secretive", 400, "HTTP_BAD_REQUEST"),
        ("table=s.orders&key=%7B%22nosuch%22%3A%22secretive%22%7D", 400, "HTTP_BAD_REQUEST"),
        ("table=s.orders&key=%7B%22id%22%3A%5B%5D%7D", 400, "HTTP_BAD_REQUEST"),
        ("position=nonsense", 400, "HTTP_BAD_REQUEST"),
        ("trace_id=12", 400, "HTTP_BAD_REQUEST"),
    ] {
        let reply = get(desk.address(), &format!("/api/v1/pipelines/shop/trace?{query}"));
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &Value::from(code)), "{query}");
        assert!(!reply.body.contains("secretive"), "{}", reply.body);
    }
    desk.end();
}

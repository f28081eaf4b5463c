//! The OpenAPI document against what is really answered, and against its committed copy.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pipelines::{Fate, desk};
use crate::schema;
use crate::wire::{ask, get};

#[test]
fn every_path_of_the_document_is_there_and_answers_as_it_says() {
    let desk = desk(&[("shop", Fate::HaltsTable), ("away", Fate::Away), ("refused", Fate::Refused)]);
    let document = get(desk.address(), "/api/v1/openapi.json").json();
    assert_eq!(document, limpid_server::openapi());
    for (path, item) in document["paths"].as_object().unwrap() {
        let operations: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        if operations == ["post"] {
            for (name, query) in
                [("shop", "?action=pause"), ("shop", "?action=no"), ("nobody", "?action=stop"), ("%25%", "")]
            {
                let query = match path.rsplit('/').next() {
                    Some("snapshot") => query.to_owned(),
                    Some("set") => query.replace("action=stop", "to=p&confirm=0").replace("action", "to"),
                    _ => String::new(),
                };
                let asked = path.replace("{name}", name) + &query;
                answers_as_described(&document, &item["post"], &ask(desk.address(), "POST", &asked, ""), &asked);
            }
            let asked = path.replace("{name}", "shop");
            answers_as_described(&document, &item["post"], &get(desk.address(), &asked), &asked);
            continue;
        }
        assert_eq!(operations, ["get"], "{path}");
        for name in ["shop", "away", "refused", "nobody", "%25%"] {
            let asked = path.replace("{name}", name);
            answers_as_described(&document, &item["get"], &get(desk.address(), &asked), &asked);
        }
        let asked = path.replace("{name}", "shop");
        answers_as_described(&document, &item["get"], &ask(desk.address(), "PUT", &asked, ""), &asked);
    }
    for asked in ["/status?pipeline=shop", "/status?pipeline=nobody", "/status?pipeline=%ff"] {
        answers_as_described(&document, &document["paths"]["/status"]["get"], &get(desk.address(), asked), asked);
    }
    desk.end();
}

fn answers_as_described(document: &Value, operation: &Value, reply: &crate::wire::Reply, asked: &str) {
    let response = &operation["responses"][reply.status.to_string()];
    assert!(response.is_object(), "{asked}: {} is not in the document", reply.status);
    let media_type = reply.header("content-type").unwrap().split(';').next().unwrap();
    let schema = &response["content"][media_type]["schema"];
    assert!(schema.is_object(), "{asked}: {media_type} is not in the document for {}", reply.status);
    if media_type == "application/json" && *schema != serde_json::json!({"type": "object"}) {
        schema::check(document, schema, &reply.json()).unwrap_or_else(|why| panic!("{asked}: {why}\n{}", reply.body));
    }
}

#[test]
fn the_index_names_every_path_and_no_other() {
    let desk = desk(&[]);
    let index = get(desk.address(), "/").body;
    let named: BTreeSet<&str> =
        index.lines().filter(|line| line.starts_with('/')).filter_map(|line| line.split(' ').next()).collect();
    let document = limpid_server::openapi();
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, described);
    desk.end();
}

/// `openapi/openapi.json` is what the binary gives. `LIMPID_BLESS=1` writes it.
#[test]
fn the_committed_document_is_the_current_one() {
    let path = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests") + "/../../openapi/openapi.json";
    let document = format!("{:#}\n", limpid_server::openapi());
    if std::env::var_os("LIMPID_BLESS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, &document).unwrap();
    }
    // Compared as a document: the order of keys follows a feature of serde_json that others may turn on.
    let committed: Option<Value> =
        std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    assert!(
        committed == Some(limpid_server::openapi()),
        "openapi/openapi.json is not the current one: run this test with LIMPID_BLESS=1"
    );
}

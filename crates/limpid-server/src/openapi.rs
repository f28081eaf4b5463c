//! The description of the HTTP API.
//!
//! Owns: the OpenAPI 3.1 document. Does not own: the paths (`routes`), the documents as types (`api`).
//!
//! Invariant: a path is in the document because it is in the table of routes. Tests hold real answers against the
//! schemas, field by field in both directions, and the committed copy `openapi/openapi.json` against this.
//!
//! Made by hand rather than by `utoipa`: a dozen reads do not pay for its macros in every cold build.

mod schemas;

use serde_json::{Map, Value, json};

use crate::gate::Access;
use crate::routes::{ROUTES, Route};

/// The document that `/api/v1/openapi.json` and `limpid export openapi` give.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        paths.insert(route.path.to_owned(), path(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Limpid",
            "version": "1",
            "description": "What a running instance tells of itself. What is read takes GET or HEAD; what changes \
                            something takes POST, a token with the role operator, and is refused to pages of other \
                            sites. Fields may be added: readers pass over what they do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the instance's --auth-token-file, with the role viewer or operator. An \
                                instance without such a file asks for none, and takes changes only where it listens \
                                on loopback alone.",
            }},
        },
    })
}

pub(crate) fn path(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "responses": responses(route),
        "security": security(route.access),
    });
    let parameters = parameters(route.operation);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    match route.access {
        Access::Open | Access::Brief | Access::Viewer => json!({"get": operation}),
        Access::Operator => json!({"post": operation}),
    }
}

/// With an empty case where it works without a token too.
fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Brief => json!([{"token": []}, {}]),
        Access::Viewer | Access::Operator => json!([{"token": []}]),
    }
}

fn parameters(operation: &str) -> Vec<Value> {
    let name = json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"});
    match operation {
        "getPipeline" => vec![json!({"name": "name", "in": "path", "required": true, "schema": name})],
        "pausePipeline" | "resumePipeline" | "getPosition" | "getFlow" | "getQuality" => {
            vec![json!({"name": "name", "in": "path", "required": true, "schema": name})]
        }
        "setPosition" => vec![
            json!({"name": "name", "in": "path", "required": true, "schema": name}),
            json!({"name": "to", "in": "query", "required": true, "schema": {"type": "string"},
                   "description": "The position in its text form."}),
            json!({"name": "confirm", "in": "query", "required": false, "schema": {"type": "string"},
                   "description": "The word of the answer to the same call without it."}),
        ],
        "askSnapshot" => vec![
            json!({"name": "name", "in": "path", "required": true, "schema": name}),
            json!({"name": "action", "in": "query", "required": true,
                   "schema": {"enum": ["copy", "pause", "resume", "stop"]}}),
            json!({"name": "table", "in": "query", "required": false, "schema": {"type": "string"},
                   "description": "The table to copy, as `schema.table`; with `copy` only."}),
            json!({"name": "where", "in": "query", "required": false, "schema": {"type": "string"},
                   "description": "A condition in the source's language; only rows that meet it are copied."}),
        ],
        "listParked" => vec![
            path_name(&name),
            parked_table(),
            json!({"name": "outcomes", "in": "query", "required": false, "schema": {"type": "boolean"},
                   "description": "Only what became of the last calls; no rows."}),
        ],
        "showParked" | "rawParked" => vec![
            path_name(&name),
            json!({"name": "id", "in": "query", "required": true, "schema": {"type": "integer", "minimum": 0},
                   "description": "The row's number."}),
        ],
        "replayParked" | "dropParked" => parked_rows(&name, operation == "replayParked"),
        "traceRows" => trace_rows(&name),
        "watchKey" => {
            let needed = |name: &str| {
                json!({"name": name, "in": "query", "required": true, "schema": {"type": "string"},
                       "description": "As `GET .../trace` has it."})
            };
            vec![path_name(&name), needed("table"), needed("key")]
        }
        "gravityStatus" => vec![json!({
            "name": "pipeline", "in": "query", "required": false, "schema": name,
            "description": "One of several pipelines; without it an instance of several answers with a list.",
        })],
        _ => Vec::new(),
    }
}

fn trace_rows(name: &Value) -> Vec<Value> {
    let text = |name: &str, description: &str| {
        json!({"name": name, "in": "query", "required": false, "schema": {"type": "string"},
               "description": description})
    };
    vec![
        path_name(name),
        text("table", "With `key`: `schema.table`, or the table's name where one schema has it."),
        text("key", "A value, `a=1,b=x`, or a JSON object with the key's columns."),
        text("position", "One transaction, by its GTID."),
        text("trace_id", "One transaction, by 32 hexadecimal digits."),
    ]
}

fn path_name(name: &Value) -> Value {
    json!({"name": "name", "in": "path", "required": true, "schema": name})
}

fn parked_table() -> Value {
    json!({"name": "table", "in": "query", "required": false, "schema": {"type": "string"},
           "description": "Rows of this table only, as `schema.table`."})
}

fn parked_rows(name: &Value, is_replay: bool) -> Vec<Value> {
    let mut parameters = vec![
        path_name(name),
        json!({"name": "id", "in": "query", "required": false, "schema": {"type": "string"},
               "description": "Numbers of rows, apart by commas; either this or `all`. A replay takes all rows of \
                               their keys."}),
        json!({"name": "all", "in": "query", "required": false, "schema": {"type": "boolean"}}),
        parked_table(),
    ];
    if is_replay {
        parameters.push(json!({
            "name": "force", "in": "query", "required": false, "schema": {"type": "boolean"},
            "description": "Dead letters go although a later version of their key was delivered.",
        }));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let mut responses = match route.operation {
        "index" => json!({"200": text("The paths, one a line")}),
        "metrics" => json!({"200": metrics()}),
        "livez" | "readyz" | "startupz" => json!({
            "200": text("`ok`"),
            "503": text("`not ok: ` and why"),
        }),
        "healthz" => json!({
            "200": document("Nothing has failed; without a token no part is named", "Health"),
            "503": document("Rows of a pipeline do not arrive; without a token no part is named", "Health"),
        }),
        "gravityStatus" => json!({
            "200": document("One pipeline's object, or a list of such objects", "GravityStatuses"),
            "400": document("The parameter cannot be understood", "Error"),
            "404": document("No pipeline has this name", "Error"),
        }),
        "listPipelines" => json!({"200": document("All pipelines", "Status")}),
        "getPipeline" => json!({
            "200": document("The pipeline", "Pipeline"),
            "400": document("The name cannot be understood", "Error"),
            "404": document("No pipeline has this name", "Error"),
        }),
        "getPosition" => json!({
            "200": document("Where it is", "Position"),
            "400": document("The name cannot be understood", "Error"),
            "404": document("No pipeline has this name", "Error"),
        }),
        "setPosition" => json!({
            "200": document("Nothing is done yet: what would be", "Move"),
            "202": document("It is with the pipeline", "Accepted"),
            "400": document("The parameters cannot be understood, or nobody asked that with this word", "Error"),
            "404": document("No pipeline has this name", "Error"),
        }),
        "askSnapshot" | "pausePipeline" | "resumePipeline" => json!({
            "202": document("It is with the pipeline", "Accepted"),
            "400": document("The parameters cannot be understood", "Error"),
            "404": document("No pipeline has this name", "Error"),
        }),
        "listParked" | "showParked" | "rawParked" | "replayParked" | "dropParked" => parked_responses(route.operation),
        "getFlow" => of_pipeline("The ledger of flow", "Flow"),
        "getQuality" => of_pipeline("Odd values and measures", "Quality"),
        "traceRows" => json!({
            "200": document("What is known of the changes; one that is evicted where nothing is", "Trace"),
            "400": document("The parameters cannot be understood, or the key is none of the table", "Error"),
            "404": document("No pipeline has this name, or no row of the table was seen", "Error"),
        }),
        "watchKey" => json!({
            "200": document("Whether it is watched", "Watch"),
            "400": document("The parameters cannot be understood, or the key is none of the table", "Error"),
            "404": document("No pipeline has this name, or no row of the table was seen", "Error"),
        }),
        "getBuild" => json!({"200": document("What runs", "Build")}),
        "getOpenapi" => json!({"200": {
            "description": "This document",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }}),
        unknown => unreachable!("the route {unknown} has no responses in the document"),
    };
    if matches!(route.access, Access::Viewer | Access::Operator) {
        responses["401"] = document("No token, or none of this instance", "Error");
    }
    if route.access == Access::Operator {
        responses["403"] = document("The token's role is viewer, or the call comes from another site", "Error");
    }
    responses["405"] = document("The path was asked with another method than those here", "Error");
    responses["500"] = document("A mistake of ours", "Error");
    responses
}

/// Of a call that takes a pipeline's name alone.
fn of_pipeline(description: &str, schema: &str) -> Value {
    json!({
        "200": document(description, schema),
        "400": document("The name is none that a pipeline can have", "Error"),
        "404": document("No pipeline has this name", "Error"),
    })
}

fn parked_responses(operation: &str) -> Value {
    let (code, description, schema) = match operation {
        "listParked" => ("200", "In the order in which they were kept", "Parked"),
        "showParked" => ("200", "The row; its bytes are null", "ParkedBody"),
        "rawParked" => ("200", "The row", "ParkedBody"),
        _ => ("202", "It is with the pipeline; the list tells what became of it", "ParkedAsk"),
    };
    let mut responses = json!({
        "400": document("The parameters cannot be understood, or too many calls wait", "Error"),
        "404": document("No pipeline has this name, or no such row is kept", "Error"),
    });
    responses[code] = document(description, schema);
    responses
}

fn text(description: &str) -> Value {
    json!({"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}})
}

fn metrics() -> Value {
    json!({
        "description": "Every metric of `docs/metrics.md` that has a value",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    })
}

fn document(description: &str, schema: &str) -> Value {
    let schema = schemas::reference(schema);
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

//! Keys and values: unknown, missing, of another type, out of range, not in this version.

use crate::registry::{Case, check, faults_of};

const GOOD: &str = "\
name: shop
lag-limit: 60s
source:
  type: mysql
  url: mysql://u:${env:ODD}@db:3306
  user: limpid
  password: ${env:DB_PASSWORD}
  row-image: full
  tables: [\"shop.*\"]
  snapshot: never
  start: head
  server-id: 5
  buffer: 1MiB
  tls: { mode: preferred }
sink:
  type: kafka
  brokers: [\"127.0.0.1:9092\"]
  topic: \"{schema}.{table}\"
  format: debezium-json
  delivery: at-least-once
  topic-creation: { enabled: true, partitions: 1, config: {} }
  sasl: { mechanism: plain, user: u, password: p }
  compat: \"3.5\"
  tombstones: true
  skipped-operations: t
  message-key-columns: shop.o:id
on-row-error: halt-table
telemetry:
  metrics: { prometheus: true }
  logs: { level: info }
";

#[test]
fn unknown_and_missing_keys_name_the_nearest() {
    const CASES: &[Case] = &[
        (
            "lag-limit:",
            "lag_limit:",
            &["2:1 CONFIG_UNKNOWN_KEY `lag_limit` is not a key of this file | did you mean `lag-limit`?"],
        ),
        (
            "  password: ${",
            "  pasword: ${",
            &["7:3 CONFIG_UNKNOWN_KEY `source.pasword` is not a key of this file | did you mean `password`?"],
        ),
        (
            "  buffer: 1MiB",
            "  xyzzy: 1",
            &[
                "13:3 CONFIG_UNKNOWN_KEY `source.xyzzy` is not a key of this file | known here: url, user, password, row-image, tables, columns, server-id, connect-timeout, buffer, tls, type, snapshot, start, heartbeat",
            ],
        ),
        (
            "mode: preferred",
            "mode: preferred, cert: a.pem",
            &["14:3 CONFIG_MISSING_KEY `source.tls.key` is needed with `cert`"],
        ),
        (
            "mode: preferred",
            "mod: preferred",
            &["14:10 CONFIG_UNKNOWN_KEY `source.tls.mod` is not a key of this file | did you mean `mode`?"],
        ),
        (
            "partitions: 1",
            "partition: 1",
            &[
                "21:36 CONFIG_UNKNOWN_KEY `sink.topic-creation.partition` is not a key of this file | did you mean `partitions`?",
            ],
        ),
        ("name: shop\n", "", &["1:1 CONFIG_MISSING_KEY `name` is missing | add `name`, a text"]),
        ("name: shop", "name:", &["1:1 CONFIG_MISSING_KEY `name` has no value | write a text"]),
        (
            "  url: mysql://u:${env:ODD}@db:3306\n",
            "",
            &["3:1 CONFIG_MISSING_KEY `source.url` is missing | add `url`, a URL"],
        ),
        ("  type: mysql\n", "", &["3:1 CONFIG_MISSING_KEY `source.type` is missing | write `type` with one of mysql"]),
        (
            "  type: kafka",
            "  type:",
            &["16:3 CONFIG_MISSING_KEY `sink.type` has no value | write `type` with one of kafka, file, stdout, null"],
        ),
        (
            "mechanism: plain, ",
            "",
            &[
                "22:3 CONFIG_MISSING_KEY `sink.sasl.mechanism` is missing | add `mechanism`, one of plain, scram-sha-256, scram-sha-512",
            ],
        ),
        (
            "level: info",
            "levle: info",
            &["30:11 CONFIG_UNKNOWN_KEY `telemetry.logs.levle` is not a key of this file | did you mean `level`?"],
        ),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn wrong_types_say_what_was_expected() {
    const CASES: &[Case] = &[
        ("name: shop", "name: 5", &["1:7 CONFIG_WRONG_TYPE `name` must be a text, not a number | put it in quotes"]),
        ("name: shop", "name: [shop]", &["1:7 CONFIG_WRONG_TYPE `name` must be a text, not a list"]),
        (
            "lag-limit: 60s",
            "lag-limit: 60",
            &[
                "2:12 CONFIG_WRONG_TYPE `lag-limit` must be a duration such as 60s, not a number | add the unit: 60s or 60ms",
            ],
        ),
        (
            "lag-limit: 60s",
            "lag-limit:",
            &[
                "2:1 CONFIG_WRONG_TYPE `lag-limit` must be a duration such as 60s, not nothing | remove the key to have its default, 60s",
            ],
        ),
        (
            "lag-limit: 60s",
            "lag-limit: {a: 1}",
            &["2:12 CONFIG_WRONG_TYPE `lag-limit` must be a duration such as 60s, not a table of keys"],
        ),
        (
            "password: ${env:DB_PASSWORD}",
            "password: 12345",
            &["7:13 CONFIG_WRONG_TYPE `source.password` must be a text, not a number | put it in quotes"],
        ),
        (
            "user: limpid",
            "user: true",
            &["6:9 CONFIG_WRONG_TYPE `source.user` must be a text, not true or false | put it in quotes"],
        ),
        (
            "tables: [\"shop.*\"]",
            "tables: shop.*",
            &[
                "9:11 CONFIG_WRONG_TYPE `source.tables` must be a list of texts, not a text | write it in brackets, as [\"...\"]",
            ],
        ),
        (
            "tables: [\"shop.*\"]",
            "tables: [a, [b], 3]",
            &[
                "9:15 CONFIG_WRONG_TYPE `source.tables[1]` must be a text, not a list",
                "9:20 CONFIG_WRONG_TYPE `source.tables[2]` must be a text, not a number | put it in quotes",
            ],
        ),
        (
            "server-id: 5",
            "server-id: \"5\"",
            &[
                "12:14 CONFIG_WRONG_TYPE `source.server-id` must be a whole number, not a text | write it without quotes",
            ],
        ),
        (
            "server-id: 5",
            "server-id: 5.5",
            &["12:14 CONFIG_WRONG_TYPE `source.server-id` must be a whole number, without a fraction"],
        ),
        (
            "buffer: 1MiB",
            "buffer: 1048576",
            &[
                "13:11 CONFIG_WRONG_TYPE `source.buffer` must be a size such as 64MiB, not a number | write it with its unit: 1MiB",
            ],
        ),
        (
            "tls: { mode: preferred }",
            "tls: preferred",
            &["14:8 CONFIG_WRONG_TYPE `source.tls` must be a table of keys, not a text"],
        ),
        (
            "enabled: true",
            "enabled: yes",
            &[
                "21:30 CONFIG_WRONG_TYPE `sink.topic-creation.enabled` must be true or false, not a text | write true or false, without quotes",
            ],
        ),
        (
            "enabled: true",
            "enabled: 1",
            &["21:30 CONFIG_WRONG_TYPE `sink.topic-creation.enabled` must be true or false, not a number"],
        ),
        (
            "config: {}",
            "config: {a: [1]}",
            &["21:63 CONFIG_WRONG_TYPE `sink.topic-creation.config.a` must be a text or a number, not a list"],
        ),
        (
            "config: {}",
            "config: []",
            &["21:59 CONFIG_WRONG_TYPE `sink.topic-creation.config` must be a table of texts, not a list"],
        ),
        (
            "compat: \"3.5\"",
            "compat: 3.5",
            &[
                "23:11 CONFIG_WRONG_TYPE `sink.compat` must be one of 3.5, 3.7, not a number | put it in quotes: \"3.5\"",
            ],
        ),
        (
            "tombstones: true",
            "tombstones: \"true\"",
            &[
                "24:15 CONFIG_WRONG_TYPE `sink.tombstones` must be true or false, not a text | write true or false, without quotes",
            ],
        ),
        (
            "telemetry:\n  metrics: { prometheus: true }\n  logs: { level: info }",
            "telemetry: off",
            &["28:12 CONFIG_WRONG_TYPE `telemetry` must be a table of keys, not a text"],
        ),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn bad_values_say_what_is_allowed() {
    const CASES: &[Case] = &[
        (
            "name: shop",
            "name: my shop",
            &[
                "1:7 CONFIG_BAD_VALUE `name` is \"my shop\", which cannot be a name | use up to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit: it becomes part of topics",
            ],
        ),
        ("name: shop", "name: \"\"", &["1:7 CONFIG_BAD_VALUE `name` is an empty text"]),
        (
            "lag-limit: 60s",
            "lag-limit: 60sec",
            &["2:12 CONFIG_BAD_VALUE `lag-limit` is \"60sec\", which is no duration such as 250ms, 60s, 5m or 24h"],
        ),
        (
            "lag-limit: 60s",
            "lag-limit: 10ms",
            &["2:12 CONFIG_BAD_VALUE `lag-limit` is \"10ms\", which must be from 1s to 30d"],
        ),
        (
            "lag-limit: 60s",
            "lag-limit: \"\"",
            &["2:12 CONFIG_BAD_VALUE `lag-limit` is \"\", which is no duration such as 250ms, 60s, 5m or 24h"],
        ),
        (
            "mysql://u:${env:ODD}@db:3306",
            "postgres://u:${env:DB_PASSWORD}@db",
            &["5:8 CONFIG_BAD_VALUE `source.url` is no mysql:// address | write mysql://HOST:PORT"],
        ),
        (
            "row-image: full",
            "row-image: ful",
            &[
                "8:14 CONFIG_BAD_VALUE `source.row-image` is \"ful\", which is none of full, accept | did you mean `full`?",
            ],
        ),
        (
            "row-image: full",
            "row-image: minimal-and-more",
            &["8:14 CONFIG_BAD_VALUE `source.row-image` is \"minimal-and-more\", which is none of full, accept"],
        ),
        (
            "tables: [\"shop.*\"]",
            "tables: []",
            &["9:11 CONFIG_BAD_VALUE `source.tables` has 0 entries, and needs at least 1"],
        ),
        ("tables: [\"shop.*\"]", "tables: [\"\"]", &["9:12 CONFIG_BAD_VALUE `source.tables[0]` is an empty text"]),
        (
            "server-id: 5",
            "server-id: 0",
            &["12:14 CONFIG_BAD_VALUE `source.server-id` is 0, which must be from 1 to 4294967295"],
        ),
        (
            "server-id: 5",
            "server-id: -1",
            &["12:14 CONFIG_BAD_VALUE `source.server-id` is -1, which must be from 1 to 4294967295"],
        ),
        (
            "server-id: 5",
            "server-id: 99999999999999999999",
            &["12:14 CONFIG_BAD_VALUE `source.server-id` is 99999999999999999999, which must be from 1 to 4294967295"],
        ),
        (
            "buffer: 1MiB",
            "buffer: 1MB",
            &["13:11 CONFIG_BAD_VALUE `source.buffer` is \"1MB\", which is no size such as 512B, 64KiB, 64MiB or 1GiB"],
        ),
        (
            "buffer: 1MiB",
            "buffer: 1GiB",
            &["13:11 CONFIG_BAD_VALUE `source.buffer` is \"1GiB\", which must be from 64KiB to 64MiB"],
        ),
        (
            "type: mysql",
            "type: mysqll",
            &["4:9 CONFIG_BAD_VALUE `source.type` is \"mysqll\", which is none of mysql | did you mean `mysql`?"],
        ),
        (
            "type: kafka",
            "type: pulsar",
            &["16:9 CONFIG_BAD_VALUE `sink.type` is \"pulsar\", which is none of kafka, file, stdout, null"],
        ),
        (
            "skipped-operations: t",
            "skipped-operations: x",
            &[
                "25:23 CONFIG_BAD_VALUE `sink.skipped-operations` is no list of operations | write letters of c (insert), u (update), d (delete), t (truncate) with commas, or none",
            ],
        ),
        (
            "message-key-columns: shop.o:id",
            "message-key-columns: shop.o",
            &[
                "26:24 CONFIG_BAD_VALUE `sink.message-key-columns` has an entry without its columns | write SCHEMA.TABLE:COLUMN,COLUMN;SCHEMA.TABLE:COLUMN",
            ],
        ),
        (
            "mode: preferred",
            "mode: verify_ca",
            &[
                "14:16 CONFIG_BAD_VALUE `source.tls.mode` is \"verify_ca\", which is none of disabled, preferred, required, verify-ca, verify-identity | did you mean `verify-ca`?",
            ],
        ),
        ("  topic: \"{schema}.{table}\"", "  topic: \"\"", &["18:10 CONFIG_BAD_VALUE `sink.topic` is an empty text"]),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn what_this_version_lacks_is_refused_with_what_to_write() {
    const CASES: &[Case] = &[
        (
            "snapshot: never",
            "snapshot: { mode: initial, wher: {} }",
            &["10:30 CONFIG_UNKNOWN_KEY `source.snapshot.wher` is not a key of this file | did you mean `where`?"],
        ),
        (
            "snapshot: never",
            "snapshot: { where: { orders: \"a > 1\" } }",
            &[
                "10:22 CONFIG_BAD_VALUE `source.snapshot.where` has a name that is no `schema.table` | write each table with its schema",
            ],
        ),
        (
            "snapshot: never",
            "snapshot: { mode: nevr, parallel: 0 }",
            &[
                "10:21 CONFIG_BAD_VALUE `source.snapshot.mode` is \"nevr\", which is none of initial, never, only, when-needed | did you mean `never`?",
                "10:37 CONFIG_BAD_VALUE `source.snapshot.parallel` is 0, which must be from 1 to 16",
            ],
        ),
        (
            "snapshot: never",
            "snapshot: nevr",
            &[
                "10:13 CONFIG_BAD_VALUE `source.snapshot` is \"nevr\", which is none of initial, never, only, when-needed | did you mean `never`?",
            ],
        ),
        (
            "format: debezium-json",
            "format: avro",
            &[
                "19:11 NOT_IN_THIS_VERSION `sink.format` is \"avro\", which is not in this version | write `format: debezium-json`",
            ],
        ),
        (
            "type: mysql",
            "type: postgres",
            &[
                "4:9 NOT_IN_THIS_VERSION `source.type` is \"postgres\", which is not in this version | this version has mysql",
            ],
        ),
        (
            "type: kafka",
            "type: mongodb",
            &[
                "16:9 NOT_IN_THIS_VERSION `sink.type` is \"mongodb\", which is not in this version | this version has kafka, file, stdout, null",
            ],
        ),
        (
            "start: head",
            "start: head\n  heartbeat: { table: heartbeat }",
            &["12:23 CONFIG_BAD_VALUE `source.heartbeat.table` is no schema.table"],
        ),
        (
            "start: head",
            "start: head\n  heartbeat: { enabled: false, evry: 1s }",
            &["12:32 CONFIG_UNKNOWN_KEY `source.heartbeat.evry` is not a key of this file | did you mean `every`?"],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\ntransforms: [{type: reject}, {type: outbox}, {type: rejct}, 7]",
            &[
                "28:14 CONFIG_MISSING_KEY `transforms[0].match` is missing | add `match`, a table of keys",
                "28:37 NOT_IN_THIS_VERSION `transforms[1].type` is \"outbox\", which is not in this version | this version has reject",
                "28:53 CONFIG_BAD_VALUE `transforms[2].type` is \"rejct\", which is none of reject | did you mean `reject`?",
                "28:61 CONFIG_WRONG_TYPE `transforms[3]` must be a table of keys, not a number",
            ],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\ntransforms:\n  - {type: reject, match: {table: a, op: delet}}\n  - {type: reject, match: {table: [a, 5], op: [insert, upsert]}, colums: a}",
            &[
                "29:42 CONFIG_BAD_VALUE `transforms[0].match.op` is \"delet\", which is none of insert, delete, upsert | did you mean `delete`?",
                "30:39 CONFIG_WRONG_TYPE `transforms[1].match.table[1]` must be a text, not a number | put it in quotes",
                "30:56 NOT_IN_THIS_VERSION `transforms[1].match.op[1]` is \"upsert\", which is not in this version | write one of insert, delete",
                "30:66 CONFIG_UNKNOWN_KEY `transforms[1].colums` is not a key of this file | known here: match, type, name",
            ],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\ntransforms:\n  - {type: reject, match: {table: twice}}\n  - {type: reject, match: {table: [twice]}}",
            &["30:27 CONFIG_BAD_VALUE `transforms[1].match` is there twice"],
        ),
        ("on-row-error: halt-table", "on-row-error: halt-table\ntransforms: []", &[]),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\ntransforms: {type: reject}",
            &["28:13 CONFIG_WRONG_TYPE `transforms` must be a list, not a table of keys"],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\nheal: { mode: observe }",
            &["28:1 NOT_IN_THIS_VERSION `heal` is not in this version | remove it, or write `enabled: false` into it"],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\nalerts: { enabled: maybe }",
            &[
                "28:20 CONFIG_WRONG_TYPE `alerts.enabled` must be true or false, not a text | write true or false, without quotes",
            ],
        ),
        (
            "on-row-error: halt-table",
            "on-row-error: halt-table\nverify: on",
            &["28:9 CONFIG_WRONG_TYPE `verify` must be a table of keys, not a text"],
        ),
        (
            "prometheus: true",
            "otlp: { url: x }",
            &["29:20 CONFIG_WRONG_TYPE `telemetry.metrics.otlp` must be a URL, not a table of keys"],
        ),
        (
            "metrics: { prometheus: true }",
            "metrics: { otlp: \"grpc://me:hidden@c:4317\" }",
            &[
                "29:20 CONFIG_BAD_VALUE `telemetry.metrics.otlp` is no http:// or https:// address | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "metrics: { otlp: \"http://c:4317\", protocol: tcp }",
            &["29:47 CONFIG_BAD_VALUE `telemetry.metrics.protocol` is \"tcp\", which is none of grpc, http"],
        ),
        (
            "logs: { level: info }",
            "logs: { otlp: \"collector:4317\" }",
            &[
                "30:17 CONFIG_BAD_VALUE `telemetry.logs.otlp` is no http:// or https:// address | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "metrics: { remote-write: \"ftp://me:hidden@x\" }",
            &[
                "29:28 CONFIG_BAD_VALUE `telemetry.metrics.remote-write` is no http:// or https:// address | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "traces: { otlp: \"collector:4317\" }",
            &[
                "29:19 CONFIG_BAD_VALUE `telemetry.traces.otlp` is no http:// or https:// address | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "traces: { otlp: \"https://\" }",
            &[
                "29:19 CONFIG_BAD_VALUE `telemetry.traces.otlp` has no host | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "metrics: { otlp: \"http://me:hidden@c:43170000\" }",
            &[
                "29:20 CONFIG_BAD_VALUE `telemetry.metrics.otlp` has a port that is none | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "metrics: { remote-write: \"http://c/api/v1/write?token=hidden\" }",
            &[
                "29:28 CONFIG_BAD_VALUE `telemetry.metrics.remote-write` has a query or a fragment | write http://HOST:PORT, or https:// with a path if there is one",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "traces: { granularity: change, headers: all }",
            &[
                "29:43 CONFIG_BAD_VALUE `telemetry.traces.headers` goes with `granularity: transaction` only | write `off`",
            ],
        ),
        (
            "metrics: { prometheus: true }",
            "traces: { headers: some }",
            &["29:22 CONFIG_BAD_VALUE `telemetry.traces.headers` is \"some\", which is none of sampled, all, off"],
        ),
        (
            "metrics: { prometheus: true }",
            "traces: { sample: 1.5 }",
            &["29:21 CONFIG_BAD_VALUE `telemetry.traces.sample` is 1.5, which must be from 0 to 1"],
        ),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn what_cannot_be_resolved_says_why_and_shows_nothing() {
    const CASES: &[Case] = &[
        (
            "${env:DB_PASSWORD}",
            "${env:MISSING}",
            &[
                "7:13 CONFIG_VARIABLE_MISSING `source.password` needs the environment variable MISSING, which is not set | set MISSING, or write $${ for a literal ${",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "${file:/run/secrets/missing}",
            &[
                "7:13 CONFIG_SECRET_UNREADABLE `source.password` needs the file /run/secrets/missing, which cannot be read: entity not found",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "${file:/run/secrets/binary}",
            &[
                "7:13 CONFIG_SECRET_UNREADABLE `source.password` needs the file /run/secrets/binary, which cannot be read: it is not UTF-8",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "${hunter2:x}",
            &[
                "7:13 CONFIG_BAD_VALUE `source.password` uses a resolver that is not known: there are env and file | write $${ for a literal ${",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "${hunter2}",
            &[
                "7:13 CONFIG_BAD_VALUE `source.password` has a ${...} without a resolver: env and file | write $${ for a literal ${",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "${hunter2",
            &["7:13 CONFIG_BAD_VALUE `source.password` has a ${ without its } | write $${ for a literal ${"],
        ),
        (
            "user: limpid",
            "user: ${vault:user}",
            &[
                "6:9 CONFIG_BAD_VALUE `source.user` uses the resolver `vault`, which is not known: there are env and file | write $${ for a literal ${",
            ],
        ),
        (
            "user: limpid",
            "user: ${DB_USER}",
            &[
                "6:9 CONFIG_BAD_VALUE `source.user` has ${DB_USER}, which names no resolver: env and file | write ${env:DB_USER}, or $${ for a literal ${",
            ],
        ),
        (
            "lag-limit: 60s",
            "lag-limit: ${env:WORD}",
            &[
                "2:12 CONFIG_BAD_VALUE `lag-limit` comes from a variable or a file and is no duration such as 250ms, 60s, 5m or 24h",
            ],
        ),
        (
            "server-id: 5",
            "server-id: ${env:WORD}",
            &["12:14 CONFIG_BAD_VALUE `source.server-id` comes from a variable or a file and is no whole number"],
        ),
        (
            "server-id: 5",
            "server-id: ${env:MISSING}",
            &[
                "12:14 CONFIG_VARIABLE_MISSING `source.server-id` needs the environment variable MISSING, which is not set | set MISSING, or write $${ for a literal ${",
            ],
        ),
        (
            "row-image: full",
            "row-image: ${env:WORD}",
            &["8:14 CONFIG_BAD_VALUE `source.row-image` comes from a variable or a file and is none of full, accept"],
        ),
        (
            "enabled: true",
            "enabled: \"${env:WORD}\"",
            &[
                "21:30 CONFIG_BAD_VALUE `sink.topic-creation.enabled` comes from a variable or a file and is neither true nor false",
            ],
        ),
        (
            "buffer: 1MiB",
            "buffer: ${env:WORD}",
            &[
                "13:11 CONFIG_BAD_VALUE `source.buffer` comes from a variable or a file and is no size such as 512B, 64KiB, 64MiB or 1GiB",
            ],
        ),
        (
            "type: mysql",
            "type: ${env:WORD}",
            &["4:9 CONFIG_BAD_VALUE `source.type` comes from a variable or a file and is none of mysql"],
        ),
        (
            "config: {}",
            "config: {ssl.key.password: \"${hunter2:x}\"}",
            &[
                "21:78 CONFIG_BAD_VALUE `sink.topic-creation.config.ssl.key.password` uses a resolver that is not known: there are env and file | write $${ for a literal ${",
            ],
        ),
        (
            "name: shop",
            "name: ${env:ODD}",
            &[
                "1:7 CONFIG_BAD_VALUE `name` comes from a variable or a file and cannot be a name | use up to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit: it becomes part of topics",
            ],
        ),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn all_faults_of_a_file_are_reported_in_its_order() {
    let text = "\
nam: shop
source:
  type: mysql
  url: 5
  tabels: []
  snapshot: initial
sink:
  type: kafka
  brokers: x
  delivery: maybe
  tls: { mode: off }
telemetry:
  logs: { level: loud }
";
    let expected = [
        "1:1 CONFIG_UNKNOWN_KEY `nam` is not a key of this file | did you mean `name`?",
        "1:1 CONFIG_MISSING_KEY `name` is missing | add `name`, a text",
        "2:1 CONFIG_MISSING_KEY `source.tables` is missing | add `tables`, a list of texts",
        "4:8 CONFIG_WRONG_TYPE `source.url` must be a URL, not a number",
        "5:3 CONFIG_UNKNOWN_KEY `source.tabels` is not a key of this file | did you mean `tables`?",
        "9:12 CONFIG_WRONG_TYPE `sink.brokers` must be a list of texts, not a text | write it in brackets, as [\"...\"]",
        "10:13 CONFIG_BAD_VALUE `sink.delivery` is \"maybe\", which is none of at-least-once, exactly-once",
        "11:16 CONFIG_BAD_VALUE `sink.tls.mode` is \"off\", which is none of disabled, preferred, required, verify-ca, \
         verify-identity",
        "13:18 CONFIG_BAD_VALUE `telemetry.logs.level` is \"loud\", which is none of error, warn, info, debug, trace",
    ];
    assert_eq!(faults_of("a.yaml", text), expected);
}

#[test]
fn a_hostile_number_of_unknown_keys_is_told_up_to_a_bound() {
    let text: String = (0..50_000).map(|n| format!("key-{n}: 1\n")).collect();
    let found = faults_of("a.yaml", &text);
    assert_eq!(found.len(), 100);
}

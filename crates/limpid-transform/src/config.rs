//! Transforms as a pipeline file writes them.
//!
//! Owns: the keys of each kind, and what is wrong with one entry by itself. Does not own: the frame of an entry
//! (`limpid-config`), what is wrong with two (`together`).
//!
//! Invariant: a section that reads here is a rule that can be applied; whether it fits a table only the table says.

use std::sync::Arc;

use limpid_codec::TopicTemplate;
use limpid_config::{
    Choice, Choices, Complaint, ConfigFault, Key, Reader, Section, TransformKind, TransformKinds, TransformSpec,
};
use limpid_model::Op;

use crate::mask::{KEY_BYTES_MIN, Mask};
use crate::rule::{Action, Columns, Missing, NewName, Operations, Rule};
use crate::together::together;

/// What this crate has.
pub const TRANSFORMS: TransformKinds = TransformKinds {
    kinds: &[
        TransformKind { name: "accept", keys: ROWS, check: |section| faults(accept(section)) },
        TransformKind { name: "reject", keys: ROWS, check: |section| faults(reject(section)) },
        TransformKind { name: "rename", keys: RENAME, check: |section| faults(rename(section)) },
        TransformKind { name: "drop-columns", keys: DROP_COLUMNS, check: |section| faults(drop_columns(section)) },
        TransformKind {
            name: "rename-columns",
            keys: RENAME_COLUMNS,
            check: |section| faults(rename_columns(section)),
        },
        TransformKind { name: "mask", keys: MASK, check: |section| faults(mask(section)) },
        TransformKind { name: "route", keys: ROUTE, check: |section| faults(route(section)) },
    ],
    together,
};

const MATCH_ROWS: &[Key] = &[
    Key::one_or_texts("table", 1).doc("Globs of SCHEMA.TABLE; ! excludes. Left out: every table."),
    Key::choices::<Operation>("op").doc("Which changes. Left out: every change."),
];

const MATCH_TABLES: &[Key] =
    &[Key::one_or_texts("table", 1).required().doc("Globs of SCHEMA.TABLE, as the source names it; ! excludes.")];

const ROWS: &[Key] = &[Key::section("match", MATCH_ROWS).required().doc("Which changes it speaks of.")];

const TABLES: Key = Key::section("match", MATCH_TABLES).required().doc("Which tables it speaks of.");

const MISSING: Key = Key::choice::<Missing>("missing")
    .default("halt")
    .doc("What it means when a table matched does not have a column named.");

const RENAME: &[Key] = &[
    TABLES,
    Key::text("to").required().doc("The new name: TABLE or SCHEMA.TABLE, with {schema} and {table} for the source's."),
];

const ROUTE: &[Key] = &[
    TABLES,
    Key::text("topic").required().doc("Where the rows go, in the place of sink.topic: the same placeholders."),
    Key::bool("shared")
        .default("false")
        .doc("Whether several tables may go to one topic, where their keys may be equal."),
];

const DROP_COLUMNS: &[Key] =
    &[TABLES, Key::one_or_texts("columns", 1).required().doc("The columns, as the source names them."), MISSING];

const RENAME_COLUMNS: &[Key] =
    &[TABLES, Key::text_map("columns").required().doc("The source's name of each column, and its new one."), MISSING];

const MASK: &[Key] = &[
    TABLES,
    Key::one_or_texts("columns", 1).required().doc("The columns, as the source names them."),
    Key::choice::<With>("with").required().doc("What is shown in the place of a value."),
    Key::secret("key").doc("Of a hash: the key, at least 16 bytes, from ${env:NAME} or ${file:PATH}."),
    Key::text("text").doc("Of redact: what a text becomes; left out, ***."),
    Key::uint("first", 0, SEEN_MAX).doc("Of partial: so many characters are seen at the beginning."),
    Key::uint("last", 0, SEEN_MAX).doc("Of partial: so many characters are seen at the end."),
    Key::text("fill").doc("Of partial: the ASCII character in the place of the others; left out, *."),
    MISSING,
];

/// More of a value in sight hides nothing that is worth a mask.
const SEEN_MAX: u64 = 64;

/// A rule's number is 16 bits in each rejected row, and a file of more rules than this is none that a person wrote.
const RULES_MAX: usize = 1000;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Row(Op),
    Ddl,
}

impl Choices for Operation {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("insert", Operation::Row(Op::Insert), "Rows that came to be."),
        Choice::new("update", Operation::Row(Op::Update), "Rows that changed."),
        Choice::new("delete", Operation::Row(Op::Delete), "Rows that went."),
        Choice::new("truncate", Operation::Row(Op::Truncate), "Tables emptied by a statement."),
        Choice::new("read", Operation::Row(Op::Read), "Rows that a snapshot read."),
        Choice::new("ddl", Operation::Ddl, "Statements that change a definition."),
    ];
}

impl Choices for Missing {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("halt", Missing::Halt, "The table halts: the rule no longer does what it is there for."),
        Choice::new("ignore", Missing::Ignore, "The rule passes over it; after a rename at the source too."),
    ];
}

/// How a value is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Hash,
    Redact,
    Partial,
}

impl Choices for With {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("hash", With::Hash, "HMAC-SHA-256 in hexadecimal: equal values stay equal."),
        Choice::new("redact", With::Redact, "A constant of the column's type."),
        Choice::new("partial", With::Partial, "The first and last characters of a text."),
    ];
}

/// The rules of a pipeline.
///
/// # Errors
/// What the loading would have found.
pub(crate) fn rules(specs: &[TransformSpec]) -> Result<Vec<Rule>, Vec<ConfigFault>> {
    if let Some(beyond) = specs.get(RULES_MAX) {
        let complaint = Complaint::bad_value(format!("is one of more than {RULES_MAX} transforms"));
        return Err(vec![beyond.section.fault("type", complaint)]);
    }
    specs.iter().map(rule).collect()
}

pub(crate) fn rule(spec: &TransformSpec) -> Result<Rule, Vec<ConfigFault>> {
    let section = &spec.section;
    let (tables, action) = match spec.kind {
        "accept" => accept(section)?,
        "reject" => reject(section)?,
        "rename" => rename(section)?,
        "drop-columns" => drop_columns(section)?,
        "rename-columns" => rename_columns(section)?,
        "mask" => mask(section)?,
        "route" => route(section)?,
        other => unreachable!("there is no transform called {other}"),
    };
    Ok(Rule { name: spec.name.as_str().into(), tables, action })
}

type Read = Result<(Vec<String>, Action), Vec<ConfigFault>>;

fn faults(read: Read) -> Vec<ConfigFault> {
    read.err().unwrap_or_default()
}

fn accept(section: &Section) -> Read {
    section.read(|keys| matched_rows(keys).map(|(tables, operations)| (tables, Action::Accept(operations))))
}

fn reject(section: &Section) -> Read {
    section.read(|keys| matched_rows(keys).map(|(tables, operations)| (tables, Action::Reject(operations))))
}

fn matched_rows(keys: &Reader<'_>) -> Option<(Vec<String>, Operations)> {
    let matched = keys.section("match");
    let (tables, named) = (matched.texts("table"), matched.choices::<Operation>("op"));
    if tables.is_empty() && named.is_empty() {
        let complaint =
            Complaint::bad_value("names neither tables nor operations").help("write `table`, `op`, or both");
        return keys.refuse("match", complaint);
    }
    let mut operations = if named.is_empty() { Operations::ALL } else { Operations::NONE };
    for operation in named {
        match operation {
            Operation::Row(op) => operations.rows[op as usize] = true,
            Operation::Ddl => operations.ddl = true,
        }
    }
    Some((tables, operations))
}

fn matched_tables(keys: &Reader<'_>) -> Vec<String> {
    keys.section("match").texts("table")
}

fn rename(section: &Section) -> Read {
    section.read(|keys| {
        let Some(to) = NewName::parse(&keys.text("to")) else {
            let help = "write TABLE or SCHEMA.TABLE; {schema} and {table} stand for the source's names";
            return keys.refuse("to", Complaint::bad_value("is no name of a table").help(help));
        };
        Some((matched_tables(keys), Action::Rename(to)))
    })
}

fn route(section: &Section) -> Read {
    section.read(|keys| {
        let topic = keys.text("topic");
        if let Err(error) = TopicTemplate::parse(&topic) {
            return keys.refuse("topic", Complaint::bad_value(format!("is refused: {error}")));
        }
        let is_shared = keys.bool("shared");
        Some((matched_tables(keys), Action::Route { topic: topic.into(), is_shared }))
    })
}

fn drop_columns(section: &Section) -> Read {
    section.read(|keys| Some((matched_tables(keys), Action::DropColumns(columns(keys)))))
}

fn rename_columns(section: &Section) -> Read {
    section.read(|keys| {
        let written = keys.text_map("columns");
        let pairs: Vec<(String, Arc<str>)> =
            written.iter().map(|(from, to)| (from.clone(), to.reveal().into())).collect();
        if pairs.is_empty() {
            return keys.refuse("columns", Complaint::bad_value("names no column"));
        }
        if let Some((from, _)) = pairs.iter().find(|(_, to)| to.is_empty()) {
            return keys.refuse("columns", Complaint::bad_value(format!("gives {from} no name")));
        }
        for (at, (from, to)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(from)) {
                return keys.refuse("columns", Complaint::bad_value(format!("renames {from} twice")));
            }
            if pairs[..at].iter().any(|(_, other)| other == to) {
                return keys.refuse("columns", Complaint::bad_value(format!("calls two columns {to}")));
            }
        }
        Some((matched_tables(keys), Action::RenameColumns { pairs, missing: keys.choice("missing") }))
    })
}

fn columns(keys: &Reader<'_>) -> Columns {
    Columns { names: keys.texts("columns"), missing: keys.choice("missing") }
}

fn mask(section: &Section) -> Read {
    section.read(|keys| {
        let with: With = keys.choice("with");
        let of_others = [
            ("key", With::Hash, "hash"),
            ("text", With::Redact, "redact"),
            ("first", With::Partial, "partial"),
            ("last", With::Partial, "partial"),
            ("fill", With::Partial, "partial"),
        ];
        if let Some((name, _, of)) = of_others.iter().find(|(name, of, _)| *of != with && keys.is_written(name)) {
            let complaint = Complaint::bad_value(format!("has a meaning with `with: {of}` only"));
            return keys.refuse(name, complaint.help("remove the key"));
        }
        let mask = match with {
            With::Hash => hash(keys)?,
            With::Redact => Mask::Redact { text: keys.optional_text("text").unwrap_or_else(|| "***".to_owned()) },
            With::Partial => partial(keys)?,
        };
        Some((matched_tables(keys), Action::Mask { columns: columns(keys), mask: Arc::new(mask) }))
    })
}

fn hash(keys: &Reader<'_>) -> Option<Mask> {
    let Some(key) = keys.optional_secret("key") else {
        let help = "add `key`, best as ${env:NAME} or ${file:PATH}: without one the values could be tried out";
        return keys.refuse("key", Complaint::missing("is needed with `with: hash`").help(help));
    };
    if key.reveal().len() < KEY_BYTES_MIN {
        let complaint = Complaint::bad_value(format!("is shorter than {KEY_BYTES_MIN} bytes"));
        return keys.refuse("key", complaint.help("make one with `openssl rand -hex 32`"));
    }
    Some(Mask::hash(key.reveal().as_bytes()))
}

fn partial(keys: &Reader<'_>) -> Option<Mask> {
    let seen = |name: &str| keys.optional_uint(name).unwrap_or(0) as usize;
    let fill = keys.optional_text("fill").unwrap_or_else(|| "*".to_owned());
    let mut letters = fill.chars();
    // A longer one would make values longer than they are at the source.
    let (Some(fill @ ' '..='~'), None) = (letters.next(), letters.next()) else {
        return keys.refuse("fill", Complaint::bad_value("is not one printable ASCII character"));
    };
    let (first, last) = (seen("first"), seen("last"));
    if first + last == 0 {
        let help = "write how many characters are seen at the beginning, at the end, or both; or `with: redact`";
        return keys.refuse("first", Complaint::missing("or `last` is needed with `with: partial`").help(help));
    }
    Some(Mask::Partial { first, last, fill })
}

#[cfg(test)]
pub(crate) mod tests;

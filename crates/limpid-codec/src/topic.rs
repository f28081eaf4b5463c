//! Where a table's records go: the topic's name.
//!
//! Owns: the template, Debezium's sanitising, and the memory of which topic belongs to which table. Does not own:
//! making topics (the Kafka sink).
//!
//! Invariant: within one pipeline two tables never share a topic but where a route says that they may, and every name handed out is one that Kafka takes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use limpid_model::{Component, Fault, FaultCode, PipelineName, TableName, Target};

/// Kafka's own limit (`org.apache.kafka.common.internals.Topic`).
const LENGTH_MAX: usize = 249;

/// `{pipeline}.{schema}.{table}`, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Pipeline,
    Schema,
    Table,
}

/// A template that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicTemplateError {
    /// `{name}` that stands for nothing.
    UnknownPlaceholder(String),
    /// A brace without its partner.
    UnbalancedBrace,
}

impl fmt::Display for TopicTemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPlaceholder(name) => {
                write!(
                    f,
                    "the topic template has no placeholder {{{name}}}; there are {{pipeline}}, {{schema}} and {{table}}"
                )
            }
            Self::UnbalancedBrace => f.write_str("the topic template has a brace without its partner"),
        }
    }
}

impl std::error::Error for TopicTemplateError {}

impl Default for TopicTemplate {
    /// `{pipeline}.{schema}.{table}`, Debezium's names.
    fn default() -> Self {
        let dot = || Part::Text(".".to_owned());
        Self(vec![Part::Pipeline, dot(), Part::Schema, dot(), Part::Table])
    }
}

impl TopicTemplate {
    /// # Errors
    /// A placeholder that is unknown, or a brace that is not closed.
    pub fn parse(text: &str) -> Result<Self, TopicTemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            if rest.as_bytes()[open] == b'}' {
                return Err(TopicTemplateError::UnbalancedBrace);
            }
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let inside = &rest[open + 1..];
            let close = inside.find('}').ok_or(TopicTemplateError::UnbalancedBrace)?;
            parts.push(match &inside[..close] {
                "pipeline" => Part::Pipeline,
                "schema" => Part::Schema,
                "table" => Part::Table,
                other => return Err(TopicTemplateError::UnknownPlaceholder(other.to_owned())),
            });
            rest = &inside[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The sanitised name; not yet checked.
    fn fill(&self, pipeline: &PipelineName, table: &TableName) -> String {
        let mut name = String::new();
        for part in &self.0 {
            let text = match part {
                Part::Text(text) => text,
                Part::Pipeline => pipeline.as_str(),
                Part::Schema => &table.schema,
                Part::Table => &table.table,
            };
            sanitise(text, &mut name);
        }
        name
    }
}

/// Each character that Kafka does not take becomes an underscore; Debezium counts in UTF-16, so a character beyond
/// U+FFFF becomes two.
fn sanitise(text: &str, name: &mut String) {
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            name.push(c);
        } else {
            name.extend(std::iter::repeat_n('_', c.len_utf16()));
        }
    }
}

/// Why a table has no topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicError {
    /// Empty, `.`, `..` or too long.
    Invalid { topic: String },
    /// Another table has this topic.
    Collision { topic: Arc<str>, other: TableName },
}

impl TopicError {
    pub(crate) fn fault(&self, table: &TableName) -> Fault {
        match self {
            Self::Invalid { topic } if topic.len() > LENGTH_MAX => Fault::new(
                FaultCode::TopicNameInvalid,
                Component::Scheduler,
                format!("the topic of a table would have {} characters, Kafka takes {LENGTH_MAX}", topic.len()),
            ),
            Self::Invalid { topic } => Fault::new(
                FaultCode::TopicNameInvalid,
                Component::Scheduler,
                format!("the topic of a table would be {topic:?}, which Kafka does not take"),
            ),
            Self::Collision { topic, other } => Fault::new(
                FaultCode::TopicCollision,
                Component::Scheduler,
                format!("the topic {topic} already belongs to the table {other}"),
            ),
        }
        .about(table.to_string())
    }
}

/// Which topic belongs to which table. One a pipeline, shared by its workers.
#[derive(Debug)]
pub struct TopicRegistry {
    template: TopicTemplate,
    /// Short critical section: one look-up when a table version is compiled, never for a row. Grows with the number of
    /// captured tables only.
    owners: Mutex<HashMap<Arc<str>, Owner>>,
}

/// Whose topic it is.
#[derive(Debug)]
struct Owner {
    table: TableName,
    is_shared: bool,
}

impl TopicRegistry {
    pub fn new(template: TopicTemplate) -> Self {
        Self { template, owners: Mutex::new(HashMap::new()) }
    }

    /// The topic of a table that is sent there, which is then its own.
    pub(crate) fn topic_of(
        &self,
        pipeline: &PipelineName,
        table: &TableName,
        target: &Target,
    ) -> Result<Arc<str>, TopicError> {
        let routed = target
            .topic
            .as_deref()
            .map(|topic| TopicTemplate::parse(topic).map_err(|_| TopicError::Invalid { topic: topic.to_owned() }));
        let routed = routed.transpose()?;
        let topic = routed.as_ref().unwrap_or(&self.template).fill(pipeline, &target.name);
        if topic.is_empty() || topic == "." || topic == ".." || topic.len() > LENGTH_MAX {
            return Err(TopicError::Invalid { topic });
        }
        let mut owners = self.owners.lock().expect("never held across a panic");
        if let Some((topic, owner)) = owners.get_key_value(topic.as_str()) {
            return if owner.table == *table || (owner.is_shared && target.is_shared) {
                Ok(Arc::clone(topic))
            } else {
                Err(TopicError::Collision { topic: Arc::clone(topic), other: owner.table.clone() })
            };
        }
        let topic: Arc<str> = topic.into();
        owners.insert(Arc::clone(&topic), Owner { table: table.clone(), is_shared: target.is_shared });
        Ok(topic)
    }

    /// The topic of a table, for plans and messages; it becomes the table's own.
    ///
    /// # Errors
    /// [`FaultCode::TopicNameInvalid`] or [`FaultCode::TopicCollision`].
    pub fn resolve(&self, pipeline: &PipelineName, table: &TableName, target: &Target) -> Result<Arc<str>, Fault> {
        self.topic_of(pipeline, table, target).map_err(|error| error.fault(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, schema: &str, table: &str, expected: Result<&str, FaultCode>) {
        let registry = TopicRegistry::new(TopicTemplate::parse(template).unwrap());
        let pipeline = PipelineName::parse("shop").unwrap();
        let table = TableName::new(schema, table);
        let got = registry.resolve(&pipeline, &table, &Target::of(&table));
        assert_eq!(got.as_deref().map_err(Fault::code), expected, "{template} {table}");
    }

    #[test]
    fn names_are_sanitised_as_debezium_does() {
        let default = "{pipeline}.{schema}.{table}";
        check(default, "db", "orders", Ok("shop.db.orders"));
        check(default, "d b", "a$b/c", Ok("shop.d_b.a_b_c"));
        check(default, "db", "täble", Ok("shop.db.t_ble"));
        check(default, "db", "😀", Ok("shop.db.__"));
        check("cdc.{table}", "db", "t", Ok("cdc.t"));
    }

    #[test]
    fn names_that_kafka_would_refuse_are_faults() {
        check("{table}", "db", ".", Err(FaultCode::TopicNameInvalid));
        check("{table}", "db", "..", Err(FaultCode::TopicNameInvalid));
        check("", "db", "t", Err(FaultCode::TopicNameInvalid));
        check("{table}{table}", "db", &"x".repeat(125), Err(FaultCode::TopicNameInvalid));
        check("{table}", "db", &"x".repeat(249), Ok(&"x".repeat(249)));
    }

    #[test]
    fn two_tables_never_share_a_topic() {
        let registry = TopicRegistry::new(TopicTemplate::default());
        let pipeline = PipelineName::parse("shop").unwrap();
        let resolve = |schema, table| {
            let table = TableName::new(schema, table);
            registry.resolve(&pipeline, &table, &Target::of(&table))
        };
        assert_eq!(&*resolve("db", "a_b").unwrap(), "shop.db.a_b");
        assert_eq!(&*resolve("db", "a_b").unwrap(), "shop.db.a_b", "a later version keeps its topic");
        let fault = resolve("db", "a b").unwrap_err();
        assert_eq!(fault.code(), FaultCode::TopicCollision);
        assert!(fault.to_string().contains("db.a_b"));
    }

    #[test]
    fn a_template_with_an_unknown_part_is_refused() {
        for (bad, error) in [
            ("{db}.{table}", TopicTemplateError::UnknownPlaceholder("db".to_owned())),
            ("{table", TopicTemplateError::UnbalancedBrace),
            ("a}b", TopicTemplateError::UnbalancedBrace),
        ] {
            assert_eq!(TopicTemplate::parse(bad), Err(error));
        }
    }
}

//! The rules of a pipeline, resolved for one table version.
//!
//! Owns: which operations are rejected and by whom, how the table is shown, which columns are masked, and why a rule does
//! not fit. Does not own: rows (`stage`). Pure.
//!
//! Invariant: what comes out depends on the rules and the table version alone, so every worker comes to the same. What a
//! rule was to hide is hidden, or nothing of the table is shown.

use std::sync::Arc;

use limpid_model::{
    Column, Component, Fault, FaultCode, LogicalType, Op, Shown, ShownColumn, ShownTable, TableName, TableSchema,
    Target,
};

use crate::mask::Mask;
use crate::rule::{Action, Missing, Rule};

/// What the rules come to for one table version.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Kept, so that its address stays its own.
    pub(crate) schema: Arc<TableSchema>,
    /// By operation, the first rule that rejects it.
    pub(crate) rejects: [Option<u16>; Op::COUNT],
    pub(crate) shown: Shown,
    pub(crate) masks: Vec<Masked>,
    /// Why the table is withheld, until it was told.
    pub(crate) fault: Option<Unfit>,
}

/// A masked column: its index, its type at the source, its mask.
#[derive(Debug)]
pub(crate) struct Masked {
    pub(crate) column: u16,
    pub(crate) logical: LogicalType,
    pub(crate) mask: Arc<Mask>,
}

/// Why a rule does not fit a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    code: FaultCode,
    message: String,
    help: Option<String>,
}

impl Unfit {
    fn new(code: FaultCode, message: String) -> Self {
        Self { code, message, help: None }
    }

    pub(crate) fn fault(&self, table: &TableName) -> Fault {
        let fault = Fault::new(self.code, Component::Filter, self.message.clone()).about(table.to_string());
        match &self.help {
            Some(help) => fault.help(help.clone()),
            None => fault,
        }
    }
}

impl Compiled {
    pub(crate) fn new(rules: &[Rule], schema: &Arc<TableSchema>) -> Self {
        let name = schema.name.to_string();
        let rejects = rejects(rules, &name);
        let schema = Arc::clone(schema);
        // Of a table that nothing is shown of, nothing needs to fit, and it claims no topic.
        if rejects.iter().all(Option::is_some) {
            return Self { schema, rejects, shown: Shown::Withheld, masks: Vec::new(), fault: None };
        }
        let mut view = View::new(&schema);
        let applied = rules.iter().filter(|rule| rule.is_of(&name)).try_for_each(|rule| view.apply(rule));
        match applied.and_then(|()| view.done()) {
            Ok((shown, masks)) => Self { schema, rejects, shown, masks, fault: None },
            Err(unfit) => Self { schema, rejects, shown: Shown::Withheld, masks: Vec::new(), fault: Some(unfit) },
        }
    }
}

/// By operation, the first rule that rejects it.
fn rejects(rules: &[Rule], name: &str) -> [Option<u16>; Op::COUNT] {
    std::array::from_fn(|op| {
        let first = rules.iter().position(|rule| rule.rejects(name, |operations| operations.rows[op]));
        first.map(|rule| rule as u16)
    })
}

/// Whether no row of a table passes, whatever it is.
pub(crate) fn is_rejected(rules: &[Rule], name: &TableName) -> bool {
    rejects(rules, &name.to_string()).iter().all(Option::is_some)
}

/// Where the rows of a table go, whatever its columns are.
pub(crate) fn target(rules: &[Rule], name: &TableName) -> Target {
    let full = name.to_string();
    let mut target = Target::of(name);
    for rule in rules.iter().filter(|rule| rule.is_of(&full)) {
        match &rule.action {
            Action::Rename(new) => target.name = new.of(name),
            Action::Route { topic, is_shared } => {
                (target.topic, target.is_shared) = (Some(Arc::clone(topic)), *is_shared)
            }
            _ => {}
        }
    }
    target
}

/// A table version while rules are applied to it.
struct View<'a> {
    schema: &'a TableSchema,
    columns: Vec<Seen<'a>>,
    target: Target,
    /// The rules that renamed and routed it.
    renamed: Option<&'a Rule>,
    routed: Option<&'a Rule>,
}

/// One column, and which rules spoke of it.
struct Seen<'a> {
    shown: Column,
    dropped: Option<&'a Rule>,
    renamed: Option<&'a Rule>,
    masked: Option<(&'a Rule, &'a Arc<Mask>)>,
}

impl<'a> View<'a> {
    fn new(schema: &'a TableSchema) -> Self {
        let seen = |column: &Column| Seen { shown: column.clone(), dropped: None, renamed: None, masked: None };
        let (columns, target) = (schema.columns.iter().map(seen).collect(), Target::of(&schema.name));
        Self { schema, columns, target, renamed: None, routed: None }
    }

    fn apply(&mut self, rule: &'a Rule) -> Result<(), Unfit> {
        match &rule.action {
            Action::Accept(_) | Action::Reject(_) => {}
            Action::Rename(new) => {
                once(self.renamed.replace(rule), rule, "rename the table")?;
                self.target.name = new.of(&self.schema.name);
            }
            Action::Route { topic, is_shared } => {
                once(self.routed.replace(rule), rule, "route the table")?;
                (self.target.topic, self.target.is_shared) = (Some(Arc::clone(topic)), *is_shared);
            }
            Action::DropColumns(columns) => {
                for name in &columns.names {
                    if let Some(at) = self.find(rule, name, columns.missing)? {
                        self.columns[at].dropped = Some(rule);
                    }
                }
            }
            Action::RenameColumns { pairs, missing } => {
                for (from, to) in pairs {
                    if let Some(at) = self.find(rule, from, *missing)? {
                        once(self.columns[at].renamed.replace(rule), rule, &format!("rename the column {from}"))?;
                        self.columns[at].shown.name = Arc::clone(to);
                    }
                }
            }
            Action::Mask { columns, mask } => {
                for name in &columns.names {
                    if let Some(at) = self.find(rule, name, columns.missing)? {
                        self.mask(rule, at, mask)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The index of a column; `None` where its absence is fine.
    fn find(&self, rule: &Rule, name: &str, missing: Missing) -> Result<Option<usize>, Unfit> {
        let found = self.schema.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        if found.is_some() || missing == Missing::Ignore {
            return Ok(found);
        }
        let message = format!("the rule {} names the column {name}, which the table does not have", rule.name);
        Err(Unfit::new(FaultCode::TransformColumnMissing, message))
    }

    fn mask(&mut self, rule: &'a Rule, at: usize, mask: &'a Arc<Mask>) -> Result<(), Unfit> {
        let source = &self.schema.columns[at];
        let before = self.columns[at].masked.replace((rule, mask)).map(|(before, _)| before);
        once(before, rule, &format!("mask the column {}", source.name))?;
        if mask.blurs() && self.schema.key.contains(&(at as u16)) {
            let message = format!(
                "the rule {} would mask the key column {} by {}, and rows of different keys could look the same",
                rule.name,
                source.name,
                mask.word()
            );
            return Err(Unfit::new(FaultCode::TransformKeyColumn, message));
        }
        let Some(Column { logical, tinyint1, .. }) = mask.shows(source) else {
            let message = format!(
                "the rule {} cannot mask the column {} by {}: its type has no such form",
                rule.name,
                source.name,
                mask.word()
            );
            return Err(Unfit::new(FaultCode::TransformUnfit, message));
        };
        (self.columns[at].shown.logical, self.columns[at].shown.tinyint1) = (logical, tinyint1);
        Ok(())
    }

    fn done(self) -> Result<(Shown, Vec<Masked>), Unfit> {
        for (column, source) in self.columns.iter().zip(&self.schema.columns) {
            if let Some(dropping) = column.dropped
                && let Some(other) = column.masked.map(|(rule, _)| rule).or(column.renamed)
            {
                let message = format!(
                    "the rules {} and {} drop the column {} and keep it otherwise",
                    dropping.name, other.name, source.name
                );
                return Err(Unfit::new(FaultCode::TransformUnfit, message));
            }
        }
        let masks = self.columns.iter().zip(&self.schema.columns).enumerate().filter_map(|(at, (column, source))| {
            let (_, mask) = column.masked?;
            Some(Masked { column: at as u16, logical: source.logical.clone(), mask: Arc::clone(mask) })
        });
        let masks: Vec<Masked> = masks.collect();
        let kept = self.columns.into_iter().enumerate().filter(|(_, column)| column.dropped.is_none());
        let columns: Vec<ShownColumn> = kept
            .map(|(at, column)| ShownColumn {
                cell: at as u16,
                is_blurred: column.masked.is_some_and(|(_, mask)| mask.blurs()),
                column: column.shown,
            })
            .collect();
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].iter().any(|other| other.column.name == column.column.name) {
                let message = format!("two columns would be called {}", column.column.name);
                return Err(Unfit::new(FaultCode::TransformUnfit, message));
            }
        }
        if columns.is_empty() {
            let message = "every column would be dropped".to_owned();
            return Err(Unfit::new(FaultCode::TransformUnfit, message));
        }
        let is_whole = columns.iter().map(|column| &column.column).eq(&self.schema.columns) && masks.is_empty();
        if is_whole && self.renamed.is_none() && self.routed.is_none() {
            return Ok((Shown::AsIs, masks));
        }
        Ok((Shown::As(Arc::new(ShownTable { columns, target: self.target })), masks))
    }
}

/// Two rules that say different things of one table or column contradict each other, whichever came first.
fn once(before: Option<&Rule>, now: &Rule, what: &str) -> Result<(), Unfit> {
    let Some(before) = before else { return Ok(()) };
    let message = match before.name == now.name {
        true => format!("the rule {} would {what} twice", now.name),
        false => format!("the rules {} and {} both {what}", before.name, now.name),
    };
    Err(Unfit::new(FaultCode::TransformUnfit, message))
}

#[cfg(test)]
pub(crate) mod tests;

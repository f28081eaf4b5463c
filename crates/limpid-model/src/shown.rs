//! How a table is shown to those behind the transforms.
//!
//! Owns: which columns are shown, as what, and where the table's rows go. Does not own: the table itself (`schema`), who
//! decides (the transforms), what is made of it (the codecs).
//!
//! Invariant: cells stay where the source's table has them; what is shown points at them. Only shown columns leave us, in
//! records and in what is kept of rows that could not be delivered.

use std::sync::Arc;

use crate::schema::{Column, TableName};

/// How one table version of a batch is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// As the source has it.
    #[default]
    AsIs,
    /// Otherwise.
    As(Arc<ShownTable>),
    /// Not at all: a transform does not fit it, and its table halts.
    Withheld,
}

/// A table as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTable {
    /// In the order of the source's columns.
    pub columns: Vec<ShownColumn>,
    pub target: Target,
}

/// One column as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownColumn {
    /// Index of the source's column, in whose place the cells stand.
    pub cell: u16,
    pub column: Column,
    /// Two values may be shown as one: the column can be no part of a key.
    pub is_blurred: bool,
}

/// Where a table's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is called there.
    pub name: TableName,
    /// A topic's template, in the place of the sink's own.
    pub topic: Option<Arc<str>>,
    /// Other tables' rows may go to the same place.
    pub is_shared: bool,
}

impl Target {
    /// Where the rows of a table go that no transform sends elsewhere.
    pub fn of(name: &TableName) -> Self {
        Self { name: name.clone(), topic: None, is_shared: false }
    }
}

/// What is shown of a batch's table that nothing was said of.
pub(crate) static AS_IS: Shown = Shown::AsIs;

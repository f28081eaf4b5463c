//! From a table's definition in the history to the facts that the log leaves out.
//!
//! Owns: the conversion. Does not own: definitions (`history`), layouts (`mapping`).
//!
//! Invariant: one fact for each column of a full row image, in its order.

use crate::charset::Charset;
use crate::ddl::{GeometryKind, NativeType, VersioningRole};
use crate::history::{ColumnDefinition, ImageColumn, TableDefinition};
use crate::mapping::{ColumnFacts, Special, TableFacts};

/// What is known of a table besides its table map.
pub fn table_facts(table: &TableDefinition) -> TableFacts {
    let image = table.row_image();
    let columns = image.iter().map(|column| image_facts(table, *column)).collect();
    let place = |index: usize| image.iter().position(|column| *column == ImageColumn::Column(index));
    let key = table.row_key().into_iter().map(|index| place(index).map(|place| place as u16));
    TableFacts { columns, key: key.collect::<Option<_>>().unwrap_or_default() }
}

fn image_facts(table: &TableDefinition, column: ImageColumn) -> ColumnFacts {
    let hidden = |name: &str| ColumnFacts { name: name.into(), hidden: true, ..ColumnFacts::default() };
    match column {
        ImageColumn::Column(index) => column_facts(&table.columns[index]),
        ImageColumn::KeyExpression(_) => hidden("!key_expression"),
        ImageColumn::RowStart => hidden("row_start"),
        ImageColumn::RowEnd => ColumnFacts { row_end: true, ..hidden("row_end") },
        ImageColumn::RowHash => hidden("!row_hash"),
    }
}

fn column_facts(column: &ColumnDefinition) -> ColumnFacts {
    let mut facts = ColumnFacts {
        name: column.name.as_str().into(),
        nullable: column.nullable,
        row_end: column.versioning == Some(VersioningRole::RowEnd),
        charset: column.charset.as_ref().map(|charset| Charset::of_name(&charset.charset)),
        ..ColumnFacts::default()
    };
    match &column.native {
        NativeType::Int { unsigned, tinyint1, .. } => {
            facts.unsigned = *unsigned;
            if *tinyint1 {
                facts.special = Special::TinyInt1;
            }
        }
        NativeType::Enum { members } | NativeType::Set { members } => {
            facts.members = members.iter().map(|member| member.as_str().into()).collect();
        }
        NativeType::Uuid => facts.special = Special::Uuid,
        NativeType::Inet4 => facts.special = Special::Inet4,
        NativeType::Inet6 => facts.special = Special::Inet6,
        NativeType::Vector { dimensions } => facts.special = Special::Vector(*dimensions),
        NativeType::Geometry { kind: GeometryKind::Point, .. } => facts.special = Special::Point,
        NativeType::Binary { .. } | NativeType::Varbinary { .. } | NativeType::Blob { .. } => {
            facts.charset = Some(Charset::Binary);
        }
        _ => {}
    }
    facts
}

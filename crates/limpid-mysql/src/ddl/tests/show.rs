//! A statement's effects in one line, for the expectations.

use crate::ddl::*;

pub(super) fn statement(statement: &Statement) -> String {
    let mut words = vec![match &statement.kind {
        Kind::Transaction(class) => format!("{class:?}"),
        Kind::Ddl => "ddl".to_owned(),
        Kind::Dml => "dml".to_owned(),
        Kind::Other => "other".to_owned(),
        Kind::Unknown => "unknown".to_owned(),
    }];
    if !statement.written.is_empty() {
        words.push(format!("writes {}", joined(&statement.written, |table| table.to_string())));
    }
    words.extend(statement.effects.iter().map(effect));
    for doubt in &statement.doubts {
        let table = doubt.table.as_ref().map_or("?".to_owned(), ToString::to_string);
        words.push(format!("doubt {table}"));
    }
    words.join("; ")
}

fn joined<T>(items: &[T], show: impl FnMut(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn when(condition: bool, word: &str) -> String {
    if condition { format!(" {word}") } else { String::new() }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::CreateDatabase { name, or_replace, if_not_exists, charset } => {
            format!("+db {name}{}{}{}", when(*or_replace, "replace"), when(*if_not_exists, "maybe"), clause(charset))
        }
        Effect::AlterDatabase { name, charset } => format!("db {name}{}", clause(charset)),
        Effect::DropDatabase { name } => format!("-db {name}"),
        Effect::CreateTable { table, or_replace, if_not_exists, columns, keys, periods, options, selects } => format!(
            "+{table}{}{} ({}){}{}{}{}",
            when(*or_replace, "replace"),
            when(*if_not_exists, "maybe"),
            joined(columns, column),
            keys.iter().map(|found| format!(" {}", key(found))).collect::<String>(),
            periods.iter().map(|period| format!(" period {} {:?}", period.name, period.columns)).collect::<String>(),
            table_options(options),
            when(*selects, "select"),
        ),
        Effect::CreateTableLike { table, like, or_replace, if_not_exists } => {
            format!("+{table} like {like}{}{}", when(*or_replace, "replace"), when(*if_not_exists, "maybe"))
        }
        Effect::AlterTable { table, if_exists, alterations } => {
            format!("{table}{}: {}", when(*if_exists, "maybe"), joined(alterations, alteration))
        }
        Effect::DropTable { table, if_exists } => format!("-{table}{}", when(*if_exists, "maybe")),
        Effect::RenameTable { from, to, if_exists } => format!("{from} > {to}{}", when(*if_exists, "maybe")),
        Effect::TruncateTable { table } => format!("truncate {table}"),
        Effect::CreateSequence { table, or_replace, if_not_exists } => {
            format!("+sequence {table}{}{}", when(*or_replace, "replace"), when(*if_not_exists, "maybe"))
        }
        Effect::TemporaryTable { table } => format!("temporary {table}"),
        Effect::RowsChanged { table, how } => format!("{how:?} {table}"),
    }
}

fn clause(clause: &CharsetClause) -> String {
    let charset = clause.charset.as_ref().map(|name| format!(" cs={name}")).unwrap_or_default();
    let collation = clause.collation.as_ref().map(|name| format!(" co={name}")).unwrap_or_default();
    format!("{charset}{collation}{}", when(clause.binary, "binary"))
}

fn table_options(options: &TableOptions) -> String {
    let engine = options.engine.as_ref().map(|name| format!(" engine={name}")).unwrap_or_default();
    let versioning = when(options.system_versioning, "versioned");
    format!("{engine}{}{versioning}{}", clause(&options.charset), when(options.sequence, "sequence"))
}

fn column(column: &ColumnSpec) -> String {
    let generated = column.generated.map(|how| format!(" {how:?}").to_lowercase()).unwrap_or_default();
    let versioning = column.versioning.map(|role| format!(" {role:?}")).unwrap_or_default();
    let length = column.declared.text_length.map(|length| format!("({length})")).unwrap_or_default();
    format!(
        "{} {}{length}{}{}{generated}{}{}{versioning}",
        column.name,
        native(&column.declared.native),
        clause(&column.declared.charset),
        when(!column.nullable, "!"),
        when(column.invisible, "invisible"),
        when(column.auto_increment, "auto"),
    )
}

fn native(native: &NativeType) -> String {
    let digits = |digits: &Option<(u8, u8)>| digits.map(|(m, d)| format!("({m},{d})")).unwrap_or_default();
    match native {
        NativeType::Int { bits, unsigned, zerofill, tinyint1 } => {
            let sign = if *unsigned { "u" } else { "i" };
            let zerofill = zerofill.map(|width| format!(" zero{width}")).unwrap_or_default();
            format!("{sign}{bits}{zerofill}{}", when(*tinyint1, "(1)"))
        }
        NativeType::Float { digits: md, unsigned, zerofill } => {
            format!("float{}{}{}", digits(md), when(*unsigned, "u"), when(*zerofill, "zero"))
        }
        NativeType::Double { digits: md, unsigned, zerofill } => {
            format!("double{}{}{}", digits(md), when(*unsigned, "u"), when(*zerofill, "zero"))
        }
        NativeType::Decimal { precision, scale, unsigned, zerofill } => {
            format!("decimal({precision},{scale}){}{}", when(*unsigned, "u"), when(*zerofill, "zero"))
        }
        NativeType::Char { length } => format!("char({length})"),
        NativeType::Varchar { length, compressed } => format!("varchar({length}){}", when(*compressed, "compressed")),
        NativeType::Text { size, compressed } => format!("{size:?}Text{}", when(*compressed, "compressed")),
        NativeType::Binary { length } => format!("binary({length})"),
        NativeType::Varbinary { length, compressed } => {
            format!("varbinary({length}){}", when(*compressed, "compressed"))
        }
        NativeType::Blob { size, compressed } => format!("{size:?}Blob{}", when(*compressed, "compressed")),
        NativeType::Enum { members } => format!("enum{members:?}"),
        NativeType::Set { members } => format!("set{members:?}"),
        NativeType::Time { fsp } => format!("time({fsp})"),
        NativeType::DateTime { fsp } => format!("datetime({fsp})"),
        NativeType::Timestamp { fsp } => format!("timestamp({fsp})"),
        NativeType::Bit { width } => format!("bit({width})"),
        NativeType::Vector { dimensions } => format!("vector({dimensions})"),
        NativeType::Geometry { kind, srid } => {
            let srid = srid.map(|srid| format!(" srid {srid}")).unwrap_or_default();
            format!("{kind:?}{srid}")
        }
        NativeType::Unknown { name } => format!("?{name}"),
        NativeType::Date
        | NativeType::Year
        | NativeType::Json
        | NativeType::Uuid
        | NativeType::Inet4
        | NativeType::Inet6 => format!("{native:?}").to_lowercase(),
    }
}

fn key(key: &KeySpec) -> String {
    let parts = joined(&key.parts, |part| match part {
        KeyPartSpec::Column { name, prefix: None } => name.clone(),
        KeyPartSpec::Column { name, prefix: Some(prefix) } => format!("{name}({prefix})"),
        KeyPartSpec::Expression => "<>".to_owned(),
        KeyPartSpec::Period(name) => format!("{name} without overlaps"),
    });
    let name = key.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let kind = format!("{:?}", key.kind).to_lowercase();
    format!("{kind}{name}[{parts}]{}{}", when(key.using_hash, "hash"), when(key.if_not_exists, "maybe"))
}

fn alteration(alteration: &Alteration) -> String {
    let place = |position: &Position| match position {
        Position::Last => String::new(),
        Position::First => " first".to_owned(),
        Position::After(name) => format!(" after {name}"),
    };
    match alteration {
        Alteration::AddColumn { column: added, position, if_not_exists } => {
            format!("+{}{}{}", column(added), place(position), when(*if_not_exists, "maybe"))
        }
        Alteration::ChangeColumn { from, column: changed, position, if_exists } => {
            format!("{from} = {}{}{}", column(changed), place(position), when(*if_exists, "maybe"))
        }
        Alteration::DropColumn { name, if_exists } => format!("-{name}{}", when(*if_exists, "maybe")),
        Alteration::RenameColumn { from, to, if_exists } => format!("{from} > {to}{}", when(*if_exists, "maybe")),
        Alteration::SetInvisible { name, invisible } => format!("{name} invisible={invisible}"),
        Alteration::AddKey(added) => format!("+{}", key(added)),
        Alteration::DropPrimaryKey => "-primary".to_owned(),
        Alteration::DropKey { name, if_exists } => format!("-key {name}{}", when(*if_exists, "maybe")),
        Alteration::DropConstraint { name } => format!("-constraint {name}"),
        Alteration::RenameKey { from, to, if_exists } => format!("key {from} > {to}{}", when(*if_exists, "maybe")),
        Alteration::AddPeriod(period) => format!("+period {} {:?}", period.name, period.columns),
        Alteration::DropPeriod { name } => format!("-period {name}"),
        Alteration::ConvertCharset(to) => format!("convert{}", clause(to)),
        Alteration::Options(options) => format!("options{}", table_options(options)),
        Alteration::AddSystemVersioning => "+versioning".to_owned(),
        Alteration::DropSystemVersioning => "-versioning".to_owned(),
        Alteration::RenameTo(to) => format!("to {to}"),
        Alteration::Rebuild => "rebuild".to_owned(),
    }
}

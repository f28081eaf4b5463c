//! Reads a column's definition.
//!
//! Owns: the attributes behind a column's name, and the keys that stand among them.
//! Does not own: types (`native`), keys of the table (`key`).
//!
//! Invariant: stops before the `,`, `)`, FIRST or AFTER that ends the definition.

use super::cursor::{Cursor, is_word};
use super::effect::{ColumnSpec, DeclaredType, Generated, KeyKind, KeyPartSpec, KeySpec, VersioningRole};
use super::native::{self, NativeType};
use super::{Flavor, ScanContext};

/// A definition under way.
struct Draft {
    spec: ColumnSpec,
    /// As written; `None` leaves it to the type and the session.
    nullable: Option<bool>,
    keys: Vec<KeySpec>,
}

/// At a column's name. Returns the column and the keys that its definition makes.
pub(super) fn scan(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>) -> Option<(ColumnSpec, Vec<KeySpec>)> {
    let name = cursor.identifier()?;
    // MySQL takes a table's name before the column's.
    let name = if cursor.eat_punct(b'.') { cursor.name()? } else { name };
    definition(cursor, ctx, name)
}

/// Behind a column's name.
pub(super) fn definition(
    cursor: &mut Cursor<'_>,
    ctx: &ScanContext<'_>,
    name: String,
) -> Option<(ColumnSpec, Vec<KeySpec>)> {
    let declared = native::parse(cursor, ctx)?;
    let mut draft = Draft {
        spec: ColumnSpec {
            name,
            declared,
            nullable: true,
            generated: None,
            invisible: false,
            auto_increment: false,
            versioning: None,
        },
        nullable: None,
        keys: Vec::new(),
    };
    if draft.spec.declared.serial {
        draft.serial();
    }
    while !ends(cursor) {
        attribute(cursor, ctx, &mut draft);
    }
    Some(draft.finish(ctx))
}

/// Behind the last attribute: partitions may follow in ALTER TABLE, with KEY among their words.
fn ends(cursor: &Cursor<'_>) -> bool {
    cursor.at_end()
        || cursor.at_punct(b',')
        || cursor.at_punct(b')')
        || cursor.at_any(&["FIRST", "AFTER", "PARTITION"])
        || (cursor.at_word("REMOVE") && is_word(cursor.ahead(), "PARTITIONING"))
}

impl Draft {
    fn serial(&mut self) {
        self.nullable = Some(false);
        self.spec.auto_increment = true;
        self.add_key(KeyKind::Unique);
    }

    fn add_key(&mut self, kind: KeyKind) {
        let parts = vec![KeyPartSpec::Column { name: self.spec.name.clone(), prefix: None }];
        self.keys.push(KeySpec { kind, name: None, parts, using_hash: false, if_not_exists: false });
    }

    fn finish(mut self, ctx: &ScanContext<'_>) -> (ColumnSpec, Vec<KeySpec>) {
        let timestamp = matches!(self.spec.declared.native, NativeType::Timestamp { .. });
        let row_time = matches!(self.spec.versioning, Some(VersioningRole::RowStart | VersioningRole::RowEnd));
        // A generated TIMESTAMP has no default to give, so the old rule leaves it alone.
        let by_default = !(timestamp && !ctx.explicit_defaults_for_timestamp && self.spec.generated.is_none());
        self.spec.nullable = self.nullable.unwrap_or(by_default) && !row_time && !self.spec.auto_increment;
        // MariaDB makes one key of `PRIMARY KEY UNIQUE`, MySQL two.
        if ctx.flavor == Flavor::MariaDb && self.keys.iter().any(|key| key.kind == KeyKind::Primary) {
            self.keys.retain(|key| key.kind != KeyKind::Unique);
        }
        (self.spec, self.keys)
    }
}

fn attribute(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, draft: &mut Draft) {
    if native::modifier(cursor, &mut draft.spec.declared) || nullability(cursor, draft) || keyed(cursor, ctx, draft) {
        return;
    }
    if generation(cursor, draft) || versioning(cursor, draft) {
        return;
    }
    if cursor.eat_word("COLLATE") {
        cursor.eat_punct(b'=');
        draft.spec.declared.charset.collation = cursor.name().map(|name| name.to_lowercase());
    } else if cursor.eat_word("INVISIBLE") {
        draft.spec.invisible = true;
    } else if cursor.eat_word("VISIBLE") {
        draft.spec.invisible = false;
    } else if cursor.eat_word("DEFAULT") {
        skip_default(cursor);
    } else if cursor.eat_words(&["ON", "UPDATE"]) {
        cursor.bump();
        cursor.skip_parens();
    } else if cursor.eat_any(&["SRID", "REF_SYSTEM_ID"]) {
        cursor.eat_punct(b'=');
        let number = cursor.number();
        if ctx.flavor == Flavor::MySql {
            set_srid(number, &mut draft.spec.declared);
        }
    } else if cursor.eat_any(&["COMMENT", "COLUMN_FORMAT", "STORAGE"]) {
        cursor.eat_punct(b'=');
        cursor.bump();
    } else if cursor.eat_word("CONSTRAINT") {
        if !cursor.at_word("CHECK") {
            cursor.name();
        }
    } else if cursor.eat_word("CHECK") {
        cursor.skip_parens();
        cursor.eat_word("NOT");
        cursor.eat_word("ENFORCED");
    } else {
        // An attribute that is not known: `name`, `name(..)` or `name = value`.
        cursor.skip_item();
        cursor.skip_parens();
        if cursor.eat_punct(b'=') {
            cursor.bump();
        }
    }
}

/// MariaDB's catalogue does not tell a column's SRID, and every value carries its own.
fn set_srid(number: Option<u64>, declared: &mut DeclaredType) {
    if let NativeType::Geometry { srid, .. } = &mut declared.native {
        *srid = number.and_then(|number| u32::try_from(number).ok());
    }
}

fn nullability(cursor: &mut Cursor<'_>, draft: &mut Draft) -> bool {
    if cursor.eat_words(&["NOT", "NULL"]) {
        draft.nullable = Some(false);
    } else if cursor.eat_word("NULL") {
        draft.nullable = Some(true);
    } else if cursor.eat_word("AUTO_INCREMENT") {
        draft.spec.auto_increment = true;
    } else if cursor.eat_words(&["SERIAL", "DEFAULT", "VALUE"]) {
        draft.serial();
    } else {
        return false;
    }
    true
}

fn keyed(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, draft: &mut Draft) -> bool {
    if cursor.eat_word("UNIQUE") {
        cursor.eat_word("KEY");
        draft.add_key(KeyKind::Unique);
    } else if cursor.eat_words(&["PRIMARY", "KEY"]) || cursor.eat_word("KEY") {
        draft.add_key(KeyKind::Primary);
        draft.nullable = Some(false);
    } else if cursor.eat_word("REFERENCES") {
        cursor.table_name(ctx);
        cursor.skip_parens();
        while cursor.eat_any(&["MATCH", "ON"]) {
            cursor.eat_any(&["DELETE", "UPDATE"]);
            if !cursor.eat_any(&["SET", "NO"]) {
                cursor.bump();
                continue;
            }
            cursor.bump();
        }
        // MySQL reads and forgets a foreign key in a column's definition; MariaDB makes it since 10.5.
        if ctx.flavor == Flavor::MariaDb && ctx.version >= 100_500 {
            draft.add_key(KeyKind::Foreign);
        }
    } else {
        return false;
    }
    true
}

/// `[GENERATED ALWAYS] AS (expression) [VIRTUAL | STORED | PERSISTENT]`, or `AS ROW START | END`.
fn generation(cursor: &mut Cursor<'_>, draft: &mut Draft) -> bool {
    cursor.eat_words(&["GENERATED", "ALWAYS"]);
    if cursor.eat_word("AS") {
        if cursor.eat_words(&["ROW", "START"]) {
            draft.spec.versioning = Some(VersioningRole::RowStart);
        } else if cursor.eat_words(&["ROW", "END"]) {
            draft.spec.versioning = Some(VersioningRole::RowEnd);
        } else {
            cursor.skip_parens();
            draft.spec.generated = Some(Generated::Virtual);
        }
    } else if cursor.eat_any(&["STORED", "PERSISTENT"]) {
        draft.spec.generated = Some(Generated::Stored);
    } else if cursor.eat_word("VIRTUAL") {
        draft.spec.generated = Some(Generated::Virtual);
    } else {
        return false;
    }
    true
}

fn versioning(cursor: &mut Cursor<'_>, draft: &mut Draft) -> bool {
    if cursor.eat_words(&["WITHOUT", "SYSTEM", "VERSIONING"]) {
        draft.spec.versioning = Some(VersioningRole::Unversioned);
        return true;
    }
    let versioned = cursor.eat_words(&["WITH", "SYSTEM", "VERSIONING"]);
    if versioned {
        draft.spec.versioning = Some(VersioningRole::Versioned);
    }
    versioned
}

/// Words that cannot go on with a default's expression outside parentheses.
const AFTER_DEFAULT: &[&str] = &[
    "NOT",
    "NULL",
    "AUTO_INCREMENT",
    "PRIMARY",
    "UNIQUE",
    "KEY",
    "COMMENT",
    "COLLATE",
    "COLUMN_FORMAT",
    "STORAGE",
    "GENERATED",
    "AS",
    "ON",
    "REFERENCES",
    "CHECK",
    "CONSTRAINT",
    "INVISIBLE",
    "VISIBLE",
    "SRID",
    "REF_SYSTEM_ID",
    "COMPRESSED",
    "WITH",
    "WITHOUT",
    "FIRST",
    "AFTER",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
];

/// Behind DEFAULT. MariaDB takes expressions without parentheses.
fn skip_default(cursor: &mut Cursor<'_>) {
    let mut cases = usize::from(cursor.at_word("CASE"));
    cursor.skip_item();
    while !cursor.at_end() && !cursor.at_punct(b',') && !cursor.at_punct(b')') {
        if cases == 0 && cursor.at_any(AFTER_DEFAULT) {
            return;
        }
        if cursor.at_word("CASE") {
            cases += 1;
        } else if cursor.at_word("END") {
            cases = cases.saturating_sub(1);
        }
        cursor.skip_item();
    }
}

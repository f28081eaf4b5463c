//! The words behind a column's type that belong to it.
//!
//! Owns: UNSIGNED, ZEROFILL, character sets, COMPRESSED. Does not own: the types (`native`), a column's other
//! attributes (`column`).
//!
//! Invariant: a word that is none of these is left where it stands.

use super::NativeType;
use crate::ddl::cursor::Cursor;
use crate::ddl::effect::DeclaredType;

/// One attribute that belongs to the type. Returns false, without a step, at anything else.
pub(in crate::ddl) fn modifier(cursor: &mut Cursor<'_>, declared: &mut DeclaredType) -> bool {
    if cursor.eat_word("UNSIGNED") {
        set_unsigned(&mut declared.native);
    } else if cursor.eat_word("ZEROFILL") {
        set_zerofill(declared);
    } else if cursor.eat_word("SIGNED") {
    } else if let Some(name) = charset_name(cursor) {
        declared.charset.charset = Some(name);
    } else if cursor.eat_word("ASCII") {
        declared.charset.charset = Some("latin1".to_owned());
    } else if cursor.eat_word("UNICODE") {
        declared.charset.charset = Some("ucs2".to_owned());
    } else if cursor.eat_word("BYTE") {
        declared.charset.charset = Some("binary".to_owned());
    } else if cursor.eat_word("BINARY") {
        declared.charset.binary = true;
    } else if cursor.at_word("COMPRESSED") {
        cursor.bump();
        if cursor.eat_punct(b'=') {
            cursor.bump();
        }
        set_compressed(&mut declared.native);
    } else {
        return false;
    }
    true
}

/// `CHARACTER SET x`, `CHAR SET x`, `CHARSET x`, each with an optional `=`.
pub(in crate::ddl) fn charset_name(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut copy = *cursor;
    let found = copy.eat_word("CHARSET") || (copy.eat_any(&["CHARACTER", "CHAR"]) && copy.eat_word("SET"));
    if !found {
        return None;
    }
    copy.eat_punct(b'=');
    let name = copy.name()?.to_lowercase();
    *cursor = copy;
    Some(name)
}

fn set_unsigned(native: &mut NativeType) {
    match native {
        NativeType::Int { unsigned, .. }
        | NativeType::Float { unsigned, .. }
        | NativeType::Double { unsigned, .. }
        | NativeType::Decimal { unsigned, .. } => *unsigned = true,
        _ => {}
    }
}

/// ZEROFILL makes UNSIGNED.
fn set_zerofill(declared: &mut DeclaredType) {
    set_unsigned(&mut declared.native);
    match &mut declared.native {
        NativeType::Int { bits, zerofill, .. } => {
            let widest = match bits {
                8 => 3,
                16 => 5,
                24 => 8,
                32 => 10,
                _ => 20,
            };
            *zerofill = Some(declared.display_width.unwrap_or(widest));
        }
        NativeType::Float { zerofill, .. }
        | NativeType::Double { zerofill, .. }
        | NativeType::Decimal { zerofill, .. } => {
            *zerofill = true;
        }
        _ => {}
    }
}

fn set_compressed(native: &mut NativeType) {
    match native {
        NativeType::Varchar { compressed, .. }
        | NativeType::Varbinary { compressed, .. }
        | NativeType::Text { compressed, .. }
        | NativeType::Blob { compressed, .. } => *compressed = true,
        _ => {}
    }
}

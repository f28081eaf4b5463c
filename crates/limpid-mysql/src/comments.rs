//! The trace that an application names in a comment of its SQL.
//!
//! Owns: finding comments in a statement and `traceparent` in them. Does not own: which events hold statements
//! (`assemble`), what becomes of a context (`limpid-telemetry`).
//!
//! Invariant: nothing that stands in a string or in a quoted name is ever taken for a comment, and what is not a whole,
//! valid context is none. Statements are anybody's bytes: every search ends, none goes over its text twice.
//!
//! Comments as MySQL's and MariaDB's manuals have them (`/* */`, `# `, `-- `; `/*! */` and `/*M! */` are SQL, `/*+ */` are
//! hints); keys as sqlcommenter writes them; the context as W3C's Trace Context, level 1, section 3.2.

use limpid_model::TraceContext;

/// A statement that names more of them is no application's, and is read no further.
const CONTEXTS_MAX: usize = 8;

/// Beyond so many bytes a statement is not looked through: half at its beginning and half at its end, where comments are put.
const TEXT_MAX: usize = 64 * 1024;

const NAME: &[u8] = b"traceparent";

/// The contexts that the comments of a statement name, each once.
pub(crate) fn contexts(sql: &[u8]) -> Vec<TraceContext> {
    let mut found = Vec::new();
    // Most statements have none, and that is seen at once.
    if !has_name(sql) {
        return found;
    }
    if sql.len() <= TEXT_MAX {
        scan(sql, &mut found);
    } else {
        scan(&sql[..TEXT_MAX / 2], &mut found);
        tail(&sql[sql.len() - TEXT_MAX / 2..], &mut found);
    }
    found
}

fn has_name(text: &[u8]) -> bool {
    // The rarest letter of the name first.
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == b'p').map(|at| at + from) {
        // `p` is the name's sixth letter.
        if at >= 5 && text[at - 5..].starts_with(NAME) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// The end of a long statement, begun in the middle of who knows what: only a comment that closes it is taken.
fn tail(text: &[u8], found: &mut Vec<TraceContext>) {
    let trimmed = text.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b";").map_or(trimmed, <[u8]>::trim_ascii_end);
    let Some(inside) = trimmed.strip_suffix(b"*/") else { return };
    if let Some(start) = inside.windows(2).rposition(|pair| pair == b"/*") {
        let comment = &inside[start + 2..];
        if !matches!(comment.first(), Some(b'!' | b'+' | b'M')) {
            pairs(comment, found);
        }
    }
}

fn scan(sql: &[u8], found: &mut Vec<TraceContext>) {
    let mut at = 0;
    while let Some(&byte) = sql.get(at) {
        let rest = &sql[at..];
        at += match byte {
            b'\'' | b'"' | b'`' => quoted(rest),
            b'#' => line(rest, found),
            // MySQL wants a space or a control character behind it, or the end.
            b'-' if rest.get(1) == Some(&b'-') && rest.get(2).is_none_or(|byte| *byte <= b' ') => line(rest, found),
            b'/' if rest.get(1) == Some(&b'*') => block(rest, found),
            _ => 1,
        };
        if found.len() >= CONTEXTS_MAX {
            return;
        }
    }
}

/// The length of what is quoted, with both quotes.
fn quoted(text: &[u8]) -> usize {
    let quote = text[0];
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            // Two quotes are one inside, which two strings side by side amount to as well.
            _ if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn line(text: &[u8], found: &mut Vec<TraceContext>) -> usize {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    pairs(&text[..end], found);
    end.max(1)
}

fn block(text: &[u8], found: &mut Vec<TraceContext>) -> usize {
    match &text[2..] {
        // What stands in it is SQL for some versions of the server; its own comments are found on the way.
        [b'!', ..] => return 3,
        [b'M', b'!', ..] => return 4,
        _ => {}
    }
    let end = text[2..].windows(2).position(|pair| pair == b"*/").map(|at| at + 2);
    let inside = &text[2..end.unwrap_or(text.len())];
    if !inside.starts_with(b"+") {
        pairs(inside, found);
    }
    end.map_or(text.len(), |end| end + 2)
}

/// `traceparent='...'` anywhere in a comment, among other pairs or words, in any quotes or none.
fn pairs(comment: &[u8], found: &mut Vec<TraceContext>) {
    let mut from = 0;
    while let Some(at) = comment[from..].windows(NAME.len()).position(|word| word == NAME).map(|at| at + from) {
        from = at + NAME.len();
        let is_word = at == 0 || !is_name(comment[at - 1]);
        if let Some(context) = value(&comment[from..]).filter(|_| is_word)
            && !found.contains(&context)
            && found.len() < CONTEXTS_MAX
        {
            found.push(context);
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// What follows the name: a sign, perhaps quotes (which may stand behind backslashes or percent signs), the context.
fn value(text: &[u8]) -> Option<TraceContext> {
    let text = unquoted(text);
    let text = text.strip_prefix(b"=").or_else(|| text.strip_prefix(b":"))?;
    let text = unquoted(text);
    // Version 00 has 55 characters; a later one may have more behind a dash.
    let field = text.get(..55)?;
    let behind = text.get(55).copied();
    let version = hex(&field[..2])?;
    let is_whole = match behind {
        None => true,
        Some(b'-') => version > 0,
        Some(byte) => !byte.is_ascii_alphanumeric(),
    };
    let dashes = [2, 35, 52].iter().all(|at| field[*at] == b'-');
    let trace_id = hex(&field[3..35])?;
    let span_id = hex(&field[36..52])? as u64;
    let flags = hex(&field[53..])?;
    let is_valid = is_whole && dashes && version != 0xff && trace_id != 0 && span_id != 0;
    is_valid.then_some(TraceContext { trace_id, span_id, is_sampled: flags & 1 == 1 })
}

/// Without the spaces and quotes at its beginning.
fn unquoted(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b' ' | b'\t' | b'\'' | b'"' | b'\\', rest @ ..] | [b'%', b'2', b'2' | b'7', rest @ ..] => rest,
            _ => return text,
        };
    }
}

/// Lower case, as the format demands.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the examples of W3C's recommendation.
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    fn found(sql: &str) -> Vec<TraceContext> {
        contexts(sql.replace("PARENT", PARENT).as_bytes())
    }

    #[test]
    fn a_context_is_found_in_every_place_and_quoting_of_a_comment() {
        let parent = TraceContext { trace_id: TRACE, span_id: SPAN, is_sampled: true };
        for sql in [
            "/*traceparent='PARENT'*/ insert into t values (1)",
            "insert into t values (1) /*traceparent='PARENT'*/",
            "insert /* traceparent=PARENT */ into t values (1)",
            "insert into t values (1) /*application='shop',traceparent='PARENT',tracestate='a%3D1'*/;",
            "insert into t values (1) /* traceparent = \"PARENT\" */",
            "insert into t values (1) -- traceparent='PARENT'",
            "-- traceparent='PARENT'\ninsert into t values (1)",
            "insert into t # traceparent:PARENT\n values (1)",
            "insert into t values ('it''s', \"a \\\" b\", '\\'') /*traceparent=\\'PARENT\\'*/",
            "insert into `a``b` values (1)/*traceparent=%27PARENT%27*/",
            "/*!40001 insert */ into t values (1) /*traceparent='PARENT'*/",
            "/*!50000 insert /*traceparent='PARENT'*/ into */ t values (1)",
            "update t set a = 1 - -1, b = a --1 /*traceparent='PARENT'*/",
        ] {
            assert_eq!(found(sql), [parent], "{sql}");
        }
    }

    #[test]
    fn what_is_no_comment_or_no_context_is_none() {
        for sql in [
            "insert into t values ('/*traceparent=PARENT*/')",
            "insert into t values (\"-- traceparent=PARENT\")",
            "insert into `/*traceparent=PARENT*/` values (1)",
            "insert into t values ('\\'/*traceparent=PARENT*/')",
            "insert into t values (1) --traceparent=PARENT",
            "insert into t values (1) /*+ traceparent=PARENT */",
            "insert into t values (1) /* xtraceparent=PARENT */",
            "insert into t values (1) /* traceparent PARENT */",
            "insert into t values (1) /* traceparent=PARENTa */",
            "insert into t values (1) /* traceparent=PARENT-x */",
            "traceparent=PARENT",
        ] {
            assert_eq!(found(sql), [], "{sql}");
        }
        let bad = [
            PARENT.replacen("00-", "ff-", 1),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace("4bf9", "4BF9"),
            PARENT.replace('-', "_"),
            PARENT[..54].to_owned(),
        ];
        for bad in bad {
            assert_eq!(contexts(format!("/* traceparent={bad} */").as_bytes()), [], "{bad}");
        }
    }

    #[test]
    fn a_later_version_may_have_more_and_what_is_not_sampled_says_so() {
        let later = PARENT.replacen("00-", "01-", 1);
        let parent = TraceContext { trace_id: TRACE, span_id: SPAN, is_sampled: true };
        assert_eq!(contexts(format!("/* traceparent={later}-more */").as_bytes()), [parent]);
        let off = format!("/* traceparent={}00 */", &PARENT[..53]);
        assert_eq!(contexts(off.as_bytes()), [TraceContext { is_sampled: false, ..parent }]);
    }

    #[test]
    fn each_context_of_a_statement_is_told_once_and_so_many_at_most() {
        let numbered = |number: usize| PARENT.replace("b7-", &format!("{number:02x}-"));
        let text: String = (1..=20).map(|number| format!("/*traceparent='{}'*/", numbered(number))).collect();
        assert_eq!(contexts(text.as_bytes()).len(), CONTEXTS_MAX);
        assert_eq!(found("/*traceparent=PARENT*/ insert /*traceparent=PARENT*/ into t").len(), 1);
    }

    #[test]
    fn of_a_long_statement_both_ends_are_looked_at() {
        let values = format!("('{}'),", "x".repeat(TEXT_MAX));
        assert_eq!(found(&format!("/*traceparent=PARENT*/ insert into t values {values}(1)")).len(), 1);
        assert_eq!(found(&format!("insert into t values {values}(1) /*traceparent=PARENT*/ ;")).len(), 1);
        assert_eq!(found(&format!("insert into t values {values}('traceparent=PARENT*/')")), []);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = 7_u64;
        for _ in 0..20_000 {
            let alphabet: &[&[u8]] = &[
                b"/*",
                b"*/",
                b"'",
                b"\"",
                b"`",
                b"\\",
                b"--",
                b" ",
                b"#",
                b"\n",
                b"!",
                NAME,
                b"=",
                PARENT.as_bytes(),
                b"\xff",
            ];
            let mut text = Vec::new();
            for _ in 0..12 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.extend_from_slice(alphabet[(random >> 33) as usize % alphabet.len()]);
            }
            let _ = contexts(&text);
        }
    }
}

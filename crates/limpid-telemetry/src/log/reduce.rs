//! Other people's words, cut where values may begin.
//!
//! Owns: what of an error's text may stand in a log. Does not own: our own sentences, which hold no values by
//! construction.
//!
//! Invariant: nothing that a server quotes leaves: neither a value (`Duplicate entry '42-secret' for key`), nor the
//! text of a statement. The beginning stays, which is where servers and libraries have their codes and their reason.
//! What this costs is a name or two; `--raw` brings everything back.

use std::error::Error;
use std::io;

use limpid_model::Fault;

/// Longest text kept of one cause.
const CHARS_MAX: usize = 200;

/// What stands in the place of what was cut.
const CUT: &str = "[...]";

/// A long run of digits is a key or a card sooner than a code.
const DIGITS_MAX: usize = 6;

/// Words with which a statement begins, or the server's quotation of one.
const STATEMENTS: [&str; 19] = [
    "ALTER", "BEGIN", "CALL", "COMMIT", "CREATE", "DELETE", "DROP", "EXECUTE", "GRANT", "INSERT", "LOAD", "RENAME",
    "REPLACE", "REVOKE", "SELECT", "SET", "TRUNCATE", "UPDATE", "WITH",
];

/// One link of a chain of causes. Our own faults stand as they are; everything else is cut.
pub(super) fn cause(cause: &(dyn Error + 'static)) -> String {
    if let Some(fault) = cause.downcast_ref::<Fault>() {
        return format!("{}: {}", fault.code(), fault);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>()
        && error.get_ref().is_none()
    {
        // The operating system's own words: nobody's data.
        return error.to_string();
    }
    text(&cause.to_string())
}

fn text(said: &str) -> String {
    let end = end(said);
    let kept: String = said[..end].chars().take(CHARS_MAX).collect();
    let mut out = without_numbers(kept.trim_end());
    if kept.len() < said.len() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(CUT);
    }
    out
}

/// Where values may begin: a quote, an assignment, a bracket, a new line, a statement.
fn end(said: &str) -> usize {
    let mut word = 0;
    for (at, c) in said.char_indices() {
        match c {
            '\'' | '"' | '`' | '=' | '{' | '[' | '<' | '\u{2018}' | '\u{201c}' => return at,
            c if c.is_control() => return at,
            '(' if !is_code(&said[at + 1..]) => return at,
            _ => {}
        }
        if !c.is_alphanumeric() && c != '_' {
            word = at + c.len_utf8();
        } else if STATEMENTS.contains(&&said[word..at + c.len_utf8()]) && ends(&said[at + c.len_utf8()..]) {
            return word;
        }
    }
    said.len()
}

fn ends(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// True where a parenthesis holds nothing but an SQLSTATE, an errno or our like: `(23000)`, `(os error 111)`.
fn is_code(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once(')') else { return false };
    let number = inside.strip_prefix("os error ").unwrap_or(inside);
    number.len() <= DIGITS_MAX && number.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - from);
        out.push_str(&rest[..from]);
        if digits > DIGITS_MAX {
            out.push('#')
        } else {
            out.push_str(&rest[from..from + digits])
        }
        rest = &rest[from + digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_quotes_never_leaves() {
        for (said, kept) in [
            ("Duplicate entry '42-ann@example.com' for key 'PRIMARY'", "Duplicate entry [...]"),
            ("ERROR 1062 (23000): Duplicate entry 'x' for key 'y'", "ERROR 1062 (23000): Duplicate entry [...]"),
            ("Key (email)=(ann@example.com) already exists.", "Key [...]"),
            ("You have an error near \"secret\"", "You have an error near [...]"),
            ("syntax error in CREATE TABLE people (ssn int default 1)", "syntax error in [...]"),
            ("DROP TABLE x", "[...]"),
            ("assertion failed\n  left: 4111111111111111", "assertion failed [...]"),
            ("no row with id 4111111111111111 here", "no row with id # here"),
            ("E11000 duplicate key error dup key: { email: 1 }", "E11000 duplicate key error dup key: [...]"),
            ("password=hunter2", "password [...]"),
        ] {
            assert_eq!(text(said), kept);
        }
    }

    #[test]
    fn a_text_that_quotes_nothing_stays() {
        for said in [
            "the server answered with error 1236 (HY000)",
            "Connection refused (os error 111)",
            "BrokerTransportFailure: Local: Broker transport failure",
            "CREATED and DROPPED are no statements",
            "invalid peer certificate: UnknownIssuer",
            "",
        ] {
            assert_eq!(text(said), said);
        }
        assert_eq!(text(&"ä".repeat(300)), format!("{} {CUT}", "ä".repeat(200)));
    }

    #[test]
    fn a_custom_io_error_is_somebodys_words_and_a_plain_one_is_not() {
        assert_eq!(cause(&io::Error::other("key 'secret'")), "key [...]");
        assert_eq!(cause(&io::Error::from_raw_os_error(111)), "Connection refused (os error 111)");
    }
}

//! Who may ask: the file of tokens.
//!
//! Owns: the form of the file, the roles, finding the token that a client shows. Does not own: what a role may do
//! (`gate`), reading the file again (`kept`).
//!
//! Invariant: what is kept of a token is its SHA-256, and the time of a search does not depend on what was shown. No fault
//! repeats what a line says.
//!
//! A line reads `NAME ROLE TOKEN`, or `NAME ROLE sha256:HEX` with the token's SHA-256. A plain hash and not a slow one:
//! a token is long and drawn by a machine, so there is nothing to guess.

use std::collections::HashSet;

use limpid_model::{Component, Fault, FaultCode};
use openssl::sha::sha256;

use crate::kept::Content;

/// What a caller may do. Ordered: each may all that the lesser may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Sees everything the API tells.
    Viewer,
    /// Changes what it can change.
    Operator,
}

/// Half of `openssl rand -hex 20`: enough that nobody guesses it over a network.
const TOKEN_CHARS_MIN: usize = 20;
const TOKEN_CHARS_MAX: usize = 512;
const NAME_CHARS_MAX: usize = 64;
/// Each request is compared with all of them: 1,000 are 20 µs.
const TOKENS_MAX: usize = 1000;
const HASHED: &str = "sha256:";

/// The tokens of one file.
pub(crate) struct Tokens(Vec<Token>);

struct Token {
    name: String,
    role: Role,
    digest: [u8; 32],
}

impl Tokens {
    /// # Errors
    /// `AUTH_FILE_INVALID`, with the line.
    pub(crate) fn parse(contents: &[Content]) -> Result<Self, Fault> {
        let mut tokens = Vec::new();
        let mut known = HashSet::new();
        for content in contents {
            let place = content.path.display();
            let fault = |line: usize, text: &str| invalid(text).about(format!("{place}:{line}"));
            let text = std::str::from_utf8(&content.bytes).map_err(|_| fault(1, "the file is not UTF-8"))?;
            for (index, line) in text.lines().enumerate() {
                let line_text = line.trim();
                if line_text.is_empty() || line_text.starts_with('#') {
                    continue;
                }
                let token = token(line_text, content.open_to_all).map_err(|text| fault(index + 1, text))?;
                if !known.insert(token.digest) {
                    return Err(fault(index + 1, "this token stands in the file twice"));
                }
                tokens.push(token);
            }
        }
        let place = contents.first().map(|content| content.path.display().to_string()).unwrap_or_default();
        match tokens.len() {
            0 => Err(invalid("there is no token in the file").about(place)),
            1..=TOKENS_MAX => Ok(Self(tokens)),
            _ => Err(invalid("there are more than 1000 tokens in the file").about(place)),
        }
    }

    /// Name and role of what a client showed.
    pub(crate) fn find(&self, shown: &[u8]) -> Option<(&str, Role)> {
        let digest = sha256(shown);
        let mut found = None;
        // To the end, whatever was found.
        for token in &self.0 {
            if openssl::memcmp::eq(&token.digest, &digest) {
                found = Some((token.name.as_str(), token.role));
            }
        }
        found
    }
}

fn invalid(text: &str) -> Fault {
    Fault::new(FaultCode::AuthFileInvalid, Component::Server, text)
}

fn token(line: &str, open_to_all: bool) -> Result<Token, &'static str> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(role), Some(token), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err("a line reads NAME ROLE TOKEN");
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if name.len() > NAME_CHARS_MAX || !name.chars().all(legal) {
        return Err("a name has up to 64 letters, digits and . _ - @");
    }
    let role = match role {
        "viewer" => Role::Viewer,
        "operator" => Role::Operator,
        _ => return Err("a role is viewer or operator"),
    };
    let digest = match token.strip_prefix(HASHED) {
        Some(hex) => digest(hex).ok_or("sha256: is followed by 64 hexadecimal digits")?,
        None if open_to_all => {
            return Err("every user of this machine can read the file: chmod 600, or write sha256:HEX");
        }
        None if !is_token(token) => return Err("a token has 20 to 512 letters, digits and - . _ ~ + / ="),
        None => sha256(token.as_bytes()),
    };
    Ok(Token { name: name.to_owned(), role, digest })
}

/// What RFC 6750 calls b68token, of a length that cannot be guessed.
pub(crate) fn is_token(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/' | '=');
    (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len()) && text.chars().all(legal)
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "0123456789abcdef0123456789abcdef";

    fn parse(text: &str, open_to_all: bool) -> Result<Tokens, (String, String)> {
        let content = Content { path: "/t".into(), bytes: text.as_bytes().to_vec(), open_to_all };
        Tokens::parse(&[content]).map_err(|fault| (fault.object().unwrap_or_default().to_owned(), fault.to_string()))
    }

    #[test]
    fn a_token_is_found_whole_and_only_whole() {
        // The hash of `hashed-token-of-bob-0123456789` as sha256sum prints it.
        let bob = "sha256:731a52b7e7dc48f2d9bd03b11a42aa85d656bb51dfd5c29685d5098f69eeda5c";
        let text = format!("# who\n\n ada  operator\t{ADA}\r\nada viewer {ADA}2\nbob viewer {bob}\n");
        let tokens = parse(&text, false).ok().unwrap();
        assert_eq!(tokens.find(ADA.as_bytes()), Some(("ada", Role::Operator)));
        assert_eq!(tokens.find(b"hashed-token-of-bob-0123456789"), Some(("bob", Role::Viewer)));
        assert_eq!(tokens.find(format!("{ADA}2").as_bytes()), Some(("ada", Role::Viewer)), "a second of one name");
        for shown in ["", "0", &ADA[1..], &format!("{ADA} "), &ADA.to_uppercase(), bob, &bob[7..]] {
            assert_eq!(tokens.find(shown.as_bytes()), None, "{shown}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_at_its_line_and_not_repeated() {
        for (text, line) in [
            ("", ""),
            ("# nobody\n", ""),
            ("ada operator\n", ":1"),
            (&format!("\nada admin {ADA}\n"), ":2"),
            (&format!("a/b viewer {ADA}\n"), ":1"),
            (&format!("ada viewer {ADA} more\n"), ":1"),
            ("ada viewer short\n", ":1"),
            (&format!("ada viewer {ADA}ü\n"), ":1"),
            ("ada viewer sha256:00\n", ":1"),
            (&format!("ada viewer sha256:{}\n", "g".repeat(64)), ":1"),
            (&format!("ada viewer {ADA}\nbob operator {ADA}\n"), ":2"),
        ] {
            let (object, said) = parse(text, false).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert_eq!(object, format!("/t{line}"), "{text}");
            assert!(!said.contains(ADA) && !said.contains("short"), "{said}");
        }
    }

    #[test]
    fn a_file_that_all_can_read_may_hold_hashes_only() {
        assert!(parse(&format!("ada viewer {ADA}\n"), true).is_err());
        assert!(parse(&format!("ada viewer sha256:{}\n", "0".repeat(64)), true).is_ok());
    }
}

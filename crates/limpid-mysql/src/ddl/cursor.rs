//! Walks the tokens of a statement.
//!
//! Owns: one token of look-ahead, names, and the ways to step over what nobody needs.
//! Does not own: what a clause means (`create`, `alter`, `dml`).
//!
//! Invariant: every `skip_*` ends at `Token::End` at the latest, whatever the parentheses claim.

use limpid_model::TableName;

use super::ScanContext;
use super::token::{Dialect, Lexer, Token, unhex, unquote};

#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(sql: &'a [u8], ctx: &ScanContext<'_>) -> Self {
        let mut lexer = Lexer::new(sql, Dialect::of(ctx));
        let token = lexer.next();
        Self { lexer, token }
    }

    pub(super) fn token(&self) -> Token<'a> {
        self.token
    }

    /// Returns the token and steps over it.
    pub(super) fn bump(&mut self) -> Token<'a> {
        std::mem::replace(&mut self.token, self.lexer.next())
    }

    /// The token after the present one.
    pub(super) fn ahead(&self) -> Token<'a> {
        let mut copy = *self;
        copy.bump();
        copy.token
    }

    pub(super) fn at_end(&self) -> bool {
        self.token == Token::End
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        is_word(self.token, word)
    }

    pub(super) fn at_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at_word(word))
    }

    pub(super) fn at_punct(&self, byte: u8) -> bool {
        self.token == Token::Punct(byte)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.bump();
        }
        found
    }

    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat_word(word))
    }

    /// All of `words` in a row, or none.
    pub(super) fn eat_words(&mut self, words: &[&str]) -> bool {
        let mut copy = *self;
        let found = words.iter().all(|word| copy.eat_word(word));
        if found {
            *self = copy;
        }
        found
    }

    pub(super) fn eat_punct(&mut self, byte: u8) -> bool {
        let found = self.at_punct(byte);
        if found {
            self.bump();
        }
        found
    }

    /// A name, quoted or not; a number counts where a name is due (`db.1`).
    pub(super) fn name(&mut self) -> Option<String> {
        let bytes = match self.token {
            Token::Word(word) | Token::Number(word) => word.to_vec(),
            Token::Quoted { raw, quote } => unquote(raw, quote, false),
            // Under ANSI_QUOTES off, "x" is a string, and MySQL takes one for an alias or an option's value.
            Token::Text { raw, quote } => unquote(raw, quote, self.lexer.dialect().backslash_escapes()),
            _ => return None,
        };
        self.bump();
        Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A name that is not a string.
    pub(super) fn identifier(&mut self) -> Option<String> {
        if matches!(self.token, Token::Text { .. } | Token::Number(_)) { None } else { self.name() }
    }

    /// `table`, `schema.table` or `.table`.
    pub(super) fn table_name(&mut self, ctx: &ScanContext<'_>) -> Option<TableName> {
        if self.eat_punct(b'.') {
            return Some(ctx.table_name(ctx.default_schema, &self.name()?));
        }
        let first = self.identifier()?;
        if !self.eat_punct(b'.') {
            return Some(ctx.table_name(ctx.default_schema, &first));
        }
        Some(ctx.table_name(&first, &self.name()?))
    }

    /// A string's or literal's bytes; `None` elsewhere, without a step.
    pub(super) fn text(&mut self) -> Option<Vec<u8>> {
        let bytes = match self.token {
            Token::Text { raw, quote } => unquote(raw, quote, self.lexer.dialect().backslash_escapes()),
            Token::Hex(digits) => unhex(digits),
            Token::Bits(digits) => bits(digits),
            _ => return None,
        };
        self.bump();
        Some(bytes)
    }

    /// A whole number; what does not fit in 64 bits is `None`, stepped over all the same.
    pub(super) fn number(&mut self) -> Option<u64> {
        let Token::Number(digits) = self.token else { return None };
        self.bump();
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// At `(`: to behind its `)`.
    pub(super) fn skip_parens(&mut self) {
        if !self.at_punct(b'(') {
            return;
        }
        let mut depth = 0usize;
        loop {
            match self.bump() {
                Token::Punct(b'(') => depth += 1,
                Token::Punct(b')') => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                Token::End => return,
                _ => {}
            }
        }
    }

    /// Steps over one token, or over a whole parenthesis.
    pub(super) fn skip_item(&mut self) {
        if self.at_punct(b'(') {
            self.skip_parens();
        } else {
            self.bump();
        }
    }

    /// To the `,` or `)` that ends the present element, or to the end.
    pub(super) fn skip_element(&mut self) {
        while !self.at_end() && !self.at_punct(b',') && !self.at_punct(b')') {
            self.skip_item();
        }
    }
}

pub(super) fn is_word(token: Token<'_>, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()))
}

fn bits(digits: &[u8]) -> Vec<u8> {
    let groups = digits.rchunks(8).map(|group| group.iter().fold(0u8, |sum, &digit| sum << 1 | (digit & 1)));
    let mut bytes: Vec<u8> = groups.collect();
    bytes.reverse();
    bytes
}

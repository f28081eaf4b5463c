//! Cuts a statement's text into tokens, as the server that wrote it would.
//!
//! Owns: comments (and which versioned ones are entered), quotes, literals, words.
//! Does not own: any grammar (`cursor`, `create`, `alter`, `dml`).
//!
//! Invariant: a token is a slice of the statement, so nothing is allocated here; every step but the last moves
//! forward, and any bytes whatever end in `Token::End`.

use super::{Flavor, ScanContext};

/// One token; quoted forms keep their raw text between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a [u8]),
    /// A name in backticks, or in double quotes under ANSI_QUOTES.
    Quoted { raw: &'a [u8], quote: u8 },
    /// A string.
    Text { raw: &'a [u8], quote: u8 },
    /// `12`, `1.5`, `1e3`: never signed.
    Number(&'a [u8]),
    /// The digits of `x'..'` or `0x..`.
    Hex(&'a [u8]),
    /// The digits of `b'..'` or `0b..`.
    Bits(&'a [u8]),
    /// Anything else, one byte.
    Punct(u8),
    /// The end, or a `;` outside quotes.
    End,
}

/// What of a session changes how its text is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    flavor: Flavor,
    version: u32,
    ansi_quotes: bool,
    backslash_escapes: bool,
}

impl Dialect {
    pub(super) fn of(ctx: &ScanContext<'_>) -> Self {
        Self {
            flavor: ctx.flavor,
            version: ctx.version,
            ansi_quotes: ctx.sql_mode.ansi_quotes(),
            backslash_escapes: !ctx.sql_mode.no_backslash_escapes(),
        }
    }

    pub(super) fn backslash_escapes(self) -> bool {
        self.backslash_escapes
    }

    /// MariaDB skips MySQL's own 5.7 to 9.x comments: those versions' syntax is not its own.
    /// <https://mariadb.com/kb/en/comment-syntax/>
    fn enters(self, version: u32) -> bool {
        version <= self.version && (self.flavor == Flavor::MySql || !(50_700..=99_999).contains(&version))
    }
}

/// A place in a statement. `Copy`, so that looking ahead is taking a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
    /// Inside a versioned comment that was entered: its `*/` is a blank.
    entered: bool,
    dialect: Dialect,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(sql: &'a [u8], dialect: Dialect) -> Self {
        Self { sql, at: 0, entered: false, dialect }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        self.skip_blanks();
        let Some(first) = self.peek(0) else { return Token::End };
        match first {
            b'\'' => self.quoted(first),
            b'"' if !self.dialect.ansi_quotes => self.quoted(first),
            b'"' | b'`' => self.quoted(first),
            b';' => {
                self.at = self.sql.len();
                Token::End
            }
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if self.peek(1) == Some(b'\'') => self.prefixed(first),
            b'0'..=b'9' => self.number(),
            _ if is_name_byte(first) => Token::Word(self.take_while(is_name_byte)),
            _ => {
                self.at += 1;
                Token::Punct(first)
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn take_while(&mut self, wanted: fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                // The server takes a NUL inside a statement for a blank too.
                (Some(b' ' | b'\t'..=b'\r' | 0), _) => self.at += 1,
                (Some(b'#'), _) => self.skip_line(),
                (Some(b'-'), Some(b'-')) if self.peek(2).is_none_or(|b| b <= b' ') => self.skip_line(),
                (Some(b'/'), Some(b'*')) => self.comment(),
                (Some(b'*'), Some(b'/')) if self.entered => {
                    self.entered = false;
                    self.at += 2;
                }
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        self.take_while(|b| b != b'\n');
    }

    /// At `/*`. Enters a versioned comment meant for this server, else passes it.
    fn comment(&mut self) {
        self.at += 2;
        let mariadb_only = matches!((self.peek(0), self.peek(1)), (Some(b'M' | b'm'), Some(b'!')));
        let versioned = mariadb_only || self.peek(0) == Some(b'!');
        if !versioned {
            return self.skip_comment(false);
        }
        let mut probe = *self;
        probe.at += if mariadb_only { 2 } else { 1 };
        let version = probe.comment_version();
        let meant = !mariadb_only || self.dialect.flavor == Flavor::MariaDb;
        if meant && version.is_none_or(|version| self.dialect.enters(version)) {
            *self = probe;
            self.entered = true;
        } else {
            self.skip_comment(true);
        }
    }

    /// Five digits, or six.
    fn comment_version(&mut self) -> Option<u32> {
        let digits = self.rest().iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        if digits < 5 {
            return None;
        }
        let text = self.rest().get(..digits)?;
        self.at += digits;
        Some(text.iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0')))
    }

    /// A versioned comment that is passed may hold one plain comment.
    fn skip_comment(&mut self, mut may_nest: bool) {
        let mut nested = false;
        loop {
            match (self.peek(0), self.peek(1)) {
                (None, _) => return,
                (Some(b'*'), Some(b'/')) => {
                    self.at += 2;
                    if !std::mem::take(&mut nested) {
                        return;
                    }
                }
                (Some(b'/'), Some(b'*')) if may_nest => {
                    may_nest = false;
                    nested = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// At a quote. A string without its end reaches to the end of the text.
    fn quoted(&mut self, quote: u8) -> Token<'a> {
        let name = quote == b'`' || (quote == b'"' && self.dialect.ansi_quotes);
        let escapes = !name && self.dialect.backslash_escapes;
        self.at += 1;
        let start = self.at;
        let mut end = self.sql.len();
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at = (self.at + 1).min(self.sql.len());
            } else if byte == quote {
                if self.peek(0) == Some(quote) {
                    self.at += 1;
                } else {
                    end = self.at - 1;
                    break;
                }
            }
        }
        let raw = self.sql.get(start..end).unwrap_or_default();
        if name { Token::Quoted { raw, quote } } else { Token::Text { raw, quote } }
    }

    /// `x'..'`, `b'..'`, `n'..'`.
    fn prefixed(&mut self, prefix: u8) -> Token<'a> {
        self.at += 1;
        match (prefix.to_ascii_lowercase(), self.quoted(b'\'')) {
            (b'x', Token::Text { raw, .. }) => Token::Hex(raw),
            (b'b', Token::Text { raw, .. }) => Token::Bits(raw),
            (_, token) => token,
        }
    }

    /// Names may begin with a digit, so only what is a number through and through is one.
    fn number(&mut self) -> Token<'a> {
        let word = self.take_while(is_name_byte);
        match word {
            [b'0', b'x', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit) => {
                return Token::Hex(digits);
            }
            [b'0', b'b', digits @ ..] if !digits.is_empty() && digits.iter().all(|b| matches!(b, b'0' | b'1')) => {
                return Token::Bits(digits);
            }
            _ => {}
        }
        if !word.iter().all(u8::is_ascii_digit) {
            let mut parts = word.splitn(2, |b| b.eq_ignore_ascii_case(&b'e'));
            let digits = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(u8::is_ascii_digit));
            let scientific = digits(parts.next()) && digits(parts.next());
            return if scientific { Token::Number(word) } else { Token::Word(word) };
        }
        let start = self.at - word.len();
        if self.peek(0) == Some(b'.') {
            self.at += 1;
            self.take_while(is_name_byte);
        }
        Token::Number(self.sql.get(start..self.at).unwrap_or_default())
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'_' || byte == b'$'
}

/// The text that `raw` stands for: doubled quotes, and backslashes where `escapes`.
pub(super) fn unquote(raw: &[u8], quote: u8, escapes: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == quote {
            // The second of a pair.
            bytes.next();
            text.push(byte);
        } else if byte == b'\\' && escapes {
            match bytes.next() {
                Some(b'n') => text.push(b'\n'),
                Some(b't') => text.push(b'\t'),
                Some(b'r') => text.push(b'\r'),
                Some(b'b') => text.push(8),
                Some(b'0') => text.push(0),
                Some(b'Z') => text.push(26),
                // Kept with their backslash, for LIKE.
                Some(wildcard @ (b'_' | b'%')) => text.extend([b'\\', wildcard]),
                Some(other) => text.push(other),
                None => text.push(b'\\'),
            }
        } else {
            text.push(byte);
        }
    }
    text
}

/// The bytes of a hexadecimal literal; an odd count has a leading zero.
pub(super) fn unhex(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    let (first, rest) = digits.split_at(digits.len() % 2);
    let lone = first.iter().map(|&digit| value(digit));
    lone.chain(rest.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, &digit| sum << 4 | value(digit)))).collect()
}

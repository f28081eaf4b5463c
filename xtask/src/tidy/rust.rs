//! Just enough of Rust's lexical grammar to tell code from strings and comments.
//!
//! Owns: masking, string literals with their lines, and the spans of functions and of inline test modules.
//! Does not own: any rule.
//!
//! Written by hand rather than with `syn`: it reads files that do not compile yet, and macro bodies, whose functions
//! count as well, are opaque to a parser.

use std::ops::Range;

/// A Rust file, taken apart.
pub(super) struct Source {
    /// The text with comments, string contents and character literals blanked; same bytes count, same lines.
    code: Vec<u8>,
    /// String literals as written between their quotes, escapes included.
    pub(super) strings: Vec<Literal>,
    /// Byte ranges of `#[cfg(test)] mod name { ... }`.
    tests: Vec<Range<usize>>,
}

pub(super) struct Literal {
    pub(super) line: usize,
    pub(super) text: String,
    at: usize,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of `fn`.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn parse(text: &str) -> Source {
        let mut scan = Scan { text: text.as_bytes(), code: text.as_bytes().to_vec(), at: 0, strings: Vec::new() };
        scan.all();
        let mut source = Source { code: scan.code, strings: scan.strings, tests: Vec::new() };
        source.tests = source.test_modules();
        source
    }

    /// Lines outside inline test modules.
    pub(super) fn lines(&self) -> usize {
        let all = self.line_at(self.code.len().saturating_sub(1));
        let apart: usize =
            self.tests.iter().map(|span| self.line_at(span.end.saturating_sub(1)) - self.line_at(span.start) + 1).sum();
        if self.code.is_empty() { 0 } else { all - apart }
    }

    /// Functions with a body outside inline test modules, those inside others and in macros included.
    pub(super) fn functions(&self) -> Vec<Function> {
        let starts = self.words().filter(|word| &self.code[word.clone()] == b"fn" && !self.in_tests(word.start));
        starts.filter_map(|word| self.function(word)).collect()
    }

    /// String literals outside inline test modules.
    pub(super) fn product_strings(&self) -> impl Iterator<Item = &Literal> {
        self.strings.iter().filter(|literal| !self.in_tests(literal.at))
    }

    fn function(&self, keyword: Range<usize>) -> Option<Function> {
        // Without a name it is a function pointer's type.
        let gap = self.code[keyword.end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = &self.code[keyword.end + gap..];
        let name: Vec<u8> =
            rest.iter().copied().take_while(|byte| is_word(*byte) || *byte == b'#' || *byte == b'$').collect();
        if name.is_empty() {
            return None;
        }
        let open = self.body(keyword.end)?;
        let close = self.closing(open)?;
        let (first, last) = (self.line_at(keyword.start), self.line_at(close));
        Some(Function { name: String::from_utf8_lossy(&name).into_owned(), line: first, lines: last - first + 1 })
    }

    /// Where the body of what begins at `from` opens; `None` when it ends with a semicolon. Parentheses and square
    /// brackets are passed over: `[u8; 4]` in a signature is no end.
    fn body(&self, from: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (at, byte) in self.code.iter().enumerate().skip(from) {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.checked_sub(1)?,
                b'{' if depth == 0 => return Some(at),
                b';' | b'}' if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (at, byte) in self.code.iter().enumerate().skip(open) {
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn test_modules(&self) -> Vec<Range<usize>> {
        let mark = b"#[cfg(test)]";
        let mut spans = Vec::new();
        let starts = self.code.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark).map(|(at, _)| at);
        for start in starts {
            let after = start + mark.len();
            let next = self.words().find(|word| word.start >= after);
            let is_module = next.is_some_and(|word| &self.code[word] == b"mod");
            // `#[cfg(test)] mod tests;` has no body here, and its file is known by its name.
            if let Some(close) = self.body(after).filter(|_| is_module).and_then(|open| self.closing(open)) {
                spans.push(start..close + 1);
            }
        }
        spans
    }

    fn in_tests(&self, at: usize) -> bool {
        self.tests.iter().any(|span| span.contains(&at))
    }

    fn words(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + self.code[at..].iter().position(|byte| is_word(*byte))?;
            let length = self.code[start..].iter().take_while(|byte| is_word(**byte)).count();
            at = start + length;
            Some(start..at)
        })
    }

    fn line_at(&self, at: usize) -> usize {
        line_of(&self.code, at)
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

struct Scan<'a> {
    text: &'a [u8],
    code: Vec<u8>,
    at: usize,
    strings: Vec<Literal>,
}

impl Scan<'_> {
    fn all(&mut self) {
        while let Some(byte) = self.text.get(self.at) {
            let rest = &self.text[self.at..];
            match byte {
                b'/' if rest.starts_with(b"//") => self.blank_to(self.find(b"\n")),
                b'/' if rest.starts_with(b"/*") => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.quote(),
                byte if is_word(*byte) => self.word(),
                _ => self.at += 1,
            }
        }
    }

    /// An identifier or number, or the prefix of a string: `b"`, `c"`, `r"`, `r#"`, `br#"`, `cr"`.
    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| is_word(**byte)).count();
        let word = &rest[..length];
        self.at += length;
        let hashes = rest[length..].iter().take_while(|byte| **byte == b'#').count();
        let quote = rest.get(length + hashes) == Some(&b'"');
        if matches!(word, b"r" | b"br" | b"cr") && quote {
            self.raw_string(hashes);
        } else if matches!(word, b"b" | b"c") && hashes == 0 && quote {
            self.string();
        }
    }

    fn string(&mut self) {
        let start = self.at + 1;
        let mut end = start;
        while let Some(byte) = self.text.get(end).filter(|byte| **byte != b'"') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        self.literal(start, end.min(self.text.len()), end + 1);
    }

    fn raw_string(&mut self, hashes: usize) {
        let start = self.at + hashes + 1;
        let mark = [&b"\""[..], &vec![b'#'; hashes]].concat();
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.windows(mark.len()).position(|window| window == mark).unwrap_or(rest.len());
        self.literal(start, start + length, start + length + mark.len());
    }

    fn literal(&mut self, start: usize, end: usize, after: usize) {
        let text = String::from_utf8_lossy(&self.text[start..end]).into_owned();
        self.strings.push(Literal { line: line_of(self.text, start), text, at: start });
        self.at = start;
        self.blank_to(end);
        self.at = after.min(self.text.len());
    }

    /// A character literal or a lifetime. A lifetime has no quote after its first character.
    fn quote(&mut self) {
        let rest = &self.text[self.at + 1..];
        let first = if rest.first() == Some(&b'\\') {
            2
        } else {
            rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1
        };
        let escape = rest.first() == Some(&b'\\');
        // Only an escape is longer than one character: '\u{1f600}'.
        let close = rest.iter().skip(first).take(if escape { 10 } else { 1 }).position(|byte| *byte == b'\'');
        match close {
            Some(more) => {
                let end = self.at + 1 + first + more;
                self.at += 1;
                self.blank_to(end);
                self.at = end + 1;
            }
            None => self.at += 1,
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        let mut end = self.at;
        while end < self.text.len() {
            let rest = &self.text[end..];
            if rest.starts_with(b"/*") {
                depth += 1;
                end += 2;
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                end += 2;
                if depth == 0 {
                    break;
                }
            } else {
                end += 1;
            }
        }
        self.blank_to(end);
    }

    fn find(&self, mark: &[u8]) -> usize {
        let rest = &self.text[self.at..];
        self.at + rest.windows(mark.len()).position(|window| window == mark).unwrap_or(rest.len())
    }

    fn blank_to(&mut self, end: usize) {
        let end = end.min(self.text.len());
        for byte in &mut self.code[self.at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<(String, usize, usize)> {
        Source::parse(text).functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn braces_in_strings_characters_and_comments_do_not_count() {
        let text = r###"
fn one() { // }
    let a = "}\"}"; let b = r#"}"}"#; let c = '}'; let d = '\''; let e = b'}'; let f = br"}";
    /* } /* } */ } */
    let g: &'static str = "'"; let h = '\u{7d}'; let i = 'é';
}
fn two() {}
"###;
        assert_eq!(functions(text), [("one".into(), 2, 5), ("two".into(), 7, 1)]);
    }

    #[test]
    fn only_functions_with_a_body_are_found() {
        let text = "trait T {\n    fn declared(a: [u8; 4]);\n    fn given(&self) -> [u8; 2]\n    where\n        Self: Sized,\n    {\n        [0; 2]\n    }\n}\ntype F = fn(u8) -> u8;\n";
        assert_eq!(functions(text), [("given".into(), 3, 6)]);
    }

    #[test]
    fn test_modules_are_apart_but_what_follows_them_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        assert_eq!(functions(text), [("a".into(), 1, 1), ("c".into(), 6, 1)]);
        assert_eq!(Source::parse(text).lines(), 2);
        assert_eq!(Source::parse("#[cfg(test)]\nmod tests;\nfn c() {}\n").lines(), 3);
    }

    #[test]
    fn strings_carry_their_line() {
        let source = Source::parse("let a = \"x\";\n// \"no\"\nlet b = r#\"y\"z\"#;\n");
        let found: Vec<(usize, &str)> =
            source.strings.iter().map(|literal| (literal.line, literal.text.as_str())).collect();
        assert_eq!(found, [(1, "x"), (3, "y\"z")]);
    }
}

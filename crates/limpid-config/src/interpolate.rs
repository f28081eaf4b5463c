//! `${env:NAME}` and `${file:PATH}` in values.
//!
//! Owns: the grammar of `${...}` and asking the outside for what it names. Does not own: percent-encoding in URLs
//! (`node`), saying what is wrong (`check`, which alone knows whether the value is ever read).
//!
//! Invariant: values are resolved after parsing and once: what a variable holds can neither add a key nor name another
//! variable.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::path::Path;

use limpid_model::FaultCode;

use crate::faults::Complaint;
use crate::node::{Node, Part, Text, Value};

/// A secret in a file is a key or a password; a certificate chain is a few KiB. Larger is another file.
pub(crate) const SECRET_BYTES_MAX: usize = 1 << 20;

/// All resolved text of one file together; a short file may name a large secret many times.
const RESOLVED_BYTES_MAX: usize = 8 << 20;

const KNOWN: &str = "env and file";

/// Where variables and secret files come from.
pub trait Outside {
    /// The variable's value, `None` when it is not set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The file's bytes. Relative to the working directory, like every path in a pipeline file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// This process's environment and files.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Outside for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A fixed set of variables and files, for tests.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    variables: BTreeMap<String, OsString>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Fixed {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }
}

impl Outside for Fixed {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = path.to_str().and_then(|path| self.files.get(path));
        bytes.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// Why a `${...}` gave nothing.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Unclosed,
    NoResolver { text: String },
    UnknownResolver { name: String },
    EmptyName,
    VariableMissing { name: String },
    VariableUnreadable { name: String },
    FileUnreadable { path: String, why: String },
    TooMuch,
}

impl Trouble {
    /// `discreet` for a password or a URL written into the file: there `${` may be part of it, and is not repeated.
    pub fn complaint(&self, discreet: bool) -> Complaint {
        let literal = "write $${ for a literal ${";
        let bad = |words: String| Complaint::bad_value(words).help(literal);
        match self {
            Trouble::Unclosed => bad("has a ${ without its }".into()),
            Trouble::EmptyName => bad("has a ${...} that names nothing".into()),
            Trouble::NoResolver { .. } if discreet => bad(format!("has a ${{...}} without a resolver: {KNOWN}")),
            Trouble::NoResolver { text } => bad(format!("has ${{{text}}}, which names no resolver: {KNOWN}"))
                .help(format!("write ${{env:{text}}}, or $${{ for a literal ${{")),
            Trouble::UnknownResolver { .. } if discreet => {
                bad(format!("uses a resolver that is not known: there are {KNOWN}"))
            }
            Trouble::UnknownResolver { name } => {
                bad(format!("uses the resolver `{name}`, which is not known: there are {KNOWN}"))
            }
            Trouble::VariableMissing { name } => Complaint::new(
                FaultCode::ConfigVariableMissing,
                format!("needs the environment variable {name}, which is not set"),
            )
            .help(format!("set {name}, or {literal}")),
            Trouble::VariableUnreadable { name } => {
                bad(format!("needs the environment variable {name}, which is not UTF-8"))
            }
            Trouble::FileUnreadable { path, why } => Complaint::new(
                FaultCode::ConfigSecretUnreadable,
                format!("needs the file {path}, which cannot be read: {why}"),
            ),
            Trouble::TooMuch => Complaint::bad_value(format!(
                "puts more than {} MiB of variables and files into this configuration",
                RESOLVED_BYTES_MAX >> 20
            ))
            .help("name smaller files"),
        }
    }
}

/// Resolves every text below this node.
pub(crate) fn resolve(node: &mut Node, outside: &dyn Outside) {
    Resolver { outside, left: RESOLVED_BYTES_MAX }.node(node);
}

struct Resolver<'a> {
    outside: &'a dyn Outside,
    left: usize,
}

impl Resolver<'_> {
    /// Recursion is bounded by the depth that `parse` allows.
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Null { .. } | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
            Value::Text(text) => self.text(text),
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.node)),
        }
    }

    fn text(&mut self, text: &mut Text) {
        let written = text.plain();
        if !written.contains("${") {
            return;
        }
        match self.parts(&written) {
            Ok(parts) => text.parts = parts,
            Err(trouble) => text.trouble = Some(trouble),
        }
    }

    fn parts(&mut self, mut rest: &str) -> Result<Vec<Part>, Trouble> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(at) = rest.find("${") {
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let (inside, after) = after.split_once('}').ok_or(Trouble::Unclosed)?;
            if !literal.is_empty() {
                parts.push(Part::Written(std::mem::take(&mut literal)));
            }
            parts.push(Part::Resolved(self.ask(inside)?.into()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Written(literal));
        }
        Ok(parts)
    }

    fn ask(&mut self, inside: &str) -> Result<String, Trouble> {
        let (resolver, name) = inside.split_once(':').ok_or_else(|| Trouble::NoResolver { text: short(inside) })?;
        if name.is_empty() {
            return Err(Trouble::EmptyName);
        }
        let text = match resolver {
            "env" => self.variable(name)?,
            "file" => self.file(name)?,
            other => return Err(Trouble::UnknownResolver { name: short(other) }),
        };
        self.left = self.left.checked_sub(text.len()).ok_or(Trouble::TooMuch)?;
        Ok(text)
    }

    fn variable(&self, name: &str) -> Result<String, Trouble> {
        let missing = || Trouble::VariableMissing { name: short(name) };
        // A name with these makes the system's own look-up fail, so such a variable cannot be set.
        if name.contains(['=', '\0']) {
            return Err(missing());
        }
        let value = self.outside.variable(name).ok_or_else(missing)?;
        value.into_string().map_err(|_| Trouble::VariableUnreadable { name: short(name) })
    }

    fn file(&self, path: &str) -> Result<String, Trouble> {
        let unreadable = |why: String| Trouble::FileUnreadable { path: short(path), why };
        let bytes = self.outside.file(Path::new(path)).map_err(|error| unreadable(error.kind().to_string()))?;
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(unreadable("it is larger than 1 MiB".into()));
        }
        let mut text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".into()))?;
        // Editors and `echo` end a file with a line break that is no part of the secret. One, as a shell's `read` takes.
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

/// Enough of a name to find it by, on one line.
pub(crate) fn short(text: &str) -> String {
    const LETTERS_MAX: usize = 80;
    let mut short: String = text.chars().take(LETTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(LETTERS_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside() -> Fixed {
        Fixed::new()
            .variable("A", "1")
            .variable("NESTED", "${env:A}")
            .variable("EMPTY", "")
            .file("/s", "pw\n")
            .file("/crlf", "pw\r\n")
            .file("/two", "pw\n\n")
            .file("/bin", vec![0xff])
            .file("/huge", vec![b'a'; SECRET_BYTES_MAX + 1])
    }

    fn resolved(text: &str) -> Result<String, String> {
        let mut text = Text::written(text);
        Resolver { outside: &outside(), left: 100 }.text(&mut text);
        match &text.trouble {
            None => Ok(text.plain()),
            Some(trouble) => Err(trouble.complaint(false).words),
        }
    }

    #[test]
    fn variables_and_files_are_put_in_once() {
        for (written, expected) in [
            ("plain", "plain"),
            ("a${env:A}b${env:A}", "a1b1"),
            ("${file:/s}", "pw"),
            ("${file:/crlf}", "pw"),
            ("${file:/two}", "pw\n"),
            ("${env:EMPTY}", ""),
            ("${env:NESTED}", "${env:A}"),
            ("$${env:A}", "${env:A}"),
            ("$$${env:A}", "$${env:A}"),
            ("a$b$$c$", "a$b$$c$"),
            ("$${", "${"),
            ("}{", "}{"),
        ] {
            assert_eq!(resolved(written).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        for (written, expected) in [
            ("${env:A", "has a ${ without its }"),
            ("${A}", "has ${A}, which names no resolver: env and file"),
            ("${vault:x}", "uses the resolver `vault`, which is not known: there are env and file"),
            ("${env:}", "has a ${...} that names nothing"),
            ("${env:NO}", "needs the environment variable NO, which is not set"),
            ("${env:A=B}", "needs the environment variable A=B, which is not set"),
            ("${file:/no}", "needs the file /no, which cannot be read: entity not found"),
            ("${file:/bin}", "needs the file /bin, which cannot be read: it is not UTF-8"),
            ("${file:/huge}", "needs the file /huge, which cannot be read: it is larger than 1 MiB"),
        ] {
            assert_eq!(resolved(written).unwrap_err(), expected, "{written}");
        }
        assert!(resolved(&"${file:/s}".repeat(51)).unwrap_err().starts_with("puts more than"));
    }
}

//! SPDX licence expressions: `MIT OR (Apache-2.0 AND ISC)`.
//!
//! Owns: whether an allow list satisfies one. `AND` binds tighter than `OR`; `WITH` makes its two sides one licence;
//! the slash of old manifests means `OR` (Cargo's reference, the `license` field).

use anyhow::{bail, ensure};

/// Whether the licences in `may` are enough to use something under this expression.
pub(super) fn allowed(expression: &str, may: &[&str]) -> anyhow::Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = Words { words: spaced.split_whitespace().collect(), at: 0, may };
    let allowed = words.any()?;
    match words.peek() {
        None => Ok(allowed),
        Some(word) => bail!("`{word}` follows the end of the expression"),
    }
}

struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    may: &'a [&'a str],
}

impl<'a> Words<'a> {
    fn any(&mut self) -> anyhow::Result<bool> {
        let mut allowed = self.all()?;
        while self.take("OR") {
            // Both sides are read, even when the first is enough: the second must still be an expression.
            allowed |= self.all()?;
        }
        Ok(allowed)
    }

    fn all(&mut self) -> anyhow::Result<bool> {
        let mut allowed = self.one()?;
        while self.take("AND") {
            allowed &= self.one()?;
        }
        Ok(allowed)
    }

    fn one(&mut self) -> anyhow::Result<bool> {
        if self.take("(") {
            let allowed = self.any()?;
            ensure!(self.take(")"), "a parenthesis is not closed");
            return Ok(allowed);
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        Ok(self.may.contains(&licence.as_str()))
    }

    fn name(&mut self) -> anyhow::Result<&'a str> {
        match self.peek() {
            Some(word) if !["OR", "AND", "WITH", "(", ")"].contains(&word) => {
                self.at += 1;
                Ok(word)
            }
            Some(word) => bail!("`{word}` stands where a licence should"),
            None => bail!("the expression ends where a licence should stand"),
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let next = self.peek() == Some(word);
        self.at += usize::from(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_spdx_says() {
        let may = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
        let cases = [
            ("MIT", true),
            ("GPL-2.0-only", false),
            ("GPL-2.0-only OR MIT", true),
            ("MIT AND GPL-2.0-only", false),
            ("MIT/Apache-2.0", true),
            // AND binds tighter: one of the two sides of OR is enough.
            ("MIT OR GPL-2.0-only AND ISC", true),
            ("(MIT OR GPL-2.0-only) AND ISC", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(allowed(expression, &may).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for expression in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0", "MIT WITH"] {
            assert!(allowed(expression, &["MIT"]).is_err(), "{expression}");
        }
    }
}

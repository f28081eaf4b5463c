//! A text that must not be seen.
//!
//! Owns: the wrapper. Does not own: where it comes from (`interpolate`), what it opens (the connectors).
//!
//! Invariant: the text leaves only through `reveal`. There is no `Display`, so that a secret put into a message does
//! not compile; a redacted one there would hide the mistake.

use std::fmt;
use std::sync::Arc;

/// A password, a key, a URL that may hold one. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place that needs it and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_redacted() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(<redacted>) Secret(<redacted>)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}

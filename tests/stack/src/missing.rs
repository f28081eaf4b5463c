//! What happens when a server cannot be had on this machine.
//!
//! Owns: the typed error, and the choice between failing and skipping.
//! Does not own: servers that are there but do not start: those always fail the test.
//!
//! Invariant: in CI (`CI` is set) nothing is ever skipped.

use std::io::Write;

/// The program is neither named by its variable, nor on PATH, nor in the cache, nor to be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{server} is not available: {why}; run scripts/setup.sh")]
pub struct Unavailable {
    /// The server that a test asked for, such as `MySQL`.
    pub server: &'static str,
    /// Where it was looked for and how that failed.
    pub why: String,
}

/// Unwraps a started server, or skips the test loudly where the server cannot be had.
///
/// # Panics
/// When the server exists but failed to start, and in CI also when it does not exist: a test that did not run
/// must never look like one that passed.
pub fn require<T>(started: anyhow::Result<T>) -> Option<T> {
    let error = match started {
        Ok(server) => return Some(server),
        Err(error) => error,
    };
    assert!(may_skip(&error, in_ci()), "a server that this test needs did not start: {error:#}");
    // Not `eprintln!`: the test harness hides that for tests that pass, as this one will.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {error:#}");
    None
}

fn may_skip(error: &anyhow::Error, in_ci: bool) -> bool {
    error.is::<Unavailable>() && !in_ci
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn only_an_absent_server_is_skipped_and_never_in_ci() {
        let absent: anyhow::Result<()> = Err(Unavailable { server: "MySQL", why: "no network".into() }.into());
        let absent = absent.context("start the servers of this test").unwrap_err();
        assert!(may_skip(&absent, false));
        assert!(!may_skip(&absent, true));
        assert!(!may_skip(&anyhow::anyhow!("it crashed"), false));
    }
}

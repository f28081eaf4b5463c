//! `limpid export`, `completions` and `man`: what other tools read.
//!
//! Owns: writing to stdout. Does not own: the artefacts' contents, each of which has its owner.
//!
//! Invariant: nothing is read and nothing connected to: the output depends on the binary alone.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::{Artefact, Cli};
use crate::registry::CONNECTORS;

/// Writes an artefact.
pub fn export(what: Artefact) -> u8 {
    let text = match what {
        Artefact::Metrics => limpid_telemetry::catalogue::markdown(),
        Artefact::Schema => limpid_config::json_schema(&CONNECTORS),
        Artefact::Openapi => format!("{:#}", limpid_server::openapi()),
    };
    put(text.as_bytes())
}

/// Writes a completion script.
pub fn completions(shell: clap_complete::Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "limpid", &mut text);
    put(&text)
}

/// Writes the manual page.
pub fn man() -> u8 {
    let mut text = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut text) {
        Ok(()) => put(&text),
        Err(error) => {
            eprintln!("the manual page cannot be made: {error}");
            1
        }
    }
}

/// A reader that has seen enough is no failure.
fn put(text: &[u8]) -> u8 {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| if text.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") }) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("stdout cannot be written: {error}");
            1
        }
        _ => 0,
    }
}

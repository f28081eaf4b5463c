//! Bytes of a file to one tree.
//!
//! Owns: the bounds that all three syntaxes share, and the choice among them. Does not own: each syntax
//! (`parse/yaml.rs`, `parse/toml.rs`, `parse/json.rs`).
//!
//! Invariant: whatever the bytes, the answer is a tree within the bounds or one fault with its place.

mod json;
mod lines;
mod toml;
mod yaml;

use std::collections::HashSet;

use limpid_model::FaultCode;

use crate::faults::ConfigFault;
use crate::interpolate::short;
use crate::node::{Entry, Node, Place, Syntax};
use lines::Lines;

/// A pipeline file is a few KiB; the contract's own example is 3. Larger is another file.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// The deepest key of a pipeline file is five levels down. The bound is what our recursion over a tree may need.
const DEPTH_MAX: usize = 32;

/// What a tree may cost: [`NODE_COST`] a node and its text. A file of 1 MiB costs at most 8 MiB unless aliases repeat
/// parts of it (a "billion laughs" of 300 bytes would cost gigabytes) or it is all punctuation.
const COST_MAX: usize = 8 << 20;
const NODE_COST: usize = 64;

/// Reads one file's bytes.
pub(crate) fn parse(file: &str, syntax: Syntax, bytes: &[u8]) -> Result<Node, ConfigFault> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file is larger than {} MiB, too large for a pipeline", FILE_BYTES_MAX >> 20);
        return Err(ConfigFault::new(FaultCode::ConfigSyntax, &Place::whole(file), message)
            .help("check that this is the file you meant"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let readable = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            let place = Lines::new(file, readable).place(readable.len());
            return Err(syntax_fault(&place, "the file is not UTF-8 here").help("save it as UTF-8"));
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match syntax {
        Syntax::Yaml => yaml::parse(file, text),
        Syntax::Toml => toml::parse(file, text),
        Syntax::Json => json::parse(file, text),
    }
}

fn syntax_fault(place: &Place, message: impl Into<String>) -> ConfigFault {
    ConfigFault::new(FaultCode::ConfigSyntax, place, message)
}

fn too_deep(place: &Place) -> ConfigFault {
    syntax_fault(place, format!("the file is nested more than {DEPTH_MAX} levels deep here"))
        .help("no key of a pipeline is that deep")
}

/// What is left of the bounds while a tree grows.
struct Budget {
    left: usize,
}

impl Budget {
    fn new() -> Self {
        Self { left: COST_MAX }
    }

    fn spend(&mut self, text_bytes: usize, place: &Place) -> Result<(), ConfigFault> {
        self.spend_cost(NODE_COST.saturating_add(text_bytes), place)
    }

    fn spend_cost(&mut self, cost: usize, place: &Place) -> Result<(), ConfigFault> {
        self.left = self.left.checked_sub(cost).ok_or_else(|| {
            syntax_fault(place, "the file holds too much from here on, or its aliases repeat too much")
                .help("write out what the pipeline needs, without aliases of aliases")
        })?;
        Ok(())
    }
}

/// Refuses a second entry of one name: which of the two was meant, nobody can say.
fn refuse_duplicates(entries: &[Entry]) -> Result<(), ConfigFault> {
    let mut seen = HashSet::with_capacity(entries.len());
    let Some(second) = entries.iter().find(|entry| !seen.insert(entry.key.as_str())) else { return Ok(()) };
    let first = entries.iter().find(|entry| entry.key == second.key).map_or(0, |entry| entry.place.line);
    let message = format!("`{}` is written twice, first in line {first}", short(&second.key));
    Err(syntax_fault(&second.place, message).help("remove one of the two"))
}

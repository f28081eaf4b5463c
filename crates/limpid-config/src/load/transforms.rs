//! The list of transforms: each entry a section of the kind that its `type` names.
//!
//! Owns: the entries' frame, their types. Does not own: what a kind means, whether two entries fit each other (the
//! registry's transforms say so).
//!
//! Invariant: as for the file as a whole: every fault of every entry is reported, and entries are looked at together only
//! when none has one by itself.

use super::kind_of;
use crate::check::Checker;
use crate::faults::ConfigFault;
use crate::frame::{TRANSFORM, TransformSpec};
use crate::key::Key;
use crate::node::{Entry, Syntax, Value, entry};
use crate::reader::{KnownKeys, Section};

/// A transform that this binary has.
#[derive(Clone, Copy, Debug)]
pub struct TransformKind {
    /// What its `type` says.
    pub name: &'static str,
    /// Its own keys, beside those of the frame.
    pub keys: &'static [Key],
    /// Reads the section and keeps the faults only.
    pub check: fn(&Section) -> Vec<ConfigFault>,
}

/// The transforms that this binary has.
#[derive(Clone, Copy, Debug)]
pub struct TransformKinds {
    pub kinds: &'static [TransformKind],
    /// What is wrong with entries only because of others.
    pub together: fn(&[TransformSpec]) -> Vec<ConfigFault>,
}

/// Types of the contract.
const TRANSFORM_TYPES: [&str; 9] =
    ["accept", "reject", "rename", "drop-columns", "rename-columns", "mask", "route", "filter", "outbox"];

/// The pipeline's transforms, in their order. What is no list of tables is a fault of the top level's.
pub(super) fn transforms(
    entries: &[Entry],
    syntax: Syntax,
    known: &TransformKinds,
) -> Result<Vec<TransformSpec>, Vec<ConfigFault>> {
    let Some(Value::List(items)) = entry(entries, "transforms").map(|found| &found.node.value) else {
        return Ok(Vec::new());
    };
    let (mut specs, mut faults) = (Vec::new(), Vec::new());
    for (number, item) in items.iter().enumerate() {
        let Value::Map(entries) = &item.value else { continue };
        let section = Section {
            known: KnownKeys { own: &[], frame: TRANSFORM },
            entries: entries.clone(),
            path: format!("transforms[{number}]"),
            place: item.place.clone(),
            syntax,
        };
        match one(section, number, known) {
            Ok(spec) => specs.push(spec),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() {
        faults = (known.together)(&specs);
    }
    if faults.is_empty() { Ok(specs) } else { Err(faults) }
}

fn one(mut section: Section, number: usize, known: &TransformKinds) -> Result<TransformSpec, Vec<ConfigFault>> {
    let mut checker = Checker::new(section.syntax);
    checker.values(&section.entries, &section.path, &section.place, TRANSFORM);
    let kind = kind_of(&mut checker, &section, &TRANSFORM_TYPES, known.kinds.iter().map(|kind| kind.name));
    let mut faults = checker.into_faults();
    let Some(kind) = known.kinds.iter().find(|known| Some(known.name) == kind) else { return Err(faults) };
    section.known = KnownKeys { own: kind.keys, frame: TRANSFORM };
    faults.extend((kind.check)(&section));
    if !faults.is_empty() {
        return Err(faults);
    }
    let whole = section.clone();
    section.read_checked(TRANSFORM, |keys| {
        let name = keys.optional_text("name").unwrap_or_else(|| format!("{}-{}", kind.name, number + 1));
        Some(TransformSpec { kind: kind.name, name, section: whole })
    })
}

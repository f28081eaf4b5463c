//! From files to specifications.
//!
//! Owns: reading the files, the frame's checks, handing each connector its section, unique names. Does not own: which
//! connectors there are (the binary's registry), opening any of them.
//!
//! Invariant: one call reports every fault of every file, the connectors' own included; a specification comes out only
//! when there is none.

mod transforms;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use limpid_model::{FaultCode, PipelineName};

use crate::check::{Checker, Known};
use crate::faults::{Complaint, ConfigFault, nearest};
use crate::frame::{
    Delivery, FORMAT, FRAME, FormatName, FormatSpec, HeartbeatSpec, PipelineSpec, SINK, SOURCE, SinkSpec, SnapshotSpec,
    SourceSpec, Start, TelemetrySpec,
};
use crate::interpolate::{Outside, resolve};
use crate::key::{Key, list};
use crate::node::{Entry, Node, Place, Syntax, Value, entry};
use crate::parse::{FILE_BYTES_MAX, parse};
use crate::reader::{KnownKeys, Reader, Section};
use crate::scalar;
pub use transforms::{TransformKind, TransformKinds};

/// A source that this binary has.
#[derive(Clone, Copy, Debug)]
pub struct SourceKind {
    /// What `source.type` says.
    pub name: &'static str,
    /// Its own keys, beside those of the frame.
    pub keys: &'static [Key],
    /// Reads the section and keeps the faults only, so that `validate` finds all of them at once.
    pub check: fn(&Section) -> Vec<ConfigFault>,
}

/// A sink that this binary has.
#[derive(Clone, Copy, Debug)]
pub struct SinkKind {
    /// What `sink.type` says.
    pub name: &'static str,
    /// Its own keys, beside those of the frame and the format.
    pub keys: &'static [Key],
    pub encodes: Encodes,
    /// What it can promise besides `at-least-once`.
    pub delivers: Delivers,
    /// As for a source.
    pub check: fn(&Section) -> Vec<ConfigFault>,
}

/// When a sink has a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encodes {
    /// `debezium-json` when none is named.
    Always,
    /// Only when one is named: the `null` sink else only lets rows be decoded.
    WhenNamed,
}

/// What a sink can promise of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivers {
    AtLeastOnce,
    /// That, or `exactly-once`: it keeps rows and position in one transaction.
    ExactlyOnce,
}

/// What the binary's registry holds.
#[derive(Clone, Copy, Debug)]
pub struct Connectors {
    pub sources: &'static [SourceKind],
    pub sinks: &'static [SinkKind],
    pub transforms: TransformKinds,
}

/// Types of the contract. One that the registry does not hold is not in this version.
const SOURCE_TYPES: [&str; 4] = ["mysql", "postgres", "mongodb", "kafka"];
const SINK_TYPES: [&str; 7] = ["kafka", "mysql", "postgres", "mongodb", "file", "stdout", "null"];

/// Reads, resolves and checks these files, one pipeline each.
///
/// # Errors
/// Every fault found, file by file, in the order of each file.
pub fn load(
    files: &[PathBuf],
    connectors: &Connectors,
    outside: &dyn Outside,
) -> Result<Vec<PipelineSpec>, Vec<ConfigFault>> {
    let mut specs = Vec::new();
    let mut faults = Vec::new();
    let mut names: Vec<(PipelineName, Place)> = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let read = read_file(path, &file).and_then(|(syntax, bytes)| Ok((syntax, parse(&file, syntax, &bytes)?)));
        let (syntax, mut node) = match read {
            Ok(parsed) => parsed,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        resolve(&mut node, outside);
        if let Some((name, place)) = name_of(&node) {
            match names.iter().find(|(taken, _)| *taken == name) {
                Some((_, first)) => faults.push(duplicate(&name, first, &place)),
                None => names.push((name, place)),
            }
        }
        match pipeline(&file, syntax, node, connectors) {
            Ok(spec) => specs.push(spec),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(specs) } else { Err(faults) }
}

/// The same for one text. `file` is what places name it, and its extension says how it is written.
///
/// # Errors
/// Every fault found.
pub fn load_text(
    file: &str,
    bytes: &[u8],
    connectors: &Connectors,
    outside: &dyn Outside,
) -> Result<PipelineSpec, Vec<ConfigFault>> {
    let syntax = syntax_of(file).map_err(|fault| vec![fault])?;
    let mut node = parse(file, syntax, bytes).map_err(|fault| vec![fault])?;
    resolve(&mut node, outside);
    pipeline(file, syntax, node, connectors)
}

fn syntax_of(file: &str) -> Result<Syntax, ConfigFault> {
    Syntax::of(file).ok_or_else(|| {
        let message = "the file's name does not say how it is written";
        ConfigFault::new(FaultCode::ConfigUnreadable, &Place::whole(file), message)
            .help("name it with one of .yaml, .yml, .toml or .json")
    })
}

fn read_file(path: &Path, file: &str) -> Result<(Syntax, Vec<u8>), ConfigFault> {
    let unreadable = |error: std::io::Error| {
        let message = format!("the file cannot be read: {}", error.kind());
        ConfigFault::new(FaultCode::ConfigUnreadable, &Place::whole(file), message)
    };
    let mut bytes = Vec::new();
    // One byte over the bound is enough to know that it is over: /dev/zero has no end.
    File::open(path)
        .and_then(|opened| opened.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok((syntax_of(file)?, bytes))
}

fn duplicate(name: &PipelineName, first: &Place, second: &Place) -> ConfigFault {
    let message = format!("`{name}` is already the name of the pipeline in {}", first.file);
    ConfigFault::new(FaultCode::ConfigDuplicateName, second, message)
        .help("give each pipeline a name of its own: it is part of topics, metrics and the transactional id")
}

fn name_of(root: &Node) -> Option<(PipelineName, Place)> {
    let Value::Map(entries) = &root.value else { return None };
    let node = &entry(entries, "name")?.node;
    let name = scalar::text(&Key::text("name"), &node.value).ok()?;
    Some((PipelineName::parse(&name)?, node.place.clone()))
}

/// One parsed file to its specification.
fn pipeline(file: &str, syntax: Syntax, root: Node, connectors: &Connectors) -> Result<PipelineSpec, Vec<ConfigFault>> {
    let entries = match root.value {
        Value::Map(entries) => entries,
        Value::Null { .. } => {
            let fault = ConfigFault::new(FaultCode::ConfigSyntax, &Place::whole(file), "the file is empty");
            return Err(vec![fault.help("write a pipeline: name, source, sink")]);
        }
        value => {
            let message = format!("the file must be a table of keys, not {}", value.noun());
            return Err(vec![ConfigFault::new(FaultCode::ConfigSyntax, &root.place, message)]);
        }
    };
    let mut checker = Checker::new(syntax);
    let top = Place { line: 1, column: 1, ..Place::whole(file) };
    checker.table(&entries, "", &top, Known { keys: FRAME, others: &[] });
    check_name(&mut checker, &entries);
    let mut faults = checker.into_faults();
    let mut keep = |more| faults.extend(more);
    let source = section(&entries, "source", syntax, SOURCE);
    let source = source.and_then(|section| source_spec(section, connectors.sources).map_err(&mut keep).ok());
    let sink = section(&entries, "sink", syntax, SINK_AND_FORMAT);
    let sink = sink.and_then(|section| sink_spec(section, connectors.sinks).map_err(&mut keep).ok());
    let transforms = transforms::transforms(&entries, syntax, &connectors.transforms).map_err(&mut keep).ok();
    faults.sort_by(|a, b| a.place().cmp(b.place()));
    // A side that is not there at all is a fault of the table.
    let sides = (source, sink, transforms, faults.is_empty());
    let (Some(source), Some(sink), Some(transforms), true) = sides else { return Err(faults) };
    let known = KnownKeys { own: FRAME, frame: &[] };
    Section { known, entries, path: String::new(), place: top, syntax }.read_checked(FRAME, |keys| {
        Some(PipelineSpec {
            // `check_name` would have refused it.
            name: PipelineName::parse(&keys.text("name"))?,
            place: keys.place("name").clone(),
            lag_limit: keys.duration("lag-limit"),
            source,
            transforms,
            sink,
            on_row_error: keys.choice("on-row-error"),
            telemetry: TelemetrySpec::read(&keys.section("telemetry")),
        })
    })
}

fn check_name(checker: &mut Checker, entries: &[Entry]) {
    let Some(found) = entry(entries, "name") else { return };
    let Ok(name) = scalar::text(&Key::text("name"), &found.node.value) else { return };
    if PipelineName::parse(&name).is_none() {
        let help = "use up to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit: it becomes part of topics";
        checker.complain(
            "name",
            &found.node.place,
            Complaint::bad_value(format!("{} cannot be a name", scalar::said_of(&found.node.value))).help(help),
        );
    }
}

/// One side's own part of the file, as far as there is one.
fn section(entries: &[Entry], name: &str, syntax: Syntax, frame: &'static [Key]) -> Option<Section> {
    let found = entry(entries, name)?;
    let Value::Map(entries) = &found.node.value else { return None };
    let known = KnownKeys { own: &[], frame };
    let (entries, place) = (entries.clone(), found.place.clone());
    Some(Section { known, entries, path: name.to_owned(), place, syntax })
}

fn source_spec(mut section: Section, kinds: &'static [SourceKind]) -> Result<SourceSpec, Vec<ConfigFault>> {
    let mut checker = Checker::new(section.syntax);
    checker.values(&section.entries, &section.path, &section.place, SOURCE);
    let kind = kind_of(&mut checker, &section, &SOURCE_TYPES, kinds.iter().map(|kind| kind.name));
    let mut faults = checker.into_faults();
    let Some(kind) = kinds.iter().find(|known| Some(known.name) == kind) else { return Err(faults) };
    section.known = KnownKeys { own: kind.keys, frame: SOURCE };
    faults.extend((kind.check)(&section));
    if !faults.is_empty() {
        return Err(faults);
    }
    let whole = section.clone();
    section.read_checked(SOURCE, |keys| {
        Some(SourceSpec {
            kind: kind.name,
            snapshot: SnapshotSpec::read(keys)?,
            heartbeat: HeartbeatSpec::read(keys),
            start: Start::read(keys),
            start_place: keys.place("start").clone(),
            section: whole,
        })
    })
}

fn sink_spec(mut section: Section, kinds: &'static [SinkKind]) -> Result<SinkSpec, Vec<ConfigFault>> {
    let mut checker = Checker::new(section.syntax);
    checker.values(&section.entries, &section.path, &section.place, SINK_AND_FORMAT);
    let kind = kind_of(&mut checker, &section, &SINK_TYPES, kinds.iter().map(|kind| kind.name));
    let mut faults = checker.into_faults();
    let Some(kind) = kinds.iter().find(|known| Some(known.name) == kind) else { return Err(faults) };
    section.known = KnownKeys { own: kind.keys, frame: SINK_AND_FORMAT };
    let whole = section.clone();
    let read = faults.is_empty().then(|| {
        section.read_checked(SINK_AND_FORMAT, |keys| {
            let format = read_format(keys, kind.encodes)?;
            let delivery = keys.choice("delivery");
            if delivery == Delivery::ExactlyOnce && kind.delivers == Delivers::AtLeastOnce {
                let complaint =
                    Complaint::bad_value(format!("is \"exactly-once\", which a `{}` sink cannot do", kind.name));
                return keys.refuse("delivery", complaint.help("write at-least-once, or leave it out"));
            }
            Some(SinkSpec { kind: kind.name, delivery, format, section: whole })
        })
    });
    faults.extend((kind.check)(&section));
    match read {
        Some(Ok(spec)) if faults.is_empty() => Ok(spec),
        Some(Err(more)) => {
            faults.extend(more);
            Err(faults)
        }
        _ => Err(faults),
    }
}

/// `None` when it was refused; `Some(None)` when nothing is to be encoded.
fn read_format(keys: &Reader<'_>, encodes: Encodes) -> Option<Option<FormatSpec>> {
    let name = match (keys.optional_choice("format"), encodes) {
        (Some(name), _) => name,
        (None, Encodes::Always) => FormatName::DebeziumJson,
        (None, Encodes::WhenNamed) => {
            let idle = FORMAT.iter().find(|key| keys.is_written(key.name));
            let Some(idle) = idle else { return Some(None) };
            let complaint = Complaint::bad_value("has no effect without `sink.format`");
            return keys.refuse(idle.name, complaint.help("name a format, or remove the key"));
        }
    };
    FormatSpec::read(keys, name).map(Some)
}

/// The frame's keys in a sink.
pub(crate) const SINK_AND_FORMAT: &[Key] = &{
    let mut keys = [SINK[0]; SINK.len() + FORMAT.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = if at < SINK.len() { SINK[at] } else { FORMAT[at - SINK.len()] };
        at += 1;
    }
    keys
};

/// What `type` says, when it says something that this binary has; a fault in the checker when it does not.
fn kind_of(
    checker: &mut Checker,
    section: &Section,
    contract: &[&'static str],
    here: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let here: Vec<&'static str> = here.collect();
    let path = format!("{}.type", section.path);
    let found = entry(&section.entries, "type");
    // YAML reads `type: null` as nothing, and yet it is how the contract names that sink.
    if matches!(found.map(|found| &found.node.value), Some(Value::Null { word: true })) && here.contains(&"null") {
        return Some("null");
    }
    let Some(found) = found.filter(|found| !matches!(found.node.value, Value::Null { .. })) else {
        let words = if found.is_some() { "has no value" } else { "is missing" };
        let complaint = Complaint::new(FaultCode::ConfigMissingKey, words);
        let place = found.map_or(&section.place, |found| &found.place);
        let help = format!("write `type` with one of {}", list(here.iter().copied()));
        checker.complain(&path, place, complaint.help(help));
        return None;
    };
    let node = &found.node;
    // A wrong type has been reported with the frame's keys.
    let kind = scalar::text(&Key::text("type"), &node.value).ok()?;
    if let Some(known) = here.iter().find(|known| **known == kind) {
        return Some(known);
    }
    let complaint = match contract.iter().find(|known| **known == kind) {
        Some(known) => Complaint::later(format!("is \"{known}\", which is not in this version"))
            .help(format!("this version has {}", list(here.iter().copied()))),
        None => {
            let complaint = Complaint::bad_value(format!(
                "{} is none of {}",
                scalar::said_of(&node.value),
                list(here.iter().copied())
            ));
            match nearest(&kind, contract.iter().copied()) {
                Some(near) => complaint.help(format!("did you mean `{near}`?")),
                None => complaint,
            }
        }
    };
    checker.complain(&path, &node.place, complaint);
    None
}

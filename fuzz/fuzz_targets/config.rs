//! Pipeline files, with the section of the `mysql` source.
//!
//! Owns: the connectors a file is read with. Does not own: what a file means.
//!
//! Invariant: any bytes give specifications or faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limpid_config::{Connectors, Delivers, Encodes, Fixed, Section, SinkKind, SourceKind, load_text};
use limpid_connector::JsonText;
use limpid_mysql::config;

const CONNECTORS: Connectors = Connectors {
    sources: &[SourceKind {
        name: "mysql",
        keys: config::KEYS,
        check: |section: &Section| config::read(section, "fuzzed", JsonText::Server).err().unwrap_or_default(),
    }],
    sinks: &[SinkKind { name: "null", keys: &[], encodes: Encodes::WhenNamed, delivers: Delivers::AtLeastOnce, check: |_: &Section| Vec::new() }],
};

fuzz_target!(|bytes: &[u8]| {
    let outside = Fixed::new().variable("A", "text").variable("N", "7");
    for file in ["a.yaml", "a.toml", "a.json"] {
        let _ = load_text(file, bytes, &CONNECTORS, &outside);
    }
});

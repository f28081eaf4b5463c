//! What is wrong in a file, and where.
//!
//! Owns: the fault of a file, and the complaint about one value that becomes one. Does not own: codes and their
//! responses (`limpid-model`), printing (`limpid`).
//!
//! Invariant: a message names the key's path and never holds a resolved value, a secret or a URL.

use std::fmt;

use limpid_model::{Component, Fault, FaultCode};

use crate::node::Place;

/// Of one file at most so many faults are reported: a wrong file shows itself in the first few, and the bound keeps a
/// hostile one (1 MiB of unknown keys) from costing 100,000 comparisons with every known key.
pub(crate) const FAULTS_MAX: usize = 100;

/// One thing wrong in a configuration file.
#[derive(Clone, Debug)]
pub struct ConfigFault {
    code: FaultCode,
    place: Place,
    /// Which key, as `source.tls.mode`; empty for the file as a whole.
    path: String,
    message: String,
    help: Option<String>,
}

impl ConfigFault {
    pub(crate) fn new(code: FaultCode, place: &Place, message: impl Into<String>) -> Self {
        Self { code, place: place.clone(), path: String::new(), message: message.into(), help: None }
    }

    pub(crate) fn of_key(path: &str, place: &Place, complaint: Complaint) -> Self {
        Self {
            code: complaint.code,
            place: place.clone(),
            path: path.to_owned(),
            message: format!("`{path}` {}", complaint.words),
            help: complaint.help,
        }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn code(&self) -> FaultCode {
        self.code
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Which key, as `source.tls.mode`; empty where it is no single one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What to do, where it is more exact than the table's hint.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigFault {}

impl From<ConfigFault> for Fault {
    fn from(fault: ConfigFault) -> Fault {
        let component = match fault.path.split(['.', '[']).next() {
            Some("source") => Component::Input,
            Some("transforms") => Component::Filter,
            Some("sink") => Component::Output,
            _ => Component::Server,
        };
        let told = Fault::new(fault.code, component, fault.message).about(fault.place.to_string());
        match fault.help {
            Some(help) => told.help(help),
            None => told,
        }
    }
}

/// What is wrong with one value, before its key and place are put to it: "must be a duration, not a number".
#[derive(Clone, Debug)]
pub struct Complaint {
    pub(crate) code: FaultCode,
    pub(crate) words: String,
    pub(crate) help: Option<String>,
}

impl Complaint {
    pub(crate) fn new(code: FaultCode, words: impl Into<String>) -> Self {
        Self { code, words: words.into(), help: None }
    }

    /// `CONFIG_BAD_VALUE`. The words follow the key: "names no host".
    pub fn bad_value(words: impl Into<String>) -> Self {
        Self::new(FaultCode::ConfigBadValue, words)
    }

    /// `CONFIG_MISSING_KEY`, for a key that is needed only because of another: "is needed with `cert`".
    pub fn missing(words: impl Into<String>) -> Self {
        Self::new(FaultCode::ConfigMissingKey, words)
    }

    /// `NOT_IN_THIS_VERSION`: "with `file:` is not in this version".
    pub fn later(words: impl Into<String>) -> Self {
        Self::new(FaultCode::NotInThisVersion, words)
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The known key or word that was probably meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means a word of eight letters by one of a thousand; the bound keeps the distance cheap.
    const LETTERS_MAX: usize = 40;
    if written.chars().count() > LETTERS_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
    let written = plain(written);
    let distances = known.into_iter().map(|word| (strsim::osa_distance(&written, &plain(word)), word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may be wrong, but never all of them.
    let allowed = (word.chars().count().max(written.chars().count()) / 3).max(1);
    (distance <= allowed && distance < word.chars().count()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_could_be_meant() {
        let known = ["url", "user", "password", "tables", "lag-limit", "server-id"];
        let near = |text| nearest(text, known);
        assert_eq!(near("pasword"), Some("password"));
        assert_eq!(near("lagLimit"), Some("lag-limit"));
        assert_eq!(near("server_id"), Some("server-id"));
        assert_eq!(near("table"), Some("tables"));
        assert_eq!(near("uri"), Some("url"));
        assert_eq!(near("zzzzzz"), None);
        assert_eq!(near("x"), None);
        assert_eq!(near(&"tables".repeat(100)), None);
    }

    #[test]
    fn a_fault_says_which_part_of_the_way_it_concerns() {
        let place = Place { file: "a.yaml".into(), line: 3, column: 5 };
        let of = |path: &str| Fault::from(ConfigFault::of_key(path, &place, Complaint::bad_value("is odd")));
        assert_eq!(of("source.url").component(), Component::Input);
        assert_eq!(of("transforms[0].type").component(), Component::Filter);
        assert_eq!(of("sink").component(), Component::Output);
        let fault = of("lag-limit");
        assert_eq!((fault.component(), fault.object()), (Component::Server, Some("a.yaml:3:5")));
        assert_eq!(fault.to_string(), "`lag-limit` is odd");
    }
}

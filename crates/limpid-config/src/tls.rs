//! The sub-table `tls`, the same in every connector.
//!
//! Owns: its keys. Does not own: reading the files, connecting (each connector).
//!
//! Invariant: a certificate never comes without its key.

use std::path::PathBuf;

use crate::faults::Complaint;
use crate::key::{Choice, Choices, Key};
use crate::reader::Reader;

/// How much a connection must be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

impl Choices for TlsMode {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("disabled", TlsMode::Disabled, "Plain text."),
        Choice::new("preferred", TlsMode::Preferred, "TLS where the server offers it, whatever its certificate."),
        Choice::new("required", TlsMode::Required, "TLS, whatever the server's certificate: against listeners only."),
        Choice::new("verify-ca", TlsMode::VerifyCa, "TLS with a certificate of a trusted authority."),
        Choice::new("verify-identity", TlsMode::VerifyIdentity, "The same, and made out for this host."),
    ];
}

const CA: Key = Key::path("ca").doc("The trusted authorities, PEM. The system's own where it is left out.");
const CERT: Key = Key::path("cert").doc("Our own certificate, PEM, where the server asks for one.");
const KEY: Key = Key::path("key").doc("The private key of `cert`, PEM.");
const MODE: Key = Key::choice::<TlsMode>("mode").doc("How much the connection must be protected.");

/// For servers whose protocol can ask for TLS: `mode` is `preferred` when left out.
pub const TLS_PREFERRED: &[Key] = &[MODE.default("preferred"), CA, CERT, KEY];

/// For servers whose port is either plain or TLS: `mode` is `disabled` when left out.
pub const TLS_DISABLED: &[Key] = &[MODE.default("disabled"), CA, CERT, KEY];

/// Mode and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSpec {
    pub mode: TlsMode,
    /// Trusted authorities; the system's where absent.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsSpec {
    /// Reads the sub-table; `None` when it was refused.
    pub fn read(keys: &Reader<'_>) -> Option<Self> {
        let identity = match (keys.optional_path("cert"), keys.optional_path("key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return keys.refuse("key", Complaint::missing("is needed with `cert`")),
            (None, Some(_)) => return keys.refuse("cert", Complaint::missing("is needed with `key`")),
        };
        Some(Self { mode: keys.choice("mode"), ca: keys.optional_path("ca"), identity })
    }
}

//! TLS as the servers' own clients mean it.
//!
//! Owns: the five modes and how far each trusts. Does not own: when the switch happens (`login`).
//!
//! Invariant: `verify-ca` and `verify-identity` never fall back to less; `preferred` and `required` protect against
//! listeners only, which their documentation says.
//!
//! OpenSSL, which the Kafka client brings along anyway: MySQL servers of the 8.0 line that were built with OpenSSL 1.0
//! offer no key exchange by elliptic curves, and the TLS stacks written in Rust have no other.

use std::path::{Path, PathBuf};

use limpid_model::{Component, Fault, FaultCode};
use openssl::error::ErrorStack;
use openssl::ssl::{ConnectConfiguration, SslConnector, SslFiletype, SslMethod, SslVerifyMode, SslVersion};

/// How much a connection must be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disabled,
    /// TLS where the server offers it.
    Preferred,
    /// TLS, whatever the certificate.
    Required,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// The same, for this host.
    VerifyIdentity,
}

/// Mode and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    pub mode: TlsMode,
    /// Trusted authorities, PEM; the system's where absent.
    pub ca: Option<PathBuf>,
    /// Our certificate and key, PEM.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// The set-up of one handshake.
///
/// # Errors
/// `SOURCE_TLS_FAILED` when a file cannot be read or holds nothing of the kind.
pub fn configuration(options: &TlsOptions) -> Result<ConnectConfiguration, Fault> {
    let set_up = |error: ErrorStack| failed("TLS cannot be set up").because(error);
    // It trusts the system's authorities until a file is named.
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(set_up)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(set_up)?;
    let (verify, check_name) = match options.mode {
        TlsMode::Disabled | TlsMode::Preferred | TlsMode::Required => (SslVerifyMode::NONE, false),
        TlsMode::VerifyCa => (SslVerifyMode::PEER, false),
        TlsMode::VerifyIdentity => (SslVerifyMode::PEER, true),
    };
    builder.set_verify(verify);
    if let Some(ca) = &options.ca {
        builder.set_ca_file(ca).map_err(|error| unreadable(ca, error))?;
    }
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        builder.set_certificate_chain_file(cert).map_err(|error| unreadable(cert, error))?;
        builder.set_private_key_file(key, SslFiletype::PEM).map_err(|error| unreadable(key, error))?;
        let fit = builder.check_private_key();
        fit.map_err(|error| failed("the client certificate and its key do not fit together").because(error))?;
    }
    let configuration = builder.build().configure().map_err(set_up)?;
    Ok(configuration.verify_hostname(check_name))
}

fn unreadable(path: &Path, error: ErrorStack) -> Fault {
    failed("a TLS file cannot be read").about(path.display().to_string()).because(error)
}

fn failed(text: &str) -> Fault {
    Fault::new(FaultCode::SourceTlsFailed, Component::Input, text)
}

//! TLS as the servers' own clients mean it.
//!
//! Owns: the five modes and how far each trusts. Does not own: when the switch happens (`login`).
//!
//! Invariant: `verify-ca` and `verify-identity` never fall back to less; `preferred` and `required` protect against
//! listeners only, which their documentation says.

use std::path::PathBuf;
use std::sync::Arc;

use limpid_model::{Component, Fault, FaultCode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

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

/// The client's TLS set-up.
///
/// # Errors
/// `SOURCE_TLS_FAILED` when a file cannot be read or holds nothing of the kind.
pub fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>, Fault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS cannot be set up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(options, provider)?);
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
            let chain = chain.map_err(|error| unreadable(cert, error))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| failed("the client certificate and its key do not fit together").because(error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn verifier(options: &TlsOptions, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    let check_name = match options.mode {
        TlsMode::Disabled | TlsMode::Preferred | TlsMode::Required => {
            return Ok(Arc::new(AnyCertificate { provider }));
        }
        TlsMode::VerifyCa => false,
        TlsMode::VerifyIdentity => true,
    };
    let mut roots = RootCertStore::empty();
    match &options.ca {
        Some(path) => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            for certificate in certificates.map_err(|error| unreadable(path, error))? {
                roots.add(certificate).map_err(|error| failed("a certificate of tls.ca is unusable").because(error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| failed("no trusted certificate authority is known").because(error))?;
    Ok(if check_name { inner } else { Arc::new(AnyName { inner }) })
}

fn unreadable(path: &std::path::Path, error: rustls_pki_types::pem::Error) -> Fault {
    failed("a TLS file cannot be read").about(path.display().to_string()).because(error.to_string())
}

fn failed(text: &str) -> Fault {
    Fault::new(FaultCode::SourceTlsFailed, Component::Input, text)
}

/// Encrypts, and trusts whoever answers.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the chain but not the name in the certificate.
#[derive(Debug)]
struct AnyName {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

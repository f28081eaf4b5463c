//! TLS of the server.
//!
//! Owns: what is made of certificate and key, the handshake's settings. Does not own: reading the files again (`kept`),
//! the time a handshake may take (`connections`).
//!
//! Invariant: a pair that does not fit together is never used. Nobody is asked for a passphrase.
//!
//! By OpenSSL, since the connectors link it already; see `docs/decisions/0011`.

use limpid_model::{Component, Fault, FaultCode};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslOptions};
use openssl::x509::X509;

use crate::kept::Content;

/// Certificate and key, in this order: TLS 1.2 and 1.3 as Mozilla's intermediate profile has them.
///
/// # Errors
/// `LISTEN_TLS_INVALID`.
pub(crate) fn acceptor(contents: &[Content]) -> Result<SslAcceptor, Fault> {
    let [certificate, key] = contents else { unreachable!("the server names a certificate and a key") };
    let fault = |content: &Content, text: &str| {
        Fault::new(FaultCode::ListenTlsInvalid, Component::Server, text).about(content.path.display().to_string())
    };
    if key.open_to_all {
        return Err(fault(key, "every user of this machine can read the key").help("chmod 600, or 640 for a group"));
    }
    let not_pem = |error: ErrorStack| fault(certificate, "there is no certificate in the file").because(error);
    let mut chain = X509::stack_from_pem(&certificate.bytes).map_err(not_pem)?.into_iter();
    let Some(own) = chain.next() else { return Err(fault(certificate, "there is no certificate in the file")) };
    let no_key = |error: ErrorStack| fault(key, "there is no key without a passphrase in the file").because(error);
    // An empty passphrase for a key that wants one, which fails, where OpenSSL would ask at the terminal.
    let private = PKey::private_key_from_pem_callback(&key.bytes, |_| Ok(0)).map_err(no_key)?;
    let broken = |error: ErrorStack| fault(certificate, "certificate and key do not fit together").because(error);
    let mut made = || {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        // A client would have us compute at its will.
        builder.set_options(SslOptions::NO_RENEGOTIATION);
        builder.set_certificate(&own)?;
        chain.try_for_each(|above| builder.add_extra_chain_cert(above))?;
        builder.set_private_key(&private)?;
        builder.check_private_key()?;
        Ok(builder.build())
    };
    made().map_err(broken)
}

//! Authorities and certificates for tests.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// PEM of an authority, and of a certificate that it signed, with its key.
pub struct Issued {
    pub authority: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// A certificate for `localhost` and `127.0.0.1` whose serial number is `serial`, of an authority of its own.
pub fn issue(serial: u32) -> Issued {
    let (authority_key, key) = (new_key(), new_key());
    let authority = certificate("a test's authority", 1, &authority_key, None);
    let own = certificate("localhost", serial, &key, Some((&authority, &authority_key)));
    Issued {
        authority: authority.to_pem().unwrap(),
        certificate: own.to_pem().unwrap(),
        key: key.private_key_to_pem_pkcs8().unwrap(),
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(name: &str, serial: u32, key: &PKey<Private>, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    match issuer {
        None => builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
        Some((issuer, _)) => {
            let mut names = SubjectAlternativeName::new();
            let names = names.dns("localhost").ip("127.0.0.1").build(&builder.x509v3_context(Some(issuer), None));
            builder.append_extension(names.unwrap()).unwrap();
        }
    }
    builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    builder.build()
}

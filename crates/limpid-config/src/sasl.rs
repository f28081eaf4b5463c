//! The sub-table `sasl`, the same wherever Kafka is.
//!
//! Owns: its keys. Does not own: the login (`limpid-kafka`).
//!
//! Invariant: the password leaves as a [`Secret`].

use crate::key::{Choice, Choices, Key};
use crate::reader::Reader;
use crate::secret::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Choices for SaslMechanism {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("plain", SaslMechanism::Plain, "The password as it is: only over TLS."),
        Choice::new("scram-sha-256", SaslMechanism::ScramSha256, "Challenge and response."),
        Choice::new("scram-sha-512", SaslMechanism::ScramSha512, "Challenge and response."),
    ];
}

/// To be declared as `Key::section("sasl", SASL).optional()`.
pub const SASL: &[Key] = &[
    Key::choice::<SaslMechanism>("mechanism").required().doc("How the password is shown to the broker."),
    Key::text("user").required().doc("The name to log in with."),
    Key::secret("password").required().doc("Its password."),
];

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslSpec {
    pub mechanism: SaslMechanism,
    pub user: String,
    pub password: Secret,
}

impl SaslSpec {
    pub fn read(keys: &Reader<'_>) -> Self {
        Self { mechanism: keys.choice("mechanism"), user: keys.text("user"), password: keys.secret("password") }
    }
}

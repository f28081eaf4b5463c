//! The `mysql` source's own section of a pipeline file.
//!
//! Owns: its keys, and the address in its URL. Does not own: the frame's keys (`limpid-config`).
//!
//! Invariant: a password is never part of a complaint or of `Debug`.

use std::time::Duration;

use limpid_config::{Choice, Choices, Complaint, ConfigFault, Key, Section, TLS_PREFERRED, TlsSpec};
use limpid_connector::JsonText;

use crate::client::{Asked, ConnectOptions, TlsMode, TlsOptions};
use crate::selection::Selection;
use crate::stream::MySqlOptions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowImage {
    Full,
    Accept,
}

impl Choices for RowImage {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("full", RowImage::Full, "A table that is logged with less than full rows halts."),
        Choice::new("accept", RowImage::Accept, "Columns that a row image lacks are left out of the record."),
    ];
}

/// The section's keys.
pub const KEYS: &[Key] = &[
    Key::url("url")
        .required()
        .doc("Where the server is: mysql://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...], percent-encoded. Of several, the next one takes over by GTID."),
    Key::text("user").doc("The account, if the URL does not say it."),
    Key::secret("password").doc("Its password, if the URL does not say it."),
    Key::choice::<RowImage>("row-image").default("full").doc("What becomes of rows logged with less than all columns."),
    Key::texts("tables", 0).doc("Which tables are captured: globs of schema.table; ! excludes. All where left out."),
    Key::texts("columns", 0).doc("Which columns are captured: globs of schema.table.column; ! excludes."),
    Key::uint("server-id", 1, u32::MAX as u64)
        .doc("Our number among the server's replicas; made from the pipeline's name where left out."),
    Key::url("snapshot-from")
        .optional()
        .doc("A replica that tables are copied from: mysql://[USER[:PASSWORD]@]HOST[:PORT]; the account is the source's where left out."),
    Key::section("tls", TLS_PREFERRED).doc("How the connection is protected."),
];

const FORM: &str = "is no address of the form mysql://HOST:PORT";

/// Reads the section. `pipeline` seeds the server id.
///
/// # Errors
/// Every fault of the section.
pub fn read(section: &Section, pipeline: &str, json_text: JsonText) -> Result<MySqlOptions, Vec<ConfigFault>> {
    section.read(|keys| {
        let url = keys.url("url");
        let Some(address) = Address::parse(url.reveal()) else {
            return keys.refuse("url", Complaint::bad_value(FORM));
        };
        let Address { hosts, user, password } = address;
        let user = keys.optional_text("user").or(user);
        let Some(user) = user else {
            return keys.refuse("user", Complaint::missing("is missing, and the URL names no user"));
        };
        let password = keys.optional_secret("password").map(|secret| secret.reveal().to_owned()).or(password);
        let tls = tls_options(TlsSpec::read(&keys.section("tls"))?);
        let server_id = keys.optional_uint("server-id").map_or_else(|| default_server_id(pipeline), |id| id as u32);
        let password = password.unwrap_or_default();
        let connect_timeout = Duration::from_secs(10);
        let connects = hosts.into_iter().map(|(host, port)| {
            let (user, password, tls) = (user.clone(), password.clone(), tls.clone());
            let asked = Asked::of(&host, port);
            ConnectOptions { host, port, user, password, tls, connect_timeout, asked }
        });
        let snapshot_from = match keys.optional_url("snapshot-from") {
            None => None,
            Some(url) => {
                let Some(Address { hosts, user: own, password: theirs }) = Address::parse(url.reveal()) else {
                    return keys.refuse("snapshot-from", Complaint::bad_value(FORM));
                };
                let [(host, port)] = &hosts[..] else {
                    return keys.refuse("snapshot-from", Complaint::bad_value("names more than one server"));
                };
                // A password belongs to its user.
                let password = if own.is_some() { theirs } else { Some(password.clone()) };
                let (user, tls) = (own.unwrap_or_else(|| user.clone()), tls.clone());
                let (host, port, password) = (host.clone(), *port, password.unwrap_or_default());
                let asked = Asked::of(&host, port);
                Some(ConnectOptions { host, port, user, password, tls, connect_timeout, asked })
            }
        };
        let mut connects = connects.collect::<Vec<_>>().into_iter();
        Some(MySqlOptions {
            connect: connects.next()?,
            others: connects.collect(),
            snapshot_from,
            selection: Selection { tables: keys.texts("tables"), columns: keys.texts("columns") },
            accept_partial_images: keys.choice::<RowImage>("row-image") == RowImage::Accept,
            server_id,
            json_text,
            held: None,
            contexts: false,
            heartbeat: None,
        })
    })
}

fn tls_options(spec: TlsSpec) -> TlsOptions {
    let mode = match spec.mode {
        limpid_config::TlsMode::Disabled => TlsMode::Disabled,
        limpid_config::TlsMode::Preferred => TlsMode::Preferred,
        limpid_config::TlsMode::Required => TlsMode::Required,
        limpid_config::TlsMode::VerifyCa => TlsMode::VerifyCa,
        limpid_config::TlsMode::VerifyIdentity => TlsMode::VerifyIdentity,
    };
    let (cert, key) = spec.identity.unzip();
    TlsOptions { mode, ca: spec.ca, cert, key }
}

/// Far from the small numbers that people give their servers, below the bit that the second pass sets.
fn default_server_id(pipeline: &str) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(pipeline.as_bytes()) as u32;
    0x1000_0000 | (hash & 0x0fff_ffff)
}

struct Address {
    /// One at least, each once.
    hosts: Vec<(String, u16)>,
    user: Option<String>,
    password: Option<String>,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("mysql://").or_else(|| url.strip_prefix("mariadb://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, places) = match rest.rsplit_once('@') {
            Some((login, places)) => (Some(login), places),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "\0"))) {
            Some((user, "\0")) => (Some(decoded(user)?), None),
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
            None => (None, None),
        };
        let mut hosts = Vec::new();
        for place in places.split(',') {
            let host = host_and_port(place)?;
            if hosts.contains(&host) {
                return None;
            }
            hosts.push(host);
        }
        Some(Self { hosts, user, password })
    }
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map_or(Some(3306), |port| port.parse().ok())?;
    let legal = !host.is_empty() && !host.contains(['/', '?', '#', '@']) && port > 0;
    legal.then(|| (host.to_owned(), port))
}

/// Percent-decoding.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_decoded() {
        let check = |url: &str, hosts: &[(&str, u16)], user: Option<&str>, password: Option<&str>| {
            let address = Address::parse(url).expect(url);
            let found: Vec<_> = address.hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect();
            assert_eq!(found, hosts, "{url}");
            assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password), "{url}");
        };
        check("mysql://127.0.0.1:3307", &[("127.0.0.1", 3307)], None, None);
        check("mysql://db.example.com/", &[("db.example.com", 3306)], None, None);
        check("mysql://u:p%40%3A@h:1", &[("h", 1)], Some("u"), Some("p@:"));
        check("mysql://u@[::1]:3306", &[("::1", 3306)], Some("u"), None);
        check("mysql://u:@h", &[("h", 3306)], Some("u"), Some(""));
        check(
            "mysql://u:a,b@h1:1,h2,[::1]:2,[fe80::1]",
            &[("h1", 1), ("h2", 3306), ("::1", 2), ("fe80::1", 3306)],
            Some("u"),
            Some("a,b"),
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        const BAD: [&str; 12] = [
            "",
            "h:1",
            "http://h",
            "mysql://",
            "mysql://h:x",
            "mysql://h:0",
            "mysql://u:%zz@h",
            "mysql://h/db",
            "mysql://h,",
            "mysql://h1,,h2",
            "mysql://h1,h2:x",
            "mysql://h:3306,h",
        ];
        for bad in BAD {
            assert!(Address::parse(bad).is_none(), "{bad}");
        }
    }
}

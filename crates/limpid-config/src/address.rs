//! Addresses that something is sent to by HTTP.
//!
//! Owns: what such an address may look like. Does not own: who asks, what it means for them.
//!
//! Invariant: what is taken here is what a call takes, and no complaint repeats a part of the address, which may hold a password.
//!
//! Source: RFC 3986, of which this is the part that a message to one place needs.

/// What helps whoever wrote another.
pub const HTTP_ADDRESS_HELP: &str = "write http://HOST:PORT, or https:// with a path if there is one";

/// Whether this is `http://` or `https://`, perhaps a login, a host, perhaps a port and a path.
///
/// # Errors
/// What it is or has instead, as the rest of a sentence about it.
pub fn check_http_address(url: &str) -> Result<(), &'static str> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => rest,
        _ => return Err("is no http:// or https:// address"),
    };
    if rest.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, behind)| behind);
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(inner) => {
            let (address, behind) = inner.split_once(']').ok_or("has a host that is none")?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("has a host that is none");
            }
            (address, behind)
        }
        None => host_and_port.split_at(host_and_port.find(':').unwrap_or(host_and_port.len())),
    };
    if host.is_empty() {
        return Err("has no host");
    }
    let is_port =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("has a port that is none");
    }
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '"' | '<' | '>' | '\\');
    if !host.chars().all(|c| legal(c) && !matches!(c, '[' | ']')) || !path.chars().all(legal) {
        return Err("has a character that an address has percent-encoded, if at all");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_login_a_port_and_a_path() {
        for url in [
            "http://c",
            "HTTPS://c:4317",
            "http://c:4318/",
            "https://me:s%40x@c.example:65535/otlp/v1/traces",
            "http://[::1]:4317",
            "http://[2001:db8::1]/x",
        ] {
            assert_eq!(check_http_address(url), Ok(()), "{url}");
        }
        let scheme = "is no http:// or https:// address";
        for (url, complaint) in [
            ("collector:4317", scheme),
            ("grpc://c:4317", scheme),
            ("http:/c", scheme),
            ("https://", "has no host"),
            ("http://:4317", "has no host"),
            ("http://me:secret@:4317", "has no host"),
            ("http://c:", "has a port that is none"),
            ("http://c:0", "has a port that is none"),
            ("http://c:65536", "has a port that is none"),
            ("http://c:+80", "has a port that is none"),
            ("http://c:otlp", "has a port that is none"),
            ("http://::1:4317", "has no host"),
            ("http://[::1]4317", "has a port that is none"),
            ("http://[::1:4317", "has a host that is none"),
            ("http://[c]:4317", "has a host that is none"),
            ("http://c:4318/v1/traces?key=secret", "has a query or a fragment"),
            ("http://c#x", "has a query or a fragment"),
            ("http://a b:1", "has a character that an address has percent-encoded, if at all"),
            ("http://c/a@b", "has a character that an address has percent-encoded, if at all"),
            ("http://c/\r\nX: y", "has a character that an address has percent-encoded, if at all"),
        ] {
            assert_eq!(check_http_address(url), Err(complaint), "{url:?}");
        }
    }
}

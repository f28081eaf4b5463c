//! Addresses that may hold a login.
//!
//! Owns: taking the two apart, the header that a login becomes. Does not own: who is called.
//!
//! Invariant: pure. The address that is left has no login and can be shown.
//!
//! Source: RFC 3986 for what stands before an `@`, RFC 7617 for `Basic`.

use limpid_server::client::base64;

/// The address without what stands before an `@`, and that as the value of `Authorization`.
pub fn apart(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((login, host)) => {
            let authorization = format!("Basic {}", base64(&decoded(login)));
            (format!("{scheme}://{host}{}", &rest[end..]), Some(authorization))
        }
        None => (url.to_owned(), None),
    }
}

/// Percent-decoding; what is none stays as it is.
pub fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let pair = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *byte == b'%') {
            Some(value) => {
                out.push(value);
                rest = &behind[2..];
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_no_part_of_the_address() {
        let check = |url: &str, address: &str, authorization: Option<&str>| {
            assert_eq!(apart(url), (address.to_owned(), authorization.map(str::to_owned)), "{url}");
        };
        check("http://h:9090/api/v1/write", "http://h:9090/api/v1/write", None);
        // As `printf 'u:p@s' | base64` and its like say.
        check("https://u:p%40s@h/x@y", "https://h/x@y", Some("Basic dTpwQHM="));
        check("http://u:100%@h", "http://h", Some("Basic dToxMDAl"));
        check("nonsense", "nonsense", None);
    }
}

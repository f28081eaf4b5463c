//! Which format a scraper wants.
//!
//! Owns: reading `Accept`. Does not own: HTTP.
//!
//! Invariant: whatever the header holds, there is an answer: a scraper that asks for something else gets the text
//! format, which every one reads.
//!
//! Source: RFC 9110, section 12.5.1.

use super::Format;

/// One media range of the header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u32,
}

/// The best of our two formats for an `Accept` header. Where both are equally welcome and OpenMetrics is named
/// outright, that; a browser or a `*/*` gets text.
pub fn negotiate(accept: Option<&str>) -> Format {
    let ranges: Vec<Range<'_>> = accept.unwrap_or_default().split(',').filter_map(range).collect();
    let text = wish(&ranges, Format::Text);
    let open = wish(&ranges, Format::OpenMetrics);
    let named = open.is_some_and(|(precision, _)| precision >= NAMED);
    let quality = |wish: Option<(u8, u32)>| wish.map_or(0, |(_, quality)| quality);
    let (text, open) = (quality(text), quality(open));
    if open > text || (open == text && open > 0 && named) { Format::OpenMetrics } else { Format::Text }
}

/// The precision of a range that names the whole type, without and with its version.
const NAMED: u8 = 2;
const VERSIONED: u8 = 3;

/// The quality that the most precise range gives a format, with that precision.
fn wish(ranges: &[Range<'_>], format: Format) -> Option<(u8, u32)> {
    let (kind, subtype, version) = match format {
        Format::Text => ("text", "plain", "0.0.4"),
        Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
    };
    let is = |text: &str, ours: &str| text.eq_ignore_ascii_case(ours);
    let precision = |range: &Range<'_>| match range.version {
        Some(asked) => (is(range.kind, kind) && is(range.subtype, subtype) && asked == version).then_some(VERSIONED),
        None if is(range.kind, kind) && is(range.subtype, subtype) => Some(NAMED),
        None if is(range.kind, kind) && range.subtype == "*" => Some(1),
        None if range.kind == "*" && range.subtype == "*" => Some(0),
        None => None,
    };
    ranges.iter().filter_map(|range| Some((precision(range)?, range.quality))).max()
}

/// Parses one element; what is malformed counts as absent.
fn range(element: &str) -> Option<Range<'_>> {
    let mut parts = element.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut range = Range { kind: kind.trim(), subtype: subtype.trim(), version: None, quality: 1000 };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("q") => range.quality = quality(value)?,
            name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
            _ => {}
        }
    }
    Some(range)
}

/// `0`, `0.5`, `1.000`; at most three decimals count.
fn quality(text: &str) -> Option<u32> {
    let value: f64 = text.parse().ok()?;
    (0.0..=1.0).contains(&value).then(|| (value * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scraper_and_browser_gets_what_it_reads_best() {
        let prometheus2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                           text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                           application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                           text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus2, Format::OpenMetrics),
            (prometheus3, Format::OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0,*/*", Format::Text),
            ("text/plain, application/openmetrics-text", Format::OpenMetrics),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("*/*", Format::Text),
            ("text/*;q=0.1, application/*;q=0.5", Format::OpenMetrics),
            ("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.7, text/plain;q=0.6", Format::OpenMetrics),
            ("image/png", Format::Text),
            ("application/openmetrics-text;q=nan", Format::Text),
            ("application/openmetrics-text;q=7", Format::Text),
            (";;=,/,,", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(negotiate(Some(accept)), format, "{accept}");
        }
        assert_eq!(negotiate(None), Format::Text);
    }
}

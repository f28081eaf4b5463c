//! Where traces are sent: the file's word, else that of OpenTelemetry's variables.
//!
//! Owns: the order of the two, the protocol that an address means. Does not own: sending.
//!
//! Invariant: pure. What stands before an `@`, and the values of headers, are in nothing that is shown.
//!
//! Source: "OpenTelemetry Protocol Exporter" and "Environment Variable Specification" of OpenTelemetry.

use std::fmt;

use limpid_config::{OtlpProtocol, TracesSpec};
use limpid_model::{Component, Fault, FaultCode};

const DEFAULT: &str = "http://127.0.0.1:4317";
const HTTP_PATH: &str = "/v1/traces";

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Grpc,
    Http,
}

/// A collector.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// Whole, path and all, without a login.
    pub url: String,
    pub wire: Wire,
    pub headers: Vec<(String, String)>,
    /// For lines and faults.
    pub shown: String,
    pub service: String,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({:?} {})", self.wire, self.shown)
    }
}

/// The collector of a pipeline; `None` where `OTEL_SDK_DISABLED` says that there is none.
///
/// # Errors
/// `CONFIG_BAD_VALUE` for a protocol of the environment that there is not.
pub fn of(spec: &TracesSpec, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Destination>, Fault> {
    let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    // Of two names the one for traces alone wins.
    let of_traces = |end: &str| {
        variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{end}")).or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{end}")))
    };
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    // The general endpoint is a base, to which HTTP adds its path; one for traces is taken as it is.
    let whole = spec.otlp.as_ref().map(|url| url.reveal().to_owned());
    let whole = whole.or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
    let base = whole.is_none().then(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).flatten();
    let (url, is_base) = match (whole, base) {
        (Some(url), _) => (url, false),
        (None, Some(url)) => (url, true),
        (None, None) => (DEFAULT.to_owned(), false),
    };
    let url = without_login(url.trim_end_matches('/'));
    let path = path_of(&url);
    let wire = match spec.protocol {
        Some(OtlpProtocol::Grpc) => Wire::Grpc,
        Some(OtlpProtocol::Http) => Wire::Http,
        None => match (spec.otlp.is_none()).then(|| of_traces("PROTOCOL")).flatten().as_deref() {
            Some("grpc") => Wire::Grpc,
            Some("http/protobuf") => Wire::Http,
            Some(other) => return Err(unknown_protocol(other)),
            None if !path.is_empty() || url.ends_with(":4318") => Wire::Http,
            None => Wire::Grpc,
        },
    };
    let adds_path = wire == Wire::Http && (path.is_empty() || is_base);
    let headers = pairs(of_traces("HEADERS").unwrap_or_default());
    let mut resource = pairs(variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
    let named = resource.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
    resource.retain(|(name, _)| name != "service.name");
    Ok(Some(Destination {
        url: if adds_path { format!("{url}{HTTP_PATH}") } else { url.clone() },
        wire,
        headers,
        shown: url,
        service: variable("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "limpid".to_owned()),
        resource,
    }))
}

fn unknown_protocol(word: &str) -> Fault {
    let text = "OTEL_EXPORTER_OTLP_PROTOCOL is neither grpc nor http/protobuf";
    let help = "set one of the two, or write telemetry.traces.protocol";
    Fault::new(FaultCode::ConfigBadValue, Component::Server, text).about(word.to_owned()).help(help)
}

fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    format!("{scheme}://{host}{}", &rest[end..])
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

/// `name=value,name=value`, percent-encoded; what is no pair, or could not be a header, is left out.
fn pairs(text: String) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim().to_owned(), crate::push::decoded(value.trim()));
        let is_good = !name.is_empty() && !name.chars().chain(value.chars()).any(char::is_control);
        is_good.then_some((name, value))
    };
    text.split(',').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use limpid_config::{Granularity, Secret, TraceHeaders};

    fn spec(otlp: Option<&str>, protocol: Option<OtlpProtocol>) -> TracesSpec {
        let otlp = otlp.map(|url| Secret::new(url.to_owned()));
        let slow = std::time::Duration::from_secs(1);
        TracesSpec {
            otlp,
            protocol,
            sample: 0.0,
            slow,
            granularity: Granularity::Transaction,
            headers: TraceHeaders::Off,
        }
    }

    fn told(spec: &TracesSpec, variables: &[(&str, &str)]) -> Destination {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        of(spec, &find).unwrap().unwrap()
    }

    #[test]
    fn the_address_says_how_it_is_spoken_to_unless_the_file_does() {
        for (url, protocol, wire, whole) in [
            ("http://c:4317", None, Wire::Grpc, "http://c:4317"),
            ("http://c:4318", None, Wire::Http, "http://c:4318/v1/traces"),
            ("http://c:4318/", None, Wire::Http, "http://c:4318/v1/traces"),
            ("https://c/otlp/v1/traces", None, Wire::Http, "https://c/otlp/v1/traces"),
            ("http://c:9", Some(OtlpProtocol::Http), Wire::Http, "http://c:9/v1/traces"),
            ("http://c:4318", Some(OtlpProtocol::Grpc), Wire::Grpc, "http://c:4318"),
        ] {
            let told = told(&spec(Some(url), protocol), &[]);
            assert_eq!((told.wire, told.url.as_str()), (wire, whole), "{url}");
        }
    }

    #[test]
    fn variables_stand_below_the_file() {
        let all = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1,nonsense"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,deployment.environment.name=test"),
        ];
        let ours = told(&spec(Some("http://file:4317"), None), &all);
        assert_eq!((ours.url.as_str(), ours.wire), ("http://file:4317", Wire::Grpc));
        let theirs = told(&spec(None, None), &all);
        assert_eq!((theirs.url.as_str(), theirs.wire), ("http://base:4318/v1/traces", Wire::Http));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(theirs.headers, [pair("api-key", "a b"), pair("x", "1")]);
        assert_eq!(theirs.resource, [pair("deployment.environment.name", "test")]);
        assert_eq!(theirs.service, "shop");
        let for_traces = told(&spec(None, None), &[all[0], ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/own")]);
        assert_eq!(for_traces.url, "http://t/own");
        assert_eq!(told(&spec(None, None), &[]).url, DEFAULT);
        assert_eq!(of(&spec(None, None), &|name| (name == "OTEL_SDK_DISABLED").then(|| "true".into())).unwrap(), None);
        let odd = of(&spec(None, None), &|name| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| "http/json".into()));
        assert_eq!(odd.unwrap_err().code(), FaultCode::ConfigBadValue);
    }

    #[test]
    fn a_login_and_headers_are_shown_nowhere() {
        let told = told(&spec(Some("http://u:secret@c:4317"), None), &[("OTEL_EXPORTER_OTLP_HEADERS", "k=hidden")]);
        assert_eq!(told.shown, "http://c:4317");
        assert!(!format!("{told:?}").contains("hidden") && !format!("{told:?}").contains("secret"));
    }
}

//! Where something is sent by OTLP: the file's word, else that of OpenTelemetry's variables.
//!
//! Owns: the order of the two, the protocol that an address means, for traces, metrics and logs alike. Does not own: sending.
//!
//! Invariant: pure. What stands before an `@`, and the values of headers, are in nothing that is shown.
//!
//! Source: "OpenTelemetry Protocol Exporter" and "Environment Variable Specification" of OpenTelemetry.

use std::fmt;

use limpid_config::{HTTP_ADDRESS_HELP, OtlpProtocol, Secret, check_http_address};
use limpid_model::{Component, Fault, FaultCode};
use limpid_telemetry::SentBy;

use crate::login;

const DEFAULT: &str = "http://127.0.0.1:4317";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Its word in OpenTelemetry's variables.
    const fn variable(self) -> &'static str {
        match self {
            Signal::Traces => "TRACES",
            Signal::Metrics => "METRICS",
            Signal::Logs => "LOGS",
        }
    }

    /// Where it goes over HTTP, unless the address has a path of its own.
    const fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }

    /// The gRPC method.
    pub(super) const fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// What a message of it has many of.
    pub(super) const fn parts(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Metrics => "data points",
            Signal::Logs => "log records",
        }
    }

    /// The key of the file.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Signal::Traces => "telemetry.traces.otlp",
            Signal::Metrics => "telemetry.metrics.otlp",
            Signal::Logs => "telemetry.logs.otlp",
        }
    }
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    Grpc,
    Http,
}

/// A collector, for one signal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    pub signal: Signal,
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

impl Destination {
    /// The collector that a file names, or with no address the environment; `None` where `OTEL_SDK_DISABLED` says that there
    /// is none.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for an address or a protocol of the environment that is none.
    pub fn of(signal: Signal, otlp: Option<&Secret>, protocol: Option<OtlpProtocol>) -> Result<Option<Self>, Fault> {
        of(signal, otlp, protocol, &|name| std::env::var(name).ok())
    }

    /// Who this process is to the collector. `instance` tells it from others.
    pub fn sent_by(&self, instance: &str) -> SentBy {
        SentBy {
            service: self.service.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: instance.to_owned(),
            further: self.resource.clone(),
        }
    }
}

fn of(
    signal: Signal,
    otlp: Option<&Secret>,
    protocol: Option<OtlpProtocol>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Destination>, Fault> {
    let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    // Of two names the one for the signal alone wins.
    let own = |end: &str| variable(&format!("OTEL_EXPORTER_OTLP_{}_{end}", signal.variable()));
    let either = |end: &str| own(end).or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{end}")));
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    // The general endpoint is a base, to which HTTP adds its path; one for the signal is taken as it is.
    let (url, is_base) = match (otlp, own("ENDPOINT"), variable("OTEL_EXPORTER_OTLP_ENDPOINT")) {
        (Some(url), ..) => (url.reveal().to_owned(), false),
        (None, Some(url), _) => (checked(url, format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable()))?, false),
        (None, None, Some(url)) => (checked(url, "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned())?, true),
        (None, None, None) => (DEFAULT.to_owned(), false),
    };
    let (url, authorization) = login::apart(url.trim_end_matches('/'));
    let path = path_of(&url);
    let wire = match protocol {
        Some(OtlpProtocol::Grpc) => Wire::Grpc,
        Some(OtlpProtocol::Http) => Wire::Http,
        None => match otlp.is_none().then(|| either("PROTOCOL")).flatten().as_deref() {
            Some("grpc") => Wire::Grpc,
            Some("http/protobuf") => Wire::Http,
            Some(other) => return Err(unknown_protocol(other)),
            None if !path.is_empty() || url.ends_with(":4318") => Wire::Http,
            None => Wire::Grpc,
        },
    };
    let adds_path = wire == Wire::Http && (path.is_empty() || is_base);
    let mut headers = pairs(either("HEADERS").unwrap_or_default());
    headers.retain(|(name, value)| is_header(name, value));
    // A header of the environment may be for another address; a login stands in this one.
    if let Some(value) = authorization {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        headers.push(("authorization".to_owned(), value));
    }
    let mut resource = pairs(variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
    let named = resource.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
    resource.retain(|(name, _)| name != "service.name");
    Ok(Some(Destination {
        signal,
        url: if adds_path { format!("{url}{}", signal.http_path()) } else { url.clone() },
        wire,
        headers,
        shown: url,
        service: variable("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "limpid".to_owned()),
        resource,
    }))
}

/// An address of the environment. Those of the file have been checked.
fn checked(url: String, variable: String) -> Result<String, Fault> {
    match check_http_address(&url) {
        Ok(()) => Ok(url),
        Err(complaint) => {
            let text = format!("{variable} {complaint}");
            Err(Fault::new(FaultCode::ConfigBadValue, Component::Server, text).help(HTTP_ADDRESS_HELP))
        }
    }
}

fn unknown_protocol(word: &str) -> Fault {
    let text = "OTEL_EXPORTER_OTLP_PROTOCOL is neither grpc nor http/protobuf";
    let help = "set one of the two, or write `protocol` beside the address";
    Fault::new(FaultCode::ConfigBadValue, Component::Server, text).about(word.to_owned()).help(help)
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

/// What HTTP takes for a header: a token, and characters that can be seen, with blanks between them (RFC 9110, 5.5 and 5.6.2).
fn is_header(name: &str, value: &str) -> bool {
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let in_value = |b: u8| b.is_ascii_graphic() || b == b' ';
    name.bytes().all(in_token) && value.bytes().all(in_value)
}

/// `name=value,name=value`, percent-encoded; what is no pair is left out.
fn pairs(text: String) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim().to_owned(), login::decoded(value.trim()));
        let is_good = !name.is_empty() && !name.chars().chain(value.chars()).any(char::is_control);
        is_good.then_some((name, value))
    };
    text.split(',').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(otlp: Option<&str>, protocol: Option<OtlpProtocol>, variables: &[(&str, &str)]) -> Destination {
        told_of(Signal::Traces, otlp, protocol, variables)
    }

    fn told_of(
        signal: Signal,
        otlp: Option<&str>,
        protocol: Option<OtlpProtocol>,
        variables: &[(&str, &str)],
    ) -> Destination {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let otlp = otlp.map(|url| Secret::new(url.to_owned()));
        of(signal, otlp.as_ref(), protocol, &find).unwrap().unwrap()
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
            let told = told(Some(url), protocol, &[]);
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
        let ours = told(Some("http://file:4317"), None, &all);
        assert_eq!((ours.url.as_str(), ours.wire), ("http://file:4317", Wire::Grpc));
        let theirs = told(None, None, &all);
        assert_eq!((theirs.url.as_str(), theirs.wire), ("http://base:4318/v1/traces", Wire::Http));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(theirs.headers, [pair("api-key", "a b"), pair("x", "1")]);
        assert_eq!(theirs.resource, [pair("deployment.environment.name", "test")]);
        assert_eq!(theirs.service, "shop");
        let for_traces = told(None, None, &[all[0], ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/own")]);
        assert_eq!(for_traces.url, "http://t/own");
        assert_eq!(told(None, None, &[]).url, DEFAULT);
        assert_eq!(
            of(Signal::Traces, None, None, &|name| (name == "OTEL_SDK_DISABLED").then(|| "true".into())).unwrap(),
            None
        );
        let odd =
            of(Signal::Traces, None, None, &|name| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| "http/json".into()));
        assert_eq!(odd.unwrap_err().code(), FaultCode::ConfigBadValue);
    }

    #[test]
    fn each_signal_has_a_path_and_variables_of_its_own() {
        let metrics = |otlp, variables: &[(&str, &str)]| told_of(Signal::Metrics, otlp, None, variables);
        assert_eq!(metrics(Some("http://c:4318"), &[]).url, "http://c:4318/v1/metrics");
        let headers = [("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "t=1"), ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "m=2")];
        assert_eq!(metrics(Some("http://c:4317"), &headers).headers, [("m".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_login_is_sent_and_wins_over_a_header() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x,k=v");
        for (otlp, variables) in [
            (Some("http://u:s%65cret@c:4317"), vec![headers]),
            (None, vec![headers, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:secret@c:4317")]),
        ] {
            // As `printf 'u:secret' | base64` says.
            let expected = [pair("k", "v"), pair("authorization", "Basic dTpzZWNyZXQ=")];
            assert_eq!(told(otlp, None, &variables).headers, expected, "{otlp:?}");
        }
        assert_eq!(told(Some("http://c:4317"), None, &[headers]).headers[0], pair("Authorization", "Bearer x"));
    }

    #[test]
    fn an_address_of_the_environment_is_refused_by_the_name_of_its_variable() {
        let refused = |variable: &str, url: &str| {
            let find = |name: &str| (name == variable).then(|| url.to_owned());
            let fault = of(Signal::Traces, None, None, &find).unwrap_err();
            assert_eq!(fault.code(), FaultCode::ConfigBadValue);
            format!("{fault}")
        };
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            assert_eq!(refused(variable, "http://u:secret@c:otlp"), format!("{variable} has a port that is none"));
        }
        let unused = [("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")];
        assert_eq!(told(Some("http://c:4317"), None, &unused).url, "http://c:4317", "nobody asks it");
    }

    #[test]
    fn what_http_has_no_header_for_is_left_out() {
        let headers = "api key=1,k:=2,x=a%0D%0AHost:%20y,y=%C3%A9,ok=a%20b,=3";
        let told = told(Some("http://c:4317"), None, &[("OTEL_EXPORTER_OTLP_HEADERS", headers)]);
        assert_eq!(told.headers, [("ok".to_owned(), "a b".to_owned())]);
    }

    #[test]
    fn a_login_and_headers_are_shown_nowhere() {
        let told = told(Some("http://u:secret@c:4317"), None, &[("OTEL_EXPORTER_OTLP_HEADERS", "k=hidden")]);
        assert_eq!((&*told.shown, &*told.url), ("http://c:4317", "http://c:4317"));
        assert!(!format!("{told:?}").contains("hidden") && !format!("{told:?}").contains("secret"));
    }
}

//! Where something is sent by OTLP: the file's word, else that of OpenTelemetry's variables.
//!
//! Owns: the order of the two, the protocol that an address means, for traces, metrics and logs alike. Does not own: sending.
//!
//! Invariant: pure. What stands before an `@`, and the values of headers, are in nothing that is shown.
//!
//! Source: "OpenTelemetry Protocol Exporter" and "Environment Variable Specification" of OpenTelemetry.

use std::fmt;

use limpid_config::{OtlpProtocol, Secret};
use limpid_model::{Component, Fault, FaultCode};
use limpid_telemetry::SentBy;

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
    /// `CONFIG_BAD_VALUE` for a protocol of the environment that there is not.
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
    let whole = otlp.map(|url| url.reveal().to_owned()).or_else(|| own("ENDPOINT"));
    let base = whole.is_none().then(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).flatten();
    let (url, is_base) = match (whole, base) {
        (Some(url), _) => (url, false),
        (None, Some(url)) => (url, true),
        (None, None) => (DEFAULT.to_owned(), false),
    };
    let url = without_login(url.trim_end_matches('/'));
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
    let headers = pairs(either("HEADERS").unwrap_or_default());
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

fn unknown_protocol(word: &str) -> Fault {
    let text = "OTEL_EXPORTER_OTLP_PROTOCOL is neither grpc nor http/protobuf";
    let help = "set one of the two, or write `protocol` beside the address";
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
    fn a_login_and_headers_are_shown_nowhere() {
        let told = told(Some("http://u:secret@c:4317"), None, &[("OTEL_EXPORTER_OTLP_HEADERS", "k=hidden")]);
        assert_eq!(told.shown, "http://c:4317");
        assert!(!format!("{told:?}").contains("hidden") && !format!("{told:?}").contains("secret"));
    }
}

//! An OpenTelemetry Collector, and what it received.
//!
//! Owns: its configuration file, and the sink that it hands everything to as JSON.
//! Does not own: the process (`instance`), what the JSON means.
//!
//! Invariant: it does not batch and does not queue: what it acknowledged is in the sink.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use crate::instance::{Instance, Placement};
use crate::launch::Launch;
use crate::locate;
use crate::ports::{self, Lease};
use crate::ready::Probe;

/// A running collector that takes traces, metrics and logs by gRPC on its port and by HTTP on another.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    http: Lease,
    received: Arc<Mutex<Vec<String>>>,
}

/// Starts one and waits until it listens. Fails with [`crate::Unavailable`] where there is none and none can be built.
pub fn start(placement: &Placement) -> anyhow::Result<Server> {
    let program = locate::otelcol()?;
    let (dir, lease) = placement.take("otelcol")?;
    let http = ports::lease()?;
    let listener = TcpListener::bind("127.0.0.1:0").context("listen for what the collector received")?;
    let sink = listener.local_addr().context("find the sink's port")?;
    let pipelines = ["traces", "metrics", "logs"]
        .map(|signal| format!("{signal}: {{ receivers: [otlp], exporters: [otlp_http] }}"))
        .join(", ");
    let config = format!(
        "receivers: {{ otlp: {{ protocols: {{ grpc: {{ endpoint: \"127.0.0.1:{}\" }}, http: {{ endpoint: \"127.0.0.1:{}\" }} }} }} }}\n\
         exporters: {{ otlp_http: {{ endpoint: \"http://{sink}\", encoding: json, compression: none, sending_queue: {{ enabled: false }} }} }}\n\
         service: {{ telemetry: {{ metrics: {{ level: none }} }}, pipelines: {{ {pipelines} }} }}\n",
        lease.port(),
        http.port()
    );
    let file = dir.path().join("otelcol.yaml");
    std::fs::write(&file, config).context("write the collector's configuration")?;
    let received = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // One request a connection, since the answer ends it; a broken one is the collector's to repeat.
            let _ = take(stream, &into);
        }
    });
    let launch = Launch {
        program,
        args: [OsString::from("--config"), file.into_os_string()].to_vec(),
        folder: dir.path().to_path_buf(),
        output: dir.path().join("otelcol.log"),
        account: None,
        lifetime: placement.lifetime,
    };
    let instance = Instance::start("the OpenTelemetry Collector", launch, Probe::Listens, lease, dir)?;
    Ok(Server { instance, http, received })
}

fn take(mut stream: TcpStream, into: &Mutex<Vec<String>>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    into.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8(body)?);
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    stream.write_all(answer.as_bytes())?;
    Ok(())
}

impl Server {
    /// Where it takes OTLP by gRPC.
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Where it takes OTLP over HTTP.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http.port())
    }

    /// Every message so far, as JSON texts.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deref for Server {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

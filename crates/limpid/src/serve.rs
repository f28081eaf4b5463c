//! The HTTP server of this process.
//!
//! Owns: putting its parts together. Does not own: what it answers (`limpid-server`).
//!
//! Invariant: the port is bound before the first pipeline runs, so that a taken port stops nothing half-way.

use std::sync::Arc;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::{PipelineView, Server, ServerOptions, TlsFiles};
use limpid_telemetry::{Level, Log, LogOptions, LogQueue, Registry, Style, Words};

use crate::cli::{LogStyle, RunArguments};
use crate::observe::moment;
use crate::run::BUILD;
use crate::screen::Screen;

/// Starts the server.
///
/// # Errors
/// `LISTEN_FAILED`, `LISTEN_INSECURE`, `LISTEN_TLS_INVALID`, `AUTH_FILE_INVALID`.
pub fn start(
    arguments: &RunArguments,
    pipelines: Vec<PipelineView>,
    registry: &Arc<Registry>,
    clock: &Clock,
    style: LogStyle,
    screen: &Screen,
    sent: Option<Arc<LogQueue>>,
) -> Result<Server, Fault> {
    let style = match style {
        LogStyle::Json => Style::Json,
        LogStyle::Text => Style::Text,
    };
    let options = LogOptions { style, level: Level::Info, words: Words::Reduced, file: None };
    let wall = clock.clone();
    let log = Log::to(Box::new(screen.clone()), &options, move || wall.wall_micros());
    let log = log.map_err(|error| {
        Fault::new(FaultCode::ListenFailed, Component::Server, "the server has no log").because(error)
    })?;
    let tls = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let log = match sent {
        Some(queue) => log.sending(queue),
        None => log,
    };
    let options = ServerOptions {
        listen: arguments.listen,
        metrics_listen: arguments.metrics_listen,
        auth_token_file: arguments.auth_token_file.clone(),
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        insecure: arguments.insecure,
        build: BUILD,
    };
    let clock = clock.clone();
    let now = Arc::new(move || moment(&clock));
    Server::start(&options, Arc::clone(registry), pipelines, now, Arc::new(log))
}

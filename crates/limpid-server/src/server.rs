//! The server: its socket, its thread, its end.
//!
//! Owns: binding, refusing to be open to others by mistake, one thread with a small runtime. Does not own:
//! connections (`connections`), answers (`routes`).
//!
//! Invariant: the port is bound when [`Server::start`] returns, and free when [`Server::shutdown`] does.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use limpid_model::{Component, Fault, FaultCode};
use limpid_telemetry::{Build, Listening, Log, Registry};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::connections::{self, LIMITS};
use crate::site::{PipelineView, Site, WallAndMonotonic};

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Port 0 takes any free one: see [`Server::local_addr`].
    pub listen: SocketAddr,
    /// Lets `listen` be an address that other machines reach. There are no tokens and no TLS.
    pub insecure: bool,
    pub build: Build,
}

/// A running server. Dropped, it ends as [`Server::shutdown`] does.
pub struct Server {
    address: SocketAddr,
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds and begins to answer. `/readyz` says no until [`Server::pipelines_started`].
    ///
    /// # Errors
    /// `LISTEN_INSECURE` for an address beyond loopback without the option, `LISTEN_FAILED` when it cannot be bound.
    pub fn start(
        options: &ServerOptions,
        registry: Arc<Registry>,
        pipelines: Vec<PipelineView>,
        clock: WallAndMonotonic,
        log: Arc<Log>,
    ) -> Result<Self, Fault> {
        if !options.listen.ip().to_canonical().is_loopback() && !options.insecure {
            let text = "the address can be reached by others, and there are neither tokens nor TLS in this version";
            return Err(fault(FaultCode::ListenInsecure, options, text));
        }
        let failed = |error| fault(FaultCode::ListenFailed, options, "cannot listen on the address").because(error);
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let site = Arc::new(Site::new(options.build, registry, pipelines, clock, log));
        let (stop, stopped) = watch::channel(false);
        let thread = spawn(runtime, listener, Arc::clone(&site), stopped).map_err(failed)?;
        Listening { address: &address.to_string() }.emit(&site.log);
        Ok(Self { address, site, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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

fn fault(code: FaultCode, options: &ServerOptions, text: &str) -> Fault {
    Fault::new(code, Component::Server, text).about(options.listen.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the one thread of the server: ended by `stop`, joined by the drop")]
fn spawn(
    runtime: Runtime,
    listener: TcpListener,
    site: Arc<Site>,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let listener = {
        let _here = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let work = move || runtime.block_on(connections::serve(listener, site, LIMITS, stopped));
    std::thread::Builder::new().name("http".to_owned()).spawn(work)
}

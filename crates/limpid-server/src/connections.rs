//! Taking connections, and bounding what they cost.
//!
//! Owns: the accept loop, the number of connections, the limits of a request, the end. Does not own: answers
//! (`routes`), the thread (`server`).
//!
//! Invariant: at most [`Limits::open_max`] connections are open. A newcomer beyond that is let in at the cost of the oldest: a
//! probe must get through even while somebody holds every place.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_openssl::SslStream;

use crate::kept::Kept;
use crate::patience::Patient;
use crate::routes::{self, Port};
use crate::site::Site;

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// A handful of scrapers, probes and people keep a connection each. With a head and a piece of the answer that is
    /// 128 x 32 KiB = 4 MiB at most (10 MiB under TLS, whose records are held too), beside the pages being sent.
    pub(crate) open_max: usize,
    /// For a head to come whole, and for a connection to stand idle: longer than the usual pause between two scrapes.
    /// For a handshake of TLS as well, before the first head.
    pub(crate) head_time_max: Duration,
    /// For a reader to make room. A page of metrics is a few hundred KiB, which any network takes in less.
    pub(crate) stuck_max: Duration,
    /// For answers on their way when the server ends.
    pub(crate) grace: Duration,
}

/// Those of the server that ships.
pub(crate) const LIMITS: Limits = Limits {
    open_max: 128,
    head_time_max: Duration::from_secs(20),
    stuck_max: Duration::from_secs(5),
    grace: Duration::from_millis(500),
};

/// What browsers and proxies send is below 8 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// After an accept that failed, most often for want of file descriptors, which is not over at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One port: what can be asked there, and how it is spoken.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) port: Port,
    pub(crate) tls: Option<Arc<Kept<SslAcceptor>>>,
    pub(crate) site: Arc<Site>,
}

/// Serves until `stop` is sent or its sender is gone, and returns within the grace after that.
#[expect(clippy::disallowed_methods, reason = "the server's own runtime, on real sockets and real time")]
pub(crate) async fn serve(listener: TcpListener, door: Door, limits: Limits, stop: watch::Receiver<bool>) {
    let mut open = Open { limits, tasks: JoinSet::new(), handles: VecDeque::new() };
    let mut stopped = pin!(stopped(stop.clone()));
    loop {
        let next = poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            listener.poll_accept(cx).map(Some)
        });
        match next.await {
            None => break,
            Some(Ok((socket, peer))) => open.admit(socket, peer.ip().to_canonical(), door.clone(), stop.clone()),
            Some(Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.grace, async { while open.tasks.join_next().await.is_some() {} }).await;
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error says that the sender is gone, which ends the server too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The connections, oldest first.
struct Open {
    limits: Limits,
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
}

impl Open {
    fn admit(&mut self, socket: TcpStream, peer: IpAddr, door: Door, stop: watch::Receiver<bool>) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        while self.handles.len() >= self.limits.open_max
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        self.handles.push_back(self.tasks.spawn(connection(socket, peer, door, self.limits, stop)));
    }
}

/// One connection until either side ends it.
async fn connection(socket: TcpStream, peer: IpAddr, door: Door, limits: Limits, stop: watch::Receiver<bool>) {
    // Answers are small and written whole.
    let _ = socket.set_nodelay(true);
    let Some(tls) = &door.tls else { return drive(socket, peer, door, limits, stop).await };
    let acceptor = tls.current(&door.site.log);
    let Ok(mut socket) = Ssl::new(acceptor.context()).and_then(|ssl| SslStream::new(ssl, socket)) else { return };
    // What went wrong in a handshake is the client's affair as well.
    if let Ok(Ok(())) = tokio::time::timeout(limits.head_time_max, Pin::new(&mut socket).accept()).await {
        drive(socket, peer, door, limits, stop).await;
    }
}

/// HTTP over a connection that stands.
async fn drive<S>(socket: S, peer: IpAddr, door: Door, limits: Limits, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| {
        let response = routes::answer(&door.site, door.port, peer, &request).into_response();
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_time_max);
    builder.max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX);
    // A client that says it will ask no more (`nc -N`, a pipe) still gets its answer.
    builder.half_close(true);
    let mut connection = pin!(builder.serve_connection(Patient::new(socket, limits.stuck_max), service));
    let mut stopped: Option<Pin<Box<_>>> = Some(Box::pin(stopped(stop)));
    poll_fn(|cx| {
        if let Some(stop) = &mut stopped
            && stop.as_mut().poll(cx).is_ready()
        {
            stopped = None;
            connection.as_mut().graceful_shutdown();
        }
        // What a client did wrong is its own affair: hyper has answered it where that was possible.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

#[cfg(test)]
mod tests;

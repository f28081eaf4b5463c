//! One gRPC call at a time: a message to a service, and whether it was taken.
//!
//! Owns: HTTP/2 by the `h2` crate, the framing of a message, the status in the trailers. Does not own: messages.
//!
//! Invariant: a call ends within its time and holds no thread but the caller's; a connection lives for one call.
//!
//! Source: "gRPC over HTTP2" of the gRPC project.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::http::{HeaderMap, Request};
use limpid_model::{Component, Fault, FaultCode};
use openssl::ssl::{SslConnector, SslMethod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_openssl::SslStream;

use super::{Client, Scheme, wire};

/// An answer holds a count and a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A service at an address.
#[derive(Debug)]
pub struct Grpc {
    client: Client,
    runtime: Runtime,
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// 0 is success; the others are gRPC's own.
    pub code: u32,
    /// The service's words, percent-encoded as they came.
    pub message: String,
}

impl GrpcStatus {
    /// The same may be taken later.
    pub fn is_passing(&self) -> bool {
        // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        matches!(self.code, 1 | 4 | 8 | 10 | 11 | 14 | 15)
    }
}

impl Grpc {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(url: &str, timeout: Duration) -> Result<Self, Fault> {
        let client = Client::new(url, timeout)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| client.unreachable("no runtime for a call").because(error))?;
        Ok(Self { client, runtime })
    }

    /// Calls `/package.Service/Method` with one message.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE` where no answer came.
    pub fn call(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Result<GrpcStatus, Fault> {
        let call = async {
            match tokio::time::timeout(self.client.timeout, self.exchange(path, headers, message)).await {
                Ok(done) => done,
                Err(late) => Err(late.into()),
            }
        };
        self.runtime.block_on(call).map_err(|error| {
            let text = "no answer to a gRPC call";
            Fault::new(FaultCode::ServerUnreachable, Component::Server, text).about(self.client.url()).because(error)
        })
    }

    async fn exchange(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Result<GrpcStatus, Failed> {
        let (host, port) = wire::host_and_port(&self.client.authority);
        let (scheme, usual) = match self.client.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https { .. } => ("https", 443),
        };
        let port = port.map_or(Ok(usual), str::parse)?;
        let socket = TcpStream::connect((host, port)).await?;
        socket.set_nodelay(true)?;
        let uri = format!("{scheme}://{}{}{path}", self.client.authority, self.client.prefix);
        let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("user-agent", "limpid").body(())?;
        match self.client.scheme {
            Scheme::Http => ask(socket, request, framed(message)).await,
            Scheme::Https { .. } => {
                let mut builder = SslConnector::builder(SslMethod::tls_client())?;
                builder.set_alpn_protos(b"\x02h2")?;
                let ssl = builder.build().configure()?.into_ssl(host)?;
                let mut stream = SslStream::new(ssl, socket)?;
                Pin::new(&mut stream).connect().await?;
                ask(stream, request, framed(message)).await
            }
        }
    }
}

/// Not compressed, its length, itself.
fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

async fn ask<S>(stream: S, request: Request<()>, body: Bytes) -> Result<GrpcStatus, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client, connection) = h2::client::handshake(stream).await?;
    let mut call = pin!(answer(client, request, body));
    let mut connection = pin!(connection);
    let mut is_open = true;
    // The connection moves what the call asks for; it ends with the call.
    poll_fn(move |context| {
        if let Poll::Ready(done) = call.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if is_open && connection.as_mut().poll(context).is_ready() {
            is_open = false;
            return call.as_mut().poll(context);
        }
        Poll::Pending
    })
    .await
}

async fn answer(
    client: h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
) -> Result<GrpcStatus, Failed> {
    let mut client = client.ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(body, true)?;
    let (head, mut body) = response.await?.into_parts();
    if head.status != 200 {
        return Err(format!("what answers speaks HTTP {} and no gRPC", head.status.as_u16()).into());
    }
    let mut read = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        read += piece.len();
        if read > ANSWER_BYTES_MAX {
            return Err("the answer is too long".into());
        }
        body.flow_control().release_capacity(piece.len())?;
    }
    let trailers = body.trailers().await?;
    // An answer without a message has its status at once.
    status(trailers.as_ref()).or_else(|| status(Some(&head.headers))).ok_or_else(|| "no gRPC status came back".into())
}

fn status(headers: Option<&HeaderMap>) -> Option<GrpcStatus> {
    let code = headers?.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message = headers?.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default().to_owned();
    Some(GrpcStatus { code, message })
}

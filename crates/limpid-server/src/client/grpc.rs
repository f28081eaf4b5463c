//! One gRPC call at a time: a message to a service, and whether it was taken.
//!
//! Owns: HTTP/2 by the `h2` crate, the framing of a message, the status in the trailers and what stands for one. Does not own:
//! messages.
//!
//! Invariant: a call ends within its time and holds no thread but the caller's; a connection lives for one call.
//!
//! Source: "gRPC over HTTP2" and "HTTP to gRPC Status Code Mapping" of the gRPC project.

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
    /// Of whoever answers in HTTP alone, as what stands before a service does; `code` is what gRPC makes of it.
    pub http: Option<u16>,
    /// The message that came back; empty where there was none.
    pub answer: Vec<u8>,
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
    // An answer without a message has its status at once.
    let at_once = code(Some(&head.headers));
    if head.status != 200 {
        let http = head.status.as_u16();
        return Ok(match at_once {
            Some(code) => GrpcStatus { code, http: None, answer: Vec::new() },
            None => GrpcStatus { code: code_of_http(http), http: Some(http), answer: Vec::new() },
        });
    }
    let mut read = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        if read.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too long".into());
        }
        read.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    let trailers = body.trailers().await?;
    let code = code(trailers.as_ref()).or(at_once).ok_or("no gRPC status came back")?;
    Ok(GrpcStatus { code, http: None, answer: unframed(&read).to_vec() })
}

fn code(headers: Option<&HeaderMap>) -> Option<u32> {
    headers?.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The first message, which is the only one; nothing where it is compressed, which nobody asked for.
fn unframed(read: &[u8]) -> &[u8] {
    let Some(([0, length @ ..], message)) = read.split_first_chunk::<5>() else { return &[] };
    message.get(..u32::from_be_bytes(*length) as usize).unwrap_or_default()
}

/// What an HTTP status without one of gRPC means.
const fn code_of_http(status: u16) -> u32 {
    match status {
        // INTERNAL, UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, UNAVAILABLE, UNKNOWN.
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says to one call: an HTTP status, then a message and trailers.
    type Said = (u16, &'static [u8], &'static [(&'static str, &'static str)]);

    /// One call to a server that says this.
    fn called((status, body, trailers): Said) -> GrpcStatus {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let server = async move {
            let (socket, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let head = hyper::http::Response::builder().status(status).body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            stream.send_data(Bytes::from_static(body), trailers.is_empty()).unwrap();
            if !trailers.is_empty() {
                let text = |text: &&'static str| text.parse().unwrap();
                let pairs = trailers.iter().map(|(name, value)| (name.parse().unwrap(), text(value)));
                stream.send_trailers(pairs.collect::<HeaderMap>()).unwrap();
            }
            // Until the caller has gone.
            poll_fn(|context| connection.poll_closed(context)).await.ok();
        };
        let grpc = Grpc::new(&url, Duration::from_secs(60)).unwrap();
        std::thread::scope(|scope| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            scope.spawn(move || runtime.block_on(server));
            grpc.call("/a.B/C", &[], b"message").unwrap()
        })
    }

    #[test]
    fn an_answer_in_http_alone_is_what_grpc_makes_of_it() {
        // The table of "HTTP to gRPC Status Code Mapping", and whether the same may be taken later.
        for (http, code, is_passing) in [
            (400, 13, false),
            (401, 16, false),
            (403, 7, false),
            (404, 12, false),
            (429, 14, true),
            (502, 14, true),
            (503, 14, true),
            (504, 14, true),
            (500, 2, false),
        ] {
            let status = called((http, b"<html>", &[]));
            assert_eq!((status.code, status.http, status.is_passing()), (code, Some(http), is_passing), "{http}");
        }
    }

    #[test]
    fn the_message_that_comes_back_is_kept() {
        let ok: &[_] = &[("grpc-status", "0")];
        for (body, answer) in [
            (&b"\0\0\0\0\x02\x08\x05"[..], &b"\x08\x05"[..]),
            (b"\0\0\0\0\0", b""),
            (b"", b""),
            (b"\x01\0\0\0\x02\x08\x05", b""),
            (b"\0\0\0\0\x03\x08\x05", b""),
        ] {
            let status = called((200, body, ok));
            assert_eq!((status.code, status.http, &status.answer[..]), (0, None, answer), "{body:?}");
        }
        assert_eq!(called((200, b"", &[("grpc-status", "16")])).code, 16);
    }
}

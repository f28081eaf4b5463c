//! The handshake: capabilities, the switch to TLS, the exchange of an authentication plugin.
//!
//! Owns: the order of those packets. Does not own: the plugins' cryptography (`mysql_common`).
//!
//! Invariant: with a mode of `required` or more nothing but the TLS request leaves us before the channel is secure;
//! a password goes out in clear only inside TLS.

use limpid_model::{Component, Fault, FaultCode};
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context, Response};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;

use super::{Client, ConnectOptions, QueryError, TlsMode, server_error, tls};

/// What one packet may hold, as we tell the server: the protocol's own limit, so that no event is too large.
const PACKET_ANNOUNCED: u32 = 1 << 30;

/// Logs in on a fresh connection.
pub(super) fn login(client: &mut Client, options: &ConnectOptions) -> Result<(), Fault> {
    let endpoint = options.endpoint();
    let wire = |error: QueryError| error.into_fault("log in", &endpoint);
    let greeting = client.read_packet().map_err(wire)?;
    if greeting.first() == Some(&0xff) {
        return Err(QueryError::Server(server_error(&greeting)).into_fault("log in", &endpoint));
    }
    let hello: HandshakePacket<'_> = ParseBuf(&greeting).parse(()).map_err(|_| no_server(&endpoint))?;
    client.server_version = hello.server_version_str().into_owned();
    client.connection_id = hello.connection_id();
    let offered = hello.capabilities();
    let mut wanted = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    if wants_tls(options, offered.contains(CapabilityFlags::CLIENT_SSL), &endpoint)? {
        wanted |= CapabilityFlags::CLIENT_SSL;
        secure(client, options, wanted)?;
    }
    let plugin = hello.auth_plugin().unwrap_or(AuthPlugin::MysqlNativePassword);
    let nonce = hello.nonce();
    authenticate(client, options, plugin, nonce, wanted)
}

fn wants_tls(options: &ConnectOptions, offered: bool, endpoint: &str) -> Result<bool, Fault> {
    match (options.tls.mode, offered) {
        (TlsMode::Disabled, _) | (TlsMode::Preferred, false) => Ok(false),
        (TlsMode::Preferred | TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity, true) => Ok(true),
        (TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity, false) => {
            let text = "the server does not offer TLS, which source.tls asks for";
            Err(Fault::new(FaultCode::SourceTlsFailed, Component::Input, text).about(endpoint))
        }
    }
}

fn secure(client: &mut Client, options: &ConnectOptions, wanted: CapabilityFlags) -> Result<(), Fault> {
    let endpoint = options.endpoint();
    let mut request = Vec::new();
    SslRequest::new(wanted, PACKET_ANNOUNCED, 45).serialize(&mut request);
    client.write_packet(&request).map_err(|error| error.into_fault("ask for TLS", &endpoint))?;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::new(FaultCode::SourceTlsFailed, Component::Input, "the TLS handshake with the server failed")
            .about(&*endpoint)
            .because(error)
    };
    let configuration = tls::configuration(&options.tls)?;
    let plain = std::mem::replace(&mut client.socket, super::Socket::Closed);
    client.socket = plain.secure(configuration, &options.host).map_err(|error| failed(error.into()))?;
    Ok(())
}

/// What a plugin may know.
struct Known<'a> {
    password: &'a [u8],
    scramble: &'a [u8],
    secure: bool,
}

impl Context for Known<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.secure
    }

    fn scramble(&self) -> &[u8] {
        self.scramble
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

fn authenticate(
    client: &mut Client,
    options: &ConnectOptions,
    plugin: AuthPlugin<'_>,
    nonce: Vec<u8>,
    wanted: CapabilityFlags,
) -> Result<(), Fault> {
    let endpoint = options.endpoint();
    let refused = || refusal(options);
    let wire = |error: QueryError| error.into_fault("log in", &endpoint);
    let mut scramble = nonce;
    let mut proc = start(&plugin, options)?;
    let mut last = step(&mut proc, client, options, &scramble, &scramble)?;
    let data = last.data().unwrap_or_default().to_vec();
    let response = HandshakeResponse::new(
        Some(data),
        (8, 0, 0),
        Some(options.user.as_bytes()),
        None::<Vec<u8>>,
        Some(plugin.borrow()),
        wanted,
        None,
        PACKET_ANNOUNCED,
    );
    let mut bytes = Vec::new();
    response.serialize(&mut bytes);
    client.write_packet(&bytes).map_err(wire)?;
    // A login has a handful of steps; more is a server that plays games.
    for _ in 0..10 {
        let packet = client.read_packet().map_err(wire)?;
        match packet.first() {
            Some(0x00) => return Ok(()),
            Some(0xff) => {
                let error = server_error(&packet);
                return Err(match error.number {
                    1045 | 1044 | 1698 | 1130 | 1862 | 1820 | 3118 | 4151 | 1251 | 2059 => refused().because(error),
                    _ => QueryError::Server(error).into_fault("log in", &endpoint),
                });
            }
            Some(0xfe) => {
                let switch: AuthSwitchRequest<'_> = ParseBuf(&packet).parse(()).map_err(|_| no_server(&endpoint))?;
                scramble = switch.plugin_data().to_vec();
                if scramble.last() == Some(&0) {
                    scramble.pop();
                }
                proc = start(&switch.auth_plugin(), options)?;
                last = step(&mut proc, client, options, &scramble, &scramble)?;
            }
            Some(0x01) if matches!(last, Response::Next { .. }) => {
                last = step(&mut proc, client, options, &scramble, &packet[1..])?;
            }
            _ => return Err(no_server(&endpoint)),
        }
        if let Some(data) = last.data() {
            client.write_packet(data).map_err(wire)?;
        }
    }
    Err(no_server(&endpoint))
}

fn start(plugin: &AuthPlugin<'_>, options: &ConnectOptions) -> Result<AuthProc, Fault> {
    let known =
        matches!(plugin, AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password | AuthPlugin::Ed25519);
    let init = known.then(|| plugin.init().ok()).flatten();
    init.ok_or_else(|| {
        let name = String::from_utf8_lossy(plugin.as_bytes()).into_owned();
        refusal(options)
            .help(format!("give the account mysql_native_password, caching_sha2_password or ed25519 instead of {name}"))
    })
}

fn step(
    proc: &mut AuthProc,
    client: &Client,
    options: &ConnectOptions,
    scramble: &[u8],
    challenge: &[u8],
) -> Result<Response, Fault> {
    let known = Known { password: options.password.as_bytes(), scramble, secure: client.socket.is_secure() };
    proc.run(known, challenge).map_err(|_| refusal(options))
}

fn refusal(options: &ConnectOptions) -> Fault {
    let text = format!("the server refused the login of user {}", options.user);
    Fault::new(FaultCode::SourceAuthFailed, Component::Input, text).about(options.endpoint())
}

fn no_server(endpoint: &str) -> Fault {
    let text = "what answers there does not speak the MySQL protocol";
    Fault::new(FaultCode::SourceUnreachable, Component::Input, text).about(endpoint)
}

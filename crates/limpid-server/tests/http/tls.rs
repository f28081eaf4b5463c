//! The server under TLS, asked by curl, by openssl and by our own client.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use limpid_connector::Clock;
use limpid_server::client::Client;
use limpid_server::{Server, ServerOptions, TlsFiles};
use limpid_stack::{TempDir, Unavailable, require};
use limpid_telemetry::Registry;

use crate::certificates::{Issued, issue};
use crate::pipelines::{BUILD, Fate, Lines, desk_with, log, reading};
use crate::tokens::write;
use crate::wire::{ask, exchange, get};

fn put(directory: &TempDir, issued: &Issued) -> TlsFiles {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    write(directory, "ca", &text(&issued.authority), 0o644);
    let certificate = write(directory, "cert", &text(&issued.certificate), 0o644);
    TlsFiles { certificate, key: write(directory, "key", &text(&issued.key), 0o600) }
}

fn options(tls: TlsFiles) -> ServerOptions {
    let any = "127.0.0.1:0".parse().unwrap();
    ServerOptions { tls: Some(tls), metrics_listen: Some(any), ..ServerOptions::new(any, BUILD) }
}

/// What a program printed, where this machine has it.
fn run(program: &str, arguments: &[&str]) -> Option<std::process::Output> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let why = |error: std::io::Error| Unavailable { server: "curl or openssl", why: error.to_string() };
    require(output.map_err(why).map_err(anyhow::Error::from))
}

#[test]
fn curl_is_answered_on_both_ports_and_refuses_a_stranger() {
    let directory = TempDir::new("tls").unwrap();
    let desk = desk_with(&options(put(&directory, &issue(2))), log(), &[("shop", Fate::Runs)]);
    let authority = directory.path().join("ca");
    for address in [desk.address(), desk.server.metrics_addr().unwrap()] {
        let url = format!("https://localhost:{}/metrics", address.port());
        let trusting = ["-sS", "--cacert", authority.to_str().unwrap(), &url];
        let Some(output) = run("curl", &trusting) else { return };
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("limpid_build_info{version=\"0.1.0\""));
        let Some(strict) = run("curl", &["-sS", &url]) else { return };
        assert_eq!(strict.status.code(), Some(60), "curl's code for a certificate it does not trust");
        // Plain HTTP gets no answer there.
        assert_eq!(exchange(address, b"GET /livez HTTP/1.1\r\n\r\n").iter().filter(|byte| **byte == b' ').count(), 0);
    }
    desk.end();
}

#[test]
fn old_tls_is_refused_and_new_is_spoken() {
    let directory = TempDir::new("tls").unwrap();
    let desk = desk_with(&options(put(&directory, &issue(2))), log(), &[]);
    let to = desk.address().to_string();
    let authority = directory.path().join("ca").display().to_string();
    for (version, spoken) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let arguments = ["s_client", "-connect", &to, "-CAfile", &authority, "-verify_return_error", "-brief", version];
        let Some(output) = run("openssl", &arguments) else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.contains("Verification: OK"), spoken, "{version}: {said}");
    }
    desk.end();
}

#[test]
fn a_changed_certificate_is_shown_to_the_next_client_and_a_broken_one_to_nobody() {
    let directory = TempDir::new("tls").unwrap();
    let (first, second) = (issue(11), issue(22));
    let lines = Lines::default();
    let desk = desk_with(&options(put(&directory, &first)), lines.log(), &[("shop", Fate::Runs)]);
    let url = format!("https://{}", desk.address());
    let client = |issued: &Issued| {
        std::fs::write(directory.path().join("trusted"), &issued.authority).unwrap();
        let client = Client::new(&url, Duration::from_secs(5)).unwrap();
        client
            .with_authorities(&directory.path().join("trusted"))
            .unwrap()
            .get("/livez")
            .map(|answer| answer.text().into_owned())
    };
    let taken = |issued: &Issued| match client(issued) {
        Ok(body) => body == "ok\n",
        Err(fault) => {
            assert_eq!(fault.code().as_str(), "SERVER_TLS_FAILED");
            false
        }
    };
    assert!(taken(&first) && !taken(&second));
    // As an agent replaces them: one file, then the other.
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    write(&directory, "cert", &text(&second.certificate), 0o644);
    assert!(taken(&first) && !taken(&second), "a pair that does not fit is not used");
    write(&directory, "key", &text(&second.key), 0o600);
    assert!(taken(&second) && !taken(&first));
    write(&directory, "cert", "nothing", 0o644);
    assert!(taken(&second));
    desk.end();
    let text = lines.text();
    assert_eq!(text.matches("a changed file was taken over").count(), 1, "{text}");
    assert_eq!(text.matches("\"error_code\":\"LISTEN_TLS_INVALID\"").count(), 2, "{text}");
}

#[test]
fn files_that_cannot_be_used_are_refused_at_the_start() {
    let directory = TempDir::new("tls").unwrap();
    let (good, other) = (issue(2), issue(3));
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(&good.key).unwrap();
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let locked = text(&key.private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap());
    for (certificate, key, mode) in [
        ("", text(&good.key), 0o600),
        ("no PEM", text(&good.key), 0o600),
        (&*text(&good.certificate), text(&other.key), 0o600),
        (&*text(&good.certificate), text(&good.certificate), 0o600),
        (&*text(&good.certificate), locked, 0o600),
        (&*text(&good.certificate), text(&good.key), 0o644),
    ] {
        let certificate = write(&directory, "cert", certificate, 0o644);
        let tls = TlsFiles { certificate, key: write(&directory, "key", &key, mode) };
        let registry = Arc::new(Registry::new(BUILD));
        let started = Server::start(&options(tls), registry, Vec::new(), reading(&Clock::system()), log());
        assert_eq!(started.err().unwrap().code().as_str(), "LISTEN_TLS_INVALID");
    }
}

#[test]
fn our_own_client_checks_the_name_and_tells_what_is_wrong() {
    let directory = TempDir::new("tls").unwrap();
    let issued = issue(2);
    let secure = desk_with(&options(put(&directory, &issued)), log(), &[("shop", Fate::Runs)]);
    let plain = desk_with(&ServerOptions::new("127.0.0.1:0".parse().unwrap(), BUILD), log(), &[]);
    let listen = "127.0.0.2:0".parse().unwrap();
    let elsewhere = desk_with(&ServerOptions { listen, ..options(put(&directory, &issued)) }, log(), &[]);
    let client = |url: &str| Client::new(url, Duration::from_secs(5)).unwrap();
    let trusting = |url: &str| client(url).with_authorities(&directory.path().join("ca")).unwrap();
    let port = secure.address().port();
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(trusting(&format!("https://{host}:{port}")).status().unwrap().pipelines.len(), 1);
    }
    for wrong in [
        // Another name than those in the certificate.
        trusting(&format!("https://{}", elsewhere.address())).status(),
        // Nobody that this machine trusts.
        client(&format!("https://localhost:{port}")).status(),
        // No TLS at the other end.
        trusting(&format!("https://{}", plain.address())).status(),
    ] {
        assert_eq!(wrong.unwrap_err().code().as_str(), "SERVER_TLS_FAILED");
    }
    assert!(client(&format!("http://{}", plain.address())).with_authorities(&directory.path().join("ca")).is_err());
    assert_eq!(client(&format!("http://localhost:{port}")).status().unwrap_err().code().as_str(), "SERVER_UNREACHABLE");
    for desk in [plain, secure, elsewhere] {
        desk.end();
    }
}

#[test]
fn our_own_client_waits_no_longer_for_a_handshake_than_it_was_told() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", mute.local_addr().unwrap());
    let begun = std::time::Instant::now();
    let fault = Client::new(&url, Duration::from_millis(300)).unwrap().status().unwrap_err();
    assert_eq!(fault.code().as_str(), "SERVER_UNREACHABLE");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_server_under_tls_ends_within_a_second_too() {
    let directory = TempDir::new("tls").unwrap();
    let desk = desk_with(&options(put(&directory, &issue(2))), log(), &[("shop", Fate::Runs)]);
    let idle: Vec<_> = (0..20).map(|_| crate::wire::connect(desk.address())).collect();
    let mut slow = crate::wire::connect(desk.server.metrics_addr().unwrap());
    slow.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    assert!(desk.end() < Duration::from_secs(1));
    drop((idle, slow));
}

#[test]
fn plain_ports_stay_plain() {
    let any = "127.0.0.1:0".parse().unwrap();
    let options = ServerOptions { metrics_listen: Some(any), ..ServerOptions::new(any, BUILD) };
    let desk = desk_with(&options, log(), &[]);
    assert_eq!(get(desk.address(), "/metrics").status, 200);
    assert_eq!(ask(desk.server.metrics_addr().unwrap(), "GET", "/livez", "").status, 200);
    desk.end();
}

//! Binding and ending.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::{Fault, Response};
use limpid_server::{Server, ServerOptions};
use limpid_telemetry::Registry;

use crate::pipelines::{BUILD, Fate, desk, log, reading, wait_for};
use crate::wire::{connect, get};

fn start(listen: SocketAddr, insecure: bool) -> Result<Server, Fault> {
    let options = ServerOptions { insecure, ..ServerOptions::new(listen, BUILD) };
    Server::start(&options, Arc::new(Registry::new(BUILD)), Vec::new(), reading(&Clock::system()), log())
}

fn refusal(listen: SocketAddr) -> (String, String) {
    let fault = start(listen, false).err().unwrap();
    assert_eq!(fault.response(), Response::Refuse);
    (fault.code().to_string(), fault.object().unwrap().to_owned())
}

#[test]
fn a_taken_port_is_a_fault_and_not_a_panic() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert_eq!(refusal(address), ("LISTEN_FAILED".to_owned(), address.to_string()));
}

#[test]
fn an_address_that_others_reach_needs_to_be_meant() {
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "[::ffff:10.0.0.1]:0", "169.254.0.1:0"] {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(refusal(address), ("LISTEN_INSECURE".to_owned(), address.to_string()));
    }
    let meant = start("0.0.0.0:0".parse().unwrap(), true).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], meant.local_addr().port()));
    assert_eq!(get(address, "/livez").status, 200);
    for loopback in ["127.0.0.2:0", "[::ffff:127.0.0.1]:0"] {
        assert!(start(loopback.parse().unwrap(), false).is_ok(), "{loopback}");
    }
}

#[test]
fn ready_only_once_the_pipelines_are_started() {
    let server = start("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let reply = get(server.local_addr(), "/readyz");
    assert_eq!((reply.status, &*reply.body), (503, "not ok: pipelines are not started\n"));
    assert_eq!(get(server.local_addr(), "/livez").status, 200);
    server.pipelines_started();
    assert_eq!(get(server.local_addr(), "/readyz").status, 200);
}

#[test]
fn the_port_is_free_again_after_the_end() {
    let server = start("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let address = server.local_addr();
    let mut open = connect(address);
    open.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(get(address, "/livez").status, 200);
    server.shutdown();
    start(address, false).unwrap().shutdown();
}

#[test]
fn ends_within_a_second_under_load_with_idle_slow_and_busy_clients() {
    let desk = desk(&[("shop", Fate::Runs)]);
    let address = desk.address();
    let idle: Vec<_> = (0..20).map(|_| connect(address)).collect();
    let mut slow: Vec<_> = (0..20).map(|_| connect(address)).collect();
    slow.iter_mut().for_each(|socket| socket.write_all(b"GET /livez HT").unwrap());
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            std::thread::spawn(move || {
                while !done.load(Relaxed) {
                    // Whatever comes after the end began is an error, never half an answer.
                    let client =
                        limpid_server::client::Client::new(&format!("http://{address}"), Duration::from_secs(5));
                    if let Ok(answer) = client.unwrap().get("/metrics") {
                        assert_eq!(answer.status, 200);
                        answered.fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    wait_for(|| answered.load(Relaxed) > 50);
    let took = desk.end();
    done.store(true, Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(took < Duration::from_secs(1), "took {took:?}");
    drop((idle, slow));
}

//! A cluster whose brokers are all fenced, as the questions meet it.
//!
//! The broker is a stand-in of our own that knows two requests: a real one is fenced for a moment that nobody can choose.
//! Source of the messages: "Apache Kafka protocol guide", ApiVersions 0 and Metadata 4.
#![expect(clippy::disallowed_methods, reason = "a stand-in's thread, which ends with its connections")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use limpid_config::Secret;

use super::super::admin::{Answer, Ask, Asker, answer, ask};
use super::*;

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const UNKNOWN_TOPIC_OR_PART: i16 = 3;
const UNSUPPORTED_VERSION: i16 = 35;

/// The only broker of its cluster, which has no topics. Once it is fenced it names no broker either.
struct StandIn {
    port: u16,
    is_fenced: Arc<AtomicBool>,
}

impl StandIn {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_fenced) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let fenced = Arc::clone(&is_fenced);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fenced = Arc::clone(&fenced);
                std::thread::spawn(move || while serve(&stream, port, &fenced).is_ok() {});
            }
        });
        Self { port, is_fenced }
    }

    fn settings(&self) -> Vec<Setting> {
        vec![("bootstrap.servers".to_owned(), Secret::new(format!("127.0.0.1:{}", self.port)))]
    }

    fn fence(&self, is_fenced: bool) {
        self.is_fenced.store(is_fenced, Ordering::Release);
    }
}

fn serve(mut stream: &TcpStream, port: u16, is_fenced: &AtomicBool) -> std::io::Result<()> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut request = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut request)?;
    let short = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    let (api, version, correlation, client) = (short(0), short(2), &request[4..8], short(8).max(0) as usize);
    let body = &request[10 + client..];
    let mut out = correlation.to_vec();
    let mut put = |numbers: &[i16]| out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    match api {
        // How many (as a number of four bytes), and of each its lowest and highest version.
        API_VERSIONS if version > 0 => put(&[UNSUPPORTED_VERSION, 0, 1, API_VERSIONS, 0, 0]),
        API_VERSIONS => put(&[0, 0, 2, METADATA, 0, 4, API_VERSIONS, 0, 0]),
        METADATA => {
            // No throttle. The brokers: one of the number 1 with its address and no rack, or none.
            put(&[0, 0, 0]);
            let controller: i32 = if is_fenced.load(Ordering::Acquire) { -1 } else { 1 };
            out.extend(if controller == 1 { &[0, 1, 0, 0, 0, 1, 0, 9][..] } else { &[0, 0] });
            if controller == 1 {
                out.extend(b"127.0.0.1");
                out.extend(i32::from(port).to_be_bytes());
                out.extend([0xff, 0xff]);
            }
            // The cluster's name and its controller, then the topics, of which none is there.
            out.extend([0, 1, b'c']);
            out.extend(controller.to_be_bytes());
            out.extend(&body[..4]);
            let mut names = &body[4..];
            for _ in 0..i32::from_be_bytes([body[0], body[1], body[2], body[3]]) {
                let (name, later) = names.split_at(2 + usize::from(u16::from_be_bytes([names[0], names[1]])));
                out.extend(UNKNOWN_TOPIC_OR_PART.to_be_bytes());
                out.extend(name);
                // Not an internal one, without partitions.
                out.extend([0; 5]);
                names = later;
            }
        }
        _ => return Err(std::io::ErrorKind::Unsupported.into()),
    }
    stream.write_all(&(out.len() as u32).to_be_bytes())?;
    stream.write_all(&out)
}

fn described(client: &Client, question: u32) -> Answer {
    let asker = Asker { who: 7, question };
    ask(client, asker, &Ask::Describe, "t", &crate::position::creation());
    loop {
        let event = client.poll(Duration::from_secs(60)).expect("every question has an answer");
        match answer(&event) {
            Some((of, answer)) if of == asker => return answer,
            _ => {}
        }
    }
}

#[test]
fn a_sink_that_asks_for_a_topic_hears_of_a_cluster_whose_brokers_are_all_fenced() {
    let broker = StandIn::start();
    let client = Client::new(Role::Producer, &broker.settings()).unwrap();
    for (question, is_fenced) in [false, true].into_iter().enumerate() {
        broker.fence(is_fenced);
        let said = described(&client, question as u32);
        assert!(said.is_of_a_broker(), "{said:?}");
        assert!(matches!(&said, Answer::Failed(said) if said.code == Code::UNKNOWN_TOPIC_OR_PART), "{said:?}");
    }
}

#[test]
fn a_survey_finds_no_brokers_while_all_are_fenced() {
    let broker = StandIn::start();
    let mut survey = Survey::new(&broker.settings(), &Clock::system()).unwrap();
    assert_eq!(survey.brokers(Duration::from_secs(60), |_| false), Some(vec![1]));
    broker.fence(true);
    assert_eq!(survey.brokers(Duration::from_millis(500), |_| false), None);
    assert!(survey.first_error.is_some());
}

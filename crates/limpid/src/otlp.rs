//! Sending by OTLP: traces, metrics and log lines go the same way.
//!
//! Owns: one call by gRPC or by HTTP, what an answer means. Does not own: the message (`limpid-telemetry`), the bytes
//! (`limpid-server`), where it goes (`destination`), turns and repetitions
//! (`sender`, `push`).
//!
//! Invariant: a call ends within its time. What it tells of names the address without a login and no header.

mod destination;
mod sender;

use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode};
use limpid_server::client::{Client, Grpc};
use limpid_telemetry::rejected;

use destination::Wire;
pub use destination::{Destination, Signal};
pub use sender::{Outgoing, start};

/// A collector that takes longer is as good as away.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// What a call has that is made while the process ends.
pub const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// One way of asking.
pub struct Call {
    destination: Destination,
    wire: Wired,
}

enum Wired {
    Grpc(Grpc),
    Http(Client),
}

/// The collector did not take a message.
pub struct NotTaken {
    /// The same may be taken later.
    pub is_passing: bool,
    text: String,
    cause: Option<Fault>,
    endpoint: String,
}

impl NotTaken {
    pub fn fault(self, code: FaultCode) -> Fault {
        let fault = Fault::new(code, Component::Server, self.text).about(self.endpoint);
        match self.cause {
            Some(cause) => fault.because(cause),
            None => fault,
        }
    }
}

impl Call {
    /// # Errors
    /// `CONFIG_BAD_VALUE` for an address that is none.
    pub fn new(destination: &Destination, timeout: Duration) -> Result<Self, Fault> {
        let made = match destination.wire {
            Wire::Grpc => Grpc::new(&destination.url, timeout).map(Wired::Grpc),
            Wire::Http => Client::new(&destination.url, timeout).map(Wired::Http),
        };
        let wire = made.map_err(|fault| {
            let text = format!("{} is no http:// or https:// address", destination.signal.key());
            Fault::new(FaultCode::ConfigBadValue, Component::Server, text).because(fault)
        })?;
        Ok(Self { destination: destination.clone(), wire })
    }

    /// What is told of a message of which so many spans, points or records were refused.
    pub fn not_taken_in_part(&self, rejected: u64) -> NotTaken {
        let Destination { signal, shown, .. } = &self.destination;
        let text = format!("the collector refuses {rejected} {} of a message, and takes the others", signal.parts());
        NotTaken { is_passing: false, text, cause: None, endpoint: shown.clone() }
    }

    /// Sends one message. Says how many of its spans, points or records were refused though the message was taken.
    ///
    /// # Errors
    /// Nobody answered, or somebody did not take it.
    pub fn send(&self, message: &[u8]) -> Result<u64, NotTaken> {
        let Destination { signal, headers, shown, .. } = &self.destination;
        let not = |is_passing: bool, text: String, cause: Option<Fault>| {
            Err(NotTaken { is_passing, text, cause, endpoint: shown.clone() })
        };
        let away = |fault: Fault| not(true, "the collector does not answer".to_owned(), Some(fault));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match &self.wire {
            Wired::Grpc(grpc) => match grpc.call(signal.grpc_path(), &headers, message) {
                Ok(status) if status.code == 0 => Ok(rejected(&status.answer)),
                Ok(status) => {
                    let text = match status.http {
                        Some(http) => format!("the collector answers HTTP {http} and no gRPC"),
                        None => format!("the collector answers gRPC status {}", status.code),
                    };
                    not(status.is_passing(), text, None)
                }
                Err(fault) => away(fault),
            },
            Wired::Http(client) => {
                let headers = [&[("Content-Type", "application/x-protobuf")], &headers[..]].concat();
                match client.post("", &headers, message) {
                    Ok(answer) if (200..300).contains(&answer.status) => Ok(rejected(&answer.body)),
                    Ok(answer) => {
                        let is_passing = matches!(answer.status, 429 | 502 | 503 | 504);
                        not(is_passing, format!("the collector answers {}", answer.status), None)
                    }
                    Err(fault) => away(fault),
                }
            }
        }
    }
}

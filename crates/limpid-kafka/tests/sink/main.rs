//! The sink against real brokers. What arrived is read by Kafka's own console consumer, never by librdkafka.
#![expect(clippy::disallowed_methods, reason = "drives real processes on the real clock")]

mod batches;
mod contract;
mod delivery;
mod login;
mod outage;
mod position;
mod sizes;
mod topics;
mod transactions;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use limpid_stack::kafka::{self, Server};
use limpid_stack::require;

/// A plain broker for tests that neither restart nor reconfigure it: one for all that run at the same time.
fn shared() -> Option<Arc<Server>> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = server.upgrade() {
        return Some(server);
    }
    let started = Arc::new(require(kafka::start(&kafka::Options::default()))?);
    *server = Arc::downgrade(&started);
    Some(started)
}

/// Changes a topic's setting with Kafka's own tool.
fn alter(server: &Server, topic: &str, setting: &str) {
    let bootstrap = server.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", topic];
    server.tool("kafka.admin.ConfigCommand", &[&args[..], &["--add-config", setting]].concat()).unwrap();
}

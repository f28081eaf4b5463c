//! The contract that every sink keeps, in both deliveries.

use std::sync::Arc;

use limpid_config::Delivery;
use limpid_connector::testkit::{self, Pair, SinkRig};
use limpid_connector::{Clock, Sink};
use limpid_kafka::{KafkaOptions, KafkaSink};
use limpid_model::PipelineName;
use limpid_stack::kafka::{self, Isolation, Server};
use limpid_stack::require;

/// A broker of its own: its topics are empty. Kafka's own consumer reads them.
struct Broker {
    server: Arc<Server>,
    delivery: Delivery,
}

impl SinkRig for Broker {
    fn sink(&mut self) -> Box<dyn Sink> {
        let options = KafkaOptions { delivery: self.delivery, ..KafkaOptions::plain([self.server.bootstrap()]) };
        Box::new(KafkaSink::new(options, PipelineName::parse("contract").unwrap(), Clock::system()).unwrap())
    }

    fn found(&mut self, table: &str) -> Option<Vec<Pair>> {
        let topic = format!("contract.{table}");
        // Before the first record there is no topic.
        if self.server.count(&topic, Isolation::ReadCommitted).unwrap_or(0) == 0 {
            return Some(Vec::new());
        }
        let records = self.server.consume(&topic, Isolation::ReadCommitted).unwrap();
        Some(records.into_iter().map(|record| (record.key, record.value)).collect())
    }
}

#[test]
fn the_contract_of_a_sink_is_kept_in_both_deliveries() {
    for delivery in [Delivery::AtLeastOnce, Delivery::ExactlyOnce] {
        let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
        let kept = testkit::sink(&mut Broker { server: Arc::new(server), delivery });
        assert_eq!(kept, Ok(()), "{delivery:?}");
    }
}

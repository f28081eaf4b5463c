//! Whether each server of a list could take over from another.
//!
//! Owns: one finding for each server, and what a replica wrote itself. Does not own: the questions (`company`).
//!
//! Invariant: a server that passes is one that a stream would not refuse for its settings or the account's rights.

use limpid_connector::Finding;
use limpid_model::{Fault, FaultCode, TableName};

use super::rights::Need;
use super::{Asked, Examined, MySqlOptions};
use crate::client::{Client, ConnectOptions};
use crate::company::{self, Holds, Replication};
use crate::copy::ElsewhereReader;
use crate::gtid::GtidSet;
use crate::server::ServerFacts;

/// The same options for each server alone, in their order.
pub(super) fn each(options: &MySqlOptions) -> Vec<MySqlOptions> {
    let all = std::iter::once(&options.connect).chain(&options.others);
    all.map(|connect| MySqlOptions { connect: connect.clone(), others: Vec::new(), ..options.clone() }).collect()
}

/// Whether tables can be read from a replica.
pub(super) fn snapshot_from(options: &MySqlOptions, replica: &ConnectOptions) -> Finding {
    const NAME: &str = "source.snapshot-from";
    match ElsewhereReader::open(options.clone(), replica.clone()) {
        Ok(_) => Finding::pass(NAME, format!("{} is a whole replica of the source", replica.endpoint())),
        Err(fault) => Finding::of_fault(NAME, &fault),
    }
}

/// Asks each server. `tables` are those that are captured.
pub(super) fn examine(all: &[MySqlOptions], tables: &[TableName]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What the first server that answers holds: the others are measured against it.
    let mut first: Option<GtidSet> = None;
    for options in all {
        match ask(options, tables, &mut first) {
            Ok(found) => findings.extend(found),
            Err(fault) => {
                let mut finding = Finding::of_fault("source.server", &fault);
                let endpoint = options.connect.endpoint();
                if fault.object() != Some(&endpoint) {
                    finding.sentence = format!("{endpoint}: {}", finding.sentence);
                }
                findings.push(finding);
            }
        }
    }
    findings
}

fn ask(options: &MySqlOptions, tables: &[TableName], first: &mut Option<GtidSet>) -> Result<Vec<Finding>, Fault> {
    const NAME: &str = "source.server";
    let endpoint = options.connect.endpoint();
    let mut client = Client::connect(&options.connect)?;
    let facts = ServerFacts::read(&mut client)?;
    facts.check(&endpoint, options.accept_partial_images)?;
    company::check(&mut client, &facts, &options.connect)?;
    let holds = Holds::read(&mut client, &facts)?;
    let replication = Replication::read(&mut client, &facts)?;
    let mut asked = Asked { client, facts, options, out: Examined::default() };
    let missing = asked.grants()?.missing(asked.facts.flavor, &options.selection, None, tables);
    let mut found = Vec::new();
    if missing.is_empty() {
        let sentence =
            format!("{endpoint} can be read in place of another: its log, GTIDs and the account's rights fit");
        found.push(Finding::pass(NAME, sentence));
    } else {
        let lacking = Finding::listed(&missing.iter().map(Need::to_string).collect::<Vec<_>>());
        let sentence = format!("{endpoint}: the account lacks {lacking}");
        let remedy = "run there what `limpid doctor --grants` prints";
        found.push(Finding::fail(NAME, FaultCode::SourceGrantMissing, sentence, remedy));
    }
    // What a replica wrote itself nobody else has; what a primary wrote is on its way to the others.
    if let (Replication::Channels(_), Some(known)) = (&replication, &first)
        && let Some(own) = holds.own_beyond(&asked.facts, known)
    {
        let sentence =
            format!("{endpoint} is a replica and has transactions of its own: {}", company::cut(&own.to_string()));
        let remedy = "find out who writes there (read_only=ON keeps it out); a fail-over would deliver them as rows";
        found.push(Finding::warn("source.errant", sentence, remedy));
    }
    first.get_or_insert_with(|| holds.as_set());
    Ok(found)
}

//! What a server says of itself as one of several: what it holds, what it fetches, what it wrote itself.
//!
//! Owns: those questions and the sets they answer with. Does not own: what follows for a stream (`stream::reach`), for
//! copies (`copy::elsewhere`) or for a person (`doctor`).
//!
//! Invariant: a server holds a transaction only if it says so by GTID; what nobody may ask counts as unknown, never as
//! held.

use std::collections::BTreeMap;

use limpid_model::{Component, Fault, FaultCode};

use crate::client::{Client, ConnectOptions, QueryError};
use crate::gtid::{GtidSet, parse_uuid};
use crate::position::{Flavor, LogPosition};
use crate::server::ServerFacts;

/// The last transaction of each server in each domain, as MariaDB keeps them.
type State = BTreeMap<(u32, u32), u64>;

/// The transactions a server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// `gtid_executed`, and what sessions own.
    MySql(GtidSet),
    /// `gtid_binlog_state` and `gtid_slave_pos` together: of each server and domain the last one.
    MariaDb(State),
}

/// What of a set a server does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    pub set: GtidSet,
    /// The server has gone on without them: they will never come.
    pub diverged: bool,
}

impl Holds {
    /// Asks the server.
    ///
    /// # Errors
    /// Those of a query.
    pub fn read(client: &mut Client, facts: &ServerFacts) -> Result<Self, Fault> {
        if facts.flavor == Flavor::MySql {
            // A row may be delivered while its commit is still under way: the server's own check counts these too.
            return owned_and_executed(client).map(Holds::MySql);
        }
        let sql = "SELECT CONCAT(@@global.gtid_binlog_state, ',', @@global.gtid_slave_pos)";
        let text = value(client, "read the transactions that the server holds", sql)?;
        parse_state(&text).map(Holds::MariaDb).ok_or_else(|| unreadable(client.endpoint()))
    }

    /// What of `wanted` the server lacks; `None` where it holds all of it. On MariaDB a transaction is held if a later
    /// one of the same server in the same domain is: they are replicated in their order.
    pub fn lacks(&self, wanted: &GtidSet) -> Option<Lacking> {
        let (set, diverged) = match (self, wanted) {
            (Holds::MySql(held), GtidSet::MySql(_)) => (wanted.minus(held), false),
            (Holds::MariaDb(state), GtidSet::MariaDb(domains)) => {
                let is_held = |domain: u32, server: u32, seq: u64| {
                    state.get(&(domain, server)).is_some_and(|reached| *reached >= seq)
                };
                let lacking = domains.iter().filter(|(domain, (server, seq))| !is_held(**domain, *server, *seq));
                let lacking: BTreeMap<_, _> = lacking.map(|(domain, last)| (*domain, *last)).collect();
                let has_gone_on = |(domain, (_, seq)): (&u32, &(u32, u64))| {
                    state.iter().any(|((of, _), reached)| of == domain && reached >= seq)
                };
                let diverged = lacking.iter().any(has_gone_on);
                (GtidSet::MariaDb(lacking), diverged)
            }
            _ => (wanted.clone(), true),
        };
        (!set.is_empty()).then_some(Lacking { set, diverged })
    }

    /// The transactions that this server wrote itself.
    pub fn own(&self, facts: &ServerFacts) -> GtidSet {
        match self {
            Holds::MySql(held) => {
                let uuid = parse_uuid(&facts.uuid);
                let GtidSet::MySql(held) = held else { return held.clone() };
                let own = held.iter().filter(|((sid, _), _)| Some(*sid) == uuid);
                GtidSet::MySql(own.map(|(sid, intervals)| (sid.clone(), intervals.clone())).collect())
            }
            Holds::MariaDb(state) => {
                let own = state.iter().filter(|((_, server), _)| *server == facts.server_id);
                GtidSet::MariaDb(own.map(|((domain, server), seq)| (*domain, (*server, *seq))).collect())
            }
        }
    }

    /// The transactions that this server wrote itself and that are not in `known`.
    pub fn own_beyond(&self, facts: &ServerFacts, known: &GtidSet) -> Option<GtidSet> {
        let own = self.own(facts).minus(known);
        (!own.is_empty()).then_some(own)
    }

    /// All of it as a set: of MariaDB's domains the one that is furthest.
    pub fn as_set(&self) -> GtidSet {
        match self {
            Holds::MySql(set) => set.clone(),
            Holds::MariaDb(state) => {
                let mut domains: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
                for ((domain, server), seq) in state {
                    let last = domains.entry(*domain).or_insert((*server, *seq));
                    if *seq > last.1 {
                        *last = (*server, *seq);
                    }
                }
                GtidSet::MariaDb(domains)
            }
        }
    }
}

/// The transactions at or below a position, with the one that it is inside of: it was committed where it was read.
pub fn wanted(position: &LogPosition) -> Option<GtidSet> {
    let mut wanted = position.gtids.as_deref()?.clone();
    if let Some((txn, _)) = &position.inside {
        wanted.add(txn.id, &txn.tag);
    }
    Some(wanted)
}

/// `domain-server-sequence,...` where a domain may come more than once.
fn parse_state(text: &str) -> Option<State> {
    let mut state = State::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let GtidSet::MariaDb(one) = GtidSet::parse_mariadb(part)? else { return None };
        for (domain, (server, seq)) in one {
            let last = state.entry((domain, server)).or_insert(seq);
            *last = seq.max(*last);
        }
    }
    Some(state)
}

/// What is committed at a MySQL, or visible of what is being committed: a transaction is visible, and in the log, before it
/// counts as executed, but until then somebody owns it. Owned ones first, so that none falls between the two questions.
///
/// # Errors
/// Those of a query.
pub fn owned_and_executed(client: &mut Client) -> Result<GtidSet, Fault> {
    let owned = owned(client)?;
    let executed = value(client, "read the transactions of the server", "SELECT @@global.gtid_executed")?;
    let all = format!("{executed},{owned}");
    GtidSet::parse_mysql(&all).ok_or_else(|| unreadable(client.endpoint()))
}

/// The transactions of a MySQL that sessions own: in the log perhaps, and not executed.
///
/// # Errors
/// Those of a query.
pub fn owned(client: &mut Client) -> Result<GtidSet, Fault> {
    let owned = value(client, "read the transactions of the server", "SELECT @@global.gtid_owned")?;
    GtidSet::parse_mysql(&without_owners(&owned)).ok_or_else(|| unreadable(client.endpoint()))
}

/// One wait for transactions: short beside a drain, long beside a question.
const WAIT_SECONDS: u32 = 1;

/// Waits a little for a server to have all of `set`; false where it has not.
///
/// # Errors
/// Those of a query.
pub fn wait_for(client: &mut Client, flavor: Flavor, set: &GtidSet) -> Result<bool, Fault> {
    let sql = match flavor {
        Flavor::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', {WAIT_SECONDS})"),
        Flavor::MariaDb => format!("SELECT MASTER_GTID_WAIT('{set}', {WAIT_SECONDS})"),
    };
    Ok(value(client, "wait for transactions to be there", &sql)? == "0")
}

/// `uuid:7#30:8#31` is `uuid:7:8`, each owned by a session.
fn without_owners(owned: &str) -> String {
    let mut out = String::with_capacity(owned.len());
    let mut is_owner = false;
    for c in owned.chars() {
        is_owner = c == '#' || (is_owner && c.is_ascii_digit());
        if !is_owner {
            out.push(c);
        }
    }
    out
}

/// The last transaction of each domain in a MariaDB's log; it is there before anybody sees what it changes.
///
/// # Errors
/// Those of a query.
pub fn logged(client: &mut Client) -> Result<GtidSet, Fault> {
    let text = value(client, "read the transactions of the server", "SELECT @@global.gtid_binlog_pos")?;
    GtidSet::parse_mariadb(&text).ok_or_else(|| unreadable(client.endpoint()))
}

fn unreadable(endpoint: &str) -> Fault {
    let text = "the server's set of transactions cannot be read";
    Fault::new(FaultCode::SourceQueryFailed, Component::Input, text).about(endpoint)
}

/// Whether a server replicates another one, and all of it; false where that may not be asked.
///
/// # Errors
/// The connection broke.
pub fn follows_whole(client: &mut Client, facts: &ServerFacts) -> Result<bool, Fault> {
    let (names, rows) = match client.query_named(status_query(facts)) {
        Ok(answer) => answer,
        Err(QueryError::Server(_)) => return Ok(false),
        Err(error) => return Err(error.into_fault("see what the server replicates", client.endpoint())),
    };
    let filters: Vec<usize> = (0..names.len()).filter(|at| names[*at].starts_with("replicate_")).collect();
    let is_whole = |row: &Vec<Option<Vec<u8>>>| {
        filters.iter().all(|at| row.get(*at).and_then(Option::as_ref).is_none_or(Vec::is_empty))
    };
    Ok(!rows.is_empty() && !filters.is_empty() && rows.iter().all(is_whole))
}

/// What a server says of its own replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// It follows nobody.
    None,
    /// The account may not ask.
    Unknown,
    Channels(Vec<Channel>),
}

/// One server that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// What it has fetched is applied.
    pub applies: bool,
    pub fetched: Option<GtidSet>,
}

impl Replication {
    /// Asks the server.
    ///
    /// # Errors
    /// The connection broke.
    pub fn read(client: &mut Client, facts: &ServerFacts) -> Result<Self, Fault> {
        let (names, rows) = match client.query_named(status_query(facts)) {
            Ok(answer) => answer,
            Err(QueryError::Server(_)) => return Ok(Replication::Unknown),
            Err(error) => return Err(error.into_fault("see what the server replicates", client.endpoint())),
        };
        let place = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let applies = place(&["slave_sql_running", "replica_sql_running"]);
        let fetched = place(&["retrieved_gtid_set", "gtid_io_pos"]);
        let channel = |row: &Vec<Option<Vec<u8>>>| {
            let text = |at: Option<usize>| at.and_then(|at| row.get(at)).and_then(|value| value.as_deref());
            let fetched = text(fetched).map(|text| String::from_utf8_lossy(text).into_owned());
            let parse = match facts.flavor {
                Flavor::MySql => GtidSet::parse_mysql,
                Flavor::MariaDb => GtidSet::parse_mariadb,
            };
            Channel { applies: text(applies) == Some(b"Yes"), fetched: fetched.and_then(|text| parse(&text)) }
        };
        let channels: Vec<Channel> = rows.iter().map(channel).collect();
        Ok(if channels.is_empty() { Replication::None } else { Replication::Channels(channels) })
    }

    /// Whether what the server lacks is on its disk already and being applied.
    pub fn will_bring(&self, lacking: &GtidSet) -> bool {
        let Replication::Channels(channels) = self else { return false };
        let has = |channel: &Channel| channel.fetched.as_ref().is_some_and(|fetched| lacking.is_subset(fetched));
        channels.iter().any(|channel| channel.applies && has(channel))
    }
}

/// The statement that tells of a server's replication.
pub fn status_query(facts: &ServerFacts) -> &'static str {
    match facts.flavor {
        Flavor::MySql if facts.version >= 80_022 => "SHOW REPLICA STATUS",
        Flavor::MySql => "SHOW SLAVE STATUS",
        Flavor::MariaDb => "SHOW ALL SLAVES STATUS",
    }
}

/// Refuses a server that a stream could not go on with by GTID: one without them, or one whose log lacks what it
/// replicates.
///
/// # Errors
/// `POSITION_INVALID`, `SOURCE_LOG_OFF`, and those of a query.
pub fn check(client: &mut Client, facts: &ServerFacts, connect: &ConnectOptions) -> Result<(), Fault> {
    let fault = |code, text: &str| Fault::new(code, Component::Input, text).about(connect.endpoint());
    if !facts.gtids {
        let text = "gtid_mode is not ON: without GTIDs no server can take over from another";
        let help = "turn GTIDs on at every server of source.url, or name one server alone";
        return Err(fault(FaultCode::PositionInvalid, text).help(help));
    }
    if !logs_what_it_replicates(client, facts)? {
        let text = "log_replica_updates is off: the server's log lacks what it gets from others";
        let help = "start the server with log_replica_updates=ON (log_slave_updates), or take it out of source.url";
        return Err(fault(FaultCode::SourceLogOff, text).help(help));
    }
    Ok(())
}

/// Text of a set in a sentence: a set may have thousands of gaps.
const SET_TEXT_MAX: usize = 200;

/// A set's text, cut where it is too long for a sentence.
pub fn cut(text: &str) -> String {
    // Ids are ASCII, so any place is a border of characters.
    if text.len() <= SET_TEXT_MAX { text.to_owned() } else { format!("{} ...", &text[..SET_TEXT_MAX]) }
}

fn logs_what_it_replicates(client: &mut Client, facts: &ServerFacts) -> Result<bool, Fault> {
    let is_new = facts.flavor == Flavor::MySql && facts.version >= 80_026;
    let name = if is_new { "log_replica_updates" } else { "log_slave_updates" };
    let sql = format!("SELECT @@global.{name}");
    Ok(value(client, "see whether the server logs what it replicates", &sql)? == "1")
}

fn value(client: &mut Client, what: &str, sql: &str) -> Result<String, Fault> {
    let value = client.query_value(sql);
    value.map(Option::unwrap_or_default).map_err(|error| error.into_fault(what, client.endpoint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn maria(text: &str) -> GtidSet {
        GtidSet::parse_mariadb(text).unwrap()
    }

    fn facts(flavor: Flavor) -> ServerFacts {
        ServerFacts {
            flavor,
            version: 80_015,
            version_text: String::new(),
            server_id: 2,
            uuid: B.to_owned(),
            lower_case_table_names: 0,
            gtids: true,
            log_on: true,
            format: "ROW".to_owned(),
            row_image: "FULL".to_owned(),
            full_metadata: true,
            partial_json: false,
        }
    }

    #[test]
    fn a_transaction_is_held_by_its_own_server_and_number_and_not_by_a_higher_number_of_another() {
        let held = |state: &str, wanted: &str| Holds::MariaDb(parse_state(state).unwrap()).lacks(&maria(wanted));
        assert_eq!(held("0-1-100,0-2-150,0-1-90", "0-1-100"), None);
        assert_eq!(held("0-1-100,0-2-150", "0-1-99"), None, "a later one of the same server");
        let lacking = |set: &str, diverged| Some(Lacking { set: maria(set), diverged });
        assert_eq!(held("0-1-100", "0-1-102"), lacking("0-1-102", false));
        assert_eq!(held("0-1-100,0-2-101", "0-1-102"), lacking("0-1-102", false), "it may still come");
        assert_eq!(held("0-1-100,0-2-102", "0-1-102"), lacking("0-1-102", true), "another has that number");
        assert_eq!(held("", "0-1-1,5-1-1"), lacking("0-1-1,5-1-1", false));
    }

    #[test]
    fn what_mysql_lacks_is_told_with_its_gaps() {
        let set = |text: &str| GtidSet::parse_mysql(text).unwrap();
        let holds = Holds::MySql(set(&format!("{A}:1-4:6,{B}:1-3")));
        assert_eq!(holds.lacks(&set(&format!("{A}:1-4"))), None);
        let lacking = Lacking { set: set(&format!("{A}:5:7")), diverged: false };
        assert_eq!(holds.lacks(&set(&format!("{A}:1-7"))), Some(lacking));
    }

    #[test]
    fn what_a_server_wrote_itself_is_told_apart_from_what_it_was_sent() {
        let set = |text: &str| GtidSet::parse_mysql(text).unwrap();
        let holds = Holds::MySql(set(&format!("{A}:1-9,{B}:1-3")));
        let own = holds.own_beyond(&facts(Flavor::MySql), &set(&format!("{A}:1-5,{B}:1")));
        assert_eq!(own, Some(set(&format!("{B}:2-3"))));
        let holds = Holds::MariaDb(parse_state("0-1-9,0-2-10,7-2-1").unwrap());
        let of = |known: &str| holds.own_beyond(&facts(Flavor::MariaDb), &maria(known));
        assert_eq!(of("0-1-9"), Some(maria("0-2-10,7-2-1")));
        assert_eq!(of("0-2-10,7-2-1"), None);
    }

    #[test]
    fn what_is_owned_is_read_without_its_owners() {
        assert_eq!(without_owners(""), "");
        assert_eq!(without_owners(&format!("{A}:7#30")), format!("{A}:7"));
        assert_eq!(without_owners(&format!("{A}:7#30:8#31,\n{B}:1#2")), format!("{A}:7:8,\n{B}:1"));
    }

    #[test]
    fn what_is_fetched_comes_only_while_it_is_applied() {
        let of =
            |applies, fetched: &str| Replication::Channels(vec![Channel { applies, fetched: Some(maria(fetched)) }]);
        assert!(of(true, "0-1-102").will_bring(&maria("0-1-102")));
        assert!(!of(true, "0-1-101").will_bring(&maria("0-1-102")));
        assert!(!of(false, "0-1-102").will_bring(&maria("0-1-102")));
        assert!(!Replication::Unknown.will_bring(&maria("0-1-1")) && !Replication::None.will_bring(&maria("0-1-1")));
    }
}

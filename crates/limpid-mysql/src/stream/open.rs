//! Opens a server's log at a position.
//!
//! Owns: the source, the position and the definitions a stream begins with, the first word of the dump. Does not own:
//! reading on (`stream`), which server of a list it is (`stream::servers`), whether it holds the position
//! (`stream::reach`).
//!
//! Invariant: log, head and tables are read from one and the same server for as long as an attempt lasts.

use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{
    ChangeStream, Clock, Head, Heartbeat, Saved, Source, StartPoint, TableFound, TableReader, Until,
};
use limpid_model::{Component, Fault, FaultCode, Position};

use super::prepared::Prepared;
use super::reach::{Asked, Patience, Role, dump_from, dump_from_head};
use super::servers::{Server, Servers};
use super::{HEARTBEAT, MySqlOptions, MySqlStream, SILENCE_MAX, StopAt};
use crate::assemble::Assembler;
use crate::client::{Client, ConnectOptions};
use crate::company::{self, Holds};
use crate::copy::{ElsewhereReader, MySqlTableReader, ServerMark};
use crate::dump::{self, Dump, DumpOptions};
use crate::head::LogHead;
use crate::heartbeat::{Listener, Writer};
use crate::held::{Held, Looks};
use crate::history::History;
use crate::intake::{Filled, Frame, Intake};
use crate::position::{Flavor, LogPosition};
use crate::rows::RowsDecoder;
use crate::schemas::{Schemas, ServerNames};
use crate::server::{self, ServerFacts};

/// A MySQL or MariaDB server as a source, or one of several.
pub struct MySqlSource {
    options: MySqlOptions,
    servers: Servers,
    /// Between the stream and the head that were opened last.
    looks: Arc<Looks>,
    /// The stream that was opened last goes by GTIDs.
    by_gtid: bool,
}

impl MySqlSource {
    pub fn new(options: MySqlOptions) -> Self {
        let servers = Servers::new(&options.connect, &options.others);
        Self { options, servers, looks: Arc::default(), by_gtid: false }
    }

    /// Opens the stream at one server of the list.
    fn open_at(&mut self, nth: usize, ask: &Ask<'_>) -> Result<MySqlStream, Fault> {
        let (Server { connect, patience }, role) = self.servers.get(nth);
        let mut client = Client::connect(connect)?;
        let facts = ServerFacts::read(&mut client)?;
        facts.check(&connect.endpoint(), self.options.accept_partial_images)?;
        if role != Role::Only {
            company::check(&mut client, &facts, connect)?;
        }
        let prepared = Prepared::begin(&self.options, ask.saved, Arc::clone(&self.looks), &mut client)?;
        let mut asked = Asked { client: &mut client, facts: &facts, connect, role, patience };
        let (mut position, definitions) = begin(&mut asked, ask)?;
        let held = prepared.end(&mut client)?;
        position.undecided = held.undecided();
        let until = match ask.until {
            Until::Forever => StopAt::Never,
            Until::CaughtUp => StopAt::EndOfLog,
            Until::Position(text) => StopAt::Position(end_position(text, facts.flavor, &position, role)?),
        };
        let own = match (role, &position.gtids) {
            (Role::Successor, Some(known)) => Holds::read(&mut client, &facts)?.own_beyond(&facts, known),
            _ => None,
        };
        let doubt = own.map(|own| {
            format!("{} has transactions of its own: {}", connect.endpoint(), company::cut(&own.to_string()))
        });
        let connect = connect.clone();
        let is_head = ask.saved.is_none() && *ask.from == StartPoint::Head;
        let from = if is_head { dump_from_head(&position, facts.flavor)? } else { dump_from(&position)? };
        let options = self.dump_options(&facts, &until);
        let dump = dump::start_on(client, &connect, &from, &options)?;
        let mut stream =
            self.start((dump, options, &connect), &facts, (position, held), definitions, (until, doubt))?;
        if is_head {
            stream.begin_behind_prepared()?;
        }
        Ok(stream)
    }

    /// Where the stream would begin at one server of the list.
    fn foresee_at(&self, nth: usize, from: &StartPoint) -> Result<LogPosition, Fault> {
        let (connect, role) = (self.servers.connect(nth), self.servers.role(nth));
        let mut client = Client::connect(connect)?;
        let facts = ServerFacts::read(&mut client)?;
        facts.check(&connect.endpoint(), self.options.accept_partial_images)?;
        if role != Role::Only {
            company::check(&mut client, &facts, connect)?;
        }
        let patience = &mut Patience::new(&Clock::system());
        start_position(&mut Asked { client: &mut client, facts: &facts, connect, role, patience }, from)
    }

    fn dump_options(&self, facts: &ServerFacts, until: &StopAt) -> DumpOptions {
        DumpOptions {
            flavor: facts.flavor,
            server_id: self.options.server_id,
            non_block: *until == StopAt::EndOfLog,
            heartbeat: HEARTBEAT,
            statements: self.options.contexts,
        }
    }

    /// The log was asked for: hears the first word of it.
    fn start(
        &self,
        (Dump { socket, checksum }, dump, connect): (Dump, DumpOptions, &ConnectOptions),
        facts: &ServerFacts,
        (position, held): (LogPosition, Held),
        definitions: Definitions,
        (until, doubt): (StopAt, Option<String>),
    ) -> Result<MySqlStream, Fault> {
        let server = ServerNames {
            flavor: facts.flavor,
            version: facts.version,
            lower_case_names: facts.lower_case_table_names > 0,
        };
        let mut schemas = Schemas::new(self.options.selection.clone(), server);
        let is_new = definitions.is_new && definitions.holds_from.is_none();
        schemas.begin(definitions.history, definitions.holds_from, definitions.version);
        if is_new {
            schemas.save();
        }
        if let Some(object) = doubt {
            schemas.doubt(FaultCode::SourceChanged, object);
        }
        let mark = ServerMark::of(facts);
        self.looks.belong_to(mark.clone());
        let mut assembler = Assembler::new(facts.flavor, schemas, &position).with_held(held);
        if self.options.contexts {
            assembler.read_contexts();
        }
        if let Some(heartbeat) = &self.options.heartbeat {
            assembler.listen(Listener::new(heartbeat.clone(), facts.flavor));
        }
        let mut stream = MySqlStream {
            assembler,
            opened_at: Position::new(position),
            intake: Intake::new(socket),
            checksum,
            decoder: Arc::new(RowsDecoder {
                json_text: self.options.json_text,
                accept_partial_images: self.options.accept_partial_images,
            }),
            until,
            ended: false,
            fault: None,
            payload: None,
            silent: Duration::ZERO,
            clock: Clock::system(),
            waited: Duration::ZERO,
            dump,
            user: connect.user.clone(),
            connect: connect.clone(),
            server: mark,
            hold: None,
        };
        stream.hear()?;
        Ok(stream)
    }
}

impl MySqlStream {
    /// Waits for the dump's first packet: the server's own word on whether it has the position is the last one, and
    /// another server may still be asked.
    fn hear(&mut self) -> Result<(), Fault> {
        loop {
            match self.intake.is_refusal() {
                Some(false) => return Ok(()),
                Some(true) => {
                    let Frame::Error(packet) = self.intake.next() else { return Ok(()) };
                    return Err(self.refused(&packet));
                }
                None => {}
            }
            if self.intake.fill(SILENCE_MAX).map_err(|error| self.lost(error))? == Filled::Nothing {
                let text = "the server sent nothing of its log, not even a heartbeat";
                let fault = Fault::new(FaultCode::SourceUnreachable, Component::Input, text);
                return Err(fault.about(self.connect.endpoint()));
            }
        }
    }
}

/// What a stream is to begin and end with.
struct Ask<'a> {
    from: &'a StartPoint,
    until: &'a Until,
    saved: Option<&'a Saved>,
}

/// The position to begin at, and the definitions to begin with: the saved ones, or the catalogue's.
fn begin(asked: &mut Asked<'_>, ask: &Ask<'_>) -> Result<(LogPosition, Definitions), Fault> {
    if let Some((version, bytes)) = ask.saved.and_then(|saved| saved.history.as_ref())
        && let Ok(history) = History::from_bytes(bytes)
    {
        let position = start_position(asked, ask.from)?;
        return Ok((position, Definitions { history, holds_from: None, is_new: false, version: *version }));
    }
    let mut before = server::definitions(asked.client, asked.facts, asked.connect)?;
    loop {
        let head = server::head(asked.client, asked.facts, asked.connect)?;
        let after = server::definitions(asked.client, asked.facts, asked.connect)?;
        // Equal before and after: no definition changed between, so they hold at the position between.
        if before == after {
            let position = match ask.from {
                StartPoint::Head => head.clone(),
                _ => start_position(asked, ask.from)?,
            };
            let behind = !position.reaches(&head);
            let holds_from = behind.then_some(head);
            return Ok((position, Definitions { history: after, holds_from, is_new: true, version: 0 }));
        }
        before = after;
    }
}

fn start_position(asked: &mut Asked<'_>, from: &StartPoint) -> Result<LogPosition, Fault> {
    match from {
        StartPoint::Head => server::head(asked.client, asked.facts, asked.connect),
        StartPoint::Earliest => server::earliest(asked.client, asked.facts, asked.connect),
        StartPoint::At(text) => {
            let position = LogPosition::parse(text, asked.facts.flavor).ok_or_else(|| {
                Fault::new(FaultCode::PositionInvalid, Component::Input, format!("{text:?} is no position"))
            })?;
            asked.check_reachable(&position)?;
            Ok(position)
        }
    }
}

impl Source for MySqlSource {
    fn open(&mut self, from: &StartPoint, until: &Until, saved: Option<Saved>) -> Result<Box<dyn ChangeStream>, Fault> {
        let ask = Ask { from, until, saved: saved.as_ref() };
        self.looks = Arc::default();
        let mut refused = Vec::new();
        for nth in self.servers.order() {
            match self.open_at(nth, &ask) {
                Ok(stream) => {
                    self.servers.took(nth, refused);
                    self.by_gtid = stream.assembler.position().gtids.is_some();
                    return Ok(Box::new(stream));
                }
                Err(fault) if is_ours(fault.code()) => return Err(fault),
                Err(fault) => refused.push((nth, fault)),
            }
        }
        Err(self.servers.gave_up(refused))
    }

    fn foresee(&self, from: &StartPoint) -> Result<Position, Fault> {
        let mut refused = Vec::new();
        for nth in self.servers.order() {
            match self.foresee_at(nth, from) {
                Ok(position) => return Ok(Position::new(position)),
                Err(fault) if self.servers.role(nth) == Role::Only => return Err(fault),
                Err(fault) => refused.push((nth, fault)),
            }
        }
        Err(self.servers.conclude(&refused))
    }

    fn tables(&self) -> Result<Vec<TableFound>, Fault> {
        let mut refused = Vec::new();
        for nth in self.servers.order() {
            let options = MySqlOptions { connect: self.servers.connect(nth).clone(), ..self.options.clone() };
            match MySqlTableReader::open(options).and_then(|mut reader| reader.tables()) {
                Ok(found) => return Ok(found),
                Err(fault) if self.servers.role(nth) == Role::Only => return Err(fault),
                Err(fault) => refused.push((nth, fault)),
            }
        }
        Err(self.servers.conclude(&refused))
    }

    fn head(&self) -> Result<Box<dyn Head>, Fault> {
        Ok(Box::new(LogHead::open(self.servers.in_use(), Arc::clone(&self.looks))?))
    }

    fn heartbeat(&self) -> Option<Box<dyn Heartbeat>> {
        let options = self.options.heartbeat.clone()?;
        Some(Box::new(Writer::new(options, self.servers.in_use().clone())))
    }

    fn table_reader(&self) -> Result<Box<dyn TableReader>, Fault> {
        let connect = self.servers.in_use().clone();
        let options = MySqlOptions { connect, ..self.options.clone() };
        let Some(replica) = options.snapshot_from.clone() else {
            return Ok(Box::new(MySqlTableReader::open(options)?));
        };
        if !self.by_gtid {
            let text = "tables cannot be read from a replica while the stream goes by places in files";
            let fault = Fault::new(FaultCode::PositionInvalid, Component::Input, text).about(replica.endpoint());
            return Err(fault.help("use GTIDs (gtid_mode=ON, a start by GTID), or leave source.snapshot-from out"));
        }
        Ok(Box::new(ElsewhereReader::open(options, replica)?))
    }

    fn endpoint(&self) -> String {
        self.servers.in_use().endpoint()
    }

    fn passed_over(&mut self) -> Vec<(String, Fault)> {
        self.servers.take_passed_over()
    }
}

/// True for what is wrong on our own side, which no other server mends.
const fn is_ours(code: FaultCode) -> bool {
    use FaultCode as C;
    matches!(code, C::XaRowsLost | C::StateDiskFull | C::StateUnwritable | C::StateCorrupt)
}

/// The end that was asked for, which must be of a kind that the stream will meet.
fn end_position(text: &str, flavor: Flavor, start: &LogPosition, role: Role) -> Result<LogPosition, Fault> {
    let fault = |text| Fault::new(FaultCode::PositionInvalid, Component::Input, text);
    let end = LogPosition::parse(text, flavor).ok_or_else(|| fault(format!("{text:?} is no position")))?;
    if end.gtids.is_some() && start.gtids.is_none() {
        return Err(fault(format!("{text:?} is never met by a stream that began at a place in a file")));
    }
    if end.gtids.is_none() && role == Role::Successor {
        return Err(fault(format!("{text:?} is a place in another server's files")));
    }
    Ok(end)
}

/// What a stream knows of definitions when it begins.
struct Definitions {
    history: History,
    holds_from: Option<LogPosition>,
    is_new: bool,
    /// The number the history was saved under.
    version: u32,
}

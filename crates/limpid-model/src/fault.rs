//! What can go wrong, under stable codes, and what is done about each.
//!
//! Owns: the codes, the one table of responses, the fault value that travels. Does not own: retrying and halting
//! (`limpid-engine`), printing (`limpid`), counting (`limpid-telemetry`).
//!
//! Invariant: every code has a page `docs/faults/<CODE>.md`, and every page a code; `xtask tidy` checks both ways.

use std::error::Error;
use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A stable code: the name of its page, the `error_type` of metrics, the `error_code` of logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultCode { $($variant),+ }

        /// Every code, for the checks and the catalogue.
        pub const ALL_CODES: &[FaultCode] = &[$(FaultCode::$variant),+];

        impl FaultCode {
            /// The code as users see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(FaultCode::$variant => $text),+ }
            }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(FaultCode::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    ConfigSyntax = "CONFIG_SYNTAX",
    ConfigUnknownKey = "CONFIG_UNKNOWN_KEY",
    ConfigMissingKey = "CONFIG_MISSING_KEY",
    ConfigWrongType = "CONFIG_WRONG_TYPE",
    ConfigBadValue = "CONFIG_BAD_VALUE",
    ConfigVariableMissing = "CONFIG_VARIABLE_MISSING",
    ConfigSecretUnreadable = "CONFIG_SECRET_UNREADABLE",
    ConfigDuplicateName = "CONFIG_DUPLICATE_NAME",
    ConfigUnreadable = "CONFIG_UNREADABLE",
    NotInThisVersion = "NOT_IN_THIS_VERSION",
    SourceUnreachable = "SOURCE_UNREACHABLE",
    SourceAuthFailed = "SOURCE_AUTH_FAILED",
    SourceTlsFailed = "SOURCE_TLS_FAILED",
    SourceGrantMissing = "SOURCE_GRANT_MISSING",
    SourceVersionUnsupported = "SOURCE_VERSION_UNSUPPORTED",
    SourceLogOff = "SOURCE_LOG_OFF",
    SourceLogFormat = "SOURCE_LOG_FORMAT",
    SourceRowImage = "SOURCE_ROW_IMAGE",
    SourceServerIdClash = "SOURCE_SERVER_ID_CLASH",
    SourceLogPurged = "SOURCE_LOG_PURGED",
    SourceChanged = "SOURCE_CHANGED",
    SourceBehind = "SOURCE_BEHIND",
    SourceReplicaUnfit = "SOURCE_REPLICA_UNFIT",
    SourceQueryFailed = "SOURCE_QUERY_FAILED",
    PositionInvalid = "POSITION_INVALID",
    LogChecksum = "LOG_CHECKSUM",
    LogMalformed = "LOG_MALFORMED",
    LogEventUnknown = "LOG_EVENT_UNKNOWN",
    LogIncident = "LOG_INCIDENT",
    LogEncrypted = "LOG_ENCRYPTED",
    LogPayloadCorrupt = "LOG_PAYLOAD_CORRUPT",
    TransactionRolledBack = "TRANSACTION_ROLLED_BACK",
    TransactionLookAhead = "TRANSACTION_LOOK_AHEAD",
    XaRowsLost = "XA_ROWS_LOST",
    XaRowsBeforeStart = "XA_ROWS_BEFORE_START",
    XaCommitUnknown = "XA_COMMIT_UNKNOWN",
    XaRolledBackUnseen = "XA_ROLLED_BACK_UNSEEN",
    StatementChange = "STATEMENT_CHANGE",
    TableSchemaUnknown = "TABLE_SCHEMA_UNKNOWN",
    TableSchemaMismatch = "TABLE_SCHEMA_MISMATCH",
    RowImagePartial = "ROW_IMAGE_PARTIAL",
    RowUndecodable = "ROW_UNDECODABLE",
    RowUnencodable = "ROW_UNENCODABLE",
    TransformColumnMissing = "TRANSFORM_COLUMN_MISSING",
    TransformUnfit = "TRANSFORM_UNFIT",
    TransformKeyColumn = "TRANSFORM_KEY_COLUMN",
    RecordTooLarge = "RECORD_TOO_LARGE",
    RecordRefused = "RECORD_REFUSED",
    SinkUnreachable = "SINK_UNREACHABLE",
    SinkAuthFailed = "SINK_AUTH_FAILED",
    SinkTlsFailed = "SINK_TLS_FAILED",
    SinkGrantMissing = "SINK_GRANT_MISSING",
    SinkSettingInvalid = "SINK_SETTING_INVALID",
    SinkWriteFailed = "SINK_WRITE_FAILED",
    SinkDiskFull = "SINK_DISK_FULL",
    SinkTransactionAborted = "SINK_TRANSACTION_ABORTED",
    Fenced = "FENCED",
    TopicMissing = "TOPIC_MISSING",
    TopicCreationRefused = "TOPIC_CREATION_REFUSED",
    TopicNameInvalid = "TOPIC_NAME_INVALID",
    TopicCollision = "TOPIC_COLLISION",
    PositionTopicInvalid = "POSITION_TOPIC_INVALID",
    StateLocked = "STATE_LOCKED",
    StateNewer = "STATE_NEWER",
    StateCorrupt = "STATE_CORRUPT",
    StateDiskFull = "STATE_DISK_FULL",
    StateUnwritable = "STATE_UNWRITABLE",
    StateOlder = "STATE_OLDER",
    StateForeign = "STATE_FOREIGN",
    StateEmpty = "STATE_EMPTY",
    RecordLost = "RECORD_LOST",
    FlowDifference = "FLOW_DIFFERENCE",
    ListenInsecure = "LISTEN_INSECURE",
    ListenFailed = "LISTEN_FAILED",
    ListenTlsInvalid = "LISTEN_TLS_INVALID",
    AuthFileInvalid = "AUTH_FILE_INVALID",
    AuthTokenInvalid = "AUTH_TOKEN_INVALID",
    AuthForbidden = "AUTH_FORBIDDEN",
    CrossSiteRefused = "CROSS_SITE_REFUSED",
    HttpBadRequest = "HTTP_BAD_REQUEST",
    HttpNotFound = "HTTP_NOT_FOUND",
    HttpAnswerFailed = "HTTP_ANSWER_FAILED",
    ServerUnreachable = "SERVER_UNREACHABLE",
    ServerTlsFailed = "SERVER_TLS_FAILED",
    MetricsPushFailed = "METRICS_PUSH_FAILED",
    TraceSendFailed = "TRACE_SEND_FAILED",
    LogSendFailed = "LOG_SEND_FAILED",
    PipelinePanicked = "PIPELINE_PANICKED",
    DrainTimedOut = "DRAIN_TIMED_OUT",
    UsageInvalid = "USAGE_INVALID",
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The outside failed; the same call may succeed later.
    Transient,
    /// The data or the set-up is wrong.
    Definite,
}

/// What the engine does about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Try again with jittered back-off, for ever or until the window is over; then halt.
    Retry { window_max: Duration },
    /// Stop this table, durably; the others go on.
    HaltTable,
    /// Stop the pipeline; an operator must act.
    HaltPipeline,
    /// Refuse to start.
    Refuse,
    /// Answer the caller; nothing else happens.
    Answer,
}

/// A source or sink that is away is waited for: a night's outage must not need a person to restart us. The bound is
/// a week, beyond which any log is purged anyway.
const OUTAGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was broken on its way comes whole the second time; what is broken where it lies is no better after this.
const READ_AGAIN: Response = Response::Retry { window_max: Duration::from_secs(5) };

/// What can be done about a state that does not fit the record at the sink; each page says which of the two when.
const MISFIT: &str = "limpid state import --from-sink FILE, or limpid run --accept-new-state FILE";

/// What lets the log tell of its tables by itself.
const METADATA: &str = "set binlog_row_metadata=FULL; start at a later position";

/// What can be done about a log that has parts of rows only.
const ROW_IMAGE: &str = "SET GLOBAL binlog_row_image=FULL, or set source.row-image: accept";

/// What can be done about a log that is damaged where it lies.
const LOG: &str = "check the log on the server; read from another server";

/// What can be done about rows that do not add up.
const FLOW: &str = "compare the table with its topic between the two positions, copy it anew, and report it";

/// What can be done about a rule that does not fit a table.
const RULE: &str = "mend the rule named, or exclude the table from it, and begin the table anew as the page shows";

/// The one table of responses, with what an operator can do.
pub fn response_to(code: FaultCode) -> (Response, &'static str) {
    use FaultCode as C;
    let retry = Response::Retry { window_max: OUTAGE_MAX };
    match code {
        C::ConfigSyntax => (Response::Refuse, "mend the file at the place shown"),
        C::ConfigUnknownKey => (Response::Refuse, "use the key named, or remove it"),
        C::ConfigMissingKey => (Response::Refuse, "add the key"),
        C::ConfigWrongType => (Response::Refuse, "write a value of the type named"),
        C::ConfigBadValue => (Response::Refuse, "choose one of the values named"),
        C::ConfigVariableMissing => (Response::Refuse, "set the variable, or write $${ for a literal ${"),
        C::ConfigSecretUnreadable => (Response::Refuse, "make the file readable for this user"),
        C::ConfigDuplicateName => (Response::Refuse, "give each pipeline a name of its own"),
        C::ConfigUnreadable => (Response::Refuse, "check the path and its permissions"),
        C::NotInThisVersion => (Response::Refuse, "write out a value that this version has"),
        C::SourceUnreachable => (retry, "check that the server runs and that its port is open from here"),
        C::SourceAuthFailed => (Response::HaltPipeline, "check user, password and the host the account allows"),
        C::SourceTlsFailed => (Response::HaltPipeline, "check source.tls: mode, ca, and the name in the certificate"),
        C::SourceGrantMissing => (Response::HaltPipeline, "run the GRANT statement shown"),
        C::SourceVersionUnsupported => (Response::HaltPipeline, "use MySQL 8.0 or MariaDB 10.6 and later"),
        C::SourceLogOff => (Response::HaltPipeline, "start the server with log_bin"),
        C::SourceLogFormat => (Response::HaltPipeline, "SET GLOBAL binlog_format=ROW, then reconnect the writers"),
        C::SourceRowImage => (Response::HaltPipeline, ROW_IMAGE),
        C::SourceServerIdClash => (retry, "give this pipeline a server id of its own: source.server-id"),
        C::SourceLogPurged => (Response::HaltPipeline, "take a new start position; raise the log's retention"),
        C::SourceChanged => (Response::HaltPipeline, "point the pipeline at the server it was reading, or start anew"),
        C::SourceBehind => (retry, "let the server catch up: check its replication"),
        C::SourceReplicaUnfit => (Response::HaltPipeline, "name a whole replica in source.snapshot-from, or none"),
        C::SourceQueryFailed => (Response::HaltPipeline, "see the server's code; check the account's rights"),
        C::PositionInvalid => (Response::HaltPipeline, "write the position as the page shows"),
        C::LogChecksum => (READ_AGAIN, LOG),
        C::LogPayloadCorrupt => (Response::HaltPipeline, LOG),
        C::LogMalformed => (Response::HaltPipeline, "report it with server version and event position"),
        C::LogEventUnknown => (Response::HaltPipeline, "turn off the feature that writes this event"),
        C::LogIncident => (Response::HaltPipeline, "the server lost changes: start anew from a fresh copy"),
        C::LogEncrypted => (Response::HaltPipeline, "let the server send the log decrypted"),
        C::TransactionRolledBack => (Response::HaltPipeline, "restart before it; report the server version"),
        C::TransactionLookAhead => (Response::HaltPipeline, "split the transaction; see the page for the bounds"),
        C::XaRowsLost | C::XaRowsBeforeStart => (Response::HaltPipeline, "start anew with a snapshot"),
        C::XaCommitUnknown | C::XaRolledBackUnseen => (Response::Answer, "nothing after a crash; see the page"),
        C::StatementChange => (Response::HaltTable, "set binlog_format=ROW in that session; copy the table anew"),
        C::TableSchemaUnknown | C::TableSchemaMismatch => (Response::HaltTable, METADATA),
        C::RowImagePartial => (Response::HaltTable, "SET binlog_row_image=FULL in that session, or row-image: accept"),
        C::RowUndecodable | C::RowUnencodable => (Response::HaltTable, "exclude the column or report its type"),
        C::TransformColumnMissing | C::TransformUnfit | C::TransformKeyColumn => (Response::HaltTable, RULE),
        C::RecordTooLarge => (Response::HaltTable, "raise max.message.bytes of the topic, or exclude the large column"),
        C::RecordRefused => (retry, "nothing now: the row is put aside; grant DESCRIBE_CONFIGS on the topic"),
        C::SinkUnreachable => (retry, "check that the brokers run and that their ports are open from here"),
        C::SinkAuthFailed => (Response::HaltPipeline, "check sink.sasl"),
        C::SinkTlsFailed => (Response::HaltPipeline, "check sink.tls: mode, ca, and the name in the certificate"),
        C::SinkGrantMissing => (Response::HaltPipeline, "grant the operation named on the topic named"),
        C::SinkSettingInvalid => (Response::HaltPipeline, "mend the setting named"),
        C::SinkWriteFailed => (Response::HaltPipeline, "see the cause; check the sink"),
        C::SinkDiskFull => (retry, "make room; writing goes on by itself"),
        C::SinkTransactionAborted => (retry, "nothing is lost or doubled: the rows go out again in a new transaction"),
        C::Fenced => (Response::HaltPipeline, "another instance runs this pipeline: stop one of the two"),
        C::TopicMissing => (Response::HaltPipeline, "create the topic, or set topic-creation.enabled: true"),
        C::TopicCreationRefused => (Response::HaltPipeline, "create the topic by hand, or grant CREATE"),
        C::TopicNameInvalid => (Response::HaltPipeline, "change sink.topic so that every table gives a legal name"),
        C::TopicCollision => (Response::HaltPipeline, "change sink.topic so that each table has its own topic"),
        C::PositionTopicInvalid => (Response::HaltPipeline, "create the topic as the page shows"),
        C::StateLocked => (Response::Refuse, "stop the other instance, or choose another --data-dir"),
        C::StateNewer => (Response::Refuse, "use the release that wrote this state, or a later one"),
        C::StateCorrupt => (Response::Refuse, "restore the state, or move it away and set a start position"),
        C::StateDiskFull => (retry, "make room; saving goes on by itself"),
        C::StateUnwritable => (Response::HaltPipeline, "check the owner and permissions of --data-dir"),
        C::StateOlder | C::StateForeign | C::StateEmpty | C::RecordLost => (Response::HaltPipeline, MISFIT),
        C::FlowDifference => (Response::Answer, FLOW),
        C::ListenInsecure => (Response::Refuse, "give --auth-token-file, or add --insecure knowingly"),
        C::ListenFailed => (Response::Refuse, "choose another --listen address"),
        C::ListenTlsInvalid => (Response::Refuse, "give --tls-cert the chain and --tls-key its key, as PEM"),
        C::AuthFileInvalid => (Response::Refuse, "mend the file as the page shows"),
        C::AuthTokenInvalid => (Response::Answer, "send a token of the instance's file: --token-file"),
        C::AuthForbidden => (Response::Answer, "use a token with the role operator"),
        C::CrossSiteRefused => (Response::Answer, "send the call from the command line or the instance's own page"),
        C::HttpBadRequest | C::HttpNotFound => (Response::Answer, "see /api/v1/openapi.json"),
        C::HttpAnswerFailed => (Response::Answer, "report it with the log; ask again"),
        C::ServerUnreachable => (Response::Answer, "check --server; is the instance running?"),
        C::ServerTlsFailed => (Response::Answer, "check --ca and the name in --server"),
        C::MetricsPushFailed | C::TraceSendFailed | C::LogSendFailed => (retry, "check its address, and who listens"),
        C::PipelinePanicked => (Response::HaltPipeline, "report it with the log; restart the process"),
        C::DrainTimedOut => (Response::HaltPipeline, "the sink did not answer in time; nothing is lost, rows repeat"),
        C::UsageInvalid => (Response::Refuse, "see --help"),
    }
}

/// The part of the way where a fault arose; the same words in metrics, spans and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    Input,
    Filter,
    Scheduler,
    Output,
    State,
    Server,
}

impl Component {
    pub const fn word(self) -> &'static str {
        match self {
            Component::Input => "input",
            Component::Filter => "filter",
            Component::Scheduler => "scheduler",
            Component::Output => "output",
            Component::State => "state",
            Component::Server => "server",
        }
    }
}

/// One thing that went wrong. `Display` shows its own sentence only; the report prints the chain.
#[derive(Debug)]
pub struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: FaultCode,
    component: Component,
    message: String,
    object: Option<String>,
    help: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// One clear sentence, without row values and without secrets.
    pub fn new(code: FaultCode, component: Component, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { code, component, message: message.into(), object: None, help: None, cause: None }))
    }

    /// What it is about: a table, a topic, a file with line and column, a position.
    #[must_use]
    pub fn about(mut self, object: impl Into<String>) -> Self {
        self.0.object = Some(object.into());
        self
    }

    /// What to do, where it is more exact than the table's hint (a GRANT statement, the nearest known key).
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// What brought it about.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    pub fn code(&self) -> FaultCode {
        self.0.code
    }

    pub fn component(&self) -> Component {
        self.0.component
    }

    pub fn object(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// What to do: the fault's own words or the table's.
    pub fn remedy(&self) -> &str {
        self.0.help.as_deref().unwrap_or(response_to(self.0.code).1)
    }

    pub fn response(&self) -> Response {
        response_to(self.0.code).0
    }

    pub fn kind(&self) -> FaultKind {
        match self.response() {
            Response::Retry { .. } => FaultKind::Transient,
            Response::HaltTable | Response::HaltPipeline | Response::Refuse | Response::Answer => FaultKind::Definite,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_text_and_comes_back_from_it() {
        for code in ALL_CODES {
            assert_eq!(FaultCode::parse(code.as_str()), Some(*code));
        }
        let mut texts: Vec<_> = ALL_CODES.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ALL_CODES.len());
    }
}

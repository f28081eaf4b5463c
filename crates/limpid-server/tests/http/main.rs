//! The server over real sockets: what it answers, what it refuses, what it survives, how it ends.
//!
//! Owns: running engine pipelines with systems in memory behind it. Does not own: the numbers (`limpid-telemetry`),
//! verdicts (`limpid-engine`).
#![expect(clippy::disallowed_methods, reason = "drives real sockets and threads on the real clock")]

mod answers;
mod certificates;
mod documents;
mod ending;
mod garbage;
mod pipelines;
mod schema;
mod scrape;
mod tls;
mod tokens;
mod trace;
mod wire;

//! The HTTP side of a running instance, and the client that reads it.
//!
//! Owns: the socket and its bounds, TLS, who may ask what, the routes, the documents scripts hold on to, their OpenAPI
//! description. Does not own: what is told (a pipeline's `Handle`, its meter, the registry), showing it to people (the command line).
//!
//! Invariant: it only reads. Nothing here waits for a pipeline, and no client, however slow or odd, costs more than a
//! bounded piece of memory and its share of one thread.

mod answer;
pub mod api;
pub mod client;
mod connections;
mod gate;
mod kept;
mod openapi;
mod patience;
mod routes;
mod server;
mod site;
mod tls;
mod tokens;

pub use openapi::openapi;
pub use server::{Server, ServerOptions, TlsFiles};
pub use site::{PipelineView, WallAndMonotonic};

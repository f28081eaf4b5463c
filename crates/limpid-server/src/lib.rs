//! The HTTP side of a running instance.
//!
//! Owns: routes. Does not own: what is told.
//!
//! Invariant: it only reads.

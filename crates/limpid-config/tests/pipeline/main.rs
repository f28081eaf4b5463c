//! Pipeline files as a user writes them, against what a user is told.
//!
//! Owns: the tables of good and bad files, the contract's example, the schema against real files, random input.
//! Does not own: single parsers and values (unit tests beside them).

mod bad_json;
mod bad_toml;
mod bad_values;
mod bad_yaml;
mod contract;
mod good;
mod random;
mod registry;
mod schema;
mod several;

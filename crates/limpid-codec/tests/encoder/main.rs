//! The encoder from outside: one binary, so that what the tests share is compiled once.

mod odd;
mod oracle_compare;
mod properties;
mod rows;
mod support;

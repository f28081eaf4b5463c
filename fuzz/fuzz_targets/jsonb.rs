//! Binary JSON and partial updates of it.
//!
//! Owns: nothing but the call. Does not own: what comes out.
//!
//! Invariant: any bytes end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limpid_mysql::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::json(bytes));

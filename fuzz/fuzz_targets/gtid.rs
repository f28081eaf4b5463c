//! GTID sets and positions, as text and in binary.
//!
//! Owns: nothing but the call. Does not own: what comes out.
//!
//! Invariant: any bytes end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limpid_mysql::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::gtid(bytes));

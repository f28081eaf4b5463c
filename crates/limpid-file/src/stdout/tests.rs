//! Tests of `stdout`.

//! Random input: an answer, never a panic.

//! The contract's own example.

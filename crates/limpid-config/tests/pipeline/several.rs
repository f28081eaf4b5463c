//! Several files at once.

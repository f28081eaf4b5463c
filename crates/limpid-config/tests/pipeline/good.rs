//! Good files, in all three syntaxes, and what they mean.

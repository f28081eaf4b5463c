//! Writing JSON straight into a buffer.
//!
//! Owns: appending constants, whole numbers, doubles as Java prints them, base64, text as Jackson escapes it, and
//! calendar fields. Does not own: which value goes where (`debezium`).
//!
//! Invariant: nothing here allocates beyond the buffer's own growth, and what is appended is valid JSON or a part of
//! a JSON string.

mod base64;
mod calendar;
mod double;
mod number;
mod piece;
mod text;

pub(crate) use base64::{Alphabet, put_base64, put_hex};
pub(crate) use calendar::{put_date, put_fraction, put_instant, put_time_of_day, put_trimmed_fraction};
pub(crate) use double::{put_f32, put_f64};
pub(crate) use number::{put_i64, put_padded, put_u64};
pub(crate) use piece::Piece;
pub(crate) use text::put_text;

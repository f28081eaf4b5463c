//! Constant bytes that are written once a row.
//!
//! Owns: the piece and the fixed-size copy. Does not own: what pieces hold (`debezium::plan`).
//!
//! Invariant: a piece appends exactly the bytes it was made of.

/// Short enough for two vector moves; a field's prefix (`,"name":`) nearly always is.
const SHORT: usize = 32;

/// Bytes known before the first row. A copy of fixed length is several times cheaper than one whose length the CPU
/// learns at run time, so short pieces are copied whole and only their true length is kept.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    short: [u8; SHORT],
    len: usize,
    long: Box<[u8]>,
}

impl Piece {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        let len = bytes.len();
        if len <= SHORT {
            short[..len].copy_from_slice(bytes);
        }
        let long = if len <= SHORT { [].into() } else { bytes.into() };
        Self { short, len, long }
    }

    /// Appends the piece.
    #[inline(always)]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.len > SHORT {
            out.extend_from_slice(&self.long);
            return;
        }
        out.reserve(SHORT);
        let at = out.len();
        // SAFETY: `reserve` made room for SHORT bytes behind `at`; the first `len` of them, which become part of the
        // vector, were written by the copy, and `len` is at most SHORT.
        unsafe {
            std::ptr::copy_nonoverlapping(self.short.as_ptr(), out.as_mut_ptr().add(at), SHORT);
            out.set_len(at + self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_any_length_appends_just_itself() {
        for len in [0, 1, 31, 32, 33, 100] {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let mut out = b"x".to_vec();
            Piece::new(&bytes).put(&mut out);
            assert_eq!(out[0], b'x');
            assert_eq!(out[1..], bytes);
        }
    }
}

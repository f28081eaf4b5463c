//! From a byte's number to its line and column.
//!
//! Owns: the index of line starts. Does not own: which byte is meant.
//!
//! Invariant: any number gives a place, also one beyond the end or inside a character.

use std::sync::Arc;

use crate::node::Place;

pub(super) struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
    /// How many characters begin before each `STEP`-th byte: a file of one long line would else cost its length per
    /// place.
    characters: Vec<usize>,
}

const STEP: usize = 256;

impl<'a> Lines<'a> {
    pub fn new(file: &str, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let mut characters = vec![0];
        for chunk in text.as_bytes().chunks(STEP) {
            characters.push(characters.last().map_or(0, |before| before + begun(chunk)));
        }
        Self { file: file.into(), text, starts: std::iter::once(0).chain(breaks).collect(), characters }
    }

    /// Characters that begin before this byte.
    fn characters(&self, offset: usize) -> usize {
        let step = offset / STEP;
        let rest = self.text.as_bytes().get(step * STEP..offset).unwrap_or_default();
        self.characters.get(step).map_or(0, |before| before + begun(rest))
    }

    /// The place of the byte at `offset`.
    pub fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.characters(offset).saturating_sub(self.characters(start));
        Place { file: Arc::clone(&self.file), line: number(line), column: number(column + 1) }
    }

    /// A place from line and column as another parser counted them, both from 1.
    pub fn at(&self, line: usize, column: usize) -> Place {
        Place { file: Arc::clone(&self.file), line: number(line), column: number(column) }
    }
}

/// Characters that begin in these bytes of UTF-8: all but the continuation bytes.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A file has at most 1 Mi lines, so that this never saturates.
fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("f", "a\näb\r\n");
        let at = |offset| {
            let place = lines.place(offset);
            (place.line, place.column)
        };
        assert_eq!([at(0), at(1), at(2), at(3), at(4), at(5)], [(1, 1), (1, 2), (2, 1), (2, 1), (2, 2), (2, 3)]);
        assert_eq!(at(1000), (3, 1));
        let long = "ä".repeat(1000);
        let lines = Lines::new("f", &long);
        assert_eq!([0, 254, 256, 1998].map(|at| lines.place(at).column), [1, 128, 129, 1000]);
    }
}

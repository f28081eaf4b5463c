//! Walking over values that nobody captures.
//!
//! Owns: the length of each wire type. Does not own: reading values (`image`).
//!
//! Invariant: steps over exactly the bytes that reading the value would take.

use super::{ImageReader, RowError};
use crate::mapping::Wire;
use crate::values;

impl ImageReader<'_, '_> {
    /// Walks over one value.
    pub(super) fn skip(&mut self, wire: Wire) -> Result<(), RowError> {
        let n = match wire {
            Wire::I8 | Wire::U8 | Wire::Year => 1,
            Wire::I16 | Wire::U16 => 2,
            Wire::I24 | Wire::U24 | Wire::Date | Wire::TimeOld => 3,
            Wire::I32 | Wire::U32 | Wire::F32 | Wire::TimestampOld => 4,
            Wire::I64 | Wire::U64 | Wire::F64 | Wire::DateTimeOld => 8,
            Wire::DecimalSmall { size, .. } | Wire::DecimalBig { size, .. } => size as usize,
            Wire::Time { digits } => 3 + values::fraction_size(digits),
            Wire::DateTime { digits } => 5 + values::fraction_size(digits),
            Wire::Timestamp { digits } => 4 + values::fraction_size(digits),
            Wire::Bit { bytes } | Wire::Enum { bytes } | Wire::Set { bytes } => bytes as usize,
            Wire::Text { prefix, .. }
            | Wire::Bytes { prefix }
            | Wire::FixedBytes { prefix, .. }
            | Wire::Uuid { prefix }
            | Wire::Inet { prefix, .. }
            | Wire::Json { prefix }
            | Wire::Geometry { prefix }
            | Wire::Vector { prefix }
            | Wire::CompressedText { prefix, .. }
            | Wire::CompressedBytes { prefix } => {
                let (_, bytes) = self.prefixed(prefix)?;
                if self.keep_json && matches!(wire, Wire::Json { .. }) {
                    self.json_raw.push(Some(bytes));
                }
                return Ok(());
            }
        };
        self.take(n).map(drop)
    }
}

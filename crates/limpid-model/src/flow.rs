//! Rows of a table by what became of them.
//!
//! Owns: the kinds, sums of them by table, their text form. Does not own: counting (`limpid-engine`), keeping
//! (`limpid-state`, the position record).
//!
//! Invariant: what comes into the flow and what goes out of it are counted by different hands; where the two differ,
//! rows were dropped or doubled.

use std::collections::BTreeMap;

use crate::schema::TableName;

/// What is counted of a table's rows. The first three come in, the others go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flow {
    /// The log's events hold them.
    Read = 0,
    /// Read from the table itself.
    Copied = 1,
    /// Were kept, and go to the sink after all.
    Replayed = 2,
    /// Rejected by a rule, or of an operation that the format is told to skip.
    Filtered = 3,
    /// The sink acknowledged their records.
    Delivered = 4,
    /// Kept with their key.
    Parked = 5,
    /// Kept by themselves.
    DeadLettered = 6,
    /// Copied, and left out since the stream had told of their key meanwhile.
    Overtaken = 7,
    /// Their table is halted at them or before them.
    Withheld = 8,
}

impl Flow {
    /// All of them, in the order in which they are stored.
    pub const ALL: [Flow; 9] = [
        Flow::Read,
        Flow::Copied,
        Flow::Replayed,
        Flow::Filtered,
        Flow::Delivered,
        Flow::Parked,
        Flow::DeadLettered,
        Flow::Overtaken,
        Flow::Withheld,
    ];

    /// The word used in metrics and in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Flow::Read => "read",
            Flow::Copied => "copied",
            Flow::Replayed => "replayed",
            Flow::Filtered => "filtered",
            Flow::Delivered => "delivered",
            Flow::Parked => "parked",
            Flow::DeadLettered => "dead_lettered",
            Flow::Overtaken => "overtaken",
            Flow::Withheld => "withheld",
        }
    }

    /// Rows of this kind come into the flow.
    pub const fn comes_in(self) -> bool {
        matches!(self, Flow::Read | Flow::Copied | Flow::Replayed)
    }
}

/// Rows of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    by: [i64; Flow::ALL.len()],
    /// Rows that are in flight no longer, those read again included. Not kept.
    pub landed: i64,
}

impl FlowCounts {
    /// Rows that are in flight no longer, and count for nothing.
    pub fn landed(rows: i64) -> Self {
        Self { landed: rows, ..Self::default() }
    }

    /// Rows of one kind.
    pub fn get(&self, flow: Flow) -> i64 {
        self.by[flow as usize]
    }

    /// Counts rows; fewer than none where an earlier count is set right.
    pub fn add(&mut self, flow: Flow, rows: i64) {
        self.by[flow as usize] += rows;
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        self.by.iter_mut().zip(other.by).for_each(|(sum, rows)| *sum += rows);
        self.landed += other.landed;
    }

    /// Rows that came in and of which nobody knows what became; fewer than none where some came out twice.
    pub fn difference(&self) -> i64 {
        Flow::ALL.iter().map(|flow| if flow.comes_in() { self.get(*flow) } else { -self.get(*flow) }).sum()
    }

    /// Nothing to keep.
    pub fn is_zero(&self) -> bool {
        self.by.iter().all(|rows| *rows == 0)
    }

    /// The numbers in their order, apart by commas.
    pub fn text(&self) -> String {
        self.by.map(|rows| rows.to_string()).join(",")
    }

    /// From its text. A later release may have more kinds: those are left out.
    pub fn parse(text: &str) -> Option<Self> {
        let mut counts = Self::default();
        let mut numbers = text.split(',');
        for rows in &mut counts.by {
            *rows = numbers.next()?.parse().ok()?;
        }
        Some(counts)
    }
}

/// Counts by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowSums(pub BTreeMap<TableName, FlowCounts>);

impl FlowSums {
    /// Adds to a table's count.
    pub fn add(&mut self, table: &TableName, counts: &FlowCounts) {
        match self.0.get_mut(table) {
            Some(sum) => sum.merge(counts),
            None => drop(self.0.insert(table.clone(), *counts)),
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(table, counts)| self.add(table, counts));
    }

    /// Nothing to keep.
    pub fn is_zero(&self) -> bool {
        self.0.values().all(FlowCounts::is_zero)
    }

    /// Some table's rows do not add up.
    pub fn differs(&self) -> bool {
        self.0.values().any(|counts| counts.difference() != 0)
    }

    /// One text a table: its numbers, the length of its schema's name, both names.
    pub fn texts(&self) -> Vec<String> {
        let kept = self.0.iter().filter(|(_, counts)| !counts.is_zero());
        kept.map(|(table, counts)| format!("{} {} {}{}", counts.text(), table.schema.len(), table.schema, table.table))
            .collect()
    }

    /// From its texts.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut sums = Self::default();
        for text in texts {
            let (numbers, rest) = text.split_once(' ')?;
            let (length, names) = rest.split_once(' ')?;
            let (schema, table) = names.split_at_checked(length.parse().ok()?)?;
            sums.add(&TableName::new(schema, table), &FlowCounts::parse(numbers)?);
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums() -> FlowSums {
        let mut counts = FlowCounts::default();
        counts.add(Flow::Read, 7);
        counts.add(Flow::Delivered, 5);
        counts.add(Flow::Parked, 2);
        let mut sums = FlowSums::default();
        sums.add(&TableName::new("a b", "c d\n1,2"), &counts);
        sums.add(&TableName::new("", ""), &counts);
        sums
    }

    #[test]
    fn sums_survive_their_text_whatever_their_tables_are_called() {
        let texts = sums().texts();
        assert_eq!(texts.len(), 2);
        assert_eq!(FlowSums::parse(texts.iter().map(String::as_str)), Some(sums()));
        for bad in ["", "1,2", "1,2,3,4,5,6,7,8,9", "1,2,3,4,5,6,7,8,9 9 ab", "1,2,3,4,5,6,7,8 1 ab", "x 1 ab"] {
            assert_eq!(FlowSums::parse([bad]), None, "{bad}");
        }
    }

    #[test]
    fn a_row_that_is_missing_and_one_that_came_out_twice_differ() {
        let mut counts = *sums().0.values().next().unwrap();
        assert_eq!(counts.difference(), 0);
        counts.add(Flow::Delivered, -1);
        assert_eq!(counts.difference(), 1);
        counts.add(Flow::Delivered, 3);
        assert_eq!(counts.difference(), -2);
    }
}

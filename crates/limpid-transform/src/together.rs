//! Rules that contradict each other.
//!
//! Owns: what is wrong with entries only because of others, as far as the file alone tells. Does not own: what only a
//! table's columns tell (`compile`).
//!
//! Invariant: two rules are refused only where a name exists that both speak of; exclusions may take that name away, so
//! rules with any are left to the tables.

use limpid_config::{Complaint, ConfigFault, TransformSpec};

use crate::config;
use crate::rule::{Action, Rule};

/// Every contradiction, at the later of two entries.
pub fn together(specs: &[TransformSpec]) -> Vec<ConfigFault> {
    let rules = match config::rules(specs) {
        Ok(rules) => rules,
        Err(faults) => return faults,
    };
    let mut faults = Vec::new();
    for (at, (spec, rule)) in specs.iter().zip(&rules).enumerate() {
        for (number, earlier) in rules[..at].iter().enumerate() {
            if earlier.name == rule.name {
                let complaint =
                    Complaint::bad_value(format!("{} is already the name of transforms[{number}]", rule.name));
                faults.push(spec.section.fault("name", complaint.help("give each transform a name of its own")));
            } else if let Some(words) = contradiction(earlier, rule) {
                let complaint = Complaint::bad_value(format!("contradicts transforms[{number}]: {words}"));
                faults.push(spec.section.fault("type", complaint));
            }
        }
    }
    faults
}

fn contradiction(earlier: &Rule, later: &Rule) -> Option<String> {
    let (a, b) = (&earlier.action, &later.action);
    if let (Action::Accept(first), Action::Accept(second)) = (a, b) {
        let is_empty = !first.meet(second) || !may_meet(&earlier.tables, &later.tables);
        return is_empty.then(|| "what one accepts the other does not, so that nothing would pass".to_owned());
    }
    if !surely_meet(&earlier.tables, &later.tables) {
        return None;
    }
    match (a, b) {
        (Action::Rename(_), Action::Rename(_)) => Some("both rename the same table".to_owned()),
        (Action::Route { .. }, Action::Route { .. }) => Some("both route the same table".to_owned()),
        (Action::Mask { .. }, Action::Mask { .. }) => shared(a, b).map(|name| format!("both mask the column {name}")),
        (Action::RenameColumns { .. }, Action::RenameColumns { .. }) => {
            shared(a, b).map(|name| format!("both rename the column {name}"))
        }
        (Action::DropColumns(_), Action::Mask { .. } | Action::RenameColumns { .. })
        | (Action::Mask { .. } | Action::RenameColumns { .. }, Action::DropColumns(_)) => {
            shared(a, b).map(|name| format!("one drops the column {name}"))
        }
        _ => None,
    }
}

/// A column that both name.
fn shared(a: &Action, b: &Action) -> Option<String> {
    let names = columns(b);
    columns(a).into_iter().find(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
}

fn columns(action: &Action) -> Vec<String> {
    match action {
        Action::DropColumns(columns) | Action::Mask { columns, .. } => columns.names.clone(),
        Action::RenameColumns { pairs, .. } => pairs.iter().map(|(from, _)| from.clone()).collect(),
        Action::Accept(_) | Action::Reject(_) | Action::Rename(_) | Action::Route { .. } => Vec::new(),
    }
}

/// Whether some name may be listed in both.
fn may_meet(a: &[String], b: &[String]) -> bool {
    let positive = |list: &[String]| -> Vec<String> {
        let named: Vec<String> = list.iter().filter(|pattern| !pattern.starts_with('!')).cloned().collect();
        if named.is_empty() { vec!["*".to_owned()] } else { named }
    };
    let others = positive(b);
    positive(a).iter().any(|a| others.iter().any(|b| intersect(a.as_bytes(), b.as_bytes())))
}

fn surely_meet(a: &[String], b: &[String]) -> bool {
    let excludes = |list: &[String]| list.iter().any(|pattern| pattern.starts_with('!'));
    !excludes(a) && !excludes(b) && may_meet(a, b)
}

/// Whether a text exists that both globs match: one row of the table of suffixes after the other.
fn intersect(a: &[u8], b: &[u8]) -> bool {
    // `below[j]`: the rest of `a` behind the row in hand and `b[j..]` have a text in common.
    let mut below: Vec<bool> = (0..=b.len()).map(|j| b[j..].iter().all(|byte| *byte == b'*')).collect();
    for byte in a.iter().rev() {
        let mut row = vec![false; b.len() + 1];
        row[b.len()] = *byte == b'*' && below[b.len()];
        for j in (0..b.len()).rev() {
            row[j] = match (byte, b[j]) {
                (b'*', _) => below[j] || row[j + 1],
                (_, b'*') => row[j + 1] || below[j],
                (b'?', _) | (_, b'?') => below[j + 1],
                (one, other) => *one == other && below[j + 1],
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use limpid_config::glob;

    use super::*;

    #[test]
    fn two_globs_meet_where_a_text_is_of_both() {
        let patterns = ["*", "", "a", "a*", "*a", "a?", "?b", "a*b", "*b*", "a.b", "*.b", "a.*", "??", "b*a", "*?*"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = texts.iter().flat_map(|text| ["a", "b", "."].map(|letter| format!("{text}{letter}")));
            let longer: Vec<String> = longer.collect();
            texts.extend(longer);
        }
        for a in patterns {
            for b in patterns {
                let meet = texts.iter().any(|text| glob(a, text) && glob(b, text));
                assert_eq!(intersect(a.as_bytes(), b.as_bytes()), meet, "{a:?} {b:?}");
            }
        }
    }
}

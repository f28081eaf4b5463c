//! A parser of the exposition that shares nothing with the writer.
//!
//! Owns: reading samples of either format, strictly. Does not own: what they should be.

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// The samples of a page, in order.
///
/// # Panics
/// When a line is none of the format's.
pub fn read(page: &str) -> Vec<Sample> {
    assert!(page.ends_with('\n'), "the last line is ended");
    page.split_terminator('\n').filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line:?}"));
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (Vec::new(), rest),
    };
    let value = rest.trim_start().split(' ').next().unwrap();
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().unwrap_or_else(|_| panic!("{number:?} is no number: {line:?}")),
    };
    Sample { name: name.to_owned(), labels, value }
}

/// Labels up to and with the closing brace, and what follows.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").expect("a label has a quoted value");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a label's value is ended") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match chars.next().expect("an escape is whole").1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    c => panic!("no such escape: {c}"),
                }),
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        match after[end..].split_at(1) {
            (",", further) => rest = further,
            ("}", further) => return (labels, further),
            (other, _) => panic!("{other:?} after a label"),
        }
    }
}

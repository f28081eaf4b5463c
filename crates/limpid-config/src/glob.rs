//! Patterns for names, as users write them in lists.
//!
//! Owns: what `*`, `?` and `!` mean. Does not own: what is matched (the sections that take such lists).
//!
//! Invariant: a name is listed when some pattern names it and no pattern with `!` does; a list with exclusions only
//! starts from everything.

/// One glob: `*` is any run of characters, `?` one; everything else stands for itself.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star, mut back) = (0, 0, usize::MAX, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                (star, back) = (p, t);
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ if star != usize::MAX => {
                back += 1;
                (p, t) = (star + 1, back);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a list of patterns names this text.
pub fn listed(patterns: &[String], text: &str) -> bool {
    let mut any_positive = false;
    let mut taken = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negative) if glob(negative, text) => return false,
            Some(_) => {}
            None => {
                any_positive = true;
                taken |= glob(pattern, text);
            }
        }
    }
    taken || !any_positive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_with_many_stars_stays_linear_enough() {
        assert!(!glob(&"*a".repeat(30), &"b".repeat(3000)));
        assert!(glob("a*b*c", "aXXbYYc") && !glob("a*b*c", "aXXbYY"));
    }
}

//! Floating-point numbers as Go prints them.
//!
//! Owns: the layout of the digits. Does not own: the digits (the standard library's shortest ones, which are Go's).
//!
//! Invariant: equal to Go's `strconv.FormatFloat(value, 'g', -1, 64)`, which every Prometheus client in Go uses; what
//! stands in an `le` must match letter by letter.

/// `60`, `0.0005`, `1e+06`, `+Inf`.
pub(crate) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    // Go takes the exponent's form outside of these, whatever the number of digits. Its other threshold, 21, is that
    // of `%v`, which the exposition does not use.
    if (-4..6).contains(&exponent) || value == 0.0 {
        // Display never takes an exponent.
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_of_a_running_gravity_prints_alike() {
        // From strconv's own tests and from a page of a running Gravity.
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (60.0, "60"),
            (0.0005, "0.0005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.1 * 2.0_f64.powi(14), "1638.4"),
            (8388.608, "8388.608"),
            (67108.864, "67108.864"),
            (536_870.912, "536870.912"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (91_176_960.0, "9.117696e+07"),
            (1_795_344_236.5, "1.7953442365e+09"),
            (1e21, "1e+21"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-1_234_567.8, "-1.2345678e+06"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }
}

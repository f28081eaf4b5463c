//! Bounds of histograms.
//!
//! Owns: the series of numbers. Does not own: which metric has which.
//!
//! Invariant: each bound prints exactly as Gravity prints it: they are made by the same multiplications.

/// `N` bounds from `first`, each `factor` times the one before.
const fn exponential<const N: usize>(first: f64, factor: f64) -> [f64; N] {
    let mut bounds = [first; N];
    let mut index = 1;
    while index < N {
        bounds[index] = bounds[index - 1] * factor;
        index += 1;
    }
    bounds
}

/// To 8.192 s.
pub(super) static E15: [f64; 15] = exponential(0.0005, 2.0);
/// To 65.536 s.
pub(super) static E18: [f64; 18] = exponential(0.0005, 2.0);
/// To 131.072 s.
pub(super) static E19: [f64; 19] = exponential(0.0005, 2.0);
/// To 1048.576 s.
pub(super) static E22: [f64; 22] = exponential(0.0005, 2.0);
/// From 0.1 s to 1638.4 s.
pub(super) static LAG: [f64; 15] = exponential(0.1, 2.0);
/// As `E15`, then in steps of 8 to 149 hours.
pub(super) static EVENT_TIME: [f64; 21] = {
    let (fine, coarse): ([f64; 15], [f64; 6]) = (exponential(0.0005, 2.0), exponential(16.384, 8.0));
    let mut bounds = [0.0; 21];
    let mut index = 0;
    while index < 21 {
        bounds[index] = if index < 15 { fine[index] } else { coarse[index - 15] };
        index += 1;
    }
    bounds
};

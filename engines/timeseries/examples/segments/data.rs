//! Plausible columns, from seeds.

use arrow::array::{Float64Array, Int64Array};
use heddle_env::Random;
use heddle_env::random::SeededRandom;

/// A random walk with steps of N(0, 1), clamped to 0..100: a metric of TSBS.
pub struct Walk {
    random: SeededRandom,
    at: f64,
}

impl Walk {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds would give shifted copies of one sequence.
        let random = SeededRandom::new(SeededRandom::new(seed).u64());
        let at = uniform(&random) * 100.0;
        Self { random, at }
    }
}

impl Iterator for Walk {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.at = (self.at + normal(&self.random)).clamp(0.0, 100.0);
        Some(self.at)
    }
}

/// In 0..1.
pub fn uniform(random: &SeededRandom) -> f64 {
    (random.u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// N(0, 1), by Box and Muller.
pub fn normal(random: &SeededRandom) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(random)).cos()
}

/// Truncated to integers.
pub fn ints(values: impl Iterator<Item = f64>, rows: usize) -> Int64Array {
    Int64Array::from_iter_values(values.take(rows).map(|v| v as i64))
}

/// Rounded to decimal digits, as sensors do.
pub fn decimals(values: impl Iterator<Item = f64>, digits: i32, rows: usize) -> Float64Array {
    let scale = 10f64.powi(digits);
    Float64Array::from_iter_values(values.take(rows).map(|v| (v * scale).round() / scale))
}

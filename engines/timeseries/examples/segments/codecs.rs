//! Plausible columns of numbers: bytes and nanoseconds to decode, per value. What Parquet does with them is in the decision record.

use crate::data::{Walk, decimals, ints, normal, uniform};
use arrow::array::{ArrayRef, Float64Array, Int64Array};
use heddle_env::random::SeededRandom;
use std::sync::Arc;

/// Series of a column, one after the other.
const SERIES: u64 = 40;
const ROWS: usize = 8640;

pub fn print() {
    for (name, column) in ints_to_try().iter().chain(&floats_to_try()) {
        crate::packed::try_all(name, column);
    }
}

fn each_series<T>(values: impl FnMut(u64) -> Vec<T>) -> Vec<T> {
    (0..SERIES).flat_map(values).collect()
}

fn ints_to_try() -> Vec<(&'static str, ArrayRef)> {
    let walk = each_series(|seed| ints(Walk::new(seed), ROWS).values().to_vec());
    let counter = each_series(|seed| {
        let random = SeededRandom::new(seed);
        (0..ROWS as i64)
            .scan(0, |at, _| {
                *at += random.below(1500) as i64;
                Some(*at)
            })
            .collect()
    });
    let status = each_series(|seed| {
        let random = SeededRandom::new(seed);
        (0..ROWS).map(|_| [200, 200, 200, 200, 200, 200, 304, 404, 500][random.below(9) as usize]).collect()
    });
    let constant = each_series(|seed| vec![seed as i64 * 1000; ROWS]);
    let all = [
        ("int8, walk 0..100", walk),
        ("int8, counter", counter),
        ("int8, status code", status),
        ("int8, constant", constant),
    ];
    all.into_iter().map(|(name, values)| (name, Arc::new(Int64Array::from(values)) as _)).collect()
}

fn floats_to_try() -> Vec<(&'static str, ArrayRef)> {
    let rounded = |values: &mut dyn Iterator<Item = f64>, digits| decimals(values, digits, ROWS).values().to_vec();
    let walk = |digits: i32, scale: f64| each_series(|seed| rounded(&mut Walk::new(seed).map(|v| v * scale), digits));
    let noise = each_series(|seed| {
        let random = SeededRandom::new(seed);
        rounded(&mut std::iter::repeat_with(|| 20.0 + normal(&random)), 1)
    });
    let location = each_series(|seed| {
        let random = SeededRandom::new(seed);
        let mut at = 52.0 + uniform(&random);
        let step = || {
            at += normal(&random) * 1e-5;
            at
        };
        rounded(&mut std::iter::repeat_with(step), 6)
    });
    let all = [
        ("float8, walk, 1 digit", walk(1, 1.0)),
        ("float8, slow walk, 1 digit", walk(1, 0.1)),
        ("float8, walk, 2 digits", walk(2, 1.0)),
        ("float8, walk, 3 digits", walk(3, 10.0)),
        ("float8, walk, all digits", walk(15, 1.0)),
        ("float8, whole numbers", walk(0, 1.0)),
        ("float8, noise, 1 digit", noise),
        ("float8, location, 6 digits", location),
    ];
    all.into_iter().map(|(name, values)| (name, Arc::new(Float64Array::from(values)) as _)).collect()
}

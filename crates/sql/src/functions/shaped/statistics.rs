//! Probabilities. Trino documentation, "Mathematical functions and operators", "Probability functions" and "Statistical functions".

use std::f64::consts::{PI, SQRT_2};

use datafusion::common::Result;

use super::call::{Overload, Row, bad, of};

/// Steps of Halley's method that are enough for all digits of a double.
const STEPS: usize = 4;

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    vec![
        of("normal_cdf(double, double, double) -> double", |call| {
            call.doubles(|row| {
                let (mean, deviation, value) = (row.double(0), deviation(row.double(1))?, row.double(2));
                Ok(Some(0.5 * (1.0 + libm::erf((value - mean) / (deviation * SQRT_2)))))
            })
        }),
        of("inverse_normal_cdf(double, double, double) -> double", |call| {
            call.doubles(|row| {
                let (mean, share) = (row.double(0), row.double(2));
                if !(share > 0.0 && share < 1.0) {
                    return Err(bad("p must be 0 > p > 1"));
                }
                Ok(Some(mean + deviation(row.double(1))? * quantile(share)))
            })
        }),
        of("wilson_interval_lower(bigint, bigint, double) -> double", |call| {
            call.doubles(|row| wilson(row, -1.0).map(Some))
        }),
        of("wilson_interval_upper(bigint, bigint, double) -> double", |call| {
            call.doubles(|row| wilson(row, 1.0).map(Some))
        }),
    ]
}

fn deviation(value: f64) -> Result<f64> {
    if value > 0.0 { Ok(value) } else { Err(bad("standardDeviation must be > 0")) }
}

/// Below which value a share of the standard normal distribution lies.
fn quantile(share: f64) -> f64 {
    // A first guess (Abramowitz and Stegun, 26.2.23), good to three digits.
    if share == 0.5 {
        return 0.0;
    }
    let tail = share.min(1.0 - share);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    // In the lower tail, where the share keeps its digits.
    let mut guess = -(t - above / below);
    for _ in 0..STEPS {
        let density = (-guess * guess / 2.0).exp() / (2.0 * PI).sqrt();
        if density == 0.0 {
            break;
        }
        let error = (0.5 * libm::erfc(-guess / SQRT_2) - tail) / density;
        guess -= error / (1.0 + guess * error / 2.0);
    }
    if share > 0.5 { -guess } else { guess }
}

/// An end of the Wilson score interval of a share of successes.
fn wilson(row: Row<'_>, side: f64) -> Result<f64> {
    let (successes, trials, z) = (row.int(0), row.int(1), row.double(2));
    if trials <= 0 {
        return Err(bad("number of trials must be positive"));
    }
    if successes < 0 {
        return Err(bad("number of successes must not be negative"));
    }
    if successes > trials {
        return Err(bad("number of successes must not be larger than number of trials"));
    }
    if z.is_nan() || z < 0.0 {
        return Err(bad("z-score must not be negative"));
    }
    let (count, share) = (trials as f64, successes as f64 / trials as f64);
    let middle = share + z * z / (2.0 * count);
    let spread = z * (share * (1.0 - share) / count + z * z / (4.0 * count * count)).sqrt();
    Ok((middle + side * spread) / (1.0 + z * z / count))
}

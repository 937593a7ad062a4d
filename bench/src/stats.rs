//! Percentiles and medians.

use std::time::Duration;

/// The sorted latencies of one run.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Takes latencies in any order.
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// The latency that a share (0 to 1) of the requests did not exceed; zero without requests.
    pub fn at(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        self.0.get(index.min(last)).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// The middle value; of an even number of values the mean of the two in the middle. NaN without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, want) in [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5), (vec![7.0], 7.0)] {
            assert_eq!(median(values), want);
        }
        assert!(median([]).is_nan());
    }

    #[test]
    fn percentiles() {
        let all = Latencies::new((0..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(all.at(0.5), Duration::from_millis(50));
        assert_eq!(all.at(0.99), Duration::from_millis(99));
        assert_eq!(all.max(), Duration::from_millis(100));
        assert_eq!(Latencies::new(vec![]).at(0.99), Duration::ZERO);
    }
}

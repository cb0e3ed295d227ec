//! A histogram of durations that takes the same little room however many it counts; exact to 1/32.

use std::time::Duration;

/// Buckets for each doubling.
const FINENESS: usize = 32;
const FINENESS_BITS: u32 = FINENESS.trailing_zeros();

/// Durations counted by their nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * FINENESS], count: 0, max: 0 }
    }
}

fn bucket(nanos: u64) -> usize {
    let doubling = (u64::BITS - nanos.leading_zeros()).saturating_sub(FINENESS_BITS + 1);
    let fine = (nanos >> doubling) as usize;
    doubling as usize * FINENESS + fine
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 2 * FINENESS {
        return bucket as u64;
    }
    let doubling = bucket / FINENESS - 1;
    let fine = (bucket - doubling * FINENESS) as u64;
    ((fine + 1) << doubling) - 1
}

impl Histogram {
    pub(crate) fn record(&mut self, nanos: u64) {
        // Beyond a minute nothing is told apart: such a packet is as good as lost.
        let nanos = nanos.min(60_000_000_000);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The duration that the share `quantile` of all stays within.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let rank = (self.count as f64 * quantile).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(upper(bucket).min(self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for nanos in (0..100_000).chain((20..60).map(|bit| (1 << bit) - 1)).chain((20..60).map(|bit| 1 << bit)) {
            let bucket = bucket(nanos);
            assert!(upper(bucket) >= nanos && (bucket == 0 || upper(bucket - 1) < nanos), "{nanos}");
            assert!(upper(bucket) as f64 <= nanos as f64 * (1.0 + 1.0 / FINENESS as f64), "{nanos}");
        }
    }

    #[test]
    fn quantiles_of_a_known_spread() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (1..=500).for_each(|micros| low.record(micros * 1_000));
        (501..=1_000).for_each(|micros| high.record(micros * 1_000));
        low.merge(&high);
        for (quantile, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let got = low.quantile(quantile).as_secs_f64() * 1e6;
            assert!((got / micros - 1.0).abs() < 0.04, "{quantile}: {got}");
        }
        assert_eq!(low.max(), Duration::from_millis(1));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}

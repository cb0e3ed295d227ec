//! A bad network: bursty loss (Gilbert 1960, Elliott 1963) and jitter, the same for the same seed.

/// What a network does to packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// Share of packets that are lost, 0 to 1.
    pub(crate) loss: f64,
    /// How many packets are lost in a row, in the mean.
    pub(crate) burst: f64,
    /// Each packet is late by up to this, evenly spread, microseconds; so packets overtake each other.
    pub(crate) jitter_us: u64,
    /// Of its randomness.
    pub(crate) seed: u64,
}

impl Network {
    /// When each of `count` packets, sent every 20 ms, arrives: microseconds and number, in order of arrival.
    pub(crate) fn deliver(&self, count: usize) -> Vec<(u64, usize)> {
        let mut random = Random(self.seed | 1);
        let recover = 1.0 / self.burst;
        let fail = self.loss * recover / (1.0 - self.loss);
        let mut losing = false;
        let mut arrivals = Vec::new();
        for number in 0..count {
            losing = if losing { random.next() >= recover } else { random.next() < fail };
            let late = (random.next() * self.jitter_us as f64) as u64;
            if !losing {
                arrivals.push((number as u64 * 20_000 + late, number));
            }
        }
        arrivals.sort_unstable();
        arrivals
    }
}

/// xorshift* (Vigna 2016).
struct Random(u64);

impl Random {
    /// Within 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

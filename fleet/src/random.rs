//! Random numbers that a seed decides: splitmix64, and the normal distribution by Marsaglia's polar method.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// The polar method makes two numbers at a time.
    spare: Option<f64>,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, spare: None }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`; n must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no division, and a bias below n / 2^64.
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// In `[0, 1)`, all 53 bits of it.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Is true `share` of the time.
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Mean 0, standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * s.ln() / s).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream() {
        let (mut a, mut b, mut c) = (Random::new(7), Random::new(7), Random::new(8));
        let same: Vec<u64> = (0..5).map(|_| a.bits()).collect();
        assert_eq!(same, (0..5).map(|_| b.bits()).collect::<Vec<_>>());
        assert_ne!(same, (0..5).map(|_| c.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn normal_has_mean_0_and_deviation_1() {
        let mut random = Random::new(1);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn below_reaches_every_value() {
        let mut random = Random::new(3);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[random.below(10) as usize] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }
}

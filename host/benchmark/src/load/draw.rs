//! Which test and which of its requests comes next: drawn by weight, the same in every run.

use super::Aimed;

/// Numbers that look random (SplitMix64). Nothing is kept secret by them.
pub(super) struct Draw(u64);

impl Draw {
    /// The same seed gives the same numbers.
    pub(super) fn new(seed: u64) -> Self {
        let mut draw = Self(seed);
        draw.next();
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a product: no bias that anybody could measure.
        u32::try_from(((self.next() >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
    }
}

/// For each of 100 draws, the test that it gives.
pub(super) fn table(tests: &[Aimed]) -> Vec<usize> {
    tests.iter().enumerate().flat_map(|(index, test)| std::iter::repeat_n(index, usize::try_from(test.weight).unwrap_or(0))).collect()
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn draws_are_even_and_the_same_for_a_seed() {
        let (mut draw, mut counts) = (Draw::new(7), [0_u32; 10]);
        for _ in 0..100_000 {
            counts[usize::try_from(draw.below(10)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let numbers = |seed| {
            let mut draw = Draw::new(seed);
            [draw.below(1 << 30), draw.below(1 << 30)]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_eq!(Draw::new(1).below(1), 0);
    }
}

//! Chance that a number repeats.

use std::time::{SystemTime, UNIX_EPOCH};

/// A source of numbers: `splitmix64`.
pub struct Chance(u64);

/// A number that nobody chose.
pub fn any() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::from(now.expect("a clock").subsec_nanos())
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number, both ends included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub fn is_heads(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    /// The same things in another order.
    pub fn shuffled<T, const N: usize>(&mut self, mut things: [T; N]) -> [T; N] {
        for at in (1..N).rev() {
            let other = self.between(0, at as u64);
            things.swap(at, usize::try_from(other).expect("a place"));
        }
        things
    }
}

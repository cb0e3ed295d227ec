//! An invocation's random numbers: ChaCha20 (RFC 8439), keyed by the invocation's seed, one stream for each of the interfaces that give
//! them. So a replay draws the same numbers. The seed stands in the invocation's trace: **whoever may read that record can recompute every
//! number that the invocation drew**, also those of `wasi:random/random`. A function that makes a lasting secret has to know this.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What draws for one invocation.
pub(crate) struct Chance {
    /// For `wasi:random/random`.
    pub(crate) secure: ChaCha20Rng,
    /// For `wasi:random/insecure`.
    pub(crate) insecure: ChaCha20Rng,
    /// For `wasi:random/insecure-seed`.
    pub(crate) insecure_seed: u128,
}

impl Chance {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut of_seeds = stream(seed, 2);
        let insecure_seed = u128::from(of_seeds.next_u64()) << 64 | u128::from(of_seeds.next_u64());
        Self { secure: stream(seed, 0), insecure: stream(seed, 1), insecure_seed }
    }
}

fn stream(seed: [u8; 32], number: u64) -> ChaCha20Rng {
    let mut numbers = ChaCha20Rng::from_seed(seed);
    numbers.set_stream(number);
    numbers
}

/// A seed as 64 hexadecimal digits.
pub(crate) fn hexadecimal(seed: [u8; 32]) -> String {
    use std::fmt::Write as _;
    seed.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The seed behind 64 hexadecimal digits.
pub(crate) fn seed(hexadecimal: &str) -> Option<[u8; 32]> {
    let digits = hexadecimal.as_bytes();
    let mut seed = [0; 32];
    if digits.len() != 2 * seed.len() {
        return None;
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_each_interface_its_own() {
        let drawn = |seed| {
            let mut chance = Chance::new(seed);
            (chance.secure.next_u64(), chance.insecure.next_u64(), chance.insecure_seed)
        };
        assert_eq!(drawn([7; 32]), drawn([7; 32]));
        assert_ne!(drawn([7; 32]), drawn([8; 32]));
        let (secure, insecure, seed) = drawn([7; 32]);
        assert_ne!(secure, insecure);
        assert_ne!(u128::from(secure), seed >> 64);
    }

    #[test]
    fn the_first_stream_is_the_rfcs_key_stream() {
        // RFC 8439, A.1, test vector 1: key and nonce of zeroes.
        assert_eq!(Chance::new([0; 32]).secure.next_u32(), u32::from_le_bytes([0x76, 0xb8, 0xe0, 0xad]));
    }

    #[test]
    fn seeds_survive_being_written_down() {
        let written = hexadecimal(std::array::from_fn(|at| (at * 8) as u8));
        assert_eq!(written.len(), 64);
        assert_eq!(seed(&written).map(hexadecimal), Some(written));
        for nonsense in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(seed(nonsense), None, "{nonsense}");
        }
    }
}

//! Nonces that carry their own proof: when they were made, a salt, and a signature of both. So a challenge costs no memory, and a flood
//! of requests without credentials fills no table.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tandem_switch::time::UnixMillis;

use crate::limits;

/// Bytes of a signature that a nonce carries: nobody guesses 128 bits in its life.
const SIGNATURE_BYTES: usize = 16;

/// A nonce that we made: ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nonce {
    pub made: UnixMillis,
    salt: u64,
}

/// What a nonce turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Fresh(Nonce),
    Stale,
    /// It is not ours, or somebody changed it.
    Foreign,
}

/// Makes and knows nonces. The key is random, at least 32 bytes, and shared by the nodes that shall know each other's.
#[derive(Clone)]
pub struct Nonces {
    mac: Hmac<Sha256>,
}

/// Never the key.
impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    /// Those of this key.
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC takes keys of any length.
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
        Self { mac }
    }

    /// A nonce; `salt` is random.
    pub fn make(&self, now: UnixMillis, salt: u64) -> String {
        let mut bytes = Vec::with_capacity(16 + SIGNATURE_BYTES);
        bytes.extend_from_slice(&now.0.to_be_bytes());
        bytes.extend_from_slice(&salt.to_be_bytes());
        let signature = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn age(&self, now: UnixMillis, nonce: &str) -> Age {
        let Some(bytes) = URL_SAFE_NO_PAD.decode(nonce).ok().filter(|bytes| bytes.len() == 16 + SIGNATURE_BYTES) else {
            return Age::Foreign;
        };
        let (content, signature) = bytes.split_at(16);
        if self.mac.clone().chain_update(content).verify_truncated_left(signature).is_err() {
            return Age::Foreign;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let nonce = Nonce { made: UnixMillis(number(&content[..8])), salt: number(&content[8..]) };
        let life = u64::try_from(limits::NONCE_LIFE.as_millis()).unwrap_or(u64::MAX);
        if now.0.saturating_sub(nonce.made.0) > life { Age::Stale } else { Age::Fresh(nonce) }
    }
}

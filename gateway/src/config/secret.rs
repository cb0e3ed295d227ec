//! A secret that cannot be printed by accident.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Shortest HS256 secret, bytes: RFC 7518 section 3.2 wants a key of at least the hash's size.
pub const HS256_SECRET_BYTES_MIN: usize = 32;

/// What is written in a secret's place.
pub(crate) const MASK: &str = "***";

/// A secret. Debug and serialisation write `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

//! Tokens, good and bad.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
pub use tandem_switch::token::Claims;
use tandem_switch::token::Grant;

/// The tenant of the tests.
pub const TENANT: &str = "acme";

/// Its secret.
pub const SECRET: &str = "a secret of the tests, of more than 32 bytes";

/// Another tenant on the same gateway.
pub const OTHER_TENANT: &str = "globex";

/// Its secret.
pub const OTHER_SECRET: &str = "another secret of the tests, also long enough";

/// Claims of a good token for a user of [`TENANT`].
pub fn claims(user: &str) -> Claims {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    Claims {
        iss: TENANT.to_owned(),
        sub: user.to_owned(),
        iat: now,
        exp: now + 3600,
        nbf: None,
        name: None,
        grants: Grant::ALL.to_vec(),
    }
}

/// Signs claims.
pub fn sign(claims: &Claims, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).expect("claims are JSON")
}

/// A good token for a user of [`TENANT`].
pub fn good(user: &str) -> String {
    sign(&claims(user), SECRET)
}

//! Which tokens are good: the rules for the claims of a JWT (RFC 7519), once its signature has been checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{TenantId, UserId};
use crate::time::UnixMillis;

/// How far clocks may differ, seconds. RFC 7519 section 4.1.4 allows "usually no more than a few minutes".
pub const LEEWAY_SECONDS: u64 = 30;

/// Longest life of a token, seconds: a stolen one is of use for a day at most.
pub const LIFETIME_SECONDS_MAX: u64 = 24 * 60 * 60;

/// What a token claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The tenant (`iss`): whose key signed.
    pub iss: String,
    /// The user.
    pub sub: String,
    /// Issued at, Unix seconds.
    pub iat: u64,
    /// Expires at, Unix seconds.
    pub exp: u64,
    /// Not before, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the user may do.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Make calls.
    Call,
    /// Take calls: the user is reachable while the session stands.
    Answer,
    /// See who is reachable.
    Presence,
    /// Start and stop recordings.
    Record,
    /// Hear the messages in the user's own mailboxes.
    Messages,
}

impl Grant {
    /// What an ordinary user's token grants.
    pub const ALL: [Self; 4] = [Self::Call, Self::Answer, Self::Presence, Self::Messages];
}

/// Who somebody is, as their token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose user.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// The name to show.
    pub name: Option<String>,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// When the token expires, as clients are told.
    pub expires_at: UnixMillis,
    /// How long it is good from its check on, the clocks' leeway included. Measured once, by the clock that the token was found good
    /// with: a wall clock that is set right later ends no session early, and lets none live on.
    pub good_for: Duration,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has expired.
    #[error("the token expired {0} s ago; get a new one")]
    Expired(u64),
    /// It is not good yet.
    #[error("the token is good in {0} s only; check the clocks")]
    NotYet(u64),
    /// It lives too long.
    #[error("a token may live {LIFETIME_SECONDS_MAX} s at most; this one lives {0} s")]
    LivesTooLong(u64),
    /// A name in it is not one.
    #[error("the token's {0}")]
    BadName(#[from] crate::id::BadName),
    /// It was signed with another tenant's key.
    #[error("the token names another tenant than the one whose key signed it")]
    ForeignTenant,
    /// The signature or the form is wrong (found out by the shell).
    #[error("the token's signature or form is wrong: {0}")]
    BadSignature(String),
}

impl Claims {
    /// Applies every rule; `signer` is the tenant whose key the signature was checked with.
    ///
    /// # Errors
    /// Says which rule was broken.
    pub fn check(self, signer: &TenantId, now: UnixMillis) -> Result<Identity, TokenError> {
        let now_seconds = now.0 / 1000;
        // Once found good it is good for a moment at least: nobody is welcomed and sent away at once.
        let last_moment = self.exp.saturating_add(LEEWAY_SECONDS + 1).saturating_mul(1000);
        if now.0 >= last_moment {
            return Err(TokenError::Expired(now_seconds.saturating_sub(self.exp)));
        }
        let good_for = Duration::from_millis(last_moment - now.0);
        let not_before = self.nbf.unwrap_or(self.iat).max(self.iat);
        if not_before > now_seconds.saturating_add(LEEWAY_SECONDS) {
            return Err(TokenError::NotYet(not_before - now_seconds));
        }
        let lifetime = self.exp.saturating_sub(self.iat);
        if lifetime > LIFETIME_SECONDS_MAX {
            return Err(TokenError::LivesTooLong(lifetime));
        }
        let tenant = TenantId::new(&self.iss)?;
        if tenant != *signer {
            return Err(TokenError::ForeignTenant);
        }
        let user = UserId::new(&self.sub)?;
        let expires_at = UnixMillis(self.exp.saturating_mul(1000));
        Ok(Identity { tenant, user, name: self.name, grants: self.grants, expires_at, good_for })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims() -> Claims {
        let grants = Grant::ALL.to_vec();
        Claims { iss: "acme".into(), sub: "alice".into(), iat: NOW, exp: NOW + 3600, nbf: None, name: None, grants }
    }

    fn check(claims: Claims) -> Result<Identity, TokenError> {
        claims.check(&TenantId::new("acme").unwrap(), UnixMillis(NOW * 1000))
    }

    #[test]
    fn a_good_token_gives_an_identity() {
        let identity = check(claims()).unwrap();
        assert_eq!((identity.tenant.as_str(), identity.user.as_str()), ("acme", "alice"));
        assert_eq!(identity.expires_at, UnixMillis((NOW + 3600) * 1000));
    }

    #[test]
    fn each_rule_refuses() {
        let table = [
            (Claims { exp: NOW - 31, iat: NOW - 60, ..claims() }, TokenError::Expired(31)),
            (Claims { nbf: Some(NOW + 31), ..claims() }, TokenError::NotYet(31)),
            (Claims { iat: NOW + 60, ..claims() }, TokenError::NotYet(60)),
            (Claims { exp: NOW + 86_401, ..claims() }, TokenError::LivesTooLong(86_401)),
            (Claims { iss: "evil".into(), ..claims() }, TokenError::ForeignTenant),
        ];
        for (claims, error) in table {
            assert_eq!(check(claims), Err(error));
        }
        assert!(matches!(check(Claims { sub: "Not A Name".into(), ..claims() }), Err(TokenError::BadName(_))));
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert!(check(Claims { exp: NOW - 30, iat: NOW - 60, ..claims() }).is_ok());
        assert!(check(Claims { iat: NOW + 30, ..claims() }).is_ok());
    }

    #[test]
    fn how_long_a_token_is_good_is_counted_from_its_check() {
        let at = |millis| claims().check(&TenantId::new("acme").unwrap(), UnixMillis(millis));
        let whole = Duration::from_secs(3600 + LEEWAY_SECONDS + 1);
        assert_eq!(at(NOW * 1000).unwrap().good_for, whole);
        assert_eq!(at(NOW * 1000 + 1500).unwrap().good_for, whole - Duration::from_millis(1500));
        let end = (NOW + 3600 + LEEWAY_SECONDS + 1) * 1000;
        assert_eq!(at(end - 1).unwrap().good_for, Duration::from_millis(1));
        assert_eq!(at(end), Err(TokenError::Expired(LEEWAY_SECONDS + 1)));
    }
}

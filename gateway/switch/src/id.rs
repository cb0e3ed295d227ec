//! Names and numbers of things, one type each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;

/// A name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{kind}` must be 1 to {max} characters of a-z, 0-9, `.`, `_`, `-`, `+`, `@`, not beginning with `.`; got {got:?}"
)]
pub struct BadName {
    kind: &'static str,
    max: usize,
    got: String,
}

fn check_name(kind: &'static str, name: &str) -> Result<(), BadName> {
    let max = limits::NAME_BYTES_MAX;
    let fits = !name.is_empty() && name.len() <= max && !name.starts_with('.');
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-+@".contains(&byte);
    if fits && name.bytes().all(legal) {
        return Ok(());
    }
    Err(BadName { kind, max, got: name.chars().take(max).collect() })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(#[schemars(with = "String")] std::sync::Arc<str>);

        impl $type {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// When it is empty, too long, or has a character outside the set.
            pub fn new(name: &str) -> Result<Self, BadName> {
                check_name($kind, name)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(name: String) -> Result<Self, BadName> {
                Self::new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A tenant's name.
    TenantId,
    "tenant"
);
name!(
    /// A user's name within a tenant.
    UserId,
    "user"
);
name!(
    /// A function's name within a tenant.
    FunctionId,
    "function"
);
name!(
    /// A prompt's name within a tenant.
    PromptId,
    "prompt"
);
name!(
    /// A mailbox's name within a tenant. A user's own has the user's name.
    MailboxId,
    "mailbox"
);

/// A user's own mailbox.
impl From<&UserId> for MailboxId {
    fn from(user: &UserId) -> Self {
        // Both names have the same rules.
        Self(std::sync::Arc::clone(&user.0))
    }
}
name!(
    /// A queue's name within a tenant.
    QueueId,
    "queue"
);
name!(
    /// A room's or channel's name within a tenant.
    RoomName,
    "room"
);

/// A call, for its whole life and in its record: 26 lower-case characters that carry 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(#[schemars(with = "String")] pub u128);

/// A client's session, for as long as it lives or may be resumed. Written as [`CallId`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(#[schemars(with = "String")] pub u128);

/// A recording, for as long as it is kept, of whatever call or none. Written as [`CallId`] is. While its call runs, the call names it
/// [`audio::RecordingId`](crate::audio::RecordingId).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(#[schemars(with = "String")] pub u128);

/// A message in a mailbox. Written as [`CallId`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(#[schemars(with = "String")] pub u128);

/// Crockford's base 32, lower case: no letter that can be taken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_CHARS: usize = 26;

fn write_id(id: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for position in (0..ID_CHARS).rev() {
        let digit = (id >> (5 * position)) as usize & 31;
        write!(f, "{}", char::from(ALPHABET[digit]))?;
    }
    Ok(())
}

/// An identifier that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an identifier has {ID_CHARS} characters of 0-9 and a-z without i, l, o, u")]
pub struct BadId;

fn read_id(text: &str) -> Result<u128, BadId> {
    if text.len() != ID_CHARS {
        return Err(BadId);
    }
    text.bytes().try_fold(0u128, |id, byte| {
        let digit = ALPHABET.iter().position(|&letter| letter == byte).ok_or(BadId)?;
        let shifted = id.checked_mul(32).ok_or(BadId)?;
        Ok(shifted | digit as u128)
    })
}

macro_rules! random_id {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(self.0, f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                read_id(&text).map(Self)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.to_string()
            }
        }
    };
}

random_id!(CallId);
random_id!(SessionId);
random_id!(RecordingId);
random_id!(MessageId);

/// One transport connection to a client, as the shell numbers them. A session outlives its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A room as the media shards know it; the exchange never uses its number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub u64);

/// A flow of RTP packets on a link: the flow identifier of RTP over QUIC (draft-ietf-avtcore-rtp-over-quic, section 5.1).
///
/// The gateway allots each direction of a call one identifier that both ends use: the talker sends under it and the
/// listener receives under it, so that a forwarded datagram needs no rewriting. Unique on a node while the call lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FlowId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_survive_being_written_and_read() {
        for id in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            assert_eq!(CallId::try_from(CallId(id).to_string()), Ok(CallId(id)));
        }
    }

    #[test]
    fn text_that_is_no_identifier_is_refused() {
        for text in ["", "0", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000l", "00000000000000000000000000 "]
        {
            assert_eq!(CallId::try_from(text.to_owned()), Err(BadId), "{text:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!(UserId::new("alice").is_ok());
        assert!(UserId::new("+4930123456").is_ok());
        for name in ["", "Alice", "a b", "../x", &"a".repeat(limits::NAME_BYTES_MAX + 1)] {
            assert!(UserId::new(name).is_err(), "{name:?}");
        }
    }
}

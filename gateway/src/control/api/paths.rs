//! What stands in paths and queries, parsed into what it means. What does not parse is a bad request that names the rule.

use serde::Deserialize;
use tandem_switch::id::{CallId, FunctionId, MailboxId, MessageId, PromptId, QueueId, RecordingId, TenantId, UserId};
use utoipa::IntoParams;

use super::problem::{Kind, Problem};
use crate::tenants::model::VersionNumber;

/// Most items of one page. More: refused, so that nobody believes to have seen all.
pub const PAGE_ITEMS_MAX: usize = 200;

/// Items of a page when nothing is said.
const PAGE_ITEMS: usize = 50;

/// Most bytes of a key's, token's or variable's name, or of a store's label.
const NAME_BYTES_MAX: usize = 128;

/// Most bytes of a dialled pattern.
const PATTERN_BYTES_MAX: usize = tandem_switch::limits::ADDRESS_BYTES_MAX + 1;

/// Most bytes of a key in a key-value store.
const KV_KEY_BYTES_MAX: usize = 1024;

/// Text of 1 to `MAX` bytes without control characters. What it names is checked by whoever keeps such names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let got = text.len();
        if text.is_empty() || got > MAX {
            return Err(format!("a name in a path has 1 to {MAX} bytes; got {got}"));
        }
        if text.chars().any(char::is_control) {
            return Err("a name in a path has no control characters".into());
        }
        Ok(Self(text))
    }
}

/// The SHA-256 of a component in a path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DigestText(String);

impl DigestText {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DigestText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(hexadecimal) {
            return Ok(Self(text));
        }
        Err("a digest is the SHA-256 of the component in 64 lower-case hexadecimal digits".into())
    }
}

/// How many items a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Limit(usize);

impl TryFrom<u64> for Limit {
    type Error = String;

    fn try_from(limit: u64) -> Result<Self, String> {
        let fits = usize::try_from(limit).ok().filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
        fits.map(Self).ok_or_else(|| format!("a limit is 1 to {PAGE_ITEMS_MAX}; got {limit}"))
    }
}

impl Limit {
    /// The limit, or the usual one.
    pub(super) fn or_usual(limit: Option<Self>) -> usize {
        limit.map_or(PAGE_ITEMS, |limit| limit.0)
    }
}

/// Reads a cursor that is a number.
pub(super) fn number<T: std::str::FromStr>(cursor: &str) -> Result<T, Problem> {
    let right = "cursor: take it from `next` of the page before, or leave it out";
    cursor.parse().map_err(|_| Problem::new(Kind::BadRequest, right).in_field("cursor"))
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// At most this many items.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<Limit>,
    /// `next` of the page before.
    pub(super) cursor: Option<String>,
}

impl PageQuery {
    pub(super) fn limit(&self) -> usize {
        Limit::or_usual(self.limit)
    }
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, IntoParams)]
        #[into_params(parameter_in = Path)]
        pub(super) struct $name {
            /// The tenant's name.
            #[param(value_type = String, example = "acme")]
            pub(super) tenant: TenantId,
            $($(#[$field_doc])* pub(super) $field: $type,)*
        }
    )*};
}

paths! {
    /// `/v1/tenants/{tenant}…`
    OfTenant {}
    /// `…/keys/{key}`
    OfKey {
        /// The key's name.
        #[param(value_type = String, example = "2026-11")]
        key: Text<NAME_BYTES_MAX>,
    }
    /// `…/users/{user}`
    OfUser {
        /// The user's name.
        #[param(value_type = String, example = "alice")]
        user: UserId,
    }
    /// `…/tokens/{token}`
    OfToken {
        /// The token's identifier.
        #[param(value_type = String)]
        token: Text<NAME_BYTES_MAX>,
    }
    /// `…/components/{digest}`
    OfComponent {
        /// The SHA-256 of the component in 64 lower-case hexadecimal digits.
        #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
        digest: DigestText,
    }
    /// `…/functions/{function}…`
    OfFunction {
        /// The function's name.
        #[param(value_type = String, example = "front-desk")]
        function: FunctionId,
    }
    /// `…/functions/{function}/versions/{version}`
    OfVersion {
        /// The function's name.
        #[param(value_type = String, example = "front-desk")]
        function: FunctionId,
        /// The version's number.
        #[param(example = 3)]
        version: VersionNumber,
    }
    /// `…/bindings/{pattern}`
    OfBinding {
        /// The pattern, percent-encoded.
        #[param(value_type = String, example = "+4930*")]
        pattern: Text<PATTERN_BYTES_MAX>,
    }
    /// `…/variables/{variable}`
    OfVariable {
        /// The variable's name.
        #[param(value_type = String, example = "desk")]
        variable: Text<NAME_BYTES_MAX>,
    }
    /// `…/kv/{store}`
    OfStore {
        /// The store's label.
        #[param(value_type = String, example = "default")]
        store: Text<NAME_BYTES_MAX>,
    }
    /// `…/kv/{store}/{key}`
    OfKvKey {
        /// The store's label.
        #[param(value_type = String, example = "default")]
        store: Text<NAME_BYTES_MAX>,
        /// The key, percent-encoded (a `/` in it as `%2F`).
        #[param(value_type = String, example = "greeting")]
        key: Text<KV_KEY_BYTES_MAX>,
    }
    /// `…/calls/{call}/…`
    OfCall {
        /// The call's identifier.
        #[param(value_type = String, example = "0000000000000000000000001a")]
        call: CallId,
    }
    /// `…/queues/{queue}…`
    OfQueue {
        /// The queue's name.
        #[param(value_type = String, example = "help")]
        queue: QueueId,
    }
    /// `…/invocations/{invocation}`
    OfInvocation {
        /// The invocation's number.
        #[param(example = 42)]
        invocation: u64,
    }
    /// `…/prompts/{prompt}`
    OfPrompt {
        /// The prompt's name.
        #[param(value_type = String, example = "welcome")]
        prompt: PromptId,
    }
    /// `…/recordings/{recording}…`
    OfRecording {
        /// The recording's identifier.
        #[param(value_type = String, example = "0123456789abcdefghjkmnpqrs")]
        recording: RecordingId,
    }
    /// `…/recordings/{recording}/tracks/{track}`
    OfTrack {
        /// The recording's identifier.
        #[param(value_type = String, example = "0123456789abcdefghjkmnpqrs")]
        recording: RecordingId,
        /// The track's number, from 0.
        #[param(example = 0)]
        track: u32,
    }
    /// `…/mailboxes/{mailbox}…`
    OfMailbox {
        /// The mailbox's name.
        #[param(value_type = String, example = "alice")]
        mailbox: MailboxId,
    }
    /// `…/mailboxes/{mailbox}/messages/{message}…`
    OfMessage {
        /// The mailbox's name.
        #[param(value_type = String, example = "alice")]
        mailbox: MailboxId,
        /// The message's identifier.
        #[param(value_type = String, example = "0123456789abcdefghjkmnpqrs")]
        message: MessageId,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_bounded_and_printable() {
        for good in ["a", "..", "a/b", "ä", &"a".repeat(8)] {
            assert!(Text::<8>::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", "a\0", "a\n", &"a".repeat(9)] {
            assert!(Text::<8>::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_digest_is_64_lower_case_hexadecimal_digits() {
        assert!(DigestText::try_from("0a".repeat(32)).is_ok());
        for bad in ["0A".repeat(32), "0a".repeat(31), "0g".repeat(32), "../".repeat(21) + "a"] {
            assert!(DigestText::try_from(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_has_1_to_200_items() {
        for (limit, fits) in [(0, false), (1, true), (200, true), (201, false), (u64::MAX, false)] {
            assert_eq!(Limit::try_from(limit).is_ok(), fits, "{limit}");
        }
    }
}

//! What users ask of their mailboxes over signalling, and what they are told. The exchange says who asks; the shell, which holds the
//! messages, answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{MailboxId, MessageId, SessionId, TenantId, UserId};
use crate::time::UnixMillis;

/// A user's question, with who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who is told the answer.
    pub session: SessionId,
    /// Whose user.
    pub tenant: TenantId,
    /// Who asks.
    pub user: UserId,
    /// To be given back.
    pub reference: String,
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// What.
    pub request: MailboxRequest,
}

/// What a user asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum MailboxRequest {
    /// The messages of a mailbox, the newest first, a page of them. Answered by `messages`.
    List {
        /// Of the last `messages`, to go on after it.
        #[serde(default)]
        cursor: Option<String>,
    },
    /// Marks a message as heard or not. Answered by `message`.
    Mark {
        /// Which.
        message: MessageId,
        /// Whether it has been heard.
        heard: bool,
    },
    /// Shares a message with another mailbox of the tenant. Answered by `message`.
    Share {
        /// Which.
        message: MessageId,
        /// With which mailbox.
        with: MailboxId,
    },
    /// Deletes a message. Answered by `message-deleted`.
    Delete {
        /// Which.
        message: MessageId,
    },
}

/// A message, as its owner sees it. Its voice and its waveform are fetched over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its identifier.
    pub id: MessageId,
    /// Who left it.
    pub from: String,
    /// What they had dialled.
    pub to: String,
    /// When it was left.
    pub received_at: UnixMillis,
    /// How long it is, milliseconds.
    pub duration_ms: u64,
    /// Whether it has been heard.
    pub heard: bool,
    /// Marked moments.
    #[serde(default)]
    pub bookmarks: Vec<Bookmark>,
    /// The mailbox that it was shared from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<MailboxId>,
}

/// A marked moment of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bookmark {
    /// Milliseconds from the beginning.
    pub at_ms: u64,
    /// What it is about.
    pub label: String,
}

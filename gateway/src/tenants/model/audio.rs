//! Prompts, recordings and mailboxes.

use serde::{Deserialize, Serialize};
use tandem_switch::id::{CallId, MailboxId, MessageId, PromptId, RecordingId, UserId};
use tandem_switch::time::UnixMillis;
use utoipa::ToSchema;

use super::Revision;

/// A prompt: what a caller is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Prompt {
    /// Its name.
    #[schema(value_type = String)]
    pub name: PromptId,
    /// How long it plays, milliseconds.
    pub duration_ms: u64,
    /// Its size as it is kept (Ogg Opus).
    pub bytes: u64,
    /// When it was uploaded.
    #[schema(value_type = u64)]
    pub changed_at: UnixMillis,
    /// See [`Revision`].
    pub revision: Revision,
}

/// What a recording is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingKind {
    /// A call, or some of its legs.
    Call,
    /// What a caller left who reached nobody.
    Voicemail,
    /// What somebody left without ringing.
    Message,
    /// A room.
    Room,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingState {
    /// It is being made.
    Recording,
    /// It is whole.
    Complete,
    /// It ended before it should have: the node or its disk failed. What was recorded by then is kept.
    CutShort,
}

/// Where a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageState {
    /// On the node.
    Local,
    /// On its way to the object store.
    Uploading,
    /// In the object store.
    Stored,
    /// On the node, because the object store fails; it is tried again for as long as it takes.
    Failed,
}

/// One leg's side of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Track {
    /// Its number within the recording, from 0.
    pub track: u32,
    /// Whose voice it is, in the call's own words: `caller`, `callee`, a member of a room.
    pub leg: String,
    /// The user, when it is one.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Its size (Ogg Opus); 0 while it is being made.
    pub bytes: u64,
    /// How long after the recording's beginning it begins, milliseconds.
    pub start_ms: u64,
}

/// A marked moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bookmark {
    /// When, milliseconds after the recording's beginning.
    pub at_ms: u64,
    /// What for, 0 to 256 bytes.
    #[serde(default)]
    pub label: String,
    /// Who marked it: `operator`, `token <id>`, `user <name>`.
    #[serde(default)]
    pub by: String,
}

/// A moment to mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewBookmark {
    /// When, milliseconds after the recording's beginning.
    #[schema(example = 12_500)]
    pub at_ms: u64,
    /// What for, at most 256 bytes.
    #[serde(default)]
    #[schema(example = "price agreed")]
    pub label: String,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recording {
    /// Its identifier.
    #[schema(value_type = String)]
    pub id: RecordingId,
    /// Of which call.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// What it is of.
    pub kind: RecordingKind,
    /// How far it is.
    pub state: RecordingState,
    /// Where it is.
    pub storage: StorageState,
    /// When it began.
    #[schema(value_type = u64)]
    pub started_at: UnixMillis,
    /// When it ended.
    #[schema(value_type = Option<u64>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMillis>,
    /// How long it is, milliseconds; 0 while it is being made.
    pub duration_ms: u64,
    /// Its tracks: one for each leg.
    pub tracks: Vec<Track>,
    /// Marked moments, by time.
    pub bookmarks: Vec<Bookmark>,
}

/// Which recordings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingFilter {
    /// Of this call.
    pub call: Option<CallId>,
    /// Of this kind.
    pub kind: Option<RecordingKind>,
    /// Begun at or after this.
    pub since: Option<UnixMillis>,
}

/// What can be set of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct MailboxSettings {
    /// The users whose it is, at most 100. None: the user of the mailbox's name.
    #[schema(value_type = Vec<String>)]
    pub owners: Vec<UserId>,
    /// The prompt that callers hear before they leave a message; none: a tone only.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<PromptId>,
    /// Longest message, seconds; none: the tenant's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_seconds: Option<u64>,
    /// Most messages; none: the tenant's limit. When it is full, callers are told, and leave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mailbox {
    /// Its name.
    #[schema(value_type = String)]
    pub name: MailboxId,
    /// What can be set of it.
    pub settings: MailboxSettings,
    /// How many messages it has.
    pub messages: u64,
    /// How many of them nobody has heard yet.
    pub waiting: u64,
    /// See [`Revision`].
    pub revision: Revision,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Message {
    /// Its identifier within the mailbox.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// Who left it: an address.
    pub from: String,
    /// What they had dialled.
    pub to: String,
    /// When it was left.
    #[schema(value_type = u64)]
    pub received_at: UnixMillis,
    /// How long it is, milliseconds.
    pub duration_ms: u64,
    /// Its recording.
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// Whether it has been heard.
    pub heard: bool,
    /// Marked moments in it.
    pub bookmarks: Vec<Bookmark>,
    /// The mailboxes that it was shared with from here.
    #[schema(value_type = Vec<String>)]
    pub shared_with: Vec<MailboxId>,
    /// The mailbox that it was shared from.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<MailboxId>,
}

/// What can be changed of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MessageChange {
    /// Whether it has been heard.
    #[schema(example = true)]
    pub heard: bool,
}

/// Whom to share a message with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MessageShare {
    /// The mailbox that gets it too.
    #[schema(value_type = String, example = "bob")]
    pub with: MailboxId,
}

/// The picture of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Waveform {
    /// Peaks of equal parts of it, 0 (silence) to 255 (full scale), at most 256.
    pub peaks: Vec<u8>,
    /// How long it is, milliseconds.
    pub duration_ms: u64,
}

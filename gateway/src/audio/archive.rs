//! What the codec threads need of what tenants have: prompts to play, places to record to.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use tandem_switch::audio::{Recording, RecordingId};
use tandem_switch::id::{TenantId, UserId};

/// A prompt, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is as it was.
    Same,
    /// Ogg Opus as it is kept.
    New {
        /// Changes when the prompt does.
        revision: u64,
        /// The file.
        ogg: Bytes,
    },
}

/// A recording that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What it is kept as.
    pub kept_as: u128,
    /// A file for each of its tracks, in their order. The directory is there, the files are not.
    pub files: Vec<PathBuf>,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How long it is, milliseconds.
    pub duration_ms: u64,
    /// Whether nothing is missing.
    pub is_whole: bool,
    /// Whether it is kept at all.
    pub keep: bool,
}

/// Where prompts come from and recordings go to. Every error is in plain words, for whoever wrote the plan.
#[async_trait]
pub trait Archive: Send + Sync {
    /// A tenant's prompt, unless it still has the revision that is `known`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    async fn prompt(&self, tenant: &TenantId, name: &str, known: Option<u64>) -> Result<Fetched, String>;

    /// The name of the prompt that greets the callers of a mailbox, if it has one.
    ///
    /// # Errors
    /// When there is no such mailbox, or it cannot be read.
    async fn greeting(&self, tenant: &TenantId, mailbox: &UserId) -> Result<Option<String>, String>;

    /// Begins a recording. It is known from now on, and mended at the next start when the process is killed before it ends.
    ///
    /// # Errors
    /// When a budget is used up, or the disk fails.
    async fn begin(&self, recording: RecordingId, what: &Recording) -> Result<Begun, String>;

    /// Ends a recording whose files are closed; a message is put into its mailbox.
    ///
    /// # Errors
    /// When it could not be kept.
    async fn end(&self, what: &Recording, kept_as: u128, ended: Ended) -> Result<(), String>;
}

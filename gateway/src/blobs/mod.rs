//! Blobs: finished recordings as files, and where they go from there.
//!
//! A blob is written as a file in the data directory while its call runs, and nothing but the local disk is met then. When it is finished
//! it stays there, or, with `[storage]` configured, a worker uploads it and then forgets the file. A row in the store says of every blob
//! where it is, so that neither a killed process nor a store that is full, slow or gone loses one: what failed is tried again, for as long
//! as it takes, and its state says so meanwhile. Deleting is a row too: it is done when the file is gone from both places.
//!
//! What it does not know: what is in a blob, and who may read it (`tenants::recordings`).

mod metrics;
pub(crate) mod rows;
mod target;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::local::LocalFileSystem;
use tokio::sync::Notify;

use crate::config;
use crate::store::{Store, StoreError, create_private};

pub use metrics::BlobMetrics;
use target::Target;
pub(crate) use target::parse_url;

/// The directory of blobs in the data directory.
const DIRECTORY: &str = "blobs";

/// Why there is no blob, or none could be kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is in neither place.
    #[error("the recording's file is missing")]
    Missing,
    /// It was uploaded, and no `[storage]` is configured any more.
    #[error("the recording was uploaded to an object store that this node no longer has ([storage] url)")]
    NoTarget,
    /// It is larger than the caller wants to hold in memory.
    #[error("the recording has {bytes} bytes; at most {max} are taken")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The disk or the object store fails. Trying again makes sense.
    #[error("the recording cannot be read just now: {0}")]
    Unreadable(#[source] object_store::Error),
    /// The directory cannot be made.
    #[error("cannot make the directory {directory}: {error}")]
    NoDirectory {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// `[storage]` cannot be used.
    #[error("[storage]: {0}")]
    Storage(String),
    /// The rows cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The node's blobs. Clones share them.
#[derive(Clone, Debug)]
pub struct Blobs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    here: LocalFileSystem,
    there: Option<Target>,
    store: Store,
    /// Tells the worker that there is something to do.
    due: Notify,
    retry: std::time::Duration,
    metrics: BlobMetrics,
}

/// A blob while it is read, piece by piece.
pub struct Reading {
    /// Its size.
    pub bytes: u64,
    /// Its pieces.
    pub pieces: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Blobs {
    /// Opens the directory in the store's, which is made when it is missing. Nothing is uploaded before [`Self::run`].
    ///
    /// # Errors
    /// When the directory cannot be made, or `[storage]` is no store that could be used. Whether it can be reached shows itself later.
    pub fn open(store: Store, storage: &config::Storage, metrics: BlobMetrics) -> Result<Self, BlobError> {
        let directory = store.directory().join(DIRECTORY);
        let no_directory = |error| BlobError::NoDirectory { directory: directory.clone(), error };
        create_private(&directory).map_err(no_directory)?;
        let directory = directory.canonicalize().map_err(no_directory)?;
        let here = LocalFileSystem::new_with_prefix(&directory).map_err(BlobError::Unreadable)?;
        let here = here.with_automatic_cleanup(true);
        let there = Target::open(storage).map_err(BlobError::Storage)?;
        let retry = std::time::Duration::from_secs(storage.retry_minutes.saturating_mul(60).max(1));
        let shared = Shared { directory, here, there, store, due: Notify::new(), retry, metrics };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file that a blob is written to. Its directory is made by [`Self::make_directory`].
    pub fn file(&self, object: &str) -> PathBuf {
        self.shared.directory.join(object)
    }

    /// Makes the directory that a blob is written in.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_directory(&self, object: &str) -> Result<(), BlobError> {
        let directory = self.file(object).parent().map(Path::to_owned).unwrap_or_default();
        let made = directory.clone();
        let outcome = tokio::task::spawn_blocking(move || create_private(&made)).await;
        let outcome = outcome.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        outcome.map_err(|error| BlobError::NoDirectory { directory, error })
    }

    /// Whether finished blobs are uploaded.
    pub fn is_uploading(&self) -> bool {
        self.shared.there.is_some()
    }

    /// Reads a blob piece by piece, wherever it is.
    ///
    /// # Errors
    /// When it is nowhere, or cannot be read.
    pub async fn open_blob(&self, object: &str) -> Result<Reading, BlobError> {
        let path = target::path(object);
        let found = match self.shared.here.get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => self.open_there(object).await?,
            Err(error) => return Err(BlobError::Unreadable(error)),
        };
        let bytes = found.meta.size;
        let pieces = found.into_stream().map_err(std::io::Error::other).boxed();
        Ok(Reading { bytes, pieces })
    }

    async fn open_there(&self, object: &str) -> Result<object_store::GetResult, BlobError> {
        let Some(target) = &self.shared.there else {
            let name = object.to_owned();
            let uploaded = self.shared.store.read(move |connection| rows::is_uploaded(connection, &name)).await?;
            return Err(if uploaded { BlobError::NoTarget } else { BlobError::Missing });
        };
        target.store.get(&target.path(object)).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => BlobError::Missing,
            error => BlobError::Unreadable(error),
        })
    }

    /// Reads a whole blob of at most `max` bytes.
    ///
    /// # Errors
    /// When it is nowhere, larger, or cannot be read.
    pub async fn read(&self, object: &str, max: u64) -> Result<Bytes, BlobError> {
        let mut reading = self.open_blob(object).await?;
        if reading.bytes > max {
            return Err(BlobError::TooLarge { bytes: reading.bytes, max });
        }
        let mut whole = Vec::with_capacity(usize::try_from(reading.bytes).unwrap_or(0));
        while let Some(piece) = reading.pieces.next().await {
            let broken =
                |error| BlobError::Unreadable(object_store::Error::Generic { store: "blob", source: Box::new(error) });
            whole.extend_from_slice(&piece.map_err(broken)?);
        }
        Ok(whole.into())
    }

    /// Tells the worker that there is something to upload or to delete.
    pub(crate) fn wake(&self) {
        self.shared.due.notify_one();
    }
}

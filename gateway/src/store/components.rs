//! Components: files that are named for the SHA-256 of their bytes, in a directory of their own. A file is written under another name,
//! flushed, and then renamed, so that a name never stands for half of it; and every reading checks the digest, so that what a disk or a
//! person has changed is never run. Everything here waits for the disk: call it from `spawn_blocking`.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tandem_host::Digest;

use super::{StoreError, create_private};

/// What the names of whole files end with.
const WHOLE: &str = ".wasm";

/// What the names of unfinished files end with.
const UNFINISHED: &str = ".part";

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The file is gone.
    #[error("the file of component {0} is missing; upload it again")]
    Missing(String),
    /// The bytes are not those that were kept.
    #[error("the file of component {0} is damaged: its bytes have another SHA-256; upload it again")]
    Damaged(String),
    /// The disk fails.
    #[error("the file of component {digest} cannot be used: {error}")]
    Disk {
        /// Which.
        digest: String,
        /// Why.
        error: std::io::Error,
    },
}

/// The directory of components. Clones share it.
#[derive(Clone, Debug)]
pub struct Components {
    directory: Arc<Path>,
    /// Tells unfinished files apart.
    unfinished: Arc<AtomicU64>,
}

impl Components {
    /// Opens the directory, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let directory: Arc<Path> = data_dir.join("components").into();
        create_private(&directory)
            .map_err(|error| StoreError::NoDirectory { directory: directory.to_path_buf(), error })?;
        Ok(Self { directory, unfinished: Arc::default() })
    }

    /// Keeps a component; when this returns, it is on disk. One that is there whole stays as it is, a damaged one is replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, digest: &str, bytes: &[u8]) -> Result<(), ComponentError> {
        if self.read(digest).is_ok() {
            return Ok(());
        }
        let disk = |error| ComponentError::Disk { digest: digest.to_owned(), error };
        let number = self.unfinished.fetch_add(1, Relaxed);
        let unfinished = self.directory.join(format!("{digest}.{number}{UNFINISHED}"));
        let written = self.write(&unfinished, digest, bytes);
        if written.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        written.map_err(disk)
    }

    fn write(&self, unfinished: &Path, digest: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = File::create(unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(unfinished, self.path(digest))?;
        File::open(&self.directory)?.sync_all()
    }

    /// The bytes of a component, checked.
    ///
    /// # Errors
    /// When it is not there, or not what it was.
    pub fn read(&self, digest: &str) -> Result<Vec<u8>, ComponentError> {
        let bytes = std::fs::read(self.path(digest)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ComponentError::Missing(digest.to_owned()),
            _ => ComponentError::Disk { digest: digest.to_owned(), error },
        })?;
        if Digest::of(&bytes).to_string() != digest {
            return Err(ComponentError::Damaged(digest.to_owned()));
        }
        Ok(bytes)
    }

    /// Forgets a component; one that is not there is no error.
    pub fn remove(&self, digest: &str) {
        if let Err(error) = std::fs::remove_file(self.path(digest))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, digest, "a component that nobody uses any more cannot be removed");
        }
    }

    /// Removes what an interrupted upload left behind, and components that nobody has. Before anything is uploaded.
    pub fn tidy(&self, used: &HashSet<String>) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let stays = name.strip_suffix(WHOLE).is_some_and(|digest| used.contains(digest));
            if !stays && (name.ends_with(WHOLE) || name.ends_with(UNFINISHED)) {
                tracing::info!(file = name, "removing a component that was never finished or that nobody uses");
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}{WHOLE}"))
    }
}

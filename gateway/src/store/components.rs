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

    /// Writes a component to the disk, under another name: nobody finds it before [`Unfinished::keep`]. It takes as long as the disk does, so it
    /// may be done while the component is being compiled. One that is there whole is not written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, digest: &str, bytes: &[u8]) -> Result<Unfinished, ComponentError> {
        let of = |path| Unfinished { components: self.clone(), digest: digest.to_owned(), path };
        if self.read(digest).is_ok() {
            return Ok(of(None));
        }
        let number = self.unfinished.fetch_add(1, Relaxed);
        let path = self.directory.join(format!("{digest}.{number}{UNFINISHED}"));
        let unfinished = of(Some(path.clone()));
        let written = File::create(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|error| ComponentError::Disk { digest: digest.to_owned(), error })?;
        Ok(unfinished)
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

/// A component that is on disk and that nobody finds yet. Dropped without [`Unfinished::keep`] it is removed.
#[derive(Debug)]
pub struct Unfinished {
    components: Components,
    digest: String,
    /// None when it was there whole already, and when it is kept.
    path: Option<PathBuf>,
}

impl Unfinished {
    /// Gives the component its name; when this returns, it is on disk. A damaged one of that name is replaced. What was tidied away meanwhile is
    /// written again, of `bytes`.
    ///
    /// # Errors
    /// When it cannot be written or renamed.
    pub fn keep(mut self, bytes: &[u8]) -> Result<(), ComponentError> {
        let named = match self.name() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.components.write(&self.digest, bytes)?.name()
            }
            named => named,
        };
        named.map_err(|error| ComponentError::Disk { digest: self.digest.clone(), error })
    }

    fn name(&mut self) -> std::io::Result<()> {
        let name = self.components.path(&self.digest);
        let Some(path) = &self.path else { return std::fs::metadata(name).map(drop) };
        std::fs::rename(path, name)?;
        self.path = None;
        File::open(&self.components.directory)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The next start tidies up what is left.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory.join("components")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_component_is_found_when_it_is_kept_and_leaves_nothing_when_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let components = Components::open(directory.path()).unwrap();
        let (bytes, digest) = (b"code", Digest::of(b"code").to_string());
        drop(components.write(&digest, bytes).unwrap());
        assert!(files(directory.path()).is_empty());
        let written = components.write(&digest, bytes).unwrap();
        assert!(matches!(components.read(&digest), Err(ComponentError::Missing(_))));
        written.keep(bytes).unwrap();
        assert_eq!(components.read(&digest).unwrap(), bytes);
        components.write(&digest, bytes).unwrap().keep(bytes).unwrap();
        assert_eq!(files(directory.path()), [format!("{digest}{WHOLE}")]);
    }

    #[test]
    fn what_is_tidied_away_before_it_is_kept_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let components = Components::open(directory.path()).unwrap();
        let (bytes, digest) = (b"code", Digest::of(b"code").to_string());
        for is_whole in [false, true] {
            let written = components.write(&digest, bytes).unwrap();
            assert_eq!(written.path.is_none(), is_whole);
            components.tidy(&HashSet::new());
            written.keep(bytes).unwrap();
            assert_eq!(components.read(&digest).unwrap(), bytes);
        }
    }
}

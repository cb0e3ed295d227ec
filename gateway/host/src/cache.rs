//! Compiled code on disk, so that a start does not compile what the last one did: one file for each component and engine, mapped into
//! memory rather than read (ten thousand functions cost ten thousand mappings, not gigabytes of heap).
//!
//! A file is named `<digest of the component>-<fingerprint of the engine>.cwasm`, is written under another name first, and has its own
//! SHA-256 beside it: a file that does not match is removed and compiled anew. The cache is a convenience: whatever fails here is logged,
//! and the component is compiled.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;
use crate::limits;

/// A directory of compiled components that fit one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Of wasmtime's version, settings and the processor: code of another engine has another name.
    fingerprint: u64,
}

impl Cache {
    pub(crate) fn open(directory: PathBuf, engine: &Engine) -> io::Result<Self> {
        make_private(&directory)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory, fingerprint: hasher.finish() })
    }

    /// The compiled code of this component, if it is there and whole.
    pub(crate) fn find(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        if !path.exists() {
            return None;
        }
        let found = map_checked(engine, &path);
        if let Err(reason) = &found {
            tracing::warn!(%digest, %reason, "a compiled function in the cache is not usable; it is compiled anew");
            remove(&path);
        }
        found.ok()
    }

    /// Keeps the compiled code of this component.
    pub(crate) fn keep(&self, digest: Digest, code: &[u8]) {
        if let Err(reason) = self.write(digest, code) {
            tracing::warn!(%digest, %reason, "a compiled function cannot be kept in the cache");
        }
    }

    fn write(&self, digest: Digest, code: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        self.make_room()?;
        // The code first: without its digest it is not trusted.
        put(&path, code)?;
        put(&side(&path), Digest::of(code).to_string().as_bytes())
    }

    /// Removes what was written first until one more fits.
    fn make_room(&self) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
                kept.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        let excess = (kept.len() + 1).saturating_sub(limits::CACHE_FILES_MAX);
        kept.sort();
        kept.iter().take(excess).for_each(|(_, path)| remove(path));
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{:016x}.cwasm", self.fingerprint))
    }
}

/// The file that holds the digest of a file of compiled code.
fn side(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

/// Best effort: a file that cannot be removed is not trusted either.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(side(path));
}

/// Writes a file so that nobody ever sees half of it.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_added_extension(format!("{}.part", std::process::id()));
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

/// Makes the directory, open to its owner alone: who writes to it decides what this process executes.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[expect(unsafe_code, reason = "wasmtime maps compiled code only through an unsafe function")]
fn map_checked(engine: &Engine, path: &Path) -> Result<Component, String> {
    let expected = fs::read_to_string(side(path)).map_err(|error| format!("its digest cannot be read: {error}"))?;
    let code = fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    if Digest::of(&code).to_string() != expected {
        return Err("its digest does not match".into());
    }
    // SAFETY: the file is what `Component::serialize` gave for an engine of the same fingerprint: its SHA-256 matches the one that was
    // written beside it, its directory is writable to this user alone, and files in it are replaced by renaming, never
    // changed, so that the mapping stays what was checked. wasmtime itself compares its version and settings.
    unsafe { Component::deserialize_file(engine, path) }.map_err(|error| format!("{error:#}"))
}

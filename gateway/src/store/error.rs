//! What can go wrong with the store.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use tandem_switch::id::BadName;

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("cannot make the data directory {directory}: {error}; set store.data_dir to one that this user may write")]
    NoDirectory {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// There is no store to read.
    #[error("there is no store at {file}; it is made when `tandem serve` first runs with this store.data_dir")]
    Missing {
        /// The file that is missing.
        file: PathBuf,
    },
    /// The file cannot be opened or written.
    #[error("cannot open the store {file}: {error}; check that this user may write the file and its directory")]
    CannotOpen {
        /// Which.
        file: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the store {file} is damaged or no database ({error}); move it away to start a new one, or restore a backup"
    )]
    Damaged {
        /// Which.
        file: PathBuf,
        /// How SQLite put it.
        error: rusqlite::Error,
    },
    /// The database belongs to another program.
    #[error("{file} is a database of another program; set store.data_dir to a directory of Tandem's own")]
    Foreign {
        /// Which.
        file: PathBuf,
    },
    /// A newer version made it.
    #[error("the store {file} has version {found} and this program knows versions up to {known}; run a newer Tandem")]
    TooNew {
        /// Which.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// No thread could be started.
    #[error("cannot start the store's thread: {error}")]
    NoThread {
        /// Why.
        error: std::io::Error,
    },
    /// The database refused. Trying again makes sense when the disk was full or the file locked.
    #[error("the store refused: {0}")]
    Refused(#[from] rusqlite::Error),
    /// A transaction that held this record failed. Trying again makes sense.
    #[error("the record could not be written: {0}")]
    NotWritten(String),
    /// A record in it cannot be read.
    #[error("record {call} in the store cannot be read: {error}")]
    BadRecord {
        /// Of which call.
        call: String,
        /// Why.
        error: serde_json::Error,
    },
    /// A name in it is none: it was damaged.
    #[error("a name in the store cannot be read: {0}")]
    BadName(#[from] BadName),
    /// Something else in it cannot be read: it was damaged.
    #[error("the store is damaged: {0}")]
    Damage(String),
    /// The store has been closed.
    #[error("the store has been closed")]
    Closed,
}

impl StoreError {
    /// Says whether the file itself is at fault, or the way to it.
    pub(super) fn cannot_open(file: &Path, error: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged { file, error },
            _ => Self::CannotOpen { file, error },
        }
    }
}

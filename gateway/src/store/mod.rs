//! What is kept on disk: call records, in an embedded SQLite database.
//!
//! One thread owns the connection; [`Store`] is a handle with a bounded queue to it. Records that wait are written in one
//! transaction, so a busy node pays one flush for many. The journal is a write-ahead log, so that `tandem records` reads while the node
//! writes. `synchronous` is FULL: a record that was acknowledged survives a killed process and a power cut alike (NORMAL would lose
//! the last ones to a power cut).

mod error;
mod records;
mod schema;
mod thread;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tandem_switch::record::CallRecord;
use tokio::sync::{mpsc, oneshot};

pub use error::StoreError;
pub use records::{Filter, PAGE_MAX, Page};
use thread::Task;

/// Most tasks that wait for the store's thread. When it is full, callers wait.
const QUEUE_MAX: usize = 1024;

/// The database's file in the data directory.
const FILE: &str = "tandem.sqlite";

/// Makes a directory, and those above it that are missing, for this user alone: it holds who called whom, keys and compiled code.
///
/// # Errors
/// When it cannot be made. One that is there already stays as it is.
pub fn create_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A handle to the node's store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    tasks: mpsc::Sender<Task>,
}

impl Store {
    /// Opens the store in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or the file is no database of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let no_directory = |error| StoreError::NoDirectory { directory: directory.to_owned(), error };
        create_private(directory).map_err(no_directory)?;
        let file = directory.join(FILE);
        let connection = Connection::open(&file).map_err(|error| StoreError::cannot_open(&file, error))?;
        schema::prepare(&connection, &file)?;
        let (tasks, queue) = mpsc::channel(QUEUE_MAX);
        let started = std::thread::Builder::new().name("store".into()).spawn(move || thread::run(connection, queue));
        started.map_err(|error| StoreError::NoThread { error })?;
        Ok(Self { tasks })
    }

    /// Keeps a call's record. When this returns, the record is on disk. Keeping the same call's record again changes nothing, so that a
    /// failed attempt may be repeated.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn insert_record(&self, record: CallRecord) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Task::Insert { record: Box::new(record), done }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Records that pass the filter, newest first.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn records(&self, filter: Filter) -> Result<Page, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Task::Select { filter: Box::new(filter), done }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for everything that was asked before, then closes the database. Other handles find it closed.
    ///
    /// # Errors
    /// When it was closed already.
    pub async fn close(self) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Task::Close { done }).await?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    async fn send(&self, task: Task) -> Result<(), StoreError> {
        self.tasks.send(task).await.map_err(|_| StoreError::Closed)
    }
}

/// Reads a store that another process may be writing.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
}

impl Reader {
    /// Opens the store in `directory` for reading.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(FILE);
        if !file.exists() {
            return Err(StoreError::Missing { file });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&file, flags).map_err(|error| StoreError::cannot_open(&file, error))?;
        schema::check(&connection, &file)?;
        Ok(Self { connection, file })
    }

    /// Records that pass the filter, newest first.
    ///
    /// # Errors
    /// When they could not be read.
    pub fn records(&self, filter: &Filter) -> Result<Page, StoreError> {
        records::select(&self.connection, filter)
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

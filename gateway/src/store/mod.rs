//! What is kept on disk: tenants with everything they have, call records, key-value stores and the audit log in an embedded SQLite
//! database; invocations in another, that may be lost; components as files.
//!
//! One thread owns the connection that writes, others own those that read; [`Store`] is a handle with bounded queues to them. Changes
//! that wait are made in one transaction, each for itself, so a busy node pays one flush for many. The journal is a write-ahead log, so
//! that nobody who reads waits for a writer. `synchronous` is FULL: what was acknowledged survives a killed process and a power cut
//! alike (NORMAL would lose the last changes to a power cut).

mod components;
mod error;
mod invocations;
mod kv;
mod records;
mod schema;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use tandem_switch::record::CallRecord;
use tokio::sync::{mpsc, oneshot};

pub use components::{ComponentError, Components, Unfinished};
pub use error::StoreError;
pub use invocations::InvocationLog;
pub(crate) use kv::kv_forget;
pub use kv::{KEY_BYTES_MAX, KV_PAGE_MAX, Kv, KvError, Quota, VALUE_BYTES_MAX, is_label};
pub use records::{Filter, PAGE_MAX, Page};
use thread::{Ask, Task, Worked};

/// Most tasks that wait for one of the store's threads. When it is full, callers wait.
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
    changes: mpsc::Sender<Task>,
    questions: mpsc::Sender<Ask>,
    /// Questions of functions have a thread of their own: a page of records, which takes milliseconds, delays none of them.
    lookups: mpsc::Sender<Ask>,
    directory: Arc<Path>,
}

impl Store {
    /// Opens the store in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or the file is no database of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(FILE);
        let connection = create(&schema::STORE, directory, &file)?;
        let (changes, queue) = mpsc::channel(QUEUE_MAX);
        thread::writer("store", connection, queue)?;
        let questions = reader("store-read", &schema::STORE, &file)?;
        let lookups = reader("store-kv", &schema::STORE, &file)?;
        Ok(Self { changes, questions, lookups, directory: directory.into() })
    }

    /// The directory that everything is in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes a change. When this returns, it is on disk; when `work` fails, nothing of it is.
    ///
    /// # Errors
    /// What `work` says, or that it could not be written.
    pub async fn change<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        change(&self.changes, work).await
    }

    /// Reads. Sees every change that was acknowledged before.
    ///
    /// # Errors
    /// What `work` says, or that the store has been closed.
    pub async fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        ask(&self.questions, work).await
    }

    /// Keeps a call's record. When this returns, the record is on disk. Keeping the same call's record again changes nothing, so that a
    /// failed attempt may be repeated.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn insert_record(&self, record: CallRecord) -> Result<(), StoreError> {
        let insert = move |connection: &Connection| {
            records::insert(connection, &record).map_err(|error| StoreError::NotWritten(error.to_string()))
        };
        self.change(insert).await
    }

    /// Records that pass the filter, newest first.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn records(&self, filter: Filter) -> Result<Page, StoreError> {
        self.read(move |connection| records::select(connection, &filter)).await
    }

    /// Waits for everything that was asked before, then closes the database. Other handles find it closed.
    ///
    /// # Errors
    /// When it was closed already.
    pub async fn close(self) -> Result<(), StoreError> {
        // The writer last: who closes last tidies the write-ahead log away.
        for queue in [&self.questions, &self.lookups] {
            let (done, answer) = oneshot::channel();
            queue.send(Ask::Close(done)).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?;
        }
        let (done, answer) = oneshot::channel();
        self.changes.send(Task::Close(done)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }
}

/// Opens a database for writing, and makes it and its directory when they are missing.
fn create(schema: &schema::Schema, directory: &Path, file: &Path) -> Result<Connection, StoreError> {
    let no_directory = |error| StoreError::NoDirectory { directory: directory.to_owned(), error };
    create_private(directory).map_err(no_directory)?;
    #[cfg(unix)]
    keep_private(file);
    let connection = Connection::open(file).map_err(|error| StoreError::cannot_open(file, error))?;
    schema::prepare(schema, &connection, file)?;
    Ok(connection)
}

/// A new database is this user's alone, whatever the directory is: it holds tenants' secrets. What goes wrong here shows itself when the
/// database is opened.
#[cfg(unix)]
fn keep_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(file);
}

fn open_to_read(schema: &schema::Schema, file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|error| StoreError::cannot_open(file, error))?;
    schema::check(schema, &connection, file)?;
    Ok(connection)
}

/// A thread that reads.
fn reader(name: &str, schema: &schema::Schema, file: &Path) -> Result<mpsc::Sender<Ask>, StoreError> {
    let (asks, queue) = mpsc::channel(QUEUE_MAX);
    thread::reader(name, open_to_read(schema, file)?, queue)?;
    Ok(asks)
}

async fn change<T, E>(
    changes: &mpsc::Sender<Task>,
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (done, answer) = oneshot::channel();
    let work = Box::new(move |connection: Result<&Connection, &rusqlite::Error>| {
        let outcome = match connection {
            Ok(connection) => work(connection),
            Err(error) => Err(StoreError::NotWritten(error.to_string()).into()),
        };
        let keep = outcome.is_ok();
        let tell = Box::new(move |committed: Result<(), String>| {
            let outcome = match (outcome, committed) {
                (Ok(_), Err(why)) => Err(StoreError::NotWritten(why).into()),
                (outcome, _) => outcome,
            };
            let _ = done.send(outcome);
        });
        Worked { keep, tell }
    });
    changes.send(Task::Write(work)).await.map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

async fn ask<T, E>(
    questions: &mpsc::Sender<Ask>,
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (done, answer) = oneshot::channel();
    let question = Box::new(move |connection: &Connection| {
        let _ = done.send(work(connection));
    });
    questions.send(Ask::Read(question)).await.map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
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
        let connection = open_to_read(&schema::STORE, &file)?;
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

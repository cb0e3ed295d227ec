//! The threads that own the connections: one writes, others read, so that no question waits behind a flush to disk.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// Most changes in one transaction: bounds how long the first of them waits.
const BATCH_MAX: usize = 256;

/// A change: what it does inside of the transaction. When there is none it is told why, and does nothing.
pub(super) type Work = Box<dyn FnOnce(Result<&Connection, &rusqlite::Error>) -> Worked + Send>;

/// A question.
pub(super) type Question = Box<dyn FnOnce(&Connection) + Send>;

/// Tells whoever asked for a change whether it is on disk.
pub(super) type Tell = Box<dyn FnOnce(Result<(), String>) + Send>;

/// What a change brought.
pub(super) struct Worked {
    /// Whether it succeeded: one that did not leaves nothing behind.
    pub(super) keep: bool,
    /// Tells whoever asked, once it is known whether the transaction is on disk; else why not.
    pub(super) tell: Tell,
}

/// What a writing thread is asked to do.
pub(super) enum Task {
    /// Make a change.
    Write(Work),
    /// End.
    Close(oneshot::Sender<()>),
}

/// What a reading thread is asked to do.
pub(super) enum Ask {
    /// Answer a question.
    Read(Question),
    /// End.
    Close(oneshot::Sender<()>),
}

/// Starts a writing thread; it works until the last handle is gone or one says `Close`.
pub(super) fn writer(name: &str, connection: Connection, queue: mpsc::Receiver<Task>) -> Result<(), StoreError> {
    start(name, move || write_all(connection, queue))
}

/// Starts a reading thread, likewise.
pub(super) fn reader(name: &str, connection: Connection, queue: mpsc::Receiver<Ask>) -> Result<(), StoreError> {
    start(name, move || answer_all(connection, queue))
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let started = std::thread::Builder::new().name(name.into()).spawn(run);
    started.map(drop).map_err(|error| StoreError::NoThread { error })
}

fn answer_all(connection: Connection, mut queue: mpsc::Receiver<Ask>) {
    while let Some(ask) = queue.blocking_recv() {
        match ask {
            Ask::Read(question) => question(&connection),
            Ask::Close(done) => return close(connection, done),
        }
    }
}

fn write_all(mut connection: Connection, mut queue: mpsc::Receiver<Task>) {
    let mut next = queue.blocking_recv();
    while let Some(task) = next.take() {
        match task {
            Task::Write(work) => {
                let mut batch = vec![work];
                while batch.len() < BATCH_MAX && next.is_none() {
                    match queue.try_recv() {
                        Ok(Task::Write(work)) => batch.push(work),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                commit(&mut connection, batch);
            }
            Task::Close(done) => return close(connection, done),
        }
        next = next.or_else(|| queue.blocking_recv());
    }
}

fn close(connection: Connection, done: oneshot::Sender<()>) {
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the store did not close cleanly; it recovers when it is opened again");
    }
    let _ = done.send(());
}

/// Makes the changes of a batch in one transaction, each in a savepoint of its own, so that one that fails takes no other with it. All
/// are told once the whole is on disk. Whoever asked may have gone away: answers are sent without looking.
fn commit(connection: &mut Connection, batch: Vec<Work>) {
    let mut told = Vec::with_capacity(batch.len());
    let outcome = make(connection, batch, &mut told).map_err(|error| error.to_string());
    for tell in told {
        tell(outcome.clone());
    }
}

fn make(connection: &mut Connection, batch: Vec<Work>, told: &mut Vec<Tell>) -> Result<(), rusqlite::Error> {
    let mut waiting = batch.into_iter();
    let made = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => {
            waiting.by_ref().try_for_each(|work| step(&transaction, work, told)).and_then(|()| transaction.commit())
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &made {
        told.extend(waiting.map(|work| work(Err(error)).tell));
    }
    made
}

/// One change in a savepoint.
fn step(transaction: &Transaction<'_>, work: Work, told: &mut Vec<Tell>) -> Result<(), rusqlite::Error> {
    if let Err(error) = transaction.execute_batch("SAVEPOINT change") {
        told.push(work(Err(&error)).tell);
        return Err(error);
    }
    let Worked { keep, tell } = work(Ok(transaction));
    told.push(tell);
    // A full disk or a failing one ends the whole transaction behind our back: then nothing of it is kept, and the release says so.
    transaction.execute_batch(if keep { "RELEASE change" } else { "ROLLBACK TO change; RELEASE change" })
}

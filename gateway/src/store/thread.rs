//! The thread that owns the connection.

use rusqlite::{Connection, TransactionBehavior};
use tandem_switch::record::CallRecord;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::records::{self, Filter, Page};

/// Most records in one transaction: bounds how long the first of them waits.
const BATCH_MAX: usize = 256;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Keep a record.
    Insert { record: Box<CallRecord>, done: oneshot::Sender<Result<(), StoreError>> },
    /// Read records.
    Select { filter: Box<Filter>, done: oneshot::Sender<Result<Page, StoreError>> },
    /// End.
    Close { done: oneshot::Sender<()> },
}

type Waiting = (Box<CallRecord>, oneshot::Sender<Result<(), StoreError>>);

/// Works until the last handle is gone or one says `Close`. Whoever asked may have gone away: answers are sent without looking.
pub(super) fn run(mut connection: Connection, mut queue: mpsc::Receiver<Task>) {
    let mut next = queue.blocking_recv();
    while let Some(task) = next.take() {
        match task {
            Task::Insert { record, done } => {
                let mut batch = vec![(record, done)];
                while batch.len() < BATCH_MAX && next.is_none() {
                    match queue.try_recv() {
                        Ok(Task::Insert { record, done }) => batch.push((record, done)),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                keep(&mut connection, batch);
            }
            Task::Select { filter, done } => {
                let _ = done.send(records::select(&connection, &filter));
            }
            Task::Close { done } => {
                if let Err((_, error)) = connection.close() {
                    tracing::warn!(%error, "the store did not close cleanly; it recovers when it is opened again");
                }
                let _ = done.send(());
                return;
            }
        }
        next = next.or_else(|| queue.blocking_recv());
    }
}

/// Writes a batch in one transaction and acknowledges it once it is on disk. A record that the database refuses must not take the
/// others with it: then each is tried by itself. A database that is locked or a disk that is full refuses them all alike.
fn keep(connection: &mut Connection, batch: Vec<Waiting>) {
    let written = write(connection, batch.iter().map(|(record, _)| &**record));
    let together = !written.as_ref().is_err_and(is_one_records_fault) || batch.len() == 1;
    let shared = written.map_err(|error| error.to_string());
    for (record, done) in batch {
        let result =
            if together { shared.clone() } else { write(connection, [&*record]).map_err(|error| error.to_string()) };
        let _ = done.send(result.map_err(StoreError::NotWritten));
    }
}

fn is_one_records_fault(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    let refused = |code| matches!(code, ConstraintViolation | TooBig | TypeMismatch);
    error.sqlite_error_code().is_none_or(refused)
}

fn write<'a>(
    connection: &mut Connection,
    batch: impl IntoIterator<Item = &'a CallRecord>,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for record in batch {
        records::insert(&transaction, record)?;
    }
    transaction.commit()
}

//! What functions were asked and answered: a ring for each tenant, in a database of its own, so that what may be lost never delays what
//! may not. Keeping one costs the caller a serialisation and never a wait: when the disk does not follow, records are dropped and counted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params, params_from_iter};
use tandem_switch::id::TenantId;
use tokio::sync::{mpsc, oneshot};

use super::thread::Ask;
use super::{StoreError, ask, create, reader, schema};
use crate::tenants::model::{InvocationFilter, InvocationRecord, Page};

/// The database's file in the data directory.
const FILE: &str = "invocations.sqlite";

/// Most records that wait to be written. Beyond it they are dropped and counted: at 10,000 invocations a second, half a second's worth.
const QUEUE_MAX: usize = 4096;

/// Most bytes of records that wait. Beyond it they are dropped and counted.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest record, bytes. A larger one is dropped and counted.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most records in one transaction.
const BATCH_MAX: usize = 512;

/// Most invocations of one page. A larger limit is cut down to it.
const INVOCATIONS_PAGE_MAX: usize = 1000;

/// A handle to the log of invocations. Clones share it.
#[derive(Clone, Debug)]
pub struct InvocationLog {
    entries: mpsc::Sender<Task>,
    questions: mpsc::Sender<Ask>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

struct Entry {
    tenant: TenantId,
    kept: u64,
    function: String,
    version: u32,
    call: String,
    failed: bool,
    body: String,
}

enum Task {
    Keep(Box<Entry>),
    Forget(TenantId),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

impl InvocationLog {
    /// Opens the log in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made or written, or the file is no database of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(FILE);
        let connection = create(&schema::INVOCATIONS, directory, &file)?;
        let sizes = sizes(&connection)?;
        let counts = Arc::new(Counts::default());
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let mut ring = Ring { connection, sizes, counts: Arc::clone(&counts) };
        let started = std::thread::Builder::new().name("invocations".into()).spawn(move || ring.run(queue));
        started.map_err(|error| StoreError::NoThread { error })?;
        let questions = reader("invocations-read", &schema::INVOCATIONS, &file)?;
        Ok(Self { entries, questions, counts })
    }

    /// Keeps a record, and of this tenant no more than `kept`: the oldest go. Never waits; says whether the record is on its way.
    pub fn keep(&self, tenant: &TenantId, kept: u64, record: &InvocationRecord) -> bool {
        let on_its_way = self.try_keep(tenant, kept, record);
        if !on_its_way {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
        on_its_way
    }

    fn try_keep(&self, tenant: &TenantId, kept: u64, record: &InvocationRecord) -> bool {
        let Ok(body) = serde_json::to_string(record) else { return false };
        let bytes = body.len();
        if bytes > RECORD_BYTES_MAX || self.counts.waiting_bytes.load(Relaxed) + bytes > QUEUE_BYTES_MAX {
            return false;
        }
        let entry = Entry {
            tenant: tenant.clone(),
            kept,
            function: record.function.to_string(),
            version: record.version,
            call: record.call.clone(),
            failed: record.failure.is_some(),
            body,
        };
        self.counts.waiting_bytes.fetch_add(bytes, Relaxed);
        let sent = self.entries.try_send(Task::Keep(Box::new(entry))).is_ok();
        if !sent {
            self.counts.waiting_bytes.fetch_sub(bytes, Relaxed);
        }
        sent
    }

    /// How many records were dropped since the node started: too large, or too many at once.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    /// A tenant's invocations that pass the filter: newest first, or oldest first after `filter.after`. The page's cursor is the number of
    /// its last one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn invocations(
        &self,
        tenant: &TenantId,
        filter: InvocationFilter,
    ) -> Result<Page<InvocationRecord>, StoreError> {
        let tenant = tenant.clone();
        ask(&self.questions, move |connection| select(connection, &tenant, &filter)).await
    }

    /// One invocation.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn invocation(&self, tenant: &TenantId, id: u64) -> Result<Option<InvocationRecord>, StoreError> {
        let tenant = tenant.clone();
        ask(&self.questions, move |connection| {
            let body = connection
                .prepare_cached("SELECT id, call, body FROM invocation WHERE id = ?1 AND tenant = ?2")?
                .query_row(params![integer(id), tenant.as_str()], body)
                .optional()?;
            body.map(record).transpose()
        })
        .await
    }

    /// How many of a tenant's invocations are kept.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub async fn count(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let tenant = tenant.clone();
        ask(&self.questions, move |connection| {
            let count = "SELECT count(*) FROM invocation WHERE tenant = ?1";
            let count: i64 = connection.prepare_cached(count)?.query_row([tenant.as_str()], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// Forgets a tenant's invocations.
    pub async fn forget(&self, tenant: &TenantId) {
        // A closed log forgets nothing; the ring of a tenant that is made again replaces what is left.
        let _ = self.entries.send(Task::Forget(tenant.clone())).await;
    }

    /// Waits until everything that was given to [`InvocationLog::keep`] before is written.
    pub async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        if self.entries.send(Task::Flush(done)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Writes what waits, then closes the database.
    pub async fn close(self) {
        let (done, answer) = oneshot::channel();
        if self.questions.send(Ask::Close(done)).await.is_ok() {
            let _ = answer.await;
        }
        let (done, answer) = oneshot::channel();
        if self.entries.send(Task::Close(done)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

/// The thread that writes.
struct Ring {
    connection: Connection,
    /// How many are kept of each tenant.
    sizes: HashMap<TenantId, u64>,
    counts: Arc<Counts>,
}

impl Ring {
    fn run(&mut self, mut queue: mpsc::Receiver<Task>) {
        let mut next = queue.blocking_recv();
        while let Some(task) = next.take() {
            match task {
                Task::Keep(entry) => {
                    let mut batch = vec![entry];
                    while batch.len() < BATCH_MAX && next.is_none() {
                        match queue.try_recv() {
                            Ok(Task::Keep(entry)) => batch.push(entry),
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.keep(&batch);
                }
                Task::Forget(tenant) => self.forget(&tenant),
                Task::Flush(done) => {
                    let _ = done.send(());
                }
                Task::Close(done) => {
                    let _ = done.send(());
                    return;
                }
            }
            next = next.or_else(|| queue.blocking_recv());
        }
    }

    fn keep(&mut self, batch: &[Box<Entry>]) {
        let bytes: usize = batch.iter().map(|entry| entry.body.len()).sum();
        self.counts.waiting_bytes.fetch_sub(bytes, Relaxed);
        if let Err(error) = self.write(batch) {
            tracing::warn!(%error, records = batch.len(), "invocations could not be kept");
            self.counts.dropped.fetch_add(batch.len() as u64, Relaxed);
            // What is there is counted anew: the transaction may have ended anywhere.
            if let Ok(sizes) = sizes(&self.connection) {
                self.sizes = sizes;
            }
        }
    }

    fn write(&mut self, batch: &[Box<Entry>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut limits = HashMap::new();
        for entry in batch {
            let insert = "INSERT INTO invocation (tenant, function, version, call, failed, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let Entry { tenant, kept, function, version, call, failed, body } = &**entry;
            let values = params![tenant.as_str(), function, version, call, failed, body];
            transaction.prepare_cached(insert)?.execute(values)?;
            *self.sizes.entry(tenant.clone()).or_default() += 1;
            limits.insert(tenant, *kept);
        }
        for (tenant, kept) in limits {
            let Some(size) = self.sizes.get_mut(tenant) else { continue };
            let excess = size.saturating_sub(kept);
            if excess > 0 {
                let delete = "DELETE FROM invocation WHERE id IN (SELECT id FROM invocation WHERE tenant = ?1 ORDER BY id LIMIT ?2)";
                transaction.prepare_cached(delete)?.execute(params![tenant.as_str(), integer(excess)])?;
                *size -= excess;
            }
        }
        transaction.commit()
    }

    fn forget(&mut self, tenant: &TenantId) {
        let deleted = self.connection.execute("DELETE FROM invocation WHERE tenant = ?1", [tenant.as_str()]);
        match deleted {
            Ok(_) => drop(self.sizes.remove(tenant)),
            Err(error) => tracing::warn!(%tenant, %error, "the tenant's invocations could not be forgotten"),
        }
    }
}

fn sizes(connection: &Connection) -> rusqlite::Result<HashMap<TenantId, u64>> {
    let mut statement = connection.prepare("SELECT tenant, count(*) FROM invocation GROUP BY tenant")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    let named = rows.filter_map(|row| row.map(|(name, size)| Some((TenantId::new(&name).ok()?, size))).transpose());
    named.collect()
}

fn select(
    connection: &Connection,
    tenant: &TenantId,
    filter: &InvocationFilter,
) -> Result<Page<InvocationRecord>, StoreError> {
    let limit = filter.limit.clamp(1, INVOCATIONS_PAGE_MAX);
    let conditions = [
        Some(("tenant = ?", Value::Text(tenant.to_string()))),
        filter.function.as_ref().map(|function| ("function = ?", Value::Text(function.to_string()))),
        filter.version.map(|version| ("version = ?", Value::Integer(version.into()))),
        filter.call.as_ref().map(|call| ("call = ?", Value::Text(call.clone()))),
        filter.failed.then_some(("failed = ?", Value::Integer(1))),
        filter.before.map(|before| ("id < ?", Value::Integer(integer(before)))),
        filter.after.map(|after| ("id > ?", Value::Integer(integer(after)))),
    ];
    let (conditions, values): (Vec<_>, Vec<_>) = conditions.into_iter().flatten().unzip();
    let wanted = conditions.join(" AND ");
    let order = if filter.after.is_some() { "ASC" } else { "DESC" };
    let sql = format!("SELECT id, call, body FROM invocation WHERE {wanted} ORDER BY id {order} LIMIT {}", limit + 1);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), body)?;
    let mut items = rows.map(|row| record(row?)).collect::<Result<Vec<_>, _>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Page { items, next })
}

fn body(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn record((id, call, body): (i64, String, String)) -> Result<InvocationRecord, StoreError> {
    let mut record: InvocationRecord =
        serde_json::from_str(&body).map_err(|error| StoreError::BadRecord { call, error })?;
    record.id = id.unsigned_abs();
    Ok(record)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

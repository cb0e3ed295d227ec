//! The rows that say where each blob is. Changed in the transactions of the recordings that they belong to, and by the worker.

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::{RecordingId, TenantId};
use tandem_switch::time::UnixMillis;

use crate::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Where a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// In the object store.
    Stored,
    /// A file of this node that is being written.
    Writing,
    /// A file of this node.
    Local,
    /// On its way.
    Uploading,
    /// A file of this node that could not be uploaded again and again; it is tried for as long as it takes.
    Failed,
    /// To be deleted wherever it is.
    Deleting,
}

impl State {
    const ALL: [Self; 6] = [Self::Stored, Self::Writing, Self::Local, Self::Uploading, Self::Failed, Self::Deleting];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Writing => "writing",
            Self::Local => "local",
            Self::Uploading => "uploading",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }

    fn read(word: &str) -> rusqlite::Result<Self> {
        let unknown = || rusqlite::Error::InvalidColumnName(format!("blob.state {word:?}"));
        Self::ALL.into_iter().find(|state| state.word() == word).ok_or_else(unknown)
    }
}

/// A blob that something is to be done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) object: String,
    pub(crate) state: State,
    pub(crate) bytes: u64,
    /// How often it has failed.
    pub(crate) failures: u32,
}

/// A blob begins to be written.
pub(crate) fn begin(connection: &Connection, object: &str, tenant: &TenantId, recording: RecordingId) -> Result<()> {
    let insert = "INSERT INTO blob (object, tenant, recording, state) VALUES (?1, ?2, ?3, ?4)";
    let values = params![object, tenant.as_str(), recording.to_string(), State::Writing.word()];
    connection.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

/// A blob is written.
pub(crate) fn finish(connection: &Connection, object: &str, bytes: u64, uploading: bool) -> Result<()> {
    let update = "UPDATE blob SET state = ?2, bytes = ?3, due_at = ?4 WHERE object = ?1 AND state = ?5";
    let due = uploading.then_some(0);
    let values = params![object, State::Local.word(), bytes as i64, due, State::Writing.word()];
    connection.prepare_cached(update)?.execute(values)?;
    Ok(())
}

/// The blobs of a recording are to be deleted.
pub(crate) fn forget(connection: &Connection, tenant: &TenantId, recording: RecordingId) -> Result<()> {
    let update =
        "UPDATE blob SET state = ?3, due_at = 0, failures = 0, reason = NULL WHERE tenant = ?1 AND recording = ?2";
    let values = params![tenant.as_str(), recording.to_string(), State::Deleting.word()];
    connection.prepare_cached(update)?.execute(values)?;
    Ok(())
}

/// One blob is to be deleted.
pub(crate) fn forget_one(connection: &Connection, object: &str) -> Result<()> {
    let update = "UPDATE blob SET state = ?2, due_at = 0, failures = 0, reason = NULL WHERE object = ?1";
    connection.prepare_cached(update)?.execute(params![object, State::Deleting.word()])?;
    Ok(())
}

/// All blobs of a tenant are to be deleted.
pub(crate) fn forget_tenant(connection: &Connection, tenant: &TenantId) -> Result<()> {
    let update = "UPDATE blob SET state = ?2, due_at = 0, failures = 0, reason = NULL WHERE tenant = ?1";
    connection.execute(update, params![tenant.as_str(), State::Deleting.word()])?;
    Ok(())
}

/// How the blobs of a recording stand: as the one that stands worst.
pub(crate) fn state(connection: &Connection, tenant: &str, recording: &str) -> Result<Option<State>> {
    let select = "SELECT DISTINCT state FROM blob WHERE tenant = ?1 AND recording = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([tenant, recording], |row| State::read(&row.get::<_, String>(0)?))?;
    let mut worst = None;
    for state in rows {
        worst = worst.max(Some(state?));
    }
    Ok(worst)
}

/// Whether a blob is in an object store.
pub(super) fn is_uploaded(connection: &Connection, object: &str) -> Result<bool> {
    let select = "SELECT EXISTS (SELECT 1 FROM blob WHERE object = ?1 AND state = ?2)";
    Ok(connection.query_row(select, params![object, State::Stored.word()], |row| row.get(0))?)
}

/// Whether a blob's file is to stay on this node.
pub(super) fn is_kept_here(connection: &Connection, object: &str) -> Result<bool> {
    let select = "SELECT state FROM blob WHERE object = ?1";
    let state = connection.prepare_cached(select)?.query_row([object], |row| State::read(&row.get::<_, String>(0)?));
    Ok(!matches!(state.optional()?, None | Some(State::Stored)))
}

/// When the process begins: what was under way is under way no more, and all that waits is tried at once.
pub(super) fn resume(connection: &Connection, uploading: bool) -> Result<()> {
    let local = "UPDATE blob SET state = 'local' WHERE state = 'uploading'";
    connection.execute(local, [])?;
    let due = "UPDATE blob SET due_at = CASE WHEN state = 'deleting' OR ?1 THEN 0 END
               WHERE state IN ('local', 'failed', 'deleting')";
    connection.execute(due, [uploading])?;
    Ok(())
}

/// Takes up to `limit` blobs that are due, the longest due first.
pub(super) fn take(connection: &Connection, now: UnixMillis, limit: usize) -> Result<Vec<Due>> {
    let select = "SELECT object, state, bytes, failures FROM blob WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map(params![millis(now), limit as i64], |row| {
        Ok(Due {
            object: row.get(0)?,
            state: State::read(&row.get::<_, String>(1)?)?,
            bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            failures: row.get(3)?,
        })
    })?;
    let due = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let taken = "UPDATE blob SET due_at = NULL, state = CASE state WHEN 'deleting' THEN state ELSE 'uploading' END WHERE object = ?1";
    for blob in &due {
        connection.prepare_cached(taken)?.execute([&blob.object])?;
    }
    Ok(due)
}

/// When the next blob is due that is not due yet.
pub(super) fn next_due(connection: &Connection) -> Result<Option<UnixMillis>> {
    let next: Option<i64> =
        connection.query_row("SELECT min(due_at) FROM blob WHERE due_at IS NOT NULL", [], |row| row.get(0))?;
    Ok(next.map(|at| UnixMillis(at.unsigned_abs())))
}

/// A blob has been uploaded. `false`: it is to be deleted by now.
pub(super) fn uploaded(connection: &Connection, object: &str) -> Result<bool> {
    let update =
        "UPDATE blob SET state = 'stored', failures = 0, reason = NULL WHERE object = ?1 AND state = 'uploading'";
    Ok(connection.prepare_cached(update)?.execute([object])? > 0)
}

/// A blob is gone.
pub(super) fn deleted(connection: &Connection, object: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM blob WHERE object = ?1 AND state = 'deleting'")?.execute([object])?;
    Ok(())
}

/// It failed, and is due again then. What is to be deleted by now is due as it was.
pub(super) fn failed(
    connection: &Connection,
    object: &str,
    state: State,
    due_at: UnixMillis,
    reason: &str,
) -> Result<()> {
    let update = "UPDATE blob SET state = ?2, failures = failures + 1, due_at = ?3, reason = ?4
                  WHERE object = ?1 AND due_at IS NULL AND (state = 'deleting') = (?2 = 'deleting')";
    connection.prepare_cached(update)?.execute(params![object, state.word(), millis(due_at), reason])?;
    Ok(())
}

/// It is due again then, without having failed.
pub(super) fn put_off(connection: &Connection, object: &str, due_at: UnixMillis) -> Result<()> {
    let update = "UPDATE blob SET due_at = ?2 WHERE object = ?1";
    connection.prepare_cached(update)?.execute(params![object, millis(due_at)])?;
    Ok(())
}

/// How many blobs stand how.
pub(super) fn count(connection: &Connection, state: State) -> Result<u64> {
    let select = "SELECT count(*) FROM blob WHERE state = ?1";
    let count: i64 = connection.prepare_cached(select)?.query_row([state.word()], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

//! The tables, and how an older database becomes a newer one.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// Marks a database as ours: "TNDM".
const APPLICATION_ID: i64 = 0x544e_444d;

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What makes version n+1 of version n. Only ever appended to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE record (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        call TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        caller TEXT NOT NULL,
        dialled TEXT NOT NULL,
        answered_by TEXT,
        started_at INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX record_by_tenant ON record (tenant, started_at);
    CREATE INDEX record_by_time ON record (started_at);
"];

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("migrations are few")
}

/// Makes a new database, or brings an older one up to date.
pub(super) fn prepare(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let cannot_open = |error| StoreError::cannot_open(file, error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(cannot_open)?;
    let found = version(connection, file)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(cannot_open)?;
    if mode != "wal" {
        tracing::warn!(mode, "the file system has no write-ahead log; `tandem records` may have to wait for the node");
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(cannot_open)?;
    let done = usize::try_from(found).unwrap_or(0);
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = index + 1;
        let batch = format!(
            "BEGIN IMMEDIATE; {migration} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        );
        connection.execute_batch(&batch).map_err(cannot_open)?;
    }
    // A directory that may be read but not written shows itself here rather than at the first call's end.
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT;").map_err(cannot_open)
}

/// Checks that a database that is only read is one of ours and of a version that is known.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| StoreError::cannot_open(file, error))?;
    match version(connection, file)? {
        0 => Err(StoreError::Missing { file: file.to_owned() }),
        _ => Ok(()),
    }
}

/// The database's version; 0 when it is empty.
fn version(connection: &Connection, file: &Path) -> Result<i64, StoreError> {
    let cannot_open = |error| StoreError::cannot_open(file, error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(cannot_open);
    let tables = number("SELECT count(*) FROM sqlite_master")?;
    let application = number("PRAGMA application_id")?;
    let found = number("PRAGMA user_version")?;
    match (tables, application) {
        (0, 0) => Ok(0),
        (_, APPLICATION_ID) if found > known() => {
            Err(StoreError::TooNew { file: file.to_owned(), found, known: known() })
        }
        (_, APPLICATION_ID) => Ok(found),
        (_, _) => Err(StoreError::Foreign { file: file.to_owned() }),
    }
}

//! The tables, and how an older database becomes a newer one.
//!
//! What is shown as a whole and never searched (settings, a version, a roll-out) is kept as JSON in `body`, in the shape that the
//! control API shows; what is searched, counted or joined has a column.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// Marks a database as ours: "TNDM".
const APPLICATION_ID: i64 = 0x544e_444d;

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One kind of database.
pub(super) struct Schema {
    /// What makes version n+1 of version n. Only ever appended to.
    migrations: &'static [&'static str],
    /// Whether what was acknowledged must survive a power cut (`FULL`), or a killed process only (`NORMAL`).
    synchronous: &'static str,
}

/// `tandem.sqlite`.
pub(super) const STORE: Schema = Schema { migrations: &[RECORDS, TENANTS, AUDIO, QUEUES], synchronous: "FULL" };

/// `invocations.sqlite`: what happened is worth having, and not worth a flush for each invocation.
pub(super) const INVOCATIONS: Schema = Schema { migrations: &[INVOCATION], synchronous: "NORMAL" };

const RECORDS: &str = "
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
";

const TENANTS: &str = "
    CREATE TABLE tenant (
        name TEXT PRIMARY KEY,
        settings TEXT NOT NULL,
        declared INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        deployments INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE key (
        seq INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        id TEXT,
        kind TEXT NOT NULL,
        material BLOB NOT NULL,
        declared INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE TABLE user (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        display_name TEXT,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        hash BLOB NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX token_by_tenant ON token (tenant);
    CREATE TABLE component (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        kind TEXT NOT NULL,
        imports TEXT NOT NULL,
        uploaded_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX component_by_digest ON component (digest);
    CREATE TABLE function (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        body TEXT NOT NULL,
        versions INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE version (
        tenant TEXT NOT NULL,
        function TEXT NOT NULL,
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, function, number),
        FOREIGN KEY (tenant, function) REFERENCES function ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX version_by_digest ON version (tenant, digest);
    CREATE TABLE deployment (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        id INTEGER NOT NULL,
        function TEXT NOT NULL,
        running INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deployment_by_function ON deployment (tenant, function, id);
    CREATE TABLE binding (
        tenant TEXT NOT NULL,
        pattern TEXT NOT NULL,
        function TEXT NOT NULL,
        PRIMARY KEY (tenant, pattern),
        FOREIGN KEY (tenant, function) REFERENCES function ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE variable (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        secret INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kv (
        tenant TEXT NOT NULL,
        store TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (tenant, store, key)
    ) STRICT;
    CREATE TABLE kv_usage (
        tenant TEXT PRIMARY KEY,
        keys INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        tenant TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_tenant ON audit (tenant, id);
    CREATE TABLE idempotency (
        actor TEXT NOT NULL,
        key TEXT NOT NULL,
        request BLOB NOT NULL,
        status INTEGER NOT NULL,
        body BLOB NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (actor, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_by_time ON idempotency (at);
";

/// Prompts, recordings, mailboxes. `blob` outlives what it belongs to until its file is gone; `recording_usage` is kept by triggers, so that
/// a budget is known without counting.
const AUDIO: &str = "
    CREATE TABLE prompt (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE prompt_audio (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        ogg BLOB NOT NULL,
        PRIMARY KEY (tenant, name),
        FOREIGN KEY (tenant, name) REFERENCES prompt ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE recording (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        id TEXT NOT NULL,
        call TEXT,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        body TEXT NOT NULL,
        meant_for TEXT,
        waveform BLOB,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE INDEX recording_by_tenant ON recording (tenant, seq);
    CREATE INDEX recording_by_call ON recording (tenant, call, seq);
    CREATE INDEX recording_by_time ON recording (tenant, started_at);
    CREATE INDEX recording_unfinished ON recording (state) WHERE state = 'recording' OR meant_for IS NOT NULL;
    CREATE TABLE recording_usage (
        tenant TEXT PRIMARY KEY,
        recordings INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER recording_added AFTER INSERT ON recording BEGIN
        INSERT INTO recording_usage VALUES (NEW.tenant, 1, NEW.bytes)
            ON CONFLICT (tenant) DO UPDATE SET recordings = recordings + 1, bytes = bytes + NEW.bytes;
    END;
    CREATE TRIGGER recording_grown AFTER UPDATE OF bytes ON recording BEGIN
        UPDATE recording_usage SET bytes = bytes + NEW.bytes - OLD.bytes WHERE tenant = NEW.tenant;
    END;
    CREATE TRIGGER recording_gone AFTER DELETE ON recording BEGIN
        UPDATE recording_usage SET recordings = recordings - 1, bytes = bytes - OLD.bytes WHERE tenant = OLD.tenant;
        DELETE FROM recording_usage WHERE tenant = OLD.tenant AND recordings = 0;
    END;
    CREATE TABLE blob (
        object TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        recording TEXT NOT NULL,
        state TEXT NOT NULL,
        bytes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        due_at INTEGER,
        reason TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blob_by_recording ON blob (tenant, recording);
    CREATE INDEX blob_by_due ON blob (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX blob_by_state ON blob (state);
    CREATE TABLE mailbox (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        settings TEXT NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE mailbox_owner (
        tenant TEXT NOT NULL,
        user TEXT NOT NULL,
        mailbox TEXT NOT NULL,
        PRIMARY KEY (tenant, user, mailbox),
        FOREIGN KEY (tenant, mailbox) REFERENCES mailbox ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX mailbox_owner_by_mailbox ON mailbox_owner (tenant, mailbox);
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        mailbox TEXT NOT NULL,
        id TEXT NOT NULL,
        recording TEXT NOT NULL,
        heard INTEGER NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (tenant, mailbox, id),
        FOREIGN KEY (tenant, mailbox) REFERENCES mailbox ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX message_by_mailbox ON message (tenant, mailbox, seq);
    CREATE INDEX message_by_recording ON message (tenant, recording);
";

const QUEUES: &str = "
    CREATE TABLE queue (
        tenant TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
        name TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;
";

const INVOCATION: &str = "
    CREATE TABLE invocation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        function TEXT NOT NULL,
        version INTEGER NOT NULL,
        call TEXT NOT NULL,
        failed INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX invocation_by_tenant ON invocation (tenant, id);
    CREATE INDEX invocation_by_call ON invocation (tenant, call, id);
";

impl Schema {
    fn known(&self) -> i64 {
        i64::try_from(self.migrations.len()).expect("migrations are few")
    }
}

/// Makes a new database, or brings an older one up to date.
pub(super) fn prepare(schema: &Schema, connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let cannot_open = |error| StoreError::cannot_open(file, error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(cannot_open)?;
    let found = version(schema, connection, file)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(cannot_open)?;
    if mode != "wal" {
        tracing::warn!(mode, "the file system has no write-ahead log; `tandem records` may have to wait for the node");
    }
    connection.pragma_update(None, "foreign_keys", true).map_err(cannot_open)?;
    connection.pragma_update(None, "synchronous", schema.synchronous).map_err(cannot_open)?;
    let done = usize::try_from(found).unwrap_or(0);
    for (index, migration) in schema.migrations.iter().enumerate().skip(done) {
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
pub(super) fn check(schema: &Schema, connection: &Connection, file: &Path) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| StoreError::cannot_open(file, error))?;
    match version(schema, connection, file)? {
        0 => Err(StoreError::Missing { file: file.to_owned() }),
        _ => Ok(()),
    }
}

/// The database's version; 0 when it is empty.
fn version(schema: &Schema, connection: &Connection, file: &Path) -> Result<i64, StoreError> {
    let cannot_open = |error| StoreError::cannot_open(file, error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(cannot_open);
    let tables = number("SELECT count(*) FROM sqlite_master")?;
    let application = number("PRAGMA application_id")?;
    let found = number("PRAGMA user_version")?;
    match (tables, application) {
        (0, 0) => Ok(0),
        (_, APPLICATION_ID) if found > schema.known() => {
            Err(StoreError::TooNew { file: file.to_owned(), found, known: schema.known() })
        }
        (_, APPLICATION_ID) => Ok(found),
        (_, _) => Err(StoreError::Foreign { file: file.to_owned() }),
    }
}

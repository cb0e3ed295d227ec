//! Key-value stores: what functions remember between calls, by tenant, store and key. What a tenant uses is counted with every change,
//! in the same transaction, and never by looking through what is there.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::TenantId;

use super::{Store, StoreError, ask};

/// Longest key, bytes. 1 KiB fits any address and any path. Longer: refused.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest value, bytes. A function that keeps more wants a database of its own. Larger: refused.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Most keys of one page. A larger limit is cut down to it.
pub const KV_PAGE_MAX: usize = 1000;

/// Longest label of a store, bytes.
const LABEL_BYTES_MAX: usize = 64;

/// What a tenant may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most keys.
    pub keys: u64,
    /// Most bytes of keys and values.
    pub bytes: u64,
}

/// Why key-value refuses.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// A key, label or value breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The tenant's quota is used up.
    #[error("the limit of {limit} {budget} is reached")]
    OverQuota {
        /// `kv-keys` or `kv-bytes`.
        budget: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for KvError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Whether this can be a store's label: 1 to 64 of a-z, 0-9, `-`, `_`.
pub fn is_label(label: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(legal)
}

/// A handle to all key-value stores. Clones share it.
#[derive(Clone, Debug)]
pub struct Kv {
    store: Store,
}

/// Where a value is.
#[derive(Clone, Debug)]
struct Place {
    tenant: TenantId,
    store: Arc<str>,
    key: Arc<str>,
}

impl Place {
    fn new(tenant: &TenantId, store: &str, key: &str) -> Result<Self, KvError> {
        check_label(store)?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\0') {
            let got = key.len();
            let what = format!("a key has 1 to {KEY_BYTES_MAX} bytes and no NUL; this one has {got} bytes");
            return Err(KvError::Invalid(what));
        }
        Ok(Self { tenant: tenant.clone(), store: store.into(), key: key.into() })
    }
}

fn check_label(store: &str) -> Result<(), KvError> {
    if is_label(store) {
        return Ok(());
    }
    let shown: String = store.chars().take(LABEL_BYTES_MAX).collect();
    let what = format!("a store's label is 1 to {LABEL_BYTES_MAX} of a-z, 0-9, `-`, `_`; got {shown:?}");
    Err(KvError::Invalid(what))
}

impl Kv {
    /// Of the same store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// A value, if there is one.
    ///
    /// # Errors
    /// When the key breaks a rule or the store fails.
    pub async fn get(&self, tenant: &TenantId, store: &str, key: &str) -> Result<Option<bytes::Bytes>, KvError> {
        let place = Place::new(tenant, store, key)?;
        self.look(move |connection| Ok(value(connection, &place)?.map(Into::into))).await
    }

    /// Whether there is a value.
    ///
    /// # Errors
    /// When the key breaks a rule or the store fails.
    pub async fn exists(&self, tenant: &TenantId, store: &str, key: &str) -> Result<bool, KvError> {
        let place = Place::new(tenant, store, key)?;
        self.look(move |connection| Ok(size(connection, &place)?.is_some())).await
    }

    /// Keys after `after` in their order, with the sizes of their values; at most [`KV_PAGE_MAX`]; and whether there are more.
    ///
    /// # Errors
    /// When the label breaks a rule or the store fails.
    pub async fn keys(
        &self,
        tenant: &TenantId,
        store: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, u64)>, bool), KvError> {
        check_label(store)?;
        let (tenant, store, after) = (tenant.clone(), store.to_owned(), after.unwrap_or_default().to_owned());
        let limit = limit.clamp(1, KV_PAGE_MAX);
        let select =
            "SELECT key, length(value) FROM kv WHERE tenant = ?1 AND store = ?2 AND key > ?3 ORDER BY key LIMIT ?4";
        self.look(move |connection| {
            let mut statement = connection.prepare_cached(select)?;
            let rows = statement.query_map(params![tenant.as_str(), store, after, limit as i64 + 1], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })?;
            let mut keys = rows.collect::<Result<Vec<_>, _>>()?;
            let more = keys.len() > limit;
            keys.truncate(limit);
            Ok((keys, more))
        })
        .await
    }

    /// Keeps a value; when this returns, it is on disk.
    ///
    /// # Errors
    /// When the key or value breaks a rule, the quota is used up, or the store fails.
    pub async fn set(
        &self,
        tenant: &TenantId,
        store: &str,
        key: &str,
        value: bytes::Bytes,
        quota: Quota,
    ) -> Result<(), KvError> {
        let place = Place::new(tenant, store, key)?;
        self.store.change(move |connection| set(connection, &place, &value, quota)).await
    }

    /// Forgets a key; says whether it was there.
    ///
    /// # Errors
    /// When the key breaks a rule or the store fails.
    pub async fn delete(&self, tenant: &TenantId, store: &str, key: &str) -> Result<bool, KvError> {
        let place = Place::new(tenant, store, key)?;
        self.store.change(move |connection| delete(connection, &place)).await
    }

    /// Adds to the number under a key, which is decimal text; a key that is not there counts as 0. Gives the sum.
    ///
    /// # Errors
    /// When what is there is no number or the sum none of 64 bits, the quota is used up, or the store fails.
    pub async fn increment(
        &self,
        tenant: &TenantId,
        store: &str,
        key: &str,
        by: i64,
        quota: Quota,
    ) -> Result<i64, KvError> {
        let place = Place::new(tenant, store, key)?;
        self.store.change(move |connection| increment(connection, &place, by, quota)).await
    }

    /// A value to keep within a larger change.
    ///
    /// # Errors
    /// When the key breaks a rule.
    pub(crate) fn put(tenant: &TenantId, store: &str, key: &str, value: bytes::Bytes) -> Result<Put, KvError> {
        Ok(Put { place: Place::new(tenant, store, key)?, value })
    }

    /// A key to forget within a larger change.
    ///
    /// # Errors
    /// When the key breaks a rule.
    pub(crate) fn removal(tenant: &TenantId, store: &str, key: &str) -> Result<Removal, KvError> {
        Ok(Removal { place: Place::new(tenant, store, key)? })
    }

    /// How many keys a tenant has, and how many bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(&self, tenant: &TenantId) -> Result<(u64, u64), KvError> {
        let tenant = tenant.clone();
        self.look(move |connection| Ok(usage(connection, &tenant)?)).await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, KvError> + Send + 'static,
    ) -> Result<T, KvError> {
        ask(&self.store.lookups, work).await
    }
}

/// See [`Kv::put`].
pub(crate) struct Put {
    place: Place,
    value: bytes::Bytes,
}

impl Put {
    pub(crate) fn bytes(&self) -> usize {
        self.value.len()
    }

    pub(crate) fn make(&self, connection: &Connection, quota: Quota) -> Result<(), KvError> {
        set(connection, &self.place, &self.value, quota)
    }
}

/// See [`Kv::removal`].
pub(crate) struct Removal {
    place: Place,
}

impl Removal {
    /// Says whether the key was there.
    pub(crate) fn make(&self, connection: &Connection) -> Result<bool, KvError> {
        delete(connection, &self.place)
    }
}

fn value(connection: &Connection, place: &Place) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM kv WHERE tenant = ?1 AND store = ?2 AND key = ?3")?;
    statement.query_row(params![place.tenant.as_str(), &*place.store, &*place.key], |row| row.get(0)).optional()
}

fn size(connection: &Connection, place: &Place) -> rusqlite::Result<Option<u64>> {
    let mut statement =
        connection.prepare_cached("SELECT length(value) FROM kv WHERE tenant = ?1 AND store = ?2 AND key = ?3")?;
    let size = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)?.unsigned_abs());
    statement.query_row(params![place.tenant.as_str(), &*place.store, &*place.key], size).optional()
}

/// Keys and bytes of a tenant.
fn usage(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<(u64, u64)> {
    let mut statement = connection.prepare_cached("SELECT keys, bytes FROM kv_usage WHERE tenant = ?1")?;
    let counted =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()));
    Ok(statement.query_row([tenant.as_str()], counted).optional()?.unwrap_or_default())
}

/// Counts what has changed: keys and bytes, more or fewer.
fn account(connection: &Connection, tenant: &TenantId, keys: i64, bytes: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO kv_usage (tenant, keys, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant) DO UPDATE SET keys = keys + ?2, bytes = bytes + ?3",
    )?;
    statement.execute(params![tenant.as_str(), keys, bytes]).map(drop)
}

fn set(connection: &Connection, place: &Place, value: &[u8], quota: Quota) -> Result<(), KvError> {
    if value.len() > VALUE_BYTES_MAX {
        let what = format!("a value has at most {VALUE_BYTES_MAX} bytes; this one has {}", value.len());
        return Err(KvError::Invalid(what));
    }
    let before = size(connection, place)?;
    let (keys, bytes) = usage(connection, &place.tenant)?;
    let (key_bytes, value_bytes) = (place.key.len() as u64, value.len() as u64);
    let (more_keys, gone, come) = match before {
        Some(size) => (0, size, value_bytes),
        None => (1, 0, key_bytes + value_bytes),
    };
    if more_keys > 0 && keys + more_keys > quota.keys {
        return Err(KvError::OverQuota { budget: "kv-keys", limit: quota.keys });
    }
    // What makes room is let through, even where the limit was lowered below what is there.
    if come > gone && bytes - gone.min(bytes) + come > quota.bytes {
        return Err(KvError::OverQuota { budget: "kv-bytes", limit: quota.bytes });
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO kv (tenant, store, key, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, store, key) DO UPDATE SET value = ?4",
    )?;
    statement.execute(params![place.tenant.as_str(), &*place.store, &*place.key, value])?;
    Ok(account(connection, &place.tenant, more_keys as i64, come as i64 - gone as i64)?)
}

fn delete(connection: &Connection, place: &Place) -> Result<bool, KvError> {
    let Some(size) = size(connection, place)? else { return Ok(false) };
    let mut statement = connection.prepare_cached("DELETE FROM kv WHERE tenant = ?1 AND store = ?2 AND key = ?3")?;
    statement.execute(params![place.tenant.as_str(), &*place.store, &*place.key])?;
    account(connection, &place.tenant, -1, -((place.key.len() as u64 + size) as i64))?;
    Ok(true)
}

fn increment(connection: &Connection, place: &Place, by: i64, quota: Quota) -> Result<i64, KvError> {
    let not_a_number = || KvError::Invalid("what is under the key is no whole number of 64 bits".into());
    let before = match value(connection, place)? {
        None => 0,
        Some(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(not_a_number)?,
    };
    let sum: i64 =
        i64::checked_add(before, by).ok_or_else(|| KvError::Invalid("the sum is no whole number of 64 bits".into()))?;
    set(connection, place, sum.to_string().as_bytes(), quota)?;
    Ok(sum)
}

/// Forgets everything of a tenant.
pub(crate) fn kv_forget(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM kv WHERE tenant = ?1", [tenant.as_str()])?;
    connection.execute("DELETE FROM kv_usage WHERE tenant = ?1", [tenant.as_str()]).map(drop)
}

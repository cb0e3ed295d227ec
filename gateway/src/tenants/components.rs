//! Uploaded components: checked by compiling them before anybody depends on them, kept by their digest.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_host::{Digest, Function, Kind, LoadError};
use tandem_switch::id::TenantId;

use super::change::{Change, json, millis, parsed, to_its_end};
use super::model::Actor;
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;
use crate::store::{ComponentError, Components, StoreError, Unfinished};

/// Most uploaded components of a tenant that are in no version; the oldest go. An upload becomes a version in the next request, usually.
const UNUSED_MAX: usize = 8;

/// What is known of a component.
pub(super) struct Component {
    pub(super) bytes: u64,
    pub(super) kind: String,
    pub(super) imports: Vec<String>,
}

impl Tenants {
    /// Keeps a component under its digest, once the gateway has found that it would run it. Again is no error, and mends a damaged file.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_component(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        digest: &str,
        bytes: bytes::Bytes,
    ) -> Result<()> {
        let digest = parse_digest(digest)?;
        let max = self.tenant(tenant).await?.settings.limits.component_bytes;
        let meters = self.meters().of(tenant);
        if bytes.len() as u64 > max {
            meters.component_bytes.refuse();
            let (bytes, max) = (bytes.len(), usize::try_from(max).unwrap_or(usize::MAX));
            return Err(TenantError::Component(LoadError::TooLarge { bytes, max }));
        }
        meters.component_bytes.at_least(bytes.len() as u64);
        let change = Change::new(actor, tenant, "component.upload", &digest, Effect::Nothing);
        let (this, tenant) = (self.clone(), tenant.clone());
        to_its_end(async move {
            // In the tenant's turn: one tenant compiles one component at a time.
            let _turn = this.shared.turns.take(&tenant).await;
            check_digest(digest.clone(), bytes.clone()).await?;
            // The disk takes its time while the component is compiled.
            let (components, name, written) = (this.shared.components.clone(), digest.clone(), bytes.clone());
            let write = on_disk(move || components.write(&name, &written));
            let (function, unfinished) = tokio::try_join!(this.compile(bytes.clone()), write)?;
            this.keep_component(change, &tenant, digest, bytes, function, unfinished).await
        })
        .await
    }

    /// Compiles a component, away from the threads that carry calls, and says what it is.
    async fn compile(&self, bytes: bytes::Bytes) -> Result<Arc<Function>> {
        let host = Arc::clone(&self.shared.parts.host);
        let compiled = tokio::task::spawn_blocking(move || Ok(host.load(&bytes)?));
        compiled.await.unwrap_or(Err(TenantError::Stopping))
    }

    async fn keep_component(
        &self,
        change: Change,
        tenant: &TenantId,
        digest: String,
        bytes: bytes::Bytes,
        function: Arc<Function>,
        unfinished: Unfinished,
    ) -> Result<()> {
        let size = bytes.len() as u64;
        let (kind, imports) = (kind(function.kind()), function.imports().to_vec());
        let dropped = {
            let _files = self.shared.files.lock().await;
            on_disk(move || unfinished.keep(&bytes)).await?;
            let (whose, name) = (tenant.clone(), digest.clone());
            let insert = move |connection: &Connection, line: &mut super::change::Line| {
                settings::find(connection, &whose)?;
                let insert = "INSERT INTO component (tenant, digest, bytes, kind, imports, uploaded_at)
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant, digest) DO NOTHING";
                let at = millis(unix_now());
                let imports = json(&imports)?;
                let inserted =
                    connection.execute(insert, params![whose.as_str(), name, size as i64, kind, imports, at])?;
                line.unchanged = inserted == 0;
                line.detail = format!("{size} bytes, {kind}");
                forget_unused(connection, &whose)
            };
            self.make(change, insert).await?
        };
        let key = (tenant.clone(), digest);
        let was_loaded = self.hold(key.clone(), function);
        self.forget_files(tenant, dropped).await;
        // A version whose file was damaged is whole again.
        let work = async {
            if !was_loaded && self.is_deployed(&key).await? { self.publish_routing(tenant).await } else { Ok(()) }
        };
        work.await.map_err(|error| TenantError::NotAtWork(error.into()))
    }

    /// Holds a function ready, and lets go of the tenant's others that nobody but this map holds: those that answer calls, the driver
    /// holds too. So what a tenant uploads and never deploys takes memory once. Says whether it was held before.
    fn hold(&self, key: (TenantId, String), function: Arc<Function>) -> bool {
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|held, function| held.0 != key.0 || *held == key || Arc::strong_count(function) > 1);
        loaded.insert(key, function).is_some()
    }

    async fn is_deployed(&self, (tenant, digest): &(TenantId, String)) -> Result<bool> {
        let (tenant, digest) = (tenant.clone(), digest.clone());
        self.read(move |connection| has_version(connection, &tenant, &digest)).await
    }

    /// The bytes of a component that the tenant uploaded.
    ///
    /// # Errors
    /// When it has none of this digest, or the file is damaged.
    pub async fn component(&self, tenant: &TenantId, digest: &str) -> Result<bytes::Bytes> {
        let digest = parse_digest(digest)?;
        let (whose, name) = (tenant.clone(), digest.clone());
        self.read(move |connection| find(connection, &whose, &name).map(drop)).await?;
        let components = self.shared.components.clone();
        on_disk(move || components.read(&digest)).await.map(Into::into)
    }

    /// A component ready to run: the one that is loaded already, else from its file.
    pub(super) async fn load(&self, tenant: &TenantId, digest: &str) -> Result<Arc<Function>> {
        let key = (tenant.clone(), digest.to_owned());
        let known = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let (components, host) = (self.shared.components.clone(), Arc::clone(&self.shared.parts.host));
        let name = digest.to_owned();
        let loaded = tokio::task::spawn_blocking(move || Ok(host.load(&components.read(&name).map_err(unusable)?)?));
        let loaded = loaded.await.unwrap_or(Err(TenantError::Stopping))?;
        self.hold(key, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Lets go of a tenant's functions that answer no new calls. Calls under way hold their own.
    pub(super) fn retain_loaded(&self, tenant: &TenantId, digests: &[String]) {
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|(whose, digest), _| whose != tenant || digests.contains(digest));
    }

    /// Removes the files of components that a tenant no longer has, unless another has them.
    /// The change is made by then: what fails is told in the log, and the next start removes what is left.
    pub(super) async fn forget_files(&self, tenant: &TenantId, digests: Vec<String>) {
        if digests.is_empty() {
            return;
        }
        {
            let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.retain(|(whose, digest), _| whose != tenant || !digests.contains(digest));
        }
        self.remove_files(move |components, used| {
            digests.iter().filter(|digest| !used.contains(*digest)).for_each(|digest| components.remove(digest));
        })
        .await;
    }

    /// Removes what interrupted uploads left behind, and what nobody has any more.
    pub(super) async fn tidy_components(&self) {
        self.remove_files(|components, used| components.tidy(used)).await;
    }

    async fn remove_files(&self, remove: impl FnOnce(&Components, &HashSet<String>) + Send + 'static) {
        let _files = self.shared.files.lock().await;
        let components = self.shared.components.clone();
        let removed = match self.read(used_digests).await {
            Ok(used) => {
                on_disk(move || {
                    remove(&components, &used);
                    Ok(())
                })
                .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "components that nobody uses stay on disk until the next start");
        }
    }
}

/// Holds bytes against the digest that they were uploaded under.
async fn check_digest(digest: String, bytes: bytes::Bytes) -> Result<()> {
    let found = tokio::task::spawn_blocking(move || Digest::of(&bytes).to_string());
    let found = found.await.map_err(|_| TenantError::Stopping)?;
    if found == digest { Ok(()) } else { Err(TenantError::WrongDigest { expected: digest, found }) }
}

/// Work that waits for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, ComponentError> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| TenantError::Stopping)?;
    done.map_err(unusable)
}

fn unusable(error: ComponentError) -> TenantError {
    match error {
        ComponentError::Missing(_) | ComponentError::Damaged(_) => TenantError::Conflict(error.to_string()),
        ComponentError::Disk { .. } => TenantError::Store(StoreError::NotWritten(error.to_string())),
    }
}

/// A digest as it is written: nothing else ever becomes part of a file's name.
pub(super) fn parse_digest(digest: &str) -> Result<String> {
    let legal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(legal) {
        return Ok(digest.to_owned());
    }
    Err(TenantError::invalid("digest", "must be a SHA-256: 64 hexadecimal digits, lower case"))
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, digest: &str) -> Result<Component> {
    settings::find(connection, tenant)?;
    let select = "SELECT bytes, kind, imports FROM component WHERE tenant = ?1 AND digest = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let row = statement
        .query_row([tenant.as_str(), digest], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?)));
    let (bytes, kind, imports) = row.optional()?.ok_or_else(|| TenantError::not_found("component", digest))?;
    Ok(Component { bytes: bytes.unsigned_abs(), kind, imports: parsed("of a component", &imports)? })
}

fn has_version(connection: &Connection, tenant: &TenantId, digest: &str) -> Result<bool> {
    let select = "SELECT EXISTS (SELECT 1 FROM version WHERE tenant = ?1 AND digest = ?2)";
    Ok(connection.prepare_cached(select)?.query_row([tenant.as_str(), digest], |row| row.get(0))?)
}

/// Forgets those of these components that are in no version any more; gives those.
pub(super) fn forget_if_unused(
    connection: &Connection,
    tenant: &TenantId,
    digests: Vec<String>,
) -> Result<Vec<String>> {
    let mut gone = Vec::new();
    for digest in digests {
        if !has_version(connection, tenant, &digest)? {
            let delete = "DELETE FROM component WHERE tenant = ?1 AND digest = ?2";
            connection.execute(delete, [tenant.as_str(), &digest])?;
            gone.push(digest);
        }
    }
    Ok(gone)
}

/// Forgets the oldest uploads beyond [`UNUSED_MAX`] that never became a version; gives them.
fn forget_unused(connection: &Connection, tenant: &TenantId) -> Result<Vec<String>> {
    let select = "SELECT digest FROM component AS c WHERE tenant = ?1 AND NOT EXISTS
        (SELECT 1 FROM version AS v WHERE v.tenant = c.tenant AND v.digest = c.digest)
        ORDER BY uploaded_at DESC LIMIT -1 OFFSET ?2";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map(params![tenant.as_str(), UNUSED_MAX as i64], |row| row.get(0))?;
    let digests = rows.collect::<rusqlite::Result<Vec<String>>>()?;
    forget_if_unused(connection, tenant, digests)
}

fn used_digests(connection: &Connection) -> Result<HashSet<String>> {
    let mut statement = connection.prepare("SELECT DISTINCT digest FROM component")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What kind of component it is, as it is shown.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Router => "router",
        Kind::BlockingRouter => "blocking-router",
        Kind::Http02 => "http-0.2",
        Kind::Http03 => "http-0.3",
    }
}

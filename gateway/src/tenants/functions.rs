//! Functions and their versions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::{FunctionId, TenantId};

use super::change::{Change, bounded, expect, json, number, page, parsed};
use super::components;
use super::model::{
    Actor, Function, Limits, Manifest, NewVersion, Page, Revision, Version, VersionDiff, VersionNumber, VersionState,
};
use super::publish::Effect;
use super::settings::{self, verifying_key};
use super::{Result, TenantError, Tenants};
use crate::clock::unix_now;
use crate::outgoing::HostPattern;
use crate::store::is_label;

/// Most entries of each list of a manifest.
const MANIFEST_ENTRIES_MAX: usize = 64;

/// Longest note, bytes.
const NOTE_BYTES_MAX: usize = 1024;

impl Tenants {
    /// Its functions, by name.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn functions(&self, tenant: &TenantId) -> Result<Vec<Function>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            all(connection, &tenant)
        })
        .await
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn function(&self, tenant: &TenantId, function: &FunctionId) -> Result<Function> {
        let (tenant, function) = (tenant.clone(), function.clone());
        self.read(move |connection| find(connection, &tenant, &function)).await
    }

    /// Makes a version of an uploaded component; the first makes the function. The same component with the same manifest is the same version.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_version(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        version: NewVersion,
    ) -> Result<Version> {
        check_manifest(&version.manifest)?;
        components::parse_digest(&version.digest)?;
        let change = Change::new(actor, tenant, "version.create", function, Effect::Nothing);
        let (whose, function, by) = (tenant.clone(), function.clone(), actor.to_string());
        let meters = self.meters().of(tenant);
        let made = self
            .change(change, move |connection, line| {
                let settings = settings::find(connection, &whose)?.settings;
                check_signature(settings.signing_key.as_deref(), &version)?;
                let component = components::find(connection, &whose, &version.digest)?;
                let NewVersion { digest, manifest, signature: _ } = version;
                if let Some(same) = same(connection, &whose, &function, &digest, &manifest)? {
                    line.unchanged = true;
                    return Ok((same, Vec::new()));
                }
                let made = make(connection, &whose, &function, &settings.limits)?;
                let number = next_number(connection, &whose, &function)?;
                line.detail = format!("version {number}, component {digest}");
                let version = Version {
                    number,
                    digest,
                    bytes: component.bytes,
                    kind: component.kind,
                    imports: component.imports,
                    manifest,
                    state: VersionState::New,
                    reason: None,
                    created_at: unix_now(),
                    created_by: by,
                };
                put_version(connection, &whose, &function, &version)?;
                let gone = forget_oldest(connection, &whose, &made, number, settings.limits.versions)?;
                Ok((version, gone))
            })
            .await;
        if matches!(&made, Err(TenantError::OverLimit { .. })) {
            meters.functions.refuse();
        }
        let (version, gone) = made?;
        self.forget_files(tenant, gone).await;
        Ok(version)
    }

    /// Its versions, newest first.
    ///
    /// # Errors
    /// When there is no such function, the cursor is none, or the store fails.
    pub async fn versions(
        &self,
        tenant: &TenantId,
        function: &FunctionId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Version>> {
        let (tenant, function) = (tenant.clone(), function.clone());
        let (before, limit) = (number(cursor)?, bounded(limit));
        self.read(move |connection| {
            find(connection, &tenant, &function)?;
            let versions = newest_versions(connection, &tenant, &function, before, limit as i64 + 1)?;
            Ok(page(versions, limit, |version| version.number.to_string()))
        })
        .await
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn version(&self, tenant: &TenantId, function: &FunctionId, number: VersionNumber) -> Result<Version> {
        let (tenant, function) = (tenant.clone(), function.clone());
        self.read(move |connection| {
            find(connection, &tenant, &function)?;
            version(connection, &tenant, &function, number)
        })
        .await
    }

    /// What differs between two versions.
    ///
    /// # Errors
    /// When one of them is not there, or the store fails.
    pub async fn diff(
        &self,
        tenant: &TenantId,
        function: &FunctionId,
        from: VersionNumber,
        to: VersionNumber,
    ) -> Result<VersionDiff> {
        let one = self.version(tenant, function, from).await?;
        let other = self.version(tenant, function, to).await?;
        Ok(difference(&one, &other))
    }

    /// Forgets a function with its versions and bindings. Calls under way end on the version they began with.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_function(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        expected: Option<Revision>,
    ) -> Result<()> {
        let change = Change::new(actor, tenant, "function.delete", function, Effect::Routing);
        let (whose, function) = (tenant.clone(), function.clone());
        let gone = self
            .change(change, move |connection, _line| {
                let found = find(connection, &whose, &function)?;
                expect(expected, found.revision)?;
                let versions = newest_versions(connection, &whose, &function, i64::MAX, -1)?;
                let names = [whose.as_str(), function.as_str()];
                connection.execute("DELETE FROM deployment WHERE tenant = ?1 AND function = ?2", names)?;
                connection.execute("DELETE FROM function WHERE tenant = ?1 AND name = ?2", names)?;
                let digests = versions.into_iter().map(|version| version.digest).collect();
                components::forget_if_unused(connection, &whose, digests)
            })
            .await?;
        self.forget_files(tenant, gone).await;
        Ok(())
    }
}

fn difference(one: &Version, other: &Version) -> VersionDiff {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|this| !those.contains(this)).cloned().collect()
    };
    let hosts = (&one.manifest.allowed_outbound_hosts, &other.manifest.allowed_outbound_hosts);
    VersionDiff {
        from: one.number,
        to: other.number,
        bytes: i64::try_from(other.bytes).unwrap_or(i64::MAX) - i64::try_from(one.bytes).unwrap_or(i64::MAX),
        imports_added: only(&other.imports, &one.imports),
        imports_removed: only(&one.imports, &other.imports),
        hosts_added: only(hosts.1, hosts.0),
        hosts_removed: only(hosts.0, hosts.1),
    }
}

fn check_manifest(manifest: &Manifest) -> Result<()> {
    let lists = [
        ("manifest.allowed-outbound-hosts", &manifest.allowed_outbound_hosts),
        ("manifest.key-value-stores", &manifest.key_value_stores),
    ];
    for (field, list) in lists {
        if list.len() > MANIFEST_ENTRIES_MAX {
            let what = format!("must have at most {MANIFEST_ENTRIES_MAX} entries; it has {}", list.len());
            return Err(TenantError::invalid(field, what));
        }
    }
    for (at, host) in manifest.allowed_outbound_hosts.iter().enumerate() {
        if let Err(error) = host.parse::<HostPattern>() {
            let field = format!("manifest.allowed-outbound-hosts.{at}");
            return Err(TenantError::invalid(field, error.to_string()));
        }
    }
    if let Some(at) = manifest.key_value_stores.iter().position(|label| !is_label(label)) {
        let field = format!("manifest.key-value-stores.{at}");
        return Err(TenantError::invalid(field, "must be 1 to 64 of a-z, 0-9, `-`, `_`"));
    }
    match &manifest.note {
        Some(note) if note.len() > NOTE_BYTES_MAX => {
            let what = format!("must have at most {NOTE_BYTES_MAX} bytes; it has {}", note.len());
            Err(TenantError::invalid("manifest.note", what))
        }
        Some(_) | None => Ok(()),
    }
}

/// A tenant with a signing key takes only what that key has signed: Ed25519 (RFC 8032) over the 32 bytes of the digest.
fn check_signature(signing_key: Option<&str>, version: &NewVersion) -> Result<()> {
    let Some(key) = signing_key else { return Ok(()) };
    let wrong = |what: &str| TenantError::Signature(what.to_owned());
    let written =
        version.signature.as_deref().ok_or_else(|| wrong("is missing; the tenant's signing key asks for one"))?;
    let bytes = STANDARD.decode(written).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| wrong("must be the base64 of 64 bytes"))?;
    let digest = digest_bytes(&version.digest);
    let good = verifying_key(key)?.verify_strict(&digest, &Signature::from_bytes(&bytes)).is_ok();
    if good { Ok(()) } else { Err(wrong("is not of the tenant's signing key over the 32 bytes of this digest")) }
}

/// The bytes of a digest whose form was checked.
fn digest_bytes(digest: &str) -> Vec<u8> {
    let pair = |at: usize| digest.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..32).filter_map(pair).collect()
}

/// The function, made when it is missing.
fn make(connection: &Connection, tenant: &TenantId, name: &FunctionId, limits: &Limits) -> Result<Function> {
    match find(connection, tenant, name) {
        Err(TenantError::NotFound { .. }) => {}
        found => return found,
    }
    let count = "SELECT count(*) FROM function WHERE tenant = ?1";
    let count: i64 = connection.query_row(count, [tenant.as_str()], |row| row.get(0))?;
    if count.unsigned_abs() >= limits.functions {
        let hint = "; delete one that is no longer used";
        return Err(TenantError::OverLimit { budget: "functions", limit: limits.functions, hint });
    }
    let made =
        Function { name: name.clone(), live: None, canary: None, last_good: None, created_at: unix_now(), revision: 1 };
    put(connection, tenant, &made)?;
    Ok(made)
}

fn next_number(connection: &Connection, tenant: &TenantId, function: &FunctionId) -> Result<VersionNumber> {
    let update = "UPDATE function SET versions = versions + 1 WHERE tenant = ?1 AND name = ?2 RETURNING versions";
    Ok(connection.query_row(update, [tenant.as_str(), function.as_str()], |row| row.get(0))?)
}

fn same(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    digest: &str,
    manifest: &Manifest,
) -> Result<Option<Version>> {
    let versions = newest_versions(connection, tenant, function, i64::MAX, -1)?;
    Ok(versions.into_iter().find(|version| version.digest == digest && version.manifest == *manifest))
}

/// Forgets the oldest versions beyond the limit that are not in use; gives the components that went with them.
fn forget_oldest(
    connection: &Connection,
    tenant: &TenantId,
    function: &Function,
    newest: VersionNumber,
    limit: u64,
) -> Result<Vec<String>> {
    let used = [Some(newest), function.live, function.canary.map(|canary| canary.version), function.last_good];
    let versions = newest_versions(connection, tenant, &function.name, i64::MAX, -1)?;
    let excess = versions.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let oldest = versions.into_iter().rev().filter(|version| !used.contains(&Some(version.number)));
    let mut digests = Vec::new();
    for version in oldest.take(excess) {
        let delete = "DELETE FROM version WHERE tenant = ?1 AND function = ?2 AND number = ?3";
        connection.execute(delete, params![tenant.as_str(), function.name.as_str(), version.number])?;
        digests.push(version.digest);
    }
    components::forget_if_unused(connection, tenant, digests)
}

pub(super) fn all(connection: &Connection, tenant: &TenantId) -> Result<Vec<Function>> {
    let mut statement = connection.prepare_cached("SELECT body FROM function WHERE tenant = ?1 ORDER BY name")?;
    let rows = statement.query_map([tenant.as_str()], |row| row.get::<_, String>(0))?;
    rows.map(|body| parsed("of a function", &body?)).collect()
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, function: &FunctionId) -> Result<Function> {
    let select = "SELECT body FROM function WHERE tenant = ?1 AND name = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let found = statement.query_row([tenant.as_str(), function.as_str()], |row| row.get::<_, String>(0)).optional()?;
    match found {
        Some(body) => parsed("of a function", &body),
        None => {
            settings::find(connection, tenant)?;
            Err(TenantError::not_found("function", function))
        }
    }
}

pub(super) fn put(connection: &Connection, tenant: &TenantId, function: &Function) -> Result<()> {
    let upsert = "INSERT INTO function (tenant, name, body) VALUES (?1, ?2, ?3)
                  ON CONFLICT (tenant, name) DO UPDATE SET body = ?3";
    let values = params![tenant.as_str(), function.name.as_str(), json(function)?];
    connection.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

pub(super) fn version(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    number: VersionNumber,
) -> Result<Version> {
    let select = "SELECT body FROM version WHERE tenant = ?1 AND function = ?2 AND number = ?3";
    let mut statement = connection.prepare_cached(select)?;
    let values = params![tenant.as_str(), function.as_str(), number];
    let body = statement.query_row(values, |row| row.get::<_, String>(0)).optional()?;
    let missing = || TenantError::not_found("version", format!("{function}@{number}"));
    parsed("of a version", &body.ok_or_else(missing)?)
}

pub(super) fn put_version(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    version: &Version,
) -> Result<()> {
    let upsert = "INSERT INTO version (tenant, function, number, digest, body) VALUES (?1, ?2, ?3, ?4, ?5)
                  ON CONFLICT (tenant, function, number) DO UPDATE SET body = ?5";
    let values = params![tenant.as_str(), function.as_str(), version.number, version.digest, json(version)?];
    connection.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

fn newest_versions(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    before: i64,
    limit: i64,
) -> Result<Vec<Version>> {
    let select =
        "SELECT body FROM version WHERE tenant = ?1 AND function = ?2 AND number < ?3 ORDER BY number DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(select)?;
    let values = params![tenant.as_str(), function.as_str(), before, limit];
    let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
    rows.map(|body| parsed("of a version", &body?)).collect()
}

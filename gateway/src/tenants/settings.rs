//! Tenants themselves and their settings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tandem_switch::id::TenantId;
use tandem_switch::limits::{RING_TIMEOUT_MAX, RING_TIMEOUT_MIN};
use tandem_switch::time::UnixMillis;

use super::change::{Change, bounded, expect, free, json, kept, millis, page, parsed};
use super::model::{Actor, DefaultPlan, Limits, Page, Revision, Settings, Tenant, Usage};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, prompts, recordings};
use crate::blobs;
use crate::clock::unix_now;
use crate::store::kv_forget;

/// Most tenants of a node. More want more nodes.
const TENANTS_MAX: u64 = 100_000;

/// Largest default plan, bytes of its JSON.
const DEFAULT_PLAN_BYTES_MAX: usize = 64 * 1024;

impl Tenants {
    /// All tenants, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tenants(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Tenant>> {
        let (after, limit) = (cursor.unwrap_or_default().to_owned(), bounded(limit));
        self.read(move |connection| {
            let select = "SELECT name, settings, declared, created_at, revision FROM tenant WHERE name > ?1 ORDER BY name LIMIT ?2";
            let mut statement = connection.prepare_cached(select)?;
            let mut rows = statement.query(params![after, limit as i64 + 1])?;
            let mut tenants = Vec::new();
            while let Some(row) = rows.next()? {
                tenants.push(tenant(row)?);
            }
            Ok(page(tenants, limit, |tenant| tenant.name.to_string()))
        })
        .await
    }

    /// One tenant.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<Tenant> {
        let tenant = tenant.clone();
        self.read(move |connection| find(connection, &tenant)).await
    }

    /// Makes a tenant; it can be called from the next moment on.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_tenant(&self, actor: &Actor, tenant: TenantId, settings: Settings) -> Result<Tenant> {
        check(&settings)?;
        let change = Change::new(actor, &tenant, "tenant.create", &tenant, Effect::Everything);
        self.change(change, move |connection, _line| {
            match find(connection, &tenant) {
                Err(TenantError::NotFound { .. }) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(TenantError::Exists { kind: "tenant", name: tenant.to_string() }),
            }
            let count: i64 = connection.query_row("SELECT count(*) FROM tenant", [], |row| row.get(0))?;
            if count.unsigned_abs() >= TENANTS_MAX {
                return Err(TenantError::OverLimit { budget: "tenants", limit: TENANTS_MAX, hint: "" });
            }
            let made = Tenant { name: tenant, settings, declared: false, created_at: unix_now(), revision: 1 };
            // What a call kept that outlived an earlier tenant of this name is not for the new one.
            kv_forget(connection, &made.name)?;
            put(connection, &made)?;
            Ok(made)
        })
        .await
    }

    /// Replaces its settings.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        expected: Option<Revision>,
        settings: Settings,
    ) -> Result<Tenant> {
        check(&settings)?;
        let change = Change::new(actor, tenant, "tenant.change", tenant, Effect::Settings);
        let tenant = tenant.clone();
        self.change(change, move |connection, line| {
            let before = free(connection, &tenant, "the settings")?;
            expect(expected, before.revision)?;
            line.detail = differences(&before.settings, &settings);
            let after = Tenant { settings, revision: before.revision + 1, ..before };
            put(connection, &after)?;
            Ok(after)
        })
        .await
    }

    /// Forgets a tenant and everything of it; its sessions and calls end. Call records stay.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_tenant(&self, actor: &Actor, tenant: &TenantId, expected: Option<Revision>) -> Result<()> {
        let change = Change::new(actor, tenant, "tenant.delete", tenant, Effect::Gone);
        let tenant = tenant.clone();
        self.change(change, move |connection, _line| {
            let before = find(connection, &tenant)?;
            if before.declared {
                let right = "take it out there and start the node again, then delete it here";
                let what = format!("tenant {tenant} is declared in the node's configuration file; {right}");
                return Err(TenantError::Declared(what));
            }
            expect(expected, before.revision)?;
            kv_forget(connection, &tenant)?;
            blobs::rows::forget_tenant(connection, &tenant)?;
            connection.execute("DELETE FROM tenant WHERE name = ?1", [tenant.as_str()])?;
            Ok(())
        })
        .await?;
        self.blobs().wake();
        Ok(())
    }

    /// What is used of each of its budgets.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn usage(&self, tenant: &TenantId) -> Result<Vec<Usage>> {
        let limits = self.tenant(tenant).await?.settings.limits;
        let (kv_keys, kv_bytes) = self.shared.kv.usage(tenant).await.map_err(super::kv::refused)?;
        let (functions, versions) = self.read_counts(tenant).await?;
        let kept = self.shared.invocations.count(tenant).await?;
        let audio = self.read_audio(tenant).await?;
        let meters = self.meters().of(tenant);
        let of = |budget: &str, limit, used, refused| Usage { budget: budget.to_owned(), limit, used, refused };
        let level = |budget: &str, limit, level: &super::usage::Level| of(budget, limit, level.now(), level.refused());
        let rate =
            |budget: &str, limit, rate: &super::usage::Rate| of(budget, limit, rate.last_second(), rate.refused());
        let mib = meters.memory_bytes.now().div_ceil(1024 * 1024);
        let cpu_ms = meters.cpu_micros.last_second().div_ceil(1000);
        Ok(vec![
            level("sessions", limits.sessions, &meters.sessions),
            level("calls", limits.calls, &meters.calls),
            rate("invocations-per-second", limits.invocations_per_second, &meters.invocations),
            level("invocations-at-once", limits.invocations_at_once, &meters.invocations_at_once),
            of("cpu-ms-per-second", limits.cpu_ms_per_second, cpu_ms, meters.cpu_micros.refused()),
            of("memory-mib", limits.memory_mib, mib, meters.memory_bytes.refused()),
            of("kv-keys", limits.kv_keys, kv_keys, meters.kv_keys.refused()),
            of("kv-bytes", limits.kv_bytes, kv_bytes, meters.kv_bytes.refused()),
            level("component-bytes", limits.component_bytes, &meters.component_bytes),
            of("functions", limits.functions, functions, meters.functions.refused()),
            of("versions", limits.versions, versions, 0),
            rate("http-requests-per-second", limits.http_requests_per_second, &meters.http_requests),
            rate("packets-per-second", limits.packets_per_second, &meters.packets),
            rate("bytes-per-second", limits.bytes_per_second, &meters.bytes),
            of("invocations-kept", limits.invocations_kept, kept, 0),
            of("prompts", limits.prompts, audio.prompts.0, meters.prompts.refused()),
            of("prompt-bytes", limits.prompt_bytes, audio.prompts.1, meters.prompt_bytes.refused()),
            of("recordings", limits.recordings, audio.recordings.0, meters.recordings.refused()),
            of("recording-bytes", limits.recording_bytes, audio.recordings.1, meters.recording_bytes.refused()),
            of("mailboxes", limits.mailboxes, audio.mailboxes, meters.mailboxes.refused()),
            of("mailbox-messages", limits.mailbox_messages, audio.messages, meters.mailbox_messages.refused()),
        ])
    }

    /// What it has of prompts, recordings and mailboxes.
    async fn read_audio(&self, tenant: &TenantId) -> Result<Audio> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mailboxes = "SELECT count(*) FROM mailbox WHERE tenant = ?1";
            let fullest = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM message WHERE tenant = ?1 GROUP BY mailbox)";
            let count = |sql| connection.query_row(sql, [tenant.as_str()], |row| row.get::<_, i64>(0));
            Ok(Audio {
                prompts: prompts::usage(connection, &tenant)?,
                recordings: recordings::usage(connection, &tenant)?,
                mailboxes: count(mailboxes)?.unsigned_abs(),
                messages: count(fullest)?.unsigned_abs(),
            })
        })
        .await
    }

    /// How many functions it has, and how many versions the one has that has most.
    async fn read_counts(&self, tenant: &TenantId) -> Result<(u64, u64)> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let functions = "SELECT count(*) FROM function WHERE tenant = ?1";
            let versions = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM version WHERE tenant = ?1 GROUP BY function)";
            let count = |sql| connection.query_row(sql, [tenant.as_str()], |row| row.get::<_, i64>(0));
            Ok((count(functions)?.unsigned_abs(), count(versions)?.unsigned_abs()))
        })
        .await
    }
}

/// How much a tenant has; messages: in the mailbox that has most.
struct Audio {
    prompts: (u64, u64),
    recordings: (u64, u64),
    mailboxes: u64,
    messages: u64,
}

/// One tenant, in a transaction.
pub(super) fn find(connection: &Connection, name: &TenantId) -> Result<Tenant> {
    let select = "SELECT name, settings, declared, created_at, revision FROM tenant WHERE name = ?1";
    let mut statement = connection.prepare_cached(select)?;
    let found = statement.query_row([name.as_str()], |row| Ok(tenant(row))).optional()?;
    found.unwrap_or_else(|| Err(TenantError::not_found("tenant", name)))
}

/// Keeps a tenant as it is now.
pub(super) fn put(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let upsert = "INSERT INTO tenant (name, settings, declared, created_at, revision) VALUES (?1, ?2, ?3, ?4, ?5)
                  ON CONFLICT (name) DO UPDATE SET settings = ?2, declared = ?3, revision = ?5";
    let Tenant { name, settings, declared, created_at, revision } = tenant;
    let values = params![name.as_str(), json(settings)?, declared, millis(*created_at), *revision as i64];
    connection.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

fn tenant(row: &Row<'_>) -> Result<Tenant> {
    let name: String = row.get(0)?;
    Ok(Tenant {
        settings: parsed(&format!("of tenant {name}"), &row.get::<_, String>(1)?)?,
        name: kept(TenantId::new(&name))?,
        declared: row.get(2)?,
        created_at: UnixMillis(row.get::<_, i64>(3)?.unsigned_abs()),
        revision: row.get::<_, i64>(4)?.unsigned_abs(),
    })
}

/// The rules that settings obey.
pub(super) fn check(settings: &Settings) -> Result<()> {
    check_default_plan(&settings.default_plan)?;
    check_limits(&settings.limits)?;
    settings.signing_key.as_deref().map_or(Ok(()), |key| verifying_key(key).map(drop))
}

fn check_default_plan(plan: &DefaultPlan) -> Result<()> {
    match plan {
        DefaultPlan::RingDialled { ring_seconds } => {
            let (least, most) = (RING_TIMEOUT_MIN.as_secs(), RING_TIMEOUT_MAX.as_secs());
            if !(least..=most).contains(ring_seconds) {
                let what = format!("must be {least} to {most}; got {ring_seconds}");
                return Err(TenantError::invalid("default-plan.ring-dialled.ring-seconds", what));
            }
        }
        DefaultPlan::Plan(plan) => {
            if json(plan)?.len() > DEFAULT_PLAN_BYTES_MAX {
                let what = format!("has more than {DEFAULT_PLAN_BYTES_MAX} bytes");
                return Err(TenantError::invalid("default-plan.plan", what));
            }
            plan.clone().accept().map_err(|error| TenantError::invalid("default-plan.plan", error.to_string()))?;
        }
        DefaultPlan::Refuse => {}
    }
    Ok(())
}

/// Most of anything that is only bounded so that sums stay whole numbers.
const ANYTHING_MAX: u64 = 1 << 40;

fn check_limits(limits: &Limits) -> Result<()> {
    let component_bytes_max = tandem_host::limits::COMPONENT_BYTES_MAX as u64;
    let table = [
        ("sessions", limits.sessions, 10_000_000),
        ("calls", limits.calls, 10_000_000),
        ("invocations-per-second", limits.invocations_per_second, 10_000_000),
        ("invocations-at-once", limits.invocations_at_once, 10_000),
        ("cpu-ms-per-second", limits.cpu_ms_per_second, 1_000_000),
        ("memory-mib", limits.memory_mib, 4_096),
        ("kv-keys", limits.kv_keys, ANYTHING_MAX),
        ("kv-bytes", limits.kv_bytes, ANYTHING_MAX),
        ("component-bytes", limits.component_bytes, component_bytes_max),
        ("functions", limits.functions, 10_000),
        ("versions", limits.versions, 10_000),
        ("http-requests-per-second", limits.http_requests_per_second, 10_000_000),
        ("packets-per-second", limits.packets_per_second, ANYTHING_MAX),
        ("bytes-per-second", limits.bytes_per_second, ANYTHING_MAX),
        ("invocations-kept", limits.invocations_kept, 10_000_000),
        ("prompts", limits.prompts, 100_000),
        ("prompt-bytes", limits.prompt_bytes, ANYTHING_MAX),
        ("recordings", limits.recordings, 10_000_000),
        ("recording-bytes", limits.recording_bytes, ANYTHING_MAX),
        ("recording-days", limits.recording_days, 36_500),
        ("mailboxes", limits.mailboxes, 100_000),
        ("mailbox-messages", limits.mailbox_messages, 10_000),
        ("message-seconds", limits.message_seconds, 3_600),
    ];
    match table.into_iter().find(|(_, limit, most)| limit > most) {
        Some((name, limit, most)) => {
            Err(TenantError::invalid(format!("limits.{name}"), format!("must be 0 to {most}; got {limit}")))
        }
        // One that is live, one that is tried and one to fall back on must have room.
        None if limits.versions < 3 => {
            let what =
                format!("must be 3 or more: the live one, a canary and the last good one; got {}", limits.versions);
            Err(TenantError::invalid("limits.versions", what))
        }
        None => Ok(()),
    }
}

/// The key that components must be signed with.
pub(super) fn verifying_key(base64: &str) -> Result<VerifyingKey> {
    let bytes = STANDARD.decode(base64).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    key.ok_or_else(|| TenantError::invalid("signing-key", "must be an Ed25519 public key: base64 of its 32 bytes"))
}

/// Which settings changed, in words.
fn differences(before: &Settings, after: &Settings) -> String {
    let mut changed = Vec::new();
    if before.default_plan != after.default_plan {
        changed.push("default plan");
    }
    if before.limits != after.limits {
        changed.push("limits");
    }
    if before.signing_key != after.signing_key {
        changed.push("signing key");
    }
    if changed.is_empty() { "nothing".into() } else { changed.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_breaks_a_rule_is_named() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            check(&settings).map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| {}), Ok(()));
        type Change = fn(&mut Settings);
        let table: [(Change, &str); 5] = [
            (
                |it| it.default_plan = DefaultPlan::RingDialled { ring_seconds: 601 },
                "default-plan.ring-dialled.ring-seconds: ",
            ),
            (|it| it.limits.memory_mib = 5_000, "limits.memory-mib: must be 0 to 4096; got 5000"),
            (|it| it.limits.versions = 2, "limits.versions: must be 3 or more"),
            (|it| it.limits.component_bytes = u64::MAX, "limits.component-bytes: "),
            (|it| it.signing_key = Some("AAAA".into()), "signing-key: must be an Ed25519 public key"),
        ];
        for (change, expected) in table {
            let error = with(change).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

//! Tenants that the node's configuration file declares. At every start the file wins for settings, keys and users; functions, variables,
//! key-value stores, tokens and bindings are the control API's alone, but for a function that the file names.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::Connection;
use tandem_host::Digest;
use tandem_switch::id::{FunctionId, TenantId, UserId};

use super::change::{Change, Line};
use super::model::{Actor, DefaultPlan, Manifest, NewDeployment, NewVersion, RollbackRule, Settings, Tenant};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, functions, keys, settings, users};
use crate::clock::unix_now;
use crate::config;
use crate::token::NamedKey;

/// The function that a file's component becomes.
const MAIN: &str = "main";

/// A tenant of the file, everything of it parsed.
struct Declared {
    settings: Settings,
    keys: Vec<NamedKey>,
    users: Vec<(UserId, Option<String>)>,
}

impl Tenants {
    /// Takes the file's tenants in, with the functions that it names. A tenant that vanished from the file stays, without its keys.
    ///
    /// # Errors
    /// Names the tenant, and what of it cannot be used.
    pub async fn declare(&self, tenants: &[config::Tenant]) -> anyhow::Result<()> {
        let mut names = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let (name, keys) = NamedKey::read_all(tenant)?;
            let declared = Declared { settings: file_settings(tenant), keys, users: file_users(tenant)? };
            self.declare_one(name.clone(), declared).await.with_context(|| format!("tenant {name}"))?;
            names.push(name);
        }
        self.release_all_but(names).await?;
        Ok(())
    }

    /// Rolls out the functions that the file names, where they are others than those that the gateway rolled out last.
    ///
    /// # Errors
    /// Names the tenant and the file, and why it cannot be used.
    pub async fn deploy_declared(&self, tenants: &[config::Tenant]) -> anyhow::Result<()> {
        for tenant in tenants {
            let Some(path) = &tenant.function else { continue };
            let name = TenantId::new(&tenant.name)?;
            let which = || format!("the function of tenant {name}, {}, cannot run here", path.display());
            let component = read(path).await.with_context(which)?;
            if self.last_by_gateway(&name).await? != Some(Digest::of(&component).to_string()) {
                self.deploy_main(&name, component).await.with_context(which)?;
            }
        }
        Ok(())
    }

    /// Rolls a component out on all calls as the function `main`, for the gateway itself. Gives the version's name.
    ///
    /// # Errors
    /// When the gateway cannot run it; the version before it stays.
    pub async fn deploy_main(&self, tenant: &TenantId, component: bytes::Bytes) -> Result<String> {
        let actor = Actor::Gateway;
        let main = FunctionId::new(MAIN).map_err(|error| TenantError::invalid("function", error.to_string()))?;
        let digest = Digest::of(&component).to_string();
        self.put_component(&actor, tenant, &digest, component).await?;
        // What runs on the operator's own word may keep things; where it may go is for an upload to say.
        let manifest = Manifest { note: Some("rolled out by the gateway".into()), ..Manifest::default() };
        let version = NewVersion { digest, manifest, signature: None };
        let version = self.create_version(&actor, tenant, &main, version).await?.number;
        let everywhere = NewDeployment { version, percent: None, rollback: RollbackRule::default() };
        self.deploy(&actor, tenant, &main, None, everywhere).await?;
        Ok(format!("{main}@{version}"))
    }

    async fn declare_one(&self, name: TenantId, declared: Declared) -> Result<()> {
        settings::check(&declared.settings)?;
        let change = Change::new(&Actor::Gateway, &name, "tenant.declare", &name, Effect::Nothing);
        self.change(change, move |connection, line| write(connection, line, name, declared)).await?;
        self.publish_keys().await
    }

    async fn release_all_but(&self, names: Vec<TenantId>) -> Result<()> {
        let declared = self.read(|connection| {
            let mut statement = connection.prepare("SELECT name FROM tenant WHERE declared")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(rows
                .filter_map(|name| name.map(|name| TenantId::new(&name).ok()).transpose())
                .collect::<rusqlite::Result<Vec<_>>>()?)
        });
        for name in declared.await?.into_iter().filter(|name| !names.contains(name)) {
            let change = Change::new(&Actor::Gateway, &name, "tenant.release", &name, Effect::Keys);
            tracing::info!(tenant = %name, "the configuration file no longer declares this tenant; it stays, without the file's keys");
            self.change(change, move |connection, _line| {
                let found = settings::find(connection, &name)?;
                let released = Tenant { declared: false, revision: found.revision + 1, ..found };
                settings::put(connection, &released)?;
                connection.execute("DELETE FROM key WHERE tenant = ?1 AND declared", [name.as_str()])?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// The component that the gateway itself rolled out last for a tenant.
    async fn last_by_gateway(&self, tenant: &TenantId) -> Result<Option<String>> {
        let Ok(main) = FunctionId::new(MAIN) else { return Ok(None) };
        let gateway = Actor::Gateway.to_string();
        let deployments = match self.deployments(tenant, Some(&main), None, super::change::PAGE_MAX).await {
            Err(TenantError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let Some(last) = deployments.items.into_iter().find(|deployment| deployment.started_by == gateway) else {
            return Ok(None);
        };
        let tenant = tenant.clone();
        let found = self.read(move |connection| functions::version(connection, &tenant, &main, last.version)).await;
        Ok(found.ok().map(|version| version.digest))
    }
}

async fn read(path: &Path) -> anyhow::Result<bytes::Bytes> {
    Ok(tokio::fs::read(path).await?.into())
}

/// Writes a tenant as the file has it; says nothing in the audit log when all is as it was.
fn write(connection: &Connection, line: &mut Line, name: TenantId, declared: Declared) -> Result<()> {
    let before = match settings::find(connection, &name) {
        Err(TenantError::NotFound { .. }) => None,
        found => Some(found?),
    };
    let Declared { settings, keys, users } = declared;
    let have_keys: Vec<_> = keys::rows(connection, &name)?.into_iter().map(|(key, _)| key).collect();
    let have_users = users::all(connection, &name)?;
    let same_users = have_users.iter().eq(sorted(&users));
    let same_settings = before.as_ref().is_some_and(|before| before.declared && before.settings == settings);
    line.unchanged = same_settings && have_keys == keys && same_users;
    if line.unchanged {
        return Ok(());
    }
    let tenant = match before {
        Some(before) => Tenant { settings, declared: true, revision: before.revision + 1, ..before },
        None => Tenant { name: name.clone(), settings, declared: true, created_at: unix_now(), revision: 1 },
    };
    settings::put(connection, &tenant)?;
    if have_keys != keys {
        connection.execute("DELETE FROM key WHERE tenant = ?1", [name.as_str()])?;
        for key in &keys {
            keys::insert(connection, &name, key, true, unix_now())?;
        }
    }
    if !same_users {
        connection.execute("DELETE FROM user WHERE tenant = ?1", [name.as_str()])?;
        for (user, display_name) in &users {
            users::put(connection, &name, user, display_name.as_deref())?;
        }
    }
    Ok(())
}

fn sorted(users: &[(UserId, Option<String>)]) -> impl Iterator<Item = (&UserId, &Option<String>)> {
    let mut sorted: Vec<_> = users.iter().map(|(user, shown)| (user, shown)).collect();
    sorted.sort();
    sorted.into_iter()
}

fn file_settings(tenant: &config::Tenant) -> Settings {
    let ring_seconds = tenant.ring_seconds;
    let default_plan = match tenant.default_plan {
        config::DefaultPlan::RingDialled => DefaultPlan::RingDialled { ring_seconds },
        config::DefaultPlan::Refuse => DefaultPlan::Refuse,
    };
    Settings { default_plan, limits: tenant.limits.clone().into(), signing_key: None }
}

fn file_users(tenant: &config::Tenant) -> anyhow::Result<Vec<(UserId, Option<String>)>> {
    let user = |user: &config::User| Ok((UserId::new(&user.name)?, user.display_name.clone()));
    tenant.users.iter().map(user).collect()
}

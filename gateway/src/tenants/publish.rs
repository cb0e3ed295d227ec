//! Putting what the store has to work: keys in the keyring, settings and routing in the call driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tandem_switch::exchange::{DefaultPlan, TenantSettings};
use tandem_switch::id::{FunctionId, TenantId};
use tokio::sync::oneshot;

use super::change::kept;
use super::model::{self, Binding, Function, Settings, Variables, VersionNumber, VersionState};
use super::{Result, TenantError, Tenants, bindings, functions, keys, queues, rollouts, settings, users, variables};
use crate::calls::driver::Command;
use crate::calls::routing::{Deployed, Routing, Version, Watched};

/// What must be put to work after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: it is looked up whenever it is needed.
    Nothing,
    /// Keys.
    Keys,
    /// Users.
    Users,
    /// Queues.
    Queues,
    /// Functions, bindings, variables.
    Routing,
    /// Settings, of which limits are routing's as well.
    Settings,
    /// All of it: the tenant is new.
    Everything,
    /// The tenant is gone.
    Gone,
}

/// A tenant as the call driver gets to know it when the node starts.
#[derive(Debug)]
pub struct Introduction {
    /// Who.
    pub tenant: TenantId,
    /// Its settings.
    pub settings: Box<TenantSettings>,
    /// How its calls are routed.
    pub routing: Box<Routing>,
}

/// What the store has of a tenant's routing.
struct Stored {
    settings: Settings,
    bindings: Vec<Binding>,
    functions: Vec<(Function, Option<Watched>, BTreeMap<VersionNumber, model::Version>)>,
    variables: Variables,
}

impl Tenants {
    /// All tenants with everything that the call driver must know of them. A version whose component is missing or damaged is left out,
    /// so that the safety net answers for it, and is told in the log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn introductions(&self) -> Result<Vec<Introduction>> {
        let names = self.read(names).await?;
        let mut introductions = Vec::with_capacity(names.len());
        for tenant in names {
            let settings = self.core_settings(&tenant).await?;
            let routing = self.routing(&tenant).await?;
            introductions.push(Introduction { tenant, settings, routing });
        }
        Ok(introductions)
    }

    /// Puts the keys of all tenants into the keyring.
    pub(super) async fn publish_keys(&self) -> Result<()> {
        for tenant in self.read(names).await? {
            self.publish_keys_of(&tenant).await?;
        }
        Ok(())
    }

    /// Puts a change to work. When this returns, it works.
    pub(super) async fn publish(&self, tenant: &TenantId, effect: Effect) -> Result<()> {
        match effect {
            Effect::Nothing => Ok(()),
            Effect::Keys => self.publish_keys_of(tenant).await,
            Effect::Users | Effect::Queues => self.publish_settings(tenant).await,
            Effect::Routing => self.publish_routing(tenant).await,
            Effect::Settings => {
                self.publish_settings(tenant).await?;
                self.publish_routing(tenant).await
            }
            Effect::Everything => {
                // Those of an earlier tenant of this name, when the node was killed while it was deleted, are not for the new one.
                self.shared.invocations.forget(tenant).await;
                self.publish_settings(tenant).await?;
                self.publish_routing(tenant).await?;
                // Keys last: nobody is let in before the rules are known.
                self.publish_keys_of(tenant).await
            }
            Effect::Gone => {
                let parts = &self.shared.parts;
                parts.keyring.remove(tenant);
                let (done, acknowledged) = oneshot::channel();
                self.command(Command::Forget(tenant.clone(), done)).await;
                let _ = acknowledged.await;
                parts.meters.forget(tenant);
                self.shared.invocations.forget(tenant).await;
                self.retain_loaded(tenant, &[]);
                self.tidy_components().await;
                Ok(())
            }
        }
    }

    async fn publish_keys_of(&self, tenant: &TenantId) -> Result<()> {
        let name = tenant.clone();
        let keys = self.read(move |connection| keys::rows(connection, &name)).await?;
        self.shared.parts.keyring.set(tenant.clone(), keys.into_iter().map(|(key, _)| key).collect());
        Ok(())
    }

    async fn publish_settings(&self, tenant: &TenantId) -> Result<()> {
        let settings = self.core_settings(tenant).await?;
        let (done, acknowledged) = oneshot::channel();
        self.command(Command::Tenant(tenant.clone(), settings, done)).await;
        let _ = acknowledged.await;
        Ok(())
    }

    pub(super) async fn publish_routing(&self, tenant: &TenantId) -> Result<()> {
        let routing = self.routing(tenant).await?;
        let (done, acknowledged) = oneshot::channel();
        self.command(Command::Routing(tenant.clone(), routing, done)).await;
        // A driver that is gone acknowledges nothing: the node is stopping, and the change is kept for the next start.
        let _ = acknowledged.await;
        Ok(())
    }

    async fn command(&self, command: Command) {
        if self.shared.parts.commands.send(command).await.is_err() {
            tracing::debug!("the call driver is gone; a change of a tenant takes effect at the next start");
        }
    }

    async fn core_settings(&self, tenant: &TenantId) -> Result<Box<TenantSettings>> {
        let name = tenant.clone();
        let read = |connection: &Connection, name: &TenantId| {
            let settings = settings::find(connection, name)?.settings;
            Ok((settings, users::all(connection, name)?, queues::all(connection, name)?))
        };
        let (settings, users, queues) = self.read(move |connection| read(connection, &name)).await?;
        let default_plan = match settings.default_plan {
            model::DefaultPlan::RingDialled { ring_seconds } => {
                DefaultPlan::RingDialled { ring_timeout: Duration::from_secs(ring_seconds) }
            }
            model::DefaultPlan::Plan(plan) => DefaultPlan::Plan(
                plan.accept().map_err(|error| TenantError::invalid("default-plan.plan", error.to_string()))?,
            ),
            model::DefaultPlan::Refuse => DefaultPlan::Refuse,
        };
        let limit = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let (sessions_max, calls_max) = (limit(settings.limits.sessions), limit(settings.limits.calls));
        Ok(Box::new(TenantSettings {
            users,
            queues,
            default_plan,
            sessions_max,
            calls_max,
            ..TenantSettings::default()
        }))
    }

    /// How a tenant's calls are routed, every function that answers loaded.
    async fn routing(&self, tenant: &TenantId) -> Result<Box<Routing>> {
        let name = tenant.clone();
        let stored = self.read(move |connection| stored(connection, &name)).await?;
        let mut functions = BTreeMap::new();
        let mut digests = Vec::new();
        for (function, watched, versions) in stored.functions {
            let mut ready = BTreeMap::new();
            for (number, version) in versions {
                digests.push(version.digest.clone());
                if let Some(version) = self.ready(tenant, &function.name, version).await {
                    ready.insert(number, version);
                }
            }
            let of = |number: Option<VersionNumber>| number.and_then(|number| ready.get(&number).cloned());
            let canary = function.canary.and_then(|canary| Some((of(Some(canary.version))?, canary.percent)));
            let deployed = Deployed { live: of(function.live), canary, last_good: of(function.last_good), watched };
            functions.insert(function.name, deployed);
        }
        self.retain_loaded(tenant, &digests);
        let Settings { limits, .. } = stored.settings;
        let variables = Arc::new(stored.variables);
        Ok(Box::new(Routing { bindings: stored.bindings, functions, variables, limits }))
    }

    /// A version with its code. One that is paused is not asked, and one whose component cannot be used is not there.
    async fn ready(&self, tenant: &TenantId, function: &FunctionId, version: model::Version) -> Option<Version> {
        if version.state == VersionState::Paused {
            return None;
        }
        let number = version.number;
        match self.load(tenant, &version.digest).await {
            Ok(loaded) => Some(Version {
                of: function.clone(),
                number,
                name: format!("{function}@{number}").into(),
                function: loaded,
                manifest: Arc::new(version.manifest),
            }),
            Err(error) => {
                tracing::error!(%tenant, %function, version = number, %error, "a version cannot be used; the safety net answers for it");
                None
            }
        }
    }
}

fn names(connection: &Connection) -> Result<Vec<TenantId>> {
    let mut statement = connection.prepare_cached("SELECT name FROM tenant ORDER BY name")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|name| kept(TenantId::new(&name?))).collect()
}

fn stored(connection: &Connection, tenant: &TenantId) -> Result<Stored> {
    let mut found = Vec::new();
    for function in functions::all(connection, tenant)? {
        let canary = function.canary.map(|canary| canary.version);
        let watched = rollouts::watched(connection, tenant, &function)?
            .map(|deployment| Watched { deployment: deployment.id, rule: deployment.rollback });
        let mut versions = BTreeMap::new();
        for number in [function.live, canary, function.last_good].into_iter().flatten() {
            versions.insert(number, functions::version(connection, tenant, &function.name, number)?);
        }
        found.push((function, watched, versions));
    }
    Ok(Stored {
        settings: settings::find(connection, tenant)?.settings,
        bindings: bindings::all(connection, tenant)?,
        functions: found,
        variables: variables::all(connection, tenant)?,
    })
}

//! Roll-outs: which version answers, from when on, and what it falls back on.

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::{FunctionId, TenantId};

use super::bindings::{self, EVERYTHING};
use super::change::{Change, Line, bounded, expect, json, number, page, parsed, to_its_end};
use super::functions::{find, put, put_version, version};
use super::model::{
    Actor, Canary, Deployment, DeploymentState, Function, NewDeployment, Page, Revision, RollbackRule, Version,
    VersionNumber, VersionState,
};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;

/// Most roll-outs that are remembered of a tenant, besides those of versions in use; the oldest that are over go.
const DEPLOYMENTS_MAX: i64 = 1000;

/// Most invocations that a roll-back rule may wait for: as many as the driver looks back on.
const AFTER_INVOCATIONS_MAX: u32 = 1000;

impl Tenants {
    /// Begins a roll-out. When this returns, the next call is routed by it. The first function of a tenant is bound to `*`.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn deploy(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        expected: Option<Revision>,
        deployment: NewDeployment,
    ) -> Result<Deployment> {
        check(&deployment)?;
        let change = Change::new(actor, tenant, "function.deploy", function, Effect::Routing);
        let (this, tenant, function) = (self.clone(), tenant.clone(), function.clone());
        to_its_end(async move {
            let _turn = this.shared.turns.take(&tenant).await;
            // Before anything is written: a version that cannot be loaded changes nothing.
            let found = this.version(&tenant, &function, deployment.version).await?;
            this.load(&tenant, &found.digest).await?;
            this.make(change, move |connection, line| begin(connection, line, &tenant, &function, expected, deployment))
                .await
        })
        .await
    }

    /// Puts the canary on all calls.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn promote(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        expected: Option<Revision>,
    ) -> Result<Deployment> {
        let change = Change::new(actor, tenant, "function.promote", function, Effect::Routing);
        let (tenant, function) = (tenant.clone(), function.clone());
        self.change(change, move |connection, line| promote(connection, line, &tenant, &function, expected)).await
    }

    /// Takes the canary back, or else puts the version before the live one on all calls. Gives the roll-out that was taken back.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn rollback(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        expected: Option<Revision>,
    ) -> Result<Deployment> {
        let change = Change::new(actor, tenant, "function.rollback", function, Effect::Routing);
        let (tenant, function, by) = (tenant.clone(), function.clone(), actor.to_string());
        self.change(change, move |connection, line| {
            let mut found = find(connection, &tenant, &function)?;
            expect(expected, found.revision)?;
            let why = format!("taken back by {by}");
            let taken = take_back(connection, &tenant, &mut found, &why)?;
            line.detail = format!("version {}", taken.version);
            Ok(taken)
        })
        .await
    }

    /// Roll-outs, newest first.
    ///
    /// # Errors
    /// When there is no such tenant, the cursor is none, or the store fails.
    pub async fn deployments(
        &self,
        tenant: &TenantId,
        function: Option<&FunctionId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Deployment>> {
        let (tenant, function) = (tenant.clone(), function.cloned());
        let (before, limit) = (number(cursor)?, bounded(limit));
        self.read(move |connection| {
            match &function {
                Some(function) => drop(find(connection, &tenant, function)?),
                None => drop(settings::find(connection, &tenant)?),
            }
            let found = newest(connection, &tenant, function.as_ref(), before, limit as i64 + 1)?;
            Ok(page(found, limit, |deployment| deployment.id.to_string()))
        })
        .await
    }
}

fn check(deployment: &NewDeployment) -> Result<()> {
    let NewDeployment { percent, rollback: RollbackRule { error_percent, after_invocations }, .. } = deployment;
    if let Some(percent) = percent.filter(|percent| !(1..=100).contains(percent)) {
        return Err(TenantError::invalid("percent", format!("must be 1 to 100; got {percent}")));
    }
    if *error_percent > 100 {
        let what = format!("must be 0 to 100; got {error_percent}");
        return Err(TenantError::invalid("rollback.error-percent", what));
    }
    if !(1..=AFTER_INVOCATIONS_MAX).contains(after_invocations) {
        let what = format!("must be 1 to {AFTER_INVOCATIONS_MAX}; got {after_invocations}");
        return Err(TenantError::invalid("rollback.after-invocations", what));
    }
    Ok(())
}

fn begin(
    connection: &Connection,
    line: &mut Line,
    tenant: &TenantId,
    name: &FunctionId,
    expected: Option<Revision>,
    new: NewDeployment,
) -> Result<Deployment> {
    let mut function = find(connection, tenant, name)?;
    expect(expected, function.revision)?;
    let mut chosen = version(connection, tenant, name, new.version)?;
    let percent = new.percent.unwrap_or(100);
    match function.live {
        None if percent < 100 => {
            let what = format!("function {name} has no live version to try another beside; deploy it on all calls");
            return Err(TenantError::Conflict(what));
        }
        Some(live) if percent < 100 && live == new.version => {
            return Err(TenantError::Conflict(format!("version {live} of function {name} is live already")));
        }
        Some(_) | None => {}
    }
    // A canary leaves the watch over the live version as it is; both end the roll-out of a canary before it.
    let canary = function.canary.map(|canary| canary.version);
    end_running(connection, tenant, name, DeploymentState::Replaced, |deployment| {
        percent == 100 || Some(deployment.version) == canary
    })?;
    if percent == 100 {
        go_live(connection, tenant, &mut function, new.version)?;
    } else {
        function.canary = Some(Canary { version: new.version, percent });
    }
    function.revision += 1;
    put(connection, tenant, &function)?;
    // To deploy it again is to say that what was wrong before is right now: it is judged anew.
    if matches!(chosen.state, VersionState::Paused | VersionState::RolledBack) {
        chosen.state = VersionState::New;
        chosen.reason = None;
        put_version(connection, tenant, name, &chosen)?;
    }
    if bindings::all(connection, tenant)?.is_empty() {
        bindings::put(connection, tenant, EVERYTHING, name)?;
    }
    line.detail = format!("version {} on {percent} % of calls", new.version);
    let begun = Deployment {
        id: next_id(connection, tenant)?,
        function: name.clone(),
        version: new.version,
        percent,
        rollback: new.rollback,
        state: DeploymentState::Running,
        reason: None,
        started_at: unix_now(),
        ended_at: None,
        started_by: line.actor.clone(),
    };
    put_deployment(connection, tenant, &begun)?;
    Ok(begun)
}

fn promote(
    connection: &Connection,
    line: &mut Line,
    tenant: &TenantId,
    name: &FunctionId,
    expected: Option<Revision>,
) -> Result<Deployment> {
    let mut function = find(connection, tenant, name)?;
    expect(expected, function.revision)?;
    let nothing =
        || TenantError::Conflict(format!("function {name} has no canary to promote; deploy one with a percentage"));
    let canary = function.canary.ok_or_else(nothing)?;
    let mut promoted = of_version(connection, tenant, name, canary.version)?.ok_or_else(nothing)?;
    end_running(connection, tenant, name, DeploymentState::Replaced, |deployment| deployment.id != promoted.id)?;
    go_live(connection, tenant, &mut function, canary.version)?;
    function.revision += 1;
    put(connection, tenant, &function)?;
    promoted.state = DeploymentState::Promoted;
    promoted.percent = 100;
    promoted.ended_at = Some(unix_now());
    put_deployment(connection, tenant, &promoted)?;
    line.detail = format!("version {}", canary.version);
    Ok(promoted)
}

/// Makes a version the live one; what was live before becomes what is fallen back on, unless it is known to be bad.
fn go_live(connection: &Connection, tenant: &TenantId, function: &mut Function, number: VersionNumber) -> Result<()> {
    for before in [function.live, function.last_good].into_iter().flatten().filter(|before| *before != number) {
        let state = version(connection, tenant, &function.name, before)?.state;
        if matches!(state, VersionState::New | VersionState::Good) {
            function.last_good = Some(before);
            break;
        }
    }
    function.last_good = function.last_good.filter(|good| *good != number);
    function.live = Some(number);
    function.canary = None;
    Ok(())
}

/// Takes the canary back, or else the live version, for which the one before it goes live again.
pub(super) fn take_back(
    connection: &Connection,
    tenant: &TenantId,
    function: &mut Function,
    why: &str,
) -> Result<Deployment> {
    let name = function.name.clone();
    let nothing = || TenantError::Conflict(format!("function {name} has no version before this one to roll back to"));
    let (number, back_to) = match (function.canary, function.live) {
        (Some(canary), _) => (canary.version, None),
        (None, Some(live)) => {
            let back_to = match function.last_good {
                Some(good) => Some(good),
                None => live_before(connection, tenant, function, &[live])?,
            };
            (live, Some(back_to.ok_or_else(nothing)?))
        }
        (None, None) => return Err(nothing()),
    };
    let mut taken = of_version(connection, tenant, &function.name, number)?.ok_or_else(nothing)?;
    function.canary = None;
    if let Some(back_to) = back_to {
        function.live = Some(back_to);
        function.last_good = live_before(connection, tenant, function, &[number, back_to])?;
    }
    function.revision += 1;
    put(connection, tenant, function)?;
    taken.state = DeploymentState::RolledBack;
    taken.reason = Some(why.to_owned());
    taken.ended_at = Some(unix_now());
    put_deployment(connection, tenant, &taken)?;
    Ok(taken)
}

/// The last version that was on all calls, other than these, and of which nothing bad is known.
fn live_before(
    connection: &Connection,
    tenant: &TenantId,
    function: &Function,
    others: &[VersionNumber],
) -> Result<Option<VersionNumber>> {
    let mut taken_back = Vec::new();
    for deployment in newest(connection, tenant, Some(&function.name), i64::MAX, -1)? {
        let number = deployment.version;
        // Of a version that somebody took back, that much is known.
        if deployment.percent < 100 || others.contains(&number) || taken_back.contains(&number) {
            continue;
        }
        if deployment.state == DeploymentState::RolledBack {
            taken_back.push(number);
            continue;
        }
        match version(connection, tenant, &function.name, number) {
            Ok(Version { state: VersionState::New | VersionState::Good, .. }) => return Ok(Some(number)),
            // Failed, or gone by now.
            Ok(_) | Err(TenantError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The roll-out that is being watched: of the canary when there is one, else of the live version.
pub(super) fn watched(connection: &Connection, tenant: &TenantId, function: &Function) -> Result<Option<Deployment>> {
    let Some(number) = function.canary.map(|canary| canary.version).or(function.live) else { return Ok(None) };
    let found = of_version(connection, tenant, &function.name, number)?;
    Ok(found.filter(|deployment| deployment.state == DeploymentState::Running))
}

/// The newest roll-out of a version.
pub(super) fn of_version(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    version: VersionNumber,
) -> Result<Option<Deployment>> {
    let all = newest(connection, tenant, Some(function), i64::MAX, -1)?;
    Ok(all.into_iter().find(|deployment| deployment.version == version))
}

/// Ends the roll-outs that are under way and that `which` chooses.
fn end_running(
    connection: &Connection,
    tenant: &TenantId,
    function: &FunctionId,
    state: DeploymentState,
    which: impl Fn(&Deployment) -> bool,
) -> Result<()> {
    let select = "SELECT body FROM deployment WHERE tenant = ?1 AND function = ?2 AND running";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([tenant.as_str(), function.as_str()], |row| row.get::<_, String>(0))?;
    let running = rows.map(|body| parsed("of a roll-out", &body?)).collect::<Result<Vec<Deployment>>>()?;
    for mut deployment in running.into_iter().filter(which) {
        deployment.state = state;
        deployment.ended_at = Some(unix_now());
        put_deployment(connection, tenant, &deployment)?;
    }
    Ok(())
}

fn next_id(connection: &Connection, tenant: &TenantId) -> Result<u64> {
    let update = "UPDATE tenant SET deployments = deployments + 1 WHERE name = ?1 RETURNING deployments";
    let id: i64 = connection.query_row(update, [tenant.as_str()], |row| row.get(0)).optional()?.unwrap_or_default();
    forget_oldest(connection, tenant, id - DEPLOYMENTS_MAX)?;
    Ok(id.unsigned_abs())
}

/// Forgets the roll-outs up to this one that are over, but for the newest of each version in use: it is what a roll-back takes back.
fn forget_oldest(connection: &Connection, tenant: &TenantId, up_to: i64) -> Result<()> {
    let delete = r#"DELETE FROM deployment AS d WHERE tenant = ?1 AND id <= ?2 AND NOT running AND NOT (
        EXISTS (SELECT 1 FROM function AS f WHERE f.tenant = d.tenant AND f.name = d.function AND json_extract(d.body, '$.version')
            IN (json_extract(f.body, '$.live'), json_extract(f.body, '$.canary.version'), json_extract(f.body, '$."last-good"')))
        AND NOT EXISTS (SELECT 1 FROM deployment AS n WHERE n.tenant = d.tenant AND n.function = d.function AND n.id > d.id
            AND json_extract(n.body, '$.version') = json_extract(d.body, '$.version')))"#;
    connection.execute(delete, params![tenant.as_str(), up_to])?;
    Ok(())
}

pub(super) fn put_deployment(connection: &Connection, tenant: &TenantId, deployment: &Deployment) -> Result<()> {
    let upsert = "INSERT INTO deployment (tenant, id, function, running, body) VALUES (?1, ?2, ?3, ?4, ?5)
                  ON CONFLICT (tenant, id) DO UPDATE SET running = ?4, body = ?5";
    let running = deployment.state == DeploymentState::Running;
    let (id, function) = (deployment.id as i64, deployment.function.as_str());
    let values = params![tenant.as_str(), id, function, running, json(deployment)?];
    connection.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

fn newest(
    connection: &Connection,
    tenant: &TenantId,
    function: Option<&FunctionId>,
    before: i64,
    limit: i64,
) -> Result<Vec<Deployment>> {
    let select = match function {
        Some(_) => {
            "SELECT body FROM deployment WHERE tenant = ?1 AND function = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
        }
        None => "SELECT body FROM deployment WHERE tenant = ?1 AND ?2 IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4",
    };
    let mut statement = connection.prepare_cached(select)?;
    let values = params![tenant.as_str(), function.map(FunctionId::as_str), before, limit];
    let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
    rows.map(|body| parsed("of a roll-out", &body?)).collect()
}

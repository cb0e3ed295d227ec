//! What the call driver finds out about versions, kept, told, and put back to work.

use rusqlite::Connection;
use tandem_switch::id::{FunctionId, TenantId};
use tokio::sync::mpsc;

use super::change::{Change, Line};
use super::functions::{find, put_version, version};
use super::model::{Actor, Deployment, DeploymentState, VersionNumber, VersionState};
use super::publish::Effect;
use super::rollouts::{of_version, put_deployment, take_back};
use super::{Result, TenantError, Tenants};
use crate::calls::routing::{Finding, Verdict};
use crate::clock::unix_now;

impl Tenants {
    /// Keeps every verdict, until the driver is gone. The driver has told them already.
    pub async fn follow(self, mut verdicts: mpsc::Receiver<Verdict>) {
        while let Some(verdict) = verdicts.recv().await {
            let Verdict { tenant, function, version, .. } = verdict.clone();
            match self.keep_verdict(verdict).await {
                // It may have been deleted in the meantime.
                Ok(()) | Err(TenantError::NotFound { .. }) => {}
                Err(error) => {
                    tracing::error!(%tenant, %function, version, %error, "a finding about a version is not kept")
                }
            }
        }
    }

    async fn keep_verdict(&self, verdict: Verdict) -> Result<()> {
        let Verdict { tenant, function, version, finding, why } = verdict;
        let action = match finding {
            Finding::Good => "version.good",
            Finding::RolledBack => "version.rollback",
            Finding::Paused => "version.pause",
        };
        let target = format!("{function}@{version}");
        let change = Change::new(&Actor::Gateway, &tenant, action, target, Effect::Routing);
        self.change(change, move |connection, line| {
            line.detail.clone_from(&why);
            judge(connection, line, &tenant, (&function, version), finding, &why)
        })
        .await
    }
}

fn judge(
    connection: &Connection,
    line: &mut Line,
    tenant: &TenantId,
    (name, number): (&FunctionId, VersionNumber),
    finding: Finding,
    why: &str,
) -> Result<()> {
    let mut function = find(connection, tenant, name)?;
    let mut judged = version(connection, tenant, name, number)?;
    let is_canary = function.canary.is_some_and(|canary| canary.version == number);
    let answers = is_canary || function.canary.is_none() && function.live == Some(number);
    let rollout = of_version(connection, tenant, name, number)?;
    let running = rollout.filter(|deployment| deployment.state == DeploymentState::Running);
    (judged.state, judged.reason) = match finding {
        Finding::Good => (VersionState::Good, None),
        Finding::RolledBack => (VersionState::RolledBack, Some(why.to_owned())),
        Finding::Paused => (VersionState::Paused, Some(why.to_owned())),
    };
    match finding {
        Finding::Good => {
            line.unchanged =
                running.is_none() && version(connection, tenant, name, number)?.state == VersionState::Good;
            if let Some(mut settled) = running {
                settled.state = DeploymentState::Settled;
                settled.ended_at = Some(unix_now());
                put_deployment(connection, tenant, &settled)?;
            }
        }
        // Somebody may have changed what answers since the driver saw it: then there is nothing to take back.
        Finding::RolledBack if answers => {
            match take_back(connection, tenant, &mut function, why) {
                Ok(_) => {}
                // Nothing is left to go back to, so it is asked no more.
                Err(TenantError::Conflict(_)) => {
                    judged.state = VersionState::Paused;
                    end(connection, tenant, running, why)?;
                }
                Err(error) => return Err(error),
            }
        }
        Finding::RolledBack => {}
        Finding::Paused => end(connection, tenant, running, why)?,
    }
    put_version(connection, tenant, name, &judged)
}

/// Ends a roll-out that failed, when there is one.
fn end(connection: &Connection, tenant: &TenantId, running: Option<Deployment>, why: &str) -> Result<()> {
    let Some(mut ended) = running else { return Ok(()) };
    ended.state = DeploymentState::RolledBack;
    ended.reason = Some(why.to_owned());
    ended.ended_at = Some(unix_now());
    put_deployment(connection, tenant, &ended)
}

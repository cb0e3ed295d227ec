//! A tenant's queues: their settings. Who waits in them is the call driver's to know.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tandem_switch::id::{QueueId, TenantId};
use tandem_switch::limits::QUEUES_PER_TENANT_MAX;
use tandem_switch::queue;

use super::change::{Change, json, kept, parsed};
use super::model::{Actor, Queue, QueueSettings};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};

impl Tenants {
    /// Its queues, by name.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            rows(connection, &tenant)
        })
        .await
    }

    /// One of its queues.
    ///
    /// # Errors
    /// When there is no such tenant or queue, or the store fails.
    pub async fn queue(&self, tenant: &TenantId, name: &QueueId) -> Result<Queue> {
        let found = self.queues(tenant).await?.into_iter().find(|queue| queue.name == *name);
        found.ok_or_else(|| TenantError::not_found("queue", name))
    }

    /// Makes or changes a queue. Who waits in it stays; agents whom it does not name any more are logged off.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_queue(&self, actor: &Actor, tenant: &TenantId, queue: Queue) -> Result<Queue> {
        queue.settings.parse().map_err(|bad| TenantError::invalid(format!("settings.{}", bad.setting), bad.what))?;
        let change = Change::new(actor, tenant, "queue.put", &queue.name, Effect::Queues);
        let tenant = tenant.clone();
        self.change(change, move |connection, _line| {
            settings::find(connection, &tenant)?;
            let count = "SELECT count(*) FROM queue WHERE tenant = ?1 AND name != ?2";
            let others: i64 = connection.query_row(count, [tenant.as_str(), queue.name.as_str()], |row| row.get(0))?;
            if others.unsigned_abs() >= QUEUES_PER_TENANT_MAX as u64 {
                let limit = QUEUES_PER_TENANT_MAX as u64;
                return Err(TenantError::OverLimit { budget: "queues", limit, hint: "" });
            }
            let upsert = "INSERT INTO queue (tenant, name, body) VALUES (?1, ?2, ?3)
                          ON CONFLICT (tenant, name) DO UPDATE SET body = ?3";
            let body = json(&queue.settings)?;
            connection.prepare_cached(upsert)?.execute(params![tenant.as_str(), queue.name.as_str(), body])?;
            Ok(queue)
        })
        .await
    }

    /// Forgets a queue. Who waits in it goes on with its plan.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_queue(&self, actor: &Actor, tenant: &TenantId, name: &QueueId) -> Result<()> {
        let change = Change::new(actor, tenant, "queue.delete", name, Effect::Queues);
        let (tenant, name) = (tenant.clone(), name.clone());
        self.change(change, move |connection, _line| {
            let delete = "DELETE FROM queue WHERE tenant = ?1 AND name = ?2";
            match connection.execute(delete, [tenant.as_str(), name.as_str()])? {
                0 => Err(TenantError::not_found("queue", name)),
                _ => Ok(()),
            }
        })
        .await
    }
}

fn rows(connection: &Connection, tenant: &TenantId) -> Result<Vec<Queue>> {
    let select = "SELECT name, body FROM queue WHERE tenant = ?1 ORDER BY name";
    let mut statement = connection.prepare_cached(select)?;
    let rows =
        statement.query_map([tenant.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut queues = Vec::new();
    for row in rows {
        let (name, body) = row?;
        let settings: QueueSettings = parsed("queue", &body)?;
        queues.push(Queue { name: kept(QueueId::new(&name))?, settings });
    }
    Ok(queues)
}

/// All queues of a tenant, as the core takes them.
pub(super) fn all(connection: &Connection, tenant: &TenantId) -> Result<BTreeMap<QueueId, queue::Settings>> {
    let mut queues = BTreeMap::new();
    for Queue { name, settings } in rows(connection, tenant)? {
        match settings.parse() {
            Ok(settings) => {
                queues.insert(name, settings);
            }
            // An older node allowed what this one does not: the other queues work nevertheless.
            Err(error) => {
                tracing::error!(%tenant, queue = %name, %error, "a queue cannot be used; change its settings")
            }
        }
    }
    Ok(queues)
}

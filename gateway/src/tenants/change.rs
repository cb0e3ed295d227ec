//! How a change is made: in the tenant's turn, in one transaction with its line in the audit log, and to its end even when whoever asked
//! for it goes away in the middle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_switch::id::{BadName, TenantId};
use tandem_switch::time::UnixMillis;
use tokio::sync::OwnedMutexGuard;

use super::model::{Actor, Revision, Tenant};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;
use crate::store::StoreError;

/// Most lines of the audit log for one tenant, and some: its oldest go. They are years of work for people, and some ten MiB. Each tenant has
/// its own, so that none can push what others did out of the log.
const AUDIT_LINES_MAX: i64 = 100_000;

/// After how many lines (of all tenants) the log of whoever writes the next is cut: looking for its oldest takes milliseconds.
const AUDIT_CUT_EVERY: i64 = 64;

/// Most locks of tenants that are kept without being in use.
const IDLE_TURNS_MAX: usize = 1024;

/// Whose turn it is to be changed.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tenants: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// Waits until nobody else changes this tenant.
    pub(super) async fn take(&self, tenant: &TenantId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            if tenants.len() > IDLE_TURNS_MAX {
                tenants.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(tenants.entry(tenant.clone()).or_default())
        };
        turn.lock_owned().await
    }
}

/// A change that somebody wants to make.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) actor: String,
    pub(super) tenant: TenantId,
    /// Such as `function.deploy`.
    pub(super) action: &'static str,
    /// To what.
    pub(super) target: String,
    /// What must be put to work afterwards.
    pub(super) effect: Effect,
}

impl Change {
    pub(super) fn new(
        actor: &Actor,
        tenant: &TenantId,
        action: &'static str,
        target: impl ToString,
        effect: Effect,
    ) -> Self {
        Self { actor: actor.to_string(), tenant: tenant.clone(), action, target: target.to_string(), effect }
    }
}

/// What is to be said of a change in the audit log.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Who makes the change.
    pub(super) actor: String,
    /// Particulars, never a secret.
    pub(super) detail: String,
    /// Everything is as it was: nothing is said.
    pub(super) unchanged: bool,
}

impl Tenants {
    /// Makes a change in the tenant's turn.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: Change,
        work: impl FnOnce(&Connection, &mut Line) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        to_its_end(async move {
            let _turn = this.shared.turns.take(&change.tenant).await;
            this.make(change, work).await
        })
        .await
    }

    /// Makes a change; it is the tenant's turn.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        change: Change,
        work: impl FnOnce(&Connection, &mut Line) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Change { actor, tenant, action, target, effect } = change;
        let whose = tenant.clone();
        let (value, unchanged) = self
            .shared
            .parts
            .store
            .change(move |connection| {
                let mut line = Line { actor, ..Line::default() };
                let value = work(connection, &mut line)?;
                if !line.unchanged {
                    audit(connection, &line.actor, &whose, action, &target, &line.detail)?;
                }
                Ok::<_, TenantError>((value, line.unchanged))
            })
            .await?;
        if !unchanged {
            self.publish(&tenant, effect).await.map_err(|error| TenantError::NotAtWork(error.into()))?;
        }
        Ok(value)
    }
}

/// A name that the store has. One that is none was damaged there: that is nobody's mistake who asks.
pub(super) fn kept<T>(name: std::result::Result<T, BadName>) -> Result<T> {
    name.map_err(|error| TenantError::Store(StoreError::BadName(error)))
}

/// Runs work that must not stop half-way.
pub(super) async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    // It is a task of its own, so that it goes on when this future is dropped. It can fail only when it panics or the runtime stops.
    tokio::spawn(work).await.unwrap_or(Err(TenantError::Stopping))
}

fn audit(
    connection: &Connection,
    actor: &str,
    tenant: &TenantId,
    action: &str,
    target: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO audit (at, actor, tenant, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let at = millis(unix_now());
    connection.prepare_cached(insert)?.execute(params![at, actor, tenant.as_str(), action, target, detail])?;
    if connection.last_insert_rowid() % AUDIT_CUT_EVERY == 0 {
        cut_audit(connection, tenant, AUDIT_LINES_MAX)?;
    }
    Ok(())
}

/// Forgets a tenant's lines but for the newest.
fn cut_audit(connection: &Connection, tenant: &TenantId, lines: i64) -> rusqlite::Result<()> {
    let delete = "DELETE FROM audit WHERE tenant = ?1 AND id <=
        (SELECT id FROM audit WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    connection.prepare_cached(delete)?.execute(params![tenant.as_str(), lines]).map(drop)
}

/// The tenant, when its configuration is not the file's.
pub(super) fn free(connection: &Connection, tenant: &TenantId, what: &str) -> Result<Tenant> {
    let found = settings::find(connection, tenant)?;
    if found.declared {
        let what = format!("{what} of tenant {tenant} are set in the node's configuration file; change them there");
        return Err(TenantError::Declared(what));
    }
    Ok(found)
}

/// Whether it still is what the request was made for.
pub(super) fn expect(expected: Option<Revision>, found: Revision) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(TenantError::Changed { expected, found }),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| TenantError::Store(StoreError::NotWritten(error.to_string())))
}

/// A value that the store has as JSON; `what` names it where it cannot be read.
pub(super) fn parsed<T: DeserializeOwned>(what: &str, json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| TenantError::Store(StoreError::BadRecord { call: what.to_owned(), error }))
}

/// Turns one more than `limit` items into a page and its cursor.
pub(super) fn page<T>(mut items: Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> super::model::Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(name);
    super::model::Page { items, next }
}

/// Most items of one page; larger limits are cut down to it.
pub(super) const PAGE_MAX: usize = 1000;

/// A page's limit within bounds.
pub(super) fn bounded(limit: usize) -> usize {
    limit.clamp(1, PAGE_MAX)
}

/// A cursor that is a number.
pub(super) fn number(cursor: Option<&str>) -> Result<i64> {
    let wrong = || TenantError::invalid("cursor", "is none of this list; give what `next` of the page before said");
    cursor.map_or(Ok(i64::MAX), |cursor| cursor.parse().map_err(|_| wrong()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_s_audit_log_is_cut_and_no_other_s() {
        let connection = Connection::open_in_memory().unwrap();
        let table = "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, actor TEXT, tenant TEXT, action TEXT, target TEXT, detail TEXT)";
        connection.execute_batch(table).unwrap();
        let (busy, quiet) = (TenantId::new("busy").unwrap(), TenantId::new("quiet").unwrap());
        audit(&connection, "operator", &quiet, "tenant.create", "quiet", "").unwrap();
        for _ in 0..10 {
            audit(&connection, "token 1", &busy, "kv.put", "s/k", "").unwrap();
        }
        cut_audit(&connection, &busy, 3).unwrap();
        cut_audit(&connection, &quiet, 3).unwrap();
        let ids = |tenant: &TenantId| {
            let mut statement = connection.prepare("SELECT id FROM audit WHERE tenant = ?1 ORDER BY id").unwrap();
            let rows = statement.query_map([tenant.as_str()], |row| row.get::<_, i64>(0)).unwrap();
            rows.collect::<rusqlite::Result<Vec<_>>>().unwrap()
        };
        assert_eq!((ids(&busy), ids(&quiet)), (vec![9, 10, 11], vec![1]));
    }
}

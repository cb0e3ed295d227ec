//! Which of a tenant's functions answers for what was dialled.

use rusqlite::{Connection, params};
use tandem_switch::binding::Pattern;
use tandem_switch::id::{FunctionId, TenantId};

use super::change::{Change, kept};
use super::model::{Actor, Binding};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, functions, settings};

/// Most bindings of a tenant: every change hands all of them to the call driver.
const BINDINGS_MAX: u64 = 10_000;

/// What fits everything.
pub(super) const EVERYTHING: &str = "*";

impl Tenants {
    /// Which function answers for what, by pattern.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn bindings(&self, tenant: &TenantId) -> Result<Vec<Binding>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            all(connection, &tenant)
        })
        .await
    }

    /// Makes or changes a binding.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_binding(&self, actor: &Actor, tenant: &TenantId, binding: Binding) -> Result<Binding> {
        if let Err(error) = binding.pattern.parse::<Pattern>() {
            return Err(TenantError::invalid("pattern", error.to_string()));
        }
        let change = Change::new(actor, tenant, "binding.put", &binding.pattern, Effect::Routing);
        let tenant = tenant.clone();
        self.change(change, move |connection, line| {
            functions::find(connection, &tenant, &binding.function)?;
            let count = "SELECT count(*) FROM binding WHERE tenant = ?1 AND pattern != ?2";
            let others: i64 = connection.query_row(count, [tenant.as_str(), &binding.pattern], |row| row.get(0))?;
            if others.unsigned_abs() >= BINDINGS_MAX {
                let hint = "; a pattern such as `+4930*` stands for many addresses";
                return Err(TenantError::OverLimit { budget: "bindings", limit: BINDINGS_MAX, hint });
            }
            put(connection, &tenant, &binding.pattern, &binding.function)?;
            line.detail = binding.function.to_string();
            Ok(binding)
        })
        .await
    }

    /// Forgets a binding.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_binding(&self, actor: &Actor, tenant: &TenantId, pattern: &str) -> Result<()> {
        let change = Change::new(actor, tenant, "binding.delete", pattern, Effect::Routing);
        let (tenant, pattern) = (tenant.clone(), pattern.to_owned());
        self.change(change, move |connection, _line| {
            let delete = "DELETE FROM binding WHERE tenant = ?1 AND pattern = ?2";
            match connection.execute(delete, [tenant.as_str(), &pattern])? {
                0 => Err(TenantError::not_found("binding", pattern)),
                _ => Ok(()),
            }
        })
        .await
    }
}

pub(super) fn put(
    connection: &Connection,
    tenant: &TenantId,
    pattern: &str,
    function: &FunctionId,
) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO binding (tenant, pattern, function) VALUES (?1, ?2, ?3)
                  ON CONFLICT (tenant, pattern) DO UPDATE SET function = ?3";
    connection.prepare_cached(upsert)?.execute(params![tenant.as_str(), pattern, function.as_str()]).map(drop)
}

pub(super) fn all(connection: &Connection, tenant: &TenantId) -> Result<Vec<Binding>> {
    let select = "SELECT pattern, function FROM binding WHERE tenant = ?1 ORDER BY pattern";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([tenant.as_str()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let mut bindings = Vec::new();
    for row in rows {
        let (pattern, function) = row?;
        bindings.push(Binding { pattern, function: kept(FunctionId::new(&function))? });
    }
    Ok(bindings)
}

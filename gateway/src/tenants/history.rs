//! What happened: call records, invocations, the audit log. Only read here.

use rusqlite::params;
use rusqlite::types::Value;
use tandem_switch::id::TenantId;
use tandem_switch::time::UnixMillis;

use super::change::{bounded, kept, number, page};
use super::model::{AuditEntry, InvocationFilter, InvocationRecord, Page};
use super::{Result, TenantError, Tenants};

impl Tenants {
    /// Call records, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn records(&self, filter: crate::store::Filter) -> Result<crate::store::Page> {
        Ok(self.shared.parts.store.records(filter).await?)
    }

    /// Invocations, newest first (oldest first after `filter.after`).
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn invocations(&self, tenant: &TenantId, filter: InvocationFilter) -> Result<Page<InvocationRecord>> {
        self.tenant(tenant).await?;
        Ok(self.shared.invocations.invocations(tenant, filter).await?)
    }

    /// One invocation.
    ///
    /// # Errors
    /// When there is none (any more), or the store fails.
    pub async fn invocation(&self, tenant: &TenantId, id: u64) -> Result<InvocationRecord> {
        let found = self.shared.invocations.invocation(tenant, id).await?;
        found.ok_or_else(|| TenantError::not_found("invocation", id))
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store fails.
    pub async fn audit(
        &self,
        tenant: Option<&TenantId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>> {
        let (before, limit) = (number(cursor)?, bounded(limit));
        let whose = tenant.map_or(Value::Null, |tenant| Value::Text(tenant.to_string()));
        self.read(move |connection| {
            let select = match whose {
                Value::Null => "SELECT id, at, actor, tenant, action, target, detail FROM audit WHERE id < ?2 AND ?1 IS NULL ORDER BY id DESC LIMIT ?3",
                _ => "SELECT id, at, actor, tenant, action, target, detail FROM audit WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
            };
            let mut statement = connection.prepare_cached(select)?;
            let mut rows = statement.query(params![whose, before, limit as i64 + 1])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let tenant: String = row.get(3)?;
                entries.push(AuditEntry {
                    id: row.get::<_, i64>(0)?.unsigned_abs(),
                    at: UnixMillis(row.get::<_, i64>(1)?.unsigned_abs()),
                    actor: row.get(2)?,
                    tenant: kept(TenantId::new(&tenant))?,
                    action: row.get(4)?,
                    target: row.get(5)?,
                    detail: row.get(6)?,
                });
            }
            Ok(page(entries, limit, |entry| entry.id.to_string()))
        })
        .await
    }
}

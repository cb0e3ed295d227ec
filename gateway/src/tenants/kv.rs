//! Key-value stores, as the control API reads and changes them. Functions go straight to [`crate::store::Kv`].

use tandem_switch::id::TenantId;

use super::change::{Change, bounded};
use super::model::{Actor, KvEntry, Limits, Page};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::store::{Kv, KvError, Quota};

impl Tenants {
    /// Keys of a store, in their order.
    ///
    /// # Errors
    /// When there is no such tenant, the label is none, or the store fails.
    pub async fn kv_keys(
        &self,
        tenant: &TenantId,
        store: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<KvEntry>> {
        self.tenant(tenant).await?;
        let (keys, more) = self.shared.kv.keys(tenant, store, cursor, bounded(limit)).await.map_err(refused)?;
        let next = keys.last().filter(|_| more).map(|(key, _)| key.clone());
        let items = keys.into_iter().map(|(key, bytes)| KvEntry { store: store.to_owned(), key, bytes }).collect();
        Ok(Page { items, next })
    }

    /// One value.
    ///
    /// # Errors
    /// When there is none, the key breaks a rule, or the store fails.
    pub async fn kv_get(&self, tenant: &TenantId, store: &str, key: &str) -> Result<bytes::Bytes> {
        let value = self.shared.kv.get(tenant, store, key).await.map_err(refused)?;
        value.ok_or_else(|| TenantError::not_found("key", key))
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn kv_put(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        store: &str,
        key: &str,
        value: bytes::Bytes,
    ) -> Result<()> {
        let change = Change::new(actor, tenant, "kv.put", format!("{store}/{key}"), Effect::Nothing);
        let put = Kv::put(tenant, store, key, value).map_err(refused)?;
        let whose = tenant.clone();
        let done = self
            .change(change, move |connection, line| {
                let quota = quota(&settings::find(connection, &whose)?.settings.limits);
                line.detail = format!("{} bytes", put.bytes());
                put.make(connection, quota).map_err(refused)
            })
            .await;
        if let Err(TenantError::OverLimit { budget, .. }) = &done {
            let meters = self.meters().of(tenant);
            if *budget == KEYS { meters.kv_keys.refuse() } else { meters.kv_bytes.refuse() }
        }
        done
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn kv_delete(&self, actor: &Actor, tenant: &TenantId, store: &str, key: &str) -> Result<()> {
        let change = Change::new(actor, tenant, "kv.delete", format!("{store}/{key}"), Effect::Nothing);
        let removal = Kv::removal(tenant, store, key).map_err(refused)?;
        let key = key.to_owned();
        self.change(change, move |connection, _line| match removal.make(connection).map_err(refused)? {
            true => Ok(()),
            false => Err(TenantError::not_found("key", key)),
        })
        .await
    }
}

/// The budget of keys, as it is called in the limits.
const KEYS: &str = "kv-keys";

/// What a tenant may keep in key-value stores.
fn quota(limits: &Limits) -> Quota {
    Quota { keys: limits.kv_keys, bytes: limits.kv_bytes }
}

pub(super) fn refused(error: KvError) -> TenantError {
    match error {
        KvError::Invalid(what) => TenantError::invalid("key", what),
        KvError::OverQuota { budget, limit } => {
            TenantError::OverLimit { budget, limit, hint: "; delete keys that are no longer used" }
        }
        KvError::Store(error) => TenantError::Store(error),
    }
}

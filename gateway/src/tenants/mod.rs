//! Tenants: what they are, what they have, and every change to it.
//!
//! [`Tenants`] is the one way to change anything of a tenant: it checks, keeps the change in the store together with its line in the audit
//! log, and then puts it to work (keys in the keyring, settings and functions in the call driver). Changes of one tenant are made
//! one after another; a change that was acknowledged survives `kill -9`. It knows no HTTP: `control::api` speaks that.

mod error;
pub mod model;
pub mod usage;

use std::sync::Arc;

use tandem_host::Host;
use tandem_switch::id::{FunctionId, TenantId, UserId};
use tokio::sync::mpsc;

use crate::calls::driver::Command;
use crate::config::Secret;
use crate::store::Store;
use crate::token::Keyring;

pub use error::TenantError;
use model::*;

type Result<T> = std::result::Result<T, TenantError>;

/// What a create brought, kept so that it is not done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 of method, path and body: another request under the same key is refused.
    pub request: [u8; 32],
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// What tenants' changes are made with.
#[derive(Debug)]
pub struct Parts {
    /// Keeps everything; components beside it, in its directory.
    pub store: Store,
    /// Compiles and checks components.
    pub host: Arc<Host>,
    /// Where keys are put to work.
    pub keyring: Arc<Keyring>,
    /// What everybody uses.
    pub meters: Arc<usage::Meters>,
    /// The call driver, which is told of every change that concerns calls. What is kept takes effect at the next start when it is gone.
    pub commands: mpsc::Sender<Command>,
    /// The token that may do everything; none: nobody is the operator.
    pub operator_token: Option<Secret>,
}

/// Everything about tenants. Clones share it.
#[derive(Clone, Debug)]
pub struct Tenants {
    parts: Arc<Parts>,
}

impl Tenants {
    /// Takes up what the store has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open(parts: Parts) -> Result<Self> {
        Ok(Self { parts: Arc::new(parts) })
    }

    /// What everybody uses.
    pub fn meters(&self) -> &Arc<usage::Meters> {
        &self.parts.meters
    }
}

/// Tenants.
impl Tenants {
    /// All tenants, by name.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn tenants(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Tenant>> {
        unimplemented!()
    }

    /// One tenant.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<Tenant> {
        unimplemented!()
    }

    /// Makes a tenant; it can be called from the next moment on.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_tenant(&self, actor: &Actor, tenant: TenantId, settings: Settings) -> Result<Tenant> {
        unimplemented!()
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
        unimplemented!()
    }

    /// Forgets a tenant and everything of it; its sessions end. Call records stay.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_tenant(&self, actor: &Actor, tenant: &TenantId, expected: Option<Revision>) -> Result<()> {
        unimplemented!()
    }

    /// What is used of each of its budgets.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn usage(&self, tenant: &TenantId) -> Result<Vec<Usage>> {
        unimplemented!()
    }
}

/// Keys.
impl Tenants {
    /// The keys that its user tokens are signed with.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn keys(&self, tenant: &TenantId) -> Result<Vec<Key>> {
        unimplemented!()
    }

    /// Adds a key; gives the secret when one was made.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn add_key(&self, actor: &Actor, tenant: &TenantId, key: NewKey) -> Result<(Key, Option<Secret>)> {
        unimplemented!()
    }

    /// Forgets a key: tokens signed with it are refused from now on.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_key(&self, actor: &Actor, tenant: &TenantId, id: &str) -> Result<()> {
        unimplemented!()
    }
}

/// Users.
impl Tenants {
    /// Its users, by name.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn users(&self, tenant: &TenantId, cursor: Option<&str>, limit: usize) -> Result<Page<User>> {
        unimplemented!()
    }

    /// Makes or changes a user.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_user(&self, actor: &Actor, tenant: &TenantId, user: User) -> Result<User> {
        unimplemented!()
    }

    /// Forgets a user.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_user(&self, actor: &Actor, tenant: &TenantId, user: &UserId) -> Result<()> {
        unimplemented!()
    }
}

/// Control tokens.
impl Tenants {
    /// Its control tokens.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn tokens(&self, tenant: &TenantId) -> Result<Vec<Token>> {
        unimplemented!()
    }

    /// Makes a control token; the secret is the token itself, shown this once. Nobody grants more than they may.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_token(&self, actor: &Actor, tenant: &TenantId, token: NewToken) -> Result<(Token, Secret)> {
        unimplemented!()
    }

    /// Ends a control token.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_token(&self, actor: &Actor, tenant: &TenantId, id: &str) -> Result<()> {
        unimplemented!()
    }

    /// Whose token this is, if it is good.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn authenticate(&self, bearer: &str) -> Option<Actor> {
        unimplemented!()
    }
}

/// Components and versions.
impl Tenants {
    /// Keeps a component under its digest, once the gateway has found that it would run it. Again is no error.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_component(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        digest: &str,
        bytes: bytes::Bytes,
    ) -> Result<()> {
        unimplemented!()
    }

    /// The bytes of a component that the tenant uploaded.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn component(&self, tenant: &TenantId, digest: &str) -> Result<bytes::Bytes> {
        unimplemented!()
    }

    /// Its functions, by name.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn functions(&self, tenant: &TenantId) -> Result<Vec<Function>> {
        unimplemented!()
    }

    /// One of them.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn function(&self, tenant: &TenantId, function: &FunctionId) -> Result<Function> {
        unimplemented!()
    }

    /// Makes a version of an uploaded component; the first makes the function. The same component with the same manifest is the same version.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_version(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        version: NewVersion,
    ) -> Result<Version> {
        unimplemented!()
    }

    /// Its versions, newest first.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn versions(
        &self,
        tenant: &TenantId,
        function: &FunctionId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Version>> {
        unimplemented!()
    }

    /// One of them.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn version(&self, tenant: &TenantId, function: &FunctionId, version: VersionNumber) -> Result<Version> {
        unimplemented!()
    }

    /// What differs between two versions.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn diff(
        &self,
        tenant: &TenantId,
        function: &FunctionId,
        from: VersionNumber,
        to: VersionNumber,
    ) -> Result<VersionDiff> {
        unimplemented!()
    }

    /// Forgets a function with its versions and bindings. Calls under way end on the version they began with.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_function(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        function: &FunctionId,
        expected: Option<Revision>,
    ) -> Result<()> {
        unimplemented!()
    }
}

/// Roll-outs.
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
        unimplemented!()
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
        unimplemented!()
    }

    /// Takes the canary back, or else puts the version before the live one on all calls.
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
        unimplemented!()
    }

    /// Roll-outs, newest first.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn deployments(
        &self,
        tenant: &TenantId,
        function: Option<&FunctionId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Deployment>> {
        unimplemented!()
    }
}

/// Bindings.
impl Tenants {
    /// Which function answers for what, by pattern.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn bindings(&self, tenant: &TenantId) -> Result<Vec<Binding>> {
        unimplemented!()
    }

    /// Makes or changes a binding.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_binding(&self, actor: &Actor, tenant: &TenantId, binding: Binding) -> Result<Binding> {
        unimplemented!()
    }

    /// Forgets a binding.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_binding(&self, actor: &Actor, tenant: &TenantId, pattern: &str) -> Result<()> {
        unimplemented!()
    }
}

/// Variables.
impl Tenants {
    /// Its variables; of secrets only the names.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn variables(&self, tenant: &TenantId) -> Result<Vec<Variable>> {
        unimplemented!()
    }

    /// Sets a variable or secret; functions see it at their next invocation.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_variable(&self, actor: &Actor, tenant: &TenantId, variable: Variable) -> Result<Variable> {
        unimplemented!()
    }

    /// Forgets one.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_variable(&self, actor: &Actor, tenant: &TenantId, name: &str) -> Result<()> {
        unimplemented!()
    }
}

/// Key-value.
impl Tenants {
    /// Keys of a store, in their order.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn kv_keys(
        &self,
        tenant: &TenantId,
        store: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<KvEntry>> {
        unimplemented!()
    }

    /// One value.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn kv_get(&self, tenant: &TenantId, store: &str, key: &str) -> Result<bytes::Bytes> {
        unimplemented!()
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
        unimplemented!()
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn kv_delete(&self, actor: &Actor, tenant: &TenantId, store: &str, key: &str) -> Result<()> {
        unimplemented!()
    }
}

/// What happened.
impl Tenants {
    /// Call records, newest first.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn records(&self, filter: crate::store::Filter) -> Result<crate::store::Page> {
        unimplemented!()
    }

    /// Invocations, newest first (oldest first after `filter.after`).
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn invocations(&self, tenant: &TenantId, filter: InvocationFilter) -> Result<Page<InvocationRecord>> {
        unimplemented!()
    }

    /// One invocation.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn invocation(&self, tenant: &TenantId, id: u64) -> Result<InvocationRecord> {
        unimplemented!()
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn audit(
        &self,
        tenant: Option<&TenantId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>> {
        unimplemented!()
    }
}

/// Idempotency.
impl Tenants {
    /// What a create with this idempotency key brought before.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn remembered(&self, actor: &Actor, key: &str) -> Result<Option<Remembered>> {
        unimplemented!()
    }

    /// Keeps what a create brought, for a day.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn remember(&self, actor: &Actor, key: &str, answer: Remembered) -> Result<()> {
        unimplemented!()
    }
}

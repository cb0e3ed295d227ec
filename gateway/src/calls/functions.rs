//! Which version of a tenant's function answers: the newest for new calls, and for a call under way the one it began with.

use std::collections::HashMap;
use std::sync::Arc;

use tandem_host::Function;
use tandem_switch::id::{CallId, TenantId};

/// One version of a tenant's function.
#[derive(Clone, Debug)]
pub struct Version {
    /// What runs.
    pub function: Arc<Function>,
    /// Its name in records and contexts: the beginning of its digest.
    pub name: Arc<str>,
}

impl Version {
    /// Names a loaded function by its digest.
    pub fn new(function: Arc<Function>) -> Self {
        let name = function.digest().short().into();
        Self { function, name }
    }
}

/// The functions of all tenants, and which calls run on which.
#[derive(Debug, Default)]
pub struct Functions {
    newest: HashMap<TenantId, Version>,
    /// One entry for each live call that asked a function; gone with the call's record.
    pinned: HashMap<CallId, Version>,
}

impl Functions {
    /// Makes `version` answer the tenant's next calls.
    pub fn deploy(&mut self, tenant: TenantId, version: Version) {
        self.newest.insert(tenant, version);
    }

    /// The function that answers for this call: the one it began with, else the tenant's newest, which is then kept for it.
    pub fn for_call(&mut self, call: CallId, tenant: &TenantId) -> Option<Version> {
        if let Some(version) = self.pinned.get(&call) {
            return Some(version.clone());
        }
        let version = self.newest.get(tenant)?.clone();
        self.pinned.insert(call, version.clone());
        Some(version)
    }

    /// Forgets a call that is over; gives the version that its `ended` event goes to.
    pub fn release(&mut self, call: CallId) -> Option<Version> {
        self.pinned.remove(&call)
    }

    /// How many calls hold on to a version.
    pub fn pinned_calls(&self) -> usize {
        self.pinned.len()
    }
}

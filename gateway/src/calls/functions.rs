//! Which version of a tenant's function answers: the newest for new calls, and for a call under way the one it began with.

use std::collections::HashMap;
use std::sync::Arc;

use tandem_host::Function;
use tandem_switch::id::{CallId, TenantId};

/// The functions of all tenants, and which calls run on which.
#[derive(Default)]
pub struct Functions {
    newest: HashMap<TenantId, Arc<Function>>,
    /// One entry for each live call that asked a function; gone with the call's record.
    pinned: HashMap<CallId, Arc<Function>>,
}

impl Functions {
    /// Makes `function` answer the tenant's next calls.
    pub fn deploy(&mut self, tenant: TenantId, function: Arc<Function>) {
        self.newest.insert(tenant, function);
    }

    /// The function that answers for this call: the one it began with, else the tenant's newest, which is then kept for it.
    pub fn for_call(&mut self, call: CallId, tenant: &TenantId) -> Option<Arc<Function>> {
        if let Some(function) = self.pinned.get(&call) {
            return Some(Arc::clone(function));
        }
        let function = Arc::clone(self.newest.get(tenant)?);
        self.pinned.insert(call, Arc::clone(&function));
        Some(function)
    }

    /// Forgets a call that is over; gives the function that its `ended` event goes to.
    pub fn release(&mut self, call: CallId) -> Option<Arc<Function>> {
        self.pinned.remove(&call)
    }

    /// How many calls hold on to a version.
    pub fn pinned_calls(&self) -> usize {
        self.pinned.len()
    }
}

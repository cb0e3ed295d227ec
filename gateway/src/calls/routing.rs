//! What the call driver must know to route a tenant's calls, and what it finds out while it does: the contract between it and
//! [`crate::tenants::Tenants`]. A change of anything replaces a tenant's [`Routing`] whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_host::Function;
use tandem_switch::id::{FunctionId, TenantId};

pub use tandem_switch::rollout::Finding;

use crate::tenants::model::{Binding, Limits, Manifest, RollbackRule, Variables, VersionNumber};

/// How a tenant's calls are routed.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Which function answers for what was dialled.
    pub bindings: Vec<Binding>,
    /// The functions that are deployed.
    pub functions: BTreeMap<FunctionId, Deployed>,
    /// Variables and secrets with their values.
    pub variables: Arc<Variables>,
    /// Its budgets.
    pub limits: Limits,
}

/// The versions of a function that answer calls.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// On all calls that the canary does not get.
    pub live: Option<Version>,
    /// On this many of a hundred calls.
    pub canary: Option<(Version, u8)>,
    /// What the safety net falls back on.
    pub last_good: Option<Version>,
    /// The roll-out that is being watched: of the canary when there is one, else of the live version; none once it has settled.
    pub watched: Option<Watched>,
}

/// A roll-out that is being watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its number.
    pub deployment: u64,
    /// When it is rolled back by itself.
    pub rule: RollbackRule,
}

/// One version of a function, ready to run.
#[derive(Clone, Debug)]
pub struct Version {
    /// Of which function.
    pub of: FunctionId,
    /// Its number.
    pub number: VersionNumber,
    /// Its name in records and contexts: `<function>@<number>`.
    pub name: Arc<str>,
    /// What runs.
    pub function: Arc<Function>,
    /// What it may reach.
    pub manifest: Arc<Manifest>,
}

/// What the driver found out about a version. It has acted on it already; the tenants' side keeps it and tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whose.
    pub tenant: TenantId,
    /// Of which function.
    pub function: FunctionId,
    /// Which version.
    pub version: VersionNumber,
    /// What was found.
    pub finding: Finding,
    /// Why, in plain words, with the figures.
    pub why: String,
}

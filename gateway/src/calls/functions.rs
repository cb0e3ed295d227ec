//! Which version of which tenant's function answers a call, and what an invocation of it is given.
//!
//! A call keeps the version that it began with to its end, unless that one failed and the last good version took over: then it keeps
//! that. What is thought of versions is [`tandem_switch::rollout`]'s business, one for each function.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tandem_switch::binding::Bindings;
use tandem_switch::id::{CallId, FunctionId, TenantId};
use tandem_switch::rollout::{self, Canary, Choice, Finding, Outcome, Rollout, Watch};

use crate::calls::budgets::Budgets;
use crate::calls::masking::Masks;
use crate::calls::outside;
use crate::calls::routing::{Deployed, Routing, Verdict, Version};
use crate::outgoing::HostPattern;
use crate::store::Quota;
use crate::tenants::model::{Limits, Variables, VersionNumber};
use crate::tenants::usage::{Meters, TenantMeters};

/// What every invocation of a tenant is given. Clones share it.
#[derive(Clone, Debug)]
pub struct Share {
    /// Variables and secrets.
    pub variables: Arc<Variables>,
    /// Keeps the secrets out of what is kept.
    pub masks: Arc<Masks>,
    /// What it may use.
    pub budgets: Arc<Budgets>,
    /// How much it may keep in key-value stores.
    pub quota: Quota,
    /// Most memory of one invocation, bytes.
    pub memory_bytes_max: usize,
    /// Most of its invocations that are kept.
    pub invocations_kept: u64,
    /// How many bytes of its records wait to be kept.
    pub unrecorded_bytes: Arc<AtomicUsize>,
}

impl Share {
    fn new(routing: &Routing, before: Option<&Self>, meters: impl FnOnce() -> Arc<TenantMeters>) -> Self {
        let Routing { variables, limits, .. } = routing;
        let masks = before.map(|before| &before.masks).filter(|masks| masks.are_of(variables)).map(Arc::clone);
        let budgets = match before {
            Some(before) => {
                before.budgets.change(limits);
                Arc::clone(&before.budgets)
            }
            None => Arc::new(Budgets::new(limits, meters())),
        };
        Self {
            variables: Arc::clone(variables),
            masks: masks.unwrap_or_else(|| Arc::new(Masks::new(Arc::clone(variables)))),
            budgets,
            quota: outside::quota(limits),
            memory_bytes_max: memory_bytes(limits),
            invocations_kept: limits.invocations_kept,
            unrecorded_bytes: before.map(|before| Arc::clone(&before.unrecorded_bytes)).unwrap_or_default(),
        }
    }
}

fn memory_bytes(limits: &Limits) -> usize {
    usize::try_from(limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1024 * 1024)
}

/// Who is to answer a question.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// A version; when it fails, another, if there is one.
    Version(Version, Option<Version>),
    /// A version that is asked no more; instead another, if there is one.
    Paused(Version, Option<Version>),
}

/// How an invocation of a version went.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Of which function.
    pub function: FunctionId,
    /// Which version.
    pub version: VersionNumber,
    /// How it went.
    pub outcome: Outcome,
    /// How it failed, without secrets.
    pub failure: Option<String>,
}

#[derive(Debug)]
struct Tenant {
    bindings: Bindings<FunctionId>,
    functions: BTreeMap<FunctionId, Function>,
    share: Share,
}

#[derive(Debug, Default)]
struct Function {
    /// Those that are deployed, at most three.
    versions: BTreeMap<VersionNumber, Version>,
    rollout: Rollout,
}

impl Function {
    fn deploy(&mut self, deployed: Deployed) {
        let Deployed { live, canary, last_good, watched } = deployed;
        let watch = |watched: crate::calls::routing::Watched| Watch {
            deployment: watched.deployment,
            error_percent: watched.rule.error_percent,
            after_invocations: watched.rule.after_invocations,
        };
        let number = |version: &Version| version.number;
        self.rollout.deploy(rollout::Deployed {
            live: live.as_ref().map(number),
            canary: canary.as_ref().map(|(version, percent)| Canary { version: version.number, percent: *percent }),
            last_good: last_good.as_ref().map(number),
            watched: watched.map(watch),
        });
        let versions = [live, canary.map(|(version, _)| version), last_good];
        self.versions = versions.into_iter().flatten().map(|version| (version.number, version)).collect();
    }

    fn choose(&self, call: CallId) -> Option<Chosen> {
        match self.rollout.choose(call) {
            Choice::Ask(number) => self.version(number).map(|version| self.with_net(version)),
            Choice::Paused(number) => self.version(number).map(|version| Chosen::Paused(version, self.net_of(number))),
            Choice::Nothing => None,
        }
    }

    /// For a call that runs on a version already.
    fn stay_with(&self, version: Version) -> Chosen {
        match self.rollout.finding(version.number) {
            Some(Finding::Paused) => {
                let net = self.net_of(version.number);
                Chosen::Paused(version, net)
            }
            None | Some(Finding::Good | Finding::RolledBack) => self.with_net(version),
        }
    }

    fn with_net(&self, version: Version) -> Chosen {
        let net = self.net_of(version.number);
        Chosen::Version(version, net)
    }

    fn net_of(&self, number: VersionNumber) -> Option<Version> {
        self.rollout.fall_back(number).and_then(|number| self.version(number))
    }

    fn version(&self, number: VersionNumber) -> Option<Version> {
        self.versions.get(&number).cloned()
    }
}

impl Tenant {
    /// A function that was deleted has no net under it any more.
    fn stay_with(&self, version: Version) -> Chosen {
        match self.functions.get(&version.of) {
            Some(function) => function.stay_with(version),
            None => Chosen::Version(version, None),
        }
    }
}

/// The functions of all tenants, and which calls run on which.
#[derive(Debug)]
pub struct Functions {
    meters: Arc<Meters>,
    tenants: HashMap<TenantId, Tenant>,
    /// One entry for each live call that asked a function; gone with the call's record.
    pinned: HashMap<CallId, Version>,
}

impl Functions {
    /// None yet. What tenants use stands in `meters`.
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { meters, tenants: HashMap::new(), pinned: HashMap::new() }
    }

    /// From the next call on a tenant's calls are routed so. What is known of a roll-out that goes on stays known.
    pub fn route(&mut self, tenant: TenantId, routing: Routing) {
        let mut before = self.tenants.remove(&tenant);
        let share = before.as_ref().map(|before| &before.share);
        let share = Share::new(&routing, share, || self.meters.of(&tenant));
        let Routing { bindings, functions, .. } = routing;
        let bindings = bindings.into_iter().filter_map(|binding| match binding.pattern.parse() {
            Ok(pattern) => Some((pattern, binding.function)),
            Err(error) => {
                // It was checked when it was made.
                tracing::error!(%tenant, pattern = binding.pattern, %error, "a binding cannot be used");
                None
            }
        });
        let bindings = bindings.collect();
        let functions = functions.into_iter().map(|(id, deployed)| {
            let mut function = before.as_mut().and_then(|before| before.functions.remove(&id)).unwrap_or_default();
            function.deploy(deployed);
            (id, function)
        });
        let functions = functions.collect();
        self.tenants.insert(tenant, Tenant { bindings, functions, share });
    }

    /// A tenant is gone, and its calls with it.
    pub fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
    }

    /// What every invocation of this tenant is given; none of a tenant that has no functions.
    pub fn share(&self, tenant: &TenantId) -> Option<&Share> {
        self.tenants.get(tenant).map(|tenant| &tenant.share)
    }

    /// Who answers for this call: the version that it runs on, else what is chosen for it now, which is then kept for it. Nobody when no
    /// binding fits what was dialled, or nothing is deployed.
    pub fn for_call(&mut self, call: CallId, tenant: &TenantId, dialled: &str) -> Option<Chosen> {
        let tenant = self.tenants.get(tenant)?;
        if let Some(version) = self.pinned.get(&call) {
            return Some(tenant.stay_with(version.clone()));
        }
        let chosen = tenant.functions.get(tenant.bindings.find(dialled)?)?.choose(call)?;
        let (Chosen::Version(version, _) | Chosen::Paused(version, _)) = &chosen;
        self.pinned.insert(call, version.clone());
        Some(chosen)
    }

    /// The last good version took over: the call is its from here on.
    pub fn moved(&mut self, call: CallId, version: Version) {
        if let Some(pinned) = self.pinned.get_mut(&call) {
            *pinned = version;
        }
    }

    /// Forgets a call that is over; gives the version that its `ended` event goes to.
    pub fn release(&mut self, call: CallId, tenant: &TenantId) -> Option<Chosen> {
        let version = self.pinned.remove(&call)?;
        Some(self.tenants.get(tenant)?.stay_with(version))
    }

    /// An invocation went well or not. What is found is in force at once.
    pub fn observe(&mut self, tenant: &TenantId, observation: Observation) -> Option<Verdict> {
        let Observation { function, version, outcome, failure } = observation;
        let rollout = &mut self.tenants.get_mut(tenant)?.functions.get_mut(&function)?.rollout;
        let rollout::Verdict { version, finding, why } = rollout.observe(version, outcome)?;
        let last = failure.map(|failure| format!("; the last one: {failure}")).unwrap_or_default();
        Some(Verdict { tenant: tenant.clone(), function, version, finding, why: why + &last })
    }

    /// Where the version that a call runs on may go; nowhere, when none does.
    pub fn allowed_hosts(&self, call: CallId) -> Vec<HostPattern> {
        let hosts = |version: &Version| {
            version.manifest.allowed_outbound_hosts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        self.pinned.get(&call).map(hosts).unwrap_or_default()
    }

    /// How many calls hold on to a version.
    pub fn pinned_calls(&self) -> usize {
        self.pinned.len()
    }
}

//! Calls: the exchange and everything that its outputs make happen.
//!
//! - [`driver`]: the one loop that feeds the exchange and the ONE exhaustive match on its outputs: every side effect of the product;
//! - [`functions`]: which version of which tenant's function answers a call;
//! - [`safety_net`]: asks it, and what to do when it fails;
//! - [`budgets`]: what a tenant's functions may use; [`outside`]: the world that they meet;
//! - [`recorder`]: keeps every invocation, [`masking`] without its tenant's secrets; `records`: keeps every call's record;
//! - [`mailboxes`]: what users ask of theirs over signalling;
//! - [`routing`]: what the driver is told of a tenant's functions, and what it finds out about them;
//! - [`standing`]: how tenants stand, for operators; [`metrics`]: what is counted.

pub mod budgets;
pub mod driver;
pub mod functions;
pub mod live;
pub mod mailboxes;
pub mod masking;
pub mod metrics;
pub mod outside;
pub mod recorder;
mod records;
pub mod routing;
pub mod safety_net;
pub mod standing;
#[cfg(test)]
mod test_kit;
mod webhook;

//! Calls: the exchange and everything that its outputs make happen.
//!
//! - [`driver`]: the one loop that feeds the exchange and the ONE exhaustive match on its outputs: every side effect of the product;
//! - [`functions`]: which version of which tenant's function answers a call;
//! - [`routing`]: what the driver is told of a tenant's functions, and what it finds out about them;
//! - [`metrics`]: what is counted.

pub mod driver;
pub mod functions;
pub mod metrics;
pub mod routing;

//! The control API: tenants and everything they have, over HTTP and JSON (`/v1/…`), one file for each kind of resource.
//!
//! It translates: a request into a question or a change of [`Tenants`], what that says into an answer. It decides nothing about tenants
//! itself and keeps nothing but counts. A request passes, from outside in: `guard` (limits, problems, counting), `access` (who may), and
//! `idempotency` (once only); then its handler. The OpenAPI document is written from the handlers and from the table in `access`.

mod access;
mod attempts;
mod audit;
mod bindings;
mod calls;
mod components;
mod deployments;
mod etag;
mod functions;
mod guard;
mod idempotency;
mod invocations;
mod keys;
mod kv;
mod mailboxes;
mod me;
mod metrics;
mod openapi;
mod paths;
mod problem;
mod prompts;
mod queues;
mod recordings;
mod records;
mod tenants;
mod tokens;
mod uploads;
mod users;
mod variables;
mod versions;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use bytes::Bytes;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

use crate::tenants::Tenants;

pub use invocations::FOLLOW_SECONDS_MAX;
pub use keys::AddedKey;
pub use me::Me;
pub use metrics::ControlMetrics;
pub use openapi::document;
pub use paths::PAGE_ITEMS_MAX;
pub use problem::{PROBLEM_TYPE, Problem};
pub use records::RecordPage;
pub use tenants::NewTenant;
pub use tokens::CreatedToken;

/// Most bytes of a JSON body. The largest plan within the contract's bounds has less than 400 KB. More: 413.
const JSON_BYTES_MAX: usize = 1024 * 1024;

/// What a handler answers.
type Answer<T> = Result<T, Problem>;

/// What the handlers share. Clones are the same.
#[derive(Clone, Debug)]
struct Api {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    tenants: Tenants,
    metrics: ControlMetrics,
    document: Bytes,
    attempts: attempts::Attempts,
    uploads: uploads::Uploads,
    under_way: idempotency::UnderWay,
    followers: Semaphore,
}

impl Api {
    fn tenants(&self) -> &Tenants {
        &self.parts.tenants
    }

    fn metrics(&self) -> &ControlMetrics {
        &self.parts.metrics
    }

    fn document(&self) -> Bytes {
        self.parts.document.clone()
    }

    fn attempts(&self) -> &attempts::Attempts {
        &self.parts.attempts
    }

    fn uploads(&self) -> &uploads::Uploads {
        &self.parts.uploads
    }

    fn under_way(&self) -> &idempotency::UnderWay {
        &self.parts.under_way
    }

    fn followers(&self) -> &Semaphore {
        &self.parts.followers
    }
}

/// Every operation.
fn operations() -> OpenApiRouter<Api> {
    [
        me::routes(),
        tenants::routes(),
        keys::routes(),
        tokens::routes(),
        users::routes(),
        components::routes(),
        functions::routes(),
        versions::routes(),
        deployments::routes(),
        bindings::routes(),
        variables::routes(),
        kv::routes(),
        queues::routes(),
        calls::routes(),
        records::routes(),
        invocations::routes(),
        prompts::routes(),
        recordings::routes(),
        mailboxes::routes(),
        audit::routes(),
    ]
    .into_iter()
    .fold(openapi::empty(), OpenApiRouter::merge)
}

/// The control API over `tenants`. It is to be served with the peers' addresses (`ConnectInfo`).
pub(super) fn router(tenants: Tenants, metrics: ControlMetrics) -> Router {
    let (router, document) = operations().split_for_parts();
    let parts = Parts {
        tenants,
        metrics,
        document: openapi::text(document).into(),
        attempts: attempts::Attempts::default(),
        uploads: uploads::Uploads::default(),
        under_way: idempotency::UnderWay::default(),
        followers: Semaphore::new(invocations::FOLLOWERS_MAX),
    };
    let api = Api { parts: Arc::new(parts) };
    router
        .fallback(guard::no_such_path)
        .layer(middleware::from_fn_with_state(api.clone(), idempotency::once))
        .layer(middleware::from_fn_with_state(api.clone(), access::authorise))
        .layer(middleware::from_fn_with_state(api.clone(), guard::guard))
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .with_state(api)
}

//! What functions were asked and what they did.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::Deserialize;
use tandem_switch::id::FunctionId;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{Limit, OfInvocation, OfTenant, number};
use super::problem::{Kind, Problem};
use super::{Answer, Api};
use crate::tenants::model::{InvocationFilter, InvocationRecord, Page, VersionNumber};

/// Longest that a request waits for something new, seconds: shorter than what proxies usually allow.
pub const FOLLOW_SECONDS_MAX: u64 = 30;

/// Most requests that wait for something new at once. A further one is answered at once with what there is.
pub(super) const FOLLOWERS_MAX: usize = 64;

/// How often a waiting request looks. A person who follows a log does not notice a quarter of a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which invocations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionId>,
    /// Of this version.
    version: Option<VersionNumber>,
    /// In this call.
    call: Option<String>,
    /// `true`: those that failed only.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    failed: bool,
    /// At most this many items.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Newer than the invocation of this number, and then oldest first: for following. 0: from the beginning.
    after: Option<u64>,
    /// With `after`: how long to wait for something new, seconds.
    #[param(maximum = 30)]
    wait: Option<u64>,
}

impl Wanted {
    fn filter(self) -> Answer<(InvocationFilter, Duration)> {
        let refused =
            |field: &str, what: &str| Err(Problem::new(Kind::BadRequest, format!("{field}: {what}")).in_field(field));
        if self.after.is_some() && self.cursor.is_some() {
            return refused("cursor", "pages backwards, and `after` follows forwards; use one of them");
        }
        let wait = match self.wait {
            Some(_) if self.after.is_none() => {
                return refused("wait", "waits for what is newer than `after`; set that too");
            }
            Some(wait) if wait > FOLLOW_SECONDS_MAX => {
                return refused("wait", &format!("is at most {FOLLOW_SECONDS_MAX} s"));
            }
            wait => Duration::from_secs(wait.unwrap_or(0)),
        };
        let filter = InvocationFilter {
            function: self.function,
            version: self.version,
            call: self.call,
            failed: self.failed,
            before: self.cursor.as_deref().map(number).transpose()?,
            after: self.after,
            limit: Limit::or_usual(self.limit),
        };
        Ok((filter, wait))
    }
}

/// Lists invocations, newest first; with `after`, newer ones oldest first, and with `wait` as soon as there is one.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/invocations", operation_id = "listInvocations", tag = "invocations",
    responses((status = 200, description = "Invocations", body = Page<InvocationRecord>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<Page<InvocationRecord>>> {
    let (filter, wait) = wanted.filter()?;
    let until = Instant::now() + wait;
    let place = api.followers().try_acquire();
    loop {
        let page = api.tenants().invocations(&of.tenant, filter.clone()).await?;
        let next_look = Instant::now() + LOOK_EVERY;
        if !page.items.is_empty() || place.is_err() || next_look > until {
            return Ok(Json(page));
        }
        tokio::time::sleep_until(next_look).await;
    }
}

/// Shows an invocation: event, answer, what it asked of the world, log and times. Secrets are masked.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/invocations/{invocation}", operation_id = "showInvocation", tag = "invocations",
    responses((status = 200, description = "The invocation", body = InvocationRecord)))]
async fn show(State(api): State<Api>, Path(of): Path<OfInvocation>) -> Answer<Json<InvocationRecord>> {
    Ok(Json(api.tenants().invocation(&of.tenant, of.invocation).await?))
}

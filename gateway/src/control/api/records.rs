//! Call records.

use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::{Deserialize, Serialize};
use tandem_switch::id::UserId;
use tandem_switch::record::CallRecord;
use tandem_switch::time::UnixMillis;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{Limit, OfTenant, number};
use super::{Answer, Api};
use crate::store::Filter;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Some call records, and where the rest begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordPage {
    /// These.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<CallRecord>,
    /// What to ask for as `cursor` for those after them; none: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which call records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// That this user made, was dialled in, or answered.
    #[param(value_type = Option<String>)]
    user: Option<UserId>,
    /// Started at or after this, milliseconds since 1970.
    since: Option<u64>,
    /// Started before this, milliseconds since 1970.
    until: Option<u64>,
    /// At most this many items.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Lists a tenant's call records, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/records", operation_id = "listRecords", tag = "records",
    responses((status = 200, description = "Call records", body = RecordPage)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<RecordPage>> {
    let filter = Filter {
        tenant: Some(of.tenant),
        user: wanted.user,
        since: wanted.since.map(UnixMillis),
        until: wanted.until.map(UnixMillis),
        limit: Some(Limit::or_usual(wanted.limit)),
        after: wanted.cursor.as_deref().map(number).transpose()?,
    };
    let page = api.tenants().records(filter).await?;
    Ok(Json(RecordPage { items: page.records, next: page.next.map(|next| next.to_string()) }))
}

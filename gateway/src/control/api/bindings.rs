//! Which function answers for which dialled numbers and addresses.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfBinding, OfTenant};
use super::problem::Problem;
use super::{Answer, Api};
use crate::tenants::model::{Actor, Binding};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put, delete))
}

/// Lists a tenant's bindings, by pattern.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/bindings", operation_id = "listBindings", tag = "bindings",
    responses((status = 200, description = "Bindings", body = Vec<Binding>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Binding>>> {
    Ok(Json(api.tenants().bindings(&of.tenant).await?))
}

/// Makes or changes a binding: a number or address, the beginning of one with `*` at its end, or `*` for all others.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/bindings/{pattern}", operation_id = "putBinding", tag = "bindings",
    request_body(content = Binding, example = json!({"pattern": "+4930*", "function": "front-desk"})),
    responses((status = 200, description = "The binding", body = Binding)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfBinding>,
    Json(binding): Json<Binding>,
) -> Answer<Json<Binding>> {
    Problem::unless_same("pattern", of.pattern.as_str(), &binding.pattern)?;
    Ok(Json(api.tenants().put_binding(&actor, &of.tenant, binding).await?))
}

/// Forgets a binding.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/bindings/{pattern}", operation_id = "deleteBinding", tag = "bindings",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfBinding>,
) -> Answer<StatusCode> {
    api.tenants().delete_binding(&actor, &of.tenant, of.pattern.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

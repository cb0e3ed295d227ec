//! A tenant's functions. A function begins with its first version.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Json, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::{Expected, Known};
use super::paths::{OfFunction, OfTenant};
use super::{Answer, Api};
use crate::tenants::model::{Actor, Function};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, delete))
}

/// Lists a tenant's functions, by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions", operation_id = "listFunctions", tag = "functions",
    responses((status = 200, description = "Functions", body = Vec<Function>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Function>>> {
    Ok(Json(api.tenants().functions(&of.tenant).await?))
}

/// Shows a function: which version answers calls, which one is being tried.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions/{function}", operation_id = "showFunction", tag = "functions",
    responses((status = 200, description = "The function", body = Function)))]
async fn show(State(api): State<Api>, Path(of): Path<OfFunction>, known: Known) -> Answer<Response> {
    let function = api.tenants().function(&of.tenant, &of.function).await?;
    Ok(known.or_send(function.revision, &function))
}

/// Forgets a function with its versions and bindings. Calls under way end on the version that they began with.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/functions/{function}", operation_id = "deleteFunction", tag = "functions",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfFunction>,
    expected: Expected,
) -> Answer<StatusCode> {
    let revision = expected.against(api.tenants().function(&of.tenant, &of.function).await?.revision)?;
    api.tenants().delete_function(&actor, &of.tenant, &of.function, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

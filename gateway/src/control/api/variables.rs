//! Variables and secrets that functions read as configuration.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfTenant, OfVariable};
use super::problem::Problem;
use super::{Answer, Api};
use crate::tenants::model::{Actor, Variable};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put, delete))
}

/// Lists a tenant's variables; of secrets only the names.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/variables", operation_id = "listVariables", tag = "variables",
    responses((status = 200, description = "Variables", body = Vec<Variable>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Variable>>> {
    Ok(Json(api.tenants().variables(&of.tenant).await?))
}

/// Sets a variable or secret; functions see it at their next invocation. A secret's value is never given back.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/variables/{variable}", operation_id = "putVariable", tag = "variables",
    request_body(content = Variable, example = json!({"name": "desk", "value": "alice", "secret": false})),
    responses((status = 200, description = "The variable; a secret without its value", body = Variable)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfVariable>,
    Json(variable): Json<Variable>,
) -> Answer<Json<Variable>> {
    Problem::unless_same("name", of.variable.as_str(), &variable.name)?;
    let mut kept = api.tenants().put_variable(&actor, &of.tenant, variable).await?;
    if kept.secret {
        kept.value = None;
    }
    Ok(Json(kept))
}

/// Forgets a variable.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/variables/{variable}", operation_id = "deleteVariable", tag = "variables",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfVariable>,
) -> Answer<StatusCode> {
    api.tenants().delete_variable(&actor, &of.tenant, of.variable.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

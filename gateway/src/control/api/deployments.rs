//! Roll-outs: which version answers which share of calls. `If-Match` takes the function's ETag.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::Expected;
use super::paths::{OfFunction, OfTenant, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{Actor, Deployment, NewDeployment, Page, Revision};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(promote))
        .routes(routes!(rollback))
        .routes(routes!(list_all))
}

/// Lists a function's roll-outs, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions/{function}/deployments", operation_id = "listDeployments", tag = "deployments",
    responses((status = 200, description = "Roll-outs", body = Page<Deployment>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfFunction>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Deployment>>> {
    let page = api.tenants().deployments(&of.tenant, Some(&of.function), page.cursor.as_deref(), page.limit());
    Ok(Json(page.await?))
}

/// Lists the roll-outs of all functions of a tenant, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/deployments", operation_id = "listAllDeployments", tag = "deployments",
    responses((status = 200, description = "Roll-outs", body = Page<Deployment>)))]
async fn list_all(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Deployment>>> {
    Ok(Json(api.tenants().deployments(&of.tenant, None, page.cursor.as_deref(), page.limit()).await?))
}

/// Begins a roll-out. When this answers, the next call is routed by it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/functions/{function}/deployments", operation_id = "deploy", tag = "deployments",
    request_body(content = NewDeployment, example = json!({"version": 3, "percent": 10})),
    responses((status = 201, description = "The roll-out", body = Deployment)))]
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfFunction>,
    expected: Expected,
    Json(new): Json<NewDeployment>,
) -> Answer<(StatusCode, Json<Deployment>)> {
    let revision = found(&api, &of, &expected).await?;
    let deployment = api.tenants().deploy(&actor, &of.tenant, &of.function, revision, new).await?;
    Ok((StatusCode::CREATED, Json(deployment)))
}

/// Puts the version that is being tried on all calls.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/functions/{function}/promote", operation_id = "promote", tag = "deployments",
    responses((status = 200, description = "The roll-out", body = Deployment)))]
async fn promote(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfFunction>,
    expected: Expected,
) -> Answer<Json<Deployment>> {
    let revision = found(&api, &of, &expected).await?;
    Ok(Json(api.tenants().promote(&actor, &of.tenant, &of.function, revision).await?))
}

/// Takes the version that is being tried back, or else puts the version before the live one on all calls.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/functions/{function}/rollback", operation_id = "rollback", tag = "deployments",
    responses((status = 200, description = "The roll-out", body = Deployment)))]
async fn rollback(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfFunction>,
    expected: Expected,
) -> Answer<Json<Deployment>> {
    let revision = found(&api, &of, &expected).await?;
    Ok(Json(api.tenants().rollback(&actor, &of.tenant, &of.function, revision).await?))
}

async fn found(api: &Api, of: &OfFunction, expected: &Expected) -> Answer<Option<Revision>> {
    expected.against(api.tenants().function(&of.tenant, &of.function).await?.revision)
}

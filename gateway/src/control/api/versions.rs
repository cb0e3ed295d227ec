//! The versions of a function.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfFunction, OfVersion, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{Actor, NewVersion, Page, Version, VersionDiff, VersionNumber};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show)).routes(routes!(diff))
}

/// Lists a function's versions, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions/{function}/versions", operation_id = "listVersions", tag = "versions",
    responses((status = 200, description = "Versions", body = Page<Version>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfFunction>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Version>>> {
    Ok(Json(api.tenants().versions(&of.tenant, &of.function, page.cursor.as_deref(), page.limit()).await?))
}

/// Makes a version of an uploaded component; the first makes the function. The same component with the same manifest is the same version.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/functions/{function}/versions", operation_id = "createVersion", tag = "versions",
    responses((status = 201, description = "The version", body = Version)))]
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfFunction>,
    Json(new): Json<NewVersion>,
) -> Answer<Response> {
    let version = api.tenants().create_version(&actor, &of.tenant, &of.function, new).await?;
    let location = format!("/v1/tenants/{}/functions/{}/versions/{}", of.tenant, of.function, version.number);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(version)).into_response())
}

/// Shows a version.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions/{function}/versions/{version}", operation_id = "showVersion", tag = "versions",
    responses((status = 200, description = "The version", body = Version)))]
async fn show(State(api): State<Api>, Path(of): Path<OfVersion>) -> Answer<Json<Version>> {
    Ok(Json(api.tenants().version(&of.tenant, &of.function, of.version).await?))
}

/// Which two versions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Two {
    /// The one.
    from: VersionNumber,
    /// The other.
    to: VersionNumber,
}

/// Shows what differs between two versions.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/functions/{function}/diff", operation_id = "diffVersions", tag = "versions",
    responses((status = 200, description = "What differs", body = VersionDiff)))]
async fn diff(State(api): State<Api>, Path(of): Path<OfFunction>, Query(two): Query<Two>) -> Answer<Json<VersionDiff>> {
    Ok(Json(api.tenants().diff(&of.tenant, &of.function, two.from, two.to).await?))
}

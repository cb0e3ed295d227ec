//! Uploaded components, known by their digests.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::{Known, tagged};
use super::paths::OfComponent;
use super::{Answer, Api};
use crate::tenants::model::Actor;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Gives the bytes of a component that the tenant uploaded.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/components/{digest}", operation_id = "getComponent", tag = "components",
    responses((status = 200, description = "The component", content_type = "application/wasm", body = [u8])))]
async fn get(State(api): State<Api>, Path(of): Path<OfComponent>, known: Known) -> Answer<Response> {
    let digest = of.digest.as_str();
    let bytes = api.tenants().component(&of.tenant, digest).await?;
    let response = if known.has(digest) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/wasm")], bytes).into_response()
    };
    Ok(tagged(digest, response))
}

/// Uploads a component under its digest. The gateway checks that it would run it. The same bytes again are no error.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/components/{digest}", operation_id = "putComponent", tag = "components",
    request_body(content = [u8], content_type = "application/octet-stream", description = "At most the tenant's limit `component-bytes`"),
    responses((status = 204, description = "It is kept")))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfComponent>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let limit = api.tenants().tenant(&of.tenant).await?.settings.limits.component_bytes;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(tandem_host::limits::COMPONENT_BYTES_MAX);
    let upload = api.uploads().begin(&of.tenant)?;
    let bytes = upload.read(&headers, body, limit).await?;
    api.tenants().put_component(&actor, &of.tenant, of.digest.as_str(), bytes).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Key-value stores. Values are bytes; nothing is read into them.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfKvKey, OfStore, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{Actor, KvEntry, Page};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// Lists a store's keys, in their order.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/kv/{store}", operation_id = "listKv", tag = "kv",
    responses((status = 200, description = "Keys", body = Page<KvEntry>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfStore>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<KvEntry>>> {
    Ok(Json(api.tenants().kv_keys(&of.tenant, of.store.as_str(), page.cursor.as_deref(), page.limit()).await?))
}

/// Gives a value.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/kv/{store}/{key}", operation_id = "getKv", tag = "kv",
    responses((status = 200, description = "The value", content_type = "application/octet-stream", body = [u8])))]
async fn get(State(api): State<Api>, Path(of): Path<OfKvKey>) -> Answer<Response> {
    let value = api.tenants().kv_get(&of.tenant, of.store.as_str(), of.key.as_str()).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], value).into_response())
}

/// Keeps a value of at most 1 MiB.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/kv/{store}/{key}", operation_id = "putKv", tag = "kv",
    request_body(content = [u8], content_type = "application/octet-stream"),
    responses((status = 204, description = "It is kept")))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfKvKey>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let upload = api.uploads().begin(&of.tenant)?;
    let value = upload.read(&headers, body, tandem_host::limits::HOST_CALL_BYTES_MAX).await?;
    api.tenants().kv_put(&actor, &of.tenant, of.store.as_str(), of.key.as_str(), value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a key.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/kv/{store}/{key}", operation_id = "deleteKv", tag = "kv",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfKvKey>,
) -> Answer<StatusCode> {
    api.tenants().kv_delete(&actor, &of.tenant, of.store.as_str(), of.key.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

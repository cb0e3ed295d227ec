//! Prompts: what callers are played.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use tandem_switch::id::{PromptId, TenantId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::{Expected, Known, tagged};
use super::paths::{OfPrompt, OfTenant, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{Actor, Page, Prompt, Revision};
use crate::tenants::{PROMPT_UPLOAD_BYTES_MAX, TenantError};

/// The media type of prompts and recordings.
pub(super) const OGG: &str = "audio/ogg";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// Lists a tenant's prompts, by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/prompts", operation_id = "listPrompts", tag = "prompts",
    responses((status = 200, description = "Prompts", body = Page<Prompt>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Prompt>>> {
    Ok(Json(api.tenants().prompts(&of.tenant, page.cursor.as_deref(), page.limit()).await?))
}

/// Gives a prompt as it is played: Ogg Opus, mono, 48 kHz.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/prompts/{prompt}", operation_id = "getPrompt", tag = "prompts",
    responses((status = 200, description = "The prompt", content_type = "audio/ogg", body = [u8])))]
async fn get(State(api): State<Api>, Path(of): Path<OfPrompt>, known: Known) -> Answer<Response> {
    let prompt = api.tenants().prompt(&of.tenant, &of.prompt).await?;
    if known.has(&prompt.revision.to_string()) {
        return Ok(tagged(&prompt.revision.to_string(), StatusCode::NOT_MODIFIED.into_response()));
    }
    let (prompt, ogg) = api.tenants().prompt_audio(&of.tenant, &of.prompt).await?;
    Ok(tagged(&prompt.revision.to_string(), ([(header::CONTENT_TYPE, OGG)], ogg).into_response()))
}

/// Makes or replaces a prompt of a WAV or Ogg Opus file: at least 20 ms, at most 10 minutes. It is brought to one loudness with the others.
/// Calls that play the one before play on.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/prompts/{prompt}", operation_id = "putPrompt", tag = "prompts",
    request_body(content = [u8], content_type = "application/octet-stream", description = "A WAV or Ogg Opus file, at most 64 MiB"),
    responses((status = 200, description = "The prompt", body = Prompt)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfPrompt>,
    expected: Expected,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let expected = expected.against(revision(&api, &of.tenant, &of.prompt).await?)?;
    let upload = api.uploads().begin(&of.tenant)?;
    let bytes = upload.read(&headers, body, PROMPT_UPLOAD_BYTES_MAX).await?;
    let prompt = api.tenants().put_prompt(&actor, &of.tenant, &of.prompt, expected, bytes).await?;
    Ok(tagged(&prompt.revision.to_string(), Json(prompt).into_response()))
}

/// Forgets a prompt. Calls that play it play on.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/prompts/{prompt}", operation_id = "deletePrompt", tag = "prompts",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfPrompt>,
    expected: Expected,
) -> Answer<StatusCode> {
    let current = api.tenants().prompt(&of.tenant, &of.prompt).await?.revision;
    api.tenants().delete_prompt(&actor, &of.tenant, &of.prompt, expected.against(current)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The revision of a prompt; 0: there is none.
async fn revision(api: &Api, tenant: &TenantId, name: &PromptId) -> Answer<Revision> {
    match api.tenants().prompt(tenant, name).await {
        Ok(prompt) => Ok(prompt.revision),
        Err(TenantError::NotFound { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

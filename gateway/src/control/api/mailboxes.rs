//! Mailboxes and their messages.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::{Expected, Known, tagged};
use super::paths::{OfMailbox, OfMessage, OfTenant, PageQuery};
use super::recordings::streamed;
use super::{Answer, Api};
use crate::tenants::TenantError;
use crate::tenants::model::{Actor, Mailbox, MailboxSettings, Message, MessageChange, MessageShare, Page, Waveform};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, delete))
        .routes(routes!(messages))
        .routes(routes!(message, change, forget))
        .routes(routes!(audio))
        .routes(routes!(waveform))
        .routes(routes!(share))
}

/// Lists a tenant's mailboxes, by name. A user's own is made with its first message.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes", operation_id = "listMailboxes", tag = "mailboxes",
    responses((status = 200, description = "Mailboxes", body = Page<Mailbox>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Mailbox>>> {
    Ok(Json(api.tenants().mailboxes(&of.tenant, page.cursor.as_deref(), page.limit()).await?))
}

/// Shows a mailbox.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}", operation_id = "showMailbox", tag = "mailboxes",
    responses((status = 200, description = "The mailbox", body = Mailbox)))]
async fn show(State(api): State<Api>, Path(of): Path<OfMailbox>, known: Known) -> Answer<Response> {
    let mailbox = api.tenants().mailbox(&of.tenant, &of.mailbox).await?;
    Ok(known.or_send(mailbox.revision, &mailbox))
}

/// Makes or changes a mailbox.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}", operation_id = "putMailbox", tag = "mailboxes",
    request_body(content = MailboxSettings, example = json!({"owners": ["alice", "bob"], "greeting": "support-greeting"})),
    responses((status = 200, description = "The mailbox", body = Mailbox)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMailbox>,
    expected: Expected,
    Json(settings): Json<MailboxSettings>,
) -> Answer<Response> {
    let current = match api.tenants().mailbox(&of.tenant, &of.mailbox).await {
        Ok(mailbox) => mailbox.revision,
        Err(TenantError::NotFound { .. }) => 0,
        Err(error) => return Err(error.into()),
    };
    let expected = expected.against(current)?;
    let mailbox = api.tenants().put_mailbox(&actor, &of.tenant, &of.mailbox, expected, settings).await?;
    Ok(tagged(&mailbox.revision.to_string(), Json(mailbox).into_response()))
}

/// Deletes a mailbox and its messages.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}", operation_id = "deleteMailbox", tag = "mailboxes",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMailbox>,
    expected: Expected,
) -> Answer<StatusCode> {
    let current = api.tenants().mailbox(&of.tenant, &of.mailbox).await?.revision;
    api.tenants().delete_mailbox(&actor, &of.tenant, &of.mailbox, expected.against(current)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a mailbox's messages, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages", operation_id = "listMessages", tag = "mailboxes",
    responses((status = 200, description = "Messages", body = Page<Message>)))]
async fn messages(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMailbox>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<Message>>> {
    let (cursor, limit) = (page.cursor.as_deref(), page.limit());
    Ok(Json(api.tenants().messages(&actor, &of.tenant, &of.mailbox, cursor, limit).await?))
}

/// Shows a message.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", operation_id = "showMessage", tag = "mailboxes",
    responses((status = 200, description = "The message", body = Message)))]
async fn message(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
) -> Answer<Json<Message>> {
    Ok(Json(api.tenants().message(&actor, &of.tenant, &of.mailbox, of.message).await?))
}

/// Says whether a message has been heard.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", operation_id = "changeMessage", tag = "mailboxes",
    responses((status = 200, description = "The message", body = Message)))]
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
    Json(change): Json<MessageChange>,
) -> Answer<Json<Message>> {
    Ok(Json(api.tenants().mark_message(&actor, &of.tenant, &of.mailbox, of.message, change.heard).await?))
}

/// Deletes a message; its recording goes with the last mailbox that has it.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", operation_id = "deleteMessage", tag = "mailboxes",
    responses((status = 204, description = "It is gone")))]
async fn forget(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
) -> Answer<StatusCode> {
    api.tenants().delete_message(&actor, &of.tenant, &of.mailbox, of.message).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a message's voice.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/audio", operation_id = "getMessage", tag = "mailboxes",
    responses((status = 200, description = "The voice", content_type = "audio/ogg", body = [u8])))]
async fn audio(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
) -> Answer<Response> {
    Ok(streamed(api.tenants().message_audio(&actor, &of.tenant, &of.mailbox, of.message).await?))
}

/// Gives a message's picture.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/waveform", operation_id = "getWaveform", tag = "mailboxes",
    responses((status = 200, description = "The picture", body = Waveform)))]
async fn waveform(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
) -> Answer<Json<Waveform>> {
    Ok(Json(api.tenants().waveform(&actor, &of.tenant, &of.mailbox, of.message).await?))
}

/// Puts a message into another mailbox too.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/share", operation_id = "shareMessage", tag = "mailboxes",
    responses((status = 200, description = "The message, which says whom it is shared with", body = Message)))]
async fn share(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfMessage>,
    Json(share): Json<MessageShare>,
) -> Answer<Json<Message>> {
    Ok(Json(api.tenants().share_message(&actor, &of.tenant, &of.mailbox, of.message, &share.with).await?))
}

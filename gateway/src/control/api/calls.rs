//! A tenant's live calls on this node: seen, and changed from outside. Every change is in the audit log.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use tandem_switch::call::Command;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfCall, OfTenant, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{Actor, HangupCall, LiveCall, Page, PlayToCall, RedirectCall, SideOfCall, TransferCall};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(hangup))
        .routes(routes!(redirect))
        .routes(routes!(mute))
        .routes(routes!(unmute))
        .routes(routes!(transfer))
        .routes(routes!(play))
}

/// Lists a tenant's live calls on this node, by identifier.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/calls", operation_id = "listCalls", tag = "calls",
    responses((status = 200, description = "Live calls", body = Page<LiveCall>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<LiveCall>>> {
    Ok(Json(api.tenants().live_calls(&of.tenant, page.cursor.as_deref(), page.limit()).await?))
}

/// Ends a call, for everybody.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/hangup", operation_id = "hangupCall", tag = "calls",
    request_body(content = HangupCall, example = json!({"cause": "normal"})),
    responses((status = 204, description = "It is over")))]
async fn hangup(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(hangup): Json<HangupCall>,
) -> Answer<StatusCode> {
    change(&api, &actor, &of, "call.hangup", Command::Hangup(hangup.cause)).await
}

/// Lets a call go on with another plan. Whoever talks with the caller leaves.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/redirect", operation_id = "redirectCall", tag = "calls",
    request_body(content = RedirectCall, example = json!({"plan": {"steps": [{"play": {"source": {"prompt": "closed"}, "times": 1}}]}})),
    responses((status = 204, description = "It goes on so")))]
async fn redirect(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(redirect): Json<RedirectCall>,
) -> Answer<StatusCode> {
    api.tenants().redirect_call(&actor, &of.tenant, of.call, redirect.plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets one side of a conversation be heard no more.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/mute", operation_id = "muteCall", tag = "calls",
    request_body(content = SideOfCall, example = json!({"side": "caller"})),
    responses((status = 204, description = "It is muted")))]
async fn mute(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(SideOfCall { side }): Json<SideOfCall>,
) -> Answer<StatusCode> {
    change(&api, &actor, &of, "call.mute", Command::Mute(side.into(), true)).await
}

/// Lets one side of a conversation be heard again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/unmute", operation_id = "unmuteCall", tag = "calls",
    request_body(content = SideOfCall, example = json!({"side": "caller"})),
    responses((status = 204, description = "It is not muted any more")))]
async fn unmute(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(SideOfCall { side }): Json<SideOfCall>,
) -> Answer<StatusCode> {
    change(&api, &actor, &of, "call.unmute", Command::Mute(side.into(), false)).await
}

/// Hands a conversation over: one side leaves, the other is connected to another user. When that one cannot be reached, the call comes back.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/transfer", operation_id = "transferCall", tag = "calls",
    request_body(content = TransferCall, example = json!({"to": "carol", "leaves": "callee"})),
    responses((status = 204, description = "The other user rings")))]
async fn transfer(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(TransferCall { to, leaves }): Json<TransferCall>,
) -> Answer<StatusCode> {
    change(&api, &actor, &of, "call.transfer", Command::Transfer { leaves: leaves.into(), to }).await
}

/// Plays something to one side of a conversation; the voices go on.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/calls/{call}/play", operation_id = "playToCall", tag = "calls",
    request_body(content = PlayToCall, example = json!({"side": "callee", "source": {"tone": "beep"}})),
    responses((status = 204, description = "It plays")))]
async fn play(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfCall>,
    Json(PlayToCall { side, source }): Json<PlayToCall>,
) -> Answer<StatusCode> {
    api.tenants().play_to_call(&actor, &of.tenant, of.call, side, source).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(api: &Api, actor: &Actor, of: &OfCall, action: &'static str, command: Command) -> Answer<StatusCode> {
    api.tenants().change_call(actor, &of.tenant, of.call, action, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

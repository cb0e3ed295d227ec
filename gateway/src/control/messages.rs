//! A user's messages to be heard: their voice, over HTTPS with the token that opens the user's session. What can be done with
//! them is said over signalling.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tandem_switch::id::{MailboxId, MessageId};
use tandem_switch::token::{Grant, Identity};

use super::public::Public;
use crate::clock::unix_now;
use crate::tenants::TenantError;
use crate::tenants::model::Actor;

pub(super) fn router() -> Router<Public> {
    Router::new().route("/v1/mailboxes/{mailbox}/messages/{message}/audio", get(audio))
}

/// Why a user gets nothing. What is another's is as if it were not there.
fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

fn user(public: &Public, headers: &HeaderMap) -> Result<Identity, Box<Response>> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let unauthorized = |why: &str| Box::new(refused(StatusCode::UNAUTHORIZED, why));
    let token = token.ok_or_else(|| unauthorized("send the session's token as `authorization: Bearer …`"))?;
    let identity = public.keyring().verify(token, unix_now()).map_err(|error| unauthorized(&error.to_string()))?;
    if !identity.grants.contains(&Grant::Messages) {
        return Err(Box::new(refused(StatusCode::FORBIDDEN, "the token does not grant `messages`")));
    }
    Ok(identity)
}

fn failed(error: &TenantError) -> Response {
    match error {
        TenantError::NotFound { .. } => {
            refused(StatusCode::NOT_FOUND, "there is no such message in a mailbox of yours")
        }
        other => {
            tracing::warn!(error = %other, "a message could not be given to its owner");
            refused(StatusCode::SERVICE_UNAVAILABLE, "the message cannot be read now; ask again later")
        }
    }
}

async fn audio(
    State(public): State<Public>,
    Path((mailbox, message)): Path<(MailboxId, MessageId)>,
    headers: HeaderMap,
) -> Response {
    let Identity { tenant, user, .. } = match user(&public, &headers) {
        Ok(identity) => identity,
        Err(refusal) => return *refusal,
    };
    let Some(tenants) = public.tenants() else { return refused(StatusCode::NOT_FOUND, "this node keeps no messages") };
    match tenants.message_audio(&Actor::User(user), &tenant, &mailbox, message).await {
        Ok(reading) => {
            let about = [
                (CONTENT_TYPE, "audio/ogg".to_owned()),
                (CONTENT_LENGTH, reading.bytes.to_string()),
                (CACHE_CONTROL, "private, no-store".to_owned()),
            ];
            (about, Body::from_stream(reading.pieces)).into_response()
        }
        Err(error) => failed(&error),
    }
}

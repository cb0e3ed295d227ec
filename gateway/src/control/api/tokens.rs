//! Tokens for this API.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::idempotency::WithoutSecret;
use super::paths::{OfTenant, OfToken};
use super::{Answer, Api};
use crate::tenants::model::{Actor, NewToken, Token};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// What is known of it.
    pub token: Token,
    /// The token itself, to send as `Authorization: Bearer …`. It is shown this once: a repeated request with the same idempotency key
    /// answers without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Lists a tenant's tokens for this API; never the tokens themselves.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/tokens", operation_id = "listTokens", tag = "tokens",
    responses((status = 200, description = "Tokens", body = Vec<Token>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Token>>> {
    Ok(Json(api.tenants().tokens(&of.tenant).await?))
}

/// Makes a token for this API. Nobody grants more than they may themselves.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/tokens", operation_id = "createToken", tag = "tokens",
    request_body(content = NewToken, example = json!({"name": "build server", "scopes": ["functions:read", "functions:write"]})),
    responses((status = 201, description = "The token", body = CreatedToken)))]
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfTenant>,
    Json(new): Json<NewToken>,
) -> Answer<Response> {
    let (token, secret) = api.tenants().create_token(&actor, &of.tenant, new).await?;
    let without = serde_json::to_vec(&CreatedToken { token: token.clone(), secret: None }).unwrap_or_default();
    let created = CreatedToken { token, secret: Some(secret.reveal().to_owned()) };
    let mut response = (StatusCode::CREATED, Json(created)).into_response();
    response.extensions_mut().insert(WithoutSecret(without.into()));
    Ok(response)
}

/// Ends a token.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/tokens/{token}", operation_id = "deleteToken", tag = "tokens",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfToken>,
) -> Answer<StatusCode> {
    api.tenants().delete_token(&actor, &of.tenant, of.token.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

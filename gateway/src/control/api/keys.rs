//! The keys that a tenant's user tokens are signed with.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::idempotency::WithoutSecret;
use super::paths::{OfKey, OfTenant};
use super::{Answer, Api};
use crate::tenants::model::{Actor, Key, NewKey};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(delete))
}

/// A key that was added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedKey {
    /// The key.
    pub key: Key,
    /// The shared secret, when the gateway made one. It is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl std::fmt::Debug for AddedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddedKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Lists a tenant's keys; never their secrets.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/keys", operation_id = "listKeys", tag = "keys",
    responses((status = 200, description = "Keys", body = Vec<Key>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Key>>> {
    Ok(Json(api.tenants().keys(&of.tenant).await?))
}

/// Adds a key: a shared secret, an Ed25519 public key, or, with neither, a shared secret that the gateway makes and shows this once.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/keys", operation_id = "addKey", tag = "keys",
    request_body(content = NewKey, example = json!({"id": "2026-11"})),
    responses((status = 201, description = "The key", body = AddedKey)))]
async fn add(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfTenant>,
    Json(new): Json<NewKey>,
) -> Answer<Response> {
    let (key, secret) = api.tenants().add_key(&actor, &of.tenant, new).await?;
    let without = serde_json::to_vec(&AddedKey { key: key.clone(), secret: None }).unwrap_or_default();
    let added = AddedKey { key, secret: secret.map(|secret| secret.reveal().to_owned()) };
    let mut response = (StatusCode::CREATED, Json(added)).into_response();
    response.extensions_mut().insert(WithoutSecret(without.into()));
    Ok(response)
}

/// Forgets a key: tokens that are signed with it are refused from now on.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/keys/{key}", operation_id = "deleteKey", tag = "keys",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfKey>,
) -> Answer<StatusCode> {
    api.tenants().delete_key(&actor, &of.tenant, of.key.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! What anybody may ask: whether the API answers, what it offers; and who a token is.

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::tenants::model::{Actor, Scope};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(document)).routes(routes!(me))
}

/// Who a token is, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Me {
    /// `operator`, or `token <id>`; the audit log says the same.
    #[schema(example = "token 7f3a")]
    pub actor: String,
    /// The tenant whose token it is; none: the operator's, for all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme")]
    pub tenant: Option<String>,
    /// What it allows.
    pub scopes: Vec<Scope>,
}

/// Says that the API answers.
#[utoipa::path(get, path = "/healthz", operation_id = "health", tag = "node",
    responses((status = 200, description = "It answers", content_type = "text/plain", body = String, example = "ok")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Gives this document.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "openapi", tag = "node",
    responses((status = 200, description = "The OpenAPI document", body = Object)))]
async fn document(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], api.document())
}

/// Says who the token is.
#[utoipa::path(get, path = "/v1/me", operation_id = "me", tag = "node",
    responses((status = 200, description = "Who the token is", body = Me)))]
async fn me(Extension(actor): Extension<Actor>) -> Json<Me> {
    let name = actor.to_string();
    Json(match actor {
        Actor::Token { tenant, scopes, .. } => Me { actor: name, tenant: Some(tenant.to_string()), scopes },
        Actor::User(_) => Me { actor: name, tenant: None, scopes: Vec::new() },
        Actor::Operator | Actor::Gateway => Me { actor: name, tenant: None, scopes: vec![Scope::All] },
    })
}

//! A tenant's users.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfTenant, OfUser, PageQuery};
use super::problem::Problem;
use super::{Answer, Api};
use crate::tenants::model::{Actor, Page, User};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put, delete))
}

/// Lists a tenant's users, by name. A tenant without users takes anybody whose token is good.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/users", operation_id = "listUsers", tag = "users",
    responses((status = 200, description = "Users", body = Page<User>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<User>>> {
    Ok(Json(api.tenants().users(&of.tenant, page.cursor.as_deref(), page.limit()).await?))
}

/// Makes or changes a user.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/users/{user}", operation_id = "putUser", tag = "users",
    request_body(content = User, example = json!({"name": "alice", "display-name": "Alice"})),
    responses((status = 200, description = "The user", body = User)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfUser>,
    Json(user): Json<User>,
) -> Answer<Json<User>> {
    Problem::unless_same("name", of.user.as_str(), user.name.as_str())?;
    Ok(Json(api.tenants().put_user(&actor, &of.tenant, user).await?))
}

/// Forgets a user.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/users/{user}", operation_id = "deleteUser", tag = "users",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfUser>,
) -> Answer<StatusCode> {
    api.tenants().delete_user(&actor, &of.tenant, &of.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

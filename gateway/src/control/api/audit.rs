//! The audit log: who changed what, and when.

use axum::extract::{Path, Query, State};
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfTenant, PageQuery};
use super::{Answer, Api};
use crate::tenants::model::{AuditEntry, Page};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_all)).routes(routes!(list))
}

/// Lists the changes of all tenants, newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "listAllAudit", tag = "audit",
    responses((status = 200, description = "Changes", body = Page<AuditEntry>)))]
async fn list_all(State(api): State<Api>, Query(page): Query<PageQuery>) -> Answer<Json<Page<AuditEntry>>> {
    Ok(Json(api.tenants().audit(None, page.cursor.as_deref(), page.limit()).await?))
}

/// Lists a tenant's changes, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", operation_id = "listAudit", tag = "audit",
    responses((status = 200, description = "Changes", body = Page<AuditEntry>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<AuditEntry>>> {
    Ok(Json(api.tenants().audit(Some(&of.tenant), page.cursor.as_deref(), page.limit()).await?))
}

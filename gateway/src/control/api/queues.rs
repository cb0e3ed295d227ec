//! A tenant's queues: their settings, and who waits in them now.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{OfQueue, OfTenant};
use super::problem::Problem;
use super::{Answer, Api};
use crate::tenants::model::{Actor, Queue, QueueState};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put, delete)).routes(routes!(state))
}

/// Lists a tenant's queues, by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/queues", operation_id = "listQueues", tag = "queues",
    responses((status = 200, description = "Queues", body = Vec<Queue>)))]
async fn list(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Queue>>> {
    Ok(Json(api.tenants().queues(&of.tenant).await?))
}

/// Shows a queue's settings.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/queues/{queue}", operation_id = "showQueue", tag = "queues",
    responses((status = 200, description = "The queue", body = Queue)))]
async fn show(State(api): State<Api>, Path(of): Path<OfQueue>) -> Answer<Json<Queue>> {
    Ok(Json(api.tenants().queue(&of.tenant, &of.queue).await?))
}

/// Shows who waits in a queue and who serves it now, on this node, and how it served its callers.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/queues/{queue}/state", operation_id = "showQueueState", tag = "queues",
    responses((status = 200, description = "The queue now", body = QueueState)))]
async fn state(State(api): State<Api>, Path(of): Path<OfQueue>) -> Answer<Json<QueueState>> {
    Ok(Json(api.tenants().queue_state(&of.tenant, &of.queue).await?))
}

/// Makes or changes a queue: all of its settings, those that are not named as they are by default. Who waits in it stays; agents whom it
/// does not name any more are logged off.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/queues/{queue}", operation_id = "putQueue", tag = "queues",
    request_body(content = Queue, example = json!({"name": "help", "settings": {"strategy": "longest-idle", "agents": {"alice": {}, "bob": {"french": 5}}}})),
    responses((status = 200, description = "The queue", body = Queue)))]
async fn put(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfQueue>,
    Json(queue): Json<Queue>,
) -> Answer<Json<Queue>> {
    Problem::unless_same("name", of.queue.as_str(), queue.name.as_str())?;
    Ok(Json(api.tenants().put_queue(&actor, &of.tenant, queue).await?))
}

/// Forgets a queue. Who waits in it goes on with its plan.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/queues/{queue}", operation_id = "deleteQueue", tag = "queues",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfQueue>,
) -> Answer<StatusCode> {
    api.tenants().delete_queue(&actor, &of.tenant, &of.queue).await?;
    Ok(StatusCode::NO_CONTENT)
}

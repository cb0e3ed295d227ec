//! Recordings.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use serde::Deserialize;
use tandem_switch::id::CallId;
use tandem_switch::time::UnixMillis;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::{Limit, OfRecording, OfTenant, OfTrack};
use super::prompts::OGG;
use super::{Answer, Api};
use crate::blobs::Reading;
use crate::tenants::Layout;
use crate::tenants::model::{Actor, Bookmark, NewBookmark, Page, Recording, RecordingFilter, RecordingKind};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, delete))
        .routes(routes!(track))
        .routes(routes!(audio))
        .routes(routes!(bookmarks, bookmark))
}

/// Which recordings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this call.
    #[param(value_type = Option<String>)]
    call: Option<CallId>,
    /// Of this kind.
    kind: Option<RecordingKind>,
    /// Begun at or after this, milliseconds since 1970.
    since: Option<u64>,
    /// At most this many items.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// How all tracks become one.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Mix {
    /// All of them in the middle.
    #[default]
    Mono,
    /// The first track left, the others right.
    Stereo,
}

/// How a recording is heard.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Heard {
    /// How all tracks become one.
    #[serde(default)]
    #[param(inline, required = false)]
    mix: Mix,
}

/// Lists a tenant's recordings, newest first; messages in mailboxes among them.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/recordings", operation_id = "listRecordings", tag = "recordings",
    responses((status = 200, description = "Recordings", body = Page<Recording>)))]
async fn list(
    State(api): State<Api>,
    Path(of): Path<OfTenant>,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<Page<Recording>>> {
    let filter = RecordingFilter { call: wanted.call, kind: wanted.kind, since: wanted.since.map(UnixMillis) };
    let limit = Limit::or_usual(wanted.limit);
    Ok(Json(api.tenants().recordings(&of.tenant, filter, wanted.cursor.as_deref(), limit).await?))
}

/// Shows a recording.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/recordings/{recording}", operation_id = "showRecording", tag = "recordings",
    responses((status = 200, description = "The recording", body = Recording)))]
async fn show(State(api): State<Api>, Path(of): Path<OfRecording>) -> Answer<Json<Recording>> {
    Ok(Json(api.tenants().recording(&of.tenant, of.recording).await?))
}

/// Deletes a recording that has ended, on the node and in the object store. One that is a message is deleted in its mailbox.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/recordings/{recording}", operation_id = "deleteRecording", tag = "recordings",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfRecording>,
) -> Answer<StatusCode> {
    api.tenants().delete_recording(&actor, &of.tenant, of.recording).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives one track of a recording that has ended, as it was spoken.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/recordings/{recording}/tracks/{track}", operation_id = "getTrack", tag = "recordings",
    responses((status = 200, description = "The track", content_type = "audio/ogg", body = [u8])))]
async fn track(State(api): State<Api>, Path(of): Path<OfTrack>) -> Answer<Response> {
    Ok(streamed(api.tenants().track(&of.tenant, of.recording, of.track).await?))
}

/// Gives all tracks of a recording that has ended as one file. It is made anew each time; a recording of more than an hour is heard track
/// by track.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/recordings/{recording}/audio", operation_id = "mixRecording", tag = "recordings",
    responses((status = 200, description = "The recording", content_type = "audio/ogg", body = [u8])))]
async fn audio(State(api): State<Api>, Path(of): Path<OfRecording>, Query(heard): Query<Heard>) -> Answer<Response> {
    let layout = match heard.mix {
        Mix::Mono => Layout::Mono,
        Mix::Stereo => Layout::Stereo,
    };
    let ogg = api.tenants().mixdown(&of.tenant, of.recording, layout).await?;
    Ok(([(header::CONTENT_TYPE, OGG)], ogg).into_response())
}

/// Lists the marked moments of a recording, by time.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/recordings/{recording}/bookmarks", operation_id = "listBookmarks", tag = "recordings",
    responses((status = 200, description = "Marked moments", body = Vec<Bookmark>)))]
async fn bookmarks(State(api): State<Api>, Path(of): Path<OfRecording>) -> Answer<Json<Vec<Bookmark>>> {
    Ok(Json(api.tenants().recording(&of.tenant, of.recording).await?.bookmarks))
}

/// Marks a moment of a recording, also while it is being made. Gives all of its marks.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/recordings/{recording}/bookmarks", operation_id = "addBookmark", tag = "recordings",
    responses((status = 200, description = "Marked moments", body = Vec<Bookmark>)))]
async fn bookmark(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfRecording>,
    Json(new): Json<NewBookmark>,
) -> Answer<Json<Vec<Bookmark>>> {
    Ok(Json(api.tenants().bookmark(&actor, &of.tenant, of.recording, new).await?))
}

/// Sends a blob piece by piece. When it breaks off in the middle, so does the answer.
pub(super) fn streamed(reading: Reading) -> Response {
    let length = [(header::CONTENT_TYPE, OGG.to_owned()), (header::CONTENT_LENGTH, reading.bytes.to_string())];
    (length, Body::from_stream(reading.pieces)).into_response()
}

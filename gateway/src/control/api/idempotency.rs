//! Creates that a client may repeat without doing them twice (`Idempotency-Key`).
//!
//! What a request with a key brought is kept for a day; the same request gets the same answer again, without secrets: those are shown once.
//! Only what succeeded is kept, so that a refused request may be sent again with its key. Between the change and the keeping of its answer
//! lies a moment in which a crash loses the answer; the repeated request then finds the thing made (409), or makes another token or roll-out.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::problem::{Kind, Problem};
use super::{Api, JSON_BYTES_MAX};
use crate::tenants::Remembered;
use crate::tenants::model::Actor;

/// The request's header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header that marks an answer from memory.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, bytes. A UUID has 36.
const KEY_BYTES_MAX: usize = 128;

/// What is remembered of an answer that shows a secret: the answer without it.
#[derive(Clone, Debug)]
pub(super) struct WithoutSecret(pub(super) Bytes);

/// Requests with a key that are under way; as many as there are requests, whose number the listener bounds.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<HashSet<(String, String)>>);

impl UnderWay {
    fn enter(&self, who: String, key: String) -> Option<Entered<'_>> {
        let entry = (who, key);
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Lazily: an `Entered` that is dropped here would leave in the other's place, and wait for this very lock.
        under_way.insert(entry.clone()).then(|| Entered { under_way: self, entry })
    }
}

/// One of them; leaves when it is dropped.
struct Entered<'a> {
    under_way: &'a UnderWay,
    entry: (String, String),
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.entry);
    }
}

/// Runs a request with an idempotency key once.
pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(actor) = request.extensions().get::<Actor>().cloned() else { return Ok(next.run(request).await) };
    let Some(key) = request.headers().get(KEY).filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let key = checked(key)?;
    let Some(_entered) = api.under_way().enter(whose(&actor), key.clone()) else {
        return Err(Problem::new(Kind::Conflict, "a request with this idempotency key is under way; wait for it"));
    };
    let (head, body) = request.into_parts();
    let too_large = |_| Problem::new(Kind::TooLarge, format!("a body of JSON has at most {JSON_BYTES_MAX} bytes"));
    let body = to_bytes(body, JSON_BYTES_MAX).await.map_err(too_large)?;
    let asked = fingerprint(&head.method, head.uri.path(), &body);
    if let Some(before) = api.tenants().remembered(&actor, &key).await? {
        return if before.request == asked { Ok(replayed(before)) } else { Err(reused()) };
    }
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = to_bytes(body, JSON_BYTES_MAX).await.unwrap_or_default();
    let kept = head.extensions.get::<WithoutSecret>().map_or_else(|| body.clone(), |kept| kept.0.clone());
    let answer = Remembered { request: asked, status: head.status.as_u16(), body: kept.to_vec() };
    if let Err(error) = api.tenants().remember(&actor, &key, answer).await {
        // The change is made and stays: the answer says so.
        tracing::error!(%error, "what a create brought could not be remembered; repeating it would do it again");
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Two tenants' tokens may have the same identifier.
fn whose(actor: &Actor) -> String {
    match actor {
        Actor::Token { tenant, id, .. } => format!("{tenant}/{id}"),
        Actor::Operator | Actor::User(_) | Actor::Gateway => actor.to_string(),
    }
}

fn checked(key: &HeaderValue) -> Result<String, Problem> {
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let right = format!("an idempotency key has 1 to {KEY_BYTES_MAX} printable ASCII characters, such as a UUID");
    key.map(str::to_owned).ok_or_else(|| Problem::new(Kind::BadRequest, right).in_field("Idempotency-Key"))
}

fn fingerprint(method: &Method, path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn reused() -> Problem {
    let detail = "this idempotency key belongs to another request; take a new key for a new request";
    Problem::new(Kind::IdempotencyKeyReused, detail).in_field("Idempotency-Key")
}

fn replayed(before: Remembered) -> Response {
    let status = StatusCode::from_u16(before.status).unwrap_or(StatusCode::OK);
    let headers = [(header::CONTENT_TYPE, "application/json"), (REPLAYED, "true")];
    (status, headers, before.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_each_of_their_parts() {
        let one = fingerprint(&Method::POST, "/a", b"b");
        assert_eq!(one, fingerprint(&Method::POST, "/a", b"b"));
        for other in [
            fingerprint(&Method::PUT, "/a", b"b"),
            fingerprint(&Method::POST, "/ab", b""),
            fingerprint(&Method::POST, "/", b"ab"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_key_is_under_way_once_for_each_who_asks() {
        let under_way = UnderWay::default();
        let first = under_way.enter("a".into(), "k".into());
        assert!(first.is_some() && under_way.enter("a".into(), "k".into()).is_none());
        assert!(under_way.enter("b".into(), "k".into()).is_some());
        drop(first);
        assert!(under_way.enter("a".into(), "k".into()).is_some());
    }

    #[test]
    fn keys_are_bounded_and_printable() {
        for (key, good) in [("", false), ("k", true), (&*"k".repeat(128), true), (&*"k".repeat(129), false)] {
            assert_eq!(checked(&HeaderValue::from_str(key).unwrap()).is_ok(), good, "{key:?}");
        }
        assert!(checked(&HeaderValue::from_bytes(b"\xff").unwrap()).is_err());
    }
}

//! What holds for every request: it is counted, has a time limit, ends with a problem document when it is refused, and a mistake in one
//! of them ends none of the others.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use super::problem::{Kind, PROBLEM_TYPE, Problem};
use super::{Api, metrics::Request as Counted};

/// How long a request may take, its body included. The largest component comes through a line of 2 Mbit/s in 100 s. Longer: 408.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// How much of what the web framework says of a request is repeated, bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// How much of the path a problem repeats, characters.
const INSTANCE_CHARS_MAX: usize = 256;

/// What every answer tells browsers and caches: this is not for showing, guessing or keeping.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Runs a request under these rules.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path: String = request.uri().path().chars().take(INSTANCE_CHARS_MAX).collect();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = tokio::time::timeout(REQUEST_TIMEOUT, run(request, next)).await;
    let mut response = response.unwrap_or_else(|_| {
        Problem::new(
            Kind::Timeout,
            format!(
                "the request took more than {} s; a change may still be made, so look before you repeat it",
                REQUEST_TIMEOUT.as_secs()
            ),
        )
        .into_response()
    });
    if response.status().is_client_error() || response.status().is_server_error() {
        response = with_problem(path, response).await;
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    api.metrics().requests.get_or_create(&Counted::new(&method, route, response.status())).inc();
    response
}

/// Lets a change run to its end even when its client goes away, so that what was begun is done and remembered. A panic becomes an answer.
async fn run(request: Request, next: Next) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let outcome = if reads {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.map_err(|_| ())
    } else {
        tokio::spawn(next.run(request)).await.map_err(|_| ())
    };
    // The panic itself is in the log: the panic hook writes it.
    outcome.unwrap_or_else(|()| {
        Problem::new(Kind::Broken, "the gateway made a mistake; its log says more").into_response()
    })
}

/// Writes the problem that a handler gave, or makes one of what the web framework said.
async fn with_problem(path: String, mut response: Response) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.write(path, &mut response);
        return response;
    }
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == PROBLEM_TYPE);
    if is_problem {
        return response;
    }
    let (head, body) = response.into_parts();
    let said = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let status = head.status;
    let detail = if said.is_empty() { status.canonical_reason().unwrap_or("it was refused") } else { said.trim() };
    let mut problem = Problem::new(Kind::of(status), detail);
    problem.status = status.as_u16();
    let mut response = Response::from_parts(head, axum::body::Body::empty());
    problem.write(path, &mut response);
    response
}

/// The answer to a path that there is none of.
pub(super) async fn no_such_path() -> Problem {
    Problem::new(Kind::NotFound, "there is no such path; /v1/openapi.json lists all of them")
}

//! Errors as RFC 9457 problem documents: one shape for every refusal, and the one mapping from what a tenant's service says.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::blobs::BlobError;
use crate::tenants::TenantError;
use crate::tenants::model::Scope;

/// The media type of a problem.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// What every problem's `type` begins with; the rest is the [`Kind`] in words.
const URN: &str = "urn:tandem:problem:";

/// How long a client that was told 429 or 503 should wait, seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What is wrong with a request (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `urn:tandem:problem:` and a word that does not change.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:tandem:problem:not-found")]
    pub kind: Box<str>,
    /// The kind, for people.
    #[schema(value_type = String, example = "There is no such thing")]
    pub title: Box<str>,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What is wrong with this request, and what would be right.
    #[schema(example = "there is no function \"front-desk\"")]
    pub detail: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/tenants/acme/functions/front-desk")]
    pub instance: Option<String>,
    /// Which field of the request breaks a rule, such as `limits.calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which scope a token needs for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request cannot be understood.
    BadRequest,
    /// No token, or none that is good.
    Unauthenticated,
    /// The token does not allow it.
    Forbidden,
    /// No such thing, or no such path.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The request took too long.
    Timeout,
    /// It does not fit how things stand.
    Conflict,
    /// A thing of that name is there already.
    Exists,
    /// The configuration file declares it.
    Declared,
    /// A budget is used up.
    OverLimit,
    /// It has changed in the meantime.
    Changed,
    /// The body is too large.
    TooLarge,
    /// The body's media type is another.
    UnsupportedMediaType,
    /// A value breaks a rule.
    Invalid,
    /// The component cannot be used.
    Component,
    /// The audio cannot be used.
    Audio,
    /// The signature is missing or wrong.
    Signature,
    /// The bytes are not those that were announced.
    WrongDigest,
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused,
    /// Too many bad tokens from one address.
    TooManyFailures,
    /// The header is too long.
    HeaderTooLarge,
    /// A mistake of the gateway's.
    Broken,
    /// Too much goes on just now.
    Busy,
    /// The store failed.
    Store,
    /// The change is kept, but not at work.
    NotAtWork,
    /// The node is stopping.
    Stopping,
}

impl Kind {
    /// Status, word and title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A good token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The token does not allow this"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path has no such method")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "It does not fit how things stand"),
            Self::Exists => (StatusCode::CONFLICT, "exists", "The name is taken"),
            Self::Declared => (StatusCode::CONFLICT, "declared", "The configuration file declares it"),
            Self::OverLimit => (StatusCode::CONFLICT, "over-limit", "A limit is reached"),
            Self::Changed => (StatusCode::PRECONDITION_FAILED, "changed", "It has changed in the meantime"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has another media type")
            }
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value breaks a rule"),
            Self::Component => (StatusCode::UNPROCESSABLE_ENTITY, "component", "The component cannot be used"),
            Self::Audio => (StatusCode::UNPROCESSABLE_ENTITY, "audio", "The audio cannot be used"),
            Self::Signature => (StatusCode::UNPROCESSABLE_ENTITY, "signature", "The signature is missing or wrong"),
            Self::WrongDigest => (StatusCode::UNPROCESSABLE_ENTITY, "wrong-digest", "The bytes are not as announced"),
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key belongs to another request",
            ),
            Self::TooManyFailures => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many bad tokens from this address")
            }
            Self::HeaderTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", "The header is too long")
            }
            Self::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "broken", "The gateway made a mistake"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much goes on just now"),
            Self::Store => (StatusCode::SERVICE_UNAVAILABLE, "store", "The store failed"),
            Self::NotAtWork => (StatusCode::INTERNAL_SERVER_ERROR, "not-at-work", "The change is kept but not at work"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The node is stopping"),
        }
    }

    /// The kind that a bare status stands for, where the web framework refuses by itself.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeaderTooLarge,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Broken,
        }
    }
}

impl Problem {
    /// One of this kind.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, word, title) = kind.parts();
        Self {
            kind: format!("{URN}{word}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            field: None,
            scope: None,
        }
    }

    /// Names the field that breaks a rule.
    pub(super) fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the scope that a token needs.
    pub(super) fn needs(mut self, scope: Option<Scope>) -> Self {
        self.scope = scope;
        self
    }

    /// Refuses a body whose name is another than the path's.
    pub(super) fn unless_same(field: &str, path: &str, body: &str) -> Result<(), Self> {
        if path == body {
            return Ok(());
        }
        let detail = format!("{field}: is {body:?} in the body and {path:?} in the path; send the same");
        Err(Self::new(Kind::Invalid, detail).in_field(field))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Puts the document into an answer that stands for it; the headers of the answer stay.
    pub(super) fn write(mut self, instance: String, response: &mut Response) {
        self.instance = Some(instance);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        *response.body_mut() = body.into();
    }
}

/// The document travels beside the answer; `guard` writes it, because it knows the path that was asked for.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tandem\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        let detail = error.to_string();
        match error {
            TenantError::NotFound { .. } => Self::new(Kind::NotFound, detail),
            TenantError::Exists { .. } => Self::new(Kind::Exists, detail),
            TenantError::Invalid { field, .. } => Self::new(Kind::Invalid, detail).in_field(field),
            TenantError::Conflict(_) => Self::new(Kind::Conflict, detail),
            TenantError::Changed { .. } => Self::new(Kind::Changed, detail),
            TenantError::Declared(_) => Self::new(Kind::Declared, detail),
            TenantError::OverLimit { budget, .. } => Self::new(Kind::OverLimit, detail).in_field(budget),
            TenantError::Component(_) => Self::new(Kind::Component, detail),
            TenantError::Signature(_) => Self::new(Kind::Signature, detail).in_field("signature"),
            TenantError::WrongDigest { .. } => Self::new(Kind::WrongDigest, detail).in_field("digest"),
            TenantError::Busy(_) => Self::new(Kind::Busy, detail),
            TenantError::Audio(_) => Self::new(Kind::Audio, detail),
            TenantError::Blob(BlobError::Missing) => Self::new(Kind::NotFound, detail),
            TenantError::Blob(BlobError::NoTarget | BlobError::TooLarge { .. }) => Self::new(Kind::Conflict, detail),
            TenantError::Blob(BlobError::Store(error)) => TenantError::Store(error).into(),
            TenantError::Blob(error) => {
                // What the disk or the object store says is for the operator.
                tracing::error!(%error, "a recording's file cannot be read");
                Self::new(Kind::Store, "where recordings are kept cannot be reached just now; try again later")
            }
            TenantError::Store(error) => {
                // What the store says names the node's files: that is for its operator.
                tracing::error!(%error, "the store failed a request of the control API");
                Self::new(Kind::Store, "the node's store failed, and nothing was changed; try again later")
            }
            TenantError::NotAtWork(error) => {
                tracing::error!(%error, "a change of the control API is kept but could not be put to work");
                let what = "the change is kept, but the node could not put it to work; it does with the tenant's next change, or when it starts again";
                Self::new(Kind::NotAtWork, what)
            }
            TenantError::Stopping => Self::new(Kind::Stopping, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn each_refusal_has_its_status() {
        let cases = [
            (TenantError::not_found("user", "alice"), 404, "not-found"),
            (TenantError::Exists { kind: "user", name: "alice".into() }, 409, "exists"),
            (TenantError::invalid("limits.calls", "is 0; at least 1"), 422, "invalid"),
            (TenantError::Conflict("there is nothing to roll back to".into()), 409, "conflict"),
            (TenantError::Changed { expected: 1, found: 2 }, 412, "changed"),
            (TenantError::Declared("tenant acme".into()), 409, "declared"),
            (TenantError::OverLimit { budget: "functions", limit: 1, hint: "" }, 409, "over-limit"),
            (TenantError::Component(tandem_host::LoadError::NotWasm), 422, "component"),
            (TenantError::Signature("is missing".into()), 422, "signature"),
            (TenantError::WrongDigest { expected: "a".into(), found: "b".into() }, 422, "wrong-digest"),
            (TenantError::Store(StoreError::Closed), 503, "store"),
            (TenantError::NotAtWork(TenantError::Store(StoreError::Closed).into()), 500, "not-at-work"),
            (TenantError::Stopping, 503, "stopping"),
        ];
        for (error, status, word) in cases {
            let problem = Problem::from(error);
            assert_eq!((problem.status, &*problem.kind), (status, format!("{URN}{word}").as_str()));
        }
    }

    #[test]
    fn a_broken_rule_names_its_field() {
        let problem = Problem::from(TenantError::invalid("limits.calls", "is 0; at least 1"));
        assert_eq!(problem.field.as_deref(), Some("limits.calls"));
        assert_eq!(problem.detail, "limits.calls: is 0; at least 1");
    }

    #[test]
    fn a_store_s_error_tells_no_paths() {
        let error = StoreError::Foreign { file: "/var/lib/tandem/tandem.sqlite".into() };
        assert!(!Problem::from(TenantError::Store(error)).detail.contains('/'));
    }
}

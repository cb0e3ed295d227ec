//! Conditional requests (RFC 9110, section 13): a resource's ETag is its revision in quotes. `If-Match` guards a change against one that
//! somebody else made in the meantime; `If-None-Match` saves sending what the client knows.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

use super::problem::{Kind, Problem};
use crate::tenants::model::Revision;

/// Most entity tags in one header. More: the request is refused.
const TAGS_MAX: usize = 16;

/// One entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: String,
}

/// What a header of entity tags says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

/// What `If-Match` wants a resource to be before it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected(Option<Tags>);

impl Expected {
    /// The revision that the change must find, given the one that is there now; `None`: any.
    ///
    /// # Errors
    /// When the client knows another one. Weak tags never match (RFC 9110, section 13.1.1).
    pub(super) fn against(&self, current: Revision) -> Result<Option<Revision>, Problem> {
        let Some(Tags::These(tags)) = &self.0 else { return Ok(None) };
        let now = current.to_string();
        if tags.iter().any(|tag| !tag.weak && tag.opaque == now) {
            return Ok(Some(current));
        }
        let detail = format!("it has changed: its ETag is \"{current}\" now; read it again");
        Err(Problem::new(Kind::Changed, detail).in_field("If-Match"))
    }
}

impl<S: Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let wrong = || {
            let right = "If-Match takes the ETag as it was given, with its quotes: If-Match: \"3\"";
            Problem::new(Kind::BadRequest, right).in_field("If-Match")
        };
        read(&parts.headers, &header::IF_MATCH).map_err(|Malformed| wrong()).map(Self)
    }
}

/// What the client says with `If-None-Match` that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known(Option<Tags>);

impl Known {
    /// Whether the client has this already.
    pub(super) fn has(&self, opaque: &str) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|tag| tag.opaque == opaque),
        }
    }

    /// Answers with a resource and its ETag, or with 304 when the client has it.
    pub(super) fn or_send(&self, revision: Revision, resource: &impl Serialize) -> Response {
        let opaque = revision.to_string();
        let response =
            if self.has(&opaque) { StatusCode::NOT_MODIFIED.into_response() } else { Json(resource).into_response() };
        tagged(&opaque, response)
    }
}

impl<S: Sync> FromRequestParts<S> for Known {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Whoever cannot say what they have is sent all of it.
        Ok(Self(read(&parts.headers, &header::IF_NONE_MATCH).unwrap_or(None)))
    }
}

/// Gives an answer its ETag.
pub(super) fn tagged(opaque: &str, response: Response) -> Response {
    let mut response = response;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{opaque}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A header that is no list of entity tags.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Malformed> {
    let mut found = None;
    for value in headers.get_all(name) {
        let tags = parse(value.to_str().map_err(|_| Malformed)?)?;
        found = match (found, tags) {
            (None, tags) => Some(tags),
            (Some(Tags::These(mut before)), Tags::These(tags)) => {
                before.extend(tags);
                Some(Tags::These(before))
            }
            (Some(_), _) => return Err(Malformed),
        };
    }
    match found {
        Some(Tags::These(tags)) if tags.len() > TAGS_MAX => Err(Malformed),
        found => Ok(found),
    }
}

/// `*`, or a list of `"opaque"` and `W/"opaque"`. A tag may have commas in it.
fn parse(text: &str) -> Result<Tags, Malformed> {
    if text.trim() == "*" {
        return Ok(Tags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (opaque, after) = quoted.strip_prefix('"').and_then(|text| text.split_once('"')).ok_or(Malformed)?;
        tags.push(Tag { weak, opaque: opaque.to_owned() });
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(Tags::These(tags));
        }
        rest = after.strip_prefix(',').ok_or(Malformed)?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(text: &str) -> Expected {
        Expected(Some(parse(text).unwrap()))
    }

    #[test]
    fn a_change_is_made_only_of_what_the_client_knows() {
        assert_eq!(Expected(None).against(3), Ok(None));
        assert_eq!(expected("*").against(3), Ok(None));
        assert_eq!(expected("\"3\"").against(3), Ok(Some(3)));
        assert_eq!(expected("\"2\", \"3\"").against(3), Ok(Some(3)));
        for other in ["\"2\"", "W/\"3\"", "\"a,3\"", "\"\"", "\"03\""] {
            assert_eq!(expected(other).against(3).unwrap_err().status, 412, "{other}");
        }
    }

    #[test]
    fn what_is_known_is_compared_weakly() {
        let known = |text| Known(Some(parse(text).unwrap()));
        assert!(known("W/\"3\"").has("3") && known("\"1\" , \"3\"").has("3") && known("*").has("3"));
        assert!(!known("\"4\"").has("3") && !Known(None).has("3"));
    }

    #[test]
    fn what_is_no_entity_tag_is_told_apart() {
        for text in ["", "3", "\"3", "w/\"3\"", "\"3\" \"4\"", "\"3\",", "*, \"3\""] {
            assert_eq!(parse(text), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list_of_bounded_length() {
        let mut headers = HeaderMap::new();
        for _ in 0..TAGS_MAX {
            headers.append(header::IF_MATCH, HeaderValue::from_static("\"1\""));
        }
        assert!(read(&headers, &header::IF_MATCH).is_ok());
        headers.append(header::IF_MATCH, HeaderValue::from_static("\"1\""));
        assert_eq!(read(&headers, &header::IF_MATCH), Err(Malformed));
    }
}

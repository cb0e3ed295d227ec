//! The contract with a routing function that is asked over HTTP: in process (`wasi:http`) or as a webhook. The JSON is the types of
//! `wit/voice.wit`, field for field.
//!
//! The question is a POST of [`Request`] to [`PATH`]. The answer is a [`Plan`] with status 200, or nothing with status 204 where no plan is
//! needed (after `ended`); any other status is the function's own error, in plain words or as a problem document (RFC 9457).
//! Pure: it turns values into bytes and bytes into values. Who carries the bytes bounds them and knows connections and deadlines.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Context, Event};
use crate::exchange::ConsultFailure;
use crate::limits;
use crate::plan::Plan;

/// Where the question is posted, below whatever address the function has.
pub const PATH: &str = "/";

/// The `content-type` of the question. The answer's is not looked at: its body is what counts.
pub const CONTENT_TYPE: &str = "application/json";

/// A question: the parameters of `route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request<'a> {
    /// The call, as it is.
    pub context: Cow<'a, Context>,
    /// What happened.
    pub event: Cow<'a, Event>,
}

/// The body of the question.
pub fn encode(context: &Context, event: &Event) -> Vec<u8> {
    let request = Request { context: Cow::Borrowed(context), event: Cow::Borrowed(event) };
    serde_json::to_vec(&request).expect("plain data with text keys is always JSON")
}

/// What an answer says.
///
/// # Errors
/// [`ConsultFailure::Refused`] for a status other than 200 and 204, [`ConsultFailure::PlanRefused`] when the body is no plan.
pub fn decode(status: u16, body: &[u8]) -> Result<Plan, ConsultFailure> {
    match status {
        200 => serde_json::from_slice(body).map_err(|error| {
            let what = format!("the answer's body is not a plan as JSON: {error}");
            ConsultFailure::PlanRefused(shortened(what))
        }),
        204 => Ok(Plan { steps: Vec::new(), state: Vec::new() }),
        _ => Err(ConsultFailure::Refused(refusal(status, body))),
    }
}

/// What of a failed answer may say why: the members of a problem document, and what many frameworks send.
#[derive(Default, Deserialize)]
struct Problem {
    detail: Option<String>,
    message: Option<String>,
    title: Option<String>,
}

/// The function's own words for a failure, with its status.
fn refusal(status: u16, body: &[u8]) -> String {
    let Problem { detail, message, title } = serde_json::from_slice(body).unwrap_or_default();
    let beginning = &body[..body.len().min(limits::FUNCTION_ERROR_BYTES_MAX)];
    let words = detail.or(message).or(title).unwrap_or_else(|| String::from_utf8_lossy(beginning).into_owned());
    match words.trim() {
        "" => format!("status {status}"),
        words => shortened(format!("status {status}: {words}")),
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::FUNCTION_ERROR_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> Result<Plan, ConsultFailure> {
        Err(ConsultFailure::Refused(reason.into()))
    }

    #[test]
    fn a_status_says_whether_the_body_is_a_plan() {
        let empty = Plan { steps: Vec::new(), state: Vec::new() };
        let table: [(u16, &[u8], Result<Plan, ConsultFailure>); 10] = [
            (200, br#"{"steps": []}"#, Ok(empty.clone())),
            (204, b"", Ok(empty)),
            (500, b"", refused("status 500")),
            (500, b" no database\n", refused("status 500: no database")),
            (404, br#"{"title": "Not Found", "status": 404}"#, refused("status 404: Not Found")),
            (422, br#"{"title": "t", "detail": "no such caller"}"#, refused("status 422: no such caller")),
            (503, br#"{"message": "asleep", "code": 7}"#, refused("status 503: asleep")),
            (503, br#"{"code": 7}"#, refused(r#"status 503: {"code": 7}"#)),
            (500, b"\xff\xfe", refused("status 500: \u{fffd}\u{fffd}")),
            (302, br#"{"steps": []}"#, refused(r#"status 302: {"steps": []}"#)),
        ];
        for (status, body, expected) in table {
            assert_eq!(decode(status, body), expected, "{status} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_body_that_is_no_plan_is_refused_by_what_is_wrong() {
        let table = [
            ("", "EOF while parsing"),
            ("<html>", "expected value at line 1"),
            ("{}", "missing field `steps`"),
            (r#"{"steps": ["dance"]}"#, "unknown variant `dance`"),
            (r#"{"steps": [{"pause": -1}]}"#, "invalid value: integer `-1`"),
            (r#"{"steps": [], "stages": []}"#, "unknown field `stages`"),
        ];
        for (body, what) in table {
            let refusal = decode(200, body.as_bytes());
            assert!(matches!(&refusal, Err(ConsultFailure::PlanRefused(why)) if why.contains(what)), "{refusal:?}");
        }
    }

    #[test]
    fn words_of_a_failure_are_kept_short() {
        let long = "ä".repeat(limits::FUNCTION_ERROR_BYTES_MAX);
        for body in [long.clone(), format!(r#"{{"message": "{long}"}}"#)] {
            let Err(ConsultFailure::Refused(reason)) = decode(500, body.as_bytes()) else { panic!("{body}") };
            assert!(reason.len() <= limits::FUNCTION_ERROR_BYTES_MAX, "{}", reason.len());
        }
        let Err(ConsultFailure::PlanRefused(why)) = decode(200, format!(r#"{{"steps": ["{long}"]}}"#).as_bytes())
        else {
            panic!("an unknown step");
        };
        assert!(why.len() <= limits::FUNCTION_ERROR_BYTES_MAX, "{}", why.len());
    }
}

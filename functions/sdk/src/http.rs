//! The same decision over HTTP: a `POST` of the event as JSON is answered with the plan as JSON, so that `spin up` and `curl` are enough to
//! try a function. The JSON is the contract, `wit/voice.wit`, field for field.
//!
//! [`router!`](crate::router)`(Office, http)` exports the `wasi:http` 0.2 handler beside the typed `route`. A gateway prefers the typed one; a host
//! of HTTP components (Spin, wasmtime) knows only the other. Status codes: 200 with a plan; 500 with `{"message": …}` when the function
//! answers with an [`Error`]; 4xx when what was asked is no event.

use serde::{Deserialize, Serialize};

use crate::{Context, Error, Event, Plan, Router};

#[cfg(target_family = "wasm")]
mod serve;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use {
    serve::serve,
    wasip2,
    wasip2::exports::http::incoming_handler::Guest,
    wasip2::http::types::{IncomingRequest, ResponseOutparam},
};

/// Largest question that is read, bytes: one within the contract's bounds has less than 200 KB. A larger one is refused.
pub const QUESTION_BYTES_MAX: usize = 1024 * 1024;

/// What is posted. Fields that this version does not know are passed over.
#[derive(Debug, Deserialize)]
struct Question {
    context: Context,
    event: Event,
}

/// The answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, JSON.
    pub body: Vec<u8>,
}

impl Answer {
    fn failed(status: u16, message: impl Into<String>) -> Self {
        let error = Error::new(message);
        Self { status, body: json(&error) }
    }
}

/// Asks the function what was posted, as its HTTP handler does; for tests of a function's JSON.
pub async fn answer<R: Router>(body: &[u8]) -> Answer {
    let Question { context, event } = match serde_json::from_slice(body) {
        Ok(question) => question,
        Err(error) => {
            let expected = r#"{"context": …, "event": …}, as sample-event.json and wit/voice.wit have it"#;
            return Answer::failed(400, format!("the body is no event: {error}; it shall be {expected}"));
        }
    };
    match R::route(context, event).await {
        Ok(plan) => Answer { status: 200, body: json::<Plan>(&plan) },
        Err(error) => Answer::failed(500, error.message),
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the contract's types are always JSON: text keys, no floats")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Outcome, ring};

    /// The gateway's own examples of what it sends and what it takes.
    const EXAMPLES: &str = include_str!("../../../gateway/switch/tests/golden/http-function.ndjson");

    fn now<T>(future: impl Future<Output = T>) -> T {
        match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("nothing here waits"),
        }
    }

    /// Tells apart what it is asked.
    struct Office;

    impl Router for Office {
        async fn route(context: Context, event: Event) -> Result<Plan, Error> {
            match event {
                Event::Incoming => Ok(Plan::new().ring_back().dial(ring([context.to])).reject(Cause::NoAnswer)),
                Event::Consulted(asked) if asked.outcome == Outcome::None => Err(Error::new("nothing was dialled")),
                Event::Consulted(asked) => Ok(Plan::new().consult(asked.tag).with_state([1, 2])),
                Event::Ended(_) => Ok(Plan::new()),
            }
        }
    }

    #[test]
    fn the_gateways_examples_are_read_and_written_unchanged() {
        let mut questions = 0;
        let mut plans = 0;
        for line in EXAMPLES.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let again = if value.get("steps").is_some() {
                plans += 1;
                serde_json::to_value(serde_json::from_str::<Plan>(line).unwrap())
            } else {
                questions += 1;
                let Question { context, event } = serde_json::from_str(line).unwrap();
                Ok(serde_json::json!({"context": context, "event": event}))
            };
            assert_eq!(again.unwrap(), value);
        }
        assert!(questions >= 4 && plans >= 1, "{questions} questions, {plans} plans");
    }

    #[test]
    fn a_question_gets_a_plan_or_an_error_in_words() {
        let mut statuses = Vec::new();
        for line in EXAMPLES.lines().filter(|line| line.contains("\"event\"")) {
            let Answer { status, body } = now(answer::<Office>(line.as_bytes()));
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            match status {
                200 => assert!(body["steps"].is_array(), "{body}"),
                _ => assert_eq!(body["message"], "nothing was dialled"),
            }
            statuses.push(status);
        }
        assert_eq!(statuses, [200, 200, 500, 200]);
    }

    #[test]
    fn what_is_no_event_is_refused_with_what_would_be_right() {
        for body in ["", "{}", "[]", "{\"context\": {}, \"event\": \"incoming\"}"] {
            let Answer { status, body } = now(answer::<Office>(body.as_bytes()));
            let words = String::from_utf8(body).unwrap();
            assert_eq!(status, 400, "{words}");
            assert!(words.contains("the body is no event") && words.contains("sample-event.json"), "{words}");
        }
    }

    #[test]
    fn a_field_of_a_later_contract_is_passed_over() {
        let line = EXAMPLES.lines().next().unwrap();
        let later = line.replacen("\"call\"", "\"weather\":\"rain\",\"call\"", 1);
        assert_ne!(line, later);
        assert_eq!(now(answer::<Office>(later.as_bytes())), now(answer::<Office>(line.as_bytes())));
    }
}

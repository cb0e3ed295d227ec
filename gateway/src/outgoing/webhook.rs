//! A routing function that is asked over HTTP, at an address that the developer names: a running `spin up`, or any server that speaks the
//! JSON of [`tandem_switch::http_contract`]. For `tandem dev`: the address is trusted, so it may be this very machine.

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::http_contract;
use tandem_switch::plan::Plan;
use url::Url;

use super::limits;
use super::transport::{self, BodyError, SetupError};

/// What answers of a webhook are called in records and contexts.
pub const VERSION: &str = "webhook";

/// Asks a server instead of a component. Clones share connections.
#[derive(Clone, Debug)]
pub struct Webhook {
    http: Client,
    url: Url,
}

/// Why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhook {
    /// The address is none.
    #[error("{0:?} is no address of a webhook; write http://127.0.0.1:3000 or https://…")]
    Url(String),
    /// The system does not allow it.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Webhook {
    /// A webhook at `url`: questions are posted there.
    ///
    /// # Errors
    /// When it is no `http` or `https` address.
    pub fn new(url: &str) -> Result<Self, BadWebhook> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.ok_or_else(|| BadWebhook::Url(url.to_owned()))?;
        let http = transport::build(transport::builder()?.timeout(limits::WEBHOOK_TIMEOUT))?;
        Ok(Self { http, url })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for a plan; not yet checked ([`Plan::accept`] does).
    ///
    /// # Errors
    /// What the server answered instead of a plan, or why it did not answer, in plain words.
    pub async fn ask(&self, context: &Context, event: &Event) -> Result<Plan, ConsultFailure> {
        let question = self.http.post(self.url.clone()).header(CONTENT_TYPE, http_contract::CONTENT_TYPE);
        let answer = question.body(http_contract::encode(context, event)).send().await;
        let answer = answer.map_err(|error| self.failure(&error))?;
        let status = answer.status().as_u16();
        match transport::read_body(answer, tandem_host::limits::ANSWER_BYTES_MAX).await {
            Ok(body) => http_contract::decode(status, &body),
            Err(BodyError::TooLarge) => {
                let most = tandem_host::limits::ANSWER_BYTES_MAX;
                Err(ConsultFailure::AnswerTooLarge(format!("more than {most} bytes from {}", self.shown())))
            }
            Err(BodyError::Failed(error)) => Err(self.failure(&error)),
        }
    }

    /// Its address without sign-in and query, which may be secret: failures are kept in records.
    fn shown(&self) -> String {
        self.url.origin().ascii_serialization() + self.url.path()
    }

    fn failure(&self, error: &reqwest::Error) -> ConsultFailure {
        match (error.is_timeout(), error.is_connect()) {
            (true, _) => ConsultFailure::DeadlineExceeded(limits::WEBHOOK_TIMEOUT),
            (false, true) => {
                let why = transport::plain(error);
                ConsultFailure::Host(format!("no connection to {}: {why}; is it running?", self.shown()))
            }
            (false, false) => ConsultFailure::Host(format!("{}: {}", self.shown(), transport::plain(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    fn question() -> (Context, Event) {
        let context = json!({
            "call": "c1", "from": {"address": "alice", "display-name": null, "verified-by": "token"}, "to": "bob",
            "transport": "webtransport", "node": "n", "region": "", "headers": [], "started-at": 1, "now": 1, "state": [], "version": "webhook",
        });
        (serde_json::from_value(context).unwrap(), Event::Incoming)
    }

    async fn answering(router: Router) -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Webhook::new(&format!("http://{address}/route")).unwrap()
    }

    #[tokio::test]
    async fn the_question_is_posted_as_json_and_the_answer_is_a_plan() {
        let route = async |headers: HeaderMap, body: axum::Json<Value>| {
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!((&body["context"]["to"], &body["event"]), (&json!("bob"), &json!("incoming")));
            axum::Json(json!({"steps": [{"pause": 1000}]}))
        };
        let (context, event) = question();
        let plan = answering(Router::new().route("/route", post(route))).await.ask(&context, &event).await;
        assert_eq!(plan.map(|plan| plan.steps.len()), Ok(1));
    }

    #[tokio::test]
    async fn what_is_no_plan_is_a_failure_in_plain_words() {
        let large = "a".repeat(tandem_host::limits::ANSWER_BYTES_MAX + 1);
        let table = [
            (StatusCode::INTERNAL_SERVER_ERROR, "no database".to_owned(), "status 500: no database"),
            (StatusCode::FOUND, String::new(), "status 302"),
            (StatusCode::OK, "hello".to_owned(), "is not a plan"),
            (StatusCode::OK, large, "too large"),
        ];
        let (context, event) = question();
        for (status, body, says) in table {
            let webhook = answering(Router::new().route("/route", post(async move || (status, body)))).await;
            let failure = webhook.ask(&context, &event).await.unwrap_err().to_string();
            assert!(failure.contains(says), "{status}: {failure}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_asked_for() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (context, event) = question();
        let webhook = Webhook::new(&format!("http://me:secret@{unused}/?key=secret")).unwrap();
        let failure = webhook.ask(&context, &event).await.unwrap_err().to_string();
        assert!(failure.contains("is it running?") && !failure.contains("secret"), "{failure}");
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for url in ["", "127.0.0.1:3000", "file:///etc/passwd", "localhost"] {
            let error = Webhook::new(url).unwrap_err();
            assert!(error.to_string().contains("http://127.0.0.1:3000"), "{url}: {error}");
        }
    }
}

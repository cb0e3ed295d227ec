//! `tandem dev --router URL`: calls of a local gateway are routed by a server that answers with plans, as a running `spin up` is one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tandem_client::TransportChoice::{WebSocket, WebTransport};
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, PATIENCE, Phone};
use tandem_switch::cause::Cause;
use tandem_switch::record::Instead;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A developer's server. What it answers may change at any time.
struct Webhook {
    url: String,
    answer: Arc<Mutex<(StatusCode, Value)>>,
    asked: Arc<Mutex<Vec<Value>>>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhook {
    async fn start(answer: Value) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let answer = Arc::new(Mutex::new((StatusCode::OK, answer)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (to_answer, to_note) = (Arc::clone(&answer), Arc::clone(&asked));
        let route = async move |Json(question): Json<Value>| {
            lock(&to_note).push(question);
            let (status, body) = lock(&to_answer).clone();
            (status, [(CONTENT_TYPE, "application/json")], body.to_string())
        };
        let (stop, stopped) = oneshot::channel();
        let serve = axum::serve(listener, Router::new().route("/", post(route))).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Ok(Self { url, answer, asked, stop, server: tokio::spawn(serve.into_future()) })
    }

    fn answers(&self, status: StatusCode, body: Value) {
        *lock(&self.answer) = (status, body);
    }

    /// The questions so far, once there are so many.
    async fn asked(&self, count: usize) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = lock(&self.asked).clone();
            if asked.len() >= count {
                return Ok(asked);
            }
            if Instant::now() > deadline {
                bail!("{count} questions expected: {asked:#?}");
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Takes it away: nothing listens there any more, and no connection is left.
    async fn gone(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        Ok(self.server.await??)
    }
}

fn rings(user: &str) -> Value {
    let targets = [json!({ "address": { "user": user } })];
    json!({ "steps": ["ring-back", { "dial": { "targets": targets, "strategy": "at-once", "ring-timeout": 20000 } }] })
}

async fn sign_in(gateway: &Gateway, user: &str) -> anyhow::Result<Phone> {
    Phone::with_token(gateway, user, &gateway.demo_token(user)?, WebTransport).await
}

#[tokio::test]
async fn a_webhook_routes_the_calls_and_without_it_the_default_plan_does() -> anyhow::Result<()> {
    let webhook = Webhook::start(rings("bob")).await?;
    let users = ["--user", "alice", "--user", "bob", "--user", "carol"];
    let mut gateway = Gateway::dev(&[&["--router", &webhook.url][..], &users].concat()).await?;
    gateway.prints(&format!("Calls are routed by {}", webhook.url)).await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let mut bob = Phone::with_token(&gateway, "bob", &gateway.demo_token("bob")?, WebSocket).await?;
    let mut carol = sign_in(&gateway, "carol").await?;

    // Nobody is called `desk`: that bob rings is the webhook's doing.
    let first = carol.dial("desk").await?;
    assert_eq!(bob.rings().await?, first);
    bob.client.answer(first).await?;
    carol.connected(first, CALLER_HZ).await?;
    bob.connected(first, CALLEE_HZ).await?;
    carol.hears(CALLEE_HZ).await?;
    bob.hears(CALLER_HZ).await?;
    carol.hang_up(first).await?;
    assert_eq!(bob.ended(first).await?, Cause::Normal);
    let asked = webhook.asked(2).await?;
    let [incoming, ended] = &asked[..] else { bail!("asked twice: {asked:#?}") };
    assert_eq!((&incoming["event"], &incoming["context"]["call"]), (&json!("incoming"), &json!(first.to_string())));
    assert_eq!(
        (&incoming["context"]["to"], &incoming["context"]["from"]["address"]),
        (&json!("desk"), &json!("carol"))
    );
    let of_end = &ended["event"]["ended"];
    assert_eq!((&of_end["answered-by"], &of_end["cause"]), (&json!("bob"), &json!("normal")));

    // Another answer routes the next call otherwise.
    webhook.answers(StatusCode::OK, rings("alice"));
    let second = carol.dial("desk").await?;
    assert_eq!(alice.rings().await?, second);
    alice.client.decline(second).await?;
    assert_eq!(carol.ended(second).await?, Cause::Declined);

    // What is no plan, and a step that is not carried out, leave a call to the default plan: it rings whom it dials.
    let transfer = json!({ "transfer": { "kind": "attended", "to": { "user": "alice" } } });
    let failures = [
        (StatusCode::INTERNAL_SERVER_ERROR, json!({ "detail": "no database" }), "status 500: no database"),
        (StatusCode::OK, json!({ "steps": "hello" }), "is not a plan"),
        (StatusCode::OK, json!({ "steps": [transfer] }), "does not carry out `transfer attended`"),
    ];
    let mut calls = vec![(first, None), (second, None)];
    for (status, body, said) in failures {
        webhook.answers(status, body);
        calls.push((bob_is_called_by_name(&mut carol, &mut bob).await?, Some(said)));
    }

    // So does a server that is gone.
    // Only who gave a call its plan is told of its end.
    webhook.asked(calls.len() + 2).await?;
    webhook.gone().await?;
    calls.push((bob_is_called_by_name(&mut carol, &mut bob).await?, Some("is it running?")));

    let records = gateway.await_records(calls.len()).await?;
    for (call, said) in calls {
        let record = records.iter().find(|record| record.call == call).context("a record of each call")?;
        let [consulted] = &record.consultations[..] else { bail!("{record:#?}") };
        match (said, &consulted.failure, &consulted.instead) {
            (None, None, None) => assert_eq!(consulted.version, "webhook"),
            (Some(said), Some(failure), Some(Instead::DefaultPlan)) if failure.contains(said) => {}
            _ => bail!("{said:?} expected: {consulted:?}"),
        }
    }

    // Interrupted in the middle of a call, it ends the call and ends well.
    let last = carol.talk_with(&mut bob).await?;
    gateway.signal("TERM").await?;
    assert_eq!(carol.ended(last).await?, Cause::Shutdown);
    assert_eq!(gateway.ended().await?.code(), Some(0), "{}", gateway.log());
    Ok(())
}

async fn bob_is_called_by_name(carol: &mut Phone, bob: &mut Phone) -> anyhow::Result<tandem_switch::id::CallId> {
    let call = carol.dial("bob").await?;
    assert_eq!(bob.rings().await?, call);
    bob.client.decline(call).await?;
    assert_eq!(carol.ended(call).await?, Cause::Declined);
    Ok(call)
}

#[tokio::test]
async fn an_address_that_is_no_webhook_is_refused_before_anything_listens() -> anyhow::Result<()> {
    for address in ["127.0.0.1:3000", "ftp://127.0.0.1/", "router.wasm"] {
        let refused = Gateway::dev(&["--router", address]).await.err().context("it must not start")?;
        let said = format!("{refused:#}");
        assert!(said.contains("--router") && said.contains("http://127.0.0.1:3000"), "{address}: {said}");
        assert!(said.contains("exit status: 1"), "{said}");
    }
    Ok(())
}

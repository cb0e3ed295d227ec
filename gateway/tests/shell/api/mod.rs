//! The control API over real sockets on loopback, with real tenants in a temporary directory.

mod document;
mod resources;
mod rules;
mod sound;
mod walk;

use std::sync::Arc;

use serde_json::{Value, json};
use tandem::blobs::{BlobMetrics, Blobs};
use tandem::config::{Secret, Storage};
use tandem::control::Control;
use tandem::store::Store;
use tandem::tenants::{Parts, Tenants};
use tandem::token::Keyring;
use tandem_host::{Host, HostConfig};
use tokio::sync::mpsc;

use crate::guests::guest;
use crate::http::{Answer, Node, exchange, secure};

/// The operator's token of these tests.
const OPERATOR: &str = "tdmop_0000000000000000000000000000000000000000000";

struct Api {
    node: Node,
    tenants: Tenants,
    _directory: tempfile::TempDir,
}

impl Api {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Without a call driver, changes are kept for the next start.
        let (commands, _) = mpsc::channel(1);
        let store = Store::open(directory.path()).unwrap();
        let blobs = Blobs::open(store.clone(), &Storage::default(), BlobMetrics::default()).unwrap();
        let parts = Parts {
            store,
            blobs,
            host: Arc::new(Host::new(HostConfig::default()).unwrap()),
            keyring: Arc::new(Keyring::new(&[]).unwrap()),
            meters: Arc::default(),
            commands,
            operator_token: Some(Secret::new(OPERATOR)),
        };
        let tenants = Tenants::open(parts).await.unwrap();
        let listen = ([127, 0, 0, 1], 0).into();
        let node = Node::start_with(false, Some(Control { listen, tenants: tenants.clone() })).await;
        Self { node, tenants, _directory: directory }
    }

    /// Sends a request as it stands, whatever a well-behaved client would make of it.
    async fn raw(&self, head: &str, token: Option<&str>, body: &[u8]) -> Answer {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n{authorization}\r\n");
        let stream = secure(self.node.servers.control.unwrap(), &self.node.certificate).await;
        exchange(stream, &[head.as_bytes(), body].concat()).await
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, headers: &str, body: &[u8]) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}{headers}", body.len());
        self.raw(&head, token, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(OPERATOR), "", b"").await
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, Some(OPERATOR), "\r\ncontent-type: application/json", body.to_string().as_bytes()).await
    }

    /// A tenant, and a token of it with these scopes.
    async fn tenant(&self, name: &str, scopes: &[&str]) -> String {
        let made = self.json("POST", "/v1/tenants", &json!({"name": name})).await;
        assert!(made.status == 201 || made.status == 409, "{made:?}");
        let token = json!({"name": "test", "scopes": scopes});
        let made = self.json("POST", &format!("/v1/tenants/{name}/tokens"), &token).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["secret"].as_str().unwrap().to_owned()
    }

    async fn stop(self) {
        self.node.stop().await;
    }
}

/// A real component, and its digest.
fn component() -> (Vec<u8>, String) {
    let bytes = guest("block-list");
    let digest = tandem_host::Digest::of(&bytes).to_string();
    (bytes, digest)
}

/// What a refusal must be: a problem document that repeats the status and names the path.
fn assert_problem(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:tandem:problem:{word}"), "{answer:?}");
    assert_eq!(problem["status"], status, "{answer:?}");
    assert!(problem["instance"].as_str().is_some_and(|path| path.starts_with('/')), "{answer:?}");
    for field in ["title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    }
}

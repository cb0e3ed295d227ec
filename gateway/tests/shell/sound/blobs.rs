//! Where recordings' files go: uploaded, tried again while the object store is gone, deleted in both places, and nothing lost in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tandem::config::{Secret, Storage};
use tandem::store::StoreError;
use tandem::tenants::model::*;
use tandem_switch::id::RecordingId;

use super::{ogg, recorded, until, whole};
use crate::tenants::{Node, OPERATOR, acme};

/// A little of S3: objects by path, and a switch that makes it fail.
#[derive(Clone, Default)]
struct S3 {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    is_down: Arc<AtomicBool>,
}

impl S3 {
    async fn serve(&self) -> String {
        let router = axum::Router::new().fallback(answer).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

async fn answer(State(s3): State<S3>, request: Request) -> Response {
    let signed = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=id/") {
        return StatusCode::FORBIDDEN.into_response();
    }
    if s3.is_down.load(Relaxed) {
        return StatusCode::INSUFFICIENT_STORAGE.into_response();
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let mut objects = s3.objects.lock().unwrap();
    let head = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Sun, 22 Nov 2026 12:00:00 GMT")];
    match method {
        Method::PUT => {
            objects.insert(path, body.to_vec());
            head.into_response()
        }
        Method::DELETE => {
            objects.remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => match objects.get(&path) {
            Some(bytes) => (head, bytes.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

async fn rows(node: &Node) -> Vec<(String, u32, Option<String>)> {
    let ask = |connection: &rusqlite::Connection| {
        let mut statement = connection.prepare("SELECT state, failures, reason FROM blob ORDER BY object")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok::<_, StoreError>(rows.collect::<rusqlite::Result<Vec<_>>>()?)
    };
    node.store.read(ask).await.unwrap()
}

async fn settled(what: &str, is: impl AsyncFn() -> bool) {
    let reached = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("never {what}"));
}

fn files(directory: &Path, id: RecordingId) -> usize {
    std::fs::read_dir(directory.join(format!("blobs/acme/{id}"))).map_or(0, Iterator::count)
}

async fn with_store(directory: &Path, storage: &Storage) -> Node {
    let node = Node::start_with(directory, storage).await;
    node.tenants.create_tenant(OPERATOR, acme(), Settings::default()).await.unwrap();
    node
}

#[tokio::test]
async fn a_recording_stays_on_the_node_where_no_store_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let worker = tokio::spawn(node.tenants.blobs().clone().run());
    let id = recorded(&node.tenants).await;
    assert_eq!(node.tenants.recording(&acme(), id).await.unwrap().storage, StorageState::Local);
    assert_eq!(whole(node.tenants.track(&acme(), id, 1).await.unwrap()).await, ogg(1000));
    node.tenants.delete_recording(OPERATOR, &acme(), id).await.unwrap();
    settled("deleted", async || rows(&node).await.is_empty()).await;
    assert_eq!(files(directory.path(), id), 0);
    worker.abort();
}

#[tokio::test]
async fn a_recording_is_uploaded_once_the_store_is_there_and_is_heard_all_the_while() {
    let (directory, s3) = (tempfile::tempdir().unwrap(), S3::default());
    s3.is_down.store(true, Relaxed);
    let storage = Storage {
        url: Some("s3://bucket/kept".into()),
        region: Some("eu-central-1".into()),
        endpoint: Some(s3.serve().await),
        key_id: Some("id".into()),
        key: Some(Secret::new("very secret")),
        retry_minutes: 1,
    };
    let node = with_store(directory.path(), &storage).await;
    let worker = tokio::spawn(node.tenants.blobs().clone().run());
    let id = recorded(&node.tenants).await;
    settled("failed once", async || rows(&node).await.iter().all(|row| row.1 > 0)).await;
    assert!(s3.names().is_empty());
    for (state, _, reason) in rows(&node).await {
        assert!(["local", "uploading", "failed"].contains(&state.as_str()), "{state}");
        assert!(!reason.unwrap_or_default().contains("very secret"));
    }
    assert_eq!(whole(node.tenants.track(&acme(), id, 0).await.unwrap()).await, ogg(1000), "it is heard meanwhile");

    s3.is_down.store(false, Relaxed);
    until(&node, id, StorageState::Stored).await;
    let names = [0, 1].map(|track| format!("/bucket/kept/acme/{id}/{track}.ogg"));
    assert_eq!(s3.names(), names);
    settled("only there", async || files(directory.path(), id) == 0).await;
    assert_eq!(whole(node.tenants.track(&acme(), id, 1).await.unwrap()).await, ogg(1000));

    s3.is_down.store(true, Relaxed);
    assert!(node.tenants.track(&acme(), id, 1).await.is_err(), "what is only there is heard when the store is");
    node.tenants.delete_recording(OPERATOR, &acme(), id).await.unwrap();
    assert_eq!(s3.names().len(), 2);
    s3.is_down.store(false, Relaxed);
    settled("deleted there", async || rows(&node).await.is_empty()).await;
    assert!(s3.names().is_empty());
    worker.abort();
}

#[tokio::test]
async fn what_was_not_uploaded_when_the_process_was_killed_is_by_the_next() {
    let (directory, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = Storage { url: Some(format!("file://{}", there.path().display())), ..Storage::default() };
    let node = with_store(directory.path(), &storage).await;
    let id = recorded(&node.tenants).await;
    // As a process leaves it that is killed in the middle of an upload, with a file that nobody knows beside it.
    let busy = |connection: &rusqlite::Connection| {
        Ok::<_, StoreError>(connection.execute("UPDATE blob SET state = 'uploading', due_at = NULL", [])?)
    };
    assert_eq!(node.store.change(busy).await.unwrap(), 2);
    let stray = directory.path().join("blobs/acme/stray.ogg");
    std::fs::write(&stray, b"stray").unwrap();
    let node = node.restart_with(directory.path(), &storage).await;
    let worker = tokio::spawn(node.tenants.blobs().clone().run());
    until(&node, id, StorageState::Stored).await;
    assert_eq!(std::fs::read(there.path().join(format!("acme/{id}/0.ogg"))).unwrap(), ogg(1000));
    settled("tidied", async || !stray.exists() && files(directory.path(), id) == 0).await;
    worker.abort();

    let node = node.restart(directory.path()).await;
    let error = node.tenants.track(&acme(), id, 0).await.unwrap_err();
    assert!(error.to_string().contains("[storage] url"), "{error}");
}

#[tokio::test]
async fn a_store_whose_directory_is_gone_takes_it_when_it_is_back() {
    let (directory, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = there.path().join("recordings");
    let storage = Storage { url: Some(format!("file://{}", place.display())), ..Storage::default() };
    let node = with_store(directory.path(), &storage).await;
    // Somebody unmounts it, and puts something else there.
    std::fs::remove_dir(&place).unwrap();
    std::fs::write(&place, b"no directory").unwrap();
    let worker = tokio::spawn(node.tenants.blobs().clone().run());
    let id = recorded(&node.tenants).await;
    settled("failed", async || rows(&node).await.iter().all(|row| row.1 > 0)).await;
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    until(&node, id, StorageState::Stored).await;
    worker.abort();
}

#[tokio::test]
async fn a_tenant_s_files_go_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let worker = tokio::spawn(node.tenants.blobs().clone().run());
    let id = recorded(&node.tenants).await;
    assert_eq!(files(directory.path(), id), 2);
    node.tenants.delete_tenant(OPERATOR, &acme(), None).await.unwrap();
    settled("deleted", async || rows(&node).await.is_empty()).await;
    assert_eq!(files(directory.path(), id), 0);
    node.tenants.create_tenant(OPERATOR, acme(), Settings::default()).await.unwrap();
    let usage = node.tenants.usage(&acme()).await.unwrap();
    let used = usage.iter().find(|budget| budget.budget == "recordings").unwrap().used;
    assert_eq!(used, 0, "a new tenant of its name begins with nothing");
    worker.abort();
}

//! Prompts, recordings and mailboxes over HTTP.

use serde_json::{Value, json};

use super::{Api, OPERATOR, assert_problem};
use crate::sound::{left, recorded, wav};

#[tokio::test]
async fn a_prompt_comes_and_goes_by_its_tag() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let at = "/v1/tenants/acme/prompts/welcome";
    let put = async |headers: &str, body: &[u8]| api.send("PUT", at, Some(OPERATOR), headers, body).await;
    let made = put("", &wav(1000)).await;
    assert_eq!((made.status, made.header("etag")), (200, Some("\"1\"")), "{made:?}");
    assert_eq!((&made.json()["name"], &made.json()["duration-ms"]), (&json!("welcome"), &json!(1000)));
    assert_eq!(api.get("/v1/tenants/acme/prompts").await.json()["items"].as_array().unwrap().len(), 1);
    let heard = api.get(at).await;
    assert_eq!((heard.status, heard.header("content-type")), (200, Some("audio/ogg")));
    assert!(heard.body.starts_with("OggS"));
    let known = api.send("GET", at, Some(OPERATOR), "\r\nif-none-match: \"1\"", b"").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    assert_eq!(put("\r\nif-match: \"1\"", &wav(500)).await.header("etag"), Some("\"2\""));
    assert_problem(&put("\r\nif-match: \"1\"", &wav(500)).await, 412, "changed");
    let refused = put("", b"no audio at all").await;
    assert_problem(&refused, 422, "audio");
    assert!(refused.json()["detail"].as_str().unwrap().contains("a prompt is a WAV or Ogg Opus file"));
    assert_problem(&put("", b"").await, 422, "audio");
    let announced = format!("PUT {at} HTTP/1.1\r\ncontent-length: 1000000000");
    assert_problem(&api.raw(&announced, Some(OPERATOR), b"").await, 413, "too-large");
    let bad_name = api.send("PUT", "/v1/tenants/acme/prompts/..%2Fx", Some(OPERATOR), "", &wav(100)).await;
    assert_eq!(bad_name.status, 400, "{bad_name:?}");
    let stale = api.send("DELETE", at, Some(OPERATOR), "\r\nif-match: \"1\"", b"").await;
    assert_problem(&stale, 412, "changed");
    assert_eq!(api.send("DELETE", at, Some(OPERATOR), "", b"").await.status, 204);
    assert_problem(&api.get(at).await, 404, "not-found");
    api.stop().await;
}

#[tokio::test]
async fn a_recording_is_listed_heard_marked_and_deleted() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let id = recorded(&api.tenants).await;
    let at = format!("/v1/tenants/acme/recordings/{id}");
    let listed = api.get("/v1/tenants/acme/recordings?kind=call").await.json();
    assert_eq!(listed["items"][0]["id"], json!(id.to_string()));
    assert_eq!(api.get("/v1/tenants/acme/recordings?kind=room").await.json(), json!({"items": []}));
    let shown = api.get(&at).await.json();
    assert_eq!((&shown["state"], &shown["storage"]), (&json!("complete"), &json!("local")));
    assert_eq!(shown["tracks"][1]["leg"], json!("callee"));
    for heard in ["/tracks/0", "/audio", "/audio?mix=stereo"] {
        let heard = api.get(&(at.clone() + heard)).await;
        assert_eq!((heard.status, heard.header("content-type")), (200, Some("audio/ogg")), "{heard:?}");
        assert!(heard.body.starts_with("OggS"));
    }
    assert_problem(&api.get(&(at.clone() + "/tracks/7")).await, 404, "not-found");
    assert_eq!(api.get(&(at.clone() + "/audio?mix=loud")).await.status, 400);
    let marked = api.json("POST", &(at.clone() + "/bookmarks"), &json!({"at-ms": 100, "label": "here"})).await;
    assert_eq!(marked.json(), json!([{"at-ms": 100, "label": "here", "by": "operator"}]));
    let late = api.json("POST", &(at.clone() + "/bookmarks"), &json!({"at-ms": 100_000})).await;
    assert_problem(&late, 422, "invalid");
    assert_eq!(late.json()["field"], "at-ms");
    assert_eq!(api.send("DELETE", &at, Some(OPERATOR), "", b"").await.status, 204);
    assert_problem(&api.get(&at).await, 404, "not-found");
    assert_eq!(api.get("/v1/tenants/acme/recordings/no-such-id").await.status, 400);
    api.stop().await;
}

#[tokio::test]
async fn a_mailbox_s_messages_are_heard_marked_shared_and_deleted() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let message = left(&api.tenants, "alice").await.unwrap();
    let mailbox = "/v1/tenants/acme/mailboxes/alice";
    let at = format!("{mailbox}/messages/{}", message.id);
    let shown = api.get(mailbox).await;
    assert_eq!((&shown.json()["waiting"], shown.header("etag")), (&json!(1), Some("\"1\"")));
    let listed = api.get(&format!("{mailbox}/messages")).await.json();
    assert_eq!(listed["items"][0]["id"], json!(message.id.to_string()));
    assert!(api.get(&(at.clone() + "/audio")).await.body.starts_with("OggS"));
    let peaks = api.get(&(at.clone() + "/waveform")).await.json();
    assert_eq!(peaks["peaks"].as_array().map(Vec::len), Some(50));
    assert_eq!(api.json("PATCH", &at, &json!({"heard": true})).await.json()["heard"], json!(true));
    assert_eq!(api.get(mailbox).await.json()["waiting"], 0);
    let shared = api.json("POST", &(at.clone() + "/share"), &json!({"with": "bob"})).await;
    assert_eq!(shared.json()["shared-with"], json!(["bob"]), "{shared:?}");
    let settings = json!({"owners": ["alice", "carol"], "message-seconds": 60});
    let changed = api.json("PUT", mailbox, &settings).await;
    assert_eq!((changed.status, &changed.json()["settings"]["message-seconds"]), (200, &json!(60)), "{changed:?}");
    assert_problem(&api.json("PUT", mailbox, &json!({"messages": 0})).await, 422, "invalid");
    assert_eq!(api.send("DELETE", &at, Some(OPERATOR), "", b"").await.status, 204);
    assert_problem(&api.get(&at).await, 404, "not-found");
    assert_eq!(api.send("DELETE", mailbox, Some(OPERATOR), "", b"").await.status, 204);
    let actions = api.get("/v1/tenants/acme/audit").await.json();
    let actions: Vec<_> =
        actions["items"].as_array().unwrap().iter().map(|line: &Value| line["action"].clone()).collect();
    for action in ["message.mark", "message.share", "mailbox.put", "message.delete", "mailbox.delete"] {
        assert!(actions.contains(&json!(action)), "{action}: {actions:?}");
    }
    api.stop().await;
}

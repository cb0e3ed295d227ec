//! What holds for every operation: tokens, problems, limits, conditions, idempotency.

use serde_json::{Value, json};

use super::{Api, OPERATOR, assert_problem};

#[tokio::test]
async fn a_request_needs_a_good_token() {
    let api = Api::start().await;
    for token in [None, Some("tdmop_wrong"), Some("tdm_1_wrong"), Some(&*"x".repeat(10_000)), Some("a b")] {
        let answer = api.send("GET", "/v1/me", token, "", b"").await;
        assert_problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"tandem\""));
    }
    assert_eq!(api.get("/v1/me").await.json(), json!({"actor": "operator", "scopes": ["*"]}));
    api.stop().await;
}

#[tokio::test]
async fn an_address_with_many_bad_tokens_is_told_to_wait_and_a_good_token_still_passes() {
    let api = Api::start().await;
    let mut last = 401;
    for _ in 0..60 {
        last = api.send("GET", "/v1/me", Some("tdmop_wrong"), "", b"").await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    let refused = api.send("GET", "/v1/me", Some("tdmop_wrong"), "", b"").await;
    assert_problem(&refused, 429, "too-many-failures");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(api.get("/v1/me").await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow_and_a_foreign_tenant_is_as_none() {
    let api = Api::start().await;
    let token = api.tenant("acme", &["kv:read"]).await;
    api.tenant("other", &["*"]).await;
    let me = api.send("GET", "/v1/me", Some(&token), "", b"").await.json();
    assert_eq!((&me["tenant"], &me["scopes"]), (&json!("acme"), &json!(["kv:read"])));
    assert_eq!(api.send("GET", "/v1/tenants/acme/kv/default", Some(&token), "", b"").await.status, 200);
    let refused = api.send("GET", "/v1/tenants/acme/users", Some(&token), "", b"").await;
    assert_problem(&refused, 403, "forbidden");
    assert_eq!(refused.json()["scope"], "settings:read");
    let mut answers = Vec::new();
    for tenant in ["other", "nobody"] {
        let refused = api.send("GET", &format!("/v1/tenants/{tenant}/kv/default"), Some(&token), "", b"").await;
        assert_problem(&refused, 403, "forbidden");
        answers.push(refused.body.replace(tenant, ""));
    }
    assert_eq!(answers[0], answers[1], "whether a tenant exists is not told");
    assert_problem(&api.send("GET", "/v1/tenants", Some(&token), "", b"").await, 403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn whatever_cannot_be_understood_is_a_problem() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let long = format!("/v1/tenants/{}", "a".repeat(65));
    let key = format!("/v1/tenants/acme/kv/default/{}", "k".repeat(1025));
    for (path, status, word) in [
        ("/nothing", 404, "not-found"),
        ("/v1/tenants/acme/", 404, "not-found"),
        ("/v1/tenants/../audit", 400, "bad-request"),
        ("/v1/tenants/..", 400, "bad-request"),
        ("/v1/tenants/%2e%2e%2f", 400, "bad-request"),
        ("/v1/tenants/%2e%2e%2facme", 400, "bad-request"),
        ("/v1/tenants/acme%00", 400, "bad-request"),
        ("/v1/tenants/Acme", 400, "bad-request"),
        ("/v1/tenants/%ff", 400, "bad-request"),
        (&long, 400, "bad-request"),
        ("/v1/tenants/acme/components/..%2f..%2ftandem.sqlite", 400, "bad-request"),
        ("/v1/tenants/acme/functions/..%2fx", 400, "bad-request"),
        ("/v1/tenants/acme/functions/f/versions/latest", 400, "bad-request"),
        ("/v1/tenants/acme/functions/f/versions/-1", 400, "bad-request"),
        ("/v1/tenants/acme/kv/default/a%00b", 400, "bad-request"),
        (&key, 400, "bad-request"),
        ("/v1/tenants/acme/invocations/99999999999999999999", 400, "bad-request"),
        ("/v1/tenants?limit=0", 400, "bad-request"),
        ("/v1/tenants?limit=201", 400, "bad-request"),
        ("/v1/tenants?limits=1", 400, "bad-request"),
        ("/v1/tenants/acme/records?cursor=x", 400, "bad-request"),
        ("/v1/tenants/acme/invocations?wait=5", 400, "bad-request"),
        ("/v1/tenants/acme/invocations?after=1&wait=31", 400, "bad-request"),
        ("/v1/tenants/nobody", 404, "not-found"),
        ("/v1/tenants/acme/functions/none", 404, "not-found"),
    ] {
        let answer = api.get(path).await;
        assert_problem(&answer, status, word);
    }
    let wrong_method = api.send("PATCH", "/v1/tenants", Some(OPERATOR), "", b"").await;
    assert_problem(&wrong_method, 405, "method-not-allowed");
    assert_eq!(wrong_method.header("allow"), Some("GET, POST"));
    api.stop().await;
}

#[tokio::test]
async fn a_body_is_json_of_the_right_shape_and_size() {
    let api = Api::start().await;
    let json = "\r\ncontent-type: application/json";
    let large = vec![b' '; 1024 * 1024 + 1];
    for (headers, body, status, word) in [
        ("", &b"{}"[..], 415, "unsupported-media-type"),
        (json, b"{", 400, "bad-request"),
        (json, b"{}", 422, "invalid"),
        (json, b"{\"name\": \"../acme\"}", 422, "invalid"),
        (json, b"{\"name\": \"acme\", \"setting\": {}}", 422, "invalid"),
        (json, b"{\"name\": \"acme\", \"settings\": {\"limits\": {\"call\": 1}}}", 422, "invalid"),
        (json, &large, 413, "too-large"),
    ] {
        let answer = api.send("POST", "/v1/tenants", Some(OPERATOR), headers, body).await;
        assert_problem(&answer, status, word);
    }
    assert_eq!(api.get("/v1/tenants").await.json()["items"], json!([]));
    api.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_before_it_is_sent_and_while_it_is() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let limits = json!({"limits": {"component-bytes": 100_000}});
    assert_eq!(api.json("PATCH", "/v1/tenants/acme/settings", &limits).await.status, 200);
    let path = format!("/v1/tenants/acme/components/{}", "0".repeat(64));
    let announced = api.raw(&format!("PUT {path} HTTP/1.1\r\ncontent-length: 500000000"), Some(OPERATOR), b"").await;
    assert_problem(&announced, 413, "too-large");
    assert!(announced.json()["detail"].as_str().unwrap().contains("100000"), "{announced:?}");
    let chunk = [b"186a1\r\n", &vec![0; 100_001][..], b"\r\n0\r\n\r\n"].concat();
    let counted = api.raw(&format!("PUT {path} HTTP/1.1\r\ntransfer-encoding: chunked"), Some(OPERATOR), &chunk).await;
    assert_problem(&counted, 413, "too-large");
    let other = api.send("PUT", &path, Some(OPERATOR), "", b"\0asm").await;
    assert_problem(&other, 422, "wrong-digest");
    assert_problem(&api.get(&path).await, 404, "not-found");
    api.stop().await;
}

#[tokio::test]
async fn a_change_is_made_only_of_what_the_client_has_read() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let shown = api.get("/v1/tenants/acme").await;
    let tag = shown.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", shown.json()["revision"]));
    let known = api.send("GET", "/v1/tenants/acme", Some(OPERATOR), &format!("\r\nif-none-match: W/{tag}"), b"").await;
    assert_eq!((known.status, known.header("etag"), known.body.as_str()), (304, Some(tag.as_str()), ""));
    let patch = async |calls: u64, tag: &str| {
        let headers = format!("\r\ncontent-type: application/json\r\nif-match: {tag}");
        let body = json!({"limits": {"calls": calls}}).to_string();
        api.send("PATCH", "/v1/tenants/acme/settings", Some(OPERATOR), &headers, body.as_bytes()).await
    };
    let changed = patch(7, &tag).await;
    assert_eq!((changed.status, &changed.json()["settings"]["limits"]["calls"]), (200, &json!(7)));
    let fresh = changed.header("etag").unwrap().to_owned();
    assert_ne!(fresh, tag);
    assert_problem(&patch(8, &tag).await, 412, "changed");
    assert_problem(&patch(8, &format!("W/{fresh}")).await, 412, "changed");
    assert_problem(&patch(8, "7").await, 400, "bad-request");
    assert_eq!(api.get("/v1/tenants/acme").await.json()["settings"]["limits"]["calls"], 7);
    assert_eq!(patch(8, &format!("{tag}, {fresh}")).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn limits_are_the_operator_s() {
    let api = Api::start().await;
    let token = api.tenant("acme", &["*"]).await;
    let patch = async |body: Value| {
        let headers = "\r\ncontent-type: application/json";
        api.send("PATCH", "/v1/tenants/acme/settings", Some(&token), headers, body.to_string().as_bytes()).await
    };
    let refused = patch(json!({"limits": {"calls": 7}})).await;
    assert_problem(&refused, 403, "forbidden");
    assert_eq!(refused.json()["field"], "limits");
    assert_eq!(patch(json!({"default-plan": "refuse"})).await.json()["settings"]["default-plan"], "refuse");
    api.stop().await;
}

#[tokio::test]
async fn a_create_with_an_idempotency_key_is_done_once_and_its_secret_shown_once() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let create = async |name: &str, key: &str| {
        let headers = format!("\r\ncontent-type: application/json\r\nidempotency-key: {key}");
        let body = json!({"name": name, "scopes": ["kv:read"]}).to_string();
        api.send("POST", "/v1/tenants/acme/tokens", Some(OPERATOR), &headers, body.as_bytes()).await
    };
    let (first, again) = (create("a", "k1").await, create("a", "k1").await);
    assert_eq!((first.status, again.status), (201, 201));
    assert!(first.json()["secret"].is_string() && again.json()["secret"].is_null());
    assert_eq!(first.json()["token"], again.json()["token"]);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_problem(&create("b", "k1").await, 422, "idempotency-key-reused");
    assert_problem(&create("b", &"k".repeat(129)).await, 400, "bad-request");
    let at_once = tokio::join!(create("c", "k2"), create("c", "k2"), create("c", "k2"));
    for answer in [at_once.0, at_once.1, at_once.2] {
        assert!(answer.status == 201 || answer.status == 409, "{answer:?}");
    }
    let tokens = api.get("/v1/tenants/acme/tokens").await.json();
    let mut names: Vec<_> = tokens.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "c", "test"]);
    api.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let api = Api::start().await;
    api.get("/v1/tenants/acme").await;
    api.get("/v1/tenants/acne").await;
    api.send("BREW", "/v1/me", None, "", b"").await;
    api.send("GET", "/teapot", None, "", b"").await;
    let metrics = api.node.ops("/metrics").await.body;
    for line in [
        "tandem_control_requests_total{method=\"GET\",route=\"/v1/tenants/{tenant}\",status=\"404\"} 2",
        "tandem_control_requests_total{method=\"other\",route=\"/v1/me\",status=\"405\"} 1",
        "tandem_control_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    api.stop().await;
}

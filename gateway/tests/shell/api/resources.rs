//! Each kind of resource: made, shown, changed and forgotten over HTTP.

use serde_json::{Value, json};

use super::{Api, OPERATOR, assert_problem, component};

#[tokio::test]
async fn a_tenant_s_users_keys_bindings_and_variables_come_and_go() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let at = |rest: &str| format!("/v1/tenants/acme{rest}");
    let alice = json!({"name": "alice", "display-name": "Alice"});
    assert_eq!(api.json("PUT", &at("/users/alice"), &alice).await.json(), alice);
    assert_eq!(api.get(&at("/users")).await.json(), json!({"items": [alice]}));
    let other = api.json("PUT", &at("/users/bob"), &alice).await;
    assert_problem(&other, 422, "invalid");
    assert_eq!(other.json()["field"], "name");
    assert_eq!(api.send("DELETE", &at("/users/alice"), Some(OPERATOR), "", b"").await.status, 204);
    assert_problem(&api.send("DELETE", &at("/users/alice"), Some(OPERATOR), "", b"").await, 404, "not-found");

    let added = api.json("POST", &at("/keys"), &json!({"id": "k1"})).await;
    assert_eq!((added.status, added.json()["key"]["kind"].as_str()), (201, Some("hs256")));
    let secret = added.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() >= 32 && !api.get(&at("/keys")).await.body.contains(&secret));
    assert_problem(&api.json("POST", &at("/keys"), &json!({"id": "k1"})).await, 409, "exists");
    assert_eq!(api.send("DELETE", &at("/keys/k1"), Some(OPERATOR), "", b"").await.status, 204);

    let hidden =
        api.json("PUT", &at("/variables/desk"), &json!({"name": "desk", "value": "hush", "secret": true})).await;
    assert_eq!(hidden.json(), json!({"name": "desk", "secret": true}));
    assert!(!api.get(&at("/variables")).await.body.contains("hush"));
    assert!(!api.get(&at("/audit")).await.body.contains("hush"));
    assert_eq!(api.send("DELETE", &at("/variables/desk"), Some(OPERATOR), "", b"").await.status, 204);
    api.stop().await;
}

#[tokio::test]
async fn a_tenant_s_queues_come_change_and_go() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let at = |rest: &str| format!("/v1/tenants/acme/queues{rest}");
    let settings = json!({"strategy": "skills", "agents": {"alice": {"french": 5}}, "max-wait-seconds": 60});
    let made = api.json("PUT", &at("/help"), &json!({"name": "help", "settings": settings})).await;
    assert_eq!((made.status, &made.json()["settings"]["agents"]["alice"]["french"]), (200, &json!(5)), "{made:?}");
    assert_eq!(made.json()["settings"]["ring-seconds"], 20, "what is not named is as it is by default");
    assert_eq!(api.get(&at("/help")).await.json(), made.json());
    assert_eq!(api.get(&at("")).await.json(), json!([made.json()]));
    for (settings, field) in [
        (json!({"ring-seconds": 0}), "settings.ring-time"),
        (json!({"callers-max": 5000}), "settings.callers-max"),
        (json!({"exit-key": "x"}), "settings.exit-key"),
    ] {
        let refused = api.json("PUT", &at("/help"), &json!({"name": "help", "settings": settings})).await;
        assert_problem(&refused, 422, "invalid");
        assert_eq!(refused.json()["field"], field);
    }
    assert_eq!(api.get(&at("/help")).await.json(), made.json(), "what was refused has changed nothing");
    assert_problem(&api.get(&at("/sales")).await, 404, "not-found");
    assert_eq!(api.send("DELETE", &at("/help"), Some(OPERATOR), "", b"").await.status, 204);
    assert_problem(&api.send("DELETE", &at("/help"), Some(OPERATOR), "", b"").await, 404, "not-found");
    api.stop().await;
}

#[tokio::test]
async fn values_are_kept_byte_for_byte_under_keys_of_any_letters() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    for key in ["greeting", "a%2Fb", "%2e%2e%2fx", "%C3%A9", "a%20b%3F"] {
        let path = format!("/v1/tenants/acme/kv/default/{key}");
        assert_eq!(api.send("PUT", &path, Some(OPERATOR), "", b"{\"a\":\x01}").await.status, 204, "{key}");
        let value = api.get(&path).await;
        assert_eq!((value.status, value.body.as_str()), (200, "{\"a\":\x01}"), "{key}");
        assert_eq!(value.header("content-type"), Some("application/octet-stream"));
    }
    let first = api.get("/v1/tenants/acme/kv/default?limit=2").await.json();
    let next = first["next"].as_str().unwrap().replace('%', "%25").replace('/', "%2F").replace(' ', "%20");
    let rest = api.get(&format!("/v1/tenants/acme/kv/default?cursor={next}")).await.json();
    let keys =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect::<Vec<_>>();
    assert_eq!([keys(&first), keys(&rest)].concat(), ["../x", "a b?", "a/b", "greeting", "é"]);
    let announced = "PUT /v1/tenants/acme/kv/default/large HTTP/1.1\r\ncontent-length: 1048577";
    let refused = api.raw(announced, Some(OPERATOR), b"").await;
    assert_problem(&refused, 413, "too-large");
    api.stop().await;
}

#[tokio::test]
async fn a_component_becomes_a_version_and_is_rolled_out() {
    let api = Api::start().await;
    let token = api.tenant("acme", &["functions:read", "functions:write"]).await;
    let (bytes, digest) = component();
    let at = |rest: &str| format!("/v1/tenants/acme{rest}");
    let uploaded = api.send("PUT", &at(&format!("/components/{digest}")), Some(&token), "", &bytes).await;
    assert_eq!(uploaded.status, 204, "{uploaded:?}");
    let version = json!({"digest": digest, "manifest": {"note": "first"}});
    let version = api.json("POST", &at("/functions/desk/versions"), &version).await;
    assert_eq!((version.status, &version.json()["number"]), (201, &json!(1)), "{version:?}");
    assert_eq!(version.header("location"), Some("/v1/tenants/acme/functions/desk/versions/1"));
    let second = json!({"digest": digest, "manifest": {"allowed-outbound-hosts": ["https://example.com"]}});
    assert_eq!(api.json("POST", &at("/functions/desk/versions"), &second).await.json()["number"], 2);
    let diff = api.get(&at("/functions/desk/diff?from=1&to=2")).await.json();
    assert_eq!((&diff["bytes"], &diff["hosts-added"]), (&json!(0), &json!(["https://example.com"])));
    let nothing = api.send("POST", &at("/functions/desk/rollback"), Some(&token), "", b"").await;
    assert_problem(&nothing, 409, "conflict");
    let deployed = api.json("POST", &at("/functions/desk/deployments"), &json!({"version": 1})).await;
    assert_eq!((deployed.status, &deployed.json()["percent"]), (201, &json!(100)), "{deployed:?}");
    let function = api.get(&at("/functions/desk")).await;
    assert_eq!(function.json()["live"], 1);
    let tag = function.header("etag").unwrap();
    let canary = json!({"version": 2, "percent": 10});
    let deployed = api.json("POST", &at("/functions/desk/deployments"), &canary).await;
    assert_eq!(deployed.status, 201, "{deployed:?}");
    let stale =
        api.send("POST", &at("/functions/desk/promote"), Some(&token), &format!("\r\nif-match: {tag}"), b"").await;
    assert_problem(&stale, 412, "changed");
    assert_eq!(api.send("POST", &at("/functions/desk/promote"), Some(&token), "", b"").await.status, 200);
    assert_eq!(api.get(&at("/functions/desk")).await.json()["live"], 2);
    assert_eq!(api.get(&at("/deployments")).await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(api.get(&at("/bindings")).await.json(), json!([{"pattern": "*", "function": "desk"}]));
    let not_a_component = format!("/components/{}", tandem_host::Digest::of(b"no component"));
    let refused = api.send("PUT", &at(&not_a_component), Some(&token), "", b"no component").await;
    assert_problem(&refused, 422, "component");
    api.stop().await;
}

#[tokio::test]
async fn following_invocations_answers_when_the_time_is_up() {
    let api = Api::start().await;
    api.tenant("acme", &["*"]).await;
    let started = std::time::Instant::now();
    let page = api.get("/v1/tenants/acme/invocations?after=0&wait=1").await;
    assert_eq!((page.status, page.json()), (200, json!({"items": []})));
    assert!(started.elapsed() >= std::time::Duration::from_millis(500), "it waited");
    assert_eq!(api.get("/v1/tenants/acme/records").await.json(), json!({"items": []}));
    assert!(api.get("/v1/tenants/acme/usage").await.json().as_array().is_some_and(|budgets| !budgets.is_empty()));
    api.stop().await;
}

//! A walk through every operation of the served document with tokens that must open nothing: none, another tenant's, and one of the
//! tenant's own that lacks the scope.

use serde_json::{Value, json};

use super::{Api, OPERATOR, component};
use crate::sound::{left, recorded, wav};

/// Every scope that a tenant's token may have.
const SCOPES: [&str; 18] = [
    "calls:read",
    "calls:write",
    "settings:read",
    "settings:write",
    "keys:write",
    "functions:read",
    "functions:write",
    "variables:write",
    "kv:read",
    "kv:write",
    "records:read",
    "invocations:read",
    "prompts:read",
    "prompts:write",
    "recordings:read",
    "recordings:write",
    "mailboxes:read",
    "mailboxes:write",
];

/// A tenant that has one of everything. Gives what to fill a path's parameters with, in pairs.
async fn furnished(api: &Api) -> Vec<(&'static str, String)> {
    let token = api.tenant("acme", &["kv:read"]).await;
    let at = |rest: &str| format!("/v1/tenants/acme{rest}");
    let (bytes, digest) = component();
    let made = [
        api.send("PUT", &at(&format!("/components/{digest}")), Some(OPERATOR), "", &bytes).await,
        api.json("POST", &at("/functions/desk/versions"), &json!({"digest": digest})).await,
        api.json("POST", &at("/functions/desk/deployments"), &json!({"version": 1})).await,
        api.json("POST", &at("/keys"), &json!({"id": "k1"})).await,
        api.json("PUT", &at("/users/alice"), &json!({"name": "alice"})).await,
        api.json("PUT", &at("/variables/desk"), &json!({"name": "desk", "value": "alice"})).await,
        api.json("PUT", &at("/queues/help"), &json!({"name": "help"})).await,
        api.send("PUT", &at("/kv/default/greeting"), Some(OPERATOR), "", b"hello").await,
        api.send("PUT", &at("/prompts/welcome"), Some(OPERATOR), "", &wav(100)).await,
    ];
    let (recording, message) = (recorded(&api.tenants).await, left(&api.tenants, "alice").await.unwrap());
    // Its picture is made by now, so that nothing changes by itself.
    api.get(&at(&format!("/mailboxes/alice/messages/{}/waveform", message.id))).await;
    assert!(made.iter().all(|answer| answer.status < 300), "{made:?}");
    let id = token.split('_').nth(1).unwrap().to_owned();
    vec![
        ("tenant", "acme".into()),
        ("key", "k1".into()),
        ("user", "alice".into()),
        ("token", id),
        ("digest", digest),
        ("function", "desk".into()),
        ("version", "1".into()),
        ("pattern", "*".into()),
        ("variable", "desk".into()),
        ("store", "default".into()),
        ("queue", "help".into()),
        ("call", "0000000000000000000000001a".into()),
        ("invocation", "1".into()),
        ("prompt", "welcome".into()),
        ("recording", recording.to_string()),
        ("track", "0".into()),
        ("mailbox", "alice".into()),
        ("message", message.id.to_string()),
    ]
}

/// A path with names in it that exist. `{key}` is one thing below `kv` and another below `keys`.
fn filled(template: &str, names: &[(&str, String)]) -> String {
    let template = template.replace("/kv/{store}/{key}", "/kv/default/greeting");
    let path = names.iter().fold(template, |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    assert!(!path.contains('{'), "{path}: a parameter that this test knows no name for");
    path
}

/// Everything that the tenant has, as the operator sees it, and the length of the audit log.
async fn dump(api: &Api, names: &[(&str, String)], operations: &[(String, String, Value)]) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for (method, template, operation) in operations {
        // What is used of budgets changes by being looked at.
        if method == "GET" && operation["operationId"] != "showUsage" {
            let path = filled(template, names);
            let answer = api.get(&path).await;
            seen.push((path, answer.body));
        }
    }
    seen
}

async fn operations(api: &Api) -> Vec<(String, String, Value)> {
    let document = api.send("GET", "/v1/openapi.json", None, "", b"").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn no_operation_opens_to_no_token_a_foreign_one_or_one_without_the_scope() {
    let api = Api::start().await;
    let names = furnished(&api).await;
    let foreign = api.tenant("other", &["*"]).await;
    let operations = operations(&api).await;
    let mut without = Vec::new();
    for scope in SCOPES {
        let others: Vec<_> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        without.push((scope, api.tenant("acme", &others).await));
    }
    let before = dump(&api, &names, &operations).await;
    let mut walked = 0;
    for (method, template, operation) in &operations {
        let scope = operation["x-scope"].as_str().expect("every operation says who may");
        let at = format!("{method} {template}");
        if scope == "none" {
            assert!(["/healthz", "/v1/openapi.json"].contains(&template.as_str()), "{at} is open to anybody");
            continue;
        }
        let path = filled(template, &names);
        let ask = async |token: Option<&str>| {
            let headers = "\r\ncontent-type: application/json";
            api.send(method, &path, token, headers, b"{}").await.status
        };
        assert_eq!(ask(None).await, 401, "{at} without a token");
        walked += 1;
        if scope == "any" {
            assert_eq!(template, "/v1/me", "{at} is open to any token");
            continue;
        }
        assert_eq!(ask(Some(&foreign)).await, 403, "{at} with another tenant's token");
        if scope == "operator" {
            assert_eq!(ask(Some(&without[0].1)).await, 403, "{at} with a tenant's token");
            continue;
        }
        let (_, token) =
            without.iter().find(|(missing, _)| *missing == scope).unwrap_or_else(|| panic!("{at}: {scope}"));
        assert_eq!(ask(Some(token)).await, 403, "{at} without {scope}");
    }
    assert_eq!(
        before,
        dump(&api, &names, &operations).await,
        "nothing has changed, and the audit log has no line more"
    );
    println!("{walked} operations refused no token, a foreign token, and a token without the scope");
    assert!(walked > 60, "{walked} of {} operations", operations.len());
    api.stop().await;
}

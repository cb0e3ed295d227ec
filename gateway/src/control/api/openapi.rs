//! The OpenAPI document: what the handlers say of themselves, and for every operation what the table of access and the rules that hold
//! for all of them add: who may, which headers it takes, how it is refused.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::access::{self, Need};
use super::{Api, Problem};

/// Operations that take `If-Match`.
const CONDITIONAL: [&str; 11] = [
    "deleteTenant",
    "replaceSettings",
    "changeSettings",
    "deleteFunction",
    "deploy",
    "promote",
    "rollback",
    "putPrompt",
    "deletePrompt",
    "putMailbox",
    "deleteMailbox",
];

/// Operations that answer 304 to `If-None-Match`.
const CACHEABLE: [&str; 5] = ["showTenant", "showFunction", "getComponent", "getPrompt", "showMailbox"];

/// What is not an operation's own.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tandem control API",
        version = "1",
        description = "Tenants, and everything they have: keys, users, functions with their versions and roll-outs, bindings, variables, \
            key-value stores, queues, records, invocations, prompts, recordings, mailboxes, audit log. Send `Authorization: Bearer <token>`: the operator's token may do \
            everything, a tenant's control token what its scopes allow (`x-scope` of each operation). Every refusal is a problem \
            document (RFC 9457). Times are milliseconds since 1970.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "node", description = "The API itself"),
        (name = "tenants", description = "Tenants, their settings, limits and use"),
        (name = "keys", description = "Keys that user tokens are signed with"),
        (name = "tokens", description = "Tokens for this API"),
        (name = "users", description = "Users"),
        (name = "components", description = "Uploaded components"),
        (name = "functions", description = "Functions"),
        (name = "versions", description = "Versions of functions"),
        (name = "deployments", description = "Roll-outs of versions"),
        (name = "bindings", description = "Which function answers for what was dialled"),
        (name = "variables", description = "Variables and secrets of functions"),
        (name = "kv", description = "Key-value stores of functions"),
        (name = "calls", description = "Live calls"),
        (name = "queues", description = "Queues"),
        (name = "records", description = "Call records"),
        (name = "invocations", description = "What functions were asked and did"),
        (name = "prompts", description = "What callers are played"),
        (name = "recordings", description = "Recordings of calls, rooms and messages"),
        (name = "mailboxes", description = "Mailboxes and their messages"),
        (name = "audit", description = "Who changed what"),
    )
)]
struct Base;

/// A router that has the document's beginning.
pub(super) fn empty() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Base::openapi())
}

/// The OpenAPI document (JSON) of the control API, as `/v1/openapi.json` serves it.
pub fn document() -> String {
    text(super::operations().into_openapi())
}

/// Finishes and writes the document.
pub(super) fn text(document: utoipa::openapi::OpenApi) -> String {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"token": {
        "type": "http", "scheme": "bearer",
        "description": "The operator's token, or a tenant's control token (`createToken`)",
    }});
    components["responses"] = json!({"Problem": {
        "description": "What is wrong, and what would be right",
        "content": {super::PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }});
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                if let Some(operation) = operation.as_object_mut() {
                    finish(&method.to_uppercase(), path, operation);
                }
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn finish(method: &str, path: &str, operation: &mut Map<String, Value>) {
    // An operation that the table does not name is answered to nobody; the document shows it as such.
    let need = access::need(method, path);
    operation.insert("x-scope".into(), need.map_or(json!("nobody"), |need| json!(need.word())));
    let is_open = need == Some(Need::Nothing);
    operation.insert("security".into(), if is_open { json!([]) } else { json!([{"token": []}]) });
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_conditional = CONDITIONAL.contains(&id.as_str());
    let is_cacheable = CACHEABLE.contains(&id.as_str());
    let headers = [
        (is_conditional, "If-Match", "Change only what still has this ETag"),
        (is_cacheable, "If-None-Match", "Answer 304 when it still has this ETag"),
        (
            method == "POST",
            "Idempotency-Key",
            "Do this once: the same request with the same key within a day gets the same answer",
        ),
    ];
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        for (_, name, about) in headers.iter().filter(|(wanted, ..)| *wanted) {
            let schema = json!({"type": "string"});
            parameters
                .push(json!({"name": name, "in": "header", "required": false, "description": about, "schema": schema}));
        }
    }
    let has_body = operation.contains_key("requestBody");
    let changes = method != "GET";
    let refusals = [
        (!is_open, "400"),
        (!is_open, "401"),
        (!is_open, "403"),
        (path.contains('{'), "404"),
        (has_body, "408"),
        (changes, "409"),
        (is_conditional, "412"),
        (has_body, "413"),
        (has_body, "415"),
        (changes, "422"),
        (!is_open, "429"),
        (!is_open, "503"),
    ];
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        if is_cacheable {
            responses.insert("304".into(), json!({"description": "The client has it already"}));
        }
        for (_, status) in refusals.iter().filter(|(possible, _)| *possible) {
            responses.insert((*status).into(), json!({"$ref": "#/components/responses/Problem"}));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::access::ACCESS;
    use super::*;

    fn operations() -> Vec<(String, String, Value)> {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let paths = document["paths"].as_object().unwrap().clone();
        let of_path = |(path, item): (String, Value)| {
            let item = item.as_object().unwrap().clone();
            item.into_iter().map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn every_routed_operation_says_who_may_and_nothing_else_is_in_the_table() {
        let routed: BTreeSet<_> = operations().into_iter().map(|(method, path, _)| (method, path)).collect();
        let table: BTreeSet<_> =
            ACCESS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(routed, table);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_summary_and_its_refusals() {
        let mut names = BTreeSet::new();
        for (method, path, operation) in operations() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{name}");
            if operation["x-scope"] != "none" {
                for status in ["401", "403", "503"] {
                    assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
                }
            }
        }
        for name in CONDITIONAL.iter().chain(&CACHEABLE) {
            assert!(names.contains(*name), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            found.extend(value.get("$ref").and_then(Value::as_str));
            match value {
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Object(fields) => fields.values().for_each(|field| references(field, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.contains("#/components/schemas/Tenant"), "{found:?}");
        for reference in found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }
}

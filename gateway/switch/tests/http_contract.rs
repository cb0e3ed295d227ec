//! The contract over HTTP as other languages see it: its JSON names are those of `wit/voice.wit`, and its JSON Schema and examples are
//! kept as golden files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use tandem_switch::http_contract::{self, Request};
use tandem_switch::plan::Plan;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check_schema<T: JsonSchema>(name: &str) {
    let now = serde_json::to_string_pretty(&schema_for!(T)).expect("a schema is JSON") + "\n";
    let path = golden(name);
    if std::env::var_os("TANDEM_RENEW_GOLDEN").is_some_and(|renew| renew == "1") {
        std::fs::write(&path, &now).expect("the golden file can be written");
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == now,
        "the contract over HTTP differs from tests/golden/{name}. When the change is meant and tenants' functions can live with it, renew \
         the file: TANDEM_RENEW_GOLDEN=1 cargo test -p tandem-switch --test http_contract"
    );
}

#[test]
fn the_schemas_are_unchanged() {
    check_schema::<Request>("function-request.schema.json");
    check_schema::<Plan>("function-answer.schema.json");
}

/// Each type of the contract's interface `types` with the names of its fields or cases, `%` removed.
fn names_in_wit() -> BTreeMap<String, BTreeSet<String>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit/voice.wit");
    let wit = std::fs::read_to_string(path).expect("the contract is there");
    let types =
        wit.split_once("interface types {").and_then(|(_, rest)| rest.split_once("\n}")).expect("interface types").0;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in types.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let words: Vec<&str> = line.split([' ', ':', '(', ',']).collect();
        match words[..] {
            ["record" | "enum" | "variant", name, "{"] => current = name.to_owned(),
            ["type", ..] | ["}"] => {}
            _ => drop(found.entry(current.clone()).or_default().insert(words[0].trim_start_matches('%').to_owned())),
        }
    }
    found
}

/// What the contract calls a type of the core.
fn name_in_contract(rust: &str) -> String {
    if rust == "EndedCall" {
        return "call-record".into();
    }
    let mut kebab = String::new();
    for (at, letter) in rust.char_indices() {
        if letter.is_uppercase() && at > 0 {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

/// The names of fields and cases in one schema, without those of the schemas inside of it.
fn names_in_schema(schema: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let mut found: BTreeSet<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    found.extend(schema["enum"].as_array().into_iter().flatten().map(text));
    found.extend(schema.get("const").map(text));
    found.extend(schema["oneOf"].as_array().into_iter().flatten().flat_map(names_in_schema));
    found
}

fn names_in_json<T: JsonSchema>(found: &mut BTreeMap<String, BTreeSet<String>>) {
    let schema = schema_for!(T);
    for (name, definition) in schema.as_value()["$defs"].as_object().expect("definitions") {
        found.insert(name_in_contract(name), names_in_schema(definition));
    }
}

#[test]
fn the_names_in_json_are_those_of_the_contract() {
    let mut in_json = BTreeMap::new();
    names_in_json::<Request>(&mut in_json);
    names_in_json::<Plan>(&mut in_json);
    in_json.insert("plan".into(), names_in_schema(schema_for!(Plan).as_value()));
    // A point in time is a number in both.
    in_json.remove("unix-millis").expect("points in time are a type of the core");
    let mut in_wit = names_in_wit();
    // Over HTTP a failure is a status.
    in_wit.remove("error").expect("the contract has an error");
    assert_eq!(in_json, in_wit);
}

#[test]
fn the_examples_read_and_write_byte_for_byte() {
    let examples = std::fs::read_to_string(golden("http-function.ndjson")).expect("the examples are there");
    let (mut requests, mut answers) = (0, 0);
    for line in examples.lines() {
        let value: Value = serde_json::from_str(line).expect(line);
        let written = if value.get("steps").is_some() {
            answers += 1;
            let plan = http_contract::decode(200, line.as_bytes()).expect(line);
            serde_json::to_vec(&plan).expect("a plan is JSON")
        } else {
            requests += 1;
            let request: Request = serde_json::from_str(line).expect(line);
            http_contract::encode(&request.context, &request.event)
        };
        assert_eq!(String::from_utf8_lossy(&written), line);
    }
    assert!(requests >= 3 && answers >= 2, "an example of each event, and two plans");
}

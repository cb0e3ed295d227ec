//! The signalling protocol as other implementations see it: its JSON Schema and an example of every message, kept as golden files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use tandem_switch::signal::{ClientMessage, ServerMessage};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check_schema<T: JsonSchema>(name: &str) {
    let schema = schema_for!(T);
    let now = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
    let path = golden(name);
    if std::env::var_os("TANDEM_RENEW_GOLDEN").is_some_and(|renew| renew == "1") {
        std::fs::write(&path, &now).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now).unwrap_or(0) + 1;
    assert!(
        kept == now,
        "the signalling protocol differs from tests/golden/{name}, first at line {first_difference}. When the change is meant and \
         older clients can live with it, renew the file: TANDEM_RENEW_GOLDEN=1 cargo test -p tandem-switch --test schema_golden"
    );
}

#[test]
fn what_clients_may_say_is_unchanged() {
    check_schema::<ClientMessage>("client-message.schema.json");
}

#[test]
fn what_the_gateway_may_say_is_unchanged() {
    check_schema::<ServerMessage>("server-message.schema.json");
}

/// The values that `tag` may take anywhere in a schema.
fn tags(schema: &Value, tag: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = schema.pointer(&format!("/properties/{tag}/const")).and_then(Value::as_str) {
        found.insert(name.to_owned());
    }
    match schema {
        Value::Array(items) => items.iter().for_each(|item| tags(item, tag, found)),
        Value::Object(fields) => fields.values().for_each(|field| tags(field, tag, found)),
        _ => {}
    }
}

fn tags_of<T: JsonSchema>(tag: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    tags(schema_for!(T).as_value(), tag, &mut found);
    found
}

#[test]
fn there_is_an_example_of_every_message_and_it_reads_and_writes_byte_for_byte() {
    let (client, server) = (tags_of::<ClientMessage>("type"), tags_of::<ServerMessage>("type"));
    let events = tags_of::<ServerMessage>("event");
    assert!(client.is_disjoint(&server), "a message's type says who sends it");
    let mut seen = BTreeSet::new();
    let examples = std::fs::read_to_string(golden("signalling.ndjson")).expect("the examples are there");
    for line in examples.split_inclusive('\n') {
        let value: Value = serde_json::from_str(line).expect(line);
        let name = value["type"].as_str().expect(line);
        let written = if client.contains(name) {
            ClientMessage::decode(line.as_bytes()).map(|message| message.encode())
        } else {
            ServerMessage::decode(line.as_bytes()).map(|message| message.encode())
        };
        let written = written.unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(String::from_utf8_lossy(&written), line);
        seen.insert(name.to_owned());
        seen.extend(value["event"].as_str().map(str::to_owned));
    }
    let every: BTreeSet<_> = client.into_iter().chain(server).chain(events).collect();
    assert_eq!(
        seen, every,
        "tests/golden/signalling.ndjson has a line for each message and event, and for nothing else"
    );
}

//! A Spin application that knows nothing of Tandem but its JSON: rings whom the caller dialled, and the whole desk for `front-desk`. Some
//! dialled addresses make it fail as an HTTP service may. For the host's tests.
#![cfg(target_family = "wasm")]

use serde_json::{Value, json};
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{Request, Response};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> spin_sdk::http::Result<Response<String>> {
    let path = request.uri().path().to_owned();
    let question: Value = serde_json::from_slice(&request.into_body().bytes().await?).expect("the question is JSON");
    let asked = &question["context"]["to"];
    Ok(match asked.as_str().expect("what was dialled") {
        "panic" => panic!("on purpose"),
        "loop" => loop {
            std::hint::black_box(());
        },
        "memory" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            loop {
                held.push(std::hint::black_box(vec![1; 1024 * 1024]));
            }
        }
        "huge-answer" => answer(200, "x".repeat(8 * 1024 * 1024)),
        "error" => answer(500, json!({"title": "Oops", "detail": "no database"}).to_string()),
        "bad-json" => answer(200, "<html>".into()),
        "wrong-field" => answer(200, json!({"steps": ["dance"]}).to_string()),
        "nothing" => answer(204, String::new()),
        "path" => answer(500, path),
        "front-desk" => answer(200, ring(&["alice", "bob"])),
        user => answer(200, ring(&[user])),
    })
}

fn answer(status: u16, body: String) -> Response<String> {
    Response::builder().status(status).body(body).expect("a status and a body make a response")
}

fn ring(users: &[&str]) -> String {
    let targets: Vec<Value> = users.iter().map(|user| json!({"address": {"user": user}})).collect();
    let dial = json!({"targets": targets, "strategy": "at-once", "ring-timeout": 20_000});
    json!({"steps": [{"dial": dial}]}).to_string()
}

//! A routing function of the world `blocking-router`, as tools without asynchronous functions make it: rings whom the caller dialled, and
//! the whole desk for `front-desk`. For the host's tests.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the generated glue between the component and its host")]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../../../wit",
        world: "blocking-router",
    });
}

use bindings::tandem::voice::types::{Address, AfterAnswer, DialStep, DialStrategy, DialTarget, Step};
use bindings::{Context, Error, Event, Guest, Plan};

struct Blocking;

impl Guest for Blocking {
    fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        let users = match context.to.as_str() {
            "panic" => panic!("on purpose"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "error" => return Err(Error { message: "no database".into() }),
            "front-desk" => vec!["alice".to_owned(), "bob".to_owned()],
            user => vec![user.to_owned()],
        };
        let target = |user| DialTarget { address: Address::User(user), round: 0, weight: 0 };
        let dial = DialStep {
            targets: users.into_iter().map(target).collect(),
            strategy: DialStrategy::AtOnce,
            ring_timeout: 20_000,
            max_duration: None,
            caller_id: None,
            whisper: None,
            confirm_key: None,
            after_answer: AfterAnswer::HangUp,
        };
        Ok(Plan { steps: vec![Step::Dial(dial)], state: Vec::new() })
    }
}

bindings::export!(Blocking with_types_in bindings);

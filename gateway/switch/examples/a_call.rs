//! One short call through the exchange, from `hello` to its record, without a clock, a socket or a thread.
//!
//! It is also the proof that the core is pure: built for `wasm32-unknown-unknown`, its module imports nothing.
//! `cargo run -p tandem-switch --example a_call` prints what the shell would have to do.

use std::time::Duration;

use tandem_switch::event::Transport;
use tandem_switch::exchange::{Answer, Exchange, Input, Output};
use tandem_switch::id::{CallId, LinkId, TenantId, UserId};
use tandem_switch::plan::Plan;
use tandem_switch::signal::{ClientMessage, Happening, Hello, ServerMessage, VERSION};
use tandem_switch::time::{Instant, UnixMillis, WallClock};
use tandem_switch::token::{Grant, Identity};

const ALICE: LinkId = LinkId(1);
const BOB: LinkId = LinkId(2);

fn attach(link: LinkId, user: &str) -> Input {
    let identity = Identity {
        tenant: TenantId::new("demo").expect("a good name"),
        user: UserId::new(user).expect("a good name"),
        name: None,
        grants: Grant::ALL.to_vec(),
        expires_at: UnixMillis(3_600_000),
        good_for: Duration::from_secs(3_600),
    };
    let hello = Hello { version: VERSION, token: String::new(), client: "example".into(), resume: None };
    Input::Attach { link, transport: Transport::Webtransport, identity: Box::new(identity), hello: Box::new(hello) }
}

fn says(link: LinkId, message: ClientMessage) -> Input {
    Input::Message { link, message: Box::new(message) }
}

/// What the parties and the tenant's function do about an output.
fn react(output: &Output) -> Option<Input> {
    match output {
        Output::Consult(consult) => {
            let plan = Plan::ring_user(&consult.context.to, Duration::from_secs(20));
            let answer = Box::new(Ok(Answer { plan, version: "example".into(), instead_of: None }));
            Some(Input::Planned { call: consult.call, consultation: consult.consultation, answer })
        }
        Output::Send { link, message } => match &**message {
            ServerMessage::Event(event) => answer_or_hang_up(*link, event.call, &event.what),
            _ => None,
        },
        _ => None,
    }
}

fn answer_or_hang_up(link: LinkId, call: CallId, what: &Happening) -> Option<Input> {
    match what {
        Happening::Incoming { .. } => Some(says(link, ClientMessage::Answer { call })),
        Happening::Connected { .. } if link == ALICE => Some(says(link, ClientMessage::Hangup { call })),
        _ => None,
    }
}

fn main() {
    let mut exchange = Exchange::new([7; 32], WallClock::default());
    let invite = ClientMessage::Invite { reference: "1".into(), to: "bob".into(), headers: Vec::new() };
    let mut inputs = vec![attach(ALICE, "alice"), attach(BOB, "bob"), says(ALICE, invite)];
    inputs.reverse();
    let mut records = 0;
    let mut now = Instant::default();
    while let Some(input) = inputs.pop() {
        exchange.handle(now, input);
        while let Some(output) = exchange.poll() {
            println!("{output:?}");
            records += usize::from(matches!(output, Output::Record(_)));
            inputs.extend(react(&output));
        }
        now = now + Duration::from_secs(1);
    }
    assert_eq!(records, 1, "one call, one record");
}

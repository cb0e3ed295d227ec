//! The example functions, as components, route as they document.

mod kit;

use kit::{INCOMING, call, guest, host, patient};
use tandem_host::{Function, Host};
use tandem_switch::cause::Cause;
use tandem_switch::event::{Consultation, Context, DialOutcome, EndedCall, Event, Outcome};
use tandem_switch::plan::{Accepted, Action, Order, Plan};
use tandem_switch::time::UnixMillis;

async fn ask(host: &Host, function: &Function, context: &Context, event: &Event) -> Plan {
    host.invoke(function, context, event).await.answer.expect("a plan")
}

/// Who rings, round by round.
fn rung(plan: &Accepted) -> Vec<Vec<&str>> {
    let dial = plan.steps.iter().find_map(|step| if let Action::Dial(dial) = step { Some(dial) } else { None });
    let Order::Rounds(rounds) = &dial.expect("a dial").order else { panic!("a dial in rounds") };
    rounds.iter().map(|round| round.iter().map(|user| user.as_str()).collect()).collect()
}

#[tokio::test]
async fn front_desk_rings_the_group_at_once() {
    let host = host(patient());
    let function = host.load(&guest("front-desk")).unwrap();
    let plan = ask(&host, &function, &call("carol", "front-desk"), &INCOMING).await.accept().unwrap();
    assert_eq!(rung(&plan), [["alice", "bob"]]);
    assert!(matches!(plan.steps.last(), Some(Action::Reject { cause: Cause::NoAnswer, reason: Some(_) })), "{plan:?}");
    let plan = ask(&host, &function, &call("carol", "dave"), &INCOMING).await.accept().unwrap();
    assert_eq!(rung(&plan), [["dave"]]);
}

#[tokio::test]
async fn find_me_carries_its_state_from_plan_to_plan() {
    let host = host(patient());
    let function = host.load(&guest("find-me")).unwrap();
    let mut context = call("carol", "alice");
    let mut event = INCOMING;
    let mut found = Vec::new();
    loop {
        let plan = ask(&host, &function, &context, &event).await.accept().unwrap();
        if let [Action::Reject { cause, .. }] = plan.steps[..] {
            assert_eq!(cause, Cause::NoAnswer);
            break;
        }
        assert!(found.len() < 10, "it rings for ever: {found:?}");
        found.extend(rung(&plan).concat().into_iter().map(str::to_owned));
        let dialled = DialOutcome { cause: Cause::NoAnswer, answered_by: None, talked: 0 };
        event = Event::Consulted(Consultation { tag: "next-device".into(), outcome: Outcome::Dialled(dialled) });
        context.state = plan.state;
    }
    assert_eq!(found, ["alice", "alice.mobile", "alice.home"]);
}

#[tokio::test]
async fn block_list_refuses_whom_it_names() {
    let host = host(patient());
    let function = host.load(&guest("block-list")).unwrap();
    let refused = ask(&host, &function, &call("mallory", "alice"), &INCOMING).await.accept().unwrap();
    assert_eq!(refused.steps, [Action::Reject { cause: Cause::Forbidden, reason: None }]);
    let through = ask(&host, &function, &call("bob", "alice"), &INCOMING).await.accept().unwrap();
    assert_eq!(rung(&through), [["alice"]]);
}

#[tokio::test]
async fn an_ended_call_is_told_to_the_function() {
    let host = host(patient());
    let function = host.load(&guest("front-desk")).unwrap();
    let ended = EndedCall {
        call: "00000000000000000000000001".into(),
        from: "carol".into(),
        to: "front-desk".into(),
        started_at: UnixMillis(1),
        answered_at: None,
        ended_at: UnixMillis(2),
        answered_by: None,
        cause: Cause::Cancelled,
    };
    let answer = ask(&host, &function, &call("carol", "front-desk"), &Event::Ended(ended)).await;
    assert_eq!(answer, Plan { steps: vec![], state: vec![] });
}

//! Calls: from the invitation to the record.

use super::*;
use crate::event::{DialOutcome, Outcome};
use crate::media::stats::Reception;
use crate::plan::Rejection;
use crate::record::{EndedBy, Instead};

#[test]
fn a_call_is_answered_talked_and_hung_up() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    assert!(matches!(harness.events(1)[..], [Happening::Ringing, Happening::Connected { .. }]));
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
    harness.says(2, ClientMessage::Hangup { call });
    assert_eq!((harness.ended(1), harness.ended(2)), (Cause::Normal, Cause::Normal));
    let record = harness.record();
    assert_eq!((record.cause, record.ended_by), (Cause::Normal, EndedBy::Callee));
    assert_eq!(record.answered_by, Some(UserId::new("bob").unwrap()));
    assert!(harness.routes.is_empty());
    assert!(matches!(harness.asked.last().unwrap().event, Event::Ended(_)), "the function learns of the end");
}

#[test]
fn both_ends_use_the_same_flows_of_four_bytes() {
    let (harness, _) = Harness::talking(AfterAnswer::HangUp);
    let flows = |link| match harness.last_event(link) {
        Happening::Connected { send, receive, .. } => (send, receive),
        other => panic!("{other:?}"),
    };
    let ((alice_sends, alice_hears), (bob_sends, bob_hears)) = (flows(1), flows(2));
    assert_eq!((alice_sends, alice_hears), (bob_hears, bob_sends));
    assert_ne!(alice_sends, bob_sends);
    assert!(alice_sends.0 >= 1 << 14 && bob_sends.0 < 1 << 30);
}

#[test]
fn a_caller_who_gives_up_cancels() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![ring(&["bob"])]);
    harness.says(1, ClientMessage::Hangup { call });
    assert_eq!((harness.ended(1), harness.ended(2)), (Cause::Cancelled, Cause::Cancelled));
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.last_error(2), ErrorCode::NoSuchCall);
    assert_eq!(harness.record().ended_by, EndedBy::Caller);
}

#[test]
fn a_caller_may_give_up_while_the_function_thinks() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.says(1, ClientMessage::Hangup { call });
    harness.plan(vec![ring(&["bob"])]);
    assert!(harness.events(2).is_empty(), "the late plan rings nobody");
    let record = harness.record();
    assert_eq!((record.cause, record.consultations.len()), (Cause::Cancelled, 1));
    assert_eq!(harness.asked.len(), 1, "a function that never answered is not told of the end");
}

#[test]
fn the_first_device_to_answer_gets_the_call() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "bob");
    let call = harness.invite(1, "bob");
    harness.plan(vec![ring(&["bob"])]);
    harness.says(3, ClientMessage::Answer { call });
    assert_eq!(harness.ended(2), Cause::AnsweredElsewhere);
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.last_error(2), ErrorCode::NoSuchCall);
    assert!(matches!(harness.last_event(3), Happening::Connected { .. }));
}

#[test]
fn a_device_that_lost_its_link_does_not_ring_beside_a_connected_one() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "bob");
    harness.lose(3);
    let call = harness.invite(1, "bob");
    harness.plan(vec![dial(&["bob"], AfterAnswer::HangUp)]);
    harness.says(2, ClientMessage::Decline { call, cause: None });
    assert_eq!(harness.ended(1), Cause::Declined, "nobody else rings");
    harness.resume(4, "bob", 3, vec![]);
    assert!(harness.events(4).is_empty());
}

#[test]
fn a_round_ends_at_once_when_all_its_devices_declined() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "carol");
    let call = harness.invite(1, "x");
    harness.plan(vec![one_after_another(&["bob", "carol"])]);
    assert!(harness.events(3).is_empty());
    harness.says(2, ClientMessage::Decline { call, cause: Some(Cause::Busy) });
    assert_eq!(harness.ended(2), Cause::Busy);
    assert!(matches!(harness.last_event(3), Happening::Incoming { .. }), "the next round rings");
    harness.wait(Duration::from_secs(20));
    assert_eq!(harness.ended(3), Cause::NoAnswer);
    assert_eq!(harness.ended(1), Cause::Busy, "busy tells more than no answer");
    assert_eq!(harness.events(1).iter().filter(|what| **what == Happening::Ringing).count(), 1);
}

#[test]
fn each_failed_target_has_its_cause() {
    let users = BTreeMap::from(["alice", "bob", "zoe"].map(|user| (UserId::new(user).unwrap(), None)));
    for (target, cause) in [("zoe", Cause::Unreachable), ("nobody", Cause::NotFound), ("alice", Cause::OwnAddress)] {
        let mut harness = Harness::new();
        harness.input(configured(TenantSettings { users: users.clone(), ..TenantSettings::default() }));
        harness.attach(1, "acme", "alice");
        harness.attach(2, "acme", "alice");
        harness.invite(1, target);
        harness.plan(vec![ring(&[target])]);
        assert_eq!(harness.record().cause, cause, "{target}: at once, without waiting");
        assert!(harness.events(2).is_empty());
    }
}

#[test]
fn a_callee_who_leaves_under_go_on_lets_the_plan_continue() {
    let (mut harness, call) = Harness::talking(AfterAnswer::GoOn);
    harness.says(2, ClientMessage::Hangup { call });
    assert_eq!(harness.ended(2), Cause::Normal);
    assert_eq!(harness.ended(1), Cause::Normal);
    assert!(harness.events(1).contains(&Happening::Disconnected));
    assert_eq!(harness.record().ended_by, EndedBy::Plan);
}

#[test]
fn a_consult_step_tells_what_the_dial_brought() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![dial(&["bob"], AfterAnswer::GoOn), Step::Consult("after".into())]);
    harness.says(2, ClientMessage::Answer { call });
    harness.wait(Duration::from_secs(5));
    harness.says(2, ClientMessage::Hangup { call });
    let consult = harness.asked.last().unwrap().clone();
    let Event::Consulted(consulted) = consult.event else { panic!("{:?}", consult.event) };
    let dialled = DialOutcome { cause: Cause::Normal, answered_by: Some("bob".into()), talked: 5000 };
    assert_eq!((consulted.tag.as_str(), consulted.outcome), ("after", Outcome::Dialled(dialled)));
    assert_eq!((consult.version.as_deref(), consult.consultation), (Some("v1"), 2));
    assert_eq!(consult.context.state, [7]);
}

#[test]
fn steps_end_the_call_as_they_say() {
    let rejection = Rejection { cause: Cause::Closed, reason: Some("come back tomorrow".into()) };
    let table = [
        (vec![Step::Reject(rejection)], Cause::Closed, Some("come back tomorrow")),
        (vec![Step::Hangup(Cause::Forbidden)], Cause::Forbidden, None),
        (vec![Step::RingBack], Cause::NoRoute, None),
    ];
    for (steps, cause, words) in table {
        let mut harness = Harness::with_alice_and_bob();
        harness.invite(1, "bob");
        harness.plan(steps);
        assert_eq!(harness.last_event(1), Happening::Ended { cause, reason: words.map(str::to_owned) });
        assert_eq!(harness.record().ended_by, EndedBy::Plan);
    }
}

#[test]
fn a_pause_lasts_as_long_as_it_says() {
    let mut harness = Harness::with_alice_and_bob();
    harness.invite(1, "bob");
    harness.plan(vec![Step::Pause(3000), Step::Hangup(Cause::Closed)]);
    harness.wait(Duration::from_millis(2999));
    assert!(harness.records.is_empty());
    harness.wait(Duration::from_millis(1));
    assert_eq!(harness.record().cause, Cause::Closed);
}

#[test]
fn a_function_that_fails_leaves_the_call_to_the_default_plan() {
    let bad_plan =
        Answer { plan: Plan { steps: vec![Step::Pause(0)], state: vec![] }, version: "v2".into(), instead_of: None };
    let table = [
        (Err(ConsultFailure::Trapped("unreachable".into())), "the function trapped: unreachable", ""),
        (Ok(bad_plan), "the plan was refused: step 1 (`pause`): the pause must be 1 to 60000 ms; got 0", "v2"),
    ];
    for (answer, failure, version) in table {
        let mut harness = Harness::with_alice_and_bob();
        let call = harness.invite(1, "bob");
        harness.answer(answer);
        assert!(matches!(harness.last_event(2), Happening::Incoming { .. }), "the dialled user rings");
        harness.says(1, ClientMessage::Hangup { call });
        let consultation = &harness.record().consultations[0];
        assert_eq!((consultation.failure.as_deref(), consultation.version.as_str()), (Some(failure), version));
    }
}

#[test]
fn a_function_that_never_answers_is_waited_for_in_vain_only_so_long() {
    let mut harness = Harness::with_alice_and_bob();
    harness.input(configured(TenantSettings { default_plan: DefaultPlan::Refuse, ..TenantSettings::default() }));
    harness.invite(1, "bob");
    harness.wait(limits::CONSULT_TIMEOUT);
    assert_eq!(harness.record().cause, Cause::FunctionFailed);
    harness.plan(vec![ring(&["bob"])]);
    assert!(harness.events(2).is_empty(), "the late answer is ignored");
}

#[test]
fn a_default_plan_of_the_tenants_is_followed() {
    let accepted = Plan { steps: vec![ring(&["bob"])], state: vec![] }.accept().unwrap();
    assert!(matches!(accepted.steps[0], crate::plan::Action::Dial(Dial { .. })));
    let mut harness = Harness::with_alice_and_bob();
    harness
        .input(configured(TenantSettings { default_plan: DefaultPlan::Plan(accepted), ..TenantSettings::default() }));
    harness.invite(1, "reception");
    harness.answer(Err(ConsultFailure::NoFunction));
    assert!(matches!(harness.last_event(2), Happening::Incoming { .. }));
}

#[test]
fn a_function_that_consults_for_ever_is_stopped() {
    let mut harness = Harness::with_alice_and_bob();
    harness.invite(1, "bob");
    for _ in 0..limits::CONSULTATIONS_MAX {
        assert!(harness.records.is_empty());
        harness.plan(vec![Step::Consult("more".into())]);
    }
    assert_eq!(harness.record().cause, Cause::FunctionFailed);
}

#[test]
fn holds_belong_to_the_party_that_holds() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.says(1, ClientMessage::Hold { call });
    harness.says(2, ClientMessage::Hold { call });
    assert_eq!(harness.gates(), [Gate::Closed, Gate::Closed]);
    harness.says(1, ClientMessage::Resume { call });
    assert_eq!(harness.gates(), [Gate::Closed, Gate::Closed], "bob still holds");
    harness.says(2, ClientMessage::Resume { call });
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
    assert_eq!(harness.events(1)[2..], [Happening::Held, Happening::Unheld]);
}

#[test]
fn a_muted_party_hears_and_is_not_heard() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.says(1, ClientMessage::Mute { call });
    harness.says(1, ClientMessage::Mute { call });
    let from_alice = harness.routes.iter().find(|((from, _), _)| *from == LinkId(1)).unwrap();
    assert_eq!(from_alice.1.1, Gate::Closed);
    assert_eq!(harness.gates().iter().filter(|gate| **gate == Gate::Open).count(), 1);
    assert_eq!(harness.events(2).iter().filter(|what| **what == Happening::Muted).count(), 1, "told once");
    harness.says(1, ClientMessage::Unmute { call });
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn a_caller_muted_before_the_answer_stays_muted() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.says(1, ClientMessage::Mute { call });
    harness.plan(vec![ring(&["bob"])]);
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.last_event(2), Happening::Muted);
    assert_eq!(harness.gates().iter().filter(|gate| **gate == Gate::Closed).count(), 1);
}

#[test]
fn keys_reach_the_other_party_and_only_keys_do() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.says(1, ClientMessage::Dtmf { call, digits: "12*#D".into() });
    assert_eq!(harness.last_event(2), Happening::Dtmf { digits: "12*#D".into() });
    for digits in ["", "x", &"1".repeat(33)] {
        harness.says(1, ClientMessage::Dtmf { call, digits: digits.to_owned() });
        assert_eq!(harness.last_error(1), ErrorCode::BadMessage, "{digits:?}");
    }
}

#[test]
fn deeds_that_do_not_fit_the_state_are_refused_and_change_nothing() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![ring(&["bob"])]);
    let table = [
        (1, ClientMessage::Answer { call }, ErrorCode::WrongState),
        (1, ClientMessage::Hold { call }, ErrorCode::WrongState),
        (2, ClientMessage::Mute { call }, ErrorCode::WrongState),
        (2, ClientMessage::Decline { call, cause: Some(Cause::Forbidden) }, ErrorCode::BadMessage),
        (2, ClientMessage::Hangup { call: CallId(5) }, ErrorCode::NoSuchCall),
        (2, ClientMessage::Hello(hello()), ErrorCode::WrongState),
    ];
    for (link, message, code) in table {
        harness.says(link, message.clone());
        assert_eq!(harness.last_error(link), code, "{message:?}");
    }
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn two_who_call_each_other_have_two_calls() {
    let mut harness = Harness::with_alice_and_bob();
    let (one, two) = (harness.invite(1, "bob"), harness.invite(2, "alice"));
    for (at, user) in [(0, "bob"), (1, "alice")] {
        let call = harness.asked[at].call;
        let answer =
            Ok(Answer { plan: Plan::ring_user(user, Duration::from_secs(9)), version: "v".into(), instead_of: None });
        harness.input(Input::Planned { call, consultation: 1, answer: Box::new(answer) });
    }
    harness.says(2, ClientMessage::Answer { call: one });
    harness.says(1, ClientMessage::Answer { call: two });
    assert_eq!(harness.routes.len(), 4);
    harness.says(1, ClientMessage::Hangup { call: one });
    assert_eq!((harness.routes.len(), harness.exchange.counts().calls), (2, 1));
}

#[test]
fn a_call_ends_at_its_longest() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    let Step::Dial(step) = ring(&["bob"]) else { unreachable!() };
    harness.plan(vec![Step::Dial(DialStep { max_duration: Some(2000), ..step })]);
    harness.says(2, ClientMessage::Answer { call });
    harness.wait(Duration::from_secs(2));
    assert_eq!((harness.record().cause, harness.record().ended_by), (Cause::TimeLimit, EndedBy::Gateway));
}

#[test]
fn a_talker_learns_how_well_it_is_received() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    let heard = Reception { packets: 9, ..Reception::default() };
    harness.says(2, ClientMessage::Report { call, reception: heard });
    let (from, flow) = *harness.routes.keys().find(|(from, _)| *from == LinkId(1)).unwrap();
    let uplink = Reception { packets: 10, ..Reception::default() };
    harness.input(Input::Measured { from, flow, reception: uplink });
    let quality = ServerMessage::Quality { call, uplink: Some(uplink), peer: Some(heard) };
    assert_eq!(harness.said.last(), Some(&(LinkId(1), quality)));
    let before = harness.said.len();
    harness.input(Input::Measured { from: LinkId(2), flow, reception: uplink });
    assert_eq!(harness.said.len(), before, "a flow that is not that link's");
}

#[test]
fn bad_invitations_are_refused_with_their_reference() {
    let header = |name: &str, value: &str| crate::event::Header { name: name.into(), value: value.into() };
    let table = [
        ("", vec![]),
        (&*"x".repeat(257), vec![]),
        ("bob", vec![header("X-Upper", "")]),
        ("bob", vec![header("x", &"v".repeat(1025))]),
        ("bob", vec![header("x", ""); 33]),
    ];
    let mut harness = Harness::with_alice_and_bob();
    for (to, headers) in table {
        harness.says(1, ClientMessage::Invite { reference: "r7".into(), to: to.into(), headers });
        assert_eq!(harness.last_error(1), ErrorCode::BadMessage);
        let Some((_, ServerMessage::Error { reference, .. })) = harness.said.last() else { unreachable!() };
        assert_eq!(reference.as_deref(), Some("r7"));
    }
    assert!(harness.asked.is_empty());
}

#[test]
fn calls_are_limited_by_session_tenant_and_grant() {
    let mut harness = Harness::with_alice_and_bob();
    for _ in 0..limits::CALLS_PER_SESSION_MAX {
        harness.invite(1, "bob");
    }
    let invite = || ClientMessage::Invite { reference: "r".into(), to: "bob".into(), headers: Vec::new() };
    harness.says(1, invite());
    assert_eq!(harness.last_error(1), ErrorCode::Overloaded);
    harness.input(configured(TenantSettings { calls_max: 8, ..TenantSettings::default() }));
    harness.says(2, invite());
    assert_eq!(harness.last_error(2), ErrorCode::Overloaded);
    harness.attach_with(3, Identity { grants: vec![Grant::Answer], ..identity("acme", "carol") }, hello());
    harness.says(3, invite());
    assert_eq!(harness.last_error(3), ErrorCode::NotGranted);
    harness.input(configured(TenantSettings { sessions_max: 3, ..TenantSettings::default() }));
    harness.attach(4, "acme", "dave");
    let counts = harness.exchange.tenants().next().expect("a tenant");
    let counts = (counts.sessions, counts.sessions_refused, counts.calls, counts.calls_refused);
    assert_eq!(counts, (3, 1, 8, 1), "what a tenant's limits refused is counted");
}

#[test]
fn a_renewed_token_without_a_grant_takes_it_away() {
    let mut harness = Harness::with_alice_and_bob();
    let mut renew = |link, user, grants| {
        let token = Ok(Identity { grants, ..identity("acme", user) });
        harness.input(Input::Renew { link: LinkId(link), token: Box::new(token) });
    };
    renew(2, "bob", vec![Grant::Call]);
    renew(1, "alice", vec![Grant::Call]);
    harness.invite(1, "bob");
    harness.plan(vec![ring(&["bob"])]);
    assert!(harness.events(2).is_empty(), "a device that takes no calls does not ring");
    assert_eq!(harness.ended(1), Cause::Unreachable);
    let token = Ok(Identity { grants: vec![Grant::Answer], ..identity("acme", "alice") });
    harness.input(Input::Renew { link: LinkId(1), token: Box::new(token) });
    harness.says(1, ClientMessage::Invite { reference: "r".into(), to: "bob".into(), headers: Vec::new() });
    assert_eq!(harness.last_error(1), ErrorCode::NotGranted);
}

#[test]
fn a_reference_is_bounded() {
    let mut harness = Harness::with_alice_and_bob();
    let invite = |bytes| ClientMessage::Invite { reference: "r".repeat(bytes), to: "bob".into(), headers: Vec::new() };
    harness.says(1, invite(limits::REFERENCE_BYTES_MAX + 1));
    let (_, error) = harness.said.last().unwrap();
    let expected = "`ref` is at most 128 bytes; got 129";
    assert!(
        matches!(error, ServerMessage::Error { code: ErrorCode::BadMessage, message, reference: None, .. } if message == expected)
    );
    harness.says(1, invite(limits::REFERENCE_BYTES_MAX));
    assert!(matches!(harness.said.last(), Some((_, ServerMessage::Calling { .. }))));
}

#[test]
fn a_call_of_another_tenant_is_as_if_it_were_not() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.attach(3, "beta", "bob");
    let before = harness.said.len();
    harness.says(3, ClientMessage::Hangup { call });
    assert_eq!(harness.last_error(3), ErrorCode::NoSuchCall);
    assert_eq!(harness.said.len(), before + 1);
    harness.invite(3, "alice");
    harness.plan(vec![ring(&["alice"])]);
    assert_eq!(harness.ended(3), Cause::Unreachable, "beta has no alice");
}

#[test]
fn what_a_call_would_go_on_with_is_what_it_goes_on_with() {
    for (dialled, expected) in [("bob", Instead::DefaultPlan), ("sip:nobody@example.com", Instead::Rejection)] {
        let mut harness = Harness::with_alice_and_bob();
        let call = harness.invite(1, dialled);
        assert_eq!(harness.exchange.instead_for(call), Some(expected.clone()), "{dialled}");
        harness.answer(Err(ConsultFailure::NoFunction));
        harness.says(1, ClientMessage::Hangup { call });
        assert_eq!(harness.record().consultations[0].instead, Some(expected), "{dialled}");
    }
}

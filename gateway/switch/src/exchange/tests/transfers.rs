//! Handing calls over, parking them, and changing them from outside.

use super::*;
use crate::audio::{RecordingId, Track};
use crate::call::{Command, Side};
use crate::event::{Outcome, ParkResult};
use crate::plan::{Legs, ParkStep, RecordAction, RecordStep};
use crate::record::EndedBy;

/// alice (1) and bob (2) talk; carol (3) and dora (4) are there.
fn talking_with_more() -> (Harness, CallId) {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.attach(3, "acme", "carol");
    harness.attach(4, "acme", "dora");
    (harness, call)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn transfer(harness: &mut Harness, link: u64, call: CallId, to: &str) {
    harness.says(link, ClientMessage::Transfer { call, to: user(to) });
}

fn park(harness: &mut Harness, link: u64, call: CallId, slot: Option<&str>) {
    harness.says(link, ClientMessage::Park { call, slot: slot.map(str::to_owned), timeout_ms: Some(10_000) });
}

fn peer(harness: &Harness, link: u64) -> String {
    match harness.last_event(link) {
        Happening::Connected { peer, .. } => peer,
        other => panic!("{other:?}"),
    }
}

fn command(harness: &mut Harness, call: CallId, command: Command) -> Result<(), crate::call::Refusal> {
    let done = harness.exchange.command(harness.now, &TenantId::new("acme").unwrap(), call, command);
    harness.drain();
    done
}

#[test]
fn the_callee_hands_the_caller_over() {
    let (mut harness, call) = talking_with_more();
    transfer(&mut harness, 2, call, "carol");
    assert_eq!(harness.ended(2), Cause::Normal);
    assert!(harness.routes.is_empty(), "nobody is heard while it rings");
    harness.says(3, ClientMessage::Answer { call });
    assert_eq!((peer(&harness, 1), peer(&harness, 3)), ("carol".into(), "alice".into()));
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
    harness.says(3, ClientMessage::Hangup { call });
    let record = harness.record();
    assert_eq!((record.from.as_str(), record.answered_by.clone()), ("alice", Some(user("carol"))));
}

#[test]
fn the_caller_hands_the_callee_over_and_the_record_still_says_who_called() {
    let (mut harness, call) = talking_with_more();
    transfer(&mut harness, 1, call, "carol");
    assert_eq!(harness.ended(1), Cause::Normal);
    harness.says(1, ClientMessage::Hangup { call });
    assert_eq!(harness.last_error(1), ErrorCode::NoSuchCall, "who left is no party any more");
    harness.says(3, ClientMessage::Answer { call });
    assert_eq!((peer(&harness, 2), peer(&harness, 3)), ("carol".into(), "bob".into()));
    // The one who stayed may hand over in turn.
    transfer(&mut harness, 2, call, "dora");
    harness.says(4, ClientMessage::Answer { call });
    assert_eq!((peer(&harness, 3), peer(&harness, 4)), ("dora".into(), "carol".into()));
    harness.says(4, ClientMessage::Hangup { call });
    assert_eq!(harness.record().from.as_str(), "alice");
}

#[test]
fn a_transfer_that_fails_comes_back_and_ends_when_nobody_is_left() {
    let (mut harness, call) = talking_with_more();
    transfer(&mut harness, 2, call, "carol");
    harness.says(3, ClientMessage::Decline { call, cause: None });
    assert!(matches!(harness.last_event(2), Happening::Incoming { .. }), "bob is rung back");
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(peer(&harness, 1), "bob");
    transfer(&mut harness, 2, call, "nobody");
    harness.says(2, ClientMessage::Decline { call, cause: Some(Cause::Busy) });
    assert_eq!(harness.ended(1), Cause::Unreachable, "the first failure is told");
    assert_eq!(harness.record().ended_by, EndedBy::Gateway);
}

#[test]
fn transfers_that_make_no_sense_are_refused_and_change_nothing() {
    let (mut harness, call) = talking_with_more();
    for (to, code) in [("bob", ErrorCode::BadMessage), ("alice", ErrorCode::BadMessage)] {
        transfer(&mut harness, 2, call, to);
        assert_eq!(harness.last_error(2), code, "{to}");
    }
    transfer(&mut harness, 3, call, "dora");
    assert_eq!(harness.last_error(3), ErrorCode::NoSuchCall, "a call that is not one's own");
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
    let ringing = harness.invite(3, "dora");
    harness.plan(vec![ring(&["dora"])]);
    transfer(&mut harness, 3, ringing, "bob");
    assert_eq!(harness.last_error(3), ErrorCode::WrongState);
}

/// alice (1) and bob (2) talk; bob and carol (3) do in a call of bob's; dora (4) is there.
fn two_conversations() -> (Harness, CallId, CallId) {
    let (mut harness, first) = talking_with_more();
    harness.says(2, ClientMessage::Hold { call: first });
    let second = harness.invite(2, "carol");
    harness.plan(vec![ring(&["carol"])]);
    harness.says(3, ClientMessage::Answer { call: second });
    (harness, first, second)
}

fn attended(harness: &mut Harness, link: u64, call: CallId, to_call: CallId) {
    harness.says(link, ClientMessage::AttendedTransfer { call, to_call });
}

#[test]
fn an_attended_transfer_makes_one_call_of_two() {
    let (mut harness, first, second) = two_conversations();
    attended(&mut harness, 2, first, second);
    let carol = harness.events(3);
    let [
        ..,
        Happening::Incoming { continues, .. },
        Happening::Connected { peer: heard, .. },
        Happening::Ended { cause, .. },
    ] = carol.as_slice()
    else {
        panic!("{carol:?}")
    };
    assert_eq!((*continues, heard.as_str(), *cause), (Some(second), "alice", Cause::Normal));
    assert_eq!(peer(&harness, 1), "carol");
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open], "who is held no more is heard");
    let ended = harness.numbered(2).into_iter().filter(|event| matches!(event.what, Happening::Ended { .. }));
    assert_eq!(ended.map(|event| event.call).collect::<Vec<_>>(), [first, second], "bob left both");
    let record = harness.record();
    assert_eq!((record.call, record.went_to, record.ended_by), (second, Some(first), EndedBy::Caller));
    harness.says(3, ClientMessage::Hangup { call: first });
    assert_eq!(harness.ended(1), Cause::Normal);
    let record = &harness.records[1];
    assert_eq!((record.call, record.went_to, record.answered_by.clone()), (first, None, Some(user("carol"))));
    for link in 1..=4 {
        harness.says(link, ClientMessage::Bye);
    }
    assert!(harness.exchange.is_idle(), "{:?}", harness.exchange);
}

#[test]
fn who_called_both_can_hand_over_too_and_who_was_muted_stays_so() {
    let (mut harness, first) = talking_with_more();
    let second = harness.invite(1, "carol");
    harness.plan(vec![ring(&["carol"])]);
    harness.says(3, ClientMessage::Answer { call: second });
    harness.says(3, ClientMessage::Mute { call: second });
    attended(&mut harness, 1, first, second);
    assert_eq!(harness.last_event(2), Happening::Muted);
    assert_eq!(harness.destinations(3), (vec![Destination::Link(LinkId(2))], Gate::Closed));
    assert_eq!(harness.destinations(2), (vec![Destination::Link(LinkId(3))], Gate::Open));
    harness.says(3, ClientMessage::Unmute { call: first });
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn attended_transfers_that_make_no_sense_are_refused_and_change_nothing() {
    let (mut harness, first, second) = two_conversations();
    let ringing = harness.invite(2, "dora");
    harness.plan(vec![ring(&["dora"])]);
    let again = harness.invite(1, "bob");
    harness.plan(vec![ring(&["bob"])]);
    harness.says(2, ClientMessage::Answer { call: again });
    let before = harness.said.len();
    for (link, call, to_call, code) in [
        (2, first, first, ErrorCode::BadMessage),
        (2, first, again, ErrorCode::BadMessage),
        (2, first, ringing, ErrorCode::WrongState),
        (2, ringing, first, ErrorCode::WrongState),
        (1, first, second, ErrorCode::NoSuchCall),
        (4, first, second, ErrorCode::NoSuchCall),
        (2, first, CallId(1), ErrorCode::NoSuchCall),
    ] {
        attended(&mut harness, link, call, to_call);
        assert_eq!(harness.last_error(link), code, "{link}: {call:?} {to_call:?}");
    }
    assert_eq!(harness.said.len(), before + 7, "nobody is told anything but the errors");
    assert!(harness.records.is_empty());
}

#[test]
fn whoever_stays_keeps_the_track_that_their_voice_is_on() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "carol");
    harness.attach(4, "acme", "dora");
    let call = harness.invite(1, "bob");
    let both = Step::Record(RecordStep { action: RecordAction::Start, legs: Legs::Both });
    harness.plan(vec![both, ring(&["bob"])]);
    harness.says(2, ClientMessage::Answer { call });
    let recording = RecordingId { call, number: 1 };
    let on_track = |harness: &Harness, link: u64, peer: u64, track: Track| {
        let heard = vec![Destination::Link(LinkId(peer)), Destination::Recording(recording, track)];
        assert_eq!(harness.destinations(link).0, heard, "{link}");
    };
    on_track(&harness, 2, 1, Track::Callee);
    transfer(&mut harness, 1, call, "carol");
    harness.says(3, ClientMessage::Answer { call });
    on_track(&harness, 2, 3, Track::Callee);
    on_track(&harness, 3, 2, Track::Caller);
    // bob, at the caller's end by now, leaves: carol stays.
    transfer(&mut harness, 2, call, "dora");
    harness.says(4, ClientMessage::Answer { call });
    on_track(&harness, 3, 4, Track::Caller);
    on_track(&harness, 4, 3, Track::Callee);
}

#[test]
fn a_recording_of_the_callee_goes_on_with_them_when_the_caller_leaves() {
    let (mut harness, _) = talking_with_more();
    let call = harness.invite(3, "dora");
    let only_callee = Step::Record(RecordStep { action: RecordAction::Start, legs: Legs::Callee });
    harness.plan(vec![only_callee, ring(&["dora"])]);
    harness.says(4, ClientMessage::Answer { call });
    let recording = Destination::Recording(RecordingId { call, number: 1 }, Track::Callee);
    assert!(harness.destinations(4).0.contains(&recording));
    harness.says(2, ClientMessage::Bye);
    harness.attach(5, "acme", "bob");
    transfer(&mut harness, 3, call, "bob");
    harness.says(5, ClientMessage::Answer { call });
    assert!(harness.destinations(4).0.contains(&recording), "dora is recorded on");
    assert_eq!(harness.destinations(5).0, [Destination::Link(LinkId(4))], "and bob is not");
    let told = harness.events(5).into_iter().filter(|event| matches!(event, Happening::Recorded { .. }));
    assert_eq!(told.count(), 0, "nor is he told so");
}

#[test]
fn a_call_is_parked_and_picked_up() {
    let (mut harness, call) = talking_with_more();
    park(&mut harness, 2, call, Some("7"));
    let parked = |harness: &Harness, link: u64| {
        harness.said.iter().any(|(to, message)| {
            *to == LinkId(link) && *message == ServerMessage::ParkedIn { call, slot: "7".to_owned() }
        })
    };
    assert!(parked(&harness, 2));
    assert_eq!((harness.ended(2), harness.last_event(1)), (Cause::Normal, Happening::Parked { slot: "7".into() }));
    let other = harness.invite(3, "dora");
    harness.plan(vec![ring(&["dora"])]);
    harness.says(4, ClientMessage::Answer { call: other });
    park(&mut harness, 4, other, Some("7"));
    assert_eq!(harness.last_error(4), ErrorCode::WrongState, "the slot is taken");
    assert!(matches!(harness.last_event(4), Happening::Connected { .. }), "they talk on");
    harness.attach(5, "other", "eve");
    harness.says(5, ClientMessage::Pickup { slot: "7".into() });
    assert_eq!(harness.last_error(5), ErrorCode::NoSuchCall, "another tenant's slot is none");
    harness.says(3, ClientMessage::Pickup { slot: "7".into() });
    assert_eq!(peer(&harness, 1), "carol");
    harness.says(3, ClientMessage::Pickup { slot: "7".into() });
    assert_eq!(harness.last_error(3), ErrorCode::NoSuchCall, "the slot is free again");
}

#[test]
fn a_parked_call_that_nobody_picks_up_goes_back() {
    let (mut harness, call) = talking_with_more();
    park(&mut harness, 1, call, None);
    assert_eq!(harness.last_event(2), Happening::Parked { slot: "1".into() }, "the callee can be parked, too");
    harness.wait(Duration::from_secs(10));
    assert!(matches!(harness.last_event(1), Happening::Incoming { .. }), "who parked is rung");
    harness.says(1, ClientMessage::Answer { call });
    assert_eq!((peer(&harness, 1), peer(&harness, 2)), ("bob".into(), "alice".into()));
}

#[test]
fn a_plan_parks_and_learns_what_came_of_it() {
    let (mut harness, _) = talking_with_more();
    let plan = |slot: Option<&str>| {
        let step = ParkStep { slot: slot.map(str::to_owned), timeout: 5_000 };
        vec![Step::Park(step), Step::Consult("after".into())]
    };
    let result = |harness: &Harness| match &harness.asked.last().unwrap().event {
        Event::Consulted(asked) => match &asked.outcome {
            Outcome::Parked(outcome) => (outcome.result, outcome.slot.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    harness.invite(3, "park");
    harness.plan(plan(Some("a")));
    let second = harness.invite(4, "park");
    harness.plan(plan(Some("a")));
    assert_eq!(result(&harness), (ParkResult::SlotTaken, None));
    harness.says(4, ClientMessage::Hangup { call: second });
    harness.wait(Duration::from_secs(5));
    assert_eq!(result(&harness), (ParkResult::TimedOut, Some("a".into())));
}

#[test]
fn a_live_call_is_changed_from_outside() {
    let (mut harness, call) = talking_with_more();
    assert_eq!(command(&mut harness, call, Command::Mute(Side::Caller, true)), Ok(()));
    assert_eq!(harness.last_event(2), Happening::Muted);
    let accepted = Plan { steps: vec![ring(&["carol"])], state: Vec::new() }.accept().unwrap();
    assert_eq!(command(&mut harness, call, Command::Redirect(accepted)), Ok(()));
    assert_eq!(harness.ended(2), Cause::Normal);
    harness.says(3, ClientMessage::Answer { call });
    assert_eq!(harness.last_event(3), Happening::Muted, "muted from outside, muted still");
    let away = Command::Transfer { leaves: Side::Callee, to: user("dora") };
    assert_eq!(command(&mut harness, call, away), Ok(()));
    assert_eq!(harness.ended(3), Cause::Normal);
    assert!(command(&mut harness, call, Command::Mute(Side::Callee, true)).is_err(), "nobody is connected");
    assert_eq!(command(&mut harness, call, Command::Hangup(Cause::Forbidden)), Ok(()));
    assert_eq!((harness.ended(1), harness.ended(4)), (Cause::Forbidden, Cause::Forbidden));
    assert_eq!(command(&mut harness, call, Command::Hangup(Cause::Normal)).unwrap_err().code, ErrorCode::NoSuchCall);
}

#[test]
fn another_tenant_cannot_change_a_call() {
    let (mut harness, call) = talking_with_more();
    let other = TenantId::new("other").unwrap();
    let refused = harness.exchange.command(harness.now, &other, call, Command::Hangup(Cause::Normal));
    assert_eq!(refused.unwrap_err().code, ErrorCode::NoSuchCall);
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn a_call_is_redirected_wherever_its_plan_is() {
    let steps = [
        Step::Answer,
        Step::Pause(5000),
        Step::Park(ParkStep { slot: None, timeout: 60_000 }),
        ring(&["bob"]),
        Step::Consult("again".into()),
    ];
    for step in steps {
        let mut harness = Harness::with_alice_and_bob();
        harness.attach(3, "acme", "carol");
        let call = harness.invite(1, "x");
        harness.plan(vec![step.clone(), Step::Pause(60_000)]);
        let accepted = Plan { steps: vec![ring(&["carol"])], state: Vec::new() }.accept().unwrap();
        assert_eq!(command(&mut harness, call, Command::Redirect(accepted)), Ok(()), "{step:?}");
        harness.says(3, ClientMessage::Answer { call });
        assert_eq!(peer(&harness, 1), "carol", "{step:?}");
        harness.says(3, ClientMessage::Hangup { call });
        for link in 1..=3 {
            harness.says(link, ClientMessage::Bye);
        }
        assert!(harness.exchange.is_idle(), "{step:?}: {:?}", harness.exchange);
    }
}

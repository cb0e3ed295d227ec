//! Sessions: attaching, losing the link, resuming, expiring, leaving.

use super::*;
use crate::record::EndedBy;
use crate::signal::DecodeError;
use crate::token::TokenError;

#[test]
fn a_wrong_version_is_not_welcome() {
    let mut harness = Harness::new();
    harness.attach_with(1, identity("acme", "alice"), Hello { version: VERSION + 1, ..hello() });
    assert_eq!(harness.last_error(1), ErrorCode::BadVersion);
    assert_eq!(harness.closed, [(LinkId(1), GoodbyeReason::NotWelcome)]);
    assert!(harness.exchange.is_idle());
}

#[test]
fn a_resumed_session_is_told_what_it_missed_and_its_voices_are_routed_anew() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.lose(1);
    assert_eq!(harness.last_event(2), Happening::PeerLost);
    assert_eq!(harness.routes.len(), 1, "only bob talks");
    assert_eq!(harness.gates(), [Gate::Closed], "and nobody listens");
    harness.says(2, ClientMessage::Hold { call });
    harness.says(2, ClientMessage::Resume { call });
    harness.resume(5, "alice", 1, vec![Seen { call, n: 2 }]);
    assert_eq!(harness.events(5), [Happening::Held, Happening::Unheld]);
    assert_eq!(harness.numbered(5)[0].n, 3);
    assert_eq!(harness.last_event(2), Happening::PeerBack);
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
    assert!(harness.routes.keys().any(|(from, _)| *from == LinkId(5)));
    assert!(harness.routes.values().any(|(to, _)| *to == [Destination::Link(LinkId(5))]));
}

#[test]
fn a_client_that_names_no_call_is_told_from_the_start() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.lose(1);
    harness.resume(5, "alice", 1, vec![]);
    assert!(harness.said.contains(&(LinkId(5), ServerMessage::Calling { reference: "r".into(), call })));
    assert!(matches!(harness.events(5)[..], [Happening::Ringing, Happening::Connected { .. }]));
}

#[test]
fn a_call_that_ended_meanwhile_is_told_of_until_the_client_says_it_knows() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.lose(1);
    harness.says(2, ClientMessage::Hangup { call });
    harness.resume(5, "alice", 1, vec![Seen { call, n: 2 }]);
    assert_eq!(harness.ended(5), Cause::Normal);
    harness.lose(5);
    harness.resume(6, "alice", 1, vec![Seen { call, n: 2 }]);
    assert_eq!(harness.ended(6), Cause::Normal, "the first telling may have been lost too");
    harness.lose(6);
    harness.resume(7, "alice", 1, vec![Seen { call, n: 3 }]);
    harness.lose(7);
    harness.resume(8, "alice", 1, vec![]);
    assert!(harness.events(7).is_empty() && harness.events(8).is_empty());
}

#[test]
fn a_log_that_overflowed_says_so() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.lose(1);
    for _ in 0..limits::EVENT_LOG_MAX {
        harness.wait(Duration::from_millis(100));
        harness.says(2, ClientMessage::Dtmf { call, digits: "1".into() });
    }
    harness.resume(5, "alice", 1, vec![]);
    let error = harness.said.iter().any(|(link, message)| {
        matches!(message, ServerMessage::Error { code: ErrorCode::Overloaded, call: Some(of), .. } if *of == call)
            && *link == LinkId(5)
    });
    assert!(error);
    assert_eq!(harness.events(5).len(), limits::EVENT_LOG_MAX);
}

#[test]
fn a_newer_link_replaces_one_that_is_still_there() {
    let (mut harness, _) = Harness::talking(AfterAnswer::HangUp);
    let told = harness.events(2).len();
    harness.resume(5, "alice", 1, vec![]);
    assert_eq!(harness.closed, [(LinkId(1), GoodbyeReason::Replaced)]);
    harness.lose(1);
    assert_eq!(harness.events(2).len(), told, "bob notices nothing");
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn a_wrong_secret_or_another_user_begins_a_fresh_session() {
    let mut harness = Harness::with_alice_and_bob();
    let (session, _) = harness.welcome(1);
    let resume = Some(ResumeSession { session, secret: "wrong".into(), seen: vec![] });
    harness.attach_with(5, identity("acme", "alice"), Hello { resume, ..hello() });
    harness.resume(6, "bob", 1, vec![]);
    for link in [5, 6] {
        assert_ne!(harness.welcome(link).0, session);
    }
    assert_eq!(harness.exchange.counts().sessions_attached, 4);
}

#[test]
fn a_session_that_does_not_come_back_ends_its_calls() {
    let (mut harness, _) = Harness::talking(AfterAnswer::GoOn);
    harness.lose(2);
    harness.wait(limits::RESUME_GRACE);
    assert_eq!(harness.ended(1), Cause::ConnectionLost);
    assert_eq!(harness.record().ended_by, EndedBy::Gateway);
    assert_eq!(harness.exchange.counts(), Counts { sessions_attached: 1, ..Counts::default() });
}

#[test]
fn a_ringing_device_that_does_not_come_back_is_unreachable() {
    let mut harness = Harness::with_alice_and_bob();
    harness.lose(2);
    harness.invite(1, "bob");
    let Step::Dial(step) = ring(&["bob"]) else { unreachable!() };
    harness.plan(vec![Step::Dial(DialStep { ring_timeout: 60_000, ..step })]);
    assert!(harness.records.is_empty(), "a device in its grace rings");
    harness.wait(limits::RESUME_GRACE);
    assert_eq!(harness.record().cause, Cause::Unreachable);
}

#[test]
fn bye_ends_the_session_and_its_calls_as_a_hang_up_does() {
    let (mut harness, _) = Harness::talking(AfterAnswer::HangUp);
    harness.says(1, ClientMessage::Bye);
    assert_eq!((harness.ended(1), harness.ended(2)), (Cause::Normal, Cause::Normal));
    assert_eq!(harness.record().ended_by, EndedBy::Caller);
    assert_eq!(harness.closed, [(LinkId(1), GoodbyeReason::Bye)]);
}

#[test]
fn a_session_ends_when_its_token_does_unless_renewed() {
    let mut harness = Harness::new();
    let short = Identity { good_for: Duration::from_secs(60), ..identity("acme", "alice") };
    harness.attach_with(1, short.clone(), hello());
    harness.attach_with(2, Identity { user: UserId::new("bob").unwrap(), ..short }, hello());
    let renew = |token| Input::Renew { link: LinkId(2), token: Box::new(token) };
    harness.input(renew(Ok(identity("acme", "bob"))));
    assert_eq!(harness.said.last().unwrap().1, ServerMessage::Renewed { expires_at: UnixMillis(3_600_000) });
    harness.wait(Duration::from_secs(60));
    assert_eq!(harness.closed, [(LinkId(1), GoodbyeReason::TokenExpired)]);
    harness.input(renew(Ok(identity("acme", "mallory"))));
    assert_eq!(harness.last_error(2), ErrorCode::BadToken);
    harness.input(renew(Err(TokenError::ForeignTenant)));
    assert_eq!(harness.last_error(2), ErrorCode::BadToken);
    assert_eq!(harness.exchange.counts().sessions_attached, 1, "the session lives on");
}

#[test]
fn a_token_ends_its_session_by_the_life_it_had_left_whatever_the_wall_clock_showed_at_the_start() {
    let mut harness = Harness::new();
    harness.wait(Duration::from_secs(100));
    // The wall clock was set back a year since the exchange began with 0: the date lies before its beginning, the token is good.
    let good = Identity { expires_at: UnixMillis(0), good_for: Duration::from_secs(60), ..identity("acme", "alice") };
    harness.attach_with(1, good.clone(), hello());
    harness.wait(Duration::from_secs(59));
    assert!(harness.closed.is_empty());
    harness.input(Input::Renew { link: LinkId(1), token: Box::new(Ok(good.clone())) });
    harness.wait(Duration::from_secs(59));
    harness.lose(1);
    let (session, secret) = harness.welcome(1);
    let resume = Some(ResumeSession { session, secret, seen: vec![] });
    harness.attach_with(2, good, Hello { resume, ..hello() });
    harness.wait(Duration::from_secs(59));
    assert!(harness.closed.is_empty(), "each token's life began when it was checked");
    harness.wait(Duration::from_secs(1));
    assert_eq!(harness.closed, [(LinkId(2), GoodbyeReason::TokenExpired)]);
}

#[test]
fn too_many_messages_are_refused_until_time_passes() {
    let mut harness = Harness::with_alice_and_bob();
    let ping = || ClientMessage::Ping { data: 1 };
    (0..limits::MESSAGE_BURST).for_each(|_| harness.says(1, ping()));
    assert_eq!(harness.said.last().unwrap().1, ServerMessage::Pong { data: 1 });
    harness.says(1, ping());
    assert_eq!(harness.last_error(1), ErrorCode::TooManyMessages);
    harness.wait(Duration::from_secs(1));
    (0..limits::MESSAGES_PER_SECOND).for_each(|_| harness.says(1, ping()));
    assert_eq!(harness.said.last().unwrap().1, ServerMessage::Pong { data: 1 });
    harness.says(1, ping());
    assert_eq!(harness.last_error(1), ErrorCode::TooManyMessages);
}

#[test]
fn a_line_that_is_no_message_is_answered_and_one_too_long_ends_the_link() {
    let mut harness = Harness::with_alice_and_bob();
    let bad = |error| Input::Undecodable { link: LinkId(1), error };
    harness.input(bad(DecodeError::NotAMessage("x".into())));
    assert_eq!(harness.last_error(1), ErrorCode::BadMessage);
    assert!(harness.closed.is_empty());
    harness.input(bad(DecodeError::TooLong(70_000)));
    assert_eq!(harness.last_error(1), ErrorCode::TooLong);
    assert_eq!(harness.closed, [(LinkId(1), GoodbyeReason::ProtocolViolation)]);
    harness.resume(5, "alice", 1, vec![]);
    assert_eq!(harness.exchange.counts().sessions_attached, 2, "the session may go on over another link");
}

#[test]
fn sessions_are_limited_by_user_and_tenant() {
    let mut harness = Harness::new();
    for link in 0..limits::SESSIONS_PER_USER_MAX as u64 {
        harness.attach(link, "acme", "alice");
    }
    harness.attach(50, "acme", "alice");
    assert!(matches!(harness.said.last().unwrap().1, ServerMessage::Error { code: ErrorCode::Overloaded, .. }));
    harness.input(configured(TenantSettings { sessions_max: 16, ..TenantSettings::default() }));
    harness.attach(51, "acme", "bob");
    assert_eq!(harness.closed.last(), Some(&(LinkId(51), GoodbyeReason::NotWelcome)));
    harness.attach(52, "beta", "bob");
    assert_eq!(harness.closed.len(), 2, "another tenant has room");
}

#[test]
fn a_draining_node_takes_nothing_new_and_keeps_what_it_has() {
    let (mut harness, _) = Harness::talking(AfterAnswer::HangUp);
    harness.input(Input::Drain);
    harness.attach(5, "acme", "carol");
    assert_eq!(harness.closed, [(LinkId(5), GoodbyeReason::Shutdown)]);
    harness.says(1, ClientMessage::Invite { reference: "r".into(), to: "bob".into(), headers: Vec::new() });
    assert_eq!(harness.last_error(1), ErrorCode::ShuttingDown);
    harness.lose(1);
    harness.resume(6, "alice", 1, vec![]);
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn a_node_that_stops_ends_everything() {
    let (mut harness, _) = Harness::talking(AfterAnswer::HangUp);
    harness.input(Input::Shutdown);
    assert_eq!((harness.ended(1), harness.record().cause), (Cause::Shutdown, Cause::Shutdown));
    assert_eq!(harness.closed.len(), 2);
    assert!(harness.exchange.is_idle());
    harness.attach(9, "acme", "alice");
    assert_eq!(harness.closed.last(), Some(&(LinkId(9), GoodbyeReason::Shutdown)));
}

#[test]
fn live_calls_are_shown() {
    let (harness, call) = Harness::talking(AfterAnswer::HangUp);
    let live: Vec<_> = harness.exchange.live_calls().map(|live| (live.call, live.to, live.state)).collect();
    assert_eq!(live, [(call, "bob", "talking")]);
}

#[test]
fn a_session_whose_allowance_is_used_up_may_not_speak_until_it_regains_some() {
    let mut harness = Harness::with_alice_and_bob();
    for _ in 0..limits::MESSAGE_BURST {
        assert!(harness.exchange.may_speak(harness.now, LinkId(1)));
        harness.says(1, ClientMessage::Ping { data: 0 });
    }
    assert!(!harness.exchange.may_speak(harness.now, LinkId(1)));
    assert!(harness.exchange.may_speak(harness.now, LinkId(2)), "others may");
    assert!(!harness.exchange.may_speak(harness.now, LinkId(3)), "nobody is there");
    assert!(harness.exchange.may_speak(harness.now + Duration::from_secs(1), LinkId(1)));
}

#[test]
fn a_tenant_that_is_gone_takes_its_sessions_and_calls_with_it_and_nobody_elses() {
    let (mut harness, _) = Harness::talking(AfterAnswer::HangUp);
    harness.attach(3, "other", "carol");
    harness.input(Input::Forget { tenant: TenantId::new("acme").unwrap() });
    assert_eq!(harness.closed, [1, 2].map(|link| (LinkId(link), GoodbyeReason::NotWelcome)));
    assert_eq!(harness.record().tenant.as_str(), "acme");
    assert!(harness.exchange.is_attached(LinkId(3)));
    let left: Vec<_> = harness.exchange.tenants().map(|it| (it.tenant.as_str().to_owned(), it.sessions)).collect();
    assert_eq!(left, [("other".to_owned(), 1)]);
}

#[test]
fn the_devices_of_a_user_that_take_calls_are_counted() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "bob");
    harness.attach(4, "other", "bob");
    let reachable = |harness: &Harness, tenant, user| {
        harness.exchange.reachable(&TenantId::new(tenant).unwrap(), &UserId::new(user).unwrap())
    };
    for (tenant, user, expected) in [("acme", "bob", 2), ("acme", "carol", 0), ("other", "bob", 1), ("none", "bob", 0)]
    {
        assert_eq!(reachable(&harness, tenant, user), expected, "{user} of {tenant}");
    }
    harness.says(3, ClientMessage::Bye);
    assert_eq!(reachable(&harness, "acme", "bob"), 1);
}

//! Who is reachable, and who is told.

use super::*;
use crate::signal::PresenceState::{self, Available, Offline, Talking};

fn told(harness: &Harness, link: u64) -> Vec<Vec<(String, PresenceState)>> {
    let presences = harness.said.iter().filter_map(|(to, message)| match message {
        ServerMessage::Presence { users } if *to == LinkId(link) => {
            Some(users.iter().map(|presence| (presence.user.to_string(), presence.state)).collect())
        }
        _ => None,
    });
    presences.collect()
}

fn state(user: &str, state: PresenceState) -> (String, PresenceState) {
    (user.to_owned(), state)
}

#[test]
fn a_watcher_is_told_at_once_and_of_changes_only() {
    let mut harness = Harness::with_alice_and_bob();
    harness.says(1, ClientMessage::Watch { users: vec![UserId::new("bob").unwrap(), UserId::new("zoe").unwrap()] });
    harness.attach(3, "acme", "bob");
    harness.attach(4, "acme", "zoe");
    harness.says(4, ClientMessage::Bye);
    let expected = vec![
        vec![state("bob", Available), state("zoe", Offline)],
        vec![state("zoe", Available)],
        vec![state("zoe", Offline)],
    ];
    assert_eq!(told(&harness, 1), expected);
}

#[test]
fn watching_everybody_means_the_tenants_own_users() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "beta", "eve");
    harness.says(1, ClientMessage::Watch { users: vec![] });
    assert_eq!(told(&harness, 1), [[state("alice", Available), state("bob", Available)]]);
    harness.attach(4, "beta", "mallory");
    assert_eq!(told(&harness, 1).len(), 1);
}

#[test]
fn with_a_list_of_users_everybody_is_the_list() {
    let mut harness = Harness::new();
    let users = BTreeMap::from(["alice", "zoe"].map(|user| (UserId::new(user).unwrap(), None)));
    harness.input(configured(TenantSettings { users, ..TenantSettings::default() }));
    harness.attach(1, "acme", "alice");
    harness.says(1, ClientMessage::Watch { users: vec![] });
    assert_eq!(told(&harness, 1), [[state("alice", Available), state("zoe", Offline)]]);
    harness.attach(2, "acme", "stranger");
    assert_eq!(harness.closed, [(LinkId(2), GoodbyeReason::NotWelcome)]);
}

#[test]
fn those_in_a_call_are_talking() {
    let (mut harness, call) = Harness::talking(AfterAnswer::HangUp);
    harness.attach(3, "acme", "carol");
    harness.says(3, ClientMessage::Watch { users: vec![UserId::new("bob").unwrap()] });
    harness.says(1, ClientMessage::Hangup { call });
    assert_eq!(told(&harness, 3), [[state("bob", Talking)], [state("bob", Available)]]);
}

#[test]
fn who_takes_no_calls_is_not_reachable() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach_with(3, Identity { grants: vec![Grant::Call], ..identity("acme", "zoe") }, hello());
    harness.says(1, ClientMessage::Watch { users: vec![UserId::new("zoe").unwrap()] });
    assert_eq!(told(&harness, 1), [[state("zoe", Offline)]]);
    harness.says(3, ClientMessage::Watch { users: vec![] });
    assert_eq!(harness.last_error(3), ErrorCode::NotGranted);
}

#[test]
fn who_loses_the_grant_is_told_no_more() {
    let without = |user| Identity { grants: vec![Grant::Call, Grant::Answer], ..identity("acme", user) };
    let watched = || {
        let mut harness = Harness::with_alice_and_bob();
        harness.says(1, ClientMessage::Watch { users: vec![] });
        harness
    };
    let mut renewed = watched();
    renewed.input(Input::Renew { link: LinkId(1), token: Box::new(Ok(without("alice"))) });
    let before = told(&renewed, 1).len();
    renewed.attach(3, "acme", "carol");
    assert_eq!(told(&renewed, 1).len(), before);

    let mut resumed = watched();
    resumed.lose(1);
    resumed.says(2, ClientMessage::Bye);
    let (session, secret) = resumed.welcome(1);
    let resume = Some(ResumeSession { session, secret, seen: vec![] });
    resumed.attach_with(5, without("alice"), Hello { resume, ..hello() });
    resumed.attach(3, "acme", "carol");
    assert!(told(&resumed, 5).is_empty());
    resumed.input(Input::Renew { link: LinkId(5), token: Box::new(Ok(identity("acme", "alice"))) });
    assert!(told(&resumed, 5).is_empty(), "who gets the grant back watches anew");
}

#[test]
fn a_watcher_who_returns_learns_who_left_meanwhile() {
    let mut harness = Harness::with_alice_and_bob();
    harness.says(1, ClientMessage::Watch { users: vec![] });
    harness.lose(1);
    harness.says(2, ClientMessage::Bye);
    harness.resume(5, "alice", 1, vec![]);
    assert_eq!(told(&harness, 5), [[state("alice", Available), state("bob", Offline)]]);
}

#[test]
fn too_many_cannot_be_watched() {
    let mut harness = Harness::with_alice_and_bob();
    let users = (0..=limits::WATCHED_USERS_MAX).map(|n| UserId::new(&format!("u{n}")).unwrap()).collect();
    harness.says(1, ClientMessage::Watch { users });
    assert_eq!(harness.last_error(1), ErrorCode::BadMessage);
}

//! Users and their mailboxes.

use super::*;
use crate::id::MessageId;

fn list(reference: &str) -> ClientMessage {
    let request = MailboxRequest::List { cursor: None };
    ClientMessage::Mailbox { reference: reference.into(), mailbox: None, request }
}

#[test]
fn a_user_asks_about_their_own_mailbox_and_is_told() {
    let mut harness = Harness::with_alice_and_bob();
    assert_eq!(harness.waits, 2, "whoever comes is told what waits");
    harness.says(1, list("7"));
    let Question { session, reference, request, .. } = harness.mailbox[0].clone();
    assert_eq!((reference.as_str(), request), ("7", MailboxRequest::List { cursor: None }));
    let message = Box::new(ServerMessage::MessageDeleted { reference });
    harness.input(Input::Told { session, message });
    assert!(matches!(harness.said.last(), Some((LinkId(1), ServerMessage::MessageDeleted { .. }))));
}

#[test]
fn who_may_not_hear_messages_is_refused_and_told_of_none() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach_with(3, Identity { grants: vec![Grant::Call], ..identity("acme", "alice") }, hello());
    harness.says(3, list("7"));
    assert_eq!(harness.last_error(3), ErrorCode::NotGranted);
    let (tenant, user) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    harness.input(Input::Waiting { tenant, user, waiting: 1, messages: 2 });
    let told: Vec<_> = harness.said.iter().filter(|(_, said)| matches!(said, ServerMessage::Waiting { .. })).collect();
    assert!(matches!(told[..], [(LinkId(1), _)]), "{told:?}");
}

#[test]
fn so_many_questions_at_once_and_no_more() {
    let mut harness = Harness::with_alice_and_bob();
    let message = MessageId(1);
    for _ in 0..limits::MAILBOX_REQUESTS_MAX {
        let (reference, request) = ("r".into(), MailboxRequest::Delete { message });
        harness.says(1, ClientMessage::Mailbox { reference, mailbox: None, request });
    }
    harness.says(1, list("too many"));
    assert_eq!(harness.last_error(1), ErrorCode::Overloaded);
    let Question { session, reference, .. } = harness.mailbox[0].clone();
    harness.input(Input::Told { session, message: Box::new(ServerMessage::MessageDeleted { reference }) });
    harness.says(1, list("fits"));
    assert_eq!(harness.mailbox.len(), limits::MAILBOX_REQUESTS_MAX + 1);
}

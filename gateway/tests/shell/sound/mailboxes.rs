//! Mailboxes: whose they are, what arrives in them, what owners may do and others may not, and when a recording goes.

use tandem::tenants::model::*;
use tandem::tenants::{Notice, TenantError, Waiting};
use tandem_switch::id::{MailboxId, UserId};
use tokio::sync::broadcast;

use super::{left, ogg, whole};
use crate::tenants::{Node, OPERATOR, acme};

fn mailbox(name: &str) -> MailboxId {
    MailboxId::new(name).unwrap()
}

fn user(name: &str) -> Actor {
    Actor::User(UserId::new(name).unwrap())
}

fn waiting(name: &str, waiting: u64, messages: u64) -> Waiting {
    Waiting { tenant: acme(), user: UserId::new(name).unwrap(), waiting, messages }
}

/// The notices about waiting messages so far.
fn told(notices: &mut broadcast::Receiver<Notice>) -> Vec<Waiting> {
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        if let Notice::Waiting(waiting) = notice {
            told.push(waiting);
        }
    }
    told
}

#[tokio::test]
async fn a_message_arrives_is_heard_marked_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, alice, own) = (&node.tenants, user("alice"), mailbox("alice"));
    let mut notices = tenants.notices();
    assert!(tenants.own_mailboxes(&acme(), &UserId::new("alice").unwrap()).await.unwrap().is_empty());
    assert!(tenants.mailbox_door(&acme(), &own).await.unwrap().has_room, "it is there although nobody made it");
    let first = left(tenants, "alice").await.unwrap();
    let second = left(tenants, "alice").await.unwrap();
    assert_eq!(told(&mut notices), [waiting("alice", 1, 1), waiting("alice", 2, 2)]);
    let listed = tenants.messages(&alice, &acme(), &own, None, 10).await.unwrap().items;
    assert_eq!(listed, [second.clone(), first.clone()], "newest first");
    assert_eq!((first.from.as_str(), first.duration_ms, first.heard), ("bob", 1000, false));
    let page = tenants.messages(&alice, &acme(), &own, None, 1).await.unwrap();
    let next = tenants.messages(&alice, &acme(), &own, page.next.as_deref(), 1).await.unwrap();
    assert_eq!((page.items, next.items), (vec![second], vec![first.clone()]));

    assert_eq!(whole(tenants.message_audio(&alice, &acme(), &own, first.id).await.unwrap()).await, ogg(1000));
    let picture = tenants.waveform(&alice, &acme(), &own, first.id).await.unwrap();
    assert_eq!((picture.duration_ms, picture.peaks.len()), (1000, 50));
    assert!(picture.peaks[5..45].iter().all(|peak| (50..80).contains(peak)), "{:?}", picture.peaks);

    assert!(tenants.mark_message(&alice, &acme(), &own, first.id, true).await.unwrap().heard);
    assert_eq!(told(&mut notices), [waiting("alice", 1, 2)]);
    assert_eq!(tenants.waiting(&acme(), &UserId::new("alice").unwrap()).await.unwrap(), waiting("alice", 1, 2));
    tenants.delete_message(&alice, &acme(), &own, first.id).await.unwrap();
    assert_eq!(told(&mut notices), [waiting("alice", 1, 1)]);
    assert!(matches!(tenants.recording(&acme(), first.recording).await, Err(TenantError::NotFound { .. })));
    let lines = tenants.audit(Some(&acme()), None, 100).await.unwrap().items;
    assert!(lines.iter().all(|line| line.action == "tenant.create"), "what users do is in no audit log: {lines:?}");
}

#[tokio::test]
async fn a_recording_goes_with_the_last_mailbox_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, alice, bob) = (&node.tenants, user("alice"), user("bob"));
    let message = left(tenants, "alice").await.unwrap();
    let mut notices = tenants.notices();
    let shared = tenants.share_message(&alice, &acme(), &mailbox("alice"), message.id, &mailbox("bob")).await.unwrap();
    assert_eq!(shared.shared_with, [mailbox("bob")]);
    assert_eq!(told(&mut notices), [waiting("bob", 1, 1)]);
    let again = tenants.share_message(&alice, &acme(), &mailbox("alice"), message.id, &mailbox("bob")).await;
    assert!(matches!(again, Err(TenantError::Conflict(_))));
    let copy = tenants.messages(&bob, &acme(), &mailbox("bob"), None, 10).await.unwrap().items.remove(0);
    assert_eq!((copy.recording, copy.shared_from.as_ref()), (message.recording, Some(&mailbox("alice"))));
    assert_eq!((copy.from.as_str(), copy.received_at, copy.heard), ("bob", message.received_at, false));
    tenants.mark_message(&alice, &acme(), &mailbox("alice"), message.id, true).await.unwrap();
    assert!(
        !tenants.message(&bob, &acme(), &mailbox("bob"), copy.id).await.unwrap().heard,
        "each hears for themselves"
    );
    tenants.delete_message(&alice, &acme(), &mailbox("alice"), message.id).await.unwrap();
    assert_eq!(whole(tenants.message_audio(&bob, &acme(), &mailbox("bob"), copy.id).await.unwrap()).await, ogg(1000));
    tenants.delete_mailbox(OPERATOR, &acme(), &mailbox("bob"), None).await.unwrap();
    assert!(matches!(tenants.recording(&acme(), message.recording).await, Err(TenantError::NotFound { .. })));
}

#[tokio::test]
async fn a_mailbox_is_its_owners_and_nobody_else_s() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, alice, mallory) = (&node.tenants, user("alice"), user("mallory"));
    let settings = MailboxSettings {
        owners: vec![UserId::new("alice").unwrap(), UserId::new("carol").unwrap()],
        ..MailboxSettings::default()
    };
    let support = mailbox("support");
    tenants.put_mailbox(OPERATOR, &acme(), &support, None, settings).await.unwrap();
    let message = left(tenants, "support").await.unwrap();
    assert_eq!(tenants.waiting(&acme(), &UserId::new("carol").unwrap()).await.unwrap(), waiting("carol", 1, 1));
    assert_eq!(tenants.messages(&alice, &acme(), &support, None, 10).await.unwrap().items.len(), 1);
    let refused = [
        tenants.messages(&mallory, &acme(), &support, None, 10).await.err(),
        tenants.messages(&user("support"), &acme(), &support, None, 10).await.err(),
        tenants.message_audio(&mallory, &acme(), &support, message.id).await.err(),
        tenants.mark_message(&mallory, &acme(), &support, message.id, true).await.err(),
        tenants.share_message(&mallory, &acme(), &support, message.id, &mailbox("mallory")).await.err(),
        tenants.delete_message(&mallory, &acme(), &support, message.id).await.err(),
    ];
    for error in refused {
        let error = error.expect("it is refused");
        assert!(matches!(error, TenantError::NotFound { kind: "mailbox", .. }), "as if it were not there: {error}");
    }
    assert!(!tenants.message(&alice, &acme(), &support, message.id).await.unwrap().heard);
    let stranger = tandem_switch::id::TenantId::new("other").unwrap();
    tenants.create_tenant(OPERATOR, stranger.clone(), Settings::default()).await.unwrap();
    assert!(tenants.messages(&alice, &stranger, &support, None, 10).await.is_err());
}

#[tokio::test]
async fn where_users_are_known_only_theirs_are_made_by_a_message() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let known = User { name: UserId::new("alice").unwrap(), display_name: None };
    node.tenants.put_user(OPERATOR, &acme(), known).await.unwrap();
    assert!(node.tenants.mailbox_door(&acme(), &mailbox("alice")).await.is_ok());
    let error = node.tenants.mailbox_door(&acme(), &mailbox("nobody")).await.unwrap_err();
    assert!(matches!(error, TenantError::NotFound { kind: "mailbox", .. }));
    assert!(left(&node.tenants, "nobody").await.is_err());
    left(&node.tenants, "alice").await.unwrap();
}

#[tokio::test]
async fn a_full_mailbox_says_so_before_anybody_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let tenants = &node.tenants;
    let settings =
        |messages, message_seconds| MailboxSettings { messages, message_seconds, ..MailboxSettings::default() };
    for (wrong, field) in [
        (settings(Some(0), None), "messages"),
        (settings(Some(201), None), "messages"),
        (settings(None, Some(301)), "message-seconds"),
    ] {
        let error = tenants.put_mailbox(OPERATOR, &acme(), &mailbox("alice"), None, wrong).await.unwrap_err();
        assert!(matches!(&error, TenantError::Invalid { field: found, .. } if found == field), "{error}");
    }
    let set = settings(Some(2), Some(30));
    let made = tenants.put_mailbox(OPERATOR, &acme(), &mailbox("alice"), None, set.clone()).await.unwrap();
    assert_eq!((made.revision, made.messages), (1, 0));
    let stale = tenants.put_mailbox(OPERATOR, &acme(), &mailbox("alice"), Some(7), set).await.unwrap_err();
    assert!(matches!(stale, TenantError::Changed { expected: 7, found: 1 }));
    for room in [true, true, false] {
        let door = tenants.mailbox_door(&acme(), &mailbox("alice")).await.unwrap();
        assert_eq!((door.has_room, door.message_seconds), (room, 30));
        // Whoever was speaking when it became full is not lost.
        left(tenants, "alice").await.unwrap();
    }
    let other = left(tenants, "bob").await.unwrap();
    let shared = tenants.share_message(OPERATOR, &acme(), &mailbox("bob"), other.id, &mailbox("alice")).await;
    assert!(shared.unwrap_err().to_string().contains("is full"));
}

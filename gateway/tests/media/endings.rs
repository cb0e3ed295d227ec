//! How links end, and what is left of them.

use std::time::Instant;

use tandem::media::LinkEvent;
use tandem::media::limits::STOP_TIMEOUT;
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId};
use tandem_switch::signal::{ClientMessage, ErrorCode, GoodbyeReason, ServerMessage};

use crate::support::{Client, Gateway, soon, voice};

const FLOW: FlowId = FlowId(300);

#[tokio::test]
async fn what_is_queued_before_a_close_is_still_said() {
    let mut gateway = Gateway::start(1);
    let (link, mut client) = gateway.client().await;
    let last =
        ServerMessage::Error { code: ErrorCode::BadToken, message: "expired".to_owned(), reference: None, call: None };
    assert_eq!(gateway.metric("links{transport=\"webtransport\"}"), 1);
    gateway.media.send(link, last.clone());
    gateway.media.close(link, GoodbyeReason::TokenExpired);
    assert_eq!(client.hear().await, last);
    client.hear_goodbye(GoodbyeReason::TokenExpired, 1, "token-expired").await;
    gateway.lost(link).await;
    gateway.counted("links_closed_total{reason=\"token-expired\"}", 1).await;
    assert_eq!(gateway.metric("links{transport=\"webtransport\"}"), 0);
}

#[tokio::test]
async fn a_loss_comes_after_all_messages() {
    let mut gateway = Gateway::start(1);
    let (link, mut client) = gateway.client().await;
    for data in 0..100 {
        client.say(&ClientMessage::Ping { data }).await;
    }
    client.mouth.finish().unwrap();
    for data in 0..100 {
        assert_eq!(gateway.message().await, (link, ClientMessage::Ping { data }));
    }
    gateway.lost(link).await;
}

#[tokio::test]
async fn a_lost_links_counters_can_still_be_asked_for() {
    let mut gateway = Gateway::start(2);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    gateway.route(a, FLOW, b, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(FLOW, 1));
    assert_eq!(bob.receive().await, voice(FLOW, 1));
    alice.session.close(0, b"");
    gateway.lost(a).await;
    assert_eq!(gateway.media.unroute(a, FLOW).await.unwrap().packets, 1);
    assert!(gateway.media.unroute(a, FLOW).await.is_err());
    // Commands about the lost, and about those who never were, are ignored.
    for gone in [a, LinkId(u64::MAX), LinkId(0)] {
        gateway.route(gone, FLOW, b, Gate::Open);
        gateway.route(b, FLOW, gone, Gate::Open);
        gateway.media.send(gone, ServerMessage::Pong { data: 0 });
        gateway.media.close(gone, GoodbyeReason::Bye);
        assert!(gateway.media.unroute(gone, FLOW).await.is_err());
    }
    // A listener who is not there hears nothing; what its talker sends is counted all the same.
    assert_eq!(gateway.media.unroute(b, FLOW).await.unwrap().packets, 0);
    assert!(gateway.media.measure().await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let mut gateway = Gateway::start(1);
    let (link, client) = gateway.client().await;
    let (other, mut reader) = gateway.client().await;
    let message = "x".repeat(16 * 1024);
    let words = ServerMessage::Error { code: ErrorCode::BadMessage, message, reference: None, call: None };
    soon("the end of patience", async {
        loop {
            gateway.media.send(link, words.clone());
            if let Ok(event) = gateway.events.try_recv() {
                assert!(matches!(event, LinkEvent::Lost { link: lost } if lost == link), "{event:?}");
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.closed_with(5, "too-slow").await;
    gateway.counted("links_closed_total{reason=\"too-slow\"}", 1).await;
    gateway.media.send(other, ServerMessage::Pong { data: 1 });
    assert_eq!(reader.hear().await, ServerMessage::Pong { data: 1 });
}

#[tokio::test]
async fn a_close_does_not_wait_for_who_does_not_read() {
    let mut gateway = Gateway::start(1);
    let (link, client) = gateway.client().await;
    let message = "x".repeat(16 * 1024);
    let words = ServerMessage::Error { code: ErrorCode::BadMessage, message, reference: None, call: None };
    for _ in 0..200 {
        gateway.media.send(link, words.clone());
    }
    gateway.media.close(link, GoodbyeReason::Replaced);
    gateway.lost(link).await;
    client.closed_with(2, "replaced").await;
}

#[tokio::test]
async fn stopping_says_goodbye_and_frees_the_port() {
    let mut gateway = Gateway::start(2);
    let (first, mut alice) = gateway.client().await;
    let (second, mut bob) = gateway.client().await;
    // Who has not said hello yet delays nothing.
    let _mute = Client::connect(&gateway).await;
    let address = gateway.media.local_addr();
    let started = Instant::now();
    let media = gateway.media.clone();
    let stopping = tokio::spawn(async move { media.stop().await });
    for client in [&mut alice, &mut bob] {
        client.hear_goodbye(GoodbyeReason::Shutdown, 6, "shutdown").await;
    }
    let mut lost = Vec::new();
    for _ in 0..2 {
        match gateway.event().await {
            LinkEvent::Lost { link } => lost.push(link),
            other => panic!("expected a loss, got {other:?}"),
        }
    }
    lost.sort();
    let mut both = [first, second];
    both.sort();
    assert_eq!(lost, both);
    soon("the threads' end", stopping).await.unwrap();
    assert!(started.elapsed() < STOP_TIMEOUT, "the last link was cut off");
    std::net::UdpSocket::bind(address).expect("the port is free");
    // What comes too late is ignored.
    gateway.media.send(first, ServerMessage::Pong { data: 0 });
    assert!(gateway.media.measure().await.is_empty());
    gateway.media.stop().await;
}

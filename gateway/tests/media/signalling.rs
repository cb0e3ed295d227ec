//! Lines in, lines out, and what becomes of those who do not keep to the protocol.

use tandem::media::LinkEvent;
use tandem::media::limits::HANDSHAKES_UNPROVEN_MAX;
use tandem_switch::limits::LINE_BYTES_MAX;
use tandem_switch::signal::{ClientMessage, DecodeError, ErrorCode, GoodbyeReason, ServerMessage};

use crate::support::{Client, Gateway, endpoint, hello, soon};

/// Counts connections that were asked to prove their address.
const UNPROVEN: &str = "handshakes_failed_total{reason=\"unproven\"}";

#[tokio::test]
async fn messages_pass_both_ways_in_order() {
    let mut gateway = Gateway::start(1);
    let (link, mut client) = gateway.client().await;
    for data in 0..50 {
        client.say(&ClientMessage::Ping { data }).await;
    }
    for data in 0..50 {
        assert_eq!(gateway.message().await, (link, ClientMessage::Ping { data }));
        gateway.media.send(link, ServerMessage::Pong { data });
    }
    for data in 0..50 {
        assert_eq!(client.hear().await, ServerMessage::Pong { data });
    }
}

#[tokio::test]
async fn garbage_is_reported_and_the_link_goes_on() {
    let mut gateway = Gateway::start(1);
    let (link, mut client) = gateway.client().await;
    for line in [&b"\x00\xff\xfe\x80\n"[..], b"{\"type\":\"no-such\"}\n", b"[1,2]\n", b"\n"] {
        client.say_bytes(line).await;
        let LinkEvent::Undecodable { link: from, error } = gateway.event().await else {
            panic!("{line:?} was decoded")
        };
        assert_eq!(from, link);
        assert!(matches!(error, DecodeError::NotAMessage(_)), "{error:?}");
    }
    client.say(&ClientMessage::Ping { data: 1 }).await;
    assert_eq!(gateway.message().await, (link, ClientMessage::Ping { data: 1 }));
    gateway.counted("lines_undecodable_total{reason=\"bad-message\"}", 4).await;
}

#[tokio::test]
async fn a_line_that_is_too_long_is_reported_before_it_ends() {
    let mut gateway = Gateway::start(1);
    let (link, mut client) = gateway.client().await;
    client.say_bytes(&vec![b'x'; LINE_BYTES_MAX + 1]).await;
    let LinkEvent::Undecodable { error, .. } = gateway.event().await else { panic!("it was decoded") };
    assert!(matches!(error, DecodeError::TooLong(length) if length > LINE_BYTES_MAX), "{error:?}");
    gateway.media.close(link, GoodbyeReason::ProtocolViolation);
    client.hear_goodbye(GoodbyeReason::ProtocolViolation, 4, "protocol-violation").await;
    gateway.lost(link).await;
}

#[tokio::test]
async fn who_does_not_say_hello_is_not_welcome_and_unheard_of() {
    let mut gateway = Gateway::start(1);
    let openings: [(&[u8], ErrorCode); 3] = [
        (b"{\"type\":\"ping\"}\n", ErrorCode::WrongState),
        (b"GET / HTTP/1.1\r\n", ErrorCode::BadMessage),
        (&[b'x'; LINE_BYTES_MAX + 1], ErrorCode::TooLong),
    ];
    for (opening, expected) in openings {
        let mut client = Client::connect(&gateway).await;
        client.say_bytes(opening).await;
        match client.hear().await {
            ServerMessage::Error { code, .. } => assert_eq!(code, expected),
            other => panic!("expected an error, heard {other:?}"),
        }
        client.hear_goodbye(GoodbyeReason::NotWelcome, 3, "not-welcome").await;
    }
    gateway.counted("handshakes_failed_total{reason=\"not-welcome\"}", 3).await;
    // The driver's first event is of the first client that is welcome.
    gateway.client().await;
}

#[tokio::test]
async fn another_path_is_not_found() {
    let gateway = Gateway::start(1);
    let (endpoint, config) = endpoint(&gateway.identity.certificate);
    let client = web_transport_quinn::Client::new(endpoint, config);
    let Err(error) = soon("an answer", client.connect(gateway.url("/elsewhere"))).await else { panic!("it was found") };
    assert!(error.to_string().contains("404"), "{error}");
}

/// Firefox opens a connection that never sends CONNECT; others may open a session and say nothing.
#[tokio::test]
async fn the_silent_are_let_go() {
    let gateway = Gateway::start(1);
    let (quiet, config) = endpoint(&gateway.identity.certificate);
    let never_connects = async {
        let connection = quiet.connect_with(config, gateway.media.local_addr(), "localhost").unwrap().await.unwrap();
        connection.closed().await
    };
    let mute = async {
        let mut client = Client::connect(&gateway).await;
        client.say_bytes(b"{").await;
        client.hear_goodbye(GoodbyeReason::NotWelcome, 3, "not-welcome").await;
    };
    let (closed, ()) = tokio::join!(soon("the connection's end", never_connects), mute);
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed:?}");
}

#[tokio::test]
async fn hello_may_come_in_pieces() {
    let mut gateway = Gateway::start(1);
    let mut client = Client::connect(&gateway).await;
    let line = hello().encode();
    for piece in line.chunks(7) {
        client.say_bytes(piece).await;
    }
    gateway.opened().await;
}

/// With many handshakes under way clients must prove their address first; those that do get in, whichever shard they are steered to.
#[tokio::test]
async fn a_flood_of_handshakes_makes_clients_prove_their_address() {
    let mut gateway = Gateway::start(2);
    let (flooding, config) = endpoint(&gateway.identity.certificate);
    let address = gateway.media.local_addr();
    let mut flood = Vec::new();
    while gateway.metric(UNPROVEN) == 0 {
        assert!(flood.len() < 4 * HANDSHAKES_UNPROVEN_MAX, "nobody was asked for a proof");
        let connecting = flooding.connect_with(config.clone(), address, "localhost").unwrap();
        flood.push(soon("a connection", connecting).await.unwrap());
    }
    let mut welcome = Vec::new();
    for _ in 0..8 {
        welcome.push(gateway.client().await);
    }
}

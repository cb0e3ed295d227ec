//! What clients should not say: each gets a clear answer, is counted, and leaves everybody else's call alone.

use tandem_client::TransportChoice::WebTransport;
use tandem_client::{Client, ConnectError};
use tandem_end_to_end::token::{self, OTHER_SECRET, OTHER_TENANT, SECRET};
use tandem_end_to_end::wire::Wire;
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, Settings};
use tandem_switch::cause::Cause;
use tandem_switch::signal::{ErrorCode, GoodbyeReason, ServerMessage};

/// Two people who talk, and must not notice anything.
async fn bystanders(gateway: &Gateway) -> anyhow::Result<(Phone, Phone)> {
    let mut carol = Phone::sign_in(gateway, "carol", WebTransport).await?;
    let mut dave = Phone::sign_in(gateway, "dave", WebTransport).await?;
    carol.talk_with(&mut dave).await?;
    Ok((carol, dave))
}

async fn noticed_nothing((mut carol, mut dave): (Phone, Phone)) -> anyhow::Result<()> {
    carol.hears(CALLEE_HZ).await?;
    dave.hears(CALLER_HZ).await
}

#[tokio::test]
async fn tokens_that_are_expired_foreign_forged_or_rubbish_are_refused() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let claims = token::claims("alice");
    let tokens = [
        (
            "expired",
            token::sign(&token::Claims { iat: claims.iat - 7200, exp: claims.iat - 3600, ..claims.clone() }, SECRET),
        ),
        ("another tenant's key", token::sign(&claims, OTHER_SECRET)),
        ("a made-up key", token::sign(&claims, "made up by somebody who would like to be let in")),
        ("an unknown tenant", token::sign(&token::Claims { iss: "initech".into(), ..claims.clone() }, SECRET)),
        ("good for ten years", token::sign(&token::Claims { exp: claims.iat + 315_360_000, ..claims.clone() }, SECRET)),
        ("a user name that is none", token::sign(&token::Claims { sub: "No Body".into(), ..claims }, SECRET)),
        ("rubbish", "x.y.z".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, bad) in tokens {
        match Client::connect(gateway.options(WebTransport, &bad)).await {
            Err(ConnectError::Refused { code, .. }) => assert_eq!(code, ErrorCode::BadToken, "{what}"),
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => panic!("{what}: the gateway took it"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn users_of_different_tenants_do_not_reach_each_other() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let claims = token::Claims { iss: OTHER_TENANT.to_owned(), ..token::claims("bob") };
    let options = gateway.options(WebTransport, &token::sign(&claims, OTHER_SECRET));
    let (_bob, _events) = Client::connect(options).await?;
    let call = alice.dial("bob").await?;
    assert_eq!(alice.ended(call).await?, Cause::Unreachable);
    Ok(())
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_session_goes_on() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let bystanders = bystanders(&gateway).await?;
    let (mut wire, welcome) = Wire::hello(&gateway, &token::good("mallory")).await?;
    assert!(matches!(welcome, ServerMessage::Welcome { .. }), "{welcome:?}");
    let no_call = "00000000000000000000000000";
    let table = [
        ("hello?".to_owned(), ErrorCode::BadMessage),
        ("{".to_owned(), ErrorCode::BadMessage),
        ("[1,2,3]".to_owned(), ErrorCode::BadMessage),
        (r#"{"type":"teleport"}"#.to_owned(), ErrorCode::BadMessage),
        (r#"{"type":"invite","ref":"1"}"#.to_owned(), ErrorCode::BadMessage),
        (r#"{"type":"answer","call":"not-a-call"}"#.to_owned(), ErrorCode::BadMessage),
        ("[".repeat(60_000), ErrorCode::BadMessage),
        (format!(r#"{{"type":"answer","call":"{no_call}"}}"#), ErrorCode::NoSuchCall),
        (format!(r#"{{"type":"hangup","call":"{no_call}"}}"#), ErrorCode::NoSuchCall),
        (format!(r#"{{"type":"hello","version":1,"token":"{}"}}"#, token::good("mallory")), ErrorCode::WrongState),
    ];
    for (text, expected) in table {
        wire.say(text.clone()).await?;
        let (code, message) = wire.error().await?;
        let shown: String = text.chars().take(40).collect();
        assert_eq!(code, expected, "{shown}: {message}");
        assert!(!message.is_empty(), "{shown}");
    }
    wire.say(r#"{"type":"ping","data":7}"#).await?;
    assert_eq!(wire.hear().await?, Some(ServerMessage::Pong { data: 7 }), "the session goes on");
    noticed_nothing(bystanders).await
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_link() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let bystanders = bystanders(&gateway).await?;
    let (mut wire, _) = Wire::hello(&gateway, &token::good("mallory")).await?;
    // The gateway may close before it has read all of it.
    let _may_fail = wire.say("x".repeat(65 * 1024 + 1)).await;
    let goodbye = wire.closed().await?;
    assert!(matches!(goodbye, None | Some(GoodbyeReason::ProtocolViolation)), "{goodbye:?}");
    noticed_nothing(bystanders).await
}

#[tokio::test]
async fn whoever_does_not_begin_with_hello_is_not_welcome() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    for first in [r#"{"type":"ping","data":1}"#, "hello", r#"{"type":"hello","version":99,"token":"x"}"#] {
        let mut wire = Wire::connect(&gateway).await?;
        wire.say(first).await?;
        assert_eq!(wire.closed().await?, Some(GoodbyeReason::NotWelcome), "{first}");
    }
    Ok(())
}

#[tokio::test]
async fn datagrams_that_are_no_media_are_dropped() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let bystanders = bystanders(&gateway).await?;
    let mallory = Phone::sign_in(&gateway, "mallory", WebTransport).await?;
    let (mut wire, _) = Wire::hello(&gateway, &token::good("mallory")).await?;
    let datagrams: [&[u8]; 7] = [
        b"",
        b"\x00",
        b"\x01rubbish",
        b"\x00\xc0",
        b"\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x01not rtp",
        b"\x00\x01\x80\x6f\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01 of a flow that is not mallory's",
    ];
    for datagram in datagrams {
        mallory.client.send_datagram(datagram.into());
        wire.say_bytes(datagram).await?;
    }
    wire.say(r#"{"type":"ping","data":7}"#).await?;
    assert_eq!(wire.hear().await?, Some(ServerMessage::Pong { data: 7 }), "the session goes on");
    noticed_nothing(bystanders).await
}

#[tokio::test]
async fn whoever_talks_too_much_is_slowed_down() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut wire, _) = Wire::hello(&gateway, &token::good("mallory")).await?;
    // In step with the answers: whoever does not read them is closed for being too slow, which is another matter.
    for _ in 0..300 {
        wire.say(r#"{"type":"ping","data":1}"#).await?;
        match wire.hear().await? {
            Some(ServerMessage::Pong { data: 1 }) => {}
            Some(ServerMessage::Error { code, .. }) => {
                assert_eq!(code, ErrorCode::TooManyMessages);
                return Ok(());
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("300 messages at once were all answered");
}

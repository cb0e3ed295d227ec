//! A call between two native clients, from dialling to its record.

use tandem_client::TransportChoice::{Auto, WebSocket, WebTransport};
use tandem_client::{Transport, TransportChoice};
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, Settings};
use tandem_switch::cause::Cause;
use tandem_switch::record::EndedBy;
use tandem_switch::signal::{ClientMessage, ErrorCode, Happening};

async fn two_phones(gateway: &Gateway, transport: TransportChoice) -> anyhow::Result<(Phone, Phone)> {
    let alice = Phone::sign_in(gateway, "alice", transport).await?;
    let bob = Phone::sign_in(gateway, "bob", transport).await?;
    Ok((alice, bob))
}

async fn both_sides_hear_each_other_and_one_record_remains(
    settings: Settings,
    transports: [TransportChoice; 2],
) -> anyhow::Result<()> {
    let gateway = Gateway::start(settings).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", transports[0]).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", transports[1]).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.hang_up(call).await?;
    assert_eq!(alice.ended(call).await?, Cause::Normal);
    assert_eq!(bob.ended(call).await?, Cause::Normal);
    let record = gateway.await_records(1).await?.remove(0);
    assert_eq!((record.call, record.cause, record.ended_by), (call, Cause::Normal, EndedBy::Caller));
    assert_eq!((record.from.as_str(), record.to.as_str()), ("alice", "bob"));
    assert_eq!(record.answered_by.as_ref().map(|user| user.as_str()), Some("bob"));
    assert!(record.started_at <= record.answered_at.unwrap() && record.answered_at.unwrap() <= record.ended_at);
    let heard: Vec<_> = record.voice.iter().map(|voice| (voice.user.as_str(), voice.reception.packets > 0)).collect();
    assert_eq!(heard, [("alice", true), ("bob", true)]);
    Ok(())
}

#[tokio::test]
async fn both_sides_hear_each_other_over_web_transport() -> anyhow::Result<()> {
    both_sides_hear_each_other_and_one_record_remains(Settings::default(), [WebTransport; 2]).await
}

#[tokio::test]
async fn both_sides_hear_each_other_over_web_socket() -> anyhow::Result<()> {
    both_sides_hear_each_other_and_one_record_remains(Settings::default(), [WebSocket; 2]).await
}

#[tokio::test]
async fn a_caller_on_web_socket_and_a_callee_on_web_transport_hear_each_other() -> anyhow::Result<()> {
    both_sides_hear_each_other_and_one_record_remains(Settings::default(), [WebSocket, WebTransport]).await
}

#[tokio::test]
async fn voice_crosses_from_one_shard_to_another() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings { shards: 2, ..Settings::default() }).await?;
    // Which shard a client comes to is the gateway's choice: of these pairs, some lie on two.
    for pair in 0..4 {
        let mut a = Phone::sign_in(&gateway, &format!("a{pair}"), WebTransport).await?;
        let mut b = Phone::sign_in(&gateway, &format!("b{pair}"), WebTransport).await?;
        let call = a.talk_with(&mut b).await?;
        b.hang_up(call).await?;
        a.ended(call).await?;
    }
    gateway.await_records(4).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_falls_back_to_web_socket_where_udp_does_not_get_through() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    // `Auto` is given the web port, where nothing listens on UDP.
    let (mut alice, mut bob) = two_phones(&gateway, Auto).await?;
    assert_eq!(alice.client.transport(), Transport::WebSocket);
    alice.talk_with(&mut bob).await?;
    Ok(())
}

#[tokio::test]
async fn a_callee_who_is_busy_or_declines_is_told_to_the_caller() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    for (said, cause) in [(None, Cause::Declined), (Some(Cause::Busy), Cause::Busy)] {
        let call = alice.dial("bob").await?;
        assert_eq!(bob.rings().await?, call);
        alice.told(call, Happening::Ringing).await?;
        bob.client.send(ClientMessage::Decline { call, cause: said }).await?;
        assert_eq!(alice.ended(call).await?, cause);
        bob.ended(call).await?;
    }
    let records = gateway.await_records(2).await?;
    assert_eq!(records.iter().map(|record| record.cause).collect::<Vec<_>>(), [Cause::Busy, Cause::Declined]);
    Ok(())
}

#[tokio::test]
async fn a_callee_who_does_not_answer_stops_ringing_in_time() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings { ring_seconds: 1, ..Settings::default() }).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    let call = alice.dial("bob").await?;
    bob.rings().await?;
    assert_eq!(alice.ended(call).await?, Cause::NoAnswer);
    bob.ended(call).await?;
    let record = gateway.await_records(1).await?.remove(0);
    assert_eq!((record.cause, record.answered_at), (Cause::NoAnswer, None));
    Ok(())
}

#[tokio::test]
async fn a_caller_who_gives_up_stops_the_ringing() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    let call = alice.dial("bob").await?;
    bob.rings().await?;
    alice.hang_up(call).await?;
    assert_eq!(bob.ended(call).await?, Cause::Cancelled);
    assert_eq!(alice.ended(call).await?, Cause::Cancelled);
    gateway.await_records(1).await?;
    Ok(())
}

#[tokio::test]
async fn hold_stops_voice_both_ways_and_resume_brings_it_back() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.client.send(ClientMessage::Hold { call }).await?;
    bob.told(call, Happening::Held).await?;
    bob.hears_nothing().await?;
    alice.hears_nothing().await?;
    alice.client.send(ClientMessage::Resume { call }).await?;
    bob.told(call, Happening::Unheld).await?;
    bob.hears(CALLER_HZ).await?;
    alice.hears(CALLEE_HZ).await?;
    Ok(())
}

#[tokio::test]
async fn mute_stops_one_direction_only() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.client.send(ClientMessage::Mute { call }).await?;
    bob.told(call, Happening::Muted).await?;
    bob.hears_nothing().await?;
    alice.hears(CALLEE_HZ).await?;
    alice.client.send(ClientMessage::Unmute { call }).await?;
    bob.told(call, Happening::Unmuted).await?;
    bob.hears(CALLER_HZ).await?;
    Ok(())
}

#[tokio::test]
async fn keys_pressed_reach_the_other_party() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut bob) = two_phones(&gateway, WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    let digits = "123*#A".to_owned();
    alice.client.send(ClientMessage::Dtmf { call, digits: digits.clone() }).await?;
    bob.told(call, Happening::Dtmf { digits }).await?;
    alice.client.send(ClientMessage::Dtmf { call, digits: "12x".to_owned() }).await?;
    assert_eq!(alice.refused().await?, ErrorCode::BadMessage);
    Ok(())
}

#[tokio::test]
async fn every_device_rings_and_the_others_learn_who_answered() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let (mut alice, mut desk) = two_phones(&gateway, WebTransport).await?;
    let mut mobile = Phone::sign_in(&gateway, "bob", WebSocket).await?;
    let call = alice.dial("bob").await?;
    assert_eq!(desk.rings().await?, call);
    assert_eq!(mobile.rings().await?, call);
    mobile.client.answer(call).await?;
    assert_eq!(desk.ended(call).await?, Cause::AnsweredElsewhere);
    alice.connected(call, CALLER_HZ).await?;
    mobile.connected(call, CALLEE_HZ).await?;
    alice.hears(CALLEE_HZ).await?;
    mobile.hears(CALLER_HZ).await?;
    mobile.hang_up(call).await?;
    assert_eq!(alice.ended(call).await?, Cause::Normal);
    assert_eq!(gateway.await_records(1).await?[0].ended_by, EndedBy::Callee);
    Ok(())
}

#[tokio::test]
async fn dialling_oneself_or_somebody_who_is_not_there_ends_with_the_reason() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    for (to, cause) in [("alice", Cause::OwnAddress), ("nobody-here", Cause::Unreachable)] {
        let call = alice.dial(to).await?;
        assert_eq!(alice.ended(call).await?, cause, "{to}");
    }
    assert!(alice.dial("").await.is_err(), "an empty address is no address");
    assert!(alice.dial(&"x".repeat(300)).await.is_err(), "an address of 300 bytes is too long");
    gateway.await_records(2).await?;
    Ok(())
}

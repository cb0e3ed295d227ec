//! Sessions outlive their links, and calls outlive changes of address.

use tandem_client::TransportChoice::{WebSocket, WebTransport};
use tandem_client::{Event, TransportChoice};
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, Settings};
use tandem_switch::cause::Cause;
use tandem_switch::signal::Happening;

async fn a_lost_link_is_resumed_and_the_call_goes_on(transport: TransportChoice) -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", transport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", transport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.client.drop_link().await?;
    bob.told(call, Happening::PeerLost).await?;
    assert!(alice.back().await?, "the session goes on");
    bob.told(call, Happening::PeerBack).await?;
    bob.hears(CALLER_HZ).await?;
    alice.hears(CALLEE_HZ).await?;
    alice.hang_up(call).await?;
    assert_eq!(bob.ended(call).await?, Cause::Normal);
    gateway.await_records(1).await?;
    Ok(())
}

#[tokio::test]
async fn a_lost_web_transport_link_is_resumed_and_the_call_goes_on() -> anyhow::Result<()> {
    a_lost_link_is_resumed_and_the_call_goes_on(WebTransport).await
}

#[tokio::test]
async fn a_lost_web_socket_link_is_resumed_and_the_call_goes_on() -> anyhow::Result<()> {
    a_lost_link_is_resumed_and_the_call_goes_on(WebSocket).await
}

#[tokio::test]
async fn a_call_that_was_answered_while_the_link_was_lost_connects_after_it() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let call = alice.dial("bob").await?;
    bob.rings().await?;
    alice.client.drop_link().await?;
    bob.client.answer(call).await?;
    assert!(alice.back().await?);
    alice.connected(call, CALLER_HZ).await?;
    bob.connected(call, CALLEE_HZ).await?;
    alice.hears(CALLEE_HZ).await?;
    bob.hears(CALLER_HZ).await?;
    Ok(())
}

async fn a_client_whose_address_changes_keeps_its_call(shards: usize) -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings { shards, ..Settings::default() }).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    // Several moves: with two shards, the kernel's choice by address would find the wrong one sooner or later.
    for _ in 0..4 {
        assert!(alice.client.migrate().await?, "WebTransport can move");
        bob.hears(CALLER_HZ).await?;
        alice.hears(CALLEE_HZ).await?;
    }
    alice.hang_up(call).await?;
    assert_eq!(bob.ended(call).await?, Cause::Normal);
    let lost = alice.wait("nothing", |event| matches!(event, Event::LinkLost).then_some(true));
    let ended = async {
        bob.client.bye().await;
        gateway.await_records(1).await
    };
    tokio::select! {
        biased;
        records = ended => assert_eq!(records?.len(), 1),
        lost = lost => panic!("the link was lost on the way: {lost:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_client_whose_address_changes_keeps_its_call_on_one_shard() -> anyhow::Result<()> {
    a_client_whose_address_changes_keeps_its_call(1).await
}

#[tokio::test]
async fn a_client_whose_address_changes_finds_its_shard_among_two() -> anyhow::Result<()> {
    a_client_whose_address_changes_keeps_its_call(2).await
}

#[tokio::test]
async fn a_client_that_says_bye_ends_its_call_at_once() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.client.bye().await;
    bob.ended(call).await?;
    gateway.await_records(1).await?;
    Ok(())
}

//! Starting, stopping and dying; what is kept and what is logged.

use tandem_client::Event;
use tandem_client::TransportChoice::{WebSocket, WebTransport};
use tandem_end_to_end::{Gateway, Phone, Settings, token};
use tandem_switch::cause::Cause;
use tandem_switch::record::EndedBy;
use tandem_switch::signal::GoodbyeReason;

#[tokio::test]
async fn a_node_that_is_told_to_stop_ends_its_calls_keeps_their_records_and_exits_well() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebSocket).await?;
    let call = alice.talk_with(&mut bob).await?;
    gateway.signal("TERM").await?;
    assert_eq!(alice.ended(call).await?, Cause::Shutdown);
    assert_eq!(bob.ended(call).await?, Cause::Shutdown);
    let goodbye = alice
        .wait("goodbye", |event| match event {
            Event::Closed { goodbye, .. } => Some(*goodbye),
            _ => None,
        })
        .await?;
    assert_eq!(goodbye, Some(GoodbyeReason::Shutdown));
    assert_eq!(gateway.ended().await?.code(), Some(0), "{}", gateway.log());
    let record = gateway.await_records(1).await?.remove(0);
    assert_eq!((record.call, record.cause, record.ended_by), (call, Cause::Shutdown, EndedBy::Gateway));
    Ok(())
}

#[tokio::test]
async fn a_node_that_drains_takes_no_new_calls_and_lets_the_others_end() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Settings { drain_seconds: 60, ..Settings::default() }).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let mut carol = Phone::sign_in(&gateway, "carol", WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    gateway.signal("TERM").await?;
    // The signal is dealt with some time after it was sent: until then calls still ring, and are cancelled.
    loop {
        let Ok(refused) = carol.dial("alice").await else { break };
        carol.hang_up(refused).await?;
        if carol.ended(refused).await? != Cause::Cancelled {
            break;
        }
    }
    alice.hears(tandem_end_to_end::CALLEE_HZ).await?;
    alice.hang_up(call).await?;
    assert_eq!(bob.ended(call).await?, Cause::Normal);
    assert_eq!(gateway.ended().await?.code(), Some(0), "{}", gateway.log());
    Ok(())
}

#[tokio::test]
async fn the_record_of_an_ended_call_survives_a_crash() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Settings::default()).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.hang_up(call).await?;
    gateway.await_records(1).await?;
    gateway.signal("KILL").await?;
    assert_eq!(gateway.ended().await?.code(), None, "killed");
    let records = gateway.await_records(1).await?;
    assert_eq!(records[0].call, call);
    Ok(())
}

#[tokio::test]
async fn nothing_that_names_a_person_is_logged() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Settings::default()).await?;
    let (caller, callee) = ("zenobia-caller", "quentin-callee");
    let mut zenobia = Phone::sign_in(&gateway, caller, WebTransport).await?;
    let mut quentin = Phone::sign_in(&gateway, callee, WebSocket).await?;
    let call = zenobia.talk_with(&mut quentin).await?;
    zenobia.hang_up(call).await?;
    quentin.ended(call).await?;
    let missing = zenobia.dial("xanthippe-missing").await?;
    zenobia.ended(missing).await?;
    let bad = token::sign(&token::claims("yolanda-forger"), "made up by somebody who would like to be let in");
    assert!(tandem_client::Client::connect(gateway.options(WebTransport, &bad)).await.is_err());
    gateway.await_records(2).await?;
    gateway.signal("TERM").await?;
    gateway.ended().await?;
    let log = gateway.log();
    assert!(log.contains(&call.to_string()), "the call itself is logged:\n{log}");
    for person in [caller, callee, "xanthippe", "yolanda", "127.0.0.1", &bad, "eyJ"] {
        // Where the node itself listens is no person.
        let mut lines = log.lines().filter(|line| !line.contains("ready media="));
        let line = lines.find(|line| line.contains(person));
        assert_eq!(line, None, "{person} is in the log");
    }
    assert!(!log.contains("ERROR"), "{log}");
    Ok(())
}

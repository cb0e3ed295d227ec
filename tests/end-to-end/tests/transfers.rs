//! Handing calls over, parking them and picking them up, by the real binary and native clients: who hears whom.

use tandem_client::TransportChoice::{WebSocket, WebTransport};
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, Settings};
use tandem_switch::cause::Cause;
use tandem_switch::id::{CallId, UserId};
use tandem_switch::signal::{ClientMessage, ErrorCode, Happening};

/// The tone of somebody who comes into a call that others began.
const NEWCOMER_HZ: f64 = 1_250.0;

/// Alice has called Bob; Carol is there, over a WebSocket.
struct Office {
    gateway: Gateway,
    alice: Phone,
    bob: Phone,
    carol: Phone,
    call: CallId,
}

impl Office {
    async fn open() -> anyhow::Result<Self> {
        let gateway = Gateway::start(Settings::default()).await?;
        let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
        let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
        let carol = Phone::sign_in(&gateway, "carol", WebSocket).await?;
        let call = alice.talk_with(&mut bob).await?;
        Ok(Self { gateway, alice, bob, carol, call })
    }

    /// Alice and Carol are connected: each hears the other, and nobody else.
    async fn alice_and_carol_talk(&mut self) -> anyhow::Result<()> {
        self.carol.connected(self.call, NEWCOMER_HZ).await?;
        self.alice.connected(self.call, CALLER_HZ).await?;
        self.alice.hears(NEWCOMER_HZ).await?;
        self.carol.hears(CALLER_HZ).await
    }
}

fn transfer(call: CallId, to: &str) -> anyhow::Result<ClientMessage> {
    Ok(ClientMessage::Transfer { call, to: UserId::new(to)? })
}

#[tokio::test]
async fn a_call_is_handed_over_and_who_did_it_is_out() -> anyhow::Result<()> {
    let mut office = Office::open().await?;
    let call = office.call;
    office.bob.client.send(transfer(call, "carol")?).await?;
    assert_eq!(office.bob.ended(call).await?, Cause::Normal);
    assert_eq!(office.carol.rings().await?, call);
    office.carol.client.answer(call).await?;
    office.alice_and_carol_talk().await?;
    office.alice.hang_up(call).await?;
    let record = office.gateway.await_records(1).await?.remove(0);
    assert_eq!(record.answered_by.as_ref().map(UserId::as_str), Some("carol"));
    Ok(())
}

#[tokio::test]
async fn a_transfer_that_nobody_takes_comes_back() -> anyhow::Result<()> {
    let mut office = Office::open().await?;
    let call = office.call;
    office.bob.client.send(transfer(call, "carol")?).await?;
    office.bob.ended(call).await?;
    office.carol.rings().await?;
    office.carol.client.decline(call).await?;
    assert_eq!(office.bob.rings().await?, call);
    office.bob.client.answer(call).await?;
    office.bob.connected(call, CALLEE_HZ).await?;
    office.alice.connected(call, CALLER_HZ).await?;
    office.alice.hears(CALLEE_HZ).await?;
    office.bob.hears(CALLER_HZ).await?;
    for to in ["bob", "alice"] {
        office.bob.client.send(transfer(call, to)?).await?;
        assert_eq!(office.bob.refused().await?, ErrorCode::BadMessage, "to {to}");
    }
    office.alice.hears(CALLEE_HZ).await
}

#[tokio::test]
async fn two_calls_of_one_party_become_one_without_them() -> anyhow::Result<()> {
    let mut office = Office::open().await?;
    let first = office.call;
    office.bob.client.send(ClientMessage::Hold { call: first }).await?;
    office.alice.told(first, Happening::Held).await?;
    let second = office.bob.talk_with(&mut office.carol).await?;
    office.bob.client.send(ClientMessage::AttendedTransfer { call: first, to_call: second }).await?;
    assert_eq!(office.carol.rings().await?, first);
    office.alice_and_carol_talk().await?;
    assert_eq!(office.bob.ended(first).await?, Cause::Normal);
    assert_eq!(office.bob.ended(second).await?, Cause::Normal);
    assert_eq!(office.gateway.await_records(1).await?[0].went_to, Some(first));
    office.carol.hang_up(first).await?;
    assert_eq!(office.alice.ended(first).await?, Cause::Normal);
    office.gateway.await_records(2).await?;
    Ok(())
}

#[tokio::test]
async fn a_call_is_parked_in_a_slot_of_its_own_and_picked_up() -> anyhow::Result<()> {
    let mut office = Office::open().await?;
    let call = office.call;
    let slot = Some("7".to_owned());
    office.bob.client.send(ClientMessage::Park { call, slot: slot.clone(), timeout_ms: None }).await?;
    office.alice.told(call, Happening::Parked { slot: "7".to_owned() }).await?;
    office.bob.ended(call).await?;
    let mut dora = Phone::sign_in(&office.gateway, "dora", WebTransport).await?;
    let other = dora.talk_with(&mut office.bob).await?;
    office.bob.client.send(ClientMessage::Park { call: other, slot, timeout_ms: None }).await?;
    assert_eq!(office.bob.refused().await?, ErrorCode::WrongState, "the slot is taken");
    dora.hears(CALLEE_HZ).await?;
    office.carol.client.send(ClientMessage::Pickup { slot: "7".to_owned() }).await?;
    assert_eq!(office.carol.rings().await?, call);
    office.alice_and_carol_talk().await
}

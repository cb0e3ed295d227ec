//! A client whose address changes stays on its shard and in its calls.

use std::time::Duration;

use bytes::Bytes;
use tandem_switch::exchange::Gate;
use tandem_switch::id::FlowId;
use tandem_switch::signal::{ClientMessage, ServerMessage};

use crate::support::{Client, Gateway, by_shard, soon, voice};

/// Talks until something of what was said from now on is heard; packets that were under way to the old address may be lost.
async fn talk_until_heard(flow: FlowId, from: &Client, to: &Client, first: u16) {
    let said: Vec<Bytes> = (first..first + 200).map(|sequence| voice(flow, sequence)).collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut sentences = said.iter();
    soon("voice after the move", async {
        loop {
            tokio::select! {
                _ = ticks.tick() => if let Some(datagram) = sentences.next() { from.send(datagram) },
                heard = to.receive() => if said.contains(&heard) { break },
            }
        }
    })
    .await;
}

#[tokio::test]
async fn voice_and_signalling_go_on_after_a_move() {
    let mut gateway = Gateway::start(2);
    let mut pairs = Vec::new();
    for pair in 0..8_u32 {
        let (a, alice) = gateway.client().await;
        let (b, bob) = gateway.client().await;
        let (there, back) = (FlowId(2 * pair), FlowId(2 * pair + 1));
        gateway.route(a, there, b, Gate::Open);
        gateway.route(b, back, a, Gate::Open);
        pairs.push((a, alice, b, bob, there, back));
    }
    gateway.media.measure().await;
    // Were packets not steered by connection identifier, a new port would lead to another shard every other time.
    assert_eq!(by_shard(pairs.iter().flat_map(|pair| [pair.0, pair.2])).len(), 2);
    for (at, (a, alice, _, bob, there, back)) in pairs.iter_mut().enumerate() {
        talk_until_heard(*there, alice, bob, 0).await;
        talk_until_heard(*back, bob, alice, 0).await;
        let before = alice.endpoint.local_addr().unwrap();
        alice.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        assert_ne!(alice.endpoint.local_addr().unwrap(), before);
        talk_until_heard(*there, alice, bob, 1000).await;
        talk_until_heard(*back, bob, alice, 1000).await;
        let data = at as u64;
        alice.say(&ClientMessage::Ping { data }).await;
        assert_eq!(gateway.message().await, (*a, ClientMessage::Ping { data }), "the same link, and no other event");
        gateway.media.send(*a, ServerMessage::Pong { data });
        assert_eq!(alice.hear().await, ServerMessage::Pong { data });
    }
}

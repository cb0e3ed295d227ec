//! Datagrams: byte for byte to whom they are routed, and to nobody else.

use bytes::Bytes;
use tandem_switch::exchange::Gate;
use tandem_switch::id::FlowId;

use crate::support::{Gateway, by_shard, voice};

const A_TO_B: FlowId = FlowId(5);
const B_TO_A: FlowId = FlowId(0x1234_5678 >> 2);

#[tokio::test]
async fn voice_arrives_byte_for_byte_both_ways() {
    let mut gateway = Gateway::start(2);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    gateway.route(b, B_TO_A, a, Gate::Open);
    gateway.media.measure().await;
    for sequence in 0..200 {
        let (from_alice, from_bob) = (voice(A_TO_B, sequence), voice(B_TO_A, sequence));
        alice.send(&from_alice);
        bob.send(&from_bob);
        assert_eq!(bob.receive().await, from_alice);
        assert_eq!(alice.receive().await, from_bob);
    }
    let heard = gateway.media.unroute(a, A_TO_B).await.unwrap();
    assert_eq!((heard.packets, heard.lost), (200, 0));
    assert!(gateway.media.unroute(a, A_TO_B).await.is_err(), "there is no such route any more");
    gateway.counted("datagrams_forwarded_total", 400).await;
}

#[tokio::test]
async fn nothing_passes_a_closed_gate() {
    let mut gateway = Gateway::start(2);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    gateway.route(a, A_TO_B, b, Gate::Closed);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 1));
    gateway.received(a, A_TO_B, 1).await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 2));
    assert_eq!(bob.receive().await, voice(A_TO_B, 2), "the first one was dropped");
    assert_eq!(gateway.media.unroute(a, A_TO_B).await.unwrap().packets, 2, "both were received");
    gateway.counted("datagrams_discarded_total{reason=\"gate-closed\"}", 1).await;
}

#[tokio::test]
async fn what_belongs_to_no_flow_is_dropped_and_counted() {
    let mut gateway = Gateway::start(1);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    gateway.media.measure().await;
    // Bob's own flow is not his to talk on; Alice's packets are malformed, or of a flow that nobody has.
    bob.send(&voice(A_TO_B, 1));
    alice.send(&voice(FlowId(99), 1));
    for malformed in [&b"\x00"[..], b"\x04\x05", b"\x00\x05short", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        alice.send(&Bytes::from_static(malformed));
    }
    alice.send(&voice(A_TO_B, 7));
    assert_eq!(bob.receive().await, voice(A_TO_B, 7));
    gateway.counted("datagrams_discarded_total{reason=\"no-such-flow\"}", 2).await;
    gateway.counted("datagrams_discarded_total{reason=\"malformed\"}", 4).await;
    assert_eq!(gateway.metric("datagrams_forwarded_total"), 1);
}

#[tokio::test]
async fn a_route_may_move_to_another_listener_and_keeps_its_counters() {
    let mut gateway = Gateway::start(2);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    let (c, carol) = gateway.client().await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 1));
    assert_eq!(bob.receive().await, voice(A_TO_B, 1));
    gateway.route(a, A_TO_B, c, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 2));
    assert_eq!(carol.receive().await, voice(A_TO_B, 2));
    assert_eq!(gateway.media.unroute(a, A_TO_B).await.unwrap().packets, 2);
}

#[tokio::test]
async fn a_route_to_a_lost_listener_lets_nothing_pass_to_the_old_one() {
    let mut gateway = Gateway::start(2);
    let (a, alice) = gateway.client().await;
    let (b, bob) = gateway.client().await;
    let (c, carol) = gateway.client().await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    carol.session.close(0, b"");
    gateway.lost(c).await;
    gateway.route(a, A_TO_B, c, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 1));
    gateway.received(a, A_TO_B, 1).await;
    gateway.route(a, A_TO_B, b, Gate::Open);
    gateway.media.measure().await;
    alice.send(&voice(A_TO_B, 2));
    assert_eq!(bob.receive().await, voice(A_TO_B, 2), "the first one was for somebody else");
}

#[tokio::test]
async fn connections_spread_over_the_shards_and_each_keeps_to_its_own() {
    let mut gateway = Gateway::start(3);
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(gateway.client().await);
    }
    let shards = by_shard(clients.iter().map(|&(link, _)| link));
    assert_eq!(shards.len(), 3, "30 connections, on shards {shards:?}");
    // A ring: everybody talks to the next, most of them on another shard.
    for (at, &(link, _)) in clients.iter().enumerate() {
        let (next, _) = clients[(at + 1) % clients.len()];
        gateway.route(link, FlowId(at as u32), next, Gate::Open);
    }
    gateway.media.measure().await;
    for sequence in 0..10 {
        for (at, (_, client)) in clients.iter().enumerate() {
            client.send(&voice(FlowId(at as u32), sequence));
        }
        for at in 0..clients.len() {
            let (_, next) = &clients[(at + 1) % clients.len()];
            assert_eq!(next.receive().await, voice(FlowId(at as u32), sequence));
        }
    }
}

//! Rooms: one packet in, the very bytes to everybody else, whichever shards they are on.

use bytes::{Bytes, BytesMut};
use tandem::media::{LinkEvent, Listener, Route};
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::media::{datagram, rtp};

use crate::support::{Client, Gateway, by_shard, soon};

const ROOM: RoomId = RoomId(7);

/// A packet that says how loud it is.
fn loud(flow: FlowId, sequence: u16, below_overload_db: u8) -> Bytes {
    let timestamp = u32::from(sequence) * rtp::FRAME_TICKS;
    let header = rtp::Header { marker: false, payload_type: rtp::OPUS_PAYLOAD_TYPE, sequence, timestamp, ssrc: flow.0 };
    let mut packet = BytesMut::new();
    header.write(Some(rtp::AudioLevel { voice: true, below_overload_db }), &mut packet);
    packet.extend((0..60).map(|at| (at as u8) ^ (sequence as u8)));
    let mut bytes = BytesMut::new();
    datagram::encode(flow, &packet, &mut bytes);
    bytes.freeze()
}

struct Member {
    link: LinkId,
    flow: FlowId,
    client: Client,
}

impl Member {
    async fn enter(gateway: &mut Gateway, flow: u32) -> Self {
        let (link, client) = gateway.client().await;
        let flow = FlowId(flow);
        let to = vec![Listener::Room(ROOM)];
        gateway.media.route(Route { from: link, flow, to, gate: Gate::Open });
        gateway.media.talks(ROOM, flow, true);
        gateway.media.hears(ROOM, flow, Some(Listener::Link(link)));
        Self { link, flow, client }
    }
}

/// Members on more than one shard, so that packets have to hop.
async fn members(gateway: &mut Gateway, count: u32) -> Vec<Member> {
    let mut members = Vec::new();
    for flow in 1..=count {
        members.push(Member::enter(gateway, flow).await);
    }
    gateway.media.measure().await;
    members
}

#[tokio::test]
async fn everybody_hears_the_others_and_nobody_themselves() {
    let mut gateway = Gateway::start(2);
    gateway.media.open_room(ROOM, 16);
    let members = members(&mut gateway, 8).await;
    let shards = by_shard(members.iter().map(|member| member.link));
    assert_eq!(shards.len(), 2, "eight members on shards {shards:?}");
    for sequence in 0..20 {
        for talker in &members {
            let said = loud(talker.flow, sequence, 20);
            talker.client.send(&said);
            // A talker's own packet would come before the next one's: whatever comes is compared.
            for listener in members.iter().filter(|listener| listener.flow != talker.flow) {
                assert_eq!(listener.client.receive().await, said, "{:?} hears {:?}", listener.flow, talker.flow);
            }
        }
    }
    gateway.counted("datagrams_entered_rooms_total", 160).await;
    gateway.counted("datagrams_forwarded_total", 1120).await;
    assert_eq!(gateway.metric("datagrams_forwarded_total"), 1120);
}

#[tokio::test]
async fn who_hears_no_more_or_moves_to_another_link_is_served_accordingly() {
    let mut gateway = Gateway::start(2);
    gateway.media.open_room(ROOM, 3);
    let members = members(&mut gateway, 3).await;
    let [alice, bob, carol] = &members[..] else { unreachable!() };
    gateway.media.hears(ROOM, carol.flow, None);
    let (back, carol_again) = gateway.client().await;
    gateway.media.measure().await;
    alice.client.send(&loud(alice.flow, 1, 20));
    assert_eq!(bob.client.receive().await, loud(alice.flow, 1, 20));
    gateway.media.hears(ROOM, carol.flow, Some(Listener::Link(back)));
    gateway.media.measure().await;
    // The first packet after the command is heard.
    alice.client.send(&loud(alice.flow, 2, 20));
    assert_eq!(carol_again.receive().await, loud(alice.flow, 2, 20));
    assert_eq!(bob.client.receive().await, loud(alice.flow, 2, 20));
    gateway.media.close_room(ROOM);
    gateway.media.measure().await;
    alice.client.send(&loud(alice.flow, 3, 20));
    gateway.counted("datagrams_discarded_total{reason=\"room-gone\"}", 1).await;
}

#[tokio::test]
async fn the_loudest_are_forwarded_and_named() {
    let mut gateway = Gateway::start(2);
    gateway.media.open_room(ROOM, 1);
    let members = members(&mut gateway, 3).await;
    let [alice, bob, carol] = &members[..] else { unreachable!() };
    for sequence in 0..10 {
        alice.client.send(&loud(alice.flow, sequence, 20));
        assert_eq!(carol.client.receive().await, loud(alice.flow, sequence, 20));
        // Bob talks, too, more quietly.
        bob.client.send(&loud(bob.flow, sequence, 45));
    }
    gateway.counted("datagrams_discarded_total{reason=\"not-selected\"}", 10).await;
    let speaking = async {
        loop {
            if let LinkEvent::Speaking { room, flows } = gateway.event().await {
                return (room, flows);
            }
        }
    };
    assert_eq!(soon("who speaks", speaking).await, (ROOM, vec![alice.flow]));
}

#[tokio::test]
async fn who_was_never_let_talk_is_not_heard() {
    let mut gateway = Gateway::start(2);
    gateway.media.open_room(ROOM, 3);
    let members = members(&mut gateway, 2).await;
    let [alice, bob] = &members[..] else { unreachable!() };
    gateway.media.talks(ROOM, bob.flow, false);
    gateway.media.measure().await;
    bob.client.send(&loud(bob.flow, 1, 10));
    gateway.counted("datagrams_discarded_total{reason=\"not-selected\"}", 1).await;
    gateway.media.talks(ROOM, bob.flow, true);
    gateway.media.measure().await;
    bob.client.send(&loud(bob.flow, 2, 10));
    assert_eq!(alice.client.receive().await, loud(bob.flow, 2, 10), "the first one was dropped");
}

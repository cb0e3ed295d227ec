//! A voice packet meets no allocation on its way through the forwarding core, whatever becomes of it.

mod counting_allocator;

use bytes::BytesMut;
use counting_allocator::{CountingAllocator, allocations_of};
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId};
use tandem_switch::media::datagram;
use tandem_switch::media::forward::{Counters, LinkFlows};
use tandem_switch::media::rtp::{AudioLevel, Header};
use tandem_switch::time::Instant;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn voice(flow: u32, sequence: u16) -> BytesMut {
    let header = Header { marker: false, payload_type: 111, sequence, timestamp: u32::from(sequence) * 960, ssrc: 7 };
    let mut out = BytesMut::new();
    datagram::write_prefix(FlowId(flow), &mut out);
    header.write(Some(AudioLevel { voice: true, below_overload_db: 30 }), &mut out);
    out.extend_from_slice(&[0x78; 60]);
    out
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn forwarding_does_not_allocate() {
    let mut flows = LinkFlows::default();
    for flow in 1..=8 {
        flows.route(FlowId(flow), LinkId(flow.into()), Gate::Open).expect("there is room");
    }
    flows.gate(FlowId(8), Gate::Closed);
    // Forwarded, a loss, late, duplicate, restart, before a closed gate, not routed, malformed.
    let packets = [
        voice(1, 1),
        voice(1, 5),
        voice(1, 3),
        voice(1, 3),
        voice(1, 40_000),
        voice(1, 40_001),
        voice(8, 1),
        voice(99, 1),
        BytesMut::from(&[0, 1, 2][..]),
    ];
    let allocations = allocations_of(|| {
        for (packet, now) in packets.iter().cycle().zip((0..90_000).step_by(10)) {
            let _ = std::hint::black_box(flows.forward(Instant::from_micros(now), packet));
        }
    });
    assert_eq!(allocations, 0);
    let counters = Counters { forwarded: 6000, gate_closed: 1000, no_such_flow: 1000, malformed: 1000 };
    assert_eq!(flows.counters(), counters);
}

#[test]
fn writing_into_room_that_is_there_does_not_allocate() {
    let header = Header { marker: true, payload_type: 111, sequence: 1, timestamp: 2, ssrc: 3 };
    let mut out = BytesMut::with_capacity(1500);
    let allocations = allocations_of(|| {
        for flow in 0..1000 {
            out.clear();
            datagram::write_prefix(FlowId(flow), &mut out);
            header.write(None, &mut out);
        }
    });
    assert_eq!((allocations, out.len()), (0, 15));
}

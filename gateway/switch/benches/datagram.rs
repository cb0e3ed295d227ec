//! What a datagram costs in the forwarding core: header, RTP, table and meter, in nanoseconds and allocations.
//!
//! `cargo bench -p tandem-switch --bench datagram`

#[path = "../tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::hint::black_box;

use bytes::BytesMut;
use counting_allocator::{CountingAllocator, allocations_of};
use criterion::Criterion;
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId};
use tandem_switch::media::forward::LinkFlows;
use tandem_switch::media::rtp::{AudioLevel, Header, Packet};
use tandem_switch::media::{datagram, jitter};
use tandem_switch::time::Instant;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Bytes of Opus in a packet of 20 ms at 24 kbit/s.
const PAYLOAD_BYTES: usize = 60;

fn voice(flow: u32, sequence: u16) -> BytesMut {
    let timestamp = u32::from(sequence).wrapping_mul(960);
    let header = Header { marker: false, payload_type: 111, sequence, timestamp, ssrc: 7 };
    let mut out = BytesMut::new();
    datagram::write_prefix(FlowId(flow), &mut out);
    header.write(Some(AudioLevel { voice: true, below_overload_db: 30 }), &mut out);
    out.extend_from_slice(&[0x78; PAYLOAD_BYTES]);
    out
}

/// A link with `count` calls.
fn link(count: u32) -> LinkFlows<LinkId> {
    let mut flows = LinkFlows::default();
    for flow in 1..=count {
        flows.route(FlowId(flow), LinkId(flow.into()), Gate::Open).expect("there is room");
    }
    flows
}

fn forward(criterion: &mut Criterion, name: &str, flows: u32) {
    let packets: Vec<_> = (0..4096).map(|sequence| voice(flows, sequence)).collect();
    let mut link = link(flows);
    let mut sent = 0u64;
    let mut next = |link: &mut LinkFlows<LinkId>| {
        let packet = &packets[(sent % 4096) as usize];
        sent += 1;
        link.forward(Instant::from_micros(sent * 20_000), black_box(packet)).copied()
    };
    let allocations = allocations_of(|| {
        for _ in 0..1_000_000 {
            black_box(next(&mut link)).expect("the flow is routed");
        }
    });
    println!("{name}: {allocations} allocations in 1,000,000 datagrams");
    assert_eq!(allocations, 0, "the packet path does not allocate");
    criterion.bench_function(name, |bencher| bencher.iter(|| next(&mut link)));
}

fn parts(criterion: &mut Criterion) {
    let bytes = voice(1, 1);
    criterion.bench_function("read the head of a datagram", |bencher| {
        bencher.iter(|| datagram::parse(black_box(&bytes)));
    });
    criterion.bench_function("read an RTP packet and its audio level", |bencher| {
        bencher.iter(|| Packet::parse(black_box(&bytes[2..])).map(|packet| packet.audio_level(1)));
    });
    let payload = bytes.freeze();
    let (mut buffer, mut sent) = (jitter::JitterBuffer::default(), 0u32);
    criterion.bench_function("a packet through the jitter buffer", |bencher| {
        bencher.iter(|| {
            let now = Instant::from_micros(u64::from(sent) * 20_000);
            buffer.push(now, sent as u16, sent.wrapping_mul(960), payload.clone());
            sent += 1;
            buffer.pull(now)
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    forward(&mut criterion, "forward a datagram (1 call on the link)", 1);
    forward(&mut criterion, "forward a datagram (the last of 8 calls)", 8);
    parts(&mut criterion);
    criterion.final_summary();
}

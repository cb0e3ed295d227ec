//! Media: one datagram by itself, then the same bytes as a series of datagrams through the forwarding core and a jitter buffer.

use bytes::{Bytes, BytesMut};
use tandem_switch::exchange::Gate;
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram::{self, FLOW_MAX};
use tandem_switch::media::forward::{Discard, LinkFlows};
use tandem_switch::media::jitter::{JitterBuffer, PACKETS_MAX, Playout, TARGET_MAX, TARGET_MIN};
use tandem_switch::media::rtp::{AUDIO_LEVEL_EXTENSION, Packet};
use tandem_switch::time::Instant;

/// Media datagrams: what is read can be written and read again as the same; the forwarding core counts each datagram once; the jitter
/// buffer keeps its bounds.
pub fn media(data: &[u8]) {
    one_datagram(data);
    series(data);
}

fn one_datagram(bytes: &[u8]) {
    let head = match datagram::parse(bytes) {
        Ok(head) => head,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(head.flow.0 <= FLOW_MAX && head.rtp_at <= bytes.len());
    let rtp = &bytes[head.rtp_at..];
    let mut written = BytesMut::new();
    datagram::encode(head.flow, rtp, &mut written);
    let again = datagram::parse(&written).expect("a written datagram is one");
    assert!(again.flow == head.flow && written[again.rtp_at..] == *rtp && written.len() <= bytes.len());
    match Packet::parse(rtp) {
        Ok(packet) => check_packet(&packet, rtp),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_packet(packet: &Packet<'_>, bytes: &[u8]) {
    let cut = 12 + 4 * packet.csrcs().len() + packet.payload.len() + usize::from(packet.padding);
    assert!(cut <= bytes.len(), "nothing is counted twice");
    let elements: usize = packet.elements().map(|element| 1 + element.data.len()).sum();
    assert!(cut + elements <= bytes.len() && packet.elements().all(|element| element.id != 0));
    let level = packet.audio_level(AUDIO_LEVEL_EXTENSION);
    let mut written = BytesMut::new();
    packet.header.write(level, &mut written);
    written.extend_from_slice(packet.payload);
    let again = Packet::parse(&written).expect("a written packet is one");
    assert_eq!((again.header, again.payload), (packet.header, packet.payload));
    assert_eq!((again.audio_level(AUDIO_LEVEL_EXTENSION), again.padding), (level, 0));
}

/// Each datagram of the series: one byte of length, one of milliseconds since the last, the datagram.
fn series(mut data: &[u8]) {
    let (mut flows, mut buffer, mut now) = (LinkFlows::default(), JitterBuffer::default(), Instant::default());
    for flow in 0..4 {
        let gate = if flow == 3 { Gate::Closed } else { Gate::Open };
        flows.route(FlowId(flow), flow, gate).expect("there is room");
    }
    let mut fed = 0;
    while let [length, millis, rest @ ..] = data {
        let (bytes, after) = rest.split_at(usize::from(*length).min(rest.len()));
        data = after;
        now = now + std::time::Duration::from_millis((*millis).into());
        fed += 1;
        match flows.forward(now, bytes) {
            Ok(_) => play(&mut buffer, now, bytes),
            Err(Discard::Malformed | Discard::NoSuchFlow | Discard::GateClosed) => {}
        }
    }
    let counters = flows.counters();
    assert_eq!(counters.forwarded + counters.malformed + counters.no_such_flow + counters.gate_closed, fed);
    let received: u64 = flows.receptions().map(|(_, reception)| reception.packets).sum();
    assert!(received <= counters.forwarded + counters.gate_closed);
    for (_, reception) in flows.receptions() {
        assert!(reception.jitter_ms.is_finite() && reception.jitter_ms >= 0.0);
        assert!(reception.packets == 0 || (1.0..=4.5).contains(&reception.mos));
    }
}

fn play(buffer: &mut JitterBuffer, now: Instant, bytes: &[u8]) {
    let head = datagram::parse(bytes).expect("it was forwarded");
    let packet = Packet::parse(&bytes[head.rtp_at..]).expect("it was forwarded");
    let payload = Bytes::copy_from_slice(packet.payload);
    buffer.push(now, packet.header.sequence, packet.header.timestamp, payload);
    let held = buffer.len();
    let playout = buffer.pull(now);
    let taken = match playout {
        Playout::Packet(_) => 1,
        Playout::Accelerate(..) => 2,
        Playout::Fec(_) | Playout::Conceal | Playout::Expand | Playout::Silence | Playout::Wait => 0,
    };
    assert!(held <= PACKETS_MAX && buffer.len() + taken == held);
    assert!(buffer.target() >= TARGET_MIN && buffer.target() <= TARGET_MAX);
    let counters = buffer.counters();
    let accounted = counters.played + counters.late + counters.duplicates + counters.skipped;
    assert_eq!(counters.received, accounted + buffer.len() as u64);
}

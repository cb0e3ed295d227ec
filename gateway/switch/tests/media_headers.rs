//! Media headers: what is written is read back; whatever comes is read or refused, never more than is there.

use bytes::BytesMut;
use proptest::prelude::*;
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram::{self, Datagram, FLOW_MAX};
use tandem_switch::media::rtp::{AUDIO_LEVEL_EXTENSION, AudioLevel, Header, Packet};

fn header() -> impl Strategy<Value = Header> {
    (any::<bool>(), 0..128u8, any::<u16>(), any::<[u32; 2]>()).prop_map(
        |(marker, payload_type, sequence, [timestamp, ssrc])| Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc,
        },
    )
}

fn level() -> impl Strategy<Value = Option<AudioLevel>> {
    prop::option::of(any::<u8>().prop_map(AudioLevel::from_byte))
}

/// A varint of `length` bytes, 1, 2, 4 or 8, whether or not a shorter one would do (RFC 9000 section 16).
fn varint(value: u64, length: usize) -> Vec<u8> {
    let mut bytes = value.to_be_bytes()[8 - length..].to_vec();
    bytes[0] |= (length.trailing_zeros() as u8) << 6;
    bytes
}

/// An element of a one-byte-header extension, and the bytes of all of them with padding between.
fn one_byte_elements() -> impl Strategy<Value = (Vec<(u8, Vec<u8>)>, Vec<u8>)> {
    let element = (1..15u8, prop::collection::vec(any::<u8>(), 1..=16), 0..4usize);
    prop::collection::vec(element, 0..6).prop_map(|elements| {
        let mut block = Vec::new();
        for (id, data, padding) in &elements {
            block.push(id << 4 | (data.len() - 1) as u8);
            block.extend(data);
            block.resize(block.len() + padding, 0);
        }
        block.resize(block.len().next_multiple_of(4), 0);
        (elements.into_iter().map(|(id, data, _)| (id, data)).collect(), block)
    })
}

proptest! {
    #[test]
    fn a_datagram_is_read_as_it_was_written(flow in 0..=FLOW_MAX, header in header(), level in level(), payload: Vec<u8>) {
        let mut rtp = BytesMut::new();
        header.write(level, &mut rtp);
        rtp.extend_from_slice(&payload);
        let mut bytes = BytesMut::new();
        datagram::encode(FlowId(flow), &rtp, &mut bytes);
        let Datagram { flow: read, rtp_at } = datagram::parse(&bytes).expect("it was written well");
        prop_assert_eq!(read.0, flow);
        let packet = Packet::parse(&bytes[rtp_at..]).expect("it was written well");
        prop_assert_eq!((packet.header, packet.payload, packet.padding), (header, &payload[..], 0));
        prop_assert_eq!(packet.audio_level(AUDIO_LEVEL_EXTENSION), level);
        prop_assert_eq!(packet.csrcs().len(), 0);
    }

    #[test]
    fn a_flow_is_read_in_every_length_that_holds_it(flow in 0..=FLOW_MAX, length in prop::sample::select(vec![1, 2, 4, 8usize])) {
        let length = if u64::from(flow) < 1 << (8 * length - 2) { length } else { 4 };
        let bytes = [vec![0], varint(flow.into(), length), vec![1, 2, 3]].concat();
        prop_assert_eq!(datagram::parse(&bytes), Ok(Datagram { flow: FlowId(flow), rtp_at: 1 + length }));
    }

    #[test]
    fn a_cut_datagram_is_refused_or_shorter(flow in 0..=FLOW_MAX, header in header(), level in level(), cut in any::<prop::sample::Index>()) {
        let mut bytes = BytesMut::new();
        datagram::write_prefix(FlowId(flow), &mut bytes);
        header.write(level, &mut bytes);
        let cut = &bytes[..cut.index(bytes.len())];
        let read = datagram::parse(cut).ok().and_then(|head| Packet::parse(&cut[head.rtp_at..]).ok());
        prop_assert!(read.is_none(), "without a payload every byte is needed");
    }

    #[test]
    fn elements_are_read_as_they_were_written(header in header(), (elements, block) in one_byte_elements(), padding in 0..20u8) {
        let mut bytes = BytesMut::new();
        header.write(None, &mut bytes);
        bytes[0] |= 0x10 | u8::from(padding > 0) << 5;
        bytes.extend_from_slice(&[0xbe, 0xde]);
        bytes.extend_from_slice(&((block.len() / 4) as u16).to_be_bytes());
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(b"opus");
        bytes.resize(bytes.len() + usize::from(padding), padding);
        let packet = Packet::parse(&bytes).expect("it was written well");
        let read: Vec<_> = packet.elements().map(|element| (element.id, element.data.to_vec())).collect();
        prop_assert_eq!(read, elements);
        prop_assert_eq!((packet.payload, packet.padding), (&b"opus"[..], padding));
    }

    #[test]
    fn whatever_comes_is_read_within_its_bounds(bytes in prop::collection::vec(any::<u8>(), 0..100), looks_right: bool) {
        let mut bytes = bytes;
        if let ([first, ..], true) = (&mut bytes[..], looks_right) {
            *first = *first & 0x3f | 0x80;
        }
        let _ = datagram::parse(&bytes);
        if let Ok(packet) = Packet::parse(&bytes) {
            let cut = 12 + 4 * packet.csrcs().len() + packet.payload.len() + usize::from(packet.padding);
            prop_assert!(cut <= bytes.len());
            prop_assert!(packet.elements().map(|element| element.data.len()).sum::<usize>() <= bytes.len() - cut);
        }
    }
}

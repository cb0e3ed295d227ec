//! Which receiver gets a voice packet that came in.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::limits;

/// A voice packet, of which flow it is and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) flow: FlowId,
    pub(crate) at: Instant,
    pub(crate) rtp: Bytes,
}

/// The receivers of a session's flows. Outlives links, as flows do.
#[derive(Debug, Default)]
pub(crate) struct Flows(Mutex<BTreeMap<FlowId, mpsc::Sender<Arrived>>>);

impl Flows {
    /// From here on, `receiver` gets the packets of `flow`, and nobody else does. `false` when too many flows are received.
    pub(crate) fn receive(&self, flow: FlowId, receiver: &mpsc::Sender<Arrived>) -> bool {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|_, receiver| !receiver.is_closed());
        if flows.len() >= limits::FLOWS_MAX && !flows.contains_key(&flow) {
            return false;
        }
        flows.insert(flow, receiver.clone());
        true
    }

    /// `receiver` gets the packets of `flow` no longer. One that another receiver has taken over stays there.
    pub(crate) fn forget(&self, flow: FlowId, receiver: &mpsc::Sender<Arrived>) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.get(&flow).is_some_and(|current| current.same_channel(receiver)) {
            flows.remove(&flow);
        }
    }

    /// Hands a datagram on. One that is malformed, unknown or too many is dropped: the receiver's sequence numbers show it as lost.
    pub(crate) fn arrived(&self, bytes: Bytes) {
        let Ok(head) = datagram::parse(&bytes) else {
            tracing::debug!(bytes = bytes.len(), "a datagram that is no media datagram");
            return;
        };
        let flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flows.get(&head.flow) {
            let arrived = Arrived { flow: head.flow, at: Instant::now(), rtp: bytes.slice(head.rtp_at..) };
            if receiver.try_send(arrived).is_err() {
                tracing::trace!(flow = head.flow.0, "a voice packet that nobody took");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn media(flow: u32, rtp: &[u8]) -> Bytes {
        let mut bytes = BytesMut::new();
        datagram::encode(FlowId(flow), rtp, &mut bytes);
        bytes.freeze()
    }

    fn channel() -> (mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>) {
        mpsc::channel(limits::RECEIVER_PACKETS_MAX)
    }

    #[test]
    fn a_packet_reaches_the_receiver_of_its_flow_only() {
        let flows = Flows::default();
        let (seven, mut sevens) = channel();
        let (eight, mut eights) = channel();
        assert!(flows.receive(FlowId(7), &seven) && flows.receive(FlowId(8), &eight));
        flows.arrived(media(7, b"seven"));
        flows.arrived(media(9, b"nine"));
        flows.arrived(Bytes::from_static(b"\xffrubbish"));
        flows.arrived(Bytes::new());
        let arrived = sevens.try_recv().unwrap();
        assert_eq!((arrived.flow, &arrived.rtp[..]), (FlowId(7), &b"seven"[..]));
        assert!(sevens.try_recv().is_err() && eights.try_recv().is_err());
    }

    #[test]
    fn a_receiver_has_several_flows_and_forgets_only_its_own() {
        let flows = Flows::default();
        let (first, mut firsts) = channel();
        let (second, mut seconds) = channel();
        assert!([1, 2, 3].iter().all(|&flow| flows.receive(FlowId(flow), &first)));
        assert!(flows.receive(FlowId(3), &second));
        flows.forget(FlowId(2), &first);
        flows.forget(FlowId(3), &first);
        (1..=3).for_each(|flow| flows.arrived(media(flow, b"rtp")));
        assert_eq!(firsts.try_recv().unwrap().flow, FlowId(1));
        assert_eq!(seconds.try_recv().unwrap().flow, FlowId(3));
        assert!(firsts.try_recv().is_err() && seconds.try_recv().is_err());
    }

    #[test]
    fn flows_and_their_packets_are_bounded() {
        let flows = Flows::default();
        let count = u32::try_from(limits::FLOWS_MAX).unwrap();
        let (receiver, mut packets) = channel();
        let (other, others) = channel();
        assert!((0..count - 1).all(|flow| flows.receive(FlowId(flow), &receiver)));
        assert!(flows.receive(FlowId(count), &other));
        assert!(!flows.receive(FlowId(count + 1), &receiver));
        for _ in 0..=limits::RECEIVER_PACKETS_MAX {
            flows.arrived(media(0, b"rtp"));
        }
        assert_eq!(packets.len(), limits::RECEIVER_PACKETS_MAX);
        assert!(packets.try_recv().is_ok());
        drop(others);
        assert!(flows.receive(FlowId(count + 1), &receiver), "a receiver that is gone makes room");
    }
}

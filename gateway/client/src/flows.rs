//! Which receiver gets a voice packet that came in.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::limits;

/// A voice packet and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) rtp: Bytes,
}

/// The receivers of a session's flows. Outlives links, as flows do.
#[derive(Debug, Default)]
pub(crate) struct Flows(Mutex<BTreeMap<FlowId, mpsc::Sender<Arrived>>>);

impl Flows {
    /// A receiver for `flow`; replaces an earlier one. `None` when too many flows are received.
    pub(crate) fn receive(&self, flow: FlowId) -> Option<mpsc::Receiver<Arrived>> {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|_, receiver| !receiver.is_closed());
        if flows.len() >= limits::FLOWS_MAX && !flows.contains_key(&flow) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(limits::FLOW_PACKETS_MAX);
        flows.insert(flow, sender);
        Some(receiver)
    }

    /// Hands a datagram on. One that is malformed, unknown or too many is dropped: the receiver's sequence numbers show it as lost.
    pub(crate) fn arrived(&self, bytes: Bytes) {
        let Ok(head) = datagram::parse(&bytes) else {
            tracing::debug!(bytes = bytes.len(), "a datagram that is no media datagram");
            return;
        };
        let flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flows.get(&head.flow) {
            let arrived = Arrived { at: Instant::now(), rtp: bytes.slice(head.rtp_at..) };
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

    #[test]
    fn a_packet_reaches_the_receiver_of_its_flow_only() {
        let flows = Flows::default();
        let mut seven = flows.receive(FlowId(7)).unwrap();
        let mut eight = flows.receive(FlowId(8)).unwrap();
        flows.arrived(media(7, b"seven"));
        flows.arrived(media(9, b"nine"));
        flows.arrived(Bytes::from_static(b"\xffrubbish"));
        flows.arrived(Bytes::new());
        assert_eq!(seven.try_recv().unwrap().rtp, b"seven"[..]);
        assert!(seven.try_recv().is_err() && eight.try_recv().is_err());
    }

    #[test]
    fn flows_and_their_packets_are_bounded() {
        let flows = Flows::default();
        let count = u32::try_from(limits::FLOWS_MAX).unwrap();
        let mut receivers: Vec<_> = (0..count).map(|flow| flows.receive(FlowId(flow)).unwrap()).collect();
        assert!(flows.receive(FlowId(count)).is_none());
        for _ in 0..=limits::FLOW_PACKETS_MAX {
            flows.arrived(media(0, b"rtp"));
        }
        assert_eq!(receivers[0].len(), limits::FLOW_PACKETS_MAX);
        receivers.pop();
        assert!(flows.receive(FlowId(count)).is_some(), "a receiver that is gone makes room");
    }
}

//! A listener's way out, as a talker's forwarding table holds it.

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tandem_switch::audio::Destination;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::rooms::Entrance;

/// Where a link's voice goes. May be used from any shard.
#[derive(Clone, Debug)]
pub enum Egress {
    /// A QUIC connection's datagrams.
    Quic(quinn::Connection),
    /// A WebSocket's queue of binary messages.
    Websocket(mpsc::Sender<Bytes>),
    /// A port, recording or tap of the codec threads.
    Sink(Sink),
    /// A room, where it is heard by all but its talker.
    Room(Entrance),
    /// All of these, in this order. What becomes of a datagram is what becomes of it at the first: the party, where there is one.
    Several(Arc<[Egress]>),
}

/// Takes copies of voice in for the codec threads.
#[derive(Clone, Debug)]
pub struct Sink {
    /// What it is for.
    pub destination: Destination,
    /// The queue of the thread that it belongs to. When it is full, the copy is lost.
    pub queue: mpsc::Sender<Heard>,
    /// Counts them.
    pub lost: Counter,
}

/// A copy of a voice datagram.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it is for.
    pub destination: Destination,
    /// When it came.
    pub at: std::time::Instant,
    /// The very bytes that came in.
    pub datagram: Bytes,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It is on its way.
    Sent,
    /// It is on its way, and an older one that was waiting is lost.
    Displaced,
    /// It has entered a room.
    Entered,
    /// The queue is full, or the peer takes none of this size: it is lost.
    Refused,
    /// The listener's connection is over.
    Gone,
}

impl Egress {
    /// Sends these very bytes, or drops them; never waits.
    pub(crate) fn send(&self, datagram: Bytes) -> Departure {
        match self {
            Self::Quic(connection) => {
                let fits = datagram.len() <= connection.datagram_send_buffer_space();
                match connection.send_datagram(datagram) {
                    Ok(()) if fits => Departure::Sent,
                    Ok(()) => Departure::Displaced,
                    Err(quinn::SendDatagramError::ConnectionLost(_)) => Departure::Gone,
                    Err(_) => Departure::Refused,
                }
            }
            Self::Websocket(queue) => match queue.try_send(datagram) {
                Ok(()) => Departure::Sent,
                Err(TrySendError::Full(_)) => Departure::Refused,
                Err(TrySendError::Closed(_)) => Departure::Gone,
            },
            Self::Sink(Sink { destination, queue, lost }) => {
                let heard = Heard { destination: *destination, at: std::time::Instant::now(), datagram };
                match queue.try_send(heard) {
                    Ok(()) => Departure::Sent,
                    Err(TrySendError::Full(_)) => {
                        lost.inc();
                        Departure::Refused
                    }
                    Err(TrySendError::Closed(_)) => Departure::Gone,
                }
            }
            Self::Several(all) => {
                let mut departures = all.iter().map(|egress| egress.send(datagram.clone()));
                let first = departures.next().unwrap_or(Departure::Gone);
                departures.for_each(drop);
                first
            }
            Self::Room(entrance) => entrance.send(datagram),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_closed_one_is_gone() {
        let (queue, receiver) = mpsc::channel(1);
        let egress = Egress::Websocket(queue);
        assert_eq!(egress.send(Bytes::from_static(b"one")), Departure::Sent);
        assert_eq!(egress.send(Bytes::from_static(b"two")), Departure::Refused);
        drop(receiver);
        assert_eq!(egress.send(Bytes::from_static(b"three")), Departure::Gone);
    }
}

//! Voice without a codec: packets that carry when they were sent.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{FRAME_TICKS, Header, OPUS_PAYLOAD_TYPE, Packet};

use crate::histogram::Histogram;

/// What all threads are told to do.
#[derive(Debug)]
pub(crate) struct Control {
    /// The beginning of this process' time.
    pub(crate) epoch: Instant,
    /// Packets a second for each thread.
    pub(crate) rate: AtomicU64,
    /// Which measurement packets are sent for; 0 for none.
    pub(crate) phase: AtomicU32,
    pub(crate) stop: AtomicBool,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), rate: 0.into(), phase: 0.into(), stop: false.into() }
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What one thread counted for the present measurement.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) held_back: AtomicU64,
    pub(crate) latency: Mutex<Histogram>,
}

impl Tally {
    pub(crate) fn reset(&self) {
        for counter in [&self.sent, &self.received, &self.held_back] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = Histogram::default();
    }
}

/// One direction of a call.
pub(crate) struct Talker {
    connection: quinn::Connection,
    flow: FlowId,
    header: Header,
    payload: usize,
}

impl Talker {
    pub(crate) fn new(connection: quinn::Connection, flow: FlowId, payload: usize) -> Self {
        let header = Header { marker: false, payload_type: OPUS_PAYLOAD_TYPE, sequence: 0, timestamp: 0, ssrc: flow.0 };
        Self { connection, flow, header, payload }
    }

    pub(crate) fn say(&mut self, control: &Control, tally: &Tally) {
        let phase = control.phase.load(Ordering::Relaxed);
        let datagram = self.datagram(phase, control.nanos());
        // A full buffer would drop its oldest packet unseen; holding this one back keeps what is lost apart from what is not sent.
        let room = self.connection.datagram_send_buffer_space() >= datagram.len();
        let taken = room && self.connection.send_datagram(datagram).is_ok();
        if phase > 0 {
            let counter = if taken { &tally.sent } else { &tally.held_back };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn datagram(&mut self, phase: u32, nanos: u64) -> Bytes {
        let mut bytes = BytesMut::with_capacity(32 + self.payload);
        datagram::write_prefix(self.flow, &mut bytes);
        self.header.write(None, &mut bytes);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_TICKS);
        bytes.put_u32(phase);
        bytes.put_u64(nanos);
        bytes.put_bytes(0xa5, self.payload - 12);
        bytes.freeze()
    }
}

/// Counts what a connection receives, until it ends.
pub(crate) async fn listen(connection: quinn::Connection, control: &Control, tally: &Tally) {
    while let Ok(datagram) = connection.read_datagram().await {
        let Some((phase, sent_at)) = stamp(&datagram) else { continue };
        if phase == 0 || phase != control.phase.load(Ordering::Relaxed) {
            continue;
        }
        let latency = control.nanos().saturating_sub(sent_at);
        tally.received.fetch_add(1, Ordering::Relaxed);
        tally.latency.lock().unwrap_or_else(PoisonError::into_inner).record(latency);
    }
}

fn stamp(bytes: &[u8]) -> Option<(u32, u64)> {
    let head = datagram::parse(bytes).ok()?;
    let packet = Packet::parse(&bytes[head.rtp_at..]).ok()?;
    let (phase, rest) = packet.payload.split_first_chunk()?;
    let (nanos, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*phase), u64::from_be_bytes(*nanos)))
}

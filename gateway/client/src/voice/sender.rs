//! Says something: frames → Opus → RTP → the link, at the pace of speech.

use std::time::Duration;

use bytes::BytesMut;
use tandem_audio::fec::{FecController, Protection};
use tandem_audio::level;
use tandem_audio::opus::{self, Encoder, EncoderOptions};
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{AudioLevel, Header, OPUS_PAYLOAD_TYPE};
use tandem_switch::media::stats::Reception;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::source::{Piece, Source};
use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError};
use crate::client::Client;
use crate::limits;

/// A source that falls behind by more than this starts afresh instead of sending a burst.
const BEHIND_MAX: Duration = Duration::from_millis(200);

/// How voice is encoded.
#[derive(Clone, Copy, Debug)]
pub struct SenderOptions {
    /// Bits a second, of the voice alone: error correction comes on top when the peer reports loss.
    pub bitrate: u32,
    /// libopus' complexity, 0 to 10.
    pub complexity: u8,
    /// Send nothing while nobody speaks.
    pub discontinuous: bool,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self { bitrate: 32_000, complexity: 5, discontinuous: false }
    }
}

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets that the network took.
    pub packets: u64,
    /// Their bytes of RTP.
    pub bytes: u64,
    /// Packets that the network did not take: no link, or a full buffer.
    pub refused: u64,
    /// Whether the source came to its end.
    pub finished: bool,
}

/// A source being sent. Dropping it stops it.
#[derive(Debug)]
pub struct VoiceSender {
    flow: watch::Sender<FlowId>,
    protection: watch::Sender<Protection>,
    /// Follows what the peer reports.
    loss: FecController,
    sent: watch::Receiver<Sent>,
    task: JoinHandle<()>,
}

impl VoiceSender {
    /// Sends `source` under `flow` until it ends or is stopped.
    ///
    /// # Errors
    /// When the codec refuses the options, or the flow is not possible.
    pub fn start(client: &Client, flow: FlowId, source: Source, options: SenderOptions) -> Result<Self, VoiceError> {
        let (flow, current) = watch::channel(possible(flow)?);
        let (protection, wanted) = watch::channel(Protection::Off);
        let (progress, sent) = watch::channel(Sent::default());
        let stream = Stream {
            client: client.clone(),
            flow: current,
            encoder: encoder(options)?,
            protection: wanted,
            header: Header {
                marker: true,
                payload_type: OPUS_PAYLOAD_TYPE,
                sequence: rand::random(),
                timestamp: rand::random(),
                ssrc: rand::random(),
            },
            progress,
        };
        let task = tokio::spawn(stream.run(source));
        Ok(Self { flow, protection, loss: FecController::default(), sent, task })
    }

    /// Goes on under another flow, to another peer in the same call.
    ///
    /// # Errors
    /// When the flow is not possible.
    pub fn follow(&self, flow: FlowId) -> Result<(), VoiceError> {
        self.flow.send_replace(possible(flow)?);
        Ok(())
    }

    /// Takes the peer's report of what it received since the call began, and corrects errors as far as there is loss.
    pub fn reported(&mut self, heard: Reception) {
        let wanted = self.loss.reported(heard.packets, heard.lost);
        self.protection.send_if_modified(|protection| std::mem::replace(protection, wanted) != wanted);
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        *self.sent.borrow()
    }

    /// Waits until the source has come to its end.
    pub async fn finished(&mut self) {
        // An error means that the task is gone, and so the source.
        let _ended = self.sent.wait_for(|sent| sent.finished).await;
    }
}

impl Drop for VoiceSender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn possible(flow: FlowId) -> Result<FlowId, VoiceError> {
    if flow.0 > datagram::FLOW_MAX { Err(VoiceError::ImpossibleFlow(flow.0)) } else { Ok(flow) }
}

fn encoder(options: SenderOptions) -> Result<Encoder, VoiceError> {
    let SenderOptions { bitrate, complexity, discontinuous } = options;
    Ok(Encoder::new(EncoderOptions { bitrate, complexity, discontinuous, ..EncoderOptions::default() })?)
}

struct Stream {
    client: Client,
    flow: watch::Receiver<FlowId>,
    encoder: Encoder,
    protection: watch::Receiver<Protection>,
    header: Header,
    progress: watch::Sender<Sent>,
}

impl Stream {
    async fn run(mut self, mut source: Source) {
        let mut due = Instant::now();
        while let Some(piece) = source.next() {
            sleep_until(due).await;
            self.say(piece);
            due += Duration::from_micros(FRAME_SAMPLES as u64 * 1_000_000 / u64::from(SAMPLE_HZ));
            if due.elapsed() > BEHIND_MAX {
                due = Instant::now();
            }
        }
        self.progress.send_modify(|sent| sent.finished = true);
    }

    /// Sends one piece: a frame.
    fn say(&mut self, piece: Piece) {
        match piece {
            Piece::Samples(frame) => self.say_frame(&frame),
            Piece::Packet(opus) => self.send(&opus, None),
        }
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
    }

    fn say_frame(&mut self, frame: &Frame) {
        if let Err(error) = self.encoder.protect(*self.protection.borrow_and_update()) {
            tracing::debug!(%error, "error correction could not be changed");
        }
        let mut packet = [0; limits::OPUS_PACKET_BYTES_MAX];
        match self.encoder.encode(frame, &mut packet) {
            // The next packet begins a talk spurt (RFC 7587 section 4.2).
            Ok(length) if opus::is_dtx(&packet[..length]) => self.header.marker = true,
            Ok(length) => self.send(&packet[..length], Some(level::audio_level(frame))),
            Err(error) => tracing::debug!(%error, "a frame that could not be encoded"),
        }
    }

    fn send(&mut self, opus: &[u8], level: Option<AudioLevel>) {
        let mut packet = BytesMut::with_capacity(opus.len() + 32);
        self.header.write(level, &mut packet);
        packet.extend_from_slice(opus);
        let flow = *self.flow.borrow();
        let taken = self.client.send_rtp(flow, &packet);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.marker = false;
        self.progress.send_modify(|sent| {
            sent.packets += u64::from(taken);
            sent.bytes += if taken { packet.len() as u64 } else { 0 };
            sent.refused += u64::from(!taken);
        });
    }
}

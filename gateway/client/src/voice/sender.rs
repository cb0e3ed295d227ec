//! Says something: frames → Opus → RTP → the link, at the pace of speech.

use std::time::Duration;

use bytes::BytesMut;
use opus::{Application, Bitrate, Channels, Encoder};
use tandem_switch::id::FlowId;
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{AudioLevel, Header, OPUS_PAYLOAD_TYPE};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::ogg_opus::TimedPacket;
use super::source::{Piece, Source};
use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError};
use crate::client::Client;
use crate::limits;

/// A source that falls behind by more than this starts afresh instead of sending a burst.
const BEHIND_MAX: Duration = Duration::from_millis(200);

/// What the encoder calls "nothing to send" (libopus: a packet of one or two bytes in discontinuous transmission).
const DTX_BYTES_MAX: usize = 2;

/// Loudness from which a frame counts as speech, dB below overload.
const SPEECH_DB: u8 = 50;

/// How voice is encoded.
#[derive(Clone, Copy, Debug)]
pub struct SenderOptions {
    /// Bits a second.
    pub bitrate: i32,
    /// libopus' complexity, 0 to 10.
    pub complexity: i32,
    /// The loss that forward error correction is made for, percent.
    pub expected_loss: i32,
    /// Send nothing while nobody speaks.
    pub discontinuous: bool,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self { bitrate: 24_000, complexity: 5, expected_loss: 10, discontinuous: false }
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
        let (progress, sent) = watch::channel(Sent::default());
        let stream = Stream {
            client: client.clone(),
            flow: current,
            encoder: encoder(options)?,
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
        Ok(Self { flow, sent, task })
    }

    /// Goes on under another flow, to another peer in the same call.
    ///
    /// # Errors
    /// When the flow is not possible.
    pub fn follow(&self, flow: FlowId) -> Result<(), VoiceError> {
        self.flow.send_replace(possible(flow)?);
        Ok(())
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
    let mut encoder = Encoder::new(SAMPLE_HZ, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(options.bitrate))?;
    encoder.set_complexity(options.complexity)?;
    encoder.set_inband_fec(true)?;
    encoder.set_packet_loss_perc(options.expected_loss)?;
    encoder.set_dtx(options.discontinuous)?;
    Ok(encoder)
}

struct Stream {
    client: Client,
    flow: watch::Receiver<FlowId>,
    encoder: Encoder,
    header: Header,
    progress: watch::Sender<Sent>,
}

impl Stream {
    async fn run(mut self, mut source: Source) {
        let mut due = Instant::now();
        while let Some(piece) = source.next() {
            sleep_until(due).await;
            let samples = self.say(piece);
            due += Duration::from_micros(u64::from(samples) * 1_000_000 / u64::from(SAMPLE_HZ));
            if due.elapsed() > BEHIND_MAX {
                due = Instant::now();
            }
        }
        self.progress.send_modify(|sent| sent.finished = true);
    }

    /// Sends one piece; says how many samples it was.
    fn say(&mut self, piece: Piece) -> u32 {
        let samples = match piece {
            Piece::Samples(frame) => {
                self.say_frame(&frame);
                FRAME_SAMPLES as u32
            }
            Piece::Packet(TimedPacket { opus, samples }) => {
                self.send(&opus, None);
                samples
            }
        };
        self.header.timestamp = self.header.timestamp.wrapping_add(samples);
        samples
    }

    fn say_frame(&mut self, frame: &Frame) {
        let mut opus = [0; limits::OPUS_PACKET_BYTES_MAX];
        match self.encoder.encode(frame, &mut opus) {
            // The next packet begins a talk spurt (RFC 7587 section 4.2).
            Ok(length) if length <= DTX_BYTES_MAX => self.header.marker = true,
            Ok(length) => self.send(&opus[..length], Some(level(frame))),
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

/// How loud a frame is (RFC 6464 section 3: root mean square, relative to the loudest square wave).
fn level(frame: &Frame) -> AudioLevel {
    let energy: f64 = frame.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let ratio = (energy / FRAME_SAMPLES as f64).sqrt() / f64::from(i16::MAX);
    let below = if ratio > 0.0 { (-20.0 * ratio.log10()).clamp(0.0, 127.0) as u8 } else { 127 };
    AudioLevel { voice: below < SPEECH_DB, below_overload_db: below }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_is_told_as_rfc_6464_says() {
        let silence = level(&[0; FRAME_SAMPLES]);
        assert_eq!(silence, AudioLevel { voice: false, below_overload_db: 127 });
        let loudest = level(&[i16::MAX; FRAME_SAMPLES]);
        assert_eq!(loudest, AudioLevel { voice: true, below_overload_db: 0 });
        let tenth = level(&[3_277; FRAME_SAMPLES]);
        assert!(tenth.below_overload_db.abs_diff(20) <= 1, "{tenth:?}");
    }
}

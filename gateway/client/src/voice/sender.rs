//! Says something: frames → Opus → RTP → the link, at the pace of speech.

use std::time::Duration;

use bytes::BytesMut;
use opus::{Application, Bitrate, Channels, Encoder};
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

/// What the encoder calls "nothing to send" (libopus: a packet of one or two bytes in discontinuous transmission).
const DTX_BYTES_MAX: usize = 2;

/// Loudness from which a frame counts as speech, dB below overload.
const SPEECH_DB: u8 = 50;

/// From this loss on, forward error correction is worth its bits, percent. Below it, what it takes from the voice costs more quality
/// than the odd lost frame does.
const FEC_WORTH_PERCENT: i32 = 3;

/// The most loss that error correction is made for, percent; beyond it, it would take most of the bits.
const FEC_PERCENT_MAX: i32 = 25;

/// How much of the bitrate error correction gets on top, so that the voice keeps its share: a quarter.
const FEC_BITRATE_DIVISOR: i32 = 4;

/// How voice is encoded.
#[derive(Clone, Copy, Debug)]
pub struct SenderOptions {
    /// Bits a second, of the voice alone: error correction comes on top when the peer reports loss.
    pub bitrate: i32,
    /// libopus' complexity, 0 to 10.
    pub complexity: i32,
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
    loss_percent: watch::Sender<i32>,
    /// What the peer reported last.
    heard: Reception,
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
        let (loss_percent, loss) = watch::channel(0);
        let (progress, sent) = watch::channel(Sent::default());
        let stream = Stream {
            client: client.clone(),
            flow: current,
            encoder: encoder(options)?,
            bitrate: options.bitrate,
            loss,
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
        Ok(Self { flow, loss_percent, heard: Reception::default(), sent, task })
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
        let loss = recent_loss_percent(self.heard, heard);
        self.heard = heard;
        self.loss_percent.send_if_modified(|percent| std::mem::replace(percent, loss) != loss);
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

/// The loss between two reports, percent.
fn recent_loss_percent(before: Reception, now: Reception) -> i32 {
    let (lost, came) = (now.lost.saturating_sub(before.lost), now.packets.saturating_sub(before.packets));
    let sent = (lost + came).max(1);
    i32::try_from(lost.saturating_mul(100) / sent).unwrap_or(100)
}

fn encoder(options: SenderOptions) -> Result<Encoder, VoiceError> {
    let mut encoder = Encoder::new(SAMPLE_HZ, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(options.bitrate))?;
    encoder.set_complexity(options.complexity)?;
    encoder.set_dtx(options.discontinuous)?;
    Ok(encoder)
}

struct Stream {
    client: Client,
    flow: watch::Receiver<FlowId>,
    encoder: Encoder,
    bitrate: i32,
    loss: watch::Receiver<i32>,
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

    /// Gives error correction what the peer's loss is worth.
    fn protect(&mut self) -> Result<(), opus::Error> {
        let loss = (*self.loss.borrow_and_update()).min(FEC_PERCENT_MAX);
        let protects = loss >= FEC_WORTH_PERCENT;
        let extra = if protects { self.bitrate / FEC_BITRATE_DIVISOR } else { 0 };
        self.encoder.set_inband_fec(protects)?;
        self.encoder.set_packet_loss_perc(if protects { loss } else { 0 })?;
        self.encoder.set_bitrate(Bitrate::Bits(self.bitrate + extra))
    }

    fn say_frame(&mut self, frame: &Frame) {
        if self.loss.has_changed().unwrap_or(false)
            && let Err(error) = self.protect()
        {
            tracing::debug!(%error, "error correction could not be changed");
        }
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
    fn loss_is_that_between_two_reports() {
        let report = |packets, lost| Reception { packets, lost, ..Default::default() };
        assert_eq!(recent_loss_percent(report(0, 0), report(0, 0)), 0);
        assert_eq!(recent_loss_percent(report(1000, 0), report(1225, 25)), 10);
        assert_eq!(recent_loss_percent(report(1000, 100), report(1250, 100)), 0);
        assert_eq!(recent_loss_percent(report(0, 0), report(0, 50)), 100);
    }

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

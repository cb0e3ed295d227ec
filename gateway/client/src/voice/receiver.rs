//! Hears something: the link → RTP → jitter buffer → Opus → a sink, a frame every 20 ms.

use std::time::Duration;

use bytes::Bytes;
use opus::{Channels, Decoder};
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::media::jitter::{JitterBuffer, Playout};
use tandem_switch::media::rtp::{OPUS_PAYLOAD_TYPE, Packet};
use tandem_switch::media::stats::{Reception, ReceptionMeter, mean_opinion_score};
use tandem_switch::signal::ClientMessage;
use tandem_switch::time;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::sink::Sink;
use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError};
use crate::client::Client;
use crate::flows::Arrived;

/// How long a frame sounds.
const FRAME: Duration = Duration::from_millis(20);

/// How often the gateway is told how well the other party is heard.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Longest packet that a decoder may be given, samples: 120 ms (RFC 6716 section 3.4).
const PACKET_SAMPLES_MAX: usize = 5760;

/// A flow being heard. Dropping it stops it; [`VoiceReceiver::stop`] also finishes a file and tells what went wrong.
#[derive(Debug)]
pub struct VoiceReceiver {
    client: Client,
    control: mpsc::Sender<Control>,
    reception: watch::Receiver<Reception>,
    task: JoinHandle<Result<(), VoiceError>>,
}

#[derive(Debug)]
enum Control {
    Follow(mpsc::Receiver<Arrived>),
    Stop,
}

impl VoiceReceiver {
    /// Plays `flow` into `sink`. With a `call`, the gateway is told every five seconds how well it is heard.
    ///
    /// # Errors
    /// When too many flows are heard already, or there is no decoder.
    pub fn start(client: &Client, call: Option<CallId>, flow: FlowId, sink: Sink) -> Result<Self, VoiceError> {
        let arrivals = client.receive(flow).ok_or(VoiceError::TooManyFlows)?;
        let (control, orders) = mpsc::channel(4);
        let (progress, reception) = watch::channel(Reception::default());
        let player = Player {
            client: client.clone(),
            call,
            epoch: Instant::now(),
            buffer: JitterBuffer::default(),
            meter: ReceptionMeter::default(),
            decoder: Decoder::new(SAMPLE_HZ, Channels::Mono)?,
            sink,
            progress,
        };
        let task = tokio::spawn(player.run(arrivals, orders));
        Ok(Self { client: client.clone(), control, reception, task })
    }

    /// Goes on with another flow, of another peer in the same call.
    ///
    /// # Errors
    /// When too many flows are heard already.
    pub async fn follow(&self, flow: FlowId) -> Result<(), VoiceError> {
        let arrivals = self.client.receive(flow).ok_or(VoiceError::TooManyFlows)?;
        // An error means that a broken sink ended the task; `stop` tells.
        let _ended = self.control.send(Control::Follow(arrivals)).await;
        Ok(())
    }

    /// How well the flow is received.
    pub fn reception(&self) -> Reception {
        *self.reception.borrow()
    }

    /// Waits until at least `packets` packets were received in all; `false` when the receiver has ended before.
    pub async fn received(&mut self, packets: u64) -> bool {
        self.reception.wait_for(|reception| reception.packets >= packets).await.is_ok()
    }

    /// Stops, and finishes the file if there is one.
    ///
    /// # Errors
    /// When the sink failed.
    pub async fn stop(mut self) -> Result<Reception, VoiceError> {
        // An error means that the task has ended by itself; its result tells why.
        let _ended = self.control.send(Control::Stop).await;
        match (&mut self.task).await {
            Ok(outcome) => outcome.map(|()| self.reception()),
            Err(error) => Err(VoiceError::Device(error.to_string())),
        }
    }
}

impl Drop for VoiceReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Player {
    client: Client,
    call: Option<CallId>,
    epoch: Instant,
    buffer: JitterBuffer,
    meter: ReceptionMeter,
    decoder: Decoder,
    sink: Sink,
    progress: watch::Sender<Reception>,
}

impl Player {
    /// Runs until it is stopped. All that is waited for is cancellation safe.
    async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrived>,
        mut orders: mpsc::Receiver<Control>,
    ) -> Result<(), VoiceError> {
        // A late tick is made up for, so that a recording is as long as the call was.
        let mut playout = ticks(FRAME, MissedTickBehavior::Burst);
        let mut report = ticks(REPORT_INTERVAL, MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Control::Follow(next)) => {
                        arrivals = next;
                        self.buffer.restart();
                    }
                    Some(Control::Stop) | None => return self.sink.finish(),
                },
                Some(arrived) = arrivals.recv() => self.arrived(&arrived),
                due = playout.tick() => self.play(due)?,
                _ = report.tick() => self.report(),
            }
        }
    }

    fn at(&self, instant: Instant) -> time::Instant {
        let micros = instant.saturating_duration_since(self.epoch).as_micros();
        time::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn arrived(&mut self, arrived: &Arrived) {
        let Ok(packet) = Packet::parse(&arrived.rtp) else {
            tracing::debug!("a packet that is no RTP packet");
            return;
        };
        if packet.header.payload_type != OPUS_PAYLOAD_TYPE {
            return;
        }
        let now = self.at(arrived.at);
        self.meter.receive(now, &packet.header, arrived.rtp.len());
        let payload = Bytes::copy_from_slice(packet.payload);
        self.buffer.push(now, packet.header.sequence, packet.header.timestamp, payload);
        self.progress.send_replace(self.reception());
    }

    /// What the network brought, and of it what came too late to be played.
    fn reception(&self) -> Reception {
        let network = self.meter.reception();
        let late = self.buffer.counters().late;
        let expected = network.packets + network.lost;
        if expected == 0 {
            return network;
        }
        let unheard = (network.lost + late) as f32 / expected as f32;
        Reception { late, mos: mean_opinion_score(unheard.min(1.0), network.jitter_ms), ..network }
    }

    fn report(&self) {
        let reception = self.reception();
        if let Some(call) = self.call
            && reception.packets > 0
            && !self.client.try_send(ClientMessage::Report { call, reception })
        {
            tracing::debug!("no room for a report");
        }
    }

    fn play(&mut self, due: Instant) -> Result<(), VoiceError> {
        let playout = self.buffer.pull(self.at(due));
        if self.sink.wants_packets() { self.pass(playout) } else { self.decode(playout) }
    }

    /// For a sink of packets: what came, in order, with the gaps marked.
    fn pass(&mut self, playout: Playout) -> Result<(), VoiceError> {
        match playout {
            Playout::Packet(packet) => self.sink.packet(Some(packet)),
            Playout::Accelerate(first, second) => {
                self.sink.packet(Some(first))?;
                self.sink.packet(Some(second))
            }
            Playout::Fec(_) | Playout::Conceal | Playout::Silence => self.sink.packet(None),
            Playout::Expand | Playout::Wait => Ok(()),
        }
    }

    fn decode(&mut self, playout: Playout) -> Result<(), VoiceError> {
        let frame = match playout {
            Playout::Packet(packet) => self.frame(&packet, false),
            Playout::Fec(next) => self.frame(&next, true),
            Playout::Conceal | Playout::Expand | Playout::Silence => self.frame(&[], false),
            Playout::Accelerate(first, second) => blend(&self.frame(&first, false), &self.frame(&second, false)),
            Playout::Wait => [0; FRAME_SAMPLES],
        };
        self.sink.frame(&frame)
    }

    /// Decodes a packet, or conceals one when there are no bytes. What the decoder refuses is silence: it came from the network.
    fn frame(&mut self, packet: &[u8], fec: bool) -> Frame {
        let mut frame = [0; FRAME_SAMPLES];
        let mut decoded = [0; PACKET_SAMPLES_MAX];
        // Concealment and FEC fill the room that they are given; a packet knows its own length.
        let room = if fec || packet.is_empty() { FRAME_SAMPLES } else { PACKET_SAMPLES_MAX };
        match self.decoder.decode(packet, &mut decoded[..room], fec) {
            Ok(_) => frame.copy_from_slice(&decoded[..FRAME_SAMPLES]),
            Err(error) => tracing::debug!(%error, "a packet that could not be decoded"),
        }
        frame
    }
}

fn ticks(period: Duration, missed: MissedTickBehavior) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(missed);
    ticks
}

/// One frame out of two: the first fades into the second.
fn blend(first: &Frame, second: &Frame) -> Frame {
    std::array::from_fn(|index| {
        let share = index as f32 / FRAME_SAMPLES as f32;
        (f32::from(first[index]) * (1.0 - share) + f32::from(second[index]) * share) as i16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_blend_from_one_to_the_other() {
        let blended = blend(&[1000; FRAME_SAMPLES], &[-1000; FRAME_SAMPLES]);
        assert_eq!((blended[0], blended[FRAME_SAMPLES / 2]), (1000, 0));
        assert!(blended[FRAME_SAMPLES - 1] < -990);
    }
}

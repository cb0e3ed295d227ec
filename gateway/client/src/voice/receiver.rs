//! Hears something: the link → a voice for each flow → a mix → a sink, a frame every 20 ms.

use std::collections::BTreeSet;
use std::time::Duration;

use tandem_audio::pcm::FRAME;
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::media::jitter::Playout;
use tandem_switch::media::stats::Reception;
use tandem_switch::signal::ClientMessage;
use tandem_switch::time;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::VoiceError;
use super::sink::Sink;
use super::voices::Voices;
use crate::client::Client;
use crate::flows::Arrived;
use crate::limits;

/// How often the gateway is told how well the other party is heard.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What is heard of a call: one flow or several at once, mixed. Dropping it stops it; [`VoiceReceiver::stop`] also finishes a file and tells
/// what went wrong.
#[derive(Debug)]
pub struct VoiceReceiver {
    client: Client,
    arrivals: mpsc::Sender<Arrived>,
    /// The flows that are heard; closing it stops.
    heard: Option<watch::Sender<BTreeSet<FlowId>>>,
    /// The call that reports are about.
    call: watch::Sender<Option<CallId>>,
    reception: watch::Receiver<Reception>,
    task: JoinHandle<Result<(), VoiceError>>,
}

impl VoiceReceiver {
    /// Plays `flow` into `sink`. With a `call`, the gateway is told every five seconds how well it is heard.
    ///
    /// # Errors
    /// When too many flows are heard already.
    pub fn start(client: &Client, call: Option<CallId>, flow: FlowId, sink: Sink) -> Result<Self, VoiceError> {
        let (arrivals, packets) = mpsc::channel(limits::RECEIVER_PACKETS_MAX);
        if !client.flows().receive(flow, &arrivals) {
            return Err(VoiceError::TooManyFlows);
        }
        let (heard, wanted) = watch::channel(BTreeSet::from([flow]));
        let (progress, reception) = watch::channel(Reception::default());
        let (call, reported) = watch::channel(call);
        let player = Player {
            client: client.clone(),
            call: reported,
            epoch: Instant::now(),
            voices: Voices::default(),
            sink,
            progress,
        };
        let task = tokio::spawn(player.run(packets, wanted));
        Ok(Self { client: client.clone(), arrivals, heard: Some(heard), call, reception, task })
    }

    /// The conversation goes on in another call: that one is reported on from here.
    pub fn continues_in(&self, call: CallId) {
        self.call.send_replace(Some(call));
    }

    /// Goes on with this flow alone: of another peer in the same call, or of the gateway.
    ///
    /// # Errors
    /// When too many flows are heard already; all is heard as before then.
    pub fn follow(&mut self, flow: FlowId) -> Result<(), VoiceError> {
        self.hear(flow)?;
        self.change(|heard| {
            std::mem::replace(heard, BTreeSet::from([flow])).into_iter().filter(|&old| old != flow).collect()
        });
        Ok(())
    }

    /// Hears a further flow, beside those that are heard already.
    ///
    /// # Errors
    /// When too many flows are heard already.
    pub fn hear(&mut self, flow: FlowId) -> Result<(), VoiceError> {
        if !self.client.flows().receive(flow, &self.arrivals) {
            return Err(VoiceError::TooManyFlows);
        }
        self.change(|heard| {
            heard.insert(flow);
            Vec::new()
        });
        Ok(())
    }

    /// Hears a flow no longer; the others go on.
    pub fn unhear(&mut self, flow: FlowId) {
        self.change(|heard| heard.take(&flow).into_iter().collect());
    }

    /// Hears nothing until the next flow.
    pub fn pause(&mut self) {
        self.change(|heard| std::mem::take(heard).into_iter().collect());
    }

    /// Changes what is heard; the flows that `change` gives back are forgotten.
    fn change(&mut self, change: impl FnOnce(&mut BTreeSet<FlowId>) -> Vec<FlowId>) {
        let Some(heard) = &self.heard else { return };
        let mut forgotten = Vec::new();
        heard.send_modify(|heard| forgotten = change(heard));
        for flow in forgotten {
            self.client.flows().forget(flow, &self.arrivals);
        }
    }

    /// How well all that was heard is received.
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
        self.pause();
        drop(self.heard.take());
        match (&mut self.task).await {
            Ok(outcome) => outcome.map(|()| self.reception()),
            Err(error) => Err(VoiceError::Device(error.to_string())),
        }
    }
}

impl Drop for VoiceReceiver {
    fn drop(&mut self) {
        self.pause();
        self.task.abort();
    }
}

struct Player {
    client: Client,
    call: watch::Receiver<Option<CallId>>,
    epoch: Instant,
    voices: Voices,
    sink: Sink,
    progress: watch::Sender<Reception>,
}

impl Player {
    /// Runs until it is stopped. All that is waited for is cancellation safe.
    async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrived>,
        mut wanted: watch::Receiver<BTreeSet<FlowId>>,
    ) -> Result<(), VoiceError> {
        // A late tick is made up for, so that a recording is as long as the call was.
        let mut playout = ticks(FRAME, MissedTickBehavior::Burst);
        let mut report = ticks(REPORT_INTERVAL, MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return self.sink.finish();
                    }
                    self.voices.keep(&wanted.borrow_and_update());
                }
                Some(arrived) = arrivals.recv() => {
                    if wanted.borrow().contains(&arrived.flow) {
                        let at = self.at(arrived.at);
                        self.voices.take(at, arrived.flow, &arrived.rtp)?;
                        self.progress.send_replace(self.voices.reception());
                    }
                }
                due = playout.tick() => self.play(due)?,
                _ = report.tick() => self.report(),
            }
        }
    }

    fn at(&self, instant: Instant) -> time::Instant {
        let micros = instant.saturating_duration_since(self.epoch).as_micros();
        time::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn report(&self) {
        let reception = self.voices.reception();
        if let Some(call) = *self.call.borrow()
            && reception.packets > 0
            && !self.client.try_send(ClientMessage::Report { call, reception })
        {
            tracing::debug!("no room for a report");
        }
    }

    fn play(&mut self, due: Instant) -> Result<(), VoiceError> {
        let now = self.at(due);
        if self.sink.wants_packets()
            && let Some(playout) = self.voices.pull_packet(now)
        {
            return self.pass(playout);
        }
        let frame = self.voices.pull(now);
        self.sink.frame(&frame)
    }

    /// For a sink of packets and one voice: what came, in order, with the gaps marked.
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
}

fn ticks(period: Duration, missed: MissedTickBehavior) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(missed);
    ticks
}

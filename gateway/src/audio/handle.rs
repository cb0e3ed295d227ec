//! The call driver's way to the codec threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use tandem_switch::audio::{AudioCommand, AudioEvent, Destination, PortId, TapId};
use tandem_switch::id::CallId;
use tandem_switch::plan::TapStep;
use tokio::sync::mpsc;

use super::archive::Archive;
use super::disk::Disk;
use super::metrics::AudioMetrics;
use super::sounds::Sounds;
use super::thread::{Codec, Input, Seed};
use super::{Links, Shared, Task, limits};
use crate::media::{Heard, Sink};
use crate::outgoing::HostPattern;
use crate::outgoing::websocket::WebSockets;

/// What the codec threads work with.
pub struct Parts {
    /// Ways to parties' links.
    pub links: Links,
    /// Where prompts come from and recordings go to.
    pub archive: Arc<dyn Archive>,
    /// Connects taps.
    pub sockets: WebSockets,
    /// Counters.
    pub metrics: AudioMetrics,
    /// How many threads; 0: one for two cores.
    pub threads: usize,
}

/// One thread's ways in.
#[derive(Debug)]
struct Lane {
    inputs: mpsc::Sender<Input>,
    heard: mpsc::Sender<Heard>,
}

/// All codec threads. Nothing but [`Audio::stop`] waits.
#[derive(Debug)]
pub struct Audio {
    lanes: Vec<Lane>,
    /// Whose thread each open port is on.
    ports: HashMap<PortId, usize>,
    metrics: AudioMetrics,
    threads: Vec<thread::JoinHandle<()>>,
    disk: Disk,
    /// Ends when every task that keeps a recording has.
    tasks: mpsc::Receiver<std::convert::Infallible>,
}

impl Audio {
    /// Starts the threads. What they tell comes to the receiver. Needs a tokio runtime, on which sounds are looked up, recordings kept and
    /// taps connected.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(parts: Parts) -> std::io::Result<(Self, mpsc::Receiver<AudioEvent>)> {
        let Parts { links, archive, sockets, metrics, threads: wanted } = parts;
        let count = match wanted {
            0 => thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            threads => threads,
        };
        let (events, told) = mpsc::channel(limits::EVENTS_MAX);
        let (task, tasks): (Task, _) = mpsc::channel(1);
        let (orders, disk) = Disk::start(&metrics)?;
        let shared = Arc::new(Shared {
            links,
            sounds: Sounds::new(Arc::clone(&archive)),
            archive,
            sockets,
            runtime: tokio::runtime::Handle::current(),
            metrics: metrics.clone(),
        });
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (inputs, taken) = mpsc::channel(limits::INPUTS_MAX);
            let (heard, hears) = mpsc::channel(limits::HEARD_MAX);
            let seed = Seed {
                shared: Arc::clone(&shared),
                inputs: taken,
                itself: inputs.clone(),
                heard: hears,
                events: events.clone(),
                orders: orders.clone(),
                task: task.clone(),
            };
            let thread = thread::Builder::new().name(format!("codec-{index}")).spawn(|| Codec::new(seed).run())?;
            lanes.push(Lane { inputs, heard });
            threads.push(thread);
        }
        Ok((Self { lanes, ports: HashMap::new(), metrics, threads, disk, tasks }, told))
    }

    /// Has a command carried out, but for taps: [`Self::tap`]. What cannot be is answered at once.
    pub fn command(&mut self, command: AudioCommand) -> Option<AudioEvent> {
        let lane = match &command {
            AudioCommand::Open { port, call, .. } => {
                let lane = self.lane_of(*call);
                if self.has_room(lane) {
                    self.ports.insert(*port, lane);
                }
                Some(lane)
            }
            AudioCommand::Close { port } => self.ports.remove(port),
            AudioCommand::Play { port, .. }
            | AudioCommand::Retarget { port, .. }
            | AudioCommand::Stop { port }
            | AudioCommand::Watch { port, .. } => self.ports.get(port).copied(),
            AudioCommand::Record { recording, .. } | AudioCommand::Finish { recording, .. } => {
                Some(self.lane_of(recording.call))
            }
            AudioCommand::Tap { tap, .. } | AudioCommand::Untap { tap } => Some(self.lane_of(tap.call)),
        };
        let begins = begins(&command);
        let refusal = refusal(&command);
        match lane {
            Some(lane) if !begins || self.has_room(lane) => self.put(lane, Input::Command(command), refusal),
            _ if begins => {
                self.metrics.refused.inc();
                refusal
            }
            // It was never opened.
            _ => None,
        }
    }

    /// Connects a tap to where its call's function may go.
    pub fn tap(
        &mut self,
        tap: TapId,
        step: Box<TapStep>,
        port: Option<PortId>,
        allowed: Vec<HostPattern>,
    ) -> Option<AudioEvent> {
        let lane = self.lane_of(tap.call);
        let refusal = Some(AudioEvent::TapEnded { tap, failure: Some(OVERLOADED.to_owned()) });
        if !self.has_room(lane) {
            self.metrics.refused.inc();
            return refusal;
        }
        self.put(lane, Input::Tap { tap, step, port, allowed }, refusal)
    }

    /// Where copies of voice for a port, recording or tap go.
    pub fn sink(&self, destination: Destination) -> Option<Sink> {
        let lane = match destination {
            Destination::Link(_) | Destination::Room(_) => return None,
            Destination::Port(port) => *self.ports.get(&port)?,
            Destination::Recording(recording, _) => self.lane_of(recording.call),
            Destination::Tap(tap, _) => self.lane_of(tap.call),
        };
        Some(Sink { destination, queue: self.lanes[lane].heard.clone(), lost: self.metrics.heard_lost.clone() })
    }

    /// Ends all that is recorded, and waits until it is kept, for a few seconds at most.
    pub async fn stop(mut self) {
        for lane in &self.lanes {
            // A thread that has ended already needs no telling.
            let _ = lane.inputs.send(Input::Stop).await;
        }
        drop(self.lanes);
        let (threads, disk) = (self.threads, self.disk);
        let joined = tokio::task::spawn_blocking(move || {
            let whole = threads.into_iter().map(thread::JoinHandle::join).all(|end| end.is_ok());
            disk.join();
            whole
        });
        let kept = async {
            match joined.await {
                Ok(true) => {}
                Ok(false) | Err(_) => tracing::error!("a codec thread panicked"),
            }
            self.tasks.recv().await
        };
        if tokio::time::timeout(limits::STOP_TIMEOUT, kept).await.is_err() {
            tracing::warn!("some recordings could not be kept in time; they are mended at the next start");
        }
    }

    /// All of a call is on one thread.
    fn lane_of(&self, call: CallId) -> usize {
        usize::try_from(call.0 % self.lanes.len() as u128).unwrap_or_default()
    }

    fn has_room(&self, lane: usize) -> bool {
        self.lanes[lane].inputs.capacity() > limits::INPUTS_MAX / 2
    }

    fn put(&self, lane: usize, input: Input, refusal: Option<AudioEvent>) -> Option<AudioEvent> {
        if self.lanes[lane].inputs.try_send(input).is_ok() {
            return None;
        }
        self.metrics.refused.inc();
        tracing::error!(lane, "a codec thread hangs: its queue of commands is full");
        refusal
    }
}

const OVERLOADED: &str = "the gateway's codec threads are overloaded; try again";

/// Whether a command begins something; the others end something, and find room kept for them.
fn begins(command: &AudioCommand) -> bool {
    match command {
        AudioCommand::Open { .. }
        | AudioCommand::Play { .. }
        | AudioCommand::Watch { silence: Some(_), .. }
        | AudioCommand::Record { .. }
        | AudioCommand::Tap { .. } => true,
        AudioCommand::Retarget { .. }
        | AudioCommand::Stop { .. }
        | AudioCommand::Watch { silence: None, .. }
        | AudioCommand::Close { .. }
        | AudioCommand::Finish { .. }
        | AudioCommand::Untap { .. } => false,
    }
}

/// What is told when a command cannot be carried out.
fn refusal(command: &AudioCommand) -> Option<AudioEvent> {
    let failure = OVERLOADED.to_owned();
    match command {
        AudioCommand::Play { port, playback, .. } => {
            Some(AudioEvent::Played { port: *port, playback: *playback, failure: Some(failure) })
        }
        AudioCommand::Record { recording, .. } => Some(AudioEvent::RecordingFailed { recording: *recording, failure }),
        AudioCommand::Tap { tap, .. } => Some(AudioEvent::TapEnded { tap: *tap, failure: Some(failure) }),
        AudioCommand::Open { .. }
        | AudioCommand::Retarget { .. }
        | AudioCommand::Stop { .. }
        | AudioCommand::Watch { .. }
        | AudioCommand::Close { .. }
        | AudioCommand::Finish { .. }
        | AudioCommand::Untap { .. } => None,
    }
}

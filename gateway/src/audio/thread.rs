//! A codec thread: every 20 ms it takes what came in, and sends what is due. It sleeps while it has nothing to do.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::time::{ClockId, clock_gettime};
use tandem_audio::pcm::FRAME;
use tandem_switch::audio::{AudioCommand, AudioEvent, Destination, PortId, RecordingId, Sound, TapId};
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{OPUS_PAYLOAD_TYPE, Packet};
use tandem_switch::plan::TapStep;
use tandem_switch::time;
use tokio::sync::mpsc;

use super::Shared;
use super::archive::Begun;
use super::disk::{Failed, Order, Orders};
use super::ear::Ear;
use super::far_end::{FarEnd, FromFarEnd};
use super::metrics::OutcomeLabel;
use super::port::{Port, Sent, Ticked, look_up};
use super::recording::{Finished, Recording};
use super::sounds::Packets;
use super::tap::{self, Tap};
use super::voice::Voice;
use super::{Task, limits};
use crate::media::Heard;
use crate::outgoing::HostPattern;

/// What comes to a codec thread beside voice.
#[derive(Debug)]
pub(super) enum Input {
    /// From the call driver; but for taps.
    Command(AudioCommand),
    /// A tap, with where its call's function may go.
    Tap { tap: TapId, step: Box<TapStep>, port: Option<PortId>, allowed: Vec<HostPattern> },
    /// A sound was looked up.
    Loaded { port: PortId, playback: u32, sound: Result<Packets, String> },
    /// A recording's files are known, or why it cannot begin.
    Begun { recording: RecordingId, begun: Result<Begun, String> },
    /// A recording's files cannot be written any more.
    BrokeOff { recording: RecordingId, failure: String },
    /// A tap's far end is gone.
    FarEndGone { tap: TapId, failure: Option<String> },
    /// The node stops: whatever is recorded still ends.
    Stop,
}

/// What a thread is started with.
pub(super) struct Seed {
    pub(super) shared: Arc<Shared>,
    pub(super) inputs: mpsc::Receiver<Input>,
    /// For answers to this thread.
    pub(super) itself: mpsc::Sender<Input>,
    pub(super) heard: mpsc::Receiver<Heard>,
    pub(super) events: mpsc::Sender<AudioEvent>,
    pub(super) orders: Orders,
    /// Held by every task that somebody waits for when the node stops.
    pub(super) task: Task,
}

/// The thread.
pub(super) struct Codec {
    seed: Seed,
    /// When tick zero was.
    started: Instant,
    ports: HashMap<PortId, Port>,
    recordings: HashMap<RecordingId, Recording>,
    taps: HashMap<TapId, Tap>,
    /// Ends that wait for the voice that came before them.
    ending: Vec<(RecordingId, bool)>,
    /// Orders that found no room: ends of recordings only.
    unordered: VecDeque<Order>,
    /// Events that found no room.
    untold: VecDeque<AudioEvent>,
    loading: Arc<AtomicUsize>,
    buffer: BytesMut,
    sent: Sent,
    is_stopping: bool,
}

impl Codec {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            started: Instant::now(),
            ports: HashMap::new(),
            recordings: HashMap::new(),
            taps: HashMap::new(),
            ending: Vec::new(),
            unordered: VecDeque::new(),
            untold: VecDeque::new(),
            loading: Arc::default(),
            buffer: BytesMut::new(),
            sent: Sent::default(),
            is_stopping: false,
        }
    }

    /// Runs until it is stopped. Every tick has a time of its own, counted from the start: late ones do not delay those after them.
    pub(super) fn run(mut self) {
        let mut tick = 0;
        loop {
            if self.is_idle() {
                if self.is_stopping {
                    return;
                }
                match self.seed.inputs.blocking_recv() {
                    Some(input) => self.take(input),
                    None => return,
                }
                tick = self.ticks_until_now() + 1;
            }
            let due = self.time_of(tick);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let late = Instant::now().saturating_duration_since(due);
            if late >= FRAME {
                self.shared().metrics.late_ticks.inc();
                let behind = u64::try_from(late.as_millis() / FRAME.as_millis()).unwrap_or(u64::MAX);
                let skipped = behind.saturating_sub(limits::CATCH_UP_TICKS_MAX.into());
                self.shared().metrics.skipped_ticks.inc_by(skipped);
                tick += skipped;
            }
            let before = processor_time();
            self.tick(tick);
            self.shared().metrics.tick_seconds.observe((processor_time() - before).as_secs_f64());
            tick += 1;
        }
    }

    fn shared(&self) -> &Shared {
        &self.seed.shared
    }

    fn ticks_until_now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis() / FRAME.as_millis()).unwrap_or(u64::MAX)
    }

    fn time_of(&self, tick: u64) -> Instant {
        self.started + Duration::from_millis(tick.saturating_mul(20))
    }

    /// The core's time of an instant, as this thread counts it.
    fn at(&self, instant: Instant) -> time::Instant {
        let micros = instant.saturating_duration_since(self.started).as_micros();
        time::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn is_idle(&self) -> bool {
        self.recordings.is_empty()
            && self.taps.is_empty()
            && self.unordered.is_empty()
            && self.untold.is_empty()
            && self.ports.values().all(Port::is_idle)
    }

    /// 20 ms.
    pub(super) fn tick(&mut self, tick: u64) {
        while let Ok(input) = self.seed.inputs.try_recv() {
            self.take(input);
        }
        while let Ok(heard) = self.seed.heard.try_recv() {
            self.hear(heard);
        }
        for (recording, keep) in std::mem::take(&mut self.ending) {
            self.finish(recording, keep);
        }
        self.hear_far_ends();
        self.tick_ports(tick);
        let now = self.at(self.time_of(tick));
        self.taps.values_mut().for_each(|tap| tap.tick(now));
        if tick.is_multiple_of(limits::ADVANCE_TICKS) {
            self.advance();
        }
        self.count();
        self.try_again();
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.command(command),
            Input::Tap { tap, step, port, allowed } => self.tap(tap, step, port, allowed),
            Input::Loaded { port, playback, sound } => self.loaded(port, playback, sound),
            Input::Begun { recording, begun } => self.begun(recording, begun),
            Input::BrokeOff { recording, failure } => self.broken(recording, failure),
            Input::FarEndGone { tap, failure } => self.far_end_gone(tap, failure),
            Input::Stop => {
                self.is_stopping = true;
                self.taps.clear();
                self.ports.clear();
                self.ending.extend(self.recordings.keys().map(|recording| (*recording, true)));
            }
        }
    }

    fn command(&mut self, command: AudioCommand) {
        match command {
            AudioCommand::Open { port, tenant, call: _, flow, to } => {
                let egress = look_up(&self.shared().links, to);
                self.ports.insert(port, Port::new(tenant, flow, egress));
                self.shared().metrics.ports.inc();
            }
            AudioCommand::Retarget { port, to } => {
                let egress = look_up(&self.shared().links, to);
                if let Some(port) = self.ports.get_mut(&port) {
                    port.retarget(egress);
                }
            }
            AudioCommand::Play { port, playback, sound, times } => self.play(port, playback, sound, times),
            AudioCommand::Stop { port } => {
                if self.ports.get_mut(&port).is_some_and(Port::stop) {
                    self.count_playback("stopped");
                }
            }
            AudioCommand::Watch { port, silence } => {
                if let Some(port) = self.ports.get_mut(&port) {
                    port.ear = silence.map(Ear::new);
                }
            }
            AudioCommand::Close { port } => {
                if let Some(mut closed) = self.ports.remove(&port) {
                    self.shared().metrics.ports.dec();
                    if closed.stop() {
                        self.count_playback("stopped");
                    }
                }
            }
            AudioCommand::Record { recording, what } => {
                self.recordings.insert(recording, Recording::new(recording, *what));
                self.shared().metrics.recordings.inc();
                self.begin(recording);
            }
            AudioCommand::Finish { recording, keep } => self.ending.push((recording, keep)),
            // Comes as an input of its own, with where it may go.
            AudioCommand::Tap { tap, .. } => {
                self.tell(AudioEvent::TapEnded { tap, failure: Some("the tap has no function".to_owned()) });
            }
            AudioCommand::Untap { tap } => self.untap(tap),
        }
    }

    fn play(&mut self, id: PortId, playback: u32, sound: Sound, times: u32) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let tenant = port.tenant.clone();
        if port.load(playback, times) {
            self.count_playback("stopped");
        }
        let loading = Arc::clone(&self.loading);
        if loading.fetch_add(1, Ordering::Relaxed) >= limits::LOADING_MAX {
            loading.fetch_sub(1, Ordering::Relaxed);
            let failure = Err("too many sounds are being looked up at this node; try again".to_owned());
            return self.loaded(id, playback, failure);
        }
        let (shared, itself) = (Arc::clone(&self.seed.shared), self.seed.itself.clone());
        self.shared().runtime.spawn(async move {
            let sound = shared.sounds.load(&tenant, sound).await;
            loading.fetch_sub(1, Ordering::Relaxed);
            // An error means that the thread has ended.
            let _ = itself.send(Input::Loaded { port: id, playback, sound }).await;
        });
    }

    fn loaded(&mut self, id: PortId, playback: u32, sound: Result<Packets, String>) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        match sound {
            Ok(packets) => {
                port.begin(playback, packets);
            }
            Err(failure) => {
                if port.fail(playback) {
                    self.count_playback("failed");
                    self.tell(AudioEvent::Played { port: id, playback, failure: Some(failure) });
                }
            }
        }
    }

    fn tick_ports(&mut self, tick: u64) {
        let mut events = Vec::new();
        for (id, port) in &mut self.ports {
            if let Ticked::Played(playback) = port.tick(tick, &mut self.buffer, &mut self.sent) {
                events.push(AudioEvent::Played { port: *id, playback, failure: None });
            }
            if port.ear.as_mut().is_some_and(Ear::tick) {
                port.ear = None;
                events.push(AudioEvent::Silence { port: *id });
            }
        }
        for event in events {
            if matches!(event, AudioEvent::Played { .. }) {
                self.count_playback("finished");
            }
            self.tell(event);
        }
    }

    /// A copy of somebody's voice.
    fn hear(&mut self, heard: Heard) {
        let Heard { destination, at, datagram } = heard;
        let Ok(found) = datagram::parse(&datagram) else { return };
        let Ok(packet) = Packet::parse(&datagram[found.rtp_at..]) else { return };
        if packet.header.payload_type != OPUS_PAYLOAD_TYPE || packet.payload.is_empty() {
            return;
        }
        match destination {
            Destination::Port(port) => {
                if let Some(ear) = self.ports.get_mut(&port).and_then(|port| port.ear.as_mut()) {
                    ear.hear(&packet);
                }
            }
            Destination::Recording(id, track) => {
                let Some(recording) = self.recordings.get_mut(&id) else { return };
                match recording.hear(at, track, &packet, part(&datagram, packet.payload)) {
                    Ok(None) => {}
                    Ok(Some(order)) => self.order(id, order),
                    Err(failure) => self.broken(id, failure),
                }
            }
            Destination::Tap(id, track) => {
                let now = self.at(at);
                if let Some(tap) = self.taps.get_mut(&id) {
                    tap.hear(at, now, track, &packet, part(&datagram, packet.payload));
                }
            }
            // Links and rooms have their own ways.
            Destination::Link(_) | Destination::Room(_) => {}
        }
    }

    fn begin(&mut self, recording: RecordingId) {
        let Some(what) = self.recordings.get(&recording).map(|recording| Arc::clone(&recording.what)) else { return };
        let (shared, itself) = (Arc::clone(&self.seed.shared), self.seed.itself.clone());
        let task = self.seed.task.clone();
        self.shared().runtime.spawn(async move {
            let begun = shared.archive.begin(recording, &what).await;
            let _ = itself.send(Input::Begun { recording, begun }).await;
            drop(task);
        });
    }

    fn begun(&mut self, id: RecordingId, begun: Result<Begun, String>) {
        let begun = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                self.broken(id, failure);
                if let Some(keep) = self.recordings.get_mut(&id).and_then(Recording::not_begun) {
                    self.finish(id, keep);
                }
                return;
            }
        };
        let itself = self.seed.itself.clone();
        let failed: Failed = Box::new(move |failure| {
            // An error means that the thread has ended.
            let _ = itself.blocking_send(Input::BrokeOff { recording: id, failure });
        });
        let Some(recording) = self.recordings.get_mut(&id) else { return };
        let (orders, ending) = recording.begun(begun, failed);
        for order in orders {
            self.order(id, order);
        }
        // What came before its end is still to be heard.
        self.ending.extend(ending.map(|keep| (id, keep)));
    }

    fn advance(&mut self) {
        let now = Instant::now();
        let orders: Vec<_> =
            self.recordings.iter().filter_map(|(id, recording)| Some((*id, recording.advance(now)?))).collect();
        for (id, order) in orders {
            self.order(id, order);
        }
    }

    /// Gives an order to write. When the disk is so slow that there is no room, the recording breaks off.
    fn order(&mut self, id: RecordingId, order: Order) {
        if self.seed.orders.try_send(order).is_err() {
            self.broken(id, "the disk is too slow to record".to_owned());
        }
    }

    fn broken(&mut self, id: RecordingId, failure: String) {
        if self.recordings.get_mut(&id).is_some_and(Recording::fail) {
            self.shared().count_recording("failed");
            self.tell(AudioEvent::RecordingFailed { recording: id, failure });
        }
    }

    fn finish(&mut self, id: RecordingId, keep: bool) {
        let Some(recording) = self.recordings.get_mut(&id) else { return };
        let ending = match recording.finish(Instant::now(), keep) {
            Finished::Later => return,
            Finished::Nothing => None,
            Finished::Now(ending) => Some(ending),
        };
        let what = Arc::clone(&recording.what);
        self.recordings.remove(&id);
        self.shared().metrics.recordings.dec();
        let Some(ending) = ending else { return };
        self.unordered.push_back(ending.order);
        self.try_again();
        let (shared, task) = (Arc::clone(&self.seed.shared), self.seed.task.clone());
        let (closed, kept_as, mut ended) = (ending.closed, ending.kept_as, ending.ended);
        self.shared().runtime.spawn(async move {
            ended.is_whole &= closed.await.unwrap_or(false);
            match shared.archive.end(&what, kept_as, ended).await {
                Ok(()) => shared.count_recording(if ended.keep { "kept" } else { "discarded" }),
                Err(failure) => {
                    tracing::warn!(recording = %id, tenant = %what.tenant, failure, "a recording could not be kept");
                    shared.count_recording("unkept");
                }
            }
            drop(task);
        });
    }

    fn tap(&mut self, id: TapId, step: Box<TapStep>, port: Option<PortId>, allowed: Vec<HostPattern>) {
        let (to, from_us) = mpsc::channel(limits::TAP_FRAMES_MAX);
        let (to_us, from) = mpsc::channel(limits::TAP_MESSAGES_MAX);
        let voice = Voice::new(id, tap::rate(step.format)).ok();
        if let (Some(port), Some(voice)) = (port.and_then(|port| self.ports.get_mut(&port)), voice) {
            port.voice = Some(voice);
        }
        self.taps.insert(id, Tap::new(step.format, to, from, port));
        self.shared().metrics.taps.inc();
        let far_end = FarEnd { sockets: self.shared().sockets.clone(), tap: id, step, allowed };
        let itself = self.seed.itself.clone();
        self.shared().runtime.spawn(async move {
            let failure = far_end.talk(from_us, to_us).await;
            let _ = itself.send(Input::FarEndGone { tap: id, failure }).await;
        });
    }

    fn untap(&mut self, id: TapId) {
        let Some(tap) = self.taps.remove(&id) else { return };
        self.shared().metrics.taps.dec();
        let port = tap.port.and_then(|port| self.ports.get_mut(&port));
        if let Some(port) = port.filter(|port| port.voice.as_ref().is_some_and(|voice| voice.tap == id)) {
            port.voice = None;
        }
    }

    fn far_end_gone(&mut self, id: TapId, failure: Option<String>) {
        let outcome = if failure.is_some() { "failed" } else { "closed" };
        self.shared().metrics.taps_ended.get_or_create(&OutcomeLabel { outcome }).inc();
        if self.taps.contains_key(&id) {
            self.untap(id);
            self.tell(AudioEvent::TapEnded { tap: id, failure });
        }
    }

    /// What the far ends of taps say.
    fn hear_far_ends(&mut self) {
        for tap in self.taps.values_mut() {
            let Some(voice) = tap.port.and_then(|port| self.ports.get_mut(&port)).and_then(|port| port.voice.as_mut())
            else {
                continue;
            };
            while let Ok(said) = tap.from.try_recv() {
                match said {
                    FromFarEnd::Voice(payload) => voice.say(&payload),
                    FromFarEnd::Clear => voice.clear(),
                    FromFarEnd::Mark(name) => voice.mark(name),
                }
            }
            let reached: Vec<_> = voice.reached().collect();
            self.seed.shared.metrics.tap_voice_lost.inc_by(voice.lost());
            reached.into_iter().for_each(|mark| tap.reached(mark));
        }
    }

    fn count(&mut self) {
        let Sent { sent, unsent } = std::mem::take(&mut self.sent);
        let lost = self.taps.values_mut().map(Tap::lost).sum();
        let metrics = &self.shared().metrics;
        metrics.sent.inc_by(sent);
        metrics.unsent.inc_by(unsent);
        metrics.tap_frames_lost.inc_by(lost);
    }

    fn count_playback(&self, outcome: &'static str) {
        self.shared().metrics.playbacks.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    fn tell(&mut self, event: AudioEvent) {
        self.untold.push_back(event);
        if self.untold.len() > limits::EVENTS_MAX {
            self.untold.pop_front();
            self.shared().metrics.events_lost.inc();
        }
        self.try_again();
    }

    /// What found no room before. Nobody at the other end: the node stops.
    fn try_again(&mut self) {
        while let Some(event) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.seed.events.try_send(event) {
                self.untold.push_front(event);
                break;
            }
        }
        while let Some(order) = self.unordered.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(order)) = self.seed.orders.try_send(order) {
                self.unordered.push_front(order);
                break;
            }
        }
    }
}

/// A packet's payload as a part of the datagram that it came in: nothing is copied.
fn part(datagram: &Bytes, payload: &[u8]) -> Bytes {
    datagram.slice_ref(payload)
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

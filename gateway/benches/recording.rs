//! What the codec threads cost: processor time a packet of playing to parties, and of recording both voices of calls to files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rustix::time::{ClockId, clock_gettime};
use tandem::audio::{Archive, Audio, AudioMetrics, Begun, Ended, Fetched, Parts};
use tandem::media::{Egress, Heard};
use tandem::outgoing::addresses::Reach;
use tandem::outgoing::websocket::WebSockets;
use tandem::telemetry::Metrics;
use tandem_audio::tone::{Meaning, Region, Tone as Waves};
use tandem_switch::audio::{AudioCommand, Destination, PortId, Purpose, Recording, RecordingId, Sound, Track};
use tandem_switch::id::{CallId, FlowId, LinkId, TenantId, UserId};
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{FRAME_TICKS, Header, OPUS_PAYLOAD_TYPE};
use tandem_switch::plan::Tone;
use tokio::sync::mpsc;

/// Parties that are played to at once.
const PORTS: u64 = 1_000;

/// Calls that are recorded at once, two voices each.
const RECORDINGS: u128 = 500;

/// How long each part takes.
const SECONDS: u64 = 10;

const FRAME: Duration = Duration::from_millis(20);

/// Whether this is only a look whether the benchmark works: without the `--bench` that `cargo bench` passes.
fn smoke() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// A folder for files; no prompts.
struct Folder(PathBuf);

#[async_trait]
impl Archive for Folder {
    async fn prompt(&self, _: &TenantId, name: &str, _: Option<u64>) -> Result<Fetched, String> {
        Err(format!("there is no prompt `{name}`"))
    }

    async fn greeting(&self, _: &TenantId, _: &UserId) -> Result<Option<String>, String> {
        Ok(None)
    }

    async fn begin(&self, recording: RecordingId, what: &Recording) -> Result<Begun, String> {
        let files = (0..what.tracks.len()).map(|track| self.0.join(format!("{recording}.{track}.ogg"))).collect();
        Ok(Begun { kept_as: recording.call.0, files })
    }

    async fn end(&self, _: &Recording, _: u128, ended: Ended) -> Result<(), String> {
        if ended.is_whole { Ok(()) } else { Err("a recording broke off".to_owned()) }
    }
}

fn clock(which: ClockId) -> Duration {
    let time = clock_gettime(which);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// One figure of the metrics' text.
fn figure(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.encode();
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|number| number.parse().ok()).expect("the figure")
}

/// The codec threads, their counters, and where what they play arrives.
fn start(
    folder: PathBuf,
) -> (Audio, Arc<Metrics>, mpsc::Receiver<Bytes>, mpsc::Receiver<tandem_switch::audio::AudioEvent>) {
    let metrics = Arc::new(Metrics::new());
    let (party, arrives) = mpsc::channel(PORTS as usize * 50);
    let parts = Parts {
        links: Arc::new(move |_| Some(Egress::Websocket(party.clone()))),
        archive: Arc::new(Folder(folder)),
        sockets: WebSockets::new(Reach::default()).expect("TLS"),
        metrics: metrics.area("audio", AudioMetrics::register),
        threads: 0,
    };
    let (audio, events) = Audio::start(parts).expect("threads");
    (audio, metrics, arrives, events)
}

/// Says what a packet cost: all threads but the one that measures, and the codec threads alone.
fn report(what: &str, packets: u64, process: Duration, measuring: Duration, codec: f64) {
    let each = |seconds: f64| seconds * 1e6 / packets.max(1) as f64;
    let (all, codec) = (each(process.saturating_sub(measuring).as_secs_f64()), each(codec));
    println!("{what}: {packets} packets, {all:.2} µs of CPU a packet, {codec:.2} µs of it on codec threads");
}

fn playing(seconds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut audio, metrics, mut arrives, _events) = start(folder.path().to_owned());
    let tenant = TenantId::new("bench").expect("a name");
    for port in 0..PORTS {
        let (call, flow) = (CallId(port.into()), FlowId(20_000 + port as u32));
        let (tenant, to, port) = (tenant.clone(), Some(LinkId(1)), PortId(port));
        assert_eq!(audio.command(AudioCommand::Open { port, tenant, call, flow, to }), None);
        let sound = Sound::Tone(Tone::Dial);
        assert_eq!(audio.command(AudioCommand::Play { port, playback: 1, sound, times: 1_000 }), None);
    }
    // From the second packet of all on.
    (0..PORTS).for_each(|_| drop(arrives.blocking_recv()));
    let (process, own) = (clock(ClockId::ProcessCPUTime), clock(ClockId::ThreadCPUTime));
    let (codec, begun) = (figure(&metrics, "tandem_audio_tick_cpu_seconds_sum"), Instant::now());
    let mut packets = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(FRAME);
        while arrives.try_recv().is_ok() {
            packets += 1;
        }
    }
    let codec = figure(&metrics, "tandem_audio_tick_cpu_seconds_sum") - codec;
    let (process, own) = (clock(ClockId::ProcessCPUTime) - process, clock(ClockId::ThreadCPUTime) - own);
    report(&format!("playing to {PORTS} parties"), packets, process, own, codec);
    println!("  late ticks: {}", figure(&metrics, "tandem_audio_ticks_late_total"));
    tokio::runtime::Handle::current().block_on(audio.stop());
}

/// A second of packets as they come from a talker.
fn voices() -> Vec<Bytes> {
    Waves::network(Meaning::Dial, Region::Europe).packets().expect("packets").to_vec()
}

fn datagram(number: u64, ssrc: u32, payload: &[u8]) -> Bytes {
    let header = Header {
        marker: number == 0,
        payload_type: OPUS_PAYLOAD_TYPE,
        sequence: number as u16,
        timestamp: (number as u32).wrapping_mul(FRAME_TICKS),
        ssrc,
    };
    let mut datagram = BytesMut::with_capacity(256);
    datagram::write_prefix(FlowId(20_000), &mut datagram);
    header.write(None, &mut datagram);
    datagram.extend_from_slice(payload);
    datagram.freeze()
}

fn recording(seconds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut audio, metrics, _arrives, mut events) = start(folder.path().to_owned());
    let tracks = [Track::Caller, Track::Callee];
    let what = Recording {
        tenant: TenantId::new("bench").expect("a name"),
        caller: UserId::new("carol").expect("a name"),
        dialled: "bench".to_owned(),
        purpose: Purpose::Call,
        tracks: tracks.to_vec(),
    };
    let ids: Vec<_> = (0..RECORDINGS).map(|call| RecordingId { call: CallId(call), number: 1 }).collect();
    for recording in &ids {
        let command = AudioCommand::Record { recording: *recording, what: Box::new(what.clone()) };
        assert_eq!(audio.command(command), None);
    }
    let sink = |recording: &RecordingId, track| audio.sink(Destination::Recording(*recording, track)).expect("a sink");
    let sinks: Vec<_> = ids.iter().flat_map(|recording| tracks.map(|track| sink(recording, track))).collect();
    let voices = voices();
    let (process, own) = (clock(ClockId::ProcessCPUTime), clock(ClockId::ThreadCPUTime));
    let begun = Instant::now();
    let frames = seconds * 50;
    for frame in 0..frames {
        std::thread::sleep((begun + FRAME * frame as u32).saturating_duration_since(Instant::now()));
        for (ssrc, sink) in (0..).zip(&sinks) {
            let datagram = datagram(frame, ssrc, &voices[frame as usize % voices.len()]);
            let heard = Heard { destination: sink.destination, at: Instant::now(), datagram };
            assert!(sink.queue.try_send(heard).is_ok(), "the codec threads keep up");
        }
    }
    let own = clock(ClockId::ThreadCPUTime) - own;
    for recording in ids {
        assert_eq!(audio.command(AudioCommand::Finish { recording, keep: true }), None);
    }
    tokio::runtime::Handle::current().block_on(audio.stop());
    let process = clock(ClockId::ProcessCPUTime) - process;
    let codec = figure(&metrics, "tandem_audio_tick_cpu_seconds_sum");
    report(&format!("recording {RECORDINGS} calls, two voices each"), frames * sinks.len() as u64, process, own, codec);
    println!("  late ticks: {}", figure(&metrics, "tandem_audio_ticks_late_total"));
    assert!(events.try_recv().is_err(), "no recording broke off");
}

fn main() {
    let seconds = if smoke() { 1 } else { SECONDS };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _context = runtime.enter();
    playing(seconds);
    recording(seconds);
}

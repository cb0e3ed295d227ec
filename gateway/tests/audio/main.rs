//! The codec threads: real threads, real files, a real WebSocket; the party is a queue, the archive a folder.

mod recordings;
mod tapping;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use prometheus_client::registry::Registry;
use tandem::audio::{Archive, Audio, AudioMetrics, Begun, Ended, Fetched, Parts};
use tandem::media::{Egress, Heard};
use tandem::outgoing::addresses::Reach;
use tandem::outgoing::websocket::WebSockets;
use tandem_audio::opus::{Decoder, Encoder, EncoderOptions, PACKET_BYTES_MAX, Rate};
use tandem_audio::pcm::FRAME_SAMPLES;
use tandem_audio::prompt::Prompt;
use tandem_switch::audio::{AudioCommand, AudioEvent, Destination, Digit, PortId, Recording, RecordingId, Sound};
use tandem_switch::id::{CallId, FlowId, LinkId, TenantId, UserId};
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{FRAME_TICKS, Header, OPUS_PAYLOAD_TYPE, Packet};
use tandem_switch::plan::Tone;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A packet of no more bytes is silence.
const SILENCE_BYTES_MAX: usize = 3;

const CALL: CallId = CallId(7);
const PORT: PortId = PortId(3);
const FLOW: FlowId = FlowId(20_000);
const LINK: LinkId = LinkId(1);

/// Prompts and files of the tests.
struct Folder {
    prompts: Mutex<HashMap<String, (u64, Bytes)>>,
    /// Where a recording's tracks go.
    files: Vec<PathBuf>,
    /// Recordings begin while nobody holds it.
    gate: tokio::sync::Mutex<()>,
    ended: mpsc::UnboundedSender<Ended>,
}

#[async_trait]
impl Archive for Folder {
    async fn prompt(&self, _: &TenantId, name: &str, known: Option<u64>) -> Result<Fetched, String> {
        match self.prompts.lock().unwrap().get(name) {
            Some((revision, _)) if Some(*revision) == known => Ok(Fetched::Same),
            Some((revision, ogg)) => Ok(Fetched::New { revision: *revision, ogg: ogg.clone() }),
            None => Err(format!("there is no prompt `{name}`")),
        }
    }

    async fn greeting(&self, _: &TenantId, mailbox: &UserId) -> Result<Option<String>, String> {
        Ok(self.prompts.lock().unwrap().contains_key(mailbox.as_str()).then(|| mailbox.to_string()))
    }

    async fn begin(&self, _: RecordingId, what: &Recording) -> Result<Begun, String> {
        let _open = self.gate.lock().await;
        match self.files.is_empty() {
            true => Err("no budget".to_owned()),
            false => Ok(Begun { kept_as: 9, files: self.files[..what.tracks.len()].to_vec() }),
        }
    }

    async fn end(&self, _: &Recording, kept_as: u128, ended: Ended) -> Result<(), String> {
        assert_eq!(kept_as, 9);
        self.ended.send(ended).map_err(|error| error.to_string())
    }
}

/// The codec threads, one party, and what they tell.
struct Kit {
    audio: Audio,
    events: mpsc::Receiver<AudioEvent>,
    party: mpsc::Receiver<Bytes>,
    archive: Arc<Folder>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Kit {
    fn start(files: Vec<PathBuf>) -> Self {
        let (sender, party) = mpsc::channel(4096);
        let (ended, ends) = mpsc::unbounded_channel();
        let archive = Arc::new(Folder { prompts: Mutex::default(), files, gate: tokio::sync::Mutex::default(), ended });
        let parts = Parts {
            links: Arc::new(move |link| (link == LINK).then(|| Egress::Websocket(sender.clone()))),
            archive: archive.clone(),
            sockets: WebSockets::new(Reach::with_private(vec!["127.0.0.0/8".parse().unwrap()])).unwrap(),
            metrics: AudioMetrics::register(&mut Registry::default()),
            threads: 2,
        };
        let (audio, events) = Audio::start(parts).unwrap();
        Self { audio, events, party, archive, ended: ends }
    }

    fn with_port(files: Vec<PathBuf>) -> Self {
        let mut kit = Self::start(files);
        let tenant = TenantId::new("acme").unwrap();
        kit.command(AudioCommand::Open { port: PORT, tenant, call: CALL, flow: FLOW, to: Some(LINK) });
        kit
    }

    fn command(&mut self, command: AudioCommand) {
        assert_eq!(self.audio.command(command), None);
    }

    fn play(&mut self, playback: u32, sound: Sound, times: u32) {
        self.command(AudioCommand::Play { port: PORT, playback, sound, times });
    }

    fn put_prompt(&self, name: &str, revision: u64, hz: f64, frames: usize) -> Arc<[Bytes]> {
        let prompt = Prompt::from_samples(&tone(hz, frames)).unwrap();
        let mut prompts = self.archive.prompts.lock().unwrap();
        prompts.insert(name.to_owned(), (revision, prompt.to_ogg().into()));
        prompt.packets
    }

    async fn event(&mut self) -> AudioEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event comes").expect("the threads live")
    }

    async fn ended(&mut self) -> Ended {
        timeout(PATIENCE, self.ended.recv()).await.expect("a recording ends").expect("the archive lives")
    }

    /// The next packet of sound; the silence that ends a talk spurt is passed over.
    async fn packet(&mut self) -> (Header, Bytes) {
        loop {
            let (header, payload) = parsed(timeout(PATIENCE, self.party.recv()).await.expect("a packet comes"));
            if payload.len() > SILENCE_BYTES_MAX {
                return (header, payload);
            }
        }
    }

    /// How many packets of sound were sent until now.
    fn sent(&mut self) -> usize {
        let packets = std::iter::from_fn(|| self.party.try_recv().ok());
        packets.filter(|datagram| parsed(Some(datagram.clone())).1.len() > SILENCE_BYTES_MAX).count()
    }
}

/// What the party was sent.
fn parsed(datagram: Option<Bytes>) -> (Header, Bytes) {
    let datagram = datagram.expect("the port lives");
    let found = datagram::parse(&datagram).unwrap();
    assert_eq!(found.flow, FLOW);
    let packet = Packet::parse(&datagram[found.rtp_at..]).unwrap();
    assert_eq!(packet.header.payload_type, OPUS_PAYLOAD_TYPE);
    (packet.header, datagram.slice_ref(packet.payload))
}

/// So many frames of a tone.
fn tone(hz: f64, frames: usize) -> Vec<i16> {
    let sample = |n: usize| (8_000.0 * (std::f64::consts::TAU * hz * n as f64 / 48_000.0).sin()) as i16;
    (0..frames * FRAME_SAMPLES).map(sample).collect()
}

/// A tone as packets of 20 ms.
fn tone_packets(hz: f64, frames: usize) -> Vec<Bytes> {
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    let mut packet = [0; PACKET_BYTES_MAX];
    let mut encode = |frame: &[i16]| {
        let bytes = encoder.encode(frame, &mut packet).unwrap();
        Bytes::copy_from_slice(&packet[..bytes])
    };
    tone(hz, frames).chunks(FRAME_SAMPLES).map(&mut encode).collect()
}

/// The share of the power that is at `hz`, of samples at `rate`; 0 when there is next to none.
fn share_at(samples: &[i16], hz: f64, rate: f64) -> f64 {
    let (mut real, mut imaginary, mut power) = (0.0, 0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * hz * n as f64 / rate;
        real += f64::from(sample) * angle.cos();
        imaginary += f64::from(sample) * angle.sin();
        power += f64::from(sample).powi(2);
    }
    let count = samples.len().max(1) as f64;
    if power / count < 100.0 * 100.0 { 0.0 } else { 2.0 * (real * real + imaginary * imaginary) / (power * count) }
}

/// A datagram of somebody's voice.
fn voice(number: usize, ssrc: u32, payload: &[u8]) -> Bytes {
    let header = Header {
        marker: number == 0,
        payload_type: OPUS_PAYLOAD_TYPE,
        sequence: number as u16,
        timestamp: (number as u32).wrapping_mul(FRAME_TICKS),
        ssrc,
    };
    let mut datagram = BytesMut::new();
    datagram::write_prefix(FlowId(77), &mut datagram);
    header.write(None, &mut datagram);
    datagram.extend_from_slice(payload);
    datagram.freeze()
}

/// Lets the codec threads hear something.
fn say(kit: &Kit, destination: Destination, at: Instant, datagram: Bytes) {
    let sink = kit.audio.sink(destination).unwrap();
    sink.queue.try_send(Heard { destination, at, datagram }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tone_is_played_as_often_as_was_asked_in_its_own_time() {
    let mut kit = Kit::with_port(Vec::new());
    kit.play(1, Sound::Tone(Tone::Beep), 2);
    let (first, payload) = kit.packet().await;
    let begun = Instant::now();
    assert!(first.marker, "a talk spurt begins");
    let (mut headers, mut payloads, mut closing) = (vec![first], vec![payload], Vec::new());
    let event = loop {
        tokio::select! {
            biased;
            datagram = kit.party.recv() => {
                let (header, payload) = parsed(datagram);
                if payload.len() > SILENCE_BYTES_MAX {
                    headers.push(header);
                    payloads.push(payload);
                } else {
                    closing.push(payload.len());
                }
            }
            event = kit.events.recv() => break event.unwrap(),
        }
    };
    assert_eq!(event, AudioEvent::Played { port: PORT, playback: 1, failure: None });
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(20 * (headers.len() as u64 - 2)), "{} packets in {took:?}", headers.len());
    // 0.4 s and what the encoder holds back, twice.
    assert_eq!(headers.len(), 42);
    for (index, header) in headers.iter().enumerate() {
        assert_eq!(header.ssrc, first.ssrc);
        assert_eq!(header.sequence, first.sequence.wrapping_add(index as u16));
        assert_eq!(header.marker, index == 0);
    }
    let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
    let mut heard = Vec::new();
    for payload in &payloads {
        let mut frame = [0; FRAME_SAMPLES];
        decoder.decode(payload, &mut frame).unwrap();
        heard.extend(frame);
    }
    for beep in [2_400..14_400, 2_400 + 21 * 960..14_400 + 21 * 960] {
        assert!(share_at(&heard[beep], 1_000.0, 48_000.0) > 0.9);
    }
    // What ends it: silence, and the sign that nothing comes after it.
    while closing.last() != Some(&1) {
        let (header, payload) = parsed(timeout(PATIENCE, kit.party.recv()).await.unwrap());
        assert!(!header.marker);
        closing.push(payload.len());
    }
    assert_eq!(closing, [3, 3, 3, 1]);

    // Time went on meanwhile, and the next one begins a talk spurt of the same source.
    kit.play(2, Sound::Digits("12".chars().filter_map(Digit::new).collect()), 1);
    let (next, _) = kit.packet().await;
    let last = headers.last().unwrap();
    assert!(next.marker && next.ssrc == last.ssrc && next.sequence == last.sequence.wrapping_add(5));
    assert!(next.timestamp.wrapping_sub(last.timestamp) > FRAME_TICKS);
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 2, failure: None });
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_replaced_plays_on_and_the_new_one_is_played_next() {
    let mut kit = Kit::with_port(Vec::new());
    let old = kit.put_prompt("hello", 1, 440.0, 20);
    kit.play(1, Sound::Prompt("hello".into()), 1);
    assert_eq!(kit.packet().await.1, old[0]);
    let new = kit.put_prompt("hello", 2, 1_000.0, 3);
    for packet in &old[1..] {
        assert_eq!(kit.packet().await.1, *packet);
    }
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 1, failure: None });
    kit.play(2, Sound::Prompt("hello".into()), 1);
    for packet in new.iter() {
        assert_eq!(kit.packet().await.1, *packet);
    }
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 2, failure: None });
    // From memory now.
    kit.play(3, Sound::Prompt("hello".into()), 1);
    assert_eq!(kit.packet().await.1, new[0]);
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_told_and_a_mailbox_without_greeting_has_none() {
    let mut kit = Kit::with_port(Vec::new());
    kit.play(1, Sound::Prompt("nothing".into()), 1);
    let failure = Some("there is no prompt `nothing`".to_owned());
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 1, failure });
    kit.archive.prompts.lock().unwrap().insert("broken".into(), (1, Bytes::from_static(b"OggS, or not")));
    kit.play(2, Sound::Prompt("broken".into()), 1);
    let AudioEvent::Played { playback: 2, failure: Some(failure), .. } = kit.event().await else { panic!("told") };
    assert!(failure.contains("`broken` cannot be read"), "{failure}");
    kit.play(3, Sound::Greeting(UserId::new("bob").unwrap()), 1);
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 3, failure: None });
    assert_eq!(kit.sent(), 0);
    let unknown = AudioCommand::Play { port: PortId(99), playback: 1, sound: Sound::Tone(Tone::Beep), times: 1 };
    assert!(matches!(kit.audio.command(unknown), Some(AudioEvent::Played { failure: Some(_), .. })));
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_is_not_answered_and_a_lost_link_does_not_stop_it() {
    let mut kit = Kit::with_port(Vec::new());
    kit.play(1, Sound::Tone(Tone::Dial), 1_000);
    kit.packet().await;
    kit.command(AudioCommand::Stop { port: PORT });
    kit.play(2, Sound::Tone(Tone::Dial), 1_000);
    kit.packet().await;
    kit.command(AudioCommand::Retarget { port: PORT, to: None });
    kit.play(3, Sound::Tone(Tone::Beep), 1);
    assert_eq!(kit.event().await, AudioEvent::Played { port: PORT, playback: 3, failure: None }, "unheard");
    kit.sent();
    kit.command(AudioCommand::Retarget { port: PORT, to: Some(LINK) });
    kit.play(4, Sound::Tone(Tone::Beep), 1);
    assert!(kit.packet().await.0.marker);
    kit.command(AudioCommand::Close { port: PORT });
    assert!(kit.audio.sink(Destination::Port(PORT)).is_none());
    kit.audio.stop().await;
    assert_eq!(kit.events.recv().await, None, "neither stopped nor closed playbacks are answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_once() {
    let mut kit = Kit::with_port(Vec::new());
    let silence = Duration::from_millis(300);
    let begun = Instant::now();
    kit.command(AudioCommand::Watch { port: PORT, silence: Some(silence) });
    let talk = tone_packets(300.0, 30);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for (number, packet) in talk.iter().enumerate() {
        ticks.tick().await;
        say(&kit, Destination::Port(PORT), Instant::now(), voice(number, 1, packet));
    }
    assert_eq!(kit.event().await, AudioEvent::Silence { port: PORT });
    assert!(begun.elapsed() >= Duration::from_millis(580) + silence, "{:?}", begun.elapsed());
    kit.play(1, Sound::Tone(Tone::Beep), 1);
    assert!(matches!(kit.event().await, AudioEvent::Played { .. }), "silence is told once");
    kit.audio.stop().await;
}

//! A channel with a thousand listeners, and rooms of 3, 10 and 50 talkers: packets that leave a second, processor time for each, and loss.
//!
//! The shards run in a process of their own (this program, started anew), with a driver that puts whoever says `hello` into one room: what is
//! measured is the way of the packets, on one shard, so that the figure is one core's. Clients and shards share the machine: where it has
//! two cores, the clients have the other. Talkers send 50 packets a second each; three are loud and heard, the others quiet.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use prometheus_client::registry::Registry;
use quinn::crypto::rustls::QuicClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tandem::media::{LinkEvent, Listener, Media, MediaConfig, MediaMetrics, Route};
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::limits::ROOM_SPEAKERS;
use tandem_switch::media::{datagram, rtp};
use tandem_switch::signal::{ClientMessage, Hello, ServerMessage, VERSION};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

const ROOM: RoomId = RoomId(1);
const FRAME: Duration = Duration::from_millis(20);

/// How long talkers talk before anything is measured: places are taken, and timers are in their stride.
const WARM_UP: Duration = Duration::from_secs(2);

/// How long anybody may take to come in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clock ticks a second in `/proc/<pid>/stat`: USER_HZ, which is 100 on every Linux architecture that Rust builds for.
const TICKS_PER_SECOND: f64 = 100.0;

struct Scene {
    name: &'static str,
    talkers: u32,
    listeners: u32,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--serve") {
        return tokio::runtime::Runtime::new()?.block_on(serve());
    }
    // Without the `--bench` that `cargo bench` passes this is only a look whether it works.
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let (crowd, span) = if smoke { (20, Duration::from_secs(1)) } else { (1_000, Duration::from_secs(10)) };
    let scenes = [
        Scene { name: "channel", talkers: 1, listeners: crowd },
        Scene { name: "room of 3", talkers: 3, listeners: 0 },
        Scene { name: "room of 10", talkers: 10, listeners: 0 },
        Scene { name: "room of 50", talkers: 50, listeners: 0 },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for scene in scenes {
        runtime.block_on(measure(&scene, span))?;
    }
    Ok(())
}

/// The shards and a driver that knows one room.
async fn serve() -> anyhow::Result<()> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let metrics = MediaMetrics::register(&mut Registry::default());
    let (sender, mut events) = mpsc::channel(1024);
    let config = MediaConfig { shards: 1, ..MediaConfig::new("127.0.0.1:0".parse()?) };
    let media = Media::start(config, vec![made.cert.der().clone()], key, sender, metrics)?;
    media.open_room(ROOM, ROOM_SPEAKERS);
    let hex: String = made.cert.der().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{} {hex}", media.local_addr().port());
    std::io::stdout().flush()?;
    while let Some(event) = events.recv().await {
        if let LinkEvent::Message { link, message: ClientMessage::Hello(hello), .. } = event {
            welcome(&media, link, &hello.client)?;
        }
    }
    Ok(())
}

/// Puts a link into the room: its `hello` says `talker FLOW` or `listener FLOW`.
fn welcome(media: &Media, link: LinkId, client: &str) -> anyhow::Result<()> {
    let (part, flow) = client.split_once(' ').context("a part and a flow")?;
    let flow = FlowId(flow.parse()?);
    if part == "talker" {
        media.talks(ROOM, flow, true);
        media.route(Route { from: link, flow, to: vec![Listener::Room(ROOM)], gate: Gate::Open });
    }
    media.hears(ROOM, flow, Some(Listener::Link(link)));
    media.send(link, ServerMessage::Pong { data: u64::from(flow.0) });
    Ok(())
}

/// The shards' process; ended when dropped.
struct Shards {
    process: Child,
    port: u16,
    certificate: CertificateDer<'static>,
}

impl Shards {
    fn start() -> anyhow::Result<Self> {
        let mut serve = Command::new(std::env::current_exe()?);
        let mut process = serve.arg("--serve").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("an output")?).read_line(&mut line)?;
        let (port, hex) = line.trim().split_once(' ').context("a port and a certificate")?;
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
        let certificate = (0..hex.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?.into();
        Ok(Self { process, port: port.parse()?, certificate })
    }

    fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        // Fields 14 and 15 of the whole line: user and system ticks.
        let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
    }

    fn client(&self) -> anyhow::Result<web_transport_quinn::Client> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![web_transport_quinn::ALPN.as_bytes().to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        Ok(web_transport_quinn::Client::new(quinn::Endpoint::client("127.0.0.1:0".parse()?)?, config))
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A session in the room, and its signalling stream, which must stay open.
struct Party {
    session: web_transport_quinn::Session,
    _stream: (web_transport_quinn::SendStream, web_transport_quinn::RecvStream),
}

async fn enter(client: &web_transport_quinn::Client, port: u16, part: &str, flow: u32) -> anyhow::Result<Party> {
    let url: url::Url = format!("https://127.0.0.1:{port}{}", tandem::media::CONNECT_PATH).parse()?;
    let session = client.connect(url).await?;
    let (mut mouth, mut ears) = session.open_bi().await?;
    let hello = Hello { version: VERSION, token: String::new(), client: format!("{part} {flow}"), resume: None };
    mouth.write_all(&ClientMessage::Hello(hello).encode()).await?;
    ears.read_chunk(1024, true).await?.context("an answer")?;
    Ok(Party { session, _stream: (mouth, ears) })
}

async fn measure(scene: &Scene, span: Duration) -> anyhow::Result<()> {
    let shards = Shards::start()?;
    let client = shards.client()?;
    let heard = Arc::new(AtomicU64::new(0));
    let (mut tasks, mut parties) = (JoinSet::new(), Vec::new());
    for flow in 0..scene.talkers + scene.listeners {
        let part = if flow < scene.talkers { "talker" } else { "listener" };
        let party = timeout(PATIENCE, enter(&client, shards.port, part, flow)).await??;
        tasks.spawn(listen(party.session.clone(), Arc::clone(&heard)));
        if part == "talker" {
            tasks.spawn(talk(party.session.clone(), FlowId(flow)));
        }
        parties.push(party);
    }
    sleep(WARM_UP).await;
    let (heard_before, spent_before, began) =
        (heard.load(Ordering::Relaxed), shards.processor_seconds()?, Instant::now());
    sleep(span).await;
    let took = began.elapsed().as_secs_f64();
    let received = (heard.load(Ordering::Relaxed) - heard_before) as f64;
    let spent = shards.processor_seconds()? - spent_before;
    if received == 0.0 {
        bail!("{}: nobody hears anything", scene.name);
    }
    let speakers = f64::from(scene.talkers.min(ROOM_SPEAKERS as u32));
    let expected = speakers * f64::from(scene.talkers + scene.listeners - 1) * took / FRAME.as_secs_f64();
    println!(
        "{:<11} {:>5} listeners: {:>8.0} packets/s out, {:>6.1} µs CPU a packet, loss {:.2} %",
        scene.name,
        scene.talkers + scene.listeners - 1,
        received / took,
        spent * 1e6 / received,
        (1.0 - received / expected).max(0.0) * 100.0
    );
    Ok(())
}

async fn listen(session: web_transport_quinn::Session, heard: Arc<AtomicU64>) {
    while quinn::Connection::read_datagram(&session).await.is_ok() {
        heard.fetch_add(1, Ordering::Relaxed);
    }
}

/// Talks as a voice does, up and down; the first three loudly.
async fn talk(session: web_transport_quinn::Session, flow: FlowId) {
    let first = Instant::now() + FRAME * (flow.0 % 20) / 20;
    let mut frames = interval_at(first, FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for sequence in 0_u16.. {
        frames.tick().await;
        let loudest = if flow.0 < ROOM_SPEAKERS as u32 { 18 } else { 60 };
        if session_is_over(&session, packet(flow, sequence, loudest + (sequence % 9) as u8)) {
            return;
        }
    }
}

fn session_is_over(session: &web_transport_quinn::Session, said: Bytes) -> bool {
    quinn::Connection::send_datagram(session, said).is_err()
}

fn packet(flow: FlowId, sequence: u16, below_overload_db: u8) -> Bytes {
    let timestamp = u32::from(sequence).wrapping_mul(rtp::FRAME_TICKS);
    let header = rtp::Header { marker: false, payload_type: rtp::OPUS_PAYLOAD_TYPE, sequence, timestamp, ssrc: flow.0 };
    let mut bytes = BytesMut::new();
    datagram::write_prefix(flow, &mut bytes);
    header.write(Some(rtp::AudioLevel { voice: true, below_overload_db }), &mut bytes);
    bytes.extend_from_slice(&[0x5a; 80]);
    bytes.freeze()
}

//! A gateway's shards without calls, and a bare WebTransport client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prometheus_client::registry::Registry;
use quinn::crypto::rustls::QuicClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tandem::media::{LinkEvent, Listener, Media, MediaConfig, MediaMetrics, Route};
use tandem_switch::event::Transport;
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId};
use tandem_switch::media::datagram;
use tandem_switch::signal::{ClientMessage, GoodbyeReason, Hello, ServerMessage, VERSION};
use tokio::sync::mpsc;
use web_transport_quinn::{RecvStream, SendStream, Session, SessionError, WebTransportError};

/// Longest wait for anything that has to happen: more than any time-out of the gateway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What `work` brings; the test fails when it takes too long.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).unwrap()
    }
}

/// The shards, and the test in the driver's place.
pub(crate) struct Gateway {
    pub(crate) media: Media,
    pub(crate) events: mpsc::Receiver<LinkEvent>,
    pub(crate) identity: Identity,
    registry: Registry,
}

impl Gateway {
    pub(crate) fn start(shards: usize) -> Self {
        let identity = Identity::new();
        let mut registry = Registry::default();
        let metrics = MediaMetrics::register(&mut registry);
        let (sender, events) = mpsc::channel(64);
        let config = MediaConfig { shards, ..MediaConfig::new("127.0.0.1:0".parse().unwrap()) };
        let media = Media::start(config, vec![identity.certificate.clone()], identity.key(), sender, metrics).unwrap();
        Self { media, events, identity, registry }
    }

    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("https://127.0.0.1:{}{path}", self.media.local_addr().port()).parse().unwrap()
    }

    pub(crate) async fn event(&mut self) -> LinkEvent {
        soon("an event", self.events.recv()).await.expect("the shards run")
    }

    /// The next message and its link.
    pub(crate) async fn message(&mut self) -> (LinkId, ClientMessage) {
        match self.event().await {
            LinkEvent::Message { link, message, .. } => (link, message),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The link that opens next, after its `hello`.
    pub(crate) async fn opened(&mut self) -> (LinkId, Transport) {
        let LinkEvent::Opened { link, transport } = self.event().await else { panic!("no link opened") };
        let (from, hello) = self.message().await;
        assert_eq!(from, link);
        assert!(matches!(hello, ClientMessage::Hello(_)), "{hello:?}");
        (link, transport)
    }

    pub(crate) async fn lost(&mut self, link: LinkId) {
        match self.event().await {
            LinkEvent::Lost { link: lost } => assert_eq!(lost, link),
            other => panic!("expected the loss of {link:?}, got {other:?}"),
        }
    }

    /// Connects a client that says `hello`.
    pub(crate) async fn client(&mut self) -> (LinkId, Client) {
        let mut client = Client::connect(self).await;
        client.say(&hello()).await;
        let (link, transport) = self.opened().await;
        assert_eq!(transport, Transport::Webtransport);
        (link, client)
    }

    pub(crate) fn route(&self, from: LinkId, flow: FlowId, to: LinkId, gate: Gate) {
        self.media.route(Route { from, flow, to: vec![Listener::Link(to)], gate });
    }

    /// Waits until `packets` were received on a flow; route commands given before are carried out by then.
    pub(crate) async fn received(&self, from: LinkId, flow: FlowId, packets: u64) {
        soon("packets received", async {
            while !self
                .media
                .measure()
                .await
                .iter()
                .any(|&(link, measured, reception)| (link, measured) == (from, flow) && reception.packets >= packets)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until a line of the metrics has at least this value. Shards flush once a second.
    pub(crate) async fn counted(&self, line: &str, at_least: u64) {
        let found = tokio::time::timeout(PATIENCE, async {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while self.metric(line) < at_least {
                ticks.tick().await;
            }
        });
        assert!(found.await.is_ok(), "{line} did not reach {at_least}:\n{}", self.metrics());
    }

    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = self.metrics();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(crate) fn hello() -> ClientMessage {
    ClientMessage::Hello(Hello { version: VERSION, token: "t".into(), client: "test".into(), resume: None })
}

/// A client that trusts one certificate.
pub(crate) fn endpoint(trusted: &CertificateDer<'static>) -> (quinn::Endpoint, quinn::ClientConfig) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![web_transport_quinn::ALPN.as_bytes().to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    (quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(), config)
}

pub(crate) struct Client {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) session: Session,
    pub(crate) mouth: SendStream,
    ears: RecvStream,
    heard: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let (endpoint, config) = endpoint(&gateway.identity.certificate);
        let client = web_transport_quinn::Client::new(endpoint.clone(), config);
        let session = soon("a session", client.connect(gateway.url("/v1/connect"))).await.unwrap();
        let (mouth, ears) = session.open_bi().await.unwrap();
        Self { endpoint, session, mouth, ears, heard: Vec::new() }
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) {
        self.say_bytes(&message.encode()).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        soon("room to write", self.mouth.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> ServerMessage {
        soon("a message", self.next()).await.expect("the gateway has more to say")
    }

    async fn next(&mut self) -> Option<ServerMessage> {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Some(ServerMessage::decode(&line).unwrap());
            }
            let chunk = self.ears.read_chunk(4096, true).await.unwrap()?;
            self.heard.extend_from_slice(&chunk.bytes);
        }
    }

    /// The goodbye, the stream's end and the session's close, all with the same reason.
    pub(crate) async fn hear_goodbye(&mut self, reason: GoodbyeReason, code: u32, word: &str) {
        assert_eq!(self.hear().await, ServerMessage::Goodbye { reason });
        assert_eq!(soon("the stream's end", self.next()).await, None);
        self.closed_with(code, word).await;
    }

    pub(crate) async fn closed_with(&self, code: u32, word: &str) {
        match soon("the session's close", self.session.closed()).await {
            SessionError::WebTransportError(WebTransportError::Closed(got, reason)) => {
                assert_eq!((got, reason.as_str()), (code, word));
            }
            other => panic!("closed otherwise: {other:?}"),
        }
    }

    /// Sends the very bytes as a datagram.
    pub(crate) fn send(&self, datagram: &Bytes) {
        quinn::Connection::send_datagram(&self.session, datagram.clone()).unwrap();
    }

    /// The next datagram's very bytes.
    pub(crate) async fn receive(&self) -> Bytes {
        soon("a datagram", quinn::Connection::read_datagram(&self.session)).await.unwrap()
    }
}

/// A voice datagram: flow, RTP header, some payload.
pub(crate) fn voice(flow: FlowId, sequence: u16) -> Bytes {
    let mut rtp = vec![0x80, 111];
    rtp.extend_from_slice(&sequence.to_be_bytes());
    rtp.extend_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
    rtp.extend_from_slice(&7_u32.to_be_bytes());
    rtp.extend((0..80).map(|at| (at as u8).wrapping_mul(sequence as u8)));
    let mut bytes = BytesMut::new();
    datagram::encode(flow, &rtp, &mut bytes);
    bytes.freeze()
}

/// How many links each shard has.
pub(crate) fn by_shard(links: impl IntoIterator<Item = LinkId>) -> HashMap<u64, usize> {
    let mut shards = HashMap::new();
    for link in links {
        *shards.entry(link.0 & 0xff).or_default() += 1;
    }
    shards
}

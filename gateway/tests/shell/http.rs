//! The HTTP side over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use tandem::certificate::{Certificate, Source};
use tandem::config::{Config, Secret, SigningKey, Tenant, Tls};
use tandem::control::{
    self, Control, Demo, LiveCall, Phase, Servers, Sources, Status, TakenBack, TenantStanding, WatchedRollOut,
};
use tandem::media::{Media, MediaConfig, MediaMetrics};
use tandem::telemetry::Metrics;
use tandem::tenants::model::Usage;
use tandem::token::Keyring;
use tandem_switch::id::TenantId;
use tandem_switch::time::UnixMillis;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

pub(crate) struct Node {
    pub(crate) servers: Servers,
    media: Media,
    pub(crate) certificate: Arc<Certificate>,
    keyring: Arc<Keyring>,
    phase: watch::Sender<Phase>,
    status: watch::Sender<Status>,
    _certificates: Source,
}

impl Node {
    async fn start(demo: bool) -> Self {
        Self::start_with(demo, None).await
    }

    pub(crate) async fn start_with(demo: bool, control: Option<Control>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::default();
        config.web.listen = loopback;
        config.web.plain_listen = Some(loopback);
        config.ops.listen = loopback;
        let source = Source::open(&Tls::default()).unwrap();
        let certificate = source.subscribe().borrow().clone();
        let metrics = Arc::new(Metrics::new());
        let (events, _) = mpsc::channel(1);
        let media = MediaConfig { shards: 1, ..MediaConfig::new(loopback) };
        let media_metrics = metrics.area("media", MediaMetrics::register);
        let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
        let media = Media::start(media, chain, key, events, media_metrics).unwrap();
        let signing = SigningKey { hs256_secret: Some(Secret::new("s".repeat(32))), ..SigningKey::default() };
        let tenant = Tenant { name: "demo".into(), keys: vec![signing], ..Tenant::default() };
        let keyring = Arc::new(Keyring::new(&[tenant]).unwrap());
        let users = vec![("alice".to_owned(), Some("Alice".to_owned())), ("bob".to_owned(), None)];
        let (phase, phases) = watch::channel(Phase::Starting);
        let (status, statuses) = watch::channel(Status::default());
        let sources = Sources {
            certificate: source.subscribe(),
            media: media.clone(),
            keyring: Arc::clone(&keyring),
            metrics,
            status: statuses,
            phase: phases,
            demo: demo.then(|| Demo { tenant: TenantId::new("demo").unwrap(), users }),
            control,
        };
        let servers = control::start(&config, sources).await.unwrap();
        Self { servers, media, certificate, keyring, phase, status, _certificates: source }
    }

    pub(crate) async fn stop(self) {
        self.servers.stop().await;
        self.media.stop().await;
    }

    fn plain(&self) -> SocketAddr {
        self.servers.plain.unwrap()
    }

    pub(crate) async fn ops(&self, path: &str) -> Answer {
        get(self.servers.ops, path).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(found, _)| *found == name))
            .map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Answer {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A peer that closes without a TLS goodbye has still said everything.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Connects with TLS, trusting this certificate alone.
pub(crate) async fn secure(to: SocketAddr, certificate: &Certificate) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.chain[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(to).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

async fn send(to: SocketAddr, request: &str) -> Answer {
    exchange(TcpStream::connect(to).await.unwrap(), request.as_bytes()).await
}

async fn get(to: SocketAddr, path: &str) -> Answer {
    send(to, &format!("GET {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n", to.port())).await
}

#[tokio::test]
async fn operators_see_health_readiness_metrics_and_calls() {
    let node = Node::start(false).await;
    assert_eq!(node.ops("/healthz").await.body, "ok\n");
    for (phase, status, word) in
        [(Phase::Starting, 503, "starting"), (Phase::Ready, 200, "ready"), (Phase::Draining, 503, "draining")]
    {
        node.phase.send_replace(phase);
        let answer = node.ops("/readyz").await;
        assert_eq!(answer.status, status);
        assert!(answer.body.starts_with(word), "{answer:?}");
    }
    let metrics = node.ops("/metrics").await;
    assert!(metrics.body.contains("tandem_web_sockets_upgraded_total 0"), "{metrics:?}");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let call = LiveCall { call: "c".into(), tenant: "t".into(), state: "talking".into(), seconds: 3 };
    let budgets = vec![Usage { budget: "calls".into(), limit: 9, used: 1, refused: 4 }];
    let watched = vec![WatchedRollOut { version: "main@2".into(), percent: 10 }];
    let tenant =
        TenantStanding { tenant: "t".into(), calls: 1, sessions: 2, invocations: 3, failures: 1, budgets, watched };
    let taken = TakenBack { at: 5, tenant: "t".into(), version: "main@1".into(), paused: false };
    node.status.send_replace(Status {
        node: "n".into(),
        sessions: 2,
        calls: vec![call],
        tenants: vec![tenant],
        tenants_more: 7,
        taken_back: vec![taken],
    });
    let expected = serde_json::json!({
        "node": "n",
        "sessions": 2,
        "calls": [{"call": "c", "tenant": "t", "state": "talking", "seconds": 3}],
        "tenants": [{
            "tenant": "t", "calls": 1, "sessions": 2, "invocations": 3, "failures": 1,
            "budgets": [{"budget": "calls", "limit": 9, "used": 1, "refused": 4}],
            "watched": [{"version": "main@2", "percent": 10}],
        }],
        "tenants-more": 7,
        "taken-back": [{"at": 5, "tenant": "t", "version": "main@1", "paused": false}],
    });
    assert_eq!(node.ops("/status.json").await.json(), expected);
    node.stop().await;
}

#[tokio::test]
async fn operators_have_a_page_that_loads_nothing_from_elsewhere() {
    let node = Node::start(false).await;
    for (path, content_type, content) in [
        ("/", "text/html", "<title>Tandem node</title>"),
        ("/ops.js", "javascript", "refresh"),
        ("/figures.js", "javascript", "quantile"),
        ("/ops.css", "text/css", ".board"),
        ("/style.css", "text/css", "color-scheme"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let file = node.ops(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.header("content-type").unwrap().contains(content_type), "{path}: {}", file.head);
        assert!(file.body.contains(content), "{path}");
        assert!(file.header("content-security-policy").unwrap().starts_with("default-src 'self';"), "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(file.header("access-control-allow-origin"), None, "{path}: other sites' pages may not read it");
    }
    for path in ["/nothing", "/index.js", "/tandem.js", "/softphone/app.js", "/../Cargo.toml", "/demo/users"] {
        let answer = node.ops(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.body.contains("/ (the live page)") && answer.body.contains("/status.json"),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(get(node.plain(), "/ops.js").await.status, 404, "callers have no operators' page");
    node.stop().await;
}

#[tokio::test]
async fn the_page_is_served_with_its_headers_and_known_files_are_not_sent_again() {
    let node = Node::start(false).await;
    let page = get(node.plain(), "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(page.header("content-security-policy").unwrap().contains("connect-src 'self' https: wss: ws:"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("permissions-policy"), Some("microphone=(self), camera=(), geolocation=()"));
    let script = get(node.plain(), "/tandem.js").await;
    assert!(script.header("content-type").unwrap().contains("javascript"), "{:?}", script.head);
    let tag = script.header("etag").unwrap();
    let known =
        format!("GET /tandem.js HTTP/1.1\r\nhost: localhost\r\nif-none-match: {tag}\r\nconnection: close\r\n\r\n");
    let again = send(node.plain(), &known).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    for path in ["/package.json", "/nothing.html", "/../Cargo.toml", "/demo/users"] {
        assert_eq!(get(node.plain(), path).await.status, 404, "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn discovery_answers_for_the_name_that_was_asked() {
    let node = Node::start(false).await;
    let port = node.media.local_addr().port();
    for (host, name) in [("localhost:1", "localhost"), ("gateway.test:1", "gateway.test"), ("[::1]:1", "[::1]")] {
        let request = format!("GET /.well-known/tandem.json HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = send(node.plain(), &request).await;
        let expected = serde_json::json!({
            "webtransport": format!("https://{name}:{port}/v1/connect"),
            "certificate_hashes": [node.certificate.sha256_hex()],
            "websocket": format!("ws://{name}:1/v1/connect"),
        });
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    node.stop().await;
}

#[tokio::test]
async fn over_tls_the_websocket_address_is_secure() {
    let node = Node::start(false).await;
    let stream = secure(node.servers.web, &node.certificate).await;
    let answer =
        exchange(stream, b"GET /.well-known/tandem.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await;
    assert_eq!(answer.json()["websocket"], "wss://localhost/v1/connect");
    node.stop().await;
}

#[tokio::test]
async fn a_websocket_is_upgraded_and_anything_else_is_told_so() {
    let node = Node::start(false).await;
    let mut stream = TcpStream::connect(node.plain()).await.unwrap();
    let request = "GET /v1/connect HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    assert_eq!(get(node.plain(), "/v1/connect").await.status, 400);
    node.stop().await;
}

#[tokio::test]
async fn the_demo_signs_in_its_users_from_this_machine_under_its_own_name() {
    let node = Node::start(true).await;
    let users = get(node.plain(), "/demo/users").await;
    assert_eq!(users.json(), serde_json::json!([{"user": "alice", "name": "Alice"}, {"user": "bob", "name": "bob"}]));
    assert_eq!(users.header("access-control-allow-origin"), None, "other sites' pages may not read it");
    let post = async |host: &str, user: &str| {
        let request = format!(
            "POST /demo/token?user={user} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        send(node.plain(), &request).await
    };
    let token = post("localhost", "alice").await.json()["token"].as_str().unwrap().to_owned();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let identity = node.keyring.verify(&token, UnixMillis(u64::try_from(now).unwrap())).unwrap();
    assert_eq!((identity.user.as_str(), identity.name.as_deref()), ("alice", Some("Alice")));
    assert_eq!(post("127.0.0.1:1", "alice").await.status, 200);
    assert_eq!(post("rebound.example", "alice").await.status, 403);
    let unknown = post("localhost", "mallory").await;
    assert!(unknown.status == 404 && unknown.body.contains("there are: alice, bob"), "{unknown:?}");
    node.stop().await;
}

#[tokio::test]
async fn an_oversized_header_is_refused() {
    let node = Node::start(false).await;
    let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let answer = send(node.plain(), &request).await;
    assert!(answer.status == 431 || answer.status == 0, "{answer:?}");
    assert_eq!(get(node.plain(), "/").await.status, 200, "others are served on");
    node.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let node = Node::start(false).await;
    let mut config = Config::default();
    config.ops.listen = node.servers.ops;
    let sources = Sources {
        certificate: watch::channel(Arc::clone(&node.certificate)).1,
        media: node.media.clone(),
        keyring: Arc::clone(&node.keyring),
        metrics: Arc::new(Metrics::new()),
        status: watch::channel(Status::default()).1,
        phase: watch::channel(Phase::Starting).1,
        demo: None,
        control: None,
    };
    let error = control::start(&config, sources).await.unwrap_err().to_string();
    assert!(error.contains("(ops.listen)") && error.contains("another process listens there"), "{error}");
    node.stop().await;
}

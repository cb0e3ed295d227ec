//! The same signalling and media over a WebSocket.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tandem::media::{CONNECT_PATH, LinkEvent, Media, bounded_upgrade};
use tandem_switch::event::Transport;
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId};
use tandem_switch::limits::LINE_BYTES_MAX;
use tandem_switch::signal::{ClientMessage, DecodeError, GoodbyeReason, ServerMessage};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Gateway, hello, soon, voice};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn upgrade(
    upgrade: WebSocketUpgrade,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    State(media): State<Media>,
) -> Response {
    bounded_upgrade(upgrade).on_upgrade(move |socket| async move { media.adopt_websocket(socket, peer) })
}

/// Serves upgrades beside a gateway and gives the URL.
async fn serve(gateway: &Gateway) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route(CONNECT_PATH, any(upgrade)).with_state(gateway.media.clone());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    format!("ws://{address}{CONNECT_PATH}")
}

struct Client(Socket);

impl Client {
    async fn connect(url: &str) -> Self {
        Self(soon("a socket", connect_async(url)).await.unwrap().0)
    }

    async fn open(gateway: &mut Gateway, url: &str) -> (LinkId, Self) {
        let mut client = Self::connect(url).await;
        client.say(&hello()).await;
        let (link, transport) = gateway.opened().await;
        assert_eq!(transport, Transport::Websocket);
        (link, client)
    }

    async fn say(&mut self, message: &ClientMessage) {
        self.say_text(String::from_utf8(message.encode()).unwrap()).await;
    }

    async fn say_text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn send(&mut self, datagram: &Bytes) {
        self.0.send(Message::Binary(datagram.clone())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        loop {
            match soon("a frame", self.0.next()).await.expect("the socket is open").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn hear(&mut self) -> ServerMessage {
        match self.next().await {
            Message::Text(text) => ServerMessage::decode(text.as_bytes()).unwrap(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    async fn receive(&mut self) -> Bytes {
        match self.next().await {
            Message::Binary(datagram) => datagram,
            other => panic!("expected a datagram, got {other:?}"),
        }
    }

    async fn hear_goodbye(&mut self, reason: GoodbyeReason, code: u16) {
        assert_eq!(self.hear().await, ServerMessage::Goodbye { reason });
        match self.next().await {
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), code),
            other => panic!("expected a close, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn voice_passes_between_websocket_and_webtransport() {
    let mut gateway = Gateway::start(2);
    let url = serve(&gateway).await;
    let (a, mut alice) = Client::open(&mut gateway, &url).await;
    let (b, bob) = gateway.client().await;
    let (c, mut carol) = Client::open(&mut gateway, &url).await;
    assert_ne!(a.0 & 0xff, c.0 & 0xff, "sockets go to the shards in turn");
    let (there, back, between) = (FlowId(1), FlowId(20_000), FlowId(3));
    gateway.route(a, there, b, Gate::Open);
    gateway.route(b, back, a, Gate::Open);
    gateway.route(a, between, c, Gate::Open);
    gateway.media.measure().await;
    for sequence in 0..100 {
        alice.send(&voice(there, sequence)).await;
        assert_eq!(bob.receive().await, voice(there, sequence));
        bob.send(&voice(back, sequence));
        assert_eq!(alice.receive().await, voice(back, sequence));
        alice.send(&voice(between, sequence)).await;
        assert_eq!(carol.receive().await, voice(between, sequence));
    }
}

#[tokio::test]
async fn signalling_garbage_and_goodbye() {
    let mut gateway = Gateway::start(1);
    let url = serve(&gateway).await;
    let (link, mut client) = Client::open(&mut gateway, &url).await;
    client.say(&ClientMessage::Ping { data: 1 }).await;
    assert_eq!(gateway.message().await, (link, ClientMessage::Ping { data: 1 }));
    gateway.media.send(link, ServerMessage::Pong { data: 1 });
    assert_eq!(client.hear().await, ServerMessage::Pong { data: 1 });
    client.say_text("{".to_owned()).await;
    assert!(matches!(gateway.event().await, LinkEvent::Undecodable { error: DecodeError::NotAMessage(_), .. }));
    client.send(&Bytes::from_static(b"\xff\x00nonsense")).await;
    // A whole RTP packet, but larger than any QUIC packet.
    let mut large = voice(FlowId(1), 1).to_vec();
    large.resize(4096, 0);
    client.send(&large.into()).await;
    client.say_text("x".repeat(LINE_BYTES_MAX + 1)).await;
    assert!(matches!(gateway.event().await, LinkEvent::Undecodable { error: DecodeError::TooLong(_), .. }));
    gateway.media.close(link, GoodbyeReason::ProtocolViolation);
    client.hear_goodbye(GoodbyeReason::ProtocolViolation, 4004).await;
    gateway.lost(link).await;
    gateway.counted("datagrams_discarded_total{reason=\"malformed\"}", 2).await;
}

#[tokio::test]
async fn who_does_not_say_hello_is_not_welcome() {
    let gateway = Gateway::start(1);
    let url = serve(&gateway).await;
    let mut client = Client::connect(&url).await;
    client.say(&ClientMessage::Bye).await;
    assert!(matches!(client.hear().await, ServerMessage::Error { .. }));
    client.hear_goodbye(GoodbyeReason::NotWelcome, 4003).await;
    let mut client = Client::connect(&url).await;
    client.send(&voice(FlowId(1), 1)).await;
    client.hear_goodbye(GoodbyeReason::NotWelcome, 4003).await;
}

#[tokio::test]
async fn a_message_beyond_all_bounds_ends_the_link() {
    let mut gateway = Gateway::start(1);
    let url = serve(&gateway).await;
    let (link, mut client) = Client::open(&mut gateway, &url).await;
    // The gateway may hang up before all of it is written.
    let _ = client.0.send(Message::text("x".repeat(3 * LINE_BYTES_MAX))).await;
    gateway.lost(link).await;
}

#[tokio::test]
async fn a_socket_that_is_dropped_is_a_lost_link() {
    let mut gateway = Gateway::start(1);
    let url = serve(&gateway).await;
    let (link, client) = Client::open(&mut gateway, &url).await;
    drop(client);
    gateway.lost(link).await;
}

//! One WebSocket link, for clients that UDP does not reach: text messages are signalling, binary messages are media datagrams, byte for
//! byte as over QUIC.
//!
//! The control API accepts and upgrades the socket; a shard adopts it. What TCP cannot do, it cannot do here either: a lost packet
//! delays the ones behind it, and signalling that waits for the driver delays this link's voice.

use std::rc::Rc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tandem_switch::event::Transport;
use tandem_switch::limits::LINE_BYTES_MAX;
use tandem_switch::signal::{ClientMessage, GoodbyeReason, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::egress::Egress;
use super::limits;
use super::link::{Link, LinkEnd, Outbox, check_first, goodbye_code, goodbye_word, within};
use super::shard::Shard;

/// Where WebSocket's private close codes begin (RFC 6455 section 7.4.2).
const CLOSE_CODE_BASE: u16 = 4000;

type Mouth = SplitSink<WebSocket, Message>;
type Ears = SplitStream<WebSocket>;

/// Bounds what an upgraded socket may buffer. A message of more than twice the longest line ends the socket; one in between is
/// answered as too long.
pub fn bounded_upgrade<F>(upgrade: WebSocketUpgrade<F>) -> WebSocketUpgrade<F> {
    upgrade
        .max_message_size(2 * LINE_BYTES_MAX)
        .max_frame_size(2 * LINE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_BUFFER_BYTES)
}

/// Serves one socket to its end.
pub(crate) async fn serve(shard: Rc<Shard>, socket: WebSocket) {
    let (mut mouth, mut ears) = socket.split();
    let first = shard.before_welcome(limits::HELLO_TIMEOUT, first_text(&mut ears)).await;
    let refusal = match first.flatten() {
        Some(text) => match check_first(ClientMessage::decode(text.as_bytes())) {
            Ok(hello) => return converse(&shard, mouth, ears, hello).await,
            Err(error) => Some(*error),
        },
        None => None,
    };
    shard.metrics.count_failed_handshake("not-welcome");
    if let Some(error) = refusal {
        let _ = within(limits::FLUSH_TIMEOUT, mouth.send(text(&error))).await;
    }
    let _ = within(limits::FLUSH_TIMEOUT, say_goodbye(&mut mouth, GoodbyeReason::NotWelcome)).await;
    part(mouth, ears, LinkEnd::Goodbye(GoodbyeReason::NotWelcome)).await;
}

async fn first_text(ears: &mut Ears) -> Option<Utf8Bytes> {
    loop {
        match ears.next().await? {
            Ok(Message::Text(text)) => return Some(text),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_) | Message::Close(_)) | Err(_) => return None,
        }
    }
}

/// Speaks with a welcome peer until either side ends it.
///
/// Cancellation safety: whichever branch ends first ends the link, so nothing that the others had in hand is missed.
async fn converse(shard: &Rc<Shard>, mut mouth: Mouth, mut ears: Ears, hello: ClientMessage) {
    let (queue, mut datagrams) = mpsc::channel(limits::WEBSOCKET_DATAGRAMS_MAX);
    let (link, mut outbox) = Link::open(shard, Transport::Websocket, Egress::Websocket(queue), hello).await;
    let overdue = outbox.overdue();
    let end = tokio::select! {
        end = listen(&link, &mut ears) => end,
        end = speak(&mut outbox, &mut datagrams, &mut mouth) => end,
        reason = overdue => LinkEnd::Goodbye(reason),
    };
    drop(datagrams);
    link.end(end).await;
    part(mouth, ears, end).await;
}

async fn listen(link: &Link, ears: &mut Ears) -> LinkEnd {
    loop {
        match within(limits::IDLE_TIMEOUT, ears.next()).await {
            None => return LinkEnd::TimedOut,
            Some(None | Some(Ok(Message::Close(_)))) => return LinkEnd::Closed,
            Some(Some(Err(_))) => return LinkEnd::Failed,
            Some(Some(Ok(Message::Text(text)))) => link.heard(ClientMessage::decode(text.as_bytes())).await,
            Some(Some(Ok(Message::Binary(datagram)))) => link.forward(datagram),
            Some(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
        }
    }
}

/// Writes until the goodbye, or until the peer takes no more.
///
/// Cancellation safety: a message is taken from a queue only by the branch that writes it.
async fn speak(outbox: &mut Outbox, datagrams: &mut mpsc::Receiver<Bytes>, mouth: &mut Mouth) -> LinkEnd {
    let first_ping = Instant::now() + limits::KEEP_ALIVE_INTERVAL;
    let mut pings = tokio::time::interval_at(first_ping, limits::KEEP_ALIVE_INTERVAL);
    loop {
        let message = tokio::select! {
            said = outbox.next() => match said {
                Ok(message) => text(&message),
                Err(reason) => {
                    return match say_goodbye(mouth, reason).await {
                        Some(()) => LinkEnd::Goodbye(reason),
                        None => LinkEnd::Failed,
                    };
                }
            },
            Some(datagram) = datagrams.recv() => Message::Binary(datagram),
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if mouth.send(message).await.is_err() {
            return LinkEnd::Failed;
        }
    }
}

fn text(message: &ServerMessage) -> Message {
    let mut line = message.encode();
    line.pop();
    Message::text(String::from_utf8(line).expect("JSON is UTF-8"))
}

async fn say_goodbye(mouth: &mut Mouth, reason: GoodbyeReason) -> Option<()> {
    mouth.send(text(&ServerMessage::Goodbye { reason })).await.ok()?;
    let (code, reason) = (CLOSE_CODE_BASE + goodbye_code(reason), goodbye_word(reason).into());
    mouth.send(Message::Close(Some(CloseFrame { code, reason }))).await.ok()
}

/// Gives a peer that was told goodbye a moment to answer with its own close; then the connection is dropped.
async fn part(mut mouth: Mouth, mut ears: Ears, end: LinkEnd) {
    let moment: Duration = limits::GOODBYE_TIMEOUT;
    if matches!(end, LinkEnd::Goodbye(_)) {
        let _ = within(moment, async { while let Some(Ok(_)) = ears.next().await {} }).await;
    }
    let _ = within(moment, mouth.close()).await;
}

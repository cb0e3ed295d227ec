//! One WebTransport link, from its first packet to its goodbye.
//!
//! The handshake, SETTINGS, CONNECT, the signalling stream and the close are the WebTransport library's; datagrams are read and
//! written straight on its QUIC connection, prefix included, so that forwarding copies nothing.

use std::rc::Rc;

use quinn::{ConnectionError, Incoming};
use tandem_switch::event::Transport;
use tandem_switch::signal::{ClientMessage, DecodeError, GoodbyeReason, ServerMessage};
use tokio::task::JoinSet;
use web_transport_quinn::http::StatusCode;
use web_transport_quinn::{RecvStream, Request, SendStream, ServerError, Session, SessionError, WebTransportError};

use super::egress::Egress;
use super::lines::Lines;
use super::link::{Link, LinkEnd, Outbox, Voice, check_first, goodbye_code, goodbye_word, within};
use super::shard::Shard;
use super::{CONNECT_PATH, limits};

/// Most bytes taken from the signalling stream at once.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
enum HandshakeFailure {
    #[error("QUIC: {0}")]
    Quic(#[from] ConnectionError),
    #[error("HTTP/3: {0}")]
    Http(#[from] ServerError),
    #[error("no such path")]
    NoSuchPath,
    #[error("no signalling stream: {0}")]
    NoStream(#[from] SessionError),
    #[error("took too long")]
    TimedOut,
    #[error("no good hello")]
    NotWelcome,
}

impl HandshakeFailure {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Quic(_) => "quic",
            Self::Http(_) => "http",
            Self::NoSuchPath => "no-such-path",
            Self::NoStream(_) => "no-stream",
            Self::TimedOut => "timed-out",
            Self::NotWelcome => "not-welcome",
        }
    }
}

/// A peer that opened its signalling stream.
struct Peer {
    session: Session,
    mouth: SendStream,
    ears: Ears,
}

/// Serves one connection to its end.
pub(crate) async fn serve(shard: Rc<Shard>, incoming: Incoming) {
    match welcome(&shard, incoming).await {
        Ok((peer, hello)) => converse(&shard, peer, hello).await,
        Err(failure) => {
            shard.metrics.count_failed_handshake(failure.as_str());
            tracing::debug!(%failure, "connection did not become a link");
        }
    }
}

async fn welcome(shard: &Rc<Shard>, incoming: Incoming) -> Result<(Peer, ClientMessage), HandshakeFailure> {
    let shaken = shard.before_welcome(limits::HANDSHAKE_TIMEOUT, shake_hands(incoming)).await;
    let mut peer = shaken.ok_or(HandshakeFailure::TimedOut)??;
    let refusal = match shard.before_welcome(limits::HELLO_TIMEOUT, peer.ears.next()).await {
        Some(Ok(first)) => match check_first(first) {
            Ok(hello) => return Ok((peer, hello)),
            Err(error) => Some(*error),
        },
        Some(Err(_)) | None => None,
    };
    turn_away(peer, refusal).await;
    Err(HandshakeFailure::NotWelcome)
}

async fn shake_hands(incoming: Incoming) -> Result<Peer, HandshakeFailure> {
    let connection = incoming.accept()?.await?;
    let request = Request::accept(connection).await?;
    if request.url.path() != CONNECT_PATH {
        let connection = request.conn().clone();
        request.reject(StatusCode::NOT_FOUND).await?;
        // A peer that has read the answer closes.
        let _ = within(limits::GOODBYE_TIMEOUT, connection.closed()).await;
        return Err(HandshakeFailure::NoSuchPath);
    }
    let session = request.ok().await?;
    let (mouth, recv) = session.accept_bi().await?;
    Ok(Peer { session, mouth, ears: Ears { recv, lines: Lines::default() } })
}

async fn turn_away(mut peer: Peer, error: Option<ServerMessage>) {
    let reason = GoodbyeReason::NotWelcome;
    let parting = async {
        if let Some(error) = error {
            let _ = peer.mouth.write_all(&error.encode()).await;
        }
        say_goodbye(&mut peer.mouth, reason).await
    };
    let _ = within(limits::FLUSH_TIMEOUT, parting).await;
    part(&peer.session, LinkEnd::Goodbye(reason)).await;
}

/// Speaks with a welcome peer until either side ends it.
///
/// Cancellation safety: whichever branch ends first ends the link, so nothing that the others had in hand is missed.
async fn converse(shard: &Rc<Shard>, peer: Peer, hello: ClientMessage) {
    let Peer { session, mut mouth, mut ears } = peer;
    let connection = quinn::Connection::clone(&session);
    let egress = Egress::Quic(connection.clone());
    let (link, mut outbox) = Link::open(shard, Transport::Webtransport, egress, hello).await;
    let mut voice = JoinSet::new();
    voice.spawn_local(carry_voice(connection, link.voice()));
    let overdue = outbox.overdue();
    let end = tokio::select! {
        () = listen(&link, &mut ears) => how_it_ended(&session),
        end = speak(&mut outbox, &mut mouth) => end.unwrap_or_else(|| how_it_ended(&session)),
        reason = overdue => LinkEnd::Goodbye(reason),
    };
    voice.shutdown().await;
    link.end(end).await;
    part(&session, end).await;
}

/// The packet path of one talker: a task of its own, so that a packet wakes nothing else.
async fn carry_voice(connection: quinn::Connection, voice: Voice) {
    while let Ok(datagram) = connection.read_datagram().await {
        voice.forward(datagram);
    }
}

async fn listen(link: &Link, ears: &mut Ears) {
    while let Ok(message) = ears.next().await {
        link.heard(message).await;
    }
}

/// Writes until the goodbye; `None` when the peer takes no more.
async fn speak(outbox: &mut Outbox, mouth: &mut SendStream) -> Option<LinkEnd> {
    loop {
        match outbox.next().await {
            Ok(message) => mouth.write_all(&message.encode()).await.ok()?,
            Err(reason) => {
                say_goodbye(mouth, reason).await?;
                return Some(LinkEnd::Goodbye(reason));
            }
        }
    }
}

async fn say_goodbye(mouth: &mut SendStream, reason: GoodbyeReason) -> Option<()> {
    mouth.write_all(&ServerMessage::Goodbye { reason }.encode()).await.ok()?;
    mouth.finish().ok()
}

/// Closes the session, giving a peer that was told goodbye a moment to read it and close by itself.
async fn part(session: &Session, end: LinkEnd) {
    let (code, word) = match end {
        LinkEnd::Goodbye(reason) => {
            let _ = within(limits::GOODBYE_TIMEOUT, session.closed()).await;
            (u32::from(goodbye_code(reason)), goodbye_word(reason))
        }
        LinkEnd::Closed | LinkEnd::TimedOut | LinkEnd::Failed => (0, ""),
    };
    session.close(code, word.as_bytes());
    // The library bounds this by a few round trips.
    let _ = within(limits::FLUSH_TIMEOUT, session.closed()).await;
}

fn how_it_ended(session: &Session) -> LinkEnd {
    match session.close_reason() {
        // The signalling stream is over and the session is not.
        None | Some(SessionError::WebTransportError(WebTransportError::Closed(..))) => LinkEnd::Closed,
        Some(SessionError::ConnectionError(error)) => match error {
            ConnectionError::TimedOut => LinkEnd::TimedOut,
            ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => LinkEnd::Closed,
            _ => LinkEnd::Failed,
        },
        Some(_) => LinkEnd::Failed,
    }
}

/// The reading half of the signalling stream.
struct Ears {
    recv: RecvStream,
    lines: Lines,
}

/// The peer says nothing more.
struct Silence;

impl Ears {
    /// The next message, or why a line is none.
    ///
    /// Cancellation safe: bytes that were read are kept.
    async fn next(&mut self) -> Result<Result<ClientMessage, DecodeError>, Silence> {
        loop {
            if let Some(message) = self.lines.next() {
                return Ok(message);
            }
            match self.recv.read_chunk(READ_BYTES_MAX, true).await {
                Ok(Some(chunk)) => self.lines.push(&chunk.bytes),
                Ok(None) | Err(_) => return Err(Silence),
            }
        }
    }
}

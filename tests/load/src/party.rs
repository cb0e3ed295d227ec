//! One simulated caller: signs in and sets up its half of a call by ordinary signalling.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use jsonwebtoken::{EncodingKey, Header, encode};
use tandem_client::link::Lines;
use tandem_client::link::web_transport;
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::signal::{CallEvent, ClientMessage, Happening, Hello, ServerMessage, VERSION};
use tandem_switch::token::{Claims, Grant};
use tokio::time::timeout;
use web_transport_quinn::{RecvStream, SendStream, Session};

/// How long each step of a set-up may take.
const STEP_MAX: Duration = Duration::from_secs(15);

/// Tokens last for the longest load run and some more.
const TOKEN_SECONDS: u64 = 6 * 3600;

/// How callers reach and convince the gateway.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) quic: quinn::ClientConfig,
    pub(crate) tenant: String,
    pub(crate) secret: String,
}

impl Access {
    fn token(&self, user: &str) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims {
            iss: self.tenant.clone(),
            sub: user.to_owned(),
            iat: now,
            exp: now + TOKEN_SECONDS,
            nbf: None,
            name: None,
            grants: vec![Grant::Call, Grant::Answer],
        };
        Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(self.secret.as_bytes()))?)
    }
}

/// A caller who is signed in.
pub(crate) struct Party {
    session: Session,
    send: SendStream,
    receive: RecvStream,
    lines: Lines,
    waiting: std::collections::VecDeque<ServerMessage>,
}

/// A caller who talks: where voice goes, and what must be kept for the session to stand.
pub(crate) struct Talking {
    pub(crate) connection: quinn::Connection,
    pub(crate) flow: FlowId,
    pub(crate) party: Party,
}

impl Party {
    /// Signs in.
    pub(crate) async fn sign_in(endpoint: &quinn::Endpoint, access: &Access, user: &str) -> anyhow::Result<Self> {
        let opening =
            web_transport::open(endpoint, access.quic.clone(), access.address, &access.host, access.address.port());
        let (session, send, receive) = timeout(STEP_MAX, opening).await.context("connecting takes too long")??;
        let mut party = Self { session, send, receive, lines: Lines::default(), waiting: Default::default() };
        let hello =
            Hello { version: VERSION, token: access.token(user)?, client: "tandem-load".to_owned(), resume: None };
        party.say(&ClientMessage::Hello(hello)).await?;
        match party.hear().await? {
            ServerMessage::Welcome { .. } => Ok(party),
            other => bail!("no welcome for {user}: {other:?}"),
        }
    }

    async fn say(&mut self, message: &ClientMessage) -> anyhow::Result<()> {
        Ok(self.send.write_all(&message.encode()).await?)
    }

    async fn hear(&mut self) -> anyhow::Result<ServerMessage> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            let chunk = timeout(STEP_MAX, self.receive.read_chunk(16 * 1024, true))
                .await
                .context("the gateway says nothing")??
                .context("the gateway ended the session")?;
            let lines = self.lines.push(&chunk.bytes).context("a line that is too long")?;
            for line in lines {
                self.waiting.push_back(ServerMessage::decode(&line)?);
            }
        }
    }

    /// Waits for the next event of a call; the gateway's refusals are errors.
    async fn event(&mut self) -> anyhow::Result<CallEvent> {
        loop {
            match self.hear().await? {
                ServerMessage::Event(event) => return Ok(event),
                ServerMessage::Error { message, .. } => bail!("the gateway refused: {message}"),
                ServerMessage::Goodbye { reason } => bail!("the gateway said goodbye: {reason:?}"),
                _ => {}
            }
        }
    }

    /// Calls `to`; the call stands when both this and `to`'s [`Party::answer`] are done.
    pub(crate) async fn call(mut self, to: &str) -> anyhow::Result<Talking> {
        let invite = ClientMessage::Invite { reference: "1".to_owned(), to: to.to_owned(), headers: Vec::new() };
        self.say(&invite).await?;
        self.connected().await
    }

    /// Takes the next call.
    pub(crate) async fn answer(mut self) -> anyhow::Result<Talking> {
        let call: CallId = loop {
            let event = self.event().await?;
            if matches!(event.what, Happening::Incoming { .. }) {
                break event.call;
            }
        };
        self.say(&ClientMessage::Answer { call }).await?;
        self.connected().await
    }

    async fn connected(mut self) -> anyhow::Result<Talking> {
        loop {
            match self.event().await?.what {
                Happening::Connected { send, .. } => {
                    let connection = quinn::Connection::clone(&self.session);
                    return Ok(Talking { connection, flow: send, party: self });
                }
                Happening::Ended { cause, .. } => bail!("the call ended before it began: {cause}"),
                _ => {}
            }
        }
    }

    /// Reads what the gateway says and forgets it, until it ends the session.
    pub(crate) async fn ignore(mut self) {
        while let Ok(Some(_)) = self.receive.read_chunk(16 * 1024, true).await {}
    }
}

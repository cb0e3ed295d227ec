//! The task behind a client: one session over one link after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_switch::event::Header;
use tandem_switch::id::CallId;
use tandem_switch::signal::{ClientMessage, GoodbyeReason, Hello, ResumeSession, ServerMessage, VERSION};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::client::{Identity, Options, Shared};
use crate::error::{CallError, ConnectError};
use crate::event::Event;
use crate::limits;
use crate::link::Link;
use crate::seen::SeenCalls;

/// What a client's handles ask for.
#[derive(Debug)]
pub(crate) enum Command {
    Send(Box<ClientMessage>),
    Invite { to: String, headers: Vec<Header>, reply: oneshot::Sender<Result<CallId, CallError>> },
    Migrate(oneshot::Sender<std::io::Result<bool>>),
    DropLink,
    Bye(oneshot::Sender<()>),
}

/// What `welcome` said.
pub(crate) struct Welcome {
    pub(crate) identity: Identity,
    secret: String,
    resumed: bool,
    grace: Duration,
}

/// Says `hello` and waits for `welcome`.
pub(crate) async fn greet(
    link: &mut Link,
    options: &Options,
    resume: Option<ResumeSession>,
) -> Result<Welcome, ConnectError> {
    let protocol = |what: &str| ConnectError::Protocol(what.to_owned());
    let hello = Hello { version: VERSION, token: options.token.clone(), client: options.client.clone(), resume };
    let closed = || protocol("it closed the connection instead of a welcome");
    link.outgoing.send(ClientMessage::Hello(hello).encode()).await.map_err(|_| closed())?;
    let line = timeout(limits::WELCOME_TIMEOUT, link.incoming.recv())
        .await
        .map_err(|_| ConnectError::TimedOut { transport: link.transport, after: limits::WELCOME_TIMEOUT })?
        .ok_or_else(closed)?;
    match ServerMessage::decode(&line).map_err(|error| ConnectError::Protocol(error.to_string()))? {
        ServerMessage::Welcome { session, secret, tenant, user, resumed, grace_ms, expires_at, .. } => Ok(Welcome {
            identity: Identity { session, tenant, user, expires_at },
            secret,
            resumed,
            grace: Duration::from_millis(grace_ms),
        }),
        ServerMessage::Error { code, message, .. } => Err(ConnectError::Refused { code, message }),
        ServerMessage::Goodbye { reason } => Err(protocol(&format!("goodbye instead of a welcome: {reason:?}"))),
        _ => Err(protocol("it said something else before welcome")),
    }
}

/// How a link ended.
enum LinkEnd {
    /// It broke; the session may be resumed.
    Lost,
    /// Nobody needs the session any more.
    Abandoned,
    /// The session is over.
    Over { goodbye: Option<GoodbyeReason>, why: String },
}

fn over(why: &str) -> LinkEnd {
    LinkEnd::Over { goodbye: None, why: why.to_owned() }
}

type Reply = oneshot::Sender<Result<CallId, CallError>>;

/// A session's state and its queues.
pub(crate) struct Run {
    options: Options,
    welcome: Welcome,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    seen: SeenCalls,
    /// The token that the gateway was last asked to go on with, until it says that it does.
    renewing: Option<String>,
    invitations: BTreeMap<String, Reply>,
    invitations_made: u64,
}

impl Run {
    pub(crate) fn new(
        options: Options,
        welcome: Welcome,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            options,
            welcome,
            shared,
            commands,
            events,
            seen: SeenCalls::default(),
            renewing: None,
            invitations: BTreeMap::new(),
            invitations_made: 0,
        }
    }

    /// Serves links until the session is over.
    pub(crate) async fn run(mut self, mut link: Link) {
        let (goodbye, why) = loop {
            let end = self.serve(&mut link).await;
            self.shared.media.send_replace(None);
            link.drop_now();
            match end {
                LinkEnd::Abandoned => return,
                LinkEnd::Over { goodbye, why } => break (goodbye, why),
                LinkEnd::Lost => {}
            }
            self.tell(Event::LinkLost).await;
            match self.come_back().await {
                Ok(next) => link = next,
                Err(why) => break (None, why),
            }
        };
        self.tell(Event::Closed { goodbye, why }).await;
    }

    async fn tell(&self, event: Event) {
        // An application that dropped its events does not want them.
        let _unwanted = self.events.send(event).await;
    }

    /// Serves one link. Both `recv` and `tick` are cancellation safe; what they bring is dealt with outside of the choice.
    async fn serve(&mut self, link: &mut Link) -> LinkEnd {
        let mut heard = Instant::now();
        let mut ping = interval_at(heard + limits::PING_INTERVAL, limits::PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let end = tokio::select! {
                line = link.incoming.recv() => match line {
                    Some(line) => {
                        heard = Instant::now();
                        self.hear(&line).await
                    }
                    None => Some(LinkEnd::Lost),
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(link, command).await,
                    None => Some(LinkEnd::Abandoned),
                },
                _ = ping.tick() => match heard.elapsed() {
                    silence if silence > limits::SILENCE_MAX => Some(LinkEnd::Lost),
                    _ => write(link, &ClientMessage::Ping { data: 0 }).await,
                },
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn obey(&mut self, link: &mut Link, command: Command) -> Option<LinkEnd> {
        match command {
            Command::Send(message) => {
                if let ClientMessage::Renew { token } = &*message {
                    self.renewing = Some(token.clone());
                }
                write(link, &message).await
            }
            Command::Invite { to, headers, reply } => {
                self.invitations.retain(|_, waiting| !waiting.is_closed());
                if self.invitations.len() >= limits::INVITATIONS_MAX {
                    let _gave_up = reply.send(Err(CallError::TooMany));
                    return None;
                }
                self.invitations_made += 1;
                let reference = format!("i{}", self.invitations_made);
                self.invitations.insert(reference.clone(), reply);
                write(link, &ClientMessage::Invite { reference, to, headers }).await
            }
            Command::Migrate(reply) => {
                let _gave_up = reply.send(link.migrate());
                None
            }
            Command::DropLink => Some(LinkEnd::Lost),
            Command::Bye(done) => {
                let end = self.say_bye(link).await;
                let _gave_up = done.send(());
                Some(end)
            }
        }
    }

    /// Says `bye` and hears the gateway out.
    async fn say_bye(&mut self, link: &mut Link) -> LinkEnd {
        if write(link, &ClientMessage::Bye).await.is_some() {
            return over("the link broke at the goodbye");
        }
        let farewell = async {
            while let Some(line) = link.incoming.recv().await {
                if let Some(end) = self.hear(&line).await {
                    return end;
                }
            }
            over("said bye")
        };
        timeout(limits::GOODBYE_TIMEOUT, farewell).await.unwrap_or_else(|_| over("said bye; the gateway did not"))
    }

    async fn hear(&mut self, line: &[u8]) -> Option<LinkEnd> {
        let message = match ServerMessage::decode(line) {
            Ok(message) => message,
            Err(error) => {
                // A newer gateway may say more than this client knows.
                tracing::debug!(%error, "a message that is not understood");
                return None;
            }
        };
        match &message {
            ServerMessage::Pong { data: 0 } => return None,
            ServerMessage::Event(event) if !self.seen.is_new(event) => return None,
            ServerMessage::Calling { reference, call } => self.reply(reference, Ok(*call)),
            ServerMessage::Error { code, message, reference: Some(reference), .. } => {
                self.reply(reference, Err(CallError::Refused { code: *code, message: message.clone() }));
            }
            ServerMessage::Renewed { expires_at } => {
                // The next link's `hello` shows it: by then the first may have expired.
                if let Some(token) = self.renewing.take() {
                    self.options.token = token;
                }
                self.shared.identity.send_modify(|identity| identity.expires_at = *expires_at);
            }
            _ => {}
        }
        let end = match &message {
            ServerMessage::Goodbye { reason: GoodbyeReason::TooSlow } => Some(LinkEnd::Lost),
            ServerMessage::Goodbye { reason } => {
                let why = format!("the gateway said goodbye: {}", words(*reason));
                Some(LinkEnd::Over { goodbye: Some(*reason), why })
            }
            _ => None,
        };
        self.tell(Event::Message(message)).await;
        end
    }

    fn reply(&mut self, reference: &str, outcome: Result<CallId, CallError>) {
        if let Some(waiting) = self.invitations.remove(reference) {
            let _gave_up = waiting.send(outcome);
        }
    }

    /// Connects again, with growing pauses, for as long as the gateway keeps the session.
    async fn come_back(&mut self) -> Result<Link, String> {
        let deadline = Instant::now() + self.welcome.grace;
        let mut pause = limits::RESUME_PAUSE_MIN;
        loop {
            match self.resume().await {
                Ok(link) => return Ok(link),
                Err(ConnectError::Refused { message, .. }) => return Err(format!("the gateway refused: {message}")),
                Err(error) => tracing::debug!(%error, "not back yet"),
            }
            if self.commands.is_closed() || Instant::now() + pause > deadline {
                return Err("the link is lost, and did not come back in time".to_owned());
            }
            sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
            pause = (pause * 2).min(limits::RESUME_PAUSE_MAX);
        }
    }

    async fn resume(&mut self) -> Result<Link, ConnectError> {
        let mut link = Link::connect(&self.options, &self.shared.flows).await?;
        let resume = ResumeSession {
            session: self.welcome.identity.session,
            secret: self.welcome.secret.clone(),
            seen: self.seen.all(),
        };
        let welcome = greet(&mut link, &self.options, Some(resume)).await?;
        let resumed = welcome.resumed;
        // Nobody answers what the last link was asked.
        self.renewing = None;
        if !resumed {
            self.seen.clear();
        }
        self.shared.media.send_replace(Some(link.media.clone()));
        self.shared.transport.send_replace(link.transport);
        self.shared.identity.send_replace(welcome.identity.clone());
        self.welcome = welcome;
        self.tell(Event::LinkBack { resumed, transport: link.transport }).await;
        Ok(link)
    }
}

/// Writes a message; a link that takes none is lost.
async fn write(link: &Link, message: &ClientMessage) -> Option<LinkEnd> {
    link.outgoing.send(message.encode()).await.is_err().then_some(LinkEnd::Lost)
}

fn words(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::Bye => "as asked",
        GoodbyeReason::TokenExpired => "the token expired",
        GoodbyeReason::Replaced => "the session goes on over another link",
        GoodbyeReason::NotWelcome => "not welcome",
        GoodbyeReason::ProtocolViolation => "the client broke the protocol",
        GoodbyeReason::TooSlow => "the client does not read what it is sent",
        GoodbyeReason::Shutdown => "the node is shutting down",
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tandem_switch::id::{SessionId, TenantId, UserId};
    use tandem_switch::time::UnixMillis;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use url::Url;

    use super::*;
    use crate::client::Client;
    use crate::event::Events;

    /// A gateway's end of a link.
    struct Peer(WebSocketStream<TcpStream>);

    impl Peer {
        async fn accept(listener: &TcpListener) -> Self {
            let (stream, _) = listener.accept().await.unwrap();
            Self(tokio_tungstenite::accept_async(stream).await.unwrap())
        }

        async fn hear(&mut self) -> ClientMessage {
            loop {
                match ClientMessage::decode(&self.0.next().await.unwrap().unwrap().into_data()).unwrap() {
                    ClientMessage::Ping { .. } => {}
                    message => return message,
                }
            }
        }

        async fn say(&mut self, message: ServerMessage) {
            self.0.send(Message::text(String::from_utf8(message.encode()).unwrap())).await.unwrap();
        }

        /// Hears `hello` and welcomes; gives the token that was shown.
        async fn welcome(&mut self) -> String {
            let ClientMessage::Hello(hello) = self.hear().await else { panic!("`hello` comes first") };
            let welcome = ServerMessage::Welcome {
                version: VERSION,
                session: SessionId(1),
                secret: "s".into(),
                tenant: TenantId::new("acme").unwrap(),
                user: UserId::new("alice").unwrap(),
                resumed: hello.resume.is_some(),
                grace_ms: 30_000,
                expires_at: UnixMillis(1000),
            };
            self.say(welcome).await;
            hello.token
        }
    }

    async fn connected() -> (TcpListener, Peer, Client, Events) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let peer = async {
            let mut peer = Peer::accept(&listener).await;
            assert_eq!(peer.welcome().await, "first");
            peer
        };
        let options = Options::new(Url::parse(&gateway).unwrap(), "first");
        let (client, peer) = tokio::join!(Client::connect(options), peer);
        let (client, events) = client.unwrap();
        (listener, peer, client, events)
    }

    async fn renew(client: &Client, peer: &mut Peer, token: &str) {
        client.send(ClientMessage::Renew { token: token.into() }).await.unwrap();
        assert_eq!(peer.hear().await, ClientMessage::Renew { token: token.into() });
    }

    #[tokio::test]
    async fn a_session_resumes_with_the_token_that_was_renewed() {
        let (listener, mut peer, client, mut events) = connected().await;
        renew(&client, &mut peer, "second").await;
        peer.say(ServerMessage::Renewed { expires_at: UnixMillis(2000) }).await;
        assert!(matches!(events.next().await, Some(Event::Message(ServerMessage::Renewed { .. }))));
        renew(&client, &mut peer, "refused").await;
        drop(peer);
        let mut peer = Peer::accept(&listener).await;
        assert_eq!(peer.welcome().await, "second", "the one that the gateway took last");
    }

    #[tokio::test]
    async fn a_goodbye_is_not_waited_for_longer_than_promised_while_the_link_is_lost() {
        let (listener, peer, client, mut events) = connected().await;
        drop((listener, peer));
        assert!(matches!(events.next().await, Some(Event::LinkLost)));
        let began = Instant::now();
        client.bye().await;
        assert!(began.elapsed() < limits::GOODBYE_TIMEOUT + Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

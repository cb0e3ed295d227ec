//! The task behind a client: one session over one link after another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tandem_switch::event::Header;
use tandem_switch::id::CallId;
use tandem_switch::signal::{
    CallEvent, ClientMessage, GoodbyeReason, Hello, ResumeSession, Seen, ServerMessage, VERSION,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::client::{Identity, Options, Shared};
use crate::error::{CallError, ConnectError};
use crate::event::Event;
use crate::limits;
use crate::link::Link;

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
    /// The last event number of each call, and the calls from oldest to newest.
    seen: BTreeMap<CallId, u32>,
    seen_order: VecDeque<CallId>,
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
            seen: BTreeMap::new(),
            seen_order: VecDeque::new(),
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
            Command::Send(message) => write(link, &message).await,
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
            ServerMessage::Event(event) if !self.is_new(event) => return None,
            ServerMessage::Calling { reference, call } => self.reply(reference, Ok(*call)),
            ServerMessage::Error { code, message, reference: Some(reference), .. } => {
                self.reply(reference, Err(CallError::Refused { code: *code, message: message.clone() }));
            }
            ServerMessage::Renewed { expires_at } => {
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

    /// Whether an event was not told before; remembers it.
    fn is_new(&mut self, event: &CallEvent) -> bool {
        if let Some(last) = self.seen.get_mut(&event.call) {
            let new = event.n > *last;
            *last = event.n.max(*last);
            return new;
        }
        if self.seen_order.len() >= limits::SEEN_CALLS_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(event.call, event.n);
        self.seen_order.push_back(event.call);
        true
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
            seen: self.seen.iter().map(|(&call, &n)| Seen { call, n }).collect(),
        };
        let welcome = greet(&mut link, &self.options, Some(resume)).await?;
        let resumed = welcome.resumed;
        if !resumed {
            self.seen.clear();
            self.seen_order.clear();
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

//! A session with a gateway, as the application holds it.

use std::sync::Arc;

use bytes::Bytes;
use tandem_switch::event::Header;
use tandem_switch::id::{CallId, FlowId, SessionId, TenantId, UserId};
use tandem_switch::media::datagram;
use tandem_switch::signal::ClientMessage;
use tandem_switch::time::UnixMillis;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use url::Url;

use crate::error::{CallError, ConnectError, SessionGone};
use crate::event::Events;
use crate::flows::Flows;
use crate::limits;
use crate::link::{Link, MediaOut, Transport, TransportChoice};
use crate::session::{self, Command, Run};
use crate::trust::Trust;

/// What a client needs to know to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// `https://host:port`: WebTransport on this UDP port, WebSocket on the same TCP port; or `http://host:port`: an unencrypted
    /// WebSocket.
    pub gateway: Url,
    /// Who this is: a token signed with the tenant's key.
    pub token: String,
    /// Which certificates are believed.
    pub trust: Trust,
    /// Which transports may be used.
    pub transport: TransportChoice,
    /// The application's name and version, for the gateway's support staff.
    pub client: String,
}

impl Options {
    /// Everything else as usual: certificate authorities of this machine, either transport.
    pub fn new(gateway: Url, token: impl Into<String>) -> Self {
        let client = concat!("tandem-client/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { gateway, token: token.into(), trust: Trust::default(), transport: TransportChoice::default(), client }
    }
}

/// Whose session it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The session's name.
    pub session: SessionId,
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// When the token expires; renew it before.
    pub expires_at: UnixMillis,
}

/// What the client's handles and its session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) flows: Arc<Flows>,
    /// Where media goes now; `None` while there is no link.
    pub(crate) media: watch::Sender<Option<MediaOut>>,
    pub(crate) transport: watch::Sender<Transport>,
    pub(crate) identity: watch::Sender<Identity>,
}

/// A session with a gateway. Clones are the same session; when the last one is dropped the link is cut, as by a crash: say
/// [`Client::bye`] to end the session and its calls at once.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl Client {
    /// Connects and says `hello`.
    ///
    /// # Errors
    /// When no transport works, or the gateway refuses.
    pub async fn connect(options: Options) -> Result<(Self, Events), ConnectError> {
        let flows = Arc::new(Flows::default());
        let mut link = Link::connect(&options, &flows).await?;
        let welcome = session::greet(&mut link, &options, None).await?;
        let shared = Arc::new(Shared {
            flows,
            media: watch::Sender::new(Some(link.media.clone())),
            transport: watch::Sender::new(link.transport),
            identity: watch::Sender::new(welcome.identity.clone()),
        });
        let (commands, command_queue) = mpsc::channel(limits::COMMANDS_MAX);
        let (event_queue, events) = mpsc::channel(limits::EVENTS_MAX);
        let run = Run::new(options, welcome, shared.clone(), command_queue, event_queue);
        // The task ends by itself: when every handle is dropped, or when the session is over, which it reports as its last event.
        drop(tokio::spawn(run.run(link)));
        Ok((Self { commands, shared }, Events(events)))
    }

    /// Whose session it is.
    pub fn identity(&self) -> Identity {
        self.shared.identity.borrow().clone()
    }

    /// What the link runs on, or ran on last.
    pub fn transport(&self) -> Transport {
        *self.shared.transport.borrow()
    }

    /// Sends a message; while there is no link it waits for the next one. A message that is under way when a link breaks is lost.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn send(&self, message: ClientMessage) -> Result<(), SessionGone> {
        self.command(Command::Send(Box::new(message))).await
    }

    /// Sends a message if there is room for it now; says whether there was.
    pub fn try_send(&self, message: ClientMessage) -> bool {
        self.commands.try_send(Command::Send(Box::new(message))).is_ok()
    }

    /// Calls somebody. The call's further events come through [`Events`].
    ///
    /// # Errors
    /// When the gateway does not take the invitation.
    pub async fn invite(&self, to: &str, headers: Vec<Header>) -> Result<CallId, CallError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Invite { to: to.to_owned(), headers, reply }).await?;
        let after = limits::CALLING_TIMEOUT;
        match timeout(after, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(SessionGone.into()),
            Err(_) => Err(CallError::TimedOut(after)),
        }
    }

    /// Takes an incoming call.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn answer(&self, call: CallId) -> Result<(), SessionGone> {
        self.send(ClientMessage::Answer { call }).await
    }

    /// Refuses an incoming call.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn decline(&self, call: CallId) -> Result<(), SessionGone> {
        self.send(ClientMessage::Decline { call, cause: None }).await
    }

    /// Ends a call, or cancels it.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn hang_up(&self, call: CallId) -> Result<(), SessionGone> {
        self.send(ClientMessage::Hangup { call }).await
    }

    /// Ends the session and its calls, and waits until the gateway has said goodbye (2 s at most). While the link is lost, the
    /// goodbye is said once it is back; when nobody holds the session any longer, its link is not waited for.
    pub async fn bye(&self) {
        let (done, over) = oneshot::channel();
        let farewell = async {
            if self.command(Command::Bye(done)).await.is_ok() {
                // An error means that the session ended first, which is what is waited for.
                let _ended = over.await;
            }
        };
        if timeout(limits::GOODBYE_TIMEOUT, farewell).await.is_err() {
            tracing::debug!("said bye; the gateway did not answer in time");
        }
    }

    /// Goes on from a new UDP port, as a client does that moves to another network. Says whether the transport can.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub async fn migrate(&self) -> std::io::Result<bool> {
        let (reply, answer) = oneshot::channel();
        match self.command(Command::Migrate(reply)).await {
            Ok(()) => answer.await.unwrap_or(Ok(false)),
            Err(SessionGone) => Ok(false),
        }
    }

    /// Cuts the link without a word, as a lost network does. The client then comes back by itself.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn drop_link(&self) -> Result<(), SessionGone> {
        self.command(Command::DropLink).await
    }

    /// Sends an RTP packet under `flow`; says whether it was handed to the network.
    pub fn send_rtp(&self, flow: FlowId, rtp: &[u8]) -> bool {
        if flow.0 > datagram::FLOW_MAX {
            return false;
        }
        let mut bytes = bytes::BytesMut::with_capacity(datagram::PREFIX_BYTES_MAX + rtp.len());
        datagram::encode(flow, rtp, &mut bytes);
        self.send_datagram(bytes.freeze())
    }

    /// Sends a datagram as it is, well formed or not; says whether it was handed to the network.
    pub fn send_datagram(&self, datagram: Bytes) -> bool {
        self.shared.media.borrow().as_ref().is_some_and(|media| media.send(datagram))
    }

    /// Which receiver gets the packets of which flow.
    pub(crate) fn flows(&self) -> &Flows {
        &self.shared.flows
    }

    async fn command(&self, command: Command) -> Result<(), SessionGone> {
        self.commands.send(command).await.map_err(|_| SessionGone)
    }
}

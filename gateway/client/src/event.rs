//! What a client is told.

use tandem_switch::signal::{GoodbyeReason, ServerMessage};
use tokio::sync::mpsc;

use crate::link::Transport;

/// What happened to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The gateway said something.
    Message(ServerMessage),
    /// The link is lost; the client tries to come back for as long as the gateway keeps the session.
    LinkLost,
    /// There is a link again.
    LinkBack {
        /// Whether the session goes on. If not, its calls are over and a new session stands.
        resumed: bool,
        /// What the new link runs on.
        transport: Transport,
    },
    /// The session is over. Always the last event.
    Closed {
        /// What the gateway said, if it said anything.
        goodbye: Option<GoodbyeReason>,
        /// Why, in words.
        why: String,
    },
}

/// The events of a session, in order.
#[derive(Debug)]
pub struct Events(pub(crate) mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` after [`Event::Closed`]. Cancelling the wait loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

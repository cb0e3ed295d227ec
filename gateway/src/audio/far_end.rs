//! The WebSocket to a tap's far end: one task on the control runtime for each.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tandem_switch::audio::TapId;
use tandem_switch::plan::TapStep;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{limits, taps};
use crate::outgoing::HostPattern;
use crate::outgoing::websocket::{Socket, WebSockets};

/// What goes to the far end.
#[derive(Debug)]
pub(super) enum ToFarEnd {
    /// A frame, head and payload.
    Frame(Bytes),
    /// A mark that was reached.
    Mark(String),
}

/// What comes from it.
#[derive(Debug)]
pub(super) enum FromFarEnd {
    /// What it says: one packet, or samples.
    Voice(Bytes),
    /// What it said and is not heard yet shall not be.
    Clear,
    /// It wants to be told when what it said before this was heard.
    Mark(String),
}

/// A far end to talk to.
#[derive(Debug)]
pub(super) struct FarEnd {
    pub(super) sockets: WebSockets,
    pub(super) tap: TapId,
    pub(super) step: Box<TapStep>,
    /// Where the call's function may go.
    pub(super) allowed: Vec<HostPattern>,
}

impl FarEnd {
    /// Talks until either side ends it. `None`: it ended properly; else why not, in plain words.
    ///
    /// Cancellation safety: both branches of the `select!` are a channel's or a stream's next item.
    pub(super) async fn talk(self, mut to: mpsc::Receiver<ToFarEnd>, from: mpsc::Sender<FromFarEnd>) -> Option<String> {
        let connect = self.sockets.connect(&self.step.url, &self.allowed, limits::TAP_MESSAGE_BYTES_MAX);
        let mut socket = match tokio::time::timeout(limits::TAP_CONNECT_TIMEOUT, connect).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Some(format!("the tap's far end cannot be reached: {error}")),
            Err(_) => {
                let seconds = limits::TAP_CONNECT_TIMEOUT.as_secs();
                return Some(format!("the tap's far end did not accept within {seconds} s"));
            }
        };
        // What was said before there was somebody to hear it is old by now.
        while to.try_recv().is_ok() {}
        if let Err(failure) = send(&mut socket, Message::text(taps::start(self.tap, &self.step))).await {
            return Some(failure);
        }
        loop {
            tokio::select! {
                next = to.recv() => {
                    let message = match next {
                        Some(ToFarEnd::Frame(frame)) => Message::binary(frame),
                        Some(ToFarEnd::Mark(name)) => Message::text(mark(name)),
                        None => return end(socket).await,
                    };
                    if let Err(failure) = send(&mut socket, message).await {
                        return Some(failure);
                    }
                }
                message = socket.next() => match message {
                    None => return Some("the tap's far end is gone without a goodbye".to_owned()),
                    Some(Err(error)) => return Some(format!("the tap's far end: {error}")),
                    Some(Ok(Message::Close(_))) => {
                        // Answers the goodbye; whether that arrives is of no interest.
                        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, socket.close(None)).await;
                        return None;
                    }
                    Some(Ok(message)) => match heard(message, self.step.speaks) {
                        Ok(None) => {}
                        // Nobody listens any more: the tap ends.
                        Ok(Some(heard)) => if from.send(heard).await.is_err() {
                            return end(socket).await;
                        },
                        Err(error) => return Some(error.to_string()),
                    },
                },
            }
        }
    }
}

/// How long a goodbye may take. Longer: the connection is cut.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a message says; nothing, when the far end may not speak or only shows that it lives.
fn heard(message: Message, speaks: bool) -> Result<Option<FromFarEnd>, taps::BadMessage> {
    if !speaks {
        return Ok(None);
    }
    Ok(match message {
        Message::Binary(bytes) => Some(FromFarEnd::Voice(taps::voice(bytes)?)),
        Message::Text(text) => Some(match taps::control(&text)? {
            taps::Control::Clear => FromFarEnd::Clear,
            taps::Control::Mark { name } => FromFarEnd::Mark(name),
        }),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
    })
}

fn mark(name: String) -> String {
    serde_json::to_string(&taps::Control::Mark { name }).unwrap_or_default()
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), String> {
    match tokio::time::timeout(limits::TAP_SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the tap's far end: {error}")),
        Err(_) => Err(format!("the tap's far end took nothing for {} s", limits::TAP_SEND_TIMEOUT.as_secs())),
    }
}

/// The gateway ends it.
async fn end(mut socket: Socket) -> Option<String> {
    let goodbye = async {
        // A far end that does not hear it finds the connection closed.
        let _ = socket.send(Message::text(taps::STOP)).await;
        let _ = socket.close(None).await;
    };
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
    None
}

//! One signed-in client and the voice of its call.

use std::collections::VecDeque;

use anyhow::{Context, bail};
use tandem_client::voice::{Frame, SenderOptions, Sink, Source, VoiceReceiver, VoiceSender};
use tandem_client::{Client, Event, Events, TransportChoice};
use tandem_switch::cause::Cause;
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::media::stats::Reception;
use tandem_switch::signal::{CallEvent, ClientMessage, ErrorCode, Happening, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Gateway, PATIENCE, sound, token};

/// Frames of what is heard that wait for the test: 10 s.
const FRAMES_MAX: usize = 500;

/// How many frames in a row a tone or silence must last: 200 ms, longer than the jitter buffer's and the decoder's transitions.
const STEADY_FRAMES: usize = 10;

/// Most frames that are listened to while waiting: 15 s.
const LISTEN_FRAMES_MAX: usize = 750;

/// One signed-in client.
pub struct Phone {
    /// The client; tests may use all of it.
    pub client: Client,
    /// Its user.
    pub user: String,
    events: Events,
    /// Events that a wait passed over; later waits find them.
    passed: VecDeque<Event>,
    voice: Option<Voice>,
}

struct Voice {
    _speaking: VoiceSender,
    hearing: VoiceReceiver,
    frames: mpsc::Receiver<Box<Frame>>,
}

impl Phone {
    /// Signs `user` in.
    ///
    /// # Errors
    /// When the gateway does not take it.
    pub async fn sign_in(gateway: &Gateway, user: &str, transport: TransportChoice) -> anyhow::Result<Self> {
        Self::with_token(gateway, user, &token::good(user), transport).await
    }

    /// Signs `user` in with a token of another tenant than the tests' own.
    ///
    /// # Errors
    /// When the gateway does not take it.
    pub async fn with_token(
        gateway: &Gateway,
        user: &str,
        token: &str,
        transport: TransportChoice,
    ) -> anyhow::Result<Self> {
        let options = gateway.options(transport, token);
        let (client, events) = Client::connect(options).await?;
        Ok(Self { client, user: user.to_owned(), events, passed: VecDeque::new(), voice: None })
    }

    /// Waits for an event; what comes before it is kept for later waits.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn wait<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> anyhow::Result<T> {
        if let Some((index, found)) =
            self.passed.iter().enumerate().find_map(|(index, event)| Some((index, pick(event)?)))
        {
            self.passed.remove(index);
            return Ok(found);
        }
        let search = async {
            while let Some(event) = self.events.next().await {
                if let Some(found) = pick(&event) {
                    return Some(found);
                }
                self.passed.push_back(event);
            }
            None
        };
        let found = timeout(PATIENCE, search).await;
        match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => bail!("{}: the session ended before {what}: {:?}", self.user, self.passed),
            Err(_) => bail!("{}: {what} did not come; these came: {:?}", self.user, self.passed),
        }
    }

    async fn happening<T>(&mut self, call: CallId, what: &str, pick: fn(&Happening) -> Option<T>) -> anyhow::Result<T> {
        self.wait(what, move |event| match event {
            Event::Message(ServerMessage::Event(CallEvent { call: of, what, .. })) if *of == call => pick(what),
            _ => None,
        })
        .await
    }

    /// Calls `to`.
    ///
    /// # Errors
    /// When the gateway does not take the invitation.
    pub async fn dial(&self, to: &str) -> anyhow::Result<CallId> {
        Ok(self.client.invite(to, Vec::new()).await?)
    }

    /// Waits for a call.
    ///
    /// # Errors
    /// When none comes.
    pub async fn rings(&mut self) -> anyhow::Result<CallId> {
        self.wait("an incoming call", |event| match event {
            Event::Message(ServerMessage::Event(event)) => match event.what {
                Happening::Incoming { .. } => Some(event.call),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    /// Waits until voice flows, and says a tone of `hz`.
    ///
    /// # Errors
    /// When the call does not get there.
    pub async fn connected(&mut self, call: CallId, hz: f64) -> anyhow::Result<()> {
        let (send, receive) = self
            .happening(call, "connected", |what| match what {
                Happening::Connected { send, receive, .. } => Some((*send, *receive)),
                _ => None,
            })
            .await?;
        self.speaks_and_hears(call, (send, receive), hz)
    }

    /// Waits until the gateway itself speaks with this phone, and says a tone of `hz`.
    ///
    /// # Errors
    /// When the call does not get there.
    pub async fn answered(&mut self, call: CallId, hz: f64) -> anyhow::Result<()> {
        let flows = self
            .happening(call, "answered", |what| match what {
                Happening::Answered { send, receive } => Some((*send, *receive)),
                _ => None,
            })
            .await?;
        self.speaks_and_hears(call, flows, hz)
    }

    fn speaks_and_hears(&mut self, call: CallId, (send, receive): (FlowId, FlowId), hz: f64) -> anyhow::Result<()> {
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let hearing = VoiceReceiver::start(&self.client, Some(call), receive, Sink::frames(sender))?;
        let speaking = VoiceSender::start(&self.client, send, Source::tone(hz), SenderOptions::default())?;
        self.voice = Some(Voice { _speaking: speaking, hearing, frames });
        Ok(())
    }

    /// Waits until a tone of `hz` is heard for a while.
    ///
    /// # Errors
    /// When it is not.
    pub async fn hears(&mut self, hz: f64) -> anyhow::Result<()> {
        let heard = self.listen(|frame| sound::is_tone(frame, hz)).await?;
        if heard { Ok(()) } else { bail!("{} does not hear {hz} Hz: {:?}", self.user, self.reception()) }
    }

    /// Waits until nothing is heard for a while.
    ///
    /// # Errors
    /// When something is.
    pub async fn hears_nothing(&mut self) -> anyhow::Result<()> {
        let quiet = self.listen(sound::is_silent).await?;
        if quiet { Ok(()) } else { bail!("{} still hears something", self.user) }
    }

    /// Waits for a run of frames that are as they should; only what is played from now on counts.
    async fn listen(&mut self, right: impl Fn(&Frame) -> bool) -> anyhow::Result<bool> {
        let frames = &mut self.voice.as_mut().context("no call is connected")?.frames;
        while frames.try_recv().is_ok() {}
        let mut run = 0;
        for _ in 0..LISTEN_FRAMES_MAX {
            let frame = timeout(PATIENCE, frames.recv()).await?.context("the receiver has ended")?;
            run = if right(&frame) { run + 1 } else { 0 };
            if run >= STEADY_FRAMES {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How well the other party is received.
    pub fn reception(&self) -> Reception {
        self.voice.as_ref().map(|voice| voice.hearing.reception()).unwrap_or_default()
    }

    /// Waits for something to happen to a call.
    ///
    /// # Errors
    /// When it does not.
    pub async fn told(&mut self, call: CallId, expected: Happening) -> anyhow::Result<()> {
        let what = format!("{expected:?}");
        self.wait(&what, move |event| match event {
            Event::Message(ServerMessage::Event(event)) if event.call == call => (event.what == expected).then_some(()),
            _ => None,
        })
        .await
    }

    /// Waits for the end of a call.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self, call: CallId) -> anyhow::Result<Cause> {
        let cause = self
            .happening(call, "the call's end", |what| match what {
                Happening::Ended { cause, .. } => Some(*cause),
                _ => None,
            })
            .await?;
        self.voice = None;
        Ok(cause)
    }

    /// Waits for an error.
    ///
    /// # Errors
    /// When none comes.
    pub async fn refused(&mut self) -> anyhow::Result<ErrorCode> {
        self.wait("an error", |event| match event {
            Event::Message(ServerMessage::Error { code, .. }) => Some(*code),
            _ => None,
        })
        .await
    }

    /// Waits until the link is back; says whether the session goes on.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn back(&mut self) -> anyhow::Result<bool> {
        self.wait("the link", |event| match event {
            Event::LinkBack { resumed, .. } => Some(*resumed),
            _ => None,
        })
        .await
    }

    /// Presses keys.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn presses(&self, call: CallId, digits: &str) -> anyhow::Result<()> {
        Ok(self.client.send(ClientMessage::Dtmf { call, digits: digits.to_owned() }).await?)
    }

    /// Hangs up.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn hang_up(&self, call: CallId) -> anyhow::Result<()> {
        Ok(self.client.hang_up(call).await?)
    }

    /// Calls `callee`, who answers: both say a tone and hear the other's.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn talk_with(&mut self, callee: &mut Self) -> anyhow::Result<CallId> {
        let call = self.dial(&callee.user).await?;
        anyhow::ensure!(callee.rings().await? == call, "another call rings");
        callee.client.answer(call).await?;
        self.connected(call, CALLER_HZ).await?;
        callee.connected(call, CALLEE_HZ).await?;
        self.hears(CALLEE_HZ).await?;
        callee.hears(CALLER_HZ).await?;
        Ok(call)
    }
}

/// The tone that a caller says.
pub const CALLER_HZ: f64 = 500.0;

/// The tone that a callee says.
pub const CALLEE_HZ: f64 = 800.0;

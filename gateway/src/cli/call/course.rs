//! The course of one call, from signing in to the last figures.

use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use tandem_client::voice::{SenderOptions, Sink, Source, VoiceReceiver, VoiceSender};
use tandem_client::{Client, Event, Events, Options};
use tandem_switch::cause::Cause;
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::media::stats::Reception;
use tandem_switch::plan::RecordAction;
use tandem_switch::room::{RoomNews, Speaker};
use tandem_switch::signal::{ClientMessage, Happening, ServerMessage};
use tokio::time::{Instant, sleep_until};

use super::line::{Figures, Line};
use super::typed::{Lines, Typed, presses};
use super::{Answer, Args};

/// How long a comma among keys waits.
const COMMA: Duration = Duration::from_secs(1);

/// One call, under way.
pub(super) struct Course {
    args: Args,
    client: Client,
    events: Events,
    call: Option<CallId>,
    /// What is said and heard, until the call is connected for the first time.
    source: Option<Source>,
    sink: Option<Sink>,
    speaking: Option<VoiceSender>,
    hearing: Option<VoiceReceiver>,
    connected_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    peer_heard: Option<Reception>,
    /// What is typed at the terminal.
    typed: Lines,
    /// Whether it rings here and the terminal was asked.
    asked: bool,
    /// Keys still to be pressed, and when the next ones are.
    keys: VecDeque<String>,
    press_at: Option<Instant>,
    muted: bool,
    held: bool,
    recorded: bool,
    /// In a room: the flow of this client's own voice, and those of the others that are heard.
    own_flow: Option<FlowId>,
    in_room: BTreeSet<FlowId>,
}

/// What the course waits for.
enum Next {
    Event(Option<Event>),
    HangUp,
    Press,
    Typed(String),
}

impl Course {
    /// Signs in and dials, or starts to wait.
    pub(super) async fn begin(args: Args, options: Options, source: Source, sink: Sink) -> anyhow::Result<Self> {
        let (client, events) = Client::connect(options).await?;
        let mut course = Self {
            args,
            client,
            events,
            call: None,
            source: Some(source),
            sink: Some(sink),
            speaking: None,
            hearing: None,
            connected_at: None,
            hang_up_at: None,
            peer_heard: None,
            typed: Lines::new(),
            asked: false,
            keys: VecDeque::new(),
            press_at: None,
            muted: false,
            held: false,
            recorded: false,
            own_flow: None,
            in_room: BTreeSet::new(),
        };
        let identity = course.client.identity();
        course.print(&Line::SignedIn {
            tenant: identity.tenant.to_string(),
            user: identity.user.to_string(),
            transport: course.client.transport().to_string(),
        })?;
        match course.args.to.clone() {
            Some(to) => course.dial(to).await?,
            None => course.print(&Line::Waiting)?,
        }
        Ok(course)
    }

    async fn dial(&mut self, to: String) -> anyhow::Result<()> {
        let call = self.client.invite(&to, Vec::new()).await?;
        self.call_begins(call);
        self.print(&Line::Calling { to, call: call.to_string() })
    }

    /// Remembers what the peer hears, and lets the encoder make up for what is lost.
    fn peer_reported(&mut self, peer: Reception) {
        self.peer_heard = Some(peer);
        if let Some(speaking) = &mut self.speaking {
            speaking.reported(peer);
        }
    }

    fn call_begins(&mut self, call: CallId) {
        self.call = Some(call);
        self.hang_up_at = self.args.hangup_after.map(|after| Instant::now() + after);
    }

    /// Follows the call to its end; says why it ended.
    pub(super) async fn follow(mut self) -> anyhow::Result<Cause> {
        let cause = loop {
            let ended = match self.next().await? {
                Next::Event(Some(event)) => self.happened(event).await?,
                Next::Event(None) => Some(Cause::ConnectionLost),
                Next::HangUp => self.hang_up().await?,
                Next::Press => self.press().await?,
                Next::Typed(line) => self.typed(&line).await?,
            };
            if let Some(cause) = ended {
                break cause;
            }
        };
        self.finish().await?;
        Ok(cause)
    }

    /// Waits for the next thing. All of it is cancellation safe.
    async fn next(&mut self) -> anyhow::Result<Next> {
        let (hang_up, press) = (at(self.hang_up_at), at(self.press_at));
        tokio::select! {
            event = self.events.next() => Ok(Next::Event(event)),
            () = hang_up => Ok(Next::HangUp),
            () = press => Ok(Next::Press),
            line = self.typed.next() => Ok(Next::Typed(line)),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(Next::HangUp)
            }
        }
    }

    /// Hangs up; the `ended` event follows. Without a call there is nothing more to wait for.
    async fn hang_up(&mut self) -> anyhow::Result<Option<Cause>> {
        self.hang_up_at = None;
        match self.call {
            Some(call) => {
                self.client.hang_up(call).await?;
                Ok(None)
            }
            None => Ok(Some(Cause::Cancelled)),
        }
    }

    async fn decide(&mut self, yes: bool) -> anyhow::Result<Option<Cause>> {
        if let Some(call) = self.call {
            if yes {
                self.client.answer(call).await?;
            } else {
                self.client.decline(call).await?;
            }
        }
        Ok(None)
    }

    /// Deals with an event; says why the call ended when it did.
    async fn happened(&mut self, event: Event) -> anyhow::Result<Option<Cause>> {
        match event {
            Event::Message(ServerMessage::Event(event)) if self.call.is_none_or(|call| call == event.call) => {
                return self.call_event(event.call, event.what).await;
            }
            Event::Message(ServerMessage::Event(event)) if matches!(event.what, Happening::Incoming { continues, .. } if continues == self.call) =>
            {
                // The other party was handed over by whom we talked with: the conversation goes on in another call.
                self.call = Some(event.call);
                (self.held, self.recorded) = (false, false);
                if let Some(hearing) = &self.hearing {
                    hearing.continues_in(event.call);
                }
            }
            Event::Message(ServerMessage::Event(event)) => {
                // One call at a time: whoever calls meanwhile is told so.
                if matches!(event.what, Happening::Incoming { .. }) {
                    let busy = ClientMessage::Decline { call: event.call, cause: Some(Cause::Busy) };
                    self.client.send(busy).await?;
                }
            }
            Event::Message(ServerMessage::Quality { peer: Some(peer), .. }) => self.peer_reported(peer),
            Event::Message(ServerMessage::RoomNews { call, news }) if self.call == Some(call) => {
                self.room_news(&news)?;
            }
            Event::Message(ServerMessage::Waiting { waiting, messages }) => {
                self.print(&Line::Messages { waiting, messages })?;
            }
            Event::Message(ServerMessage::Error { message, .. }) => self.print(&Line::Problem { message })?,
            Event::Message(_) => {}
            Event::LinkLost => self.print(&Line::LinkLost)?,
            Event::LinkBack { resumed, transport } => {
                self.print(&Line::LinkBack { resumed, transport: transport.to_string() })?;
                if !resumed && self.call.is_some() {
                    return Ok(Some(Cause::ConnectionLost));
                }
            }
            Event::Closed { why, .. } => {
                self.print(&Line::Problem { message: why })?;
                return Ok(Some(Cause::ConnectionLost));
            }
        }
        Ok(None)
    }

    async fn call_event(&mut self, call: CallId, what: Happening) -> anyhow::Result<Option<Cause>> {
        let line = match what {
            Happening::Incoming { from, name, .. } => {
                self.call_begins(call);
                self.print(&Line::Incoming { from, name, call: call.to_string() })?;
                self.ringing_here().await?;
                return Ok(None);
            }
            Happening::Connected { peer, send, receive } => {
                self.connected(call, send, receive).await?;
                Line::Connected { peer }
            }
            Happening::Answered { send, receive } => {
                self.connected(call, send, receive).await?;
                Line::Answered
            }
            Happening::Hear { receive, who } => {
                self.hear(call, receive)?;
                self.voice_begins();
                Line::Hear { who }
            }
            Happening::Unhear { receive } => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.unhear(receive);
                }
                return Ok(None);
            }
            Happening::Recorded { on } => {
                self.recorded = on;
                Line::Recorded { on }
            }
            Happening::Entered { room, send, .. } => {
                // Nobody is heard under the flow of one's own voice: whom to hear is told by `room-news`.
                self.own_flow = Some(send);
                self.connected(call, send, send).await?;
                Line::Entered { room: room.to_string() }
            }
            Happening::Exited { room, cause, reason } => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.pause();
                }
                Line::Exited { room: room.to_string(), cause: cause.as_str(), reason }
            }
            Happening::Redirected { to } => Line::Redirected { to },
            Happening::Ended { cause, reason } => {
                self.print(&Line::Ended { cause, reason })?;
                return Ok(Some(cause));
            }
            Happening::Offered { queue, waited_ms } => Line::Offered { queue: queue.to_string(), waited_ms },
            Happening::Queued { queue, position, estimate_ms } => {
                Line::Queued { queue: queue.to_string(), position, estimate_ms }
            }
            Happening::Parked { slot } => Line::Parked { slot },
            Happening::Ringing => Line::Ringing,
            Happening::Disconnected => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.pause();
                }
                Line::Disconnected
            }
            Happening::Held => Line::Held,
            Happening::Unheld => Line::Unheld,
            Happening::Muted => Line::Muted,
            Happening::Unmuted => Line::Unmuted,
            Happening::Dtmf { digits } => Line::Dtmf { digits },
            Happening::PeerLost => Line::PeerLost,
            Happening::PeerBack => Line::PeerBack,
        };
        self.print(&line)?;
        Ok(None)
    }

    /// Hears those who may talk in the room. Of more than can be heard at once, those who speak have the places.
    fn room_news(&mut self, news: &RoomNews) -> anyhow::Result<()> {
        let own = self.own_flow;
        let Some(hearing) = &mut self.hearing else { return Ok(()) };
        if let Some(own) = own.filter(|_| news.whole) {
            hearing.follow(own)?;
            self.in_room.clear();
        }
        let silent = news.members.iter().filter(|member| !member.speaks).map(|member| member.flow);
        for flow in news.gone.iter().copied().chain(silent) {
            hearing.unhear(flow);
            self.in_room.remove(&flow);
        }
        let speaks = news.speakers.iter().flatten().map(|speaker| speaker.flow).collect::<BTreeSet<_>>();
        let talkers = news.members.iter().filter(|member| member.speaks).map(|member| member.flow);
        for flow in talkers.chain(speaks.iter().copied()).filter(|flow| Some(*flow) != own) {
            if self.in_room.contains(&flow) {
                continue;
            }
            if hearing.hear(flow).is_err() {
                let silent = self.in_room.iter().find(|other| !speaks.contains(other)).copied();
                let Some(silent) = silent.filter(|_| speaks.contains(&flow)) else { continue };
                hearing.unhear(silent);
                self.in_room.remove(&silent);
                hearing.hear(flow)?;
            }
            self.in_room.insert(flow);
        }
        match &news.speakers {
            Some(speakers) => {
                let name = |speaker: &Speaker| speaker.name.clone().unwrap_or_else(|| speaker.user.to_string());
                self.print(&Line::Speakers { speakers: speakers.iter().map(name).collect() })
            }
            None => Ok(()),
        }
    }

    async fn ringing_here(&mut self) -> anyhow::Result<()> {
        match self.args.answer {
            Answer::Auto => drop(self.decide(true).await?),
            Answer::Decline => drop(self.decide(false).await?),
            Answer::Ask => {
                self.asked = true;
                eprint!("Take the call? [y/n] ");
                self.typed.begin();
            }
        }
        Ok(())
    }

    /// Voice flows from here, to and from the other party or the gateway: these are all the flows that there are.
    async fn connected(&mut self, call: CallId, send: FlowId, receive: FlowId) -> anyhow::Result<()> {
        match &mut self.hearing {
            Some(hearing) => hearing.follow(receive)?,
            None => self.hear(call, receive)?,
        }
        match &self.speaking {
            Some(speaking) => speaking.follow(send)?,
            None => {
                if let Some(source) = self.source.take() {
                    let speaking = VoiceSender::start(&self.client, send, source, SenderOptions::default())?;
                    self.speaking = Some(speaking);
                }
                if self.args.record_call {
                    self.client.send(ClientMessage::Record { call, action: RecordAction::Start }).await?;
                }
            }
        }
        self.voice_begins();
        Ok(())
    }

    /// A further voice is heard. It may be the first of all: the gateway whispers before it connects.
    fn hear(&mut self, call: CallId, receive: FlowId) -> anyhow::Result<()> {
        if let Some(hearing) = &mut self.hearing {
            hearing.hear(receive)?;
        } else if let Some(sink) = self.sink.take() {
            self.hearing = Some(VoiceReceiver::start(&self.client, Some(call), receive, sink)?);
        }
        Ok(())
    }

    /// Somebody is heard, perhaps for the first time.
    fn voice_begins(&mut self) {
        if self.connected_at.is_some() {
            return;
        }
        let now = Instant::now();
        self.connected_at = Some(now);
        self.hang_up_at = [self.hang_up_at, self.args.duration.map(|span| now + span)].into_iter().flatten().min();
        if let Some(keys) = self.args.digits.take() {
            self.will_press(&keys);
        }
        if std::io::stdin().is_terminal() {
            self.typed.begin();
        }
    }

    fn will_press(&mut self, keys: &str) {
        self.keys.extend(presses(keys));
        self.press_at.get_or_insert_with(Instant::now);
    }

    /// Presses the next keys; the ones after them follow in a second.
    async fn press(&mut self) -> anyhow::Result<Option<Cause>> {
        let keys = self.keys.pop_front();
        self.press_at = (!self.keys.is_empty()).then(|| Instant::now() + COMMA);
        if let (Some(call), Some(digits)) = (self.call, keys.filter(|keys| !keys.is_empty())) {
            self.client.send(ClientMessage::Dtmf { call, digits }).await?;
        }
        Ok(None)
    }

    /// Does what was typed: the answer to the question whether to take the call, or something to do in it.
    async fn typed(&mut self, line: &str) -> anyhow::Result<Option<Cause>> {
        if std::mem::take(&mut self.asked) {
            return self.decide(matches!(line.trim(), "y" | "Y" | "yes")).await;
        }
        let (Some(call), true, false) = (self.call, self.hearing.is_some(), line.trim().is_empty()) else {
            return Ok(None);
        };
        let message = match Typed::parse(line) {
            Ok(Typed::Keys(keys)) => {
                self.will_press(&keys);
                return Ok(None);
            }
            Ok(Typed::HangUp) => return self.hang_up().await,
            Ok(Typed::Mute) if toggle(&mut self.muted) => ClientMessage::Mute { call },
            Ok(Typed::Mute) => ClientMessage::Unmute { call },
            Ok(Typed::Hold) if toggle(&mut self.held) => ClientMessage::Hold { call },
            Ok(Typed::Hold) => ClientMessage::Resume { call },
            Ok(Typed::Transfer(to)) => ClientMessage::Transfer { call, to },
            Ok(Typed::Park(slot)) => ClientMessage::Park { call, slot: Some(slot), timeout_ms: None },
            Ok(Typed::Record) if self.recorded => ClientMessage::Record { call, action: RecordAction::Stop },
            Ok(Typed::Record) => ClientMessage::Record { call, action: RecordAction::Start },
            Err(words) => {
                eprintln!("{words}");
                return Ok(None);
            }
        };
        self.client.send(message).await?;
        Ok(None)
    }

    /// Finishes the recording, tells the figures, ends the session.
    async fn finish(mut self) -> anyhow::Result<()> {
        if let Some(hearing) = self.hearing.take() {
            let sent = self.speaking.take().map(|speaking| speaking.sent()).unwrap_or_default();
            let talked = self.connected_at.map_or(0, |at| at.elapsed().as_millis());
            let figures = Figures {
                transport: self.client.transport().to_string(),
                talked_ms: u64::try_from(talked).unwrap_or(u64::MAX),
                sent_packets: sent.packets,
                sent_bytes: sent.bytes,
                heard: hearing.stop().await?,
                peer_heard: self.peer_heard,
            };
            self.print(&Line::Figures(Box::new(figures)))?;
        }
        self.client.bye().await;
        Ok(())
    }

    fn print(&self, line: &Line) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.args.json {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
        } else {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}

/// Waits until then; for ever when there is no time.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// Turns a switch over; says whether it is on then.
fn toggle(on: &mut bool) -> bool {
    *on = !*on;
    *on
}

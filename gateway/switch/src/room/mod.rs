//! A room: a conference, where everybody may talk, or a channel, where a few talk and many listen.
//!
//! A pure machine: `handle(now, Input)`, drain `poll() -> Option<Output>`, `poll_timeout()`. Members are told apart by their voice's
//! flow. It decides who is in, who waits, whose voice passes, who hears, and what each member is told; it knows no sessions, links
//! or packets. Who of the talkers is heard at a given moment is [`crate::media::speakers`]'s business.
//!
//! What members are told is a list of members and its changes ([`RoomNews`]). A change is told at once when the room was quiet, else
//! gathered and told with the next ones ([`news`]): so neither ten thousand who come at once nor a member who flips a switch makes
//! more than a bounded number of messages. A member sees [`limits::ROOM_VISIBLE_MAX`] others and how many there are; in a channel it sees
//! those who may speak; moderators also see raised hands and who waits.
//!
//! A room begins with its first member and is over with its last.

mod interface;
mod news;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::call::Refusal;
use crate::id::{FlowId, RoomName};
use crate::limits;
use crate::signal::ErrorCode;
use crate::time::Instant;

pub use self::interface::{
    Entry, Exit, Input, Newcomer, Output, RoomAction, RoomCause, RoomKind, RoomLimits, RoomMember, RoomNews, RoomState,
    RoomTone, Speaker,
};
use self::news::News;

/// What a room knows of a member.
#[derive(Debug)]
struct Member {
    shown: RoomMember,
    ends: bool,
    announced: bool,
    /// What the exchange was last told of their voice.
    talks: bool,
    hears: bool,
}

impl Member {
    fn is_inside(&self) -> bool {
        !self.shown.waiting
    }
}

/// A room.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    kind: RoomKind,
    limits: RoomLimits,
    started: bool,
    locked: bool,
    lobby: bool,
    over: bool,
    members: BTreeMap<FlowId, Member>,
    /// How many of them wait, are inside and may talk, and have their hand up.
    waiting: usize,
    speaking: usize,
    hands: usize,
    /// Members whose voice may have to be told anew.
    touched: BTreeSet<FlowId>,
    news: News,
    outputs: VecDeque<Output>,
}

fn refuse(code: ErrorCode, message: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal { code, message: message.into() })
}

impl Room {
    /// A room without members. A channel has always started; a conference starts with the first member who starts it.
    pub fn new(name: RoomName, kind: RoomKind, limits: RoomLimits) -> Self {
        Self {
            name,
            kind,
            limits,
            started: kind == RoomKind::Channel,
            locked: false,
            lobby: false,
            over: false,
            members: BTreeMap::new(),
            waiting: 0,
            speaking: 0,
            hands: 0,
            touched: BTreeSet::new(),
            news: News::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input.
    ///
    /// # Errors
    /// When a member's action is not theirs to take or names nobody; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Refusal> {
        let done = match input {
            Input::Join(flow, newcomer) => {
                self.join(flow, *newcomer);
                Ok(())
            }
            Input::Gone(flow) => {
                self.remove(flow, None);
                Ok(())
            }
            Input::Act(flow, action) => self.act(flow, action),
            Input::Mute(flow, muted) => {
                self.change(flow, |member| member.muted = muted);
                Ok(())
            }
            Input::Away(flow) => {
                self.change(flow, |member| member.away = true);
                Ok(())
            }
            Input::Back(flow) => {
                self.change(flow, |member| member.away = false);
                self.news.tell_all(flow);
                Ok(())
            }
            Input::Speaking(flows) => {
                self.news.speaking(flows);
                Ok(())
            }
            Input::Close => {
                self.end();
                Ok(())
            }
        };
        self.settle(now);
        done
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Room::handle_timeout`] is due next: gathered news is told then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.news.due()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tell_news(now);
    }

    /// What it is called.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// What sort of a room it is.
    pub fn kind(&self) -> RoomKind {
        self.kind
    }

    /// How it is.
    pub fn state(&self) -> RoomState {
        let count = |members: usize| u32::try_from(members).unwrap_or(u32::MAX);
        RoomState {
            started: self.started,
            locked: self.locked,
            lobby: self.lobby,
            present: count(self.members.len() - self.waiting),
            speakers: count(self.speaking),
        }
    }

    /// Every member, those who wait included.
    pub fn members(&self) -> impl Iterator<Item = &RoomMember> {
        self.members.values().map(|member| &member.shown)
    }

    /// Whether this is a member.
    pub fn has(&self, flow: FlowId) -> bool {
        self.members.contains_key(&flow)
    }

    /// Whether nobody is in it and nobody ever will be.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn join(&mut self, flow: FlowId, newcomer: Newcomer) {
        if self.members.contains_key(&flow) {
            return;
        }
        let Newcomer { user, name, entry } = newcomer;
        let waiting = !entry.moderator && (entry.waits || self.lobby);
        if let Some(exit) = self.closed_to(&entry, waiting) {
            self.outputs.push_back(Output::Out(flow, exit));
            return;
        }
        let name = name.map(|name| name.chars().take(limits::ROOM_NAME_SHOWN_CHARS_MAX).collect());
        let shown = RoomMember {
            flow,
            user,
            name,
            speaks: entry.speaks,
            muted: entry.muted,
            silenced: false,
            hand: false,
            moderator: entry.moderator,
            waiting,
            away: false,
        };
        let member = Member { shown, ends: entry.ends, announced: entry.announced, talks: false, hears: false };
        self.count(&member.shown, 1);
        self.members.insert(flow, member);
        self.news.tell_all(flow);
        self.touch(flow);
        if entry.starts && !self.started {
            self.started = true;
            self.touch_all();
        }
        if !waiting {
            self.came_in(flow);
        }
    }

    /// Why somebody may not enter now.
    fn closed_to(&self, entry: &Entry, waiting: bool) -> Option<Exit> {
        if self.over {
            return Some(Exit::new(RoomCause::Ended));
        }
        if self.locked && !entry.moderator {
            return Some(Exit::new(RoomCause::Locked));
        }
        let max = self.limits.members_max;
        if self.members.len() >= max {
            return Some(Exit::full(format!("the room is full: it has its {max} members")));
        }
        if waiting && self.waiting >= limits::ROOM_LOBBY_MAX {
            return Some(Exit::full(format!("the room's lobby is full: {} wait", limits::ROOM_LOBBY_MAX)));
        }
        None
    }

    fn came_in(&mut self, flow: FlowId) {
        let present = self.members.len() - self.waiting;
        if self.members.get(&flow).is_some_and(|member| member.announced) && present <= limits::ROOM_TONES_MEMBERS_MAX {
            self.news.tone(RoomTone::Joined);
        }
    }

    /// Takes somebody out; `exit` is told where they are still there to be told.
    fn remove(&mut self, flow: FlowId, exit: Option<Exit>) {
        let Some(member) = self.members.remove(&flow) else { return };
        self.count(&member.shown, -1);
        self.touched.remove(&flow);
        self.news.gone(flow);
        if member.talks || member.hears {
            self.outputs.push_back(Output::Voice { member: flow, talks: false, hears: false });
        }
        if let Some(exit) = exit {
            self.outputs.push_back(Output::Out(flow, exit));
        }
        let present = self.members.len() - self.waiting;
        if member.is_inside() && member.announced && present <= limits::ROOM_TONES_MEMBERS_MAX {
            self.news.tone(RoomTone::Left);
        }
        if member.ends && member.is_inside() {
            self.end();
        }
    }

    /// Everybody has to leave.
    fn end(&mut self) {
        self.over = true;
        while let Some((&flow, _)) = self.members.first_key_value() {
            self.remove(flow, Some(Exit::new(RoomCause::Ended)));
        }
    }

    fn act(&mut self, by: FlowId, action: RoomAction) -> Result<(), Refusal> {
        let Some(actor) = self.members.get(&by) else {
            return refuse(ErrorCode::WrongState, "this call is in no room");
        };
        match action {
            RoomAction::Leave => {
                self.remove(by, Some(Exit::new(RoomCause::Left)));
                return Ok(());
            }
            RoomAction::LowerHand { member } if member.is_none_or(|member| member == by) => {
                self.change(by, |member| member.hand = false);
                return Ok(());
            }
            RoomAction::RaiseHand => return self.raise_hand(by),
            _ if !actor.shown.moderator => {
                return refuse(ErrorCode::NotGranted, "only a moderator of the room may do this");
            }
            _ => {}
        }
        self.moderate(action)
    }

    fn raise_hand(&mut self, flow: FlowId) -> Result<(), Refusal> {
        let Some(member) = self.members.get(&flow) else { return Ok(()) };
        if !member.is_inside() {
            return refuse(ErrorCode::WrongState, "wait until you are admitted");
        }
        if !member.shown.hand && self.hands >= limits::ROOM_HANDS_MAX {
            let max = limits::ROOM_HANDS_MAX;
            return refuse(ErrorCode::Overloaded, format!("{max} hands are up already; try again later"));
        }
        self.change(flow, |member| member.hand = true);
        Ok(())
    }

    fn moderate(&mut self, action: RoomAction) -> Result<(), Refusal> {
        match action {
            RoomAction::LowerHand { member: Some(flow) } => {
                self.known(flow)?;
                self.change(flow, |member| member.hand = false);
            }
            RoomAction::Silence { member: Some(flow) } => {
                self.known(flow)?;
                self.change(flow, |member| member.silenced = true);
            }
            RoomAction::Silence { member: None } => {
                self.change_all(|member| member.silenced |= !member.moderator && member.speaks);
            }
            RoomAction::Unsilence { member: Some(flow) } => {
                self.known(flow)?;
                self.change(flow, |member| member.silenced = false);
            }
            RoomAction::Unsilence { member: None } => self.change_all(|member| member.silenced = false),
            RoomAction::LetSpeak { member: flow } => {
                self.known(flow)?;
                self.change(flow, |member| (member.speaks, member.hand) = (true, false));
            }
            RoomAction::StopSpeaking { member: flow } => {
                self.known(flow)?;
                if self.kind == RoomKind::Conference {
                    return refuse(ErrorCode::WrongState, "in a conference everybody may talk; `silence` the member");
                }
                self.change(flow, |member| member.speaks = false);
            }
            RoomAction::Kick { member: flow } => {
                let cause = if self.known(flow)? { RoomCause::Kicked } else { RoomCause::Refused };
                self.remove(flow, Some(Exit::new(cause)));
            }
            RoomAction::Admit { member: Some(flow) } => {
                self.known(flow)?;
                self.admit(flow);
            }
            RoomAction::Admit { member: None } => {
                let waiting = self.members.iter().filter(|(_, member)| !member.is_inside());
                for flow in waiting.map(|(&flow, _)| flow).collect::<Vec<_>>() {
                    self.admit(flow);
                }
            }
            RoomAction::Lock => self.locked = true,
            RoomAction::Unlock => self.locked = false,
            RoomAction::Lobby => self.lobby = true,
            RoomAction::NoLobby => self.lobby = false,
            RoomAction::End => self.end(),
            RoomAction::Leave | RoomAction::RaiseHand | RoomAction::LowerHand { member: None } => {}
        }
        Ok(())
    }

    fn admit(&mut self, flow: FlowId) {
        if self.members.get(&flow).is_some_and(|member| !member.is_inside()) {
            self.change(flow, |member| member.waiting = false);
            self.news.tell_all(flow);
            self.came_in(flow);
        }
    }

    /// Whether a member is inside.
    fn known(&self, flow: FlowId) -> Result<bool, Refusal> {
        match self.members.get(&flow) {
            Some(member) => Ok(member.is_inside()),
            None => {
                let message = format!("no member of the room has flow {}", flow.0);
                Err(Refusal { code: ErrorCode::BadMessage, message })
            }
        }
    }

    /// Changes a member, if it is there.
    fn change(&mut self, flow: FlowId, change: impl FnOnce(&mut RoomMember)) {
        let Some(member) = self.members.get_mut(&flow) else { return };
        let before = member.shown.clone();
        change(&mut member.shown);
        if member.shown != before {
            let after = member.shown.clone();
            self.count(&before, -1);
            self.count(&after, 1);
            self.touch(flow);
        }
    }

    fn change_all(&mut self, change: impl Fn(&mut RoomMember)) {
        for flow in self.members.keys().copied().collect::<Vec<_>>() {
            self.change(flow, &change);
        }
    }

    fn count(&mut self, member: &RoomMember, by: isize) {
        let add = |counter: &mut usize, counts: bool| {
            if counts {
                *counter = counter.checked_add_signed(by).expect("only members are counted, each once");
            }
        };
        add(&mut self.waiting, member.waiting);
        add(&mut self.speaking, !member.waiting && member.speaks);
        add(&mut self.hands, member.hand);
    }

    fn touch(&mut self, flow: FlowId) {
        self.touched.insert(flow);
        self.news.changed(flow);
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.members.keys());
    }

    /// Says whose voice passes and who hears, then what is new; an empty room is over.
    fn settle(&mut self, now: Instant) {
        for flow in std::mem::take(&mut self.touched) {
            let Some(member) = self.members.get_mut(&flow) else { continue };
            let RoomMember { speaks, muted, silenced, away, .. } = member.shown;
            let takes_part = member.is_inside() && self.started && !away;
            let voice = (takes_part && speaks && !muted && !silenced, takes_part);
            if voice != (member.talks, member.hears) {
                (member.talks, member.hears) = voice;
                self.outputs.push_back(Output::Voice { member: flow, talks: voice.0, hears: voice.1 });
            }
        }
        self.tell_news(now);
        if self.members.is_empty() && !self.news.is_over() {
            self.over = true;
            self.news.end();
            self.outputs.push_back(Output::Over);
        }
    }
}

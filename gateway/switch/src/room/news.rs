//! What members are told: the changes of what they see, gathered so that there are not too many messages.
//!
//! There are two audiences: moderators, and everybody else who is inside. Each is told what has changed of what it sees since it was
//! last told; one who has just come in, or is back, is told everything first. Who waits is told of nobody but themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::FlowId;
use crate::limits;
use crate::time::Instant;

use super::interface::news_interval;
use super::{Output, Room, RoomKind, RoomMember, RoomNews, RoomState, RoomTone, Speaker};

/// What has changed and not been told yet, and what was told.
#[derive(Debug, Default)]
pub(super) struct News {
    changed: BTreeSet<FlowId>,
    /// Those of them whose place among the visible members has to be looked at.
    unplaced: Vec<FlowId>,
    /// Members who are to be told everything.
    newcomers: BTreeSet<FlowId>,
    /// The members that everybody inside was told of, as they were then.
    everybody: BTreeMap<FlowId, RoomMember>,
    /// Those that moderators were told of.
    moderators: BTreeMap<FlowId, RoomMember>,
    /// What each was told of itself.
    themselves: BTreeMap<FlowId, RoomMember>,
    /// Members that everybody sees; at most [`limits::ROOM_VISIBLE_MAX`].
    visible: BTreeSet<FlowId>,
    told_state: Option<RoomState>,
    speaking: Vec<FlowId>,
    told_speaking: Vec<FlowId>,
    tone: Option<RoomTone>,
    /// Nothing is told before.
    quiet_until: Instant,
    /// When what is gathered is told.
    due: Option<Instant>,
    over: bool,
}

impl News {
    pub(super) fn changed(&mut self, flow: FlowId) {
        self.changed.insert(flow);
        self.unplaced.push(flow);
    }

    pub(super) fn tell_all(&mut self, flow: FlowId) {
        self.newcomers.insert(flow);
    }

    pub(super) fn gone(&mut self, flow: FlowId) {
        self.newcomers.remove(&flow);
        self.changed(flow);
    }

    pub(super) fn speaking(&mut self, flows: Vec<FlowId>) {
        self.speaking = flows;
        self.speaking.truncate(limits::ROOM_SPEAKERS_MAX);
    }

    /// Of several tones that wait, the last one sounds.
    pub(super) fn tone(&mut self, tone: RoomTone) {
        self.tone = Some(tone);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn end(&mut self) {
        *self = Self { over: true, ..Self::default() };
    }
}

/// One audience's changes.
#[derive(Default)]
struct Changes {
    members: Vec<RoomMember>,
    gone: Vec<FlowId>,
}

impl Changes {
    /// Notes what an audience sees of a member now, if that differs from what it was `told`.
    fn note(&mut self, told: &mut BTreeMap<FlowId, RoomMember>, flow: FlowId, now: Option<&RoomMember>) {
        if told.get(&flow) == now {
            return;
        }
        match now {
            Some(member) => {
                told.insert(flow, member.clone());
                self.members.push(member.clone());
            }
            None => {
                told.remove(&flow);
                self.gone.push(flow);
            }
        }
    }
}

impl Room {
    /// Newcomers are told everything at once; the others are told what has changed, when it is time.
    pub(super) fn tell_news(&mut self, now: Instant) {
        self.place();
        for flow in std::mem::take(&mut self.news.newcomers) {
            self.tell_everything(flow);
        }
        self.news.speaking.retain(|flow| self.members.get(flow).is_some_and(|member| member.talks));
        let has_news = !self.news.changed.is_empty()
            || self.news.tone.is_some()
            || self.news.speaking != self.news.told_speaking
            || self.news.told_state != Some(self.state());
        if !has_news || self.members.is_empty() {
            self.news.due = None;
        } else if now >= self.news.quiet_until {
            self.news.quiet_until = now + news_interval(self.members.len());
            self.news.due = None;
            self.tell_changes();
        } else {
            self.news.due = Some(self.news.quiet_until);
        }
    }

    /// Who of the changed members everybody sees. A place that becomes free goes to the next who has none.
    fn place(&mut self) {
        let mut freed = false;
        for flow in std::mem::take(&mut self.news.unplaced) {
            if !self.is_public(flow) {
                freed |= self.news.visible.remove(&flow);
            } else if self.news.visible.len() < limits::ROOM_VISIBLE_MAX {
                self.news.visible.insert(flow);
            }
        }
        let public = match self.kind {
            RoomKind::Conference => self.members.len() - self.waiting,
            RoomKind::Channel => self.speaking,
        };
        if !freed || public <= self.news.visible.len() {
            return;
        }
        let unseen = |flow: &&FlowId| self.is_public(**flow) && !self.news.visible.contains(flow);
        let places = limits::ROOM_VISIBLE_MAX - self.news.visible.len();
        let next: Vec<FlowId> = self.members.keys().filter(unseen).take(places).copied().collect();
        self.news.visible.extend(&next);
        self.news.changed.extend(next);
    }

    /// Whether everybody may see a member: in a channel only those who may speak.
    fn is_public(&self, flow: FlowId) -> bool {
        let is_seen = |member: &super::Member| self.kind == RoomKind::Conference || member.shown.speaks;
        self.members.get(&flow).is_some_and(|member| member.is_inside() && is_seen(member))
    }

    fn tell_changes(&mut self) {
        let (mut public, mut moderators) = (Changes::default(), Changes::default());
        let mut own = Vec::new();
        for flow in std::mem::take(&mut self.news.changed) {
            let shown = self.members.get(&flow).map(|member| &member.shown);
            let is_visible = self.news.visible.contains(&flow);
            let concerns_moderators = |member: &&RoomMember| member.hand || member.waiting || member.moderator;
            public.note(&mut self.news.everybody, flow, shown.filter(|_| is_visible));
            let seen = shown.filter(|member| is_visible || concerns_moderators(member));
            moderators.note(&mut self.news.moderators, flow, seen);
            let mut themselves = Changes::default();
            themselves.note(&mut self.news.themselves, flow, shown);
            own.extend(themselves.members);
        }
        for you in own {
            self.tell(vec![you.flow], RoomNews { you: Some(you), ..self.no_news() });
        }
        let state = self.state();
        let common = RoomNews {
            state: (self.news.told_state != Some(state)).then_some(state),
            speakers: (self.news.speaking != self.news.told_speaking).then(|| self.speakers(&self.news.speaking)),
            tone: self.news.tone.take(),
            ..self.no_news()
        };
        self.news.told_state = Some(state);
        self.news.told_speaking.clone_from(&self.news.speaking);
        let inside = |moderates: bool| {
            let here = self.members.iter().filter(move |(_, member)| {
                member.is_inside() && !member.shown.away && member.shown.moderator == moderates
            });
            here.map(|(&flow, _)| flow).collect::<Vec<_>>()
        };
        for (to, changes) in [(inside(false), public), (inside(true), moderators)] {
            self.tell_pages(to, common.clone(), changes.members, changes.gone);
        }
    }

    /// Tells one member all that its audience has been told; what is gathered since follows for all of them.
    fn tell_everything(&mut self, flow: FlowId) {
        let Some(member) = self.members.get(&flow) else { return };
        let you = member.shown.clone();
        self.news.themselves.insert(flow, you.clone());
        let (is_inside, moderates) = (member.is_inside(), you.moderator);
        let first = RoomNews { whole: true, you: Some(you), ..self.no_news() };
        if !is_inside {
            return self.tell(vec![flow], first);
        }
        let seen = if moderates { &self.news.moderators } else { &self.news.everybody };
        let members = seen.values().cloned().collect();
        let speakers = Some(self.speakers(&self.news.told_speaking));
        let first = RoomNews { state: self.news.told_state, speakers, ..first };
        self.tell_pages(vec![flow], first, members, Vec::new());
    }

    fn no_news(&self) -> RoomNews {
        RoomNews {
            room: self.name.clone(),
            kind: self.kind,
            whole: false,
            you: None,
            members: Vec::new(),
            gone: Vec::new(),
            state: None,
            speakers: None,
            tone: None,
        }
    }

    fn speakers(&self, flows: &[FlowId]) -> Vec<Speaker> {
        let speaker = |flow: &FlowId| {
            let RoomMember { user, name, .. } = &self.members.get(flow)?.shown;
            Some(Speaker { flow: *flow, user: user.clone(), name: name.clone() })
        };
        flows.iter().filter_map(speaker).collect()
    }

    /// Tells what fits a line each: [`limits::ROOM_PAGE_MEMBERS`] members at a time.
    fn tell_pages(&mut self, to: Vec<FlowId>, first: RoomNews, members: Vec<RoomMember>, gone: Vec<FlowId>) {
        let mut members = members.into_iter().peekable();
        let mut gone = gone.into_iter().peekable();
        let mut page = first;
        loop {
            page.members = members.by_ref().take(limits::ROOM_PAGE_MEMBERS).collect();
            page.gone = gone.by_ref().take(limits::ROOM_PAGE_GONE).collect();
            self.tell(to.clone(), page);
            if members.peek().is_none() && gone.peek().is_none() {
                return;
            }
            page = self.no_news();
        }
    }

    fn tell(&mut self, to: Vec<FlowId>, news: RoomNews) {
        if !to.is_empty() && news != self.no_news() {
            self.outputs.push_back(Output::Tell(to, Box::new(news)));
        }
    }
}

//! A client as the simulation has it: what it believes from what it was told, and what its user might do next.

use std::collections::BTreeMap;

use tandem_switch::cause::Cause;
use tandem_switch::event::Header;
use tandem_switch::id::{CallId, FlowId, LinkId, SessionId, TenantId, UserId};
use tandem_switch::media::stats::Reception;
use tandem_switch::plan::RecordAction;
use tandem_switch::signal::{ClientMessage, Happening, ResumeSession, Seen, ServerMessage};
use tandem_switch::token::Grant;

use crate::random::Random;

pub(crate) struct Client {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) grants: Vec<Grant>,
    /// The link that it uses, if any.
    pub(crate) link: Option<LinkId>,
    /// Whether `welcome` came on that link.
    pub(crate) welcomed: bool,
    session: Option<(SessionId, String)>,
    pub(crate) calls: BTreeMap<CallId, Belief>,
    pub(crate) sequence: u16,
    /// Voice packets that reached it.
    pub(crate) heard: u64,
}

/// What a client believes of a call.
pub(crate) struct Belief {
    last_n: u32,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Ringing,
    Connected { send: FlowId, receive: FlowId },
    Over,
}

impl Client {
    pub(crate) fn new(tenant: TenantId, user: UserId, grants: Vec<Grant>) -> Self {
        let (link, session) = (None, None);
        Self { tenant, user, grants, link, welcomed: false, session, calls: BTreeMap::new(), sequence: 0, heard: 0 }
    }

    /// What it asks to go on with: now and then like a reloaded page that kept its session and forgot its calls.
    pub(crate) fn resume(&mut self, random: &mut Random) -> Option<ResumeSession> {
        let (session, secret) = self.session.clone()?;
        if random.percent(10) {
            self.calls.clear();
        }
        let secret = if random.percent(3) { "wrong".to_owned() } else { secret };
        let seen = self.calls.iter().map(|(call, belief)| Seen { call: *call, n: belief.last_n }).collect();
        Some(ResumeSession { session, secret, seen })
    }

    /// Its session is over.
    pub(crate) fn forget(&mut self) {
        self.session = None;
        self.calls.clear();
    }

    pub(crate) fn receive(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Welcome { session, secret, tenant, user, resumed, .. } => {
                assert_eq!((&tenant, &user), (&self.tenant, &self.user), "welcome names somebody else");
                if !resumed {
                    self.calls.clear();
                } else {
                    assert_eq!(self.session.as_ref().map(|(id, _)| *id), Some(session), "another session was resumed");
                }
                self.session = Some((session, secret));
                self.welcomed = true;
            }
            ServerMessage::Calling { call, .. } => {
                self.calls.entry(call).or_insert(Belief { last_n: 0, state: State::Calling });
            }
            ServerMessage::Event(event) => {
                let belief = self.calls.entry(event.call).or_insert(Belief { last_n: 0, state: State::Calling });
                assert_eq!(event.n, belief.last_n + 1, "a gap or a repetition in a call's events: {event:?}");
                belief.last_n = event.n;
                belief.learn(&event.what);
            }
            ServerMessage::Presence { users } => {
                let of_tenant =
                    |user: &UserId| user.as_str().starts_with(self.tenant.as_str()) || user.as_str() == "nobody";
                assert!(users.iter().all(|presence| of_tenant(&presence.user)), "another tenant's users: {users:?}");
            }
            _ => assert!(self.welcomed || matches!(message, ServerMessage::Error { .. }), "{message:?} before welcome"),
        }
    }

    /// What its user does next.
    pub(crate) fn act(&mut self, random: &mut Random, users: &[String], foreign: &[CallId]) -> ClientMessage {
        let live: Vec<(CallId, State)> = self.calls.iter().map(|(call, belief)| (*call, belief.state)).collect();
        match random.below(100) {
            0..30 => self.invite(random, users),
            30..34 => ClientMessage::Watch { users: self.watched(random) },
            34 => ClientMessage::Bye,
            35 => ClientMessage::Ping { data: random.below(9) },
            36..41 if !foreign.is_empty() => {
                let call = *random.pick(foreign);
                deed(random, call)
            }
            _ => match live.iter().rev().filter(|(_, state)| *state != State::Over).nth(random.below(2) as usize) {
                Some((call, State::Ringing)) => ringing(random, *call),
                Some((call, _)) if random.percent(70) => deed(random, *call),
                _ => self.invite(random, users),
            },
        }
    }

    fn invite(&self, random: &mut Random, users: &[String]) -> ClientMessage {
        let to = match random.below(20) {
            0 => self.user.to_string(),
            1 => "nobody".to_owned(),
            2 => String::new(),
            3 => "Not A Name".to_owned(),
            _ => random.pick(users).clone(),
        };
        let headers = (0..random.below(40) / 12 * 11).map(|n| Header { name: format!("x-{n}"), value: String::new() });
        ClientMessage::Invite { reference: random.below(1000).to_string(), to, headers: headers.collect() }
    }

    fn watched(&self, random: &mut Random) -> Vec<UserId> {
        if random.percent(50) {
            return Vec::new();
        }
        (0..3).map(|n| UserId::new(&format!("{}-u{n}", self.tenant)).unwrap()).collect()
    }
}

fn ringing(random: &mut Random, call: CallId) -> ClientMessage {
    match random.below(10) {
        0..6 => ClientMessage::Answer { call },
        6 => ClientMessage::Decline { call, cause: None },
        7 => ClientMessage::Decline { call, cause: Some(Cause::Busy) },
        8 => ClientMessage::Decline { call, cause: Some(Cause::Forbidden) },
        _ => deed(random, call),
    }
}

fn deed(random: &mut Random, call: CallId) -> ClientMessage {
    match random.below(14) {
        0 | 1 => ClientMessage::Hangup { call },
        11 | 12 => {
            let actions = [RecordAction::Start, RecordAction::Start, RecordAction::Stop, RecordAction::Pause];
            ClientMessage::Record { call, action: *random.pick(&actions) }
        }
        2 | 3 => ClientMessage::Hold { call },
        4 | 5 => ClientMessage::Resume { call },
        6 | 7 => ClientMessage::Mute { call },
        8 => ClientMessage::Unmute { call },
        9 => {
            let digits = random.pick(&["1", "12*#", "#", "ABCD", "", "x", "111111111111111111111111111111111"]);
            ClientMessage::Dtmf { call, digits: (*digits).to_owned() }
        }
        10 => ClientMessage::Report { call, reception: Reception { packets: 1, ..Reception::default() } },
        _ => ClientMessage::Answer { call },
    }
}

impl Belief {
    fn learn(&mut self, what: &Happening) {
        match what {
            Happening::Incoming { .. } => self.state = State::Ringing,
            Happening::Connected { send, receive, .. } => {
                self.state = State::Connected { send: *send, receive: *receive };
            }
            Happening::Disconnected => self.state = State::Calling,
            Happening::Ended { .. } => {
                assert_ne!(self.state, State::Over, "ended twice");
                self.state = State::Over;
            }
            _ => assert_ne!(self.state, State::Over, "{what:?} after ended"),
        }
    }
}

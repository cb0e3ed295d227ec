//! The exchange: all sessions and calls of a node as one state machine.
//!
//! `handle(now, Input)`, drain `poll() -> Option<Output>`, `poll_timeout() -> Option<(Instant, Timer)>`, then
//! `handle_timeout(now)`. It knows who is connected over which link, which call each session is a party of, and what every party
//! has to be told. It does not know sockets, tokens' signatures, Wasm or storage: the shell does what the outputs say.
//!
//! What happens within one call is [`crate::call::Call`]'s business; here are sessions and their resumption, the numbering of
//! events, flows and routes, presence, and limits. Nothing of one tenant is ever seen or touched by another: users are looked up
//! within the tenant of the asking session, and calls are reached only through the session that is a party of them.

mod attach;
mod calls;
mod interface;
mod mailbox;
mod messages;
mod parking;
mod presence;
mod queues;
mod rooms;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod transfers;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::call::Gone;
use crate::id::{CallId, LinkId, SessionId, TenantId, UserId};
use crate::signal::{GoodbyeReason, ServerMessage};
use crate::time::{Instant, WallClock};

use self::calls::LiveEntry;
pub use self::interface::{
    Answer, Consult, ConsultFailure, DefaultPlan, Failed, Gate, Input, Output, TenantSettings, Timer,
};
use self::parking::Slots;
use self::presence::Tenant;
use self::queues::AllQueues;
use self::rooms::Rooms;
pub use self::rooms::{LiveRoomView, RoomVoice};
use self::session::Session;
pub use self::status::{Counts, LiveCall, TenantCounts};
use self::voice::{Flows, Ports};

/// How far the node is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// No new sessions and calls.
    Draining,
    /// Nothing at all.
    Stopped,
}

/// All sessions and calls of a node.
#[derive(Debug)]
pub struct Exchange {
    clock: WallClock,
    random: ChaCha20Rng,
    phase: Phase,
    tenants: BTreeMap<TenantId, Tenant>,
    sessions: BTreeMap<SessionId, Session>,
    /// The links that sessions are attached to.
    links: BTreeMap<LinkId, SessionId>,
    calls: BTreeMap<CallId, LiveEntry>,
    flows: Flows,
    rooms: Rooms,
    queues: AllQueues,
    slots: Slots,
    ports: Ports,
    timers: BTreeSet<(Instant, Timer)>,
    /// Users whose presence may have changed during this input.
    touched: BTreeSet<(TenantId, UserId)>,
    /// Drained by the shell after every input, so that it holds what one input brings and no more.
    outputs: VecDeque<Output>,
}

impl Exchange {
    /// An exchange without sessions. Identifiers and secrets are drawn from `seed`: on a real node it must be random.
    pub fn new(seed: [u8; 32], clock: WallClock) -> Self {
        Self {
            clock,
            random: ChaCha20Rng::from_seed(seed),
            phase: Phase::Open,
            tenants: BTreeMap::new(),
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            calls: BTreeMap::new(),
            flows: Flows::default(),
            rooms: Rooms::default(),
            queues: AllQueues::default(),
            slots: Slots::default(),
            ports: Ports::default(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. Afterwards drain [`Exchange::poll`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Tenant { tenant, settings } => self.configure(now, tenant, *settings),
            Input::Forget { tenant } => self.forget_tenant(now, &tenant),
            Input::Attach { link, transport, identity, hello } => {
                self.attach(now, link, transport, *identity, &hello);
            }
            Input::Message { link, message } => self.message(now, link, *message),
            Input::Renew { link, token } => self.renew(now, link, *token),
            Input::Undecodable { link, error } => self.undecodable(now, link, &error),
            Input::Lost { link } => self.lost(now, link),
            Input::Planned { call, consultation, answer } => {
                // A call that is over asked for nothing any more.
                let _ = self.call_input(now, call, crate::call::Input::Planned(consultation, answer));
            }
            Input::Told { session, message } => self.told(session, *message),
            Input::Waiting { tenant, user, waiting, messages } => {
                self.tell_waiting(&tenant, &user, &ServerMessage::Waiting { waiting, messages });
            }
            Input::Audio(event) => self.audio_event(now, event),
            Input::Speaking { room, flows } => self.speaking(now, room, flows),
            Input::Measured { from, flow, reception } => self.measured(from, flow, reception),
            Input::Drain if self.phase == Phase::Open => self.phase = Phase::Draining,
            Input::Drain => {}
            Input::Shutdown => self.shut_down(now),
        }
        self.follow_up(now);
    }

    /// What comes of an input: what queues want, and what watchers are told; each may bring about the other.
    fn follow_up(&mut self, now: Instant) {
        loop {
            self.serve_queues(now);
            if self.touched.is_empty() {
                return;
            }
            self.announce(now);
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Exchange::handle_timeout`] is due next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.first().copied()
    }

    /// Does everything that is due at `now`. Afterwards drain [`Exchange::poll`].
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Consult(call)
                | Timer::Pause(call)
                | Timer::Ring(call)
                | Timer::TimeLimit(call)
                | Timer::Step(call) => self.call_due(now, call),
                Timer::Room(room) => self.room_due(now, room),
                Timer::Queues => self.queues_due(now),
                Timer::Grace(session) => self.end_session(now, session, Gone::Lost, None),
                Timer::TokenExpiry(session) => {
                    self.end_session(now, session, Gone::Lost, Some(GoodbyeReason::TokenExpired));
                }
            }
            self.follow_up(now);
        }
    }

    fn send(&mut self, link: LinkId, message: ServerMessage) {
        self.outputs.push_back(Output::Send { link, message: Box::new(message) });
    }

    /// Sends to a session that has a link; else the message is lost.
    fn send_to(&mut self, session: SessionId, message: ServerMessage) {
        if let Some(link) = self.sessions.get(&session).and_then(Session::link) {
            self.send(link, message);
        }
    }

    /// 128 bits that nobody can guess.
    fn draw(&mut self) -> u128 {
        u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64())
    }

    /// Ends everything: calls first, so that their parties are told before their links close.
    fn shut_down(&mut self, now: Instant) {
        self.phase = Phase::Stopped;
        for call in self.calls.keys().copied().collect::<Vec<_>>() {
            let _ = self.call_input(now, call, crate::call::Input::Shutdown);
        }
        for (link, _) in std::mem::take(&mut self.links) {
            self.outputs.push_back(Output::Close { link, reason: GoodbyeReason::Shutdown });
        }
        self.sessions.clear();
        self.timers.clear();
        self.queues = AllQueues::default();
        self.slots = Slots::default();
        self.touched.clear();
        for tenant in self.tenants.values_mut() {
            tenant.forget_sessions();
        }
    }
}

//! The exchange's behaviours, one test each. What a whole history of them does together is the simulation's business.

mod calls;
mod gateway;
mod histories;
mod mailbox;
mod presence;
mod queues;
mod rooms;
mod sessions;
mod transfers;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::audio::{AudioCommand, Destination};
use crate::cause::Cause;
use crate::event::{Event, Transport};
use crate::id::{FlowId, QueueId};
use crate::limits;
use crate::mailbox::{MailboxRequest, Question};
use crate::plan::{AfterAnswer, Dial, DialStep, DialStrategy, DialTarget, Plan, Step};
use crate::record::CallRecord;
use crate::signal::{CallEvent, ClientMessage, ErrorCode, Happening, Hello, ResumeSession, Seen, VERSION};
use crate::time::UnixMillis;
use crate::token::{Grant, Identity};

/// An exchange with everything that it ever put out.
struct Harness {
    exchange: Exchange,
    now: Instant,
    said: Vec<(LinkId, ServerMessage)>,
    closed: Vec<(LinkId, GoodbyeReason)>,
    asked: Vec<Consult>,
    records: Vec<CallRecord>,
    routes: BTreeMap<(LinkId, FlowId), (Vec<Destination>, Gate)>,
    audio: Vec<AudioCommand>,
    rooms: Vec<RoomVoice>,
    mailbox: Vec<Question>,
    waits: u32,
}

impl Harness {
    fn new() -> Self {
        Self {
            exchange: Exchange::new([1; 32], WallClock::default()),
            now: Instant::from_micros(1_000_000),
            said: Vec::new(),
            closed: Vec::new(),
            asked: Vec::new(),
            records: Vec::new(),
            routes: BTreeMap::new(),
            audio: Vec::new(),
            rooms: Vec::new(),
            mailbox: Vec::new(),
            waits: 0,
        }
    }

    /// Alice on link 1, bob on link 2.
    fn with_alice_and_bob() -> Self {
        let mut harness = Self::new();
        harness.attach(1, "acme", "alice");
        harness.attach(2, "acme", "bob");
        harness
    }

    /// Alice talks with bob under `after_answer`.
    fn talking(after_answer: AfterAnswer) -> (Self, CallId) {
        let mut harness = Self::with_alice_and_bob();
        let call = harness.invite(1, "bob");
        harness.plan(vec![dial(&["bob"], after_answer)]);
        harness.says(2, ClientMessage::Answer { call });
        (harness, call)
    }

    fn input(&mut self, input: Input) {
        self.exchange.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.exchange.poll() {
            match output {
                Output::Send { link, message } => self.said.push((link, *message)),
                Output::Close { link, reason } => self.closed.push((link, reason)),
                Output::Consult(consult) => self.asked.push(*consult),
                Output::Record(record) => self.records.push(*record),
                Output::Route { from, flow, to, gate, .. } => {
                    self.routes.insert((from, flow), (to, gate));
                }
                Output::Mailbox(question) => self.mailbox.push(*question),
                Output::Waits { .. } => self.waits += 1,
                Output::Audio(command) => self.audio.push(command),
                Output::Room { change, .. } => self.rooms.push(change),
                Output::Unroute { from, flow, .. } => {
                    self.routes.remove(&(from, flow)).expect("only what is routed is unrouted");
                }
            }
        }
    }

    fn attach(&mut self, link: u64, tenant: &str, user: &str) {
        self.attach_with(link, identity(tenant, user), hello());
    }

    fn attach_with(&mut self, link: u64, identity: Identity, hello: Hello) {
        let (link, transport) = (LinkId(link), Transport::Webtransport);
        self.input(Input::Attach { link, transport, identity: Box::new(identity), hello: Box::new(hello) });
    }

    fn resume(&mut self, link: u64, user: &str, of: u64, seen: Vec<Seen>) {
        let (session, secret) = self.welcome(of);
        let resume = Some(ResumeSession { session, secret, seen });
        self.attach_with(link, identity("acme", user), Hello { resume, ..hello() });
    }

    fn welcome(&self, link: u64) -> (SessionId, String) {
        let welcome = self.said.iter().find_map(|(to, message)| match message {
            ServerMessage::Welcome { session, secret, .. } if *to == LinkId(link) => Some((*session, secret.clone())),
            _ => None,
        });
        welcome.expect("the link was welcomed")
    }

    fn says(&mut self, link: u64, message: ClientMessage) {
        self.input(Input::Message { link: LinkId(link), message: Box::new(message) });
    }

    fn invite(&mut self, link: u64, to: &str) -> CallId {
        self.says(link, ClientMessage::Invite { reference: "r".into(), to: to.into(), headers: Vec::new() });
        match self.said.iter().rev().find(|(_, message)| matches!(message, ServerMessage::Calling { .. })) {
            Some((_, ServerMessage::Calling { call, .. })) => *call,
            _ => panic!("the invitation was not taken: {:?}", self.said.last()),
        }
    }

    /// The function answers the last question.
    fn plan(&mut self, steps: Vec<Step>) {
        self.answer(Ok(Answer { plan: Plan { steps, state: vec![7] }, version: "v1".into(), instead_of: None }));
    }

    fn answer(&mut self, answer: Result<Answer, ConsultFailure>) {
        let Consult { call, consultation, .. } = *self.asked.last().expect("a question was asked");
        self.input(Input::Planned { call, consultation, answer: Box::new(answer) });
    }

    fn lose(&mut self, link: u64) {
        self.input(Input::Lost { link: LinkId(link) });
    }

    /// Lets time pass and does all that falls due.
    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some((at, _)) = self.exchange.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at;
            self.exchange.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    /// What a link was told of calls, since the beginning.
    fn events(&self, link: u64) -> Vec<Happening> {
        self.numbered(link).into_iter().map(|event| event.what).collect()
    }

    fn numbered(&self, link: u64) -> Vec<CallEvent> {
        let events = self.said.iter().filter_map(|(to, message)| match message {
            ServerMessage::Event(event) if *to == LinkId(link) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }

    fn last_event(&self, link: u64) -> Happening {
        self.events(link).pop().expect("the link was told something")
    }

    /// The code of the last message, which must be an error.
    fn last_error(&self, link: u64) -> ErrorCode {
        match self.said.last() {
            Some((to, ServerMessage::Error { code, .. })) if *to == LinkId(link) => *code,
            other => panic!("not an error to link {link}: {other:?}"),
        }
    }

    fn ended(&self, link: u64) -> Cause {
        match self.last_event(link) {
            Happening::Ended { cause, .. } => cause,
            other => panic!("not ended: {other:?}"),
        }
    }

    /// The one record.
    fn record(&self) -> &CallRecord {
        assert_eq!(self.records.len(), 1, "exactly one record");
        &self.records[0]
    }

    /// Who and what hears a link's voice.
    fn destinations(&self, link: u64) -> (Vec<Destination>, Gate) {
        self.routes.iter().find(|((from, _), _)| *from == LinkId(link)).expect("a route").1.clone()
    }

    fn gates(&self) -> Vec<Gate> {
        self.routes.values().map(|(_, gate)| *gate).collect()
    }
}

fn identity(tenant: &str, user: &str) -> Identity {
    Identity {
        tenant: TenantId::new(tenant).unwrap(),
        user: UserId::new(user).unwrap(),
        name: None,
        grants: Grant::ALL.to_vec(),
        expires_at: UnixMillis(3_600_000),
        good_for: Duration::from_secs(3_600),
    }
}

fn hello() -> Hello {
    Hello { version: VERSION, token: String::new(), client: String::new(), resume: None }
}

fn dial(users: &[&str], after_answer: AfterAnswer) -> Step {
    let Step::Dial(base) = Plan::ring_user("x", Duration::from_secs(20)).steps.remove(0) else { unreachable!() };
    let address = |user: &&str| crate::plan::Address::User((*user).to_owned());
    let targets = users.iter().map(|user| DialTarget { address: address(user), round: 0, weight: 0 }).collect();
    Step::Dial(DialStep { targets, after_answer, ..base })
}

fn one_after_another(users: &[&str]) -> Step {
    let Step::Dial(step) = dial(users, AfterAnswer::HangUp) else { unreachable!() };
    Step::Dial(DialStep { strategy: DialStrategy::OneAfterAnother, ..step })
}

fn ring(users: &[&str]) -> Step {
    dial(users, AfterAnswer::HangUp)
}

fn configured(settings: TenantSettings) -> Input {
    Input::Tenant { tenant: TenantId::new("acme").unwrap(), settings: Box::new(settings) }
}

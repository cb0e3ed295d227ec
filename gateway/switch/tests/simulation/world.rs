//! The world around the exchange in virtual time: clients, their users' whims, tenants' functions, and a network whose links die,
//! delay everything, keep signalling of one link in order and nothing else, and lose, repeat and reorder media.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use tandem_switch::audio::{AudioCommand, AudioEvent, Destination};
use tandem_switch::event::{self, Transport};
use tandem_switch::exchange::{Answer, Consult, ConsultFailure, Exchange, Input, Output, TenantSettings, Timer};
use tandem_switch::id::{CallId, FlowId, LinkId, TenantId, UserId};
use tandem_switch::limits;
use tandem_switch::media::forward::ForwardingTable;
use tandem_switch::media::stats::Reception;
use tandem_switch::media::{datagram, rtp};
use tandem_switch::signal::{ClientMessage, GoodbyeReason, Hello, ServerMessage, VERSION};
use tandem_switch::time::{Instant, UnixMillis, WallClock};
use tandem_switch::token::{Grant, Identity, LEEWAY_SECONDS, TokenError};

use crate::client::{Client, State};
use crate::functions;
use crate::model::Model;
use crate::random::Random;

/// How long users do things before everybody leaves.
const BUSY: Duration = Duration::from_secs(100);

enum Event {
    Connect { client: usize },
    Attach { link: LinkId, identity: Identity, hello: Hello },
    Up { link: LinkId, line: Vec<u8> },
    Down { link: LinkId, line: Vec<u8> },
    Renew { link: LinkId, token: Result<Identity, TokenError> },
    Closed { link: LinkId, reason: GoodbyeReason },
    Lost { link: LinkId },
    Act { client: usize },
    Speak { client: usize },
    Datagram { link: LinkId, bytes: Vec<u8> },
    Heard { link: LinkId, bytes: Vec<u8> },
    Audio(AudioEvent),
    Planned { call: CallId, consultation: u32, answer: Result<Answer, ConsultFailure> },
}

struct Link {
    client: usize,
    /// Nothing passes any more.
    cut: bool,
    /// When the last line sent so far arrives: a later one does not overtake it.
    up_at: Instant,
    down_at: Instant,
}

pub(crate) struct World {
    pub(crate) random: Random,
    exchange: Exchange,
    table: ForwardingTable<Option<LinkId>>,
    pub(crate) model: Model,
    now: Instant,
    ends: Instant,
    queue: BTreeMap<(Instant, u64), Event>,
    queued: u64,
    links: BTreeMap<LinkId, Link>,
    pub(crate) clients: Vec<Client>,
    users: BTreeMap<TenantId, Vec<String>>,
    /// The question that each call waits with, and since when.
    pending: BTreeMap<CallId, (u32, Instant)>,
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let exchange = Exchange::new(random.seed(), WallClock::default());
        let now = Instant::from_micros(1_000_000);
        let mut world = Self {
            random,
            exchange,
            table: ForwardingTable::default(),
            model: Model::default(),
            now,
            ends: now + BUSY,
            queue: BTreeMap::new(),
            queued: 0,
            links: BTreeMap::new(),
            clients: Vec::new(),
            users: BTreeMap::new(),
            pending: BTreeMap::new(),
            steps: 0,
        };
        for tenant in ["acme", "beta"] {
            world.add_tenant(TenantId::new(tenant).unwrap());
        }
        world
    }

    fn add_tenant(&mut self, tenant: TenantId) {
        let names: Vec<String> = (0..3).map(|n| format!("{tenant}-u{n}")).collect();
        let listed = self.random.percent(50);
        let users = names.iter().map(|name| (UserId::new(name).unwrap(), None));
        let settings = TenantSettings {
            users: if listed { users.collect() } else { BTreeMap::new() },
            default_plan: functions::default_plan(&mut self.random, &names),
            sessions_max: if self.random.percent(20) { 4 } else { 100 },
            calls_max: if self.random.percent(20) { 3 } else { 100 },
            ..TenantSettings::default()
        };
        self.step(Input::Tenant { tenant: tenant.clone(), settings: Box::new(settings) }, None);
        for name in &names {
            for _ in 0..=self.random.below(2) {
                let grants = match self.random.below(12) {
                    0 => vec![Grant::Call],
                    1 => vec![Grant::Answer, Grant::Presence],
                    2..8 => Grant::ALL.into_iter().chain([Grant::Record]).collect(),
                    _ => Grant::ALL.to_vec(),
                };
                let client = self.clients.len();
                self.clients.push(Client::new(tenant.clone(), UserId::new(name).unwrap(), grants));
                self.after(0, 3000, Event::Connect { client });
                self.after(0, 5000, Event::Act { client });
                self.after(0, 5000, Event::Speak { client });
            }
        }
        self.users.insert(tenant, names);
    }

    /// Queues an event between `from` and `to` milliseconds from now.
    fn after(&mut self, from: u64, to: u64, event: Event) {
        let at = self.now + self.random.millis(from, to);
        self.at(at, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    /// Plays until nothing is left to happen.
    pub(crate) fn run(&mut self) {
        loop {
            let timer = self.exchange.poll_timeout().map(|(at, timer)| self.due(at, timer));
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (timer, event) {
                (None, None) => break,
                (Some(timer), event) if event.is_none_or(|event| timer <= event) => {
                    self.now = self.now.max(timer);
                    self.exchange.handle_timeout(self.now);
                    self.drain(None);
                }
                (_, _) => {
                    let ((at, _), event) = self.queue.pop_first().expect("an event is queued");
                    self.now = at;
                    self.happen(event);
                }
            }
        }
        self.model.check_end();
        assert!(self.exchange.is_idle(), "something is left: {:?}", self.exchange);
    }

    /// A timer that is set has a reason: none outlives what it was set for.
    fn due(&self, at: Instant, timer: Timer) -> Instant {
        let (call, states) = match timer {
            Timer::Consult(call) => (call, &["deciding"][..]),
            Timer::Pause(call) => (call, &["pausing"][..]),
            Timer::Ring(call) => (call, &["ringing"][..]),
            Timer::TimeLimit(call) => (call, &["talking", "tapping"][..]),
            Timer::Step(call) => (call, &["playing", "gathering", "messaging", "parked"][..]),
            Timer::Queues | Timer::Room(_) | Timer::Grace(_) | Timer::TokenExpiry(_) => return at,
        };
        let is_live = self.exchange.live_calls().any(|live| live.call == call && states.contains(&live.state));
        assert!(is_live, "{timer:?} is set for a call that is none of {states:?}");
        at
    }

    /// Stops the node in the middle of everything.
    pub(crate) fn shut_down_at(&mut self, at: Duration) {
        while let Some(((due, _), event)) = self.queue.pop_first()
            && due < Instant::default() + at
        {
            while let Some((timer, _)) = self.exchange.poll_timeout().filter(|(timer, _)| *timer <= due) {
                self.now = self.now.max(timer);
                self.exchange.handle_timeout(self.now);
                self.drain(None);
            }
            self.now = due;
            self.happen(event);
        }
        self.step(Input::Drain, None);
        self.exchange.handle(self.now, Input::Shutdown);
        while let Some(output) = self.exchange.poll() {
            self.model.learn(self.now, &output, None);
        }
        self.model.shut_down();
        self.model.check_end();
        assert!(self.exchange.is_idle(), "something is left: {:?}", self.exchange);
    }

    fn step(&mut self, input: Input, attaching: Option<&Identity>) -> Vec<Output> {
        self.exchange.handle(self.now, input);
        self.drain(attaching)
    }

    fn drain(&mut self, attaching: Option<&Identity>) -> Vec<Output> {
        self.steps += 1;
        let outputs: Vec<Output> = std::iter::from_fn(|| self.exchange.poll()).collect();
        for output in &outputs {
            self.model.learn(self.now, output, attaching);
            self.carry_out(output);
        }
        self.model.end_sessions(self.now);
        outputs
    }

    /// Does what the shell does.
    fn carry_out(&mut self, output: &Output) {
        match output {
            Output::Send { link, message } => self.down(*link, message.encode()),
            Output::Close { link, reason } => {
                self.table.detach(*link);
                let at = self.links[link].down_at + self.random.millis(1, 50);
                self.at(at, Event::Closed { link: *link, reason: *reason });
                if self.random.percent(50) {
                    self.after(0, 100, Event::Lost { link: *link });
                }
            }
            Output::Consult(consult) => self.consult(consult),
            Output::Route { from, flow, to, gate, .. } => {
                let link = to.iter().find_map(|destination| match destination {
                    Destination::Link(link) => Some(*link),
                    _ => None,
                });
                self.table.route(*from, *flow, link, *gate).expect("a talker's link is attached");
            }
            Output::Unroute { from, flow, .. } => {
                self.table.unroute(*from, *flow);
            }
            Output::Audio(command) => self.audio(command),
            Output::Record(_) | Output::Room { .. } | Output::Mailbox(_) | Output::Waits { .. } => {}
        }
    }

    /// The codec threads: what they play ends some time, or never; what they record or tap may fail.
    fn audio(&mut self, command: &AudioCommand) {
        let failure = || "it could not be done".to_owned();
        match command {
            AudioCommand::Play { port, playback, times, .. } if !self.random.percent(2) => {
                let failure = self.random.percent(10).then(failure);
                let event = AudioEvent::Played { port: *port, playback: *playback, failure };
                self.after(0, 2500 * u64::from(*times), Event::Audio(event));
            }
            AudioCommand::Watch { port, silence: Some(_) } => {
                self.after(500, 8000, Event::Audio(AudioEvent::Silence { port: *port }));
            }
            AudioCommand::Record { recording, .. } if self.random.percent(15) => {
                let event = AudioEvent::RecordingFailed { recording: *recording, failure: failure() };
                self.after(0, 5000, Event::Audio(event));
            }
            AudioCommand::Tap { tap, .. } => {
                let failure = self.random.percent(30).then(failure);
                self.after(0, 12_000, Event::Audio(AudioEvent::TapEnded { tap: *tap, failure }));
            }
            _ => {}
        }
    }

    fn consult(&mut self, consult: &Consult) {
        if !matches!(consult.event, event::Event::Ended(_)) {
            self.pending.insert(consult.call, (consult.consultation, self.now));
        }
        let users = &self.users[&consult.tenant];
        if let Some((delay, answer)) = functions::answer(&mut self.random, consult, users) {
            let (call, consultation) = (consult.call, consult.consultation);
            if self.random.percent(5) {
                // An answer to a question that was not asked, or not yet.
                let planned = Event::Planned { call, consultation: consultation + 1, answer: answer.clone() };
                self.at(self.now + delay / 2, planned);
            }
            self.at(self.now + delay, Event::Planned { call, consultation, answer });
        }
    }

    fn down(&mut self, link: LinkId, line: Vec<u8>) {
        let delay = self.random.millis(1, 120);
        let network = self.links.get_mut(&link).expect("a link that was made");
        network.down_at = network.down_at.max(self.now + delay);
        let at = network.down_at;
        self.at(at, Event::Down { link, line });
    }

    fn up(&mut self, link: LinkId, message: &ClientMessage) {
        let delay = self.random.millis(1, 120);
        let network = self.links.get_mut(&link).expect("a link that was made");
        network.up_at = network.up_at.max(self.now + delay);
        let at = network.up_at;
        self.at(at, Event::Up { link, line: message.encode() });
    }

    fn happen(&mut self, event: Event) {
        let is_cut = |link: &LinkId| self.links[link].cut;
        match event {
            Event::Connect { client } => self.connect(client),
            Event::Attach { link, .. } | Event::Up { link, .. } | Event::Down { link, .. } if is_cut(&link) => {}
            Event::Renew { link, .. } | Event::Closed { link, .. } if is_cut(&link) => {}
            Event::Datagram { link, .. } | Event::Heard { link, .. } if is_cut(&link) => {}
            Event::Attach { link, identity, hello } => self.attach(link, identity, hello),
            Event::Up { link, line } => self.arrive(link, &line),
            Event::Down { link, line } => self.deliver(link, &line),
            Event::Renew { link, token } => {
                let token = token.map(|identity| self.checked(identity));
                self.step(Input::Renew { link, token: Box::new(token) }, None);
            }
            Event::Closed { link, reason } => self.closed(link, reason),
            Event::Lost { link } => {
                self.table.detach(link);
                self.model.lost(self.now, link);
                self.step(Input::Lost { link }, None);
            }
            Event::Act { client } => self.act(client),
            // Media changes nothing that the model would have to look at.
            Event::Speak { client } => return self.speak(client),
            Event::Datagram { link, bytes } => return self.forward(link, &bytes),
            Event::Heard { link, bytes } => return self.hear(link, &bytes),
            Event::Audio(event) => {
                self.step(Input::Audio(event), None);
            }
            Event::Planned { call, consultation, answer } => {
                self.planned(call, consultation, answer);
            }
        }
        self.model.check();
    }

    /// An answer counts only for the question that the call still waits with; any other changes nothing.
    fn planned(&mut self, call: CallId, consultation: u32, answer: Result<Answer, ConsultFailure>) {
        let in_time = |(number, since): &(u32, Instant)| {
            *number == consultation && self.now < *since + limits::CONSULT_TIMEOUT && !self.model.is_over(call)
        };
        let counts = self.pending.get(&call).is_some_and(in_time);
        if counts {
            self.pending.remove(&call);
        }
        let before = self.exchange.live_calls().find(|live| live.call == call).map(|live| (live.state, live.since));
        let outputs = self.step(Input::Planned { call, consultation, answer: Box::new(answer) }, None);
        let after = self.exchange.live_calls().find(|live| live.call == call).map(|live| (live.state, live.since));
        assert!(counts || (outputs.is_empty() && before == after), "an answer out of turn counted: {outputs:?}");
    }

    fn identity(&mut self, client: usize) -> Identity {
        let lives = if self.random.percent(15) { 5_000 + self.random.below(60_000) } else { 3_600_000 };
        let Client { tenant, user, grants, .. } = &self.clients[client];
        let expires_at = UnixMillis(self.now.as_micros() / 1000 + lives);
        let (tenant, user, grants) = (tenant.clone(), user.clone(), grants.clone());
        self.checked(Identity { tenant, user, name: None, grants, expires_at, good_for: Duration::ZERO })
    }

    /// As a token is checked when it arrives.
    fn checked(&self, identity: Identity) -> Identity {
        let until = Duration::from_millis(identity.expires_at.0) + Duration::from_secs(LEEWAY_SECONDS);
        let good_for = until.saturating_sub(Duration::from_micros(self.now.as_micros()));
        Identity { good_for, ..identity }
    }

    fn connect(&mut self, client: usize) {
        if self.now >= self.ends || self.clients[client].link.is_some() {
            return;
        }
        let link = LinkId(self.links.len() as u64);
        let identity = self.identity(client);
        let version = if self.random.percent(1) { VERSION + 1 } else { VERSION };
        let resume = self.clients[client].resume(&mut self.random);
        let hello = Hello { version, token: String::new(), client: "simulated".into(), resume };
        let attached_at = self.now + self.random.millis(10, 200);
        self.links.insert(link, Link { client, cut: false, up_at: attached_at, down_at: attached_at });
        self.clients[client].link = Some(link);
        self.clients[client].welcomed = false;
        self.at(attached_at, Event::Attach { link, identity, hello });
    }

    fn attach(&mut self, link: LinkId, identity: Identity, hello: Hello) {
        self.table.attach(link);
        let identity = self.checked(identity);
        let transport = *self.random.pick(&[Transport::Webtransport, Transport::Websocket]);
        let input = Input::Attach { link, transport, identity: Box::new(identity.clone()), hello: Box::new(hello) };
        self.step(input, Some(&identity));
    }

    fn arrive(&mut self, link: LinkId, line: &[u8]) {
        match ClientMessage::decode(line) {
            Err(error) => {
                self.step(Input::Undecodable { link, error }, None);
            }
            Ok(message) => {
                let verdict = self.model.verdict(link, &message);
                self.exchange.handle(self.now, Input::Message { link, message: Box::new(message.clone()) });
                let outputs: Vec<Output> = std::iter::from_fn(|| self.exchange.poll()).collect();
                let refused = |output: &Output| matches!(output, Output::Send { message, .. } if matches!(**message, ServerMessage::Error { .. }));
                if matches!(message, ClientMessage::Watch { .. }) && !outputs.iter().any(refused) {
                    self.model.watch_replaced(link);
                }
                for output in &outputs {
                    self.model.learn(self.now, output, None);
                    self.carry_out(output);
                }
                self.model.after_message(link, &message, verdict, &outputs);
                self.steps += 1;
            }
        }
    }

    fn deliver(&mut self, link: LinkId, line: &[u8]) {
        let client = &mut self.clients[self.links[&link].client];
        let message = ServerMessage::decode(line).expect("what the gateway writes can be read");
        if client.link == Some(link) {
            client.receive(message);
        }
    }

    fn closed(&mut self, link: LinkId, reason: GoodbyeReason) {
        let index = self.links[&link].client;
        self.links.get_mut(&link).expect("a link that was made").cut = true;
        let client = &mut self.clients[index];
        if client.link == Some(link) {
            client.link = None;
            if matches!(reason, GoodbyeReason::Bye | GoodbyeReason::TokenExpired) {
                client.forget();
            }
            self.after(100, 8000, Event::Connect { client: index });
        }
    }

    /// The network drops a link; the gateway notices later, perhaps after the client came back over another.
    fn cut(&mut self, client: usize) {
        let Some(link) = self.clients[client].link.take() else { return };
        self.links.get_mut(&link).expect("a link that was made").cut = true;
        self.after(0, 4000, Event::Lost { link });
        let (from, to) = if self.random.percent(80) { (50, 6000) } else { (24_000, 45_000) };
        self.after(from, to, Event::Connect { client });
    }

    fn act(&mut self, client: usize) {
        if self.now >= self.ends {
            return self.cut(client);
        }
        self.after(100, 4000, Event::Act { client });
        let Some(link) = self.clients[client].link.filter(|_| self.clients[client].welcomed) else { return };
        match self.random.below(100) {
            0..4 => self.cut(client),
            4 => self.renew(client, link),
            5 => self.at(self.now, Event::Up { link, line: b"{\"type\":\"sing\"}".to_vec() }),
            6 if self.random.percent(30) => self.at(self.now, Event::Up { link, line: vec![b' '; 70_000] }),
            7 if self.random.percent(30) => (0..150).for_each(|data| self.up(link, &ClientMessage::Ping { data })),
            8..12 => self.measure(),
            _ => {
                let users = match self.random.percent(5) {
                    true => self.users.values().next_back().expect("two tenants").clone(),
                    false => self.users[&self.clients[client].tenant].clone(),
                };
                let calls = self.model.some_calls();
                let message = self.clients[client].act(&mut self.random, &users, &calls);
                self.up(link, &message);
            }
        }
    }

    fn renew(&mut self, client: usize, link: LinkId) {
        let mut identity = self.identity(client);
        let token = match self.random.below(4) {
            0 => Err(TokenError::Expired(31)),
            1 => {
                identity.user = UserId::new("somebody-else").unwrap();
                Ok(identity)
            }
            _ => Ok(identity),
        };
        self.after(1, 120, Event::Renew { link, token });
    }

    fn measure(&mut self) {
        let Some((from, flow)) = self.model.some_route(&mut self.random) else { return };
        let outputs = self.step(Input::Measured { from, flow, reception: Reception::default() }, None);
        let told = |output: &Output| matches!(output, Output::Send { link, message } if *link == from && matches!(**message, ServerMessage::Quality { .. }));
        assert!(
            outputs.len() == 1 && outputs.iter().all(told),
            "a talker is told how well it is received: {outputs:?}"
        );
    }

    /// Voice of a client for every call that it believes connected; now and then on a flow that is none of its business.
    fn speak(&mut self, client: usize) {
        if self.now >= self.ends {
            return;
        }
        self.after(100, 1500, Event::Speak { client });
        let speaker = &mut self.clients[client];
        let Some(link) = speaker.link else { return };
        let connected = speaker.calls.values().filter_map(|belief| match belief.state {
            State::Connected { send, receive } => Some((send, receive)),
            _ => None,
        });
        let mut flows: Vec<FlowId> =
            connected.map(|(send, receive)| if self.random.percent(3) { receive } else { send }).collect();
        if self.random.percent(3) {
            flows.push(FlowId((1 << 14) + self.random.below(60) as u32));
        }
        for flow in flows {
            let bytes = self.packet(client, flow);
            for _ in 0..[1, 1, 1, 1, 1, 1, 1, 2, 2, 0][self.random.below(10) as usize] {
                self.after(1, 150, Event::Datagram { link, bytes: bytes.clone() });
            }
        }
    }

    fn packet(&mut self, client: usize, flow: FlowId) -> Vec<u8> {
        let speaker = &mut self.clients[client];
        speaker.sequence = speaker.sequence.wrapping_add(1);
        let header = rtp::Header {
            marker: false,
            payload_type: rtp::OPUS_PAYLOAD_TYPE,
            sequence: speaker.sequence,
            timestamp: u32::from(speaker.sequence) * rtp::FRAME_TICKS,
            ssrc: client as u32,
        };
        let mut bytes = BytesMut::new();
        datagram::write_prefix(flow, &mut bytes);
        header.write(None, &mut bytes);
        bytes.extend_from_slice(speaker.tenant.as_str().as_bytes());
        bytes.to_vec()
    }

    /// A datagram reaches the gateway: it goes exactly where the model says, or nowhere.
    fn forward(&mut self, link: LinkId, bytes: &[u8]) {
        let flow = datagram::parse(bytes).expect("a well-formed datagram").flow;
        let to = self.table.link_mut(link).and_then(|flows| flows.forward(self.now, bytes).ok().copied().flatten());
        assert_eq!(to, self.model.listener(link, flow), "who hears {flow:?} from {link:?}");
        let Some(to) = to else { return };
        if !self.random.percent(10) {
            self.after(1, 150, Event::Heard { link: to, bytes: bytes.to_vec() });
        }
    }

    fn hear(&mut self, link: LinkId, bytes: &[u8]) {
        let listener = &mut self.clients[self.links[&link].client];
        let packet =
            rtp::Packet::parse(&bytes[datagram::parse(bytes).expect("well-formed").rtp_at..]).expect("well-formed");
        assert_eq!(packet.payload, listener.tenant.as_str().as_bytes(), "a voice crossed tenants");
        listener.heard += 1;
    }
}

//! The call driver: the one task that owns the exchange, and the ONE exhaustive match on its outputs.
//!
//! In: what links say, what functions answered, what operators command, time. Out: messages to links, routes in the shards'
//! forwarding tables, questions to functions, records. It decides nothing about calls: that is the exchange's part.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tandem_host::Host;
use tandem_switch::audio::{AudioCommand, AudioEvent, Destination};
use tandem_switch::cause::Cause;
use tandem_switch::event::Event;
use tandem_switch::exchange::{Answer, Consult, ConsultFailure, Exchange, Input, Output, RoomVoice, TenantSettings};
use tandem_switch::id::{CallId, FlowId, LinkId, RoomId, SessionId, TenantId, UserId};
use tandem_switch::media::stats::Reception;
use tandem_switch::record::{CallRecord, Instead};
use tandem_switch::rollout;
use tandem_switch::signal::{ClientMessage, ErrorCode, GoodbyeReason, ServerMessage};
use tandem_switch::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::audio::Audio;
use crate::calls::functions::{Functions, Share};
use crate::calls::live::{self, LiveQuestion};
use crate::calls::mailboxes::{self, MailboxQuestion};
use crate::calls::metrics::{AnswerLabel, CallMetrics, CauseLabel, CodeLabel, FindingLabel, InsteadLabel};
use crate::calls::outside::{About, Directory, DirectoryQuestion, World};
use crate::calls::recorder::Recorder;
use crate::calls::records::{self, PendingVoice};
use crate::calls::routing::{Routing, Verdict};
use crate::calls::safety_net::{Answered, Question, SafetyNet};
use crate::calls::standing::{BudgetMetrics, Standings};
use crate::calls::webhook;
use crate::clock::unix_now;
use crate::control::{LiveCall, Status};
use crate::media::{Allowances, LinkEvent, Listener, Media, Route};
use crate::outgoing::Client;
use crate::outgoing::webhook::Webhook;
use crate::store::{InvocationLog, Kv, Store};
use crate::tenants::usage::Meters;
use crate::token::Keyring;

/// How often talkers learn how well they are received.
const QUALITY_INTERVAL: Duration = Duration::from_secs(5);

/// How often the status page's figures are renewed.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Most findings about versions that wait to be told when nobody takes them: a version is found out once in a roll-out, so it takes as many
/// roll-outs. Beyond it they are forgotten: what was found is in force nevertheless, until the node starts anew.
const UNTOLD_MAX: usize = 1024;

/// What an operator, or the process itself, tells the driver.
#[derive(Debug)]
pub enum Command {
    /// A tenant's settings are new or changed; acknowledged when they hold.
    Tenant(TenantId, Box<TenantSettings>, oneshot::Sender<()>),
    /// From the next call on a tenant's calls are routed so; acknowledged when that is so.
    Routing(TenantId, Box<Routing>, oneshot::Sender<()>),
    /// The tenant is gone: its sessions and calls end, nobody new is let in; acknowledged when that is so.
    Forget(TenantId, oneshot::Sender<()>),
    /// An answer to what a user asked of a mailbox.
    Told(SessionId, Box<ServerMessage>),
    /// A user's messages have changed.
    Waiting {
        /// Whose user.
        tenant: TenantId,
        /// Who.
        user: UserId,
        /// How many nobody has heard yet.
        waiting: u64,
        /// How many there are.
        messages: u64,
    },
    /// A question about a tenant's live calls and queues, or a change of a call.
    Live(TenantId, LiveQuestion),
    /// No new sessions and calls; answered when no call is left.
    Drain(oneshot::Sender<()>),
    /// End every call and session; answered when every record is stored.
    Shutdown(oneshot::Sender<()>),
}

/// What the driver works with.
pub struct Parts {
    /// Sessions and calls.
    pub exchange: Exchange,
    /// The shards.
    pub media: Media,
    /// The codec threads.
    pub audio: Audio,
    /// What they tell.
    pub audio_events: mpsc::Receiver<AudioEvent>,
    /// Runs functions.
    pub host: Arc<Host>,
    /// Checks tokens.
    pub keyring: Arc<Keyring>,
    /// Keeps records.
    pub store: Store,
    /// Keeps what functions were asked and answered.
    pub invocations: InvocationLog,
    /// Sends functions' HTTP requests.
    pub http: Client,
    /// Counters.
    pub metrics: CallMetrics,
    /// Counts what budgets refuse.
    pub budget_metrics: BudgetMetrics,
    /// What tenants use of their budgets.
    pub meters: Arc<Meters>,
    /// Where it goes what is found out about versions. When it is full, the driver does not wait: the finding is told again later.
    pub verdicts: mpsc::Sender<Verdict>,
    /// Where questions about mailboxes go. When it is full, a question is refused.
    pub mailboxes: mpsc::Sender<MailboxQuestion>,
    /// The node's name, told to functions.
    pub node: String,
    /// The node's region, told to functions.
    pub region: String,
    /// When the process started: zero of the exchange's time.
    pub started: std::time::Instant,
    /// Answers instead of every tenant's functions, when there is one.
    pub webhook: Option<Webhook>,
    /// Where the status page looks.
    pub status: watch::Sender<Status>,
}

/// What the driver's own tasks bring back.
enum Finding {
    /// A function was asked.
    Answered(Box<Asked>),
    /// The webhook was asked.
    Webhook {
        call: CallId,
        consultation: u32,
        answer: Box<Result<Answer, ConsultFailure>>,
        seconds: f64,
    },
    Measured(Vec<(LinkId, FlowId, Reception)>),
    /// A record is stored or lost: nothing to tell.
    Done,
}

/// What came of a question to a function.
struct Asked {
    tenant: TenantId,
    call: CallId,
    consultation: u32,
    /// The call is over, and nobody waits for the answer.
    ended: bool,
    share: Share,
    answered: Answered,
    seconds: f64,
}

/// Owns the exchange and does what it says.
pub struct CallDriver {
    parts: Parts,
    functions: Functions,
    net: SafetyNet,
    recorder: Recorder,
    directory: mpsc::Receiver<DirectoryQuestion>,
    /// What was found while nobody took it.
    untold: VecDeque<Verdict>,
    voice: HashMap<CallId, PendingVoice>,
    tasks: JoinSet<Finding>,
    drained: Option<oneshot::Sender<()>>,
    /// How tenants stand, for operators.
    standings: Standings,
    /// How much voice each tenant may send.
    allowances: Allowances,
}

impl CallDriver {
    /// A driver over `parts`. Needs a tokio runtime.
    pub fn new(parts: Parts) -> Self {
        let (directory, questions) = Directory::new();
        let world = World { kv: Kv::new(parts.store.clone()), http: parts.http.clone(), directory };
        Self {
            functions: Functions::new(Arc::clone(&parts.meters)),
            net: SafetyNet { host: Arc::clone(&parts.host), world },
            recorder: Recorder::start(parts.invocations.clone(), parts.metrics.invocations_lost.clone()),
            directory: questions,
            untold: VecDeque::new(),
            voice: HashMap::new(),
            tasks: JoinSet::new(),
            drained: None,
            standings: Standings::new(Arc::clone(&parts.meters), parts.budget_metrics.clone()),
            allowances: Allowances::new(Arc::clone(&parts.meters)),
            parts,
        }
    }

    /// Runs until `Shutdown` was carried out, or until nobody can send anything any more.
    ///
    /// Cancellation safety: every branch of the `select!` is a channel's `recv`, a `JoinSet`'s `join_next` or a timer.
    pub async fn run(mut self, mut links: mpsc::Receiver<LinkEvent>, mut commands: mpsc::Receiver<Command>) {
        let mut quality = tokio::time::interval(QUALITY_INTERVAL);
        let mut status = tokio::time::interval(STATUS_INTERVAL);
        loop {
            let deadline = self.parts.exchange.poll_timeout().map(|(at, _timer)| self.wake_at(at));
            tokio::select! {
                Some(event) = links.recv() => self.on_link(event),
                Some(command) = commands.recv() => {
                    if let Some(done) = self.on_command(command) {
                        self.finish().await;
                        let _ = done.send(());
                        return;
                    }
                }
                Some(finding) = self.tasks.join_next() => self.on_finding(finding),
                Some(question) = self.directory.recv() => self.look_up(question),
                Some(event) = self.parts.audio_events.recv() => self.handle(Input::Audio(event)),
                () = sleep_until(deadline), if deadline.is_some() => {
                    let now = self.now();
                    self.parts.exchange.handle_timeout(now);
                }
                _ = quality.tick() => self.measure(),
                _ = status.tick() => {
                    self.publish_status();
                    self.tell_what_is_untold();
                }
                else => return,
            }
            self.carry_out();
            self.tell_when_drained();
        }
    }

    fn now(&self) -> Instant {
        let micros = self.parts.started.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn wake_at(&self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.parts.started + Duration::from_micros(at.as_micros()))
    }

    /// Makes a tenant known before anybody can connect.
    pub fn introduce(&mut self, tenant: TenantId, settings: Box<TenantSettings>, routing: Option<Box<Routing>>) {
        self.handle(Input::Tenant { tenant: tenant.clone(), settings });
        if let Some(routing) = routing {
            self.route(tenant, *routing);
        }
    }

    /// Puts a tenant's functions and budgets to work.
    fn route(&mut self, tenant: TenantId, routing: Routing) {
        let limits = &routing.limits;
        self.allowances.set(&tenant, limits.packets_per_second, limits.bytes_per_second);
        self.standings.routed(&tenant, &routing);
        self.functions.route(tenant, routing);
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.parts.exchange.handle(now, input);
    }

    fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened { .. } => {}
            LinkEvent::Message { link, transport, message } => match message {
                ClientMessage::Hello(hello) => match self.parts.keyring.verify(&hello.token, unix_now()) {
                    Ok(identity) => {
                        if let Some(allowance) = self.allowances.of(&identity.tenant) {
                            self.parts.media.allow(link, allowance);
                        }
                        let (identity, hello) = (Box::new(identity), Box::new(hello));
                        self.handle(Input::Attach { link, transport, identity, hello });
                    }
                    Err(error) => self.refuse(link, error.to_string()),
                },
                // A signature costs time that all tenants share: it is checked only for a session that may speak.
                ClientMessage::Renew { token } if self.parts.exchange.may_speak(self.now(), link) => {
                    let token = Box::new(self.parts.keyring.verify(&token, unix_now()));
                    if token.is_err() {
                        self.parts.metrics.tokens_refused.inc();
                    }
                    self.handle(Input::Renew { link, token });
                }
                message => self.handle(Input::Message { link, message: Box::new(message) }),
            },
            LinkEvent::Undecodable { link, error } => self.handle(Input::Undecodable { link, error }),
            LinkEvent::Lost { link } => self.handle(Input::Lost { link }),
            LinkEvent::Speaking { room, flows } => self.handle(Input::Speaking { room, flows }),
        }
    }

    fn refuse(&mut self, link: LinkId, message: String) {
        self.parts.metrics.tokens_refused.inc();
        let error = ServerMessage::Error { code: ErrorCode::BadToken, message, reference: None, call: None };
        self.send(link, error);
        self.parts.media.close(link, GoodbyeReason::NotWelcome);
    }

    /// Gives the sender to answer when the driver shall stop.
    fn on_command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Tenant(tenant, settings, done) => {
                self.handle(Input::Tenant { tenant, settings });
                let _ = done.send(());
            }
            Command::Routing(tenant, routing, done) => {
                self.route(tenant, *routing);
                let _ = done.send(());
            }
            Command::Forget(tenant, done) => {
                self.handle(Input::Forget { tenant: tenant.clone() });
                self.carry_out();
                self.functions.forget(&tenant);
                self.allowances.forget(&tenant);
                self.standings.forget(&tenant);
                let _ = done.send(());
            }
            Command::Told(session, message) => self.handle(Input::Told { session, message }),
            Command::Waiting { tenant, user, waiting, messages } => {
                self.handle(Input::Waiting { tenant, user, waiting, messages });
            }
            Command::Live(tenant, question) => {
                let now = self.now();
                live::answer(&mut self.parts.exchange, now, &tenant, question);
            }
            Command::Drain(done) => {
                self.drained = Some(done);
                self.handle(Input::Drain);
            }
            Command::Shutdown(done) => {
                self.handle(Input::Shutdown);
                self.carry_out();
                return Some(done);
            }
        }
        None
    }

    fn on_finding(&mut self, finding: Result<Finding, tokio::task::JoinError>) {
        match finding {
            Ok(Finding::Answered(asked)) => self.on_answer(*asked),
            Ok(Finding::Webhook { call, consultation, answer, seconds }) => {
                self.parts.metrics.consultation_seconds.observe(seconds);
                self.answer(call, consultation, *answer);
            }
            Ok(Finding::Measured(flows)) => {
                for (from, flow, reception) in flows {
                    self.handle(Input::Measured { from, flow, reception });
                }
            }
            Ok(Finding::Done) => {}
            // The exchange's own timeout lets the call go on.
            Err(error) => tracing::error!(%error, "a task of the call driver failed"),
        }
    }

    fn on_answer(&mut self, asked: Asked) {
        let Asked { tenant, call, consultation, ended, share, answered, seconds } = asked;
        let Answered { answer, moved_to, observations, mut invocations } = answered;
        for observation in observations {
            if let Some(verdict) = self.functions.observe(&tenant, observation) {
                self.tell(verdict);
            }
        }
        if let Some(version) = moved_to {
            self.functions.moved(call, version);
        }
        if !ended {
            let instead = answer.as_ref().err().and_then(|_| self.parts.exchange.instead_for(call));
            for record in invocations.iter_mut().filter(|record| record.failure.is_some() && record.instead.is_none()) {
                record.instead.clone_from(&instead);
            }
            self.parts.metrics.consultation_seconds.observe(seconds);
            self.answer(call, consultation, answer);
        }
        for record in invocations {
            self.recorder.record(&tenant, &share, record);
        }
    }

    fn answer(&mut self, call: CallId, consultation: u32, answer: Result<Answer, ConsultFailure>) {
        self.count_answer(call, &answer);
        self.handle(Input::Planned { call, consultation, answer: Box::new(answer) });
    }

    /// What was found is in force already; here it is shown, and told to those who keep it.
    fn tell(&mut self, verdict: Verdict) {
        let Verdict { tenant, function, version, finding, why: _ } = &verdict;
        let label = FindingLabel { finding: finding_word(*finding) };
        match finding {
            rollout::Finding::Good => tracing::info!(%tenant, %function, version, "a version has proved good"),
            rollout::Finding::RolledBack => {
                tracing::warn!(%tenant, %function, version, "a version failed and is rolled back")
            }
            rollout::Finding::Paused => tracing::warn!(%tenant, %function, version, "a version failed and is paused"),
        }
        self.parts.metrics.findings.get_or_create(&label).inc();
        self.standings.judged(&verdict, unix_now());
        if self.untold.len() < UNTOLD_MAX {
            self.untold.push_back(verdict);
        }
        self.tell_what_is_untold();
    }

    fn tell_what_is_untold(&mut self) {
        while let Some(verdict) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(verdict)) = self.parts.verdicts.try_send(verdict) {
                return self.untold.push_front(verdict);
            }
        }
    }

    fn look_up(&self, question: DirectoryQuestion) {
        let DirectoryQuestion { tenant, about, answer } = question;
        let exchange = &self.parts.exchange;
        let count = match about {
            About::Reachable(user) => Some(exchange.reachable(&tenant, &user)),
            About::Room(name) => Some(exchange.room_occupancy(&tenant, &name).unwrap_or(0) as usize),
            About::Queue(queue) => exchange.queue_length(&tenant, &queue),
        };
        let _ = answer.send(count);
    }

    /// Every side effect of the product.
    fn carry_out(&mut self) {
        while let Some(output) = self.parts.exchange.poll() {
            match output {
                Output::Send { link, message } => self.send(link, *message),
                Output::Close { link, reason } => self.parts.media.close(link, reason),
                Output::Consult(consult) => self.consult(*consult),
                Output::Route { call: _, speaker: _, from, flow, to, gate } => {
                    let to = to.into_iter().filter_map(|destination| self.listener(destination)).collect();
                    self.parts.media.route(Route { from, flow, to, gate });
                }
                Output::Audio(command) => self.audio(command),
                Output::Room { room, change } => self.room(room, change),
                Output::Mailbox(question) => {
                    let (session, reference) = (question.session, question.reference.clone());
                    if self.parts.mailboxes.try_send(MailboxQuestion::Asked(question)).is_err() {
                        let message = Box::new(mailboxes::too_many(reference));
                        self.handle(Input::Told { session, message });
                    }
                }
                Output::Waits { tenant, user } => {
                    // Whoever is not told now is told at the next change, and may ask.
                    let _ = self.parts.mailboxes.try_send(MailboxQuestion::Waits { tenant, user });
                }
                Output::Unroute { call, speaker, from, flow } => {
                    let counters = self.parts.media.unroute(from, flow);
                    self.voice.entry(call).or_default().push((speaker, counters));
                }
                Output::Record(record) => self.record(*record),
            }
        }
    }

    fn listener(&self, destination: Destination) -> Option<Listener> {
        match destination {
            Destination::Link(link) => Some(Listener::Link(link)),
            Destination::Room(room) => Some(Listener::Room(room)),
            Destination::Port(_) | Destination::Recording(..) | Destination::Tap(..) => {
                self.parts.audio.sink(destination).map(Listener::Sink)
            }
        }
    }

    fn room(&self, room: RoomId, change: RoomVoice) {
        let media = &self.parts.media;
        match change {
            RoomVoice::Open { speakers } => media.open_room(room, speakers),
            RoomVoice::Talks { flow, talks } => media.talks(room, flow, talks),
            RoomVoice::Hears { flow, over } => media.hears(room, flow, over.and_then(|over| self.listener(over))),
            RoomVoice::Close => media.close_room(room),
        }
    }

    /// What the codec threads cannot do is told at once.
    fn audio(&mut self, command: AudioCommand) {
        let refused = match command {
            AudioCommand::Tap { tap, tenant: _, step, port } => {
                self.parts.audio.tap(tap, step, port, self.functions.allowed_hosts(tap.call))
            }
            command => self.parts.audio.command(command),
        };
        if let Some(event) = refused {
            self.handle(Input::Audio(event));
        }
    }

    fn send(&mut self, link: LinkId, message: ServerMessage) {
        if let ServerMessage::Error { code, .. } = &message {
            let code = serde_json::to_value(code).ok().and_then(|word| word.as_str().map(str::to_owned));
            let label = CodeLabel { code: code.unwrap_or_default() };
            self.parts.metrics.signalling_errors.get_or_create(&label).inc();
        }
        self.parts.media.send(link, message);
    }

    fn consult(&mut self, consult: Consult) {
        let Consult { call, consultation, tenant, version: _, mut context, event } = consult;
        let ended = matches!(event, Event::Ended(_));
        if matches!(event, Event::Incoming) {
            self.parts.metrics.started.inc();
        }
        if let Some(webhook) = self.parts.webhook.clone() {
            context.node.clone_from(&self.parts.node);
            context.region.clone_from(&self.parts.region);
            self.tasks.spawn(async move {
                let started = std::time::Instant::now();
                let answer = Box::new(webhook::ask(&webhook, context, event).await);
                let seconds = started.elapsed().as_secs_f64();
                if ended { Finding::Done } else { Finding::Webhook { call, consultation, answer, seconds } }
            });
            return;
        }
        let chosen = match ended {
            true => self.functions.release(call, &tenant),
            false => self.functions.for_call(call, &tenant, &context.to),
        };
        let (Some(chosen), Some(share)) = (chosen, self.functions.share(&tenant).cloned()) else {
            if !ended {
                self.answer(call, consultation, Err(ConsultFailure::NoFunction));
            }
            return;
        };
        context.node.clone_from(&self.parts.node);
        context.region.clone_from(&self.parts.region);
        let net = self.net.clone();
        self.tasks.spawn(async move {
            let started = std::time::Instant::now();
            let question =
                Question { tenant: tenant.clone(), call, consultation, context, event, chosen, share: share.clone() };
            let answered = net.ask(question).await;
            let seconds = started.elapsed().as_secs_f64();
            Finding::Answered(Box::new(Asked { tenant, call, consultation, ended, share, answered, seconds }))
        });
    }

    fn count_answer(&self, call: CallId, answer: &Result<Answer, ConsultFailure>) {
        let metrics = &self.parts.metrics;
        let label = AnswerLabel { answer: answer.as_ref().map_or_else(failure_word, |_| "plan") };
        metrics.consultations.get_or_create(&label).inc();
        let failed = match answer {
            Ok(Answer { instead_of: None, .. }) | Err(ConsultFailure::NoFunction) => return,
            Ok(Answer { instead_of: Some(failed), version, .. }) => {
                let instead = Instead::LastGoodVersion(version.clone());
                Some((failed.failure.clone(), instead))
            }
            Err(failure) => self.parts.exchange.instead_for(call).map(|instead| (failure.to_string(), instead)),
        };
        // A call that is over goes on with nothing.
        let Some((failure, instead)) = failed else { return };
        let instead = instead_word(&instead);
        metrics.safety_net.get_or_create(&InsteadLabel { instead }).inc();
        tracing::warn!(%call, instead, "function failed; the call goes on without it");
        // In the function's own words, which may name people.
        tracing::debug!(%call, failure, "how the function failed");
    }

    fn record(&mut self, mut record: CallRecord) {
        let label = CauseLabel { cause: record.cause.as_str() };
        self.parts.metrics.ended.get_or_create(&label).inc();
        // A promise broken is the one thing an operator has to hear of.
        if record.cause == Cause::InternalError {
            tracing::error!(call = %record.call, tenant = %record.tenant, "call ended by an internal error");
        }
        tracing::info!(call = %record.call, tenant = %record.tenant, cause = %record.cause, "call ended");
        // A call whose function never answered gets no `ended` event: nothing would release its version.
        if record.consultations.iter().all(|consultation| consultation.version.is_empty()) {
            self.functions.release(record.call, &record.tenant);
        }
        let pending = self.voice.remove(&record.call).unwrap_or_default();
        let store = self.parts.store.clone();
        let lost = self.parts.metrics.records_lost.clone();
        self.tasks.spawn(async move {
            record.voice = records::collect(pending).await;
            records::keep(&store, record, &lost).await;
            Finding::Done
        });
    }

    fn measure(&mut self) {
        if self.parts.exchange.live_calls().next().is_none() {
            return;
        }
        let measurement = self.parts.media.measure();
        self.tasks.spawn(async move { Finding::Measured(measurement.await) });
    }

    fn publish_status(&mut self) {
        let exchange = &self.parts.exchange;
        let now = self.now();
        let calls: Vec<LiveCall> = exchange
            .live_calls()
            .map(|live| LiveCall {
                call: live.call.to_string(),
                tenant: live.tenant.to_string(),
                state: live.state.to_owned(),
                seconds: now.since(live.since).as_secs(),
            })
            .collect();
        self.parts.metrics.live.set(i64::try_from(calls.len()).unwrap_or(i64::MAX));
        let counts = exchange.counts();
        let sessions = counts.sessions_attached + counts.sessions_away;
        self.parts.metrics.rooms.set(i64::try_from(counts.rooms).unwrap_or(i64::MAX));
        self.parts.metrics.room_members.set(i64::try_from(counts.room_members).unwrap_or(i64::MAX));
        self.parts.metrics.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        for counts in exchange.tenants() {
            let meters = self.parts.meters.of(counts.tenant);
            meters.sessions.set(counts.sessions as u64);
            meters.calls.set(counts.calls as u64);
            meters.sessions.set_refused(counts.sessions_refused);
            meters.calls.set_refused(counts.calls_refused);
        }
        let node = self.parts.node.clone();
        let (tenants, tenants_more) = self.standings.busiest();
        let taken_back = self.standings.taken_back();
        self.parts.status.send_replace(Status { node, sessions, calls, tenants, tenants_more, taken_back });
    }

    fn tell_when_drained(&mut self) {
        if self.parts.exchange.live_calls().next().is_none()
            && let Some(drained) = self.drained.take()
        {
            let _ = drained.send(());
        }
    }

    /// Waits for the records and recordings that are on their way to the store.
    async fn finish(mut self) {
        while let Some(finding) = self.tasks.join_next().await {
            self.on_finding(finding);
            self.carry_out();
        }
        self.parts.audio.stop().await;
        self.recorder.close().await;
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn failure_word(failure: &ConsultFailure) -> &'static str {
    match failure {
        ConsultFailure::NoFunction => "no-function",
        ConsultFailure::Trapped(_) => "trapped",
        ConsultFailure::DeadlineExceeded(_) => "deadline-exceeded",
        ConsultFailure::OutOfMemory(_) => "out-of-memory",
        ConsultFailure::AnswerTooLarge(_) => "answer-too-large",
        ConsultFailure::Refused(_) => "error",
        ConsultFailure::PlanRefused(_) => "plan-refused",
        ConsultFailure::OverBudget(_) => "over-budget",
        ConsultFailure::Paused(_) => "paused",
        ConsultFailure::Overloaded => "overloaded",
        ConsultFailure::Host(_) => "host",
    }
}

fn instead_word(instead: &Instead) -> &'static str {
    match instead {
        Instead::LastGoodVersion(_) => "last-good-version",
        Instead::DefaultPlan => "default-plan",
        Instead::Rejection => "rejection",
    }
}

fn finding_word(finding: rollout::Finding) -> &'static str {
    match finding {
        rollout::Finding::Good => "good",
        rollout::Finding::RolledBack => "rolled-back",
        rollout::Finding::Paused => "paused",
    }
}

//! The call driver: the one task that owns the exchange, and the ONE exhaustive match on its outputs.
//!
//! In: what links say, what functions answered, what operators command, time. Out: messages to links, routes in the shards'
//! forwarding tables, questions to functions, records. It decides nothing about calls: that is the exchange's part.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tandem_host::Host;
use tandem_switch::cause::Cause;
use tandem_switch::event::Event;
use tandem_switch::exchange::{Answer, Consult, ConsultFailure, Exchange, Input, Output, TenantSettings};
use tandem_switch::id::{CallId, FlowId, LinkId, TenantId, UserId};
use tandem_switch::media::stats::Reception;
use tandem_switch::record::{CallRecord, VoiceRecord};
use tandem_switch::signal::{ClientMessage, ErrorCode, GoodbyeReason, ServerMessage};
use tandem_switch::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::calls::functions::{Functions, Version};
use crate::calls::metrics::{AnswerLabel, CallMetrics, CauseLabel, CodeLabel};
use crate::calls::routing::{Routing, Verdict};
use crate::clock::unix_now;
use crate::control::{LiveCall, Status};
use crate::media::{LinkEvent, Media, Route};
use crate::store::{Store, StoreError};
use crate::tenants::usage::Meters;
use crate::token::Keyring;

/// How often talkers learn how well they are received.
const QUALITY_INTERVAL: Duration = Duration::from_secs(5);

/// How often the status page's figures are renewed.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How often a record that could not be written is tried, and how long the first wait between tries is; it doubles. A full disk or a
/// locked database has about a minute to recover, then the record is lost and counted.
const RECORD_TRIES: u32 = 6;
/// See [`RECORD_TRIES`].
const RECORD_RETRY: Duration = Duration::from_secs(2);

/// How long a record waits for its last voice counters. Shards answer within microseconds; one that does not is being stopped.
const COUNTERS_TIMEOUT: Duration = Duration::from_secs(1);

/// What an operator, or the process itself, tells the driver.
#[derive(Debug)]
pub enum Command {
    /// A tenant's settings are new or changed.
    Tenant(TenantId, Box<TenantSettings>),
    /// A new version of a tenant's function answers from the next call on.
    Deploy(TenantId, Version),
    /// From the next call on a tenant's calls are routed so; acknowledged when that is so.
    Routing(TenantId, Box<Routing>, oneshot::Sender<()>),
    /// The tenant is gone: its sessions and calls end, nobody new is let in; acknowledged when that is so.
    Forget(TenantId, oneshot::Sender<()>),
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
    /// Runs functions.
    pub host: Arc<Host>,
    /// Checks tokens.
    pub keyring: Arc<Keyring>,
    /// Keeps records.
    pub store: Store,
    /// Counters.
    pub metrics: CallMetrics,
    /// What tenants use of their budgets.
    pub meters: Arc<Meters>,
    /// Where it goes what is found out about versions. When it is full, the driver does not wait: the finding is told again later.
    pub verdicts: mpsc::Sender<Verdict>,
    /// The node's name, told to functions.
    pub node: String,
    /// The node's region, told to functions.
    pub region: String,
    /// When the process started: zero of the exchange's time.
    pub started: std::time::Instant,
    /// Where the status page looks.
    pub status: watch::Sender<Status>,
}

/// What the driver's own tasks bring back.
enum Finding {
    Planned {
        call: CallId,
        consultation: u32,
        answer: Box<Result<Answer, ConsultFailure>>,
        seconds: f64,
    },
    Measured(Vec<(LinkId, FlowId, Reception)>),
    /// A record is stored or lost, or an `ended` event was delivered: nothing to tell.
    Done,
}

/// Counters of a call's routes that were taken down, on their way from the shards.
type PendingVoice = Vec<(UserId, oneshot::Receiver<Reception>)>;

/// Owns the exchange and does what it says.
pub struct CallDriver {
    parts: Parts,
    functions: Functions,
    voice: HashMap<CallId, PendingVoice>,
    tasks: JoinSet<Finding>,
    drained: Option<oneshot::Sender<()>>,
}

impl CallDriver {
    /// A driver over `parts`.
    pub fn new(parts: Parts) -> Self {
        Self { parts, functions: Functions::default(), voice: HashMap::new(), tasks: JoinSet::new(), drained: None }
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
                () = sleep_until(deadline), if deadline.is_some() => {
                    let now = self.now();
                    self.parts.exchange.handle_timeout(now);
                }
                _ = quality.tick() => self.measure(),
                _ = status.tick() => self.publish_status(),
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
    pub fn introduce(&mut self, tenant: TenantId, settings: Box<TenantSettings>, function: Option<Version>) {
        self.handle(Input::Tenant { tenant: tenant.clone(), settings });
        if let Some(version) = function {
            self.functions.deploy(tenant, version);
        }
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
            Command::Tenant(tenant, settings) => self.handle(Input::Tenant { tenant, settings }),
            Command::Deploy(tenant, version) => {
                tracing::info!(%tenant, version = &*version.name, "function live for the next call");
                self.functions.deploy(tenant, version);
            }
            Command::Routing(tenant, routing, done) => {
                if let Some(version) = routing.functions.into_values().find_map(|deployed| deployed.live) {
                    self.functions.deploy(tenant, Version { function: version.function, name: version.name });
                }
                let _ = done.send(());
            }
            Command::Forget(tenant, done) => {
                let nobody = TenantSettings { sessions_max: 0, calls_max: 0, ..TenantSettings::default() };
                self.handle(Input::Tenant { tenant, settings: Box::new(nobody) });
                let _ = done.send(());
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
            Ok(Finding::Planned { call, consultation, answer, seconds }) => {
                self.count_answer(call, &answer, seconds);
                self.handle(Input::Planned { call, consultation, answer });
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

    /// Every side effect of the product.
    fn carry_out(&mut self) {
        while let Some(output) = self.parts.exchange.poll() {
            match output {
                Output::Send { link, message } => self.send(link, *message),
                Output::Close { link, reason } => self.parts.media.close(link, reason),
                Output::Consult(consult) => self.consult(*consult),
                Output::Route { call: _, speaker: _, from, flow, to, gate } => {
                    self.parts.media.route(Route { from, flow, to, gate });
                }
                Output::Unroute { call, speaker, from, flow } => {
                    let counters = self.parts.media.unroute(from, flow);
                    self.voice.entry(call).or_default().push((speaker, counters));
                }
                Output::Record(record) => self.record(*record),
            }
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
        let version = match ended {
            true => self.functions.release(call),
            false => self.functions.for_call(call, &tenant),
        };
        context.node.clone_from(&self.parts.node);
        context.region.clone_from(&self.parts.region);
        let host = Arc::clone(&self.parts.host);
        self.tasks.spawn(async move {
            let started = std::time::Instant::now();
            let answer = match version {
                None => Err(ConsultFailure::NoFunction),
                Some(Version { function, name }) => {
                    context.version = name.to_string();
                    let invocation = host.invoke(&function, &context, &event).await;
                    show_log(&invocation.log.text);
                    invocation.answer.map(|plan| Answer { plan, version: name.to_string(), instead_of: None })
                }
            };
            if ended {
                return Finding::Done;
            }
            let seconds = started.elapsed().as_secs_f64();
            Finding::Planned { call, consultation, answer: Box::new(answer), seconds }
        });
    }

    fn count_answer(&self, call: CallId, answer: &Result<Answer, ConsultFailure>, seconds: f64) {
        let label = AnswerLabel { answer: answer.as_ref().map_or_else(failure_word, |_| "plan") };
        self.parts.metrics.consultations.get_or_create(&label).inc();
        if matches!(answer, Err(ConsultFailure::NoFunction)) {
            return;
        }
        self.parts.metrics.consultation_seconds.observe(seconds);
        if let Err(failure) = answer {
            tracing::warn!(%call, failure = failure_word(failure), "function failed; the call goes on with the default plan");
            // In the function's own words, which may name people.
            tracing::debug!(%call, failure = failure.to_string(), "how the function failed");
        }
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
            self.functions.release(record.call);
        }
        let pending = self.voice.remove(&record.call).unwrap_or_default();
        let store = self.parts.store.clone();
        let lost = self.parts.metrics.records_lost.clone();
        self.tasks.spawn(async move {
            record.voice = collect(pending).await;
            keep(&store, record, &lost).await;
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
        self.parts.metrics.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        let node = self.parts.node.clone();
        self.parts.status.send_replace(Status { node, sessions, calls });
    }

    fn tell_when_drained(&mut self) {
        if self.parts.exchange.live_calls().next().is_none()
            && let Some(drained) = self.drained.take()
        {
            let _ = drained.send(());
        }
    }

    /// Waits for the records that are on their way to the store.
    async fn finish(&mut self) {
        while let Some(finding) = self.tasks.join_next().await {
            self.on_finding(finding);
            self.carry_out();
        }
    }
}

/// Stores a record, trying again when the store has trouble; one that is given up is counted.
async fn keep(store: &Store, record: CallRecord, lost: &Counter) {
    let call = record.call;
    let mut wait = RECORD_RETRY;
    for tried in 1..=RECORD_TRIES {
        match store.insert_record(record.clone()).await {
            Ok(()) => return,
            Err(error @ StoreError::NotWritten(_)) if tried < RECORD_TRIES => {
                tracing::warn!(%call, %error, "a call record could not be stored; trying again");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => {
                tracing::error!(%call, %error, "a call record is lost");
                break;
            }
        }
    }
    lost.inc();
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One entry for each speaker, in the order of the call; a speaker's flows (several dials, a resumed session) are added up.
async fn collect(pending: PendingVoice) -> Vec<VoiceRecord> {
    let mut voice: Vec<VoiceRecord> = Vec::new();
    for (user, counters) in pending {
        let Ok(Ok(reception)) = tokio::time::timeout(COUNTERS_TIMEOUT, counters).await else { continue };
        match voice.iter_mut().find(|entry| entry.user == user) {
            Some(entry) => entry.reception = entry.reception.merge(reception),
            None => voice.push(VoiceRecord { user, reception }),
        }
    }
    voice
}

/// What a function wrote: for developers (`tandem dev` shows it). It may hold what callers are called, hence DEBUG.
fn show_log(text: &str) {
    for line in text.lines() {
        tracing::debug!(target: "function", "{line}");
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
        ConsultFailure::Overloaded => "overloaded",
        ConsultFailure::Host(_) => "host",
    }
}

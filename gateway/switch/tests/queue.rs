//! Histories of queues by chance, in virtual time: callers come and go, agents log on and off, miss, take and finish calls. After every step
//! what the machine says is compared with what a bystander who only reads its outputs knows, and every promise of `switch::queue` is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tandem_switch::id::{CallId, QueueId, UserId};
use tandem_switch::queue::{AgentState, Exit, Input, Output, Queues, Settings, Skills, Strategy, WhenEmpty};
use tandem_switch::time::Instant;

const SEEDS: u64 = 400;
const STEPS: u64 = 250;

/// A caller as the bystander knows it.
#[derive(Debug)]
struct Caller {
    queue: QueueId,
    priority: u8,
    arrival: u64,
    needs: Skills,
    joined: Instant,
    rings: BTreeSet<UserId>,
}

struct History {
    random: ChaCha8Rng,
    now: Instant,
    queues: Queues,
    settings: BTreeMap<QueueId, Settings>,
    callers: BTreeMap<CallId, Caller>,
    talks: BTreeMap<UserId, CallId>,
    logged_on: BTreeSet<(QueueId, UserId)>,
    /// Who is in a call that is not a queue's.
    occupied: BTreeSet<UserId>,
    arrivals: u64,
    /// How many callers left in each way: a history in which nothing happens shows nothing.
    ends: BTreeMap<&'static str, u64>,
}

fn agents() -> Vec<UserId> {
    ["ann", "bob", "cat", "dan", "eve"].iter().map(|name| UserId::new(name).unwrap()).collect()
}

impl History {
    fn new(seed: u64) -> Self {
        let mut history = Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            now: Instant::default(),
            queues: Queues::new([u8::try_from(seed % 251).unwrap(); 32]),
            settings: BTreeMap::new(),
            callers: BTreeMap::new(),
            talks: BTreeMap::new(),
            logged_on: BTreeSet::new(),
            occupied: BTreeSet::new(),
            arrivals: 0,
            ends: BTreeMap::new(),
        };
        for name in ["help", "sales"] {
            history.configure(QueueId::new(name).unwrap());
        }
        history
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = self.below(from.len() as u64);
        Some(from[at as usize].clone())
    }

    fn configure(&mut self, queue: QueueId) {
        let strategies = [
            Strategy::RingAll,
            Strategy::LongestIdle,
            Strategy::RoundRobin,
            Strategy::FewestCalls,
            Strategy::Random,
            Strategy::Skills,
        ];
        let mut named = BTreeMap::new();
        for agent in agents() {
            if self.below(5) > 0 {
                let skills = if self.below(2) == 0 { Skills::new() } else { Skills::from([("french".into(), 5)]) };
                named.insert(agent, skills);
            }
        }
        let settings = Settings {
            strategy: self.pick(&strategies).unwrap(),
            agents: named,
            ring_time: Duration::from_secs(1 + self.below(20)),
            wrap_up: Duration::from_secs(self.below(3) * 5),
            callers_max: 1 + self.below(6) as usize,
            max_wait: Duration::from_secs(5 + self.below(60)),
            announce_every: (self.below(2) == 0).then_some(Duration::from_secs(5)),
            exit_key: (self.below(2) == 0).then_some('*'),
            misses_max: self.below(4) as u32,
            when_empty: if self.below(2) == 0 { WhenEmpty::Wait } else { WhenEmpty::Leave },
            ..Settings::default()
        };
        settings.check().unwrap();
        self.logged_on.retain(|(of, agent)| *of != queue || settings.agents.contains_key(agent));
        self.settings.insert(queue.clone(), settings.clone());
        self.tell(Input::Configure { queue, settings: Box::new(settings) });
    }

    fn tell(&mut self, input: Input) {
        let _ = self.queues.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.queues.poll() {
            self.note(output);
        }
        self.check();
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Offer { caller, queue, agents, .. } => {
                for agent in &agents {
                    self.offered(caller, &queue, agent);
                }
                assert!(!agents.is_empty());
                let caller = self.callers.get_mut(&caller).expect("only who waits is offered");
                assert!(caller.rings.is_empty(), "one offer at a time");
                caller.rings = agents.into_iter().collect();
            }
            Output::Withdraw { caller, agents } => {
                if let Some(caller) = self.callers.get_mut(&caller) {
                    caller.rings.retain(|agent| !agents.contains(agent));
                }
            }
            Output::Exit { caller, exit, waited, .. } => {
                let gone = self.callers.remove(&caller).expect("a caller leaves once");
                assert_eq!(waited, self.now.since(gone.joined));
                let max_wait = self.settings.values().map(|settings| settings.max_wait).max().unwrap();
                assert!(waited <= max_wait.max(Duration::from_secs(65)), "nobody waits longer than the longest wait");
                let word = match exit {
                    Exit::Connected(agent) => {
                        assert!(gone.rings.contains(&agent), "only who was offered the caller gets it");
                        assert_eq!(self.talks.insert(agent, caller), None, "nobody talks to two callers");
                        "connected"
                    }
                    Exit::TimedOut => "timed-out",
                    Exit::Full => "full",
                    Exit::NoAgents => "no-agents",
                    Exit::Key(_) => "key",
                    Exit::Removed => "removed",
                    Exit::NoSuchQueue => "no-such-queue",
                };
                *self.ends.entry(word).or_default() += 1;
            }
            Output::Position { caller, position, .. } => {
                let told = &self.callers[&caller];
                let ahead = self.callers.values().filter(|other| other.queue == told.queue && goes_before(other, told));
                assert_eq!(position as usize, ahead.count() + 1);
            }
            Output::Agent { .. } | Output::Changed(_) => {}
        }
    }

    /// `agent` rings for `caller`: may they, and does nobody come before whom they could serve?
    fn offered(&self, caller: CallId, queue: &QueueId, agent: &UserId) {
        assert!(self.logged_on.contains(&(queue.clone(), agent.clone())), "only who is logged on is offered calls");
        assert!(!self.talks.contains_key(agent), "nobody who talks is offered calls");
        assert!(!self.occupied.contains(agent), "nobody who is in another call is offered calls");
        for other in self.callers.values() {
            assert!(!other.rings.contains(agent), "an agent is offered one call at a time");
        }
        let next = &self.callers[&caller];
        assert!(self.fits(agent, next));
        for (id, other) in &self.callers {
            let could = self.logged_on.contains(&(other.queue.clone(), agent.clone())) && self.fits(agent, other);
            let overtaken = *id != caller && could && other.rings.is_empty() && goes_before(other, next);
            assert!(!overtaken, "{agent} could have served {id}, who comes before {caller}");
        }
    }

    fn fits(&self, agent: &UserId, caller: &Caller) -> bool {
        let skills = &self.settings[&caller.queue].agents[agent];
        caller.needs.iter().all(|(skill, level)| skills.get(skill).is_some_and(|has| has >= level))
    }

    fn check(&self) {
        for queue in self.settings.keys() {
            let live = self.queues.live(self.now, queue).unwrap();
            let waiting: BTreeSet<CallId> = live.callers.iter().map(|caller| caller.caller).collect();
            let known = self.callers.iter().filter(|(_, caller)| caller.queue == *queue).map(|(id, _)| *id);
            assert_eq!(waiting, known.collect(), "nobody is lost, and nobody stays behind");
            for caller in &live.callers {
                let rings: BTreeSet<UserId> = caller.offered_to.iter().cloned().collect();
                // A miss says nothing: the bystander has noted it itself.
                assert!(rings.is_subset(&self.callers[&caller.caller].rings), "who rings was told to ring");
            }
            let logged_on: BTreeSet<UserId> = live.agents.iter().map(|agent| agent.agent.clone()).collect();
            let known = self.logged_on.iter().filter(|(of, _)| of == queue).map(|(_, agent)| agent.clone());
            assert_eq!(logged_on, known.collect());
            for caller in &live.callers {
                let stuck = caller.offered_to.is_empty()
                    && live.agents.iter().any(|agent| {
                        agent.state == AgentState::Available && self.fits(&agent.agent, &self.callers[&caller.caller])
                    });
                assert!(!stuck, "nobody waits whom a free agent could serve");
            }
            let figures = live.figures;
            let left = figures.answered + figures.abandoned + figures.timed_out + figures.full + figures.no_agents;
            let left = left + figures.left_by_key + figures.removed;
            assert_eq!(figures.joined, left + live.callers.len() as u64, "everybody is counted once");
            assert_eq!(figures.waits.iter().sum::<u64>(), figures.answered);
        }
    }

    fn step(&mut self) {
        let queues: Vec<QueueId> = self.settings.keys().cloned().collect();
        let queue = self.pick(&queues).unwrap();
        let agent = self.pick(&agents()).unwrap();
        match self.below(100) {
            0..30 => self.join(queue),
            30..45 => self.answer(),
            45..52 => self.miss(),
            52..62 => {
                let talking: Vec<UserId> = self.talks.keys().cloned().collect();
                if let Some(agent) = self.pick(&talking) {
                    self.talks.remove(&agent);
                    self.tell(Input::Finished { agent });
                }
            }
            62..72 => {
                if self.settings[&queue].agents.contains_key(&agent) {
                    self.logged_on.insert((queue.clone(), agent.clone()));
                    self.occupied.remove(&agent);
                }
                self.tell(Input::LogOn { queue, agent, occupied: false });
            }
            72..75 => {
                self.logged_on.remove(&(queue.clone(), agent.clone()));
                self.tell(Input::LogOff { queue: Some(queue), agent });
            }
            75 => {
                self.logged_on.retain(|(_, other)| *other != agent);
                self.tell(Input::LogOff { queue: None, agent });
            }
            76..79 => self.tell(Input::Pause { agent }),
            79..85 => self.tell(Input::Resume { agent }),
            85..88 => self.leave(),
            88..90 => {
                let waiting: Vec<CallId> = self.callers.keys().copied().collect();
                if let Some(caller) = self.pick(&waiting) {
                    self.tell(Input::Key { caller, key: '*' });
                }
            }
            90 => self.configure(queue),
            91..93 => {
                let occupied = self.below(3) == 0;
                if occupied {
                    self.occupied.insert(agent.clone());
                } else {
                    self.occupied.remove(&agent);
                }
                self.tell(Input::Occupied { agent, occupied });
            }
            _ => {}
        }
        let span = self.below(4000);
        self.pass(Duration::from_millis(span));
    }

    fn join(&mut self, queue: QueueId) {
        let (caller, priority) = (CallId(self.random.next_u64().into()), self.below(3) as u8);
        let needs = if self.below(4) == 0 { Skills::from([("french".into(), 5)]) } else { Skills::new() };
        let (rings, arrival, joined) = (BTreeSet::new(), self.arrivals, self.now);
        self.arrivals += 1;
        let waits = Caller { queue: queue.clone(), priority, arrival, needs: needs.clone(), joined, rings };
        self.callers.insert(caller, waits);
        self.tell(Input::Join { queue, caller, priority, needs, max_wait: None });
    }

    fn ringing(&self) -> Vec<(CallId, UserId)> {
        let of = |(id, caller): (&CallId, &Caller)| {
            caller.rings.iter().map(|agent| (*id, agent.clone())).collect::<Vec<_>>()
        };
        self.callers.iter().flat_map(of).collect()
    }

    fn answer(&mut self) {
        let ringing = self.ringing();
        if let Some((caller, agent)) = self.pick(&ringing) {
            self.tell(Input::Answered { caller, agent: agent.clone() });
            assert_eq!(self.talks.get(&agent), Some(&caller), "who rings and answers is connected");
        }
    }

    fn miss(&mut self) {
        let ringing = self.ringing();
        if let Some((caller, agent)) = self.pick(&ringing) {
            self.callers.get_mut(&caller).unwrap().rings.remove(&agent);
            self.tell(Input::Missed { caller, agent });
        }
    }

    fn leave(&mut self) {
        let waiting: Vec<CallId> = self.callers.keys().copied().collect();
        if let Some(caller) = self.pick(&waiting) {
            self.callers.remove(&caller);
            self.tell(Input::Leave { caller });
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.queues.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "nothing is overdue");
            self.now = at;
            self.queues.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// Everybody goes home: nothing is left.
    fn end(&mut self) {
        for agent in agents() {
            self.talks.remove(&agent);
            self.tell(Input::Finished { agent: agent.clone() });
            self.logged_on.retain(|(_, other)| *other != agent);
            self.tell(Input::LogOff { queue: None, agent });
        }
        self.pass(Duration::from_secs(120));
        assert!(self.callers.is_empty(), "nobody waits for ever");
        assert!(self.queues.is_idle());
        assert_eq!(self.queues.poll_timeout(), None);
    }
}

fn goes_before(a: &Caller, b: &Caller) -> bool {
    (std::cmp::Reverse(a.priority), a.arrival) < (std::cmp::Reverse(b.priority), b.arrival)
}

#[test]
fn whatever_happens_nobody_is_lost_overtaken_or_connected_twice() {
    let mut ends = BTreeMap::<&str, u64>::new();
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..STEPS {
                history.step();
            }
            history.end();
            history.ends
        });
        let Ok(of_seed) = outcome else { panic!("seed {seed}") };
        for (word, count) in of_seed {
            *ends.entry(word).or_default() += count;
        }
    }
    for word in ["connected", "timed-out", "full", "no-agents", "key"] {
        assert!(ends.get(word).is_some_and(|count| *count > SEEDS / 4), "{word} hardly happens: {ends:?}");
    }
}

#[test]
fn longest_idle_is_fair() {
    let mut queues = Queues::new([1; 32]);
    let queue = QueueId::new("help").unwrap();
    let named: BTreeMap<UserId, Skills> = agents().into_iter().map(|agent| (agent, Skills::new())).collect();
    let settings = Settings { agents: named, wrap_up: Duration::ZERO, ..Settings::default() };
    let mut now = Instant::default();
    queues.handle(now, Input::Configure { queue: queue.clone(), settings: Box::new(settings) }).unwrap();
    for agent in agents() {
        queues.handle(now, Input::LogOn { queue: queue.clone(), agent, occupied: false }).unwrap();
    }
    let mut calls = BTreeMap::<UserId, u32>::new();
    for caller in 0..503 {
        now = now + Duration::from_secs(7);
        let (queue, caller) = (queue.clone(), CallId(caller));
        let join = Input::Join { queue, caller, priority: 0, needs: Skills::new(), max_wait: None };
        queues.handle(now, join).unwrap();
        let outputs: Vec<Output> = std::iter::from_fn(|| queues.poll()).collect();
        let offered = outputs.iter().find_map(|output| match output {
            Output::Offer { agents, .. } => agents.first().cloned(),
            _ => None,
        });
        let agent = offered.unwrap();
        queues.handle(now, Input::Answered { caller, agent: agent.clone() }).unwrap();
        now = now + Duration::from_secs(3);
        queues.handle(now, Input::Finished { agent: agent.clone() }).unwrap();
        *calls.entry(agent).or_default() += 1;
    }
    let (least, most) = (calls.values().min().unwrap(), calls.values().max().unwrap());
    assert!(calls.len() == 5 && most - least <= 1, "{calls:?}");
}

//! One behaviour each, with virtual time. Histories by chance are in `tests/queue.rs` of the crate.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Floor {
    queues: Queues,
    now: Instant,
}

fn queue(name: &str) -> QueueId {
    QueueId::new(name).unwrap()
}

fn agent(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn settings(agents: &[&str]) -> Settings {
    let agents = agents.iter().map(|name| (agent(name), Skills::new())).collect();
    Settings { agents, announce_every: None, ..Settings::default() }
}

impl Floor {
    /// One queue `help`, its agents logged on.
    fn new(settings: Settings) -> Self {
        let mut floor = Self { queues: Queues::new([7; 32]), now: Instant::default() };
        let agents: Vec<UserId> = settings.agents.keys().cloned().collect();
        floor.tell(Input::Configure { queue: queue("help"), settings: Box::new(settings) });
        for agent in agents {
            floor.tell(Input::LogOn { queue: queue("help"), agent, occupied: false });
        }
        floor
    }

    fn try_to(&mut self, input: Input) -> (Result<(), Refused>, Vec<Output>) {
        let done = self.queues.handle(self.now, input);
        (done, std::iter::from_fn(|| self.queues.poll()).collect())
    }

    /// Everything but states of agents and queues.
    fn tell(&mut self, input: Input) -> Vec<Output> {
        let (done, outputs) = self.try_to(input);
        assert_eq!(done, Ok(()));
        essential(outputs)
    }

    fn join(&mut self, caller: u128) -> Vec<Output> {
        self.join_with(caller, 0, &[])
    }

    fn join_with(&mut self, caller: u128, priority: u8, needs: &[(&str, u8)]) -> Vec<Output> {
        let needs = needs.iter().map(|(skill, level)| ((*skill).to_owned(), *level)).collect();
        self.tell(Input::Join { queue: queue("help"), caller: CallId(caller), priority, needs, max_wait: None })
    }

    fn answered(&mut self, caller: u128, by: &str) {
        let outputs = self.tell(Input::Answered { caller: CallId(caller), agent: agent(by) });
        let is_exit = |output: &Output| matches!(output, Output::Exit { exit: Exit::Connected(_), .. });
        assert!(outputs.iter().any(is_exit), "{outputs:?}");
    }

    fn finished(&mut self, name: &str) -> Vec<Output> {
        self.tell(Input::Finished { agent: agent(name) })
    }

    /// Everything that is due until then, but for states.
    fn pass(&mut self, span: Duration) -> Vec<Output> {
        let end = self.now + span;
        let mut outputs = Vec::new();
        while let Some(at) = self.queues.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.queues.handle_timeout(at);
            outputs.extend(std::iter::from_fn(|| self.queues.poll()));
        }
        self.now = end;
        essential(outputs)
    }

    fn state(&self, name: &str) -> AgentState {
        self.queues.agent_state(&agent(name))
    }

    fn figures(&self) -> Figures {
        self.queues.live(self.now, &queue("help")).unwrap().figures.clone()
    }
}

fn essential(outputs: Vec<Output>) -> Vec<Output> {
    let says_state = |output: &Output| matches!(output, Output::Agent { .. } | Output::Changed(_));
    outputs.into_iter().filter(|output| !says_state(output)).collect()
}

fn offers(outputs: &[Output]) -> Vec<(u128, Vec<&str>)> {
    let offer = |output| match output {
        &Output::Offer { caller, ref agents, .. } => Some((caller.0, agents.iter().map(UserId::as_str).collect())),
        _ => None,
    };
    outputs.iter().filter_map(offer).collect()
}

fn exits(outputs: &[Output]) -> Vec<(u128, Exit)> {
    let exit = |output: &Output| match output {
        Output::Exit { caller, exit, .. } => Some((caller.0, exit.clone())),
        _ => None,
    };
    outputs.iter().filter_map(exit).collect()
}

#[test]
fn a_caller_is_offered_to_an_agent_and_taken() {
    let mut floor = Floor::new(settings(&["ann"]));
    assert_eq!(offers(&floor.join(1)), [(1, vec!["ann"])]);
    assert_eq!(floor.state("ann"), AgentState::Offered);
    floor.pass(SECOND);
    floor.answered(1, "ann");
    assert_eq!(floor.state("ann"), AgentState::Talking);
    floor.pass(60 * SECOND);
    floor.finished("ann");
    assert_eq!(floor.state("ann"), AgentState::WrapUp);
    floor.pass(10 * SECOND);
    assert_eq!(floor.state("ann"), AgentState::Available);
    let figures = floor.figures();
    assert_eq!((figures.joined, figures.answered, figures.answered_in_time), (1, 1, 1));
    assert_eq!((figures.mean_wait(), figures.mean_handling), (Some(SECOND), Some(70 * SECOND)));
}

#[test]
fn higher_priority_goes_first_then_who_came_first() {
    let mut floor = Floor::new(Settings { wrap_up: Duration::ZERO, ..settings(&["ann"]) });
    floor.join(1);
    floor.answered(1, "ann");
    for (caller, priority) in [(2, 0), (3, 5), (4, 5), (5, 9)] {
        assert_eq!(offers(&floor.join_with(caller, priority, &[])), []);
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        let outputs = floor.finished("ann");
        let (caller, _) = offers(&outputs)[0];
        order.push(caller);
        floor.answered(caller, "ann");
    }
    assert_eq!(order, [5, 3, 4, 2]);
}

#[test]
fn strategies_choose_as_they_say() {
    // Three agents; calls one after another, each taken at once and done at once: who gets each?
    let table: [(Strategy, &[&str]); 4] = [
        (Strategy::LongestIdle, &["ann", "bob", "cat", "ann", "bob", "cat"]),
        (Strategy::RoundRobin, &["ann", "bob", "cat", "ann", "bob", "cat"]),
        (Strategy::FewestCalls, &["ann", "bob", "cat", "ann", "bob", "cat"]),
        (Strategy::Skills, &["cat", "cat", "cat", "cat", "cat", "cat"]),
    ];
    for (strategy, expected) in table {
        let mut with = Settings { strategy, wrap_up: Duration::ZERO, ..settings(&["ann", "bob", "cat"]) };
        with.agents.insert(agent("cat"), Skills::from([("billing".into(), 9)]));
        with.agents.insert(agent("bob"), Skills::from([("billing".into(), 3)]));
        let mut floor = Floor::new(with);
        let mut got = Vec::new();
        for caller in 1..=6 {
            let outputs = floor.join(caller);
            let by = offers(&outputs)[0].1[0].to_owned();
            floor.pass(SECOND);
            floor.answered(caller, &by);
            floor.pass(SECOND);
            floor.finished(&by);
            got.push(by);
        }
        assert_eq!(got, expected, "{strategy:?}");
    }
}

#[test]
fn chance_gives_everybody_some() {
    let strategy = Strategy::Random;
    let mut floor = Floor::new(Settings { strategy, wrap_up: Duration::ZERO, ..settings(&["ann", "bob", "cat"]) });
    let mut counts = BTreeMap::<String, u32>::new();
    for caller in 0..300 {
        let outputs = floor.join(caller);
        let by = offers(&outputs)[0].1[0].to_owned();
        floor.answered(caller, &by);
        floor.finished(&by);
        *counts.entry(by).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| (60..=140).contains(count)), "{counts:?}");
}

#[test]
fn all_ring_and_the_others_are_free_again_when_one_answers() {
    let mut floor = Floor::new(Settings { strategy: Strategy::RingAll, ..settings(&["ann", "bob", "cat"]) });
    assert_eq!(offers(&floor.join(1)), [(1, vec!["ann", "bob", "cat"])]);
    assert_eq!(offers(&floor.join(2)), []);
    let outputs = floor.tell(Input::Answered { caller: CallId(1), agent: agent("bob") });
    assert_eq!(offers(&outputs), [(2, vec!["ann", "cat"])]);
}

#[test]
fn who_needs_a_skill_waits_for_it_and_holds_nobody_up() {
    let mut with = settings(&["ann", "bob"]);
    with.agents.insert(agent("bob"), Skills::from([("french".into(), 5)]));
    let mut floor = Floor::new(with);
    assert_eq!(offers(&floor.join_with(1, 0, &[("french", 3)])), [(1, vec!["bob"])]);
    assert_eq!(offers(&floor.join_with(2, 9, &[("french", 5)])), [], "bob rings already");
    assert_eq!(offers(&floor.join(3)), [(3, vec!["ann"])], "ann does not wait for who she cannot serve");
    let outputs = floor.join_with(4, 0, &[("french", 6)]);
    assert_eq!(exits(&outputs), [(4, Exit::NoAgents)], "nobody who is logged on speaks it that well");
}

#[test]
fn who_does_not_answer_rests_then_is_set_aside_until_resuming() {
    let mut floor = Floor::new(Settings { misses_max: 2, ..settings(&["ann"]) });
    floor.join(1);
    let outputs = floor.pass(20 * SECOND);
    assert_eq!(outputs, [Output::Withdraw { caller: CallId(1), agents: vec![agent("ann")] }]);
    assert_eq!(floor.state("ann"), AgentState::Resting);
    assert_eq!(offers(&floor.pass(limits::AGENT_REST)), [(1, vec!["ann"])], "she is offered it again");
    let (_, outputs) = floor.try_to(Input::Missed { caller: CallId(1), agent: agent("ann") });
    let set_aside = Output::Agent { agent: agent("ann"), state: AgentState::SetAside };
    assert!(outputs.contains(&set_aside), "she is told: {outputs:?}");
    assert_eq!(offers(&floor.pass(60 * SECOND)), []);
    assert_eq!(offers(&floor.tell(Input::Resume { agent: agent("ann") })), [(1, vec!["ann"])]);
}

#[test]
fn who_missed_a_caller_comes_after_those_who_did_not() {
    let mut floor = Floor::new(Settings { misses_max: 0, ..settings(&["ann", "bob"]) });
    let mut rung = Vec::new();
    let mut outputs = floor.join(1);
    for _ in 0..4 {
        rung.push(offers(&outputs)[0].1[0].to_owned());
        outputs = floor.pass(20 * SECOND);
    }
    assert_eq!(rung, ["ann", "bob", "ann", "bob"]);
}

#[test]
fn callers_leave_when_it_is_full_empty_too_long_by_key_or_removed() {
    let mut floor = Floor::new(Settings {
        callers_max: 2,
        exit_key: Some('*'),
        max_wait: 30 * SECOND,
        when_empty: WhenEmpty::Leave,
        ..settings(&["ann"])
    });
    floor.tell(Input::Pause { agent: agent("ann") });
    floor.join(1);
    floor.join(2);
    assert_eq!(exits(&floor.join(3)), [(3, Exit::Full)]);
    assert_eq!(exits(&floor.tell(Input::Key { caller: CallId(2), key: '5' })), []);
    assert_eq!(exits(&floor.tell(Input::Key { caller: CallId(2), key: '*' })), [(2, Exit::Key('*'))]);
    assert_eq!(exits(&floor.pass(29 * SECOND)), []);
    assert_eq!(exits(&floor.pass(SECOND)), [(1, Exit::TimedOut)]);
    floor.join(4);
    let off = Input::LogOff { queue: Some(queue("help")), agent: agent("ann") };
    assert_eq!(exits(&floor.tell(off)), [(4, Exit::NoAgents)]);
    assert_eq!(exits(&floor.join(5)), [(5, Exit::NoAgents)]);
    let elsewhere =
        Input::Join { queue: queue("none"), caller: CallId(6), priority: 0, needs: Skills::new(), max_wait: None };
    assert_eq!(exits(&floor.tell(elsewhere)), [(6, Exit::NoSuchQueue)]);
    let figures = floor.figures();
    assert_eq!(
        (figures.joined, figures.full, figures.left_by_key, figures.timed_out, figures.no_agents),
        (5, 1, 1, 1, 2)
    );
    assert!(floor.queues.is_idle());
}

#[test]
fn a_queue_may_let_callers_wait_for_agents_to_come() {
    let mut floor = Floor::new(Settings { when_empty: WhenEmpty::Wait, ..settings(&["ann"]) });
    floor.tell(Input::LogOff { queue: None, agent: agent("ann") });
    assert_eq!(exits(&floor.join(1)), []);
    let on = Input::LogOn { queue: queue("help"), agent: agent("ann"), occupied: false };
    assert_eq!(offers(&floor.tell(on)), [(1, vec!["ann"])]);
    let outputs = floor.tell(Input::Remove { queue: queue("help") });
    assert_eq!(exits(&outputs), [(1, Exit::Removed)]);
    assert!(floor.queues.is_idle());
}

#[test]
fn callers_are_told_their_position_and_an_estimate() {
    let every = Some(10 * SECOND);
    let mut floor = Floor::new(Settings { announce_every: every, wrap_up: Duration::ZERO, ..settings(&["ann"]) });
    floor.join(1);
    floor.answered(1, "ann");
    let first = floor.join(2);
    assert_eq!(first, [Output::Position { caller: CallId(2), position: 1, estimate: None }], "no call was handled yet");
    floor.pass(60 * SECOND);
    floor.finished("ann");
    floor.answered(2, "ann");
    let estimate = |position: u32| Some(60 * SECOND * position);
    for (caller, position) in [(3, 1), (4, 2)] {
        let told = Output::Position { caller: CallId(caller), position, estimate: estimate(position) };
        assert_eq!(floor.join(caller), [told]);
    }
    floor.tell(Input::Leave { caller: CallId(3) });
    let told = floor.pass(10 * SECOND);
    assert_eq!(told, [Output::Position { caller: CallId(4), position: 1, estimate: estimate(1) }]);
    assert_eq!(floor.figures().abandoned, 1);
}

#[test]
fn who_is_in_another_call_is_offered_none() {
    let mut floor = Floor::new(settings(&["ann"]));
    floor.tell(Input::Occupied { agent: agent("ann"), occupied: true });
    assert_eq!(offers(&floor.join(1)), []);
    let outputs = floor.tell(Input::Occupied { agent: agent("ann"), occupied: false });
    assert_eq!(offers(&outputs), [(1, vec!["ann"])]);
}

#[test]
fn an_agent_of_two_queues_takes_whoever_is_first_in_both() {
    let mut floor = Floor::new(settings(&["ann"]));
    floor.tell(Input::Configure { queue: queue("sales"), settings: Box::new(settings(&["ann"])) });
    floor.tell(Input::LogOn { queue: queue("sales"), agent: agent("ann"), occupied: true });
    let join = |id, caller| {
        let (queue, caller) = (queue(id), CallId(caller));
        Input::Join { queue, caller, priority: 0, needs: Skills::new(), max_wait: None }
    };
    floor.tell(join("sales", 1));
    floor.tell(join("help", 2));
    let outputs = floor.tell(Input::Occupied { agent: agent("ann"), occupied: false });
    assert_eq!(offers(&outputs), [(1, vec!["ann"])]);
}

#[test]
fn only_agents_of_the_queue_may_serve_it() {
    let mut floor = Floor::new(settings(&["ann"]));
    let on = |id, name| Input::LogOn { queue: queue(id), agent: agent(name), occupied: false };
    let stranger = Refused::NotAnAgent { queue: queue("help"), agent: agent("eve") };
    assert_eq!(floor.try_to(on("help", "eve")).0, Err(stranger));
    assert_eq!(floor.try_to(on("none", "ann")).0, Err(Refused::NoSuchQueue(queue("none"))));
    assert_eq!(floor.try_to(Input::Pause { agent: agent("eve") }).0, Err(Refused::NotLoggedOn));
    floor.join(1);
    let answered = Input::Answered { caller: CallId(1), agent: agent("eve") };
    assert_eq!(floor.try_to(answered).0, Err(Refused::NotOffered));
    // Whoever is an agent no more is logged off.
    floor.tell(Input::Configure { queue: queue("help"), settings: Box::new(settings(&["bob"])) });
    assert_eq!(floor.state("ann"), AgentState::LoggedOff);
}

#[test]
fn settings_are_checked() {
    let good = settings(&["ann"]);
    assert_eq!(good.check(), Ok(()));
    let table = [
        (Settings { ring_time: Duration::ZERO, ..good.clone() }, "ring-time"),
        (Settings { wrap_up: 7200 * SECOND, ..good.clone() }, "wrap-up"),
        (Settings { max_wait: Duration::ZERO, ..good.clone() }, "max-wait"),
        (Settings { announce_every: Some(SECOND), ..good.clone() }, "announce-every"),
        (Settings { callers_max: 0, ..good.clone() }, "callers-max"),
        (Settings { callers_max: limits::QUEUE_CALLERS_MAX + 1, ..good.clone() }, "callers-max"),
        (Settings { exit_key: Some('x'), ..good.clone() }, "exit-key"),
        (Settings { music: Some(String::new()), ..good.clone() }, "music"),
    ];
    for (settings, wrong) in table {
        assert_eq!(settings.check().unwrap_err().setting, wrong);
    }
}

//! Queues: callers, agents and what both are told.

use super::*;
use crate::audio::{AudioEvent, PortId, Sound};
use crate::event::{Outcome, QueueOutcome, QueueResult};
use crate::plan::{EnqueueStep, Tone};
use crate::queue::{AgentState, Settings, Skills};
use crate::signal::AgentAction;

const HELP: &str = "help";

fn help() -> QueueId {
    QueueId::new(HELP).unwrap()
}

/// alice (1) calls; bob (2) and carol (3) are agents of `help`, bob is logged on.
fn staffed() -> Harness {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "carol");
    let agents = ["bob", "carol"].map(|name| (UserId::new(name).unwrap(), Skills::new()));
    let settings = Settings { agents: agents.into(), wrap_up: Duration::from_secs(5), ..Settings::default() };
    let queues = [(help(), Settings { exit_key: Some('*'), ..settings })].into();
    harness.input(configured(TenantSettings { queues, ..TenantSettings::default() }));
    agent(&mut harness, 2, AgentAction::LogOn);
    harness
}

fn agent(harness: &mut Harness, link: u64, action: AgentAction) {
    harness.says(link, ClientMessage::Agent { queue: Some(help()), action });
}

fn enqueue() -> Vec<Step> {
    let step = EnqueueStep { queue: HELP.into(), priority: 0, music: None, max_wait: 60_000, needs: Vec::new() };
    vec![Step::Enqueue(step), Step::Consult("after".into())]
}

fn outcome(harness: &Harness) -> QueueOutcome {
    match &harness.asked.last().unwrap().event {
        Event::Consulted(asked) => match &asked.outcome {
            Outcome::Queued(outcome) => outcome.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn state_told(harness: &Harness, link: u64) -> AgentState {
    let told = harness.said.iter().rev().find_map(|(to, message)| match message {
        ServerMessage::AgentState { state, .. } if *to == LinkId(link) => Some(*state),
        _ => None,
    });
    told.expect("the agent was told")
}

#[test]
fn a_caller_waits_with_music_until_an_agent_takes_the_call() {
    let mut harness = staffed();
    agent(&mut harness, 2, AgentAction::Pause);
    let call = harness.invite(1, "help");
    harness.plan(enqueue());
    let events = harness.events(1);
    let queued = Happening::Queued { queue: help(), position: 1, estimate_ms: None };
    assert!(matches!(events[0], Happening::Answered { .. }) && events[1] == queued, "{events:?}");
    let music = |command: &AudioCommand| matches!(command, AudioCommand::Play { sound: Sound::Prompt(name), .. } if name == "music-on-hold");
    assert!(harness.audio.iter().any(music));
    harness.wait(Duration::from_secs(3));
    agent(&mut harness, 2, AgentAction::Resume);
    assert_eq!(harness.last_event(2), Happening::Offered { queue: help(), waited_ms: 3000 });
    assert_eq!(state_told(&harness, 2), AgentState::Offered);
    harness.says(2, ClientMessage::Answer { call });
    assert!(matches!(harness.last_event(1), Happening::Connected { .. }));
    assert_eq!((harness.gates(), state_told(&harness, 2)), (vec![Gate::Open, Gate::Open], AgentState::Talking));
    harness.wait(Duration::from_secs(7));
    harness.says(2, ClientMessage::Hangup { call });
    let expected = QueueOutcome {
        queue: HELP.into(),
        result: QueueResult::Connected,
        waited: 3000,
        agent: Some("bob".into()),
        talked: 7000,
    };
    assert_eq!(outcome(&harness), expected, "the plan goes on");
    assert_eq!(state_told(&harness, 2), AgentState::WrapUp);
    harness.wait(Duration::from_secs(5));
    assert_eq!(state_told(&harness, 2), AgentState::Available);
}

#[test]
fn music_that_is_not_there_gives_way_to_the_ring_back_tone_and_then_to_silence() {
    let mut harness = staffed();
    agent(&mut harness, 2, AgentAction::Pause);
    harness.invite(1, "help");
    harness.plan(enqueue());
    let last = |harness: &Harness| {
        harness.audio.iter().rev().find_map(|command| match command {
            AudioCommand::Play { port, playback, sound, .. } => Some((*port, *playback, sound.clone())),
            _ => None,
        })
    };
    let played = |harness: &mut Harness, port: PortId, playback, failure: Option<&str>| {
        let failure = failure.map(str::to_owned);
        harness.input(Input::Audio(AudioEvent::Played { port, playback, failure }));
    };
    let (port, first, _) = last(&harness).unwrap();
    played(&mut harness, port, first, None);
    let (_, again, sound) = last(&harness).unwrap();
    assert!(again > first && sound == Sound::Prompt("music-on-hold".into()), "it begins again");
    played(&mut harness, port, again, Some("no such prompt"));
    let (_, tone, sound) = last(&harness).unwrap();
    assert_eq!(sound, Sound::Tone(Tone::RingBack));
    played(&mut harness, port, tone, Some("no codec thread"));
    assert_eq!(last(&harness).unwrap().1, tone, "silence, and the caller waits on");
    assert_eq!(harness.exchange.queue_length(&TenantId::new("acme").unwrap(), &help()), Some(1));
}

#[test]
fn an_agent_who_misses_calls_is_set_aside_and_another_one_is_rung() {
    let mut harness = staffed();
    agent(&mut harness, 3, AgentAction::LogOn);
    let call = harness.invite(1, "help");
    harness.plan(enqueue());
    assert!(matches!(harness.last_event(2), Happening::Offered { .. }), "bob is idle for longest");
    harness.wait(Duration::from_secs(20));
    assert_eq!(harness.ended(2), Cause::NoAnswer);
    assert!(matches!(harness.last_event(3), Happening::Offered { .. }));
    harness.says(3, ClientMessage::Decline { call, cause: None });
    assert_eq!(state_told(&harness, 3), AgentState::Resting);
    harness.wait(Duration::from_secs(35));
    assert!(harness.events(2).iter().filter(|event| matches!(event, Happening::Offered { .. })).count() >= 2);
    harness.wait(Duration::from_secs(5));
    assert_eq!(outcome(&harness).result, QueueResult::TimedOut);
}

#[test]
fn an_agent_without_a_device_is_logged_off() {
    let mut harness = staffed();
    harness.says(2, ClientMessage::Bye);
    harness.invite(1, "help");
    harness.plan(enqueue());
    assert_eq!(outcome(&harness).result, QueueResult::NoAgents);
}

#[test]
fn a_caller_leaves_by_key_or_by_hanging_up() {
    let mut harness = staffed();
    let call = harness.invite(1, "help");
    harness.plan(enqueue());
    harness.says(1, ClientMessage::Dtmf { call, digits: "1*".into() });
    assert_eq!(outcome(&harness).result, QueueResult::LeftByKey);
    assert_eq!(harness.ended(2), Cause::Cancelled, "the agent rings no more");
    harness.plan(enqueue());
    assert!(matches!(harness.last_event(2), Happening::Offered { .. }));
    harness.says(1, ClientMessage::Hangup { call });
    assert_eq!((harness.ended(2), state_told(&harness, 2)), (Cause::Normal, AgentState::Available));
    let live = harness.exchange.queue(harness.now, &TenantId::new("acme").unwrap(), &help()).unwrap();
    assert_eq!((live.callers.len(), live.figures.joined, live.figures.abandoned), (0, 2, 1));
}

#[test]
fn a_queue_that_is_none_is_an_outcome_and_agents_are_checked() {
    let mut harness = Harness::with_alice_and_bob();
    harness.invite(1, "help");
    harness.plan(enqueue());
    assert_eq!(outcome(&harness).result, QueueResult::NoSuchQueue);
    agent(&mut harness, 2, AgentAction::LogOn);
    assert_eq!(harness.last_error(2), ErrorCode::WrongState);
    let mut harness = staffed();
    harness.says(1, ClientMessage::Agent { queue: Some(help()), action: AgentAction::LogOn });
    assert_eq!(harness.last_error(1), ErrorCode::WrongState, "alice is no agent of it");
    harness.attach(9, "other", "bob");
    harness.says(9, ClientMessage::Agent { queue: Some(help()), action: AgentAction::LogOn });
    assert_eq!(harness.last_error(9), ErrorCode::WrongState, "another tenant's queue is none");
}

#[test]
fn many_agents_without_devices_are_tried_without_end_of_stack() {
    let mut harness = Harness::with_alice_and_bob();
    let names: Vec<String> = (0..limits::SESSIONS_PER_USER_MAX * 8).map(|n| format!("agent{n}")).collect();
    let agents = names.iter().map(|name| (UserId::new(name).unwrap(), Skills::new())).collect();
    let queues = [(help(), Settings { agents, ..Settings::default() })].into();
    harness.input(configured(TenantSettings { queues, ..TenantSettings::default() }));
    for (number, name) in names.iter().enumerate() {
        let link = 100 + number as u64;
        harness.attach(link, "acme", name);
        agent(&mut harness, link, AgentAction::LogOn);
        // Each is in as many calls as it may be: nothing of theirs can ring.
        for _ in 0..limits::CALLS_PER_SESSION_MAX {
            harness.invite(link, "nobody");
        }
    }
    harness.invite(1, "help");
    harness.plan(enqueue());
    let live = harness.exchange.queue(harness.now, &TenantId::new("acme").unwrap(), &help()).unwrap();
    assert!(live.agents.iter().all(|agent| agent.state == AgentState::Resting), "everybody was tried once");
}

#[test]
fn a_queue_has_music_of_its_own_unless_the_plan_names_some() {
    let tunes = |harness: &Harness| -> Vec<String> {
        let played = harness.audio.iter().filter_map(|command| match command {
            AudioCommand::Play { sound: Sound::Prompt(name), .. } => Some(name.clone()),
            _ => None,
        });
        played.collect()
    };
    for (named, heard) in [(None, "waltz"), (Some("tango"), "tango")] {
        let mut harness = staffed();
        let agents = [(UserId::new("bob").unwrap(), Skills::new())].into();
        let queues = [(help(), Settings { agents, music: Some("waltz".into()), ..Settings::default() })].into();
        harness.input(configured(TenantSettings { queues, ..TenantSettings::default() }));
        agent(&mut harness, 2, AgentAction::Pause);
        harness.invite(1, "help");
        let mut steps = enqueue();
        if let Step::Enqueue(step) = &mut steps[0] {
            step.music = named.map(|name| crate::plan::AudioSource::Prompt(name.to_owned()));
        }
        harness.plan(steps);
        assert_eq!(tunes(&harness).last().map(String::as_str), Some(heard));
    }
}

//! The gateway itself speaks with parties: prompts, digits, screening, messages, recordings, taps.

use super::*;
use crate::audio::{AudioEvent, PortId, RecordingId, Sound, TapId, Track};
use crate::event::{GatherEnd, GatherOutcome, MessageEnd, MessageOutcome, Outcome, PlayOutcome, StartOutcome};
use crate::plan::{
    AudioSource, GatherStep, Legs, PlayStep, RecordAction, RecordStep, TapFormat, TapStep, Tone, VoicemailStep,
};

pub(super) fn prompt(name: &str) -> AudioSource {
    AudioSource::Prompt(name.into())
}

pub(super) fn play(name: &str) -> Step {
    Step::Play(PlayStep { source: prompt(name), times: 1 })
}

pub(super) fn gather() -> GatherStep {
    GatherStep {
        min_digits: 2,
        max_digits: 4,
        finish_key: Some('#'),
        first_digit_timeout: 5000,
        inter_digit_timeout: 2000,
        prompt: Some(prompt("menu")),
        barge_in: true,
    }
}

pub(super) fn voicemail() -> VoicemailStep {
    VoicemailStep {
        mailbox: "bob".into(),
        greeting: None,
        max_duration: 60_000,
        silence_timeout: Some(3000),
        finish_key: Some('#'),
    }
}

pub(super) fn tap(speaks: bool) -> Step {
    let url = "wss://ears.example.org/".into();
    Step::Tap(TapStep { url, legs: Legs::Both, format: TapFormat::Pcm16k, speaks })
}

pub(super) fn record(action: RecordAction) -> Step {
    Step::Record(RecordStep { action, legs: Legs::Both })
}

pub(super) fn screened(whisper: Option<AudioSource>, confirm_key: Option<char>) -> Step {
    let Step::Dial(base) = ring(&["bob", "carol"]) else { unreachable!() };
    Step::Dial(DialStep { whisper, confirm_key, ..base })
}

impl Harness {
    /// The playback that was begun last: its port, number and sound.
    fn last_playback(&self) -> (PortId, u32, Sound) {
        let playback = self.audio.iter().rev().find_map(|command| match command {
            AudioCommand::Play { port, playback, sound, .. } => Some((*port, *playback, sound.clone())),
            _ => None,
        });
        playback.expect("something plays")
    }

    /// What plays is over.
    fn played(&mut self, failure: Option<&str>) {
        let (port, playback, _) = self.last_playback();
        let failure = failure.map(ToOwned::to_owned);
        self.input(Input::Audio(AudioEvent::Played { port, playback, failure }));
    }

    fn press(&mut self, link: u64, call: CallId, digits: &str) {
        self.says(link, ClientMessage::Dtmf { call, digits: digits.into() });
    }

    /// What the function was told last.
    fn outcome(&self) -> Outcome {
        match &self.asked.last().expect("a question was asked").event {
            Event::Consulted(consultation) => consultation.outcome.clone(),
            other => panic!("not consulted: {other:?}"),
        }
    }

    fn recordings(&self) -> (Vec<RecordingId>, Vec<(RecordingId, bool)>) {
        let mut of = (Vec::new(), Vec::new());
        for command in &self.audio {
            match command {
                AudioCommand::Record { recording, .. } => of.0.push(*recording),
                AudioCommand::Finish { recording, keep } => of.1.push((*recording, *keep)),
                _ => {}
            }
        }
        of
    }

    fn alone(steps: Vec<Step>) -> (Self, CallId) {
        let mut harness = Self::with_alice_and_bob();
        let call = harness.invite(1, "bob");
        harness.plan(steps);
        (harness, call)
    }
}

#[test]
fn a_prompt_answers_the_call_and_its_end_is_told() {
    let (mut harness, _) = Harness::alone(vec![play("welcome"), play("nothing"), Step::Consult("next".into())]);
    assert!(matches!(harness.events(1)[..], [Happening::Answered { .. }]), "answered once, by itself");
    assert_eq!(harness.last_playback().2, Sound::Prompt("welcome".into()));
    harness.played(None);
    harness.played(Some("there is no prompt `nothing`"));
    let failure = Some("there is no prompt `nothing`".to_owned());
    assert_eq!(harness.outcome(), Outcome::Played(PlayOutcome { finished: false, failure }));
    assert!(matches!(harness.audio[0], AudioCommand::Open { to: Some(LinkId(1)), .. }), "one port, opened once");
    harness.plan(vec![Step::Pause(10)]);
    harness.wait(Duration::from_secs(1));
    assert_eq!(harness.ended(1), Cause::Normal, "a caller who was served was not left without a route");
    assert!(harness.record().answered_at.is_some() && harness.record().answered_by.is_none());
    assert!(matches!(harness.audio.last(), Some(AudioCommand::Close { .. })));
}

#[test]
fn the_end_of_an_earlier_playback_is_not_taken_for_that_of_the_present_one() {
    let (mut harness, _) = Harness::alone(vec![play("a"), play("b"), Step::Consult("next".into())]);
    let (port, playback, _) = harness.last_playback();
    harness.played(None);
    harness.input(Input::Audio(AudioEvent::Played { port, playback, failure: None }));
    assert_eq!(harness.asked.len(), 1, "b still plays");
    harness.played(None);
    assert_eq!(harness.asked.len(), 2);
}

#[test]
fn a_playback_that_never_ends_is_stopped() {
    let mut harness = Harness::with_alice_and_bob();
    let good_for = limits::PLAY_MAX * 2;
    harness.attach_with(3, Identity { good_for, ..identity("acme", "carol") }, hello());
    harness.invite(3, "bob");
    harness.plan(vec![play("a"), Step::Consult("next".into())]);
    harness.wait(limits::PLAY_MAX);
    assert!(matches!(harness.outcome(), Outcome::Played(PlayOutcome { finished: false, .. })));
    assert!(matches!(harness.audio.last(), Some(AudioCommand::Stop { .. })));
}

#[test]
fn digits_are_gathered_until_something_ends_them() {
    // Keys, a wait in between, further keys; what is gathered and how it ended.
    let table = [
        ("12#", 0, "", "12", true, GatherEnd::FinishKey),
        ("1234", 0, "", "1234", true, GatherEnd::MaxDigits),
        ("1", 1900, "2#", "12", true, GatherEnd::FinishKey),
        ("1", 2100, "", "1", false, GatherEnd::InterDigitTimeout),
        ("12", 2100, "", "12", true, GatherEnd::InterDigitTimeout),
        ("#", 0, "", "", false, GatherEnd::FinishKey),
    ];
    for (first, pause, then, digits, complete, ended_by) in table {
        let (mut harness, call) = Harness::alone(vec![Step::Gather(gather()), Step::Consult("next".into())]);
        harness.press(1, call, first);
        harness.wait(Duration::from_millis(pause));
        if !then.is_empty() {
            harness.press(1, call, then);
        }
        let expected = GatherOutcome { digits: digits.into(), complete, ended_by };
        assert_eq!(harness.outcome(), Outcome::Gathered(expected), "{first} {pause} {then}");
    }
}

#[test]
fn the_first_digit_is_waited_for_from_the_prompts_end_on() {
    let (mut harness, _) = Harness::alone(vec![Step::Gather(gather()), Step::Consult("next".into())]);
    harness.wait(Duration::from_secs(60));
    harness.played(None);
    harness.wait(Duration::from_millis(4900));
    assert_eq!(harness.asked.len(), 1, "still gathering");
    harness.wait(Duration::from_millis(200));
    let ended_by = GatherEnd::FirstDigitTimeout;
    assert_eq!(harness.outcome(), Outcome::Gathered(GatherOutcome { digits: "".into(), complete: false, ended_by }));
}

#[test]
fn a_digit_stops_the_prompt_only_where_it_may() {
    for (barge_in, stops) in [(true, true), (false, false)] {
        let step = Step::Gather(GatherStep { barge_in, ..gather() });
        let (mut harness, call) = Harness::alone(vec![step, Step::Consult("next".into())]);
        harness.press(1, call, "12#");
        assert_eq!(harness.audio.iter().any(|command| matches!(command, AudioCommand::Stop { .. })), stops);
        assert_eq!(harness.asked.len() == 2, stops);
        if !stops {
            harness.played(None);
            assert!(matches!(harness.outcome(), Outcome::Gathered(GatherOutcome { complete: true, .. })));
        }
    }
}

#[test]
fn keys_pressed_too_early_are_kept_for_the_next_gather() {
    let steps = vec![play("welcome"), Step::Gather(gather()), Step::Gather(gather()), Step::Consult("next".into())];
    let (mut harness, call) = Harness::alone(steps);
    for _ in 0..10 {
        harness.press(1, call, "12#9876543210");
    }
    harness.played(None);
    assert!(matches!(harness.outcome(), Outcome::Gathered(GatherOutcome { ref digits, .. }) if digits == "9876"));
    let prompts = harness.audio.iter().filter(|command| matches!(command, AudioCommand::Play { .. })).count();
    assert_eq!(prompts, 1, "who knows the way hears no menu");
}

#[test]
fn a_whisper_is_heard_before_the_callee_is_connected() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "carol");
    let call = harness.invite(1, "bob");
    harness.plan(vec![screened(Some(prompt("it-is-work")), None)]);
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.ended(3), Cause::AnsweredElsewhere, "without a key the first to answer has it");
    assert!(matches!(harness.last_event(2), Happening::Answered { .. }));
    assert!(matches!(harness.events(1)[..], [Happening::Ringing]), "the caller hears it ring");
    harness.says(2, ClientMessage::Hold { call });
    assert_eq!(harness.last_error(2), ErrorCode::WrongState);
    harness.played(None);
    let flows = |link| match harness.last_event(link) {
        Happening::Connected { send, receive, .. } => (send, receive),
        other => panic!("{other:?}"),
    };
    assert_eq!(flows(1).0, flows(2).1);
    assert_eq!(harness.gates(), [Gate::Open, Gate::Open]);
}

#[test]
fn others_ring_on_until_somebody_has_pressed_the_key() {
    let mut harness = Harness::with_alice_and_bob();
    harness.attach(3, "acme", "carol");
    let call = harness.invite(1, "bob");
    harness.plan(vec![screened(Some(prompt("press-1")), Some('1')), Step::Consult("next".into())]);
    harness.says(2, ClientMessage::Answer { call });
    assert!(matches!(harness.last_event(3), Happening::Incoming { .. }), "carol rings on");
    harness.press(2, call, "7");
    assert_eq!(harness.ended(2), Cause::Declined, "the wrong key declines");
    assert_eq!(harness.routes.len(), 0, "bob's voice is gone");
    harness.says(3, ClientMessage::Answer { call });
    harness.press(3, call, "1");
    assert!(matches!(harness.last_event(3), Happening::Connected { .. }), "the right key connects, whisper or not");
    assert!(matches!(harness.last_event(1), Happening::Connected { ref peer, .. } if peer == "carol"));
}

#[test]
fn who_answers_and_presses_nothing_does_not_answer() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![screened(None, Some('1')), Step::Consult("next".into())]);
    harness.wait(Duration::from_secs(19));
    harness.says(2, ClientMessage::Answer { call });
    harness.wait(Duration::from_secs(2));
    assert_eq!(harness.asked.len(), 1, "the round has rung out, and bob may still press");
    harness.wait(limits::CONFIRM_TIMEOUT);
    assert_eq!(harness.ended(2), Cause::NoAnswer);
    assert!(matches!(harness.outcome(), Outcome::Dialled(dialled) if dialled.cause == Cause::NoAnswer));
    let (opened, closed) = harness.audio.iter().fold((0, 0), |(opened, closed), command| match command {
        AudioCommand::Open { .. } => (opened + 1, closed),
        AudioCommand::Close { .. } => (opened, closed + 1),
        _ => (opened, closed),
    });
    assert_eq!((opened, closed), (1, 1));
}

#[test]
fn a_message_is_left_and_its_end_told() {
    type End = fn(&mut Harness, CallId);
    let finish: End = |harness, call| harness.press(1, call, "#");
    let silence: End = |harness, _| {
        let (port, ..) = harness.last_playback();
        harness.input(Input::Audio(AudioEvent::Silence { port }));
    };
    let length: End = |harness, _| harness.wait(Duration::from_secs(56));
    let table = [
        (finish, 5000, MessageEnd::FinishKey),
        (silence, 5000, MessageEnd::Silence),
        (length, 60_000, MessageEnd::MaxDuration),
    ];
    for (end, duration, ended_by) in table {
        let (mut harness, call) = Harness::alone(vec![Step::Voicemail(voicemail()), Step::Consult("next".into())]);
        assert_eq!(harness.last_playback().2, Sound::Greeting(UserId::new("bob").unwrap()));
        harness.played(None);
        assert_eq!(harness.last_playback().2, Sound::Tone(Tone::Beep));
        harness.played(None);
        let recording = RecordingId { call, number: 1 };
        let (port, ..) = harness.last_playback();
        let heard = vec![Destination::Port(port), Destination::Recording(recording, Track::Caller)];
        assert_eq!(harness.destinations(1), (heard, Gate::Open));
        harness.wait(Duration::from_secs(5));
        end(&mut harness, call);
        let outcome = MessageOutcome { recording: Some(recording.to_string()), duration, ended_by };
        assert_eq!(harness.outcome(), Outcome::LeftMessage(outcome));
        assert_eq!(harness.recordings().1, [(recording, true)]);
        assert_eq!(harness.destinations(1), (vec![], Gate::Closed));
    }
}

#[test]
fn who_hangs_up_has_left_the_message_unless_it_is_too_short() {
    for (spoken, kept) in [(4000, true), (500, false)] {
        let (mut harness, call) = Harness::alone(vec![Step::Voicemail(voicemail())]);
        harness.played(None);
        harness.played(None);
        harness.wait(Duration::from_millis(spoken));
        harness.says(1, ClientMessage::Hangup { call });
        assert_eq!(harness.recordings().1, [(RecordingId { call, number: 1 }, kept)]);
        assert_eq!(harness.record().cause, Cause::Normal);
    }
}

#[test]
fn a_key_skips_the_greeting_and_a_store_that_fails_harms_nobody() {
    let (mut harness, call) = Harness::alone(vec![Step::Voicemail(voicemail()), Step::Consult("next".into())]);
    harness.press(1, call, "1");
    assert_eq!(harness.last_playback().2, Sound::Tone(Tone::Beep));
    harness.played(None);
    let recording = RecordingId { call, number: 1 };
    let failure = "the disk is full".to_owned();
    harness.input(Input::Audio(AudioEvent::RecordingFailed { recording, failure }));
    let outcome = MessageOutcome { recording: None, duration: 0, ended_by: MessageEnd::Failed };
    assert_eq!(harness.outcome(), Outcome::LeftMessage(outcome));
}

#[test]
fn a_recording_hears_both_parties_and_both_are_told() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![record(RecordAction::Start), ring(&["bob"])]);
    assert!(harness.events(1).iter().all(|event| !matches!(event, Happening::Recorded { .. })), "nobody speaks yet");
    harness.says(2, ClientMessage::Answer { call });
    let recording = RecordingId { call, number: 1 };
    for (link, peer, track) in [(1, 2, Track::Caller), (2, 1, Track::Callee)] {
        assert_eq!(harness.last_event(link), Happening::Recorded { on: true });
        let heard = vec![Destination::Link(LinkId(peer)), Destination::Recording(recording, track)];
        assert_eq!(harness.destinations(link), (heard, Gate::Open));
    }
    harness.lose(2);
    assert_eq!(harness.destinations(1).0, [Destination::Recording(recording, Track::Caller)], "recorded on");
    harness.says(1, ClientMessage::Hangup { call });
    assert_eq!(harness.recordings(), (vec![recording], vec![(recording, true)]));
}

#[test]
fn a_recording_that_follows_another_at_once_is_heard() {
    let steps = vec![
        record(RecordAction::Start),
        Step::Answer,
        Step::Pause(100),
        record(RecordAction::Stop),
        record(RecordAction::Start),
        Step::Pause(1000),
    ];
    let (mut harness, call) = Harness::alone(steps);
    harness.wait(Duration::from_millis(200));
    let second = RecordingId { call, number: 2 };
    assert_eq!(harness.destinations(1), (vec![Destination::Recording(second, Track::Caller)], Gate::Open));
}

#[test]
fn a_party_records_only_with_the_grant_and_pauses_are_heard_nowhere() {
    let mut harness = Harness::with_alice_and_bob();
    let recorder = Identity { grants: vec![Grant::Call, Grant::Record], ..identity("acme", "carol") };
    harness.attach_with(3, recorder, hello());
    let call = harness.invite(3, "bob");
    harness.plan(vec![ring(&["bob"])]);
    harness.says(2, ClientMessage::Answer { call });
    harness.says(2, ClientMessage::Record { call, action: RecordAction::Start });
    assert_eq!(harness.last_error(2), ErrorCode::NotGranted);
    harness.says(3, ClientMessage::Record { call, action: RecordAction::Stop });
    assert_eq!(harness.last_error(3), ErrorCode::WrongState);
    for (action, on, hearers) in [
        (RecordAction::Start, true, 2),
        (RecordAction::Pause, false, 1),
        (RecordAction::Resume, true, 2),
        (RecordAction::Stop, false, 1),
    ] {
        harness.says(3, ClientMessage::Record { call, action });
        assert_eq!(harness.last_event(2), Happening::Recorded { on }, "{action:?}");
        assert_eq!(harness.destinations(3).0.len(), hearers, "{action:?}");
    }
    let recording = RecordingId { call, number: 1 };
    assert_eq!(harness.recordings(), (vec![recording], vec![(recording, true)]));
}

#[test]
fn a_tap_that_speaks_is_waited_for() {
    let (mut harness, call) = Harness::alone(vec![tap(true), Step::Consult("next".into())]);
    let tap = TapId { call, number: 1 };
    assert!(
        matches!(harness.audio.last(), Some(AudioCommand::Tap { tap: made, port: Some(_), .. }) if *made == tap),
        "{:?}",
        harness.audio
    );
    assert_eq!(harness.destinations(1), (vec![Destination::Tap(tap, Track::Caller)], Gate::Open));
    let failure = Some("connection refused".to_owned());
    harness.input(Input::Audio(AudioEvent::TapEnded { tap, failure: failure.clone() }));
    assert_eq!(harness.outcome(), Outcome::Started(StartOutcome { id: Some(tap.to_string()), failure }));
    assert_eq!(harness.destinations(1), (vec![], Gate::Closed));
}

#[test]
fn a_tap_that_listens_goes_on_beside_the_plan_and_ends_with_the_call() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![tap(false), tap(false), tap(false), tap(false), tap(false), Step::Consult("next".into())]);
    let outcome = harness.outcome();
    assert!(matches!(outcome, Outcome::Started(StartOutcome { id: None, failure: Some(_) })), "four at most");
    harness.plan(vec![ring(&["bob"])]);
    harness.says(2, ClientMessage::Answer { call });
    assert_eq!(harness.destinations(2).0.len(), 5);
    harness.says(1, ClientMessage::Hangup { call });
    let ended = harness.audio.iter().filter(|command| matches!(command, AudioCommand::Untap { .. })).count();
    assert_eq!(ended, 4);
}

#[test]
fn a_caller_may_be_sent_elsewhere() {
    let (harness, _) = Harness::alone(vec![Step::Redirect("+4930123".into())]);
    let [Happening::Redirected { to }, Happening::Ended { cause: Cause::Redirected, .. }] = &harness.events(1)[..]
    else {
        panic!("{:?}", harness.events(1));
    };
    assert_eq!(to, "+4930123");
}

#[test]
fn a_caller_who_comes_back_hears_the_prompt_on() {
    let (mut harness, _) = Harness::alone(vec![play("welcome")]);
    let (port, ..) = harness.last_playback();
    harness.lose(1);
    assert_eq!(harness.audio.last(), Some(&AudioCommand::Retarget { port, to: None }));
    harness.resume(9, "alice", 1, vec![]);
    assert_eq!(harness.audio.last(), Some(&AudioCommand::Retarget { port, to: Some(LinkId(9)) }));
}

#[test]
fn after_a_dial_the_gateway_speaks_on() {
    let mut harness = Harness::with_alice_and_bob();
    let call = harness.invite(1, "bob");
    harness.plan(vec![Step::Answer, dial(&["bob"], AfterAnswer::GoOn), play("goodbye")]);
    harness.says(2, ClientMessage::Answer { call });
    harness.says(2, ClientMessage::Hangup { call });
    let words: Vec<_> = harness.events(1);
    let [
        Happening::Answered { receive: before, .. },
        Happening::Ringing,
        Happening::Connected { .. },
        Happening::Disconnected,
        Happening::Answered { receive: after, .. },
    ] = &words[..]
    else {
        panic!("{words:?}");
    };
    assert_eq!(before, after, "the same port speaks");
}

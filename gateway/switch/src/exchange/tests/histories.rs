//! Any sequence of inputs: nothing panics, and the end leaves nothing behind.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::audio::AudioEvent;
use crate::plan::RecordAction;

/// One thing that happens; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Move {
    Attach(u64, u8),
    Resume(u64, u64),
    Lose(u64),
    Invite(u64, u8),
    /// One link calls, all users are rung, and another link answers.
    Talk(u64, u64),
    /// One link talks with two others, and connects them.
    Attended(u64, u64, u64),
    Deed(u64, usize, u8),
    Plan(u8),
    Audio(usize, u8),
    Wait(u16),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let link = || 0..6_u64;
    let one = prop_oneof![
        (link(), 0..4_u8).prop_map(|(link, user)| Move::Attach(link, user)),
        (link(), link()).prop_map(|(link, of)| Move::Resume(link, of)),
        link().prop_map(Move::Lose),
        (link(), 0..4_u8).prop_map(|(link, user)| Move::Invite(link, user)),
        (link(), link()).prop_map(|(from, to)| Move::Talk(from, to)),
        (link(), link(), link()).prop_map(|(by, first, second)| Move::Attended(by, first, second)),
        (link(), 0..8_usize, 0..18_u8).prop_map(|(link, call, deed)| Move::Deed(link, call, deed)),
        (link(), 0..8_usize, 0..18_u8).prop_map(|(link, call, deed)| Move::Deed(link, call, deed)),
        (0..14_u8).prop_map(Move::Plan),
        (0..14_u8).prop_map(Move::Plan),
        (0..8_usize, 0..5_u8).prop_map(|(which, kind)| Move::Audio(which, kind)),
        (0..20_000_u16).prop_map(Move::Wait),
    ];
    vec(one, 1..120)
}

const USERS: [&str; 4] = ["alice", "bob", "carol", "not a name"];

/// `other` is another call than `call`, when there are two.
fn deed(call: CallId, other: CallId, kind: u8) -> ClientMessage {
    match kind {
        0..=2 => ClientMessage::Answer { call },
        3 => ClientMessage::Decline { call, cause: None },
        4 => ClientMessage::Hangup { call },
        5 => ClientMessage::Hold { call },
        6 => ClientMessage::Resume { call },
        7 => ClientMessage::Mute { call },
        8 => ClientMessage::Bye,
        9 => ClientMessage::Record { call, action: RecordAction::Start },
        10 => ClientMessage::Record { call, action: RecordAction::Pause },
        11 => ClientMessage::Dtmf { call, digits: "1#".into() },
        12 => ClientMessage::Transfer { call, to: UserId::new("carol").unwrap() },
        13 => ClientMessage::Park { call, slot: None, timeout_ms: Some(5_000) },
        14 => ClientMessage::Pickup { slot: "1".into() },
        15 | 16 => ClientMessage::AttendedTransfer { call, to_call: other },
        _ => ClientMessage::Dtmf { call, digits: "5".into() },
    }
}

fn steps(kind: u8) -> Vec<Step> {
    match kind {
        0 => vec![ring(&["alice", "bob", "carol"]), Step::Consult("t".into())],
        1 => vec![one_after_another(&["bob", "carol"]), Step::RingBack, Step::Pause(500)],
        2 => vec![dial(&["alice", "bob"], AfterAnswer::GoOn), Step::Consult("again".into())],
        3 => vec![],
        4 => vec![Step::Consult("loop".into())],
        6 => vec![gateway::play("a"), ring(&["bob", "carol"]), Step::Voicemail(gateway::voicemail())],
        7 => vec![gateway::record(RecordAction::Start), gateway::screened(Some(gateway::prompt("w")), Some('1'))],
        8 => vec![gateway::screened(Some(gateway::prompt("w")), None), Step::Voicemail(gateway::voicemail())],
        9 => vec![Step::Gather(gateway::gather()), Step::Consult("digits".into())],
        10 => vec![Step::Voicemail(gateway::voicemail()), Step::Consult("message".into())],
        11 => vec![gateway::tap(false), dial(&["bob"], AfterAnswer::GoOn), gateway::tap(true)],
        12 => vec![
            Step::Answer,
            gateway::record(RecordAction::Start),
            Step::Pause(900),
            gateway::record(RecordAction::Stop),
        ],
        _ => vec![Step::Hangup(Cause::Closed)],
    }
}

impl Harness {
    /// A call, if the exchange takes it.
    fn try_invite(&mut self, link: u64, to: &str) -> Option<CallId> {
        let before = self.said.len();
        let message = ClientMessage::Invite { reference: "r".into(), to: to.to_owned(), headers: Vec::new() };
        self.says(link, message);
        self.said[before..].iter().find_map(|(_, message)| match message {
            ServerMessage::Calling { call, .. } => Some(*call),
            _ => None,
        })
    }

    /// A call that rings everybody and that another link answers, if the exchange takes it.
    fn talk(&mut self, from: u64, to: u64) -> Option<CallId> {
        let call = self.try_invite(from, "all")?;
        self.plan(vec![ring(&["alice", "bob", "carol"])]);
        self.says(to, ClientMessage::Answer { call });
        Some(call)
    }

    /// The codec threads tell something about one of the commands that they got, the latest first.
    fn audio_event(&mut self, which: usize, kind: u8) {
        let Some(command) = self.audio.iter().rev().nth(which) else { return };
        let failure = (kind == 1).then(|| "it failed".to_owned());
        let event = match command {
            AudioCommand::Play { port, playback, .. } => {
                AudioEvent::Played { port: *port, playback: *playback, failure }
            }
            AudioCommand::Watch { port, .. } => AudioEvent::Silence { port: *port },
            AudioCommand::Record { recording, .. } | AudioCommand::Finish { recording, .. } if kind < 2 => {
                AudioEvent::RecordingFailed { recording: *recording, failure: "it failed".into() }
            }
            AudioCommand::Tap { tap, .. } | AudioCommand::Untap { tap } => AudioEvent::TapEnded { tap: *tap, failure },
            _ => return,
        };
        self.input(Input::Audio(event));
    }

    /// Each port is closed once and gets no command outside of its life; each recording is finished once, and each tap that did not end by
    /// itself is ended.
    fn check_audio(&self) {
        let (mut ports, mut recordings) = (BTreeSet::new(), BTreeSet::new());
        for command in &self.audio {
            match command {
                AudioCommand::Open { port, .. } => assert!(ports.insert(*port), "{port:?} is opened twice"),
                AudioCommand::Close { port } => assert!(ports.remove(port), "{port:?} is closed and not open"),
                AudioCommand::Retarget { port, .. }
                | AudioCommand::Play { port, .. }
                | AudioCommand::Stop { port }
                | AudioCommand::Watch { port, .. }
                | AudioCommand::Tap { port: Some(port), .. } => assert!(ports.contains(port), "{command:?}: not open"),
                AudioCommand::Record { recording, .. } => assert!(recordings.insert(*recording)),
                AudioCommand::Finish { recording, .. } => assert!(recordings.remove(recording), "{recording}"),
                AudioCommand::Tap { .. } | AudioCommand::Untap { .. } => {}
            }
        }
        assert!(ports.is_empty() && recordings.is_empty(), "left open: {ports:?} {recordings:?}");
    }
}

/// A harness whose links can be taken anew: each of the moves' six links is a fresh one every time.
fn play(harness: &mut Harness, moves: Vec<Move>) -> usize {
    let mut links: [u64; 6] = [0; 6];
    let mut next = 100;
    let mut begun = 0;
    for step in moves {
        match step {
            Move::Attach(link, user) => {
                next += 1;
                links[link as usize] = next;
                let grants = Grant::ALL.into_iter().chain([Grant::Record]).collect();
                let identity = Identity { grants, ..identity("acme", USERS[usize::from(user) % 3]) };
                harness.attach_with(next, identity, hello());
            }
            Move::Resume(link, of) => {
                let of = links[of as usize];
                if !harness.said.iter().any(|(to, m)| *to == LinkId(of) && matches!(m, ServerMessage::Welcome { .. })) {
                    continue;
                }
                next += 1;
                links[link as usize] = next;
                harness.resume(next, USERS[(next % 3) as usize], of, vec![]);
            }
            Move::Lose(link) => harness.lose(links[link as usize]),
            Move::Invite(link, user) => {
                begun += usize::from(harness.try_invite(links[link as usize], USERS[usize::from(user)]).is_some());
            }
            Move::Talk(from, to) => {
                begun += usize::from(harness.talk(links[from as usize], links[to as usize]).is_some());
            }
            Move::Attended(by, first, second) => {
                let calls = [first, second].map(|to| harness.talk(links[by as usize], links[to as usize]));
                begun += calls.iter().flatten().count();
                if let [Some(call), Some(to_call)] = calls {
                    harness.says(links[by as usize], ClientMessage::AttendedTransfer { call, to_call });
                }
            }
            Move::Deed(link, call, kind) => {
                let calls: Vec<CallId> = harness.exchange.live_calls().map(|live| live.call).collect();
                let one = |number: usize| calls.get(number % calls.len().max(1)).copied().unwrap_or(CallId(1));
                harness.says(links[link as usize], deed(one(call), one(call + 1), kind));
            }
            Move::Plan(kind) if !harness.asked.is_empty() => harness.plan(steps(kind)),
            Move::Plan(_) => {}
            Move::Audio(which, kind) => harness.audio_event(which, kind),
            Move::Wait(millis) => harness.wait(Duration::from_millis(millis.into())),
        }
    }
    begun
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_history_ends_with_one_record_for_each_call_and_nothing_left(moves in moves()) {
        let mut harness = Harness::new();
        let begun = play(&mut harness, moves);
        harness.input(Input::Drain);
        harness.wait(Duration::from_secs(2 * 3600));
        prop_assert!(harness.exchange.is_idle(), "{:?}", harness.exchange);
        prop_assert!(harness.routes.is_empty());
        harness.check_audio();
        let mut recorded: Vec<CallId> = harness.records.iter().map(|record| record.call).collect();
        prop_assert_eq!(recorded.len(), begun);
        recorded.sort_unstable();
        recorded.dedup();
        prop_assert_eq!(recorded.len(), begun);
    }
}

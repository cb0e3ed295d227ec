//! What a routing function answers: a plan, a list of typed steps. Mirrors `wit/voice.wit`; as JSON the names are the contract's own.
//!
//! [`Plan`] is what a function may say, [`Accepted`] is what the call machine carries out: the only way from one to the other is
//! [`Plan::accept`], which checks every bound and refuses steps that this gateway does not carry out yet.

mod accept;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::accept::PlanError;
pub(crate) use self::accept::accept_park;
use crate::audio::{Digit, Sound};
use crate::cause::Cause;
use crate::id::{QueueId, RoomName, UserId};
use crate::queue::Skills;
use crate::room::{Entry, RoomKind};

/// What the gateway shall do with the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the function wants to be given back.
    #[serde(default)]
    pub state: Vec<u8>,
}

/// One thing to do. See `step` of `wit/voice.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "wit/voice.wit documents every step; one place")]
pub enum Step {
    Answer,
    RingBack,
    Play(PlayStep),
    /// Milliseconds.
    Pause(u32),
    Gather(GatherStep),
    Dial(DialStep),
    Conference(ConferenceStep),
    Broadcast(String),
    Listen(String),
    Enqueue(EnqueueStep),
    Voicemail(VoicemailStep),
    Record(RecordStep),
    Transfer(TransferStep),
    Park(ParkStep),
    Tap(TapStep),
    Redirect(String),
    Reject(Rejection),
    Hangup(Cause),
    Consult(String),
}

impl Step {
    /// The step's name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::RingBack => "ring-back",
            Self::Play(_) => "play",
            Self::Pause(_) => "pause",
            Self::Gather(_) => "gather",
            Self::Dial(_) => "dial",
            Self::Conference(_) => "conference",
            Self::Broadcast(_) => "broadcast",
            Self::Listen(_) => "listen",
            Self::Enqueue(_) => "enqueue",
            Self::Voicemail(_) => "voicemail",
            Self::Record(_) => "record",
            Self::Transfer(_) => "transfer",
            Self::Park(_) => "park",
            Self::Tap(_) => "tap",
            Self::Redirect(_) => "redirect",
            Self::Reject(_) => "reject",
            Self::Hangup(_) => "hangup",
            Self::Consult(_) => "consult",
        }
    }
}

/// A record of the contract: plain data, field for field.
macro_rules! contract {
    ($($item:item)*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "kebab-case", deny_unknown_fields)]
            #[expect(missing_docs, reason = "wit/voice.wit documents every field; one place")]
            $item
        )*
    };
}

contract! {
    pub enum AudioSource { Prompt(String), Tone(Tone), Digits(String) }
    pub struct PlayStep { pub source: AudioSource, pub times: u32 }
    pub struct GatherStep {
        pub min_digits: u8,
        pub max_digits: u8,
        #[serde(default)]
        pub finish_key: Option<char>,
        pub first_digit_timeout: u32,
        pub inter_digit_timeout: u32,
        #[serde(default)]
        pub prompt: Option<AudioSource>,
        pub barge_in: bool,
    }
    pub struct DialStep {
        pub targets: Vec<DialTarget>,
        pub strategy: DialStrategy,
        pub ring_timeout: u32,
        #[serde(default)]
        pub max_duration: Option<u32>,
        #[serde(default)]
        pub caller_id: Option<String>,
        #[serde(default)]
        pub whisper: Option<AudioSource>,
        #[serde(default)]
        pub confirm_key: Option<char>,
        #[serde(default)]
        pub after_answer: AfterAnswer,
    }
    pub struct DialTarget {
        pub address: Address,
        #[serde(default)]
        pub round: u8,
        #[serde(default)]
        pub weight: u16,
    }
    pub enum Address { User(String), Number(TrunkNumber), Sip(String), Room(String), Queue(String) }
    pub struct TrunkNumber { pub number: String, pub trunk: Option<String> }
    pub struct ConferenceStep {
        pub room: String,
        pub muted: bool,
        pub moderator: bool,
        pub starts: bool,
        pub ends: bool,
        #[serde(default)]
        pub waits: bool,
        #[serde(default)]
        pub announced: bool,
    }
    pub struct EnqueueStep { pub queue: String, pub priority: u8, pub music: Option<AudioSource>, pub max_wait: u32, #[serde(default)] pub needs: Vec<SkillNeed> }
    pub struct SkillNeed { pub skill: String, pub level: u8 }
    pub struct VoicemailStep {
        pub mailbox: String,
        #[serde(default)]
        pub greeting: Option<AudioSource>,
        pub max_duration: u32,
        #[serde(default)]
        pub silence_timeout: Option<u32>,
        #[serde(default)]
        pub finish_key: Option<char>,
    }
    pub struct RecordStep { pub action: RecordAction, pub legs: Legs }
    pub struct TransferStep { pub kind: TransferKind, pub to: Address }
    pub struct ParkStep { pub slot: Option<String>, pub timeout: u32 }
    pub struct TapStep { pub url: String, pub legs: Legs, pub format: TapFormat, pub speaks: bool }
    pub struct Rejection {
        pub cause: Cause,
        #[serde(default)]
        pub reason: Option<String>,
    }
}

contract! {
    #[derive(Copy)]
    pub enum Tone { Dial, RingBack, Busy, Congestion, Beep }
    #[derive(Copy)]
    pub enum DialStrategy { AtOnce, OneAfterAnother, Rounds, Weighted }
    #[derive(Copy, Default)]
    pub enum AfterAnswer { #[default] HangUp, GoOn }
    #[derive(Copy)]
    pub enum Legs { Both, Caller, Callee }
    #[derive(Copy)]
    pub enum RecordAction { Start, Stop, Pause, Resume }
    #[derive(Copy)]
    pub enum TransferKind { Blind, Attended }
    #[derive(Copy)]
    pub enum TapFormat { Opus, #[serde(rename = "pcm-8k")] Pcm8k, #[serde(rename = "pcm-16k")] Pcm16k, #[serde(rename = "pcm-24k")] Pcm24k, #[serde(rename = "pcm-48k")] Pcm48k }
}

/// A plan that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// At least one step.
    pub steps: Vec<Action>,
    /// The function's state.
    pub state: Vec<u8>,
}

/// A step that this gateway carries out, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The gateway answers.
    Answer,
    /// Let the caller hear that it rings.
    RingBack,
    /// Play something to the caller.
    Play(Play),
    /// Wait.
    Pause(Duration),
    /// Collect digits.
    Gather(Gather),
    /// Ring somebody.
    Dial(Dial),
    /// Let the caller into a room or channel.
    Enter(Enter),
    /// Let the caller leave a message.
    Voicemail(Voicemail),
    /// Let the caller wait in a queue.
    Enqueue(Enqueue),
    /// Park the call.
    Park(Park),
    /// Start, stop, pause or resume recording.
    Record {
        /// What to do.
        action: RecordAction,
        /// Whom to record.
        legs: Legs,
    },
    /// Fork the media.
    Tap(TapStep),
    /// Tell the caller's side to call this address instead.
    Redirect(String),
    /// Refuse the call.
    Reject {
        /// Why.
        cause: Cause,
        /// Why, in words for the caller.
        reason: Option<String>,
    },
    /// End the call.
    Hangup(Cause),
    /// Ask again, with this tag.
    Consult(String),
}

/// Something to play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// What.
    pub sound: Sound,
    /// How many times; at least once.
    pub times: u32,
}

/// Digits to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gather {
    /// At least this many for success.
    pub min: usize,
    /// Stop after this many.
    pub max: usize,
    /// Ends the entry, and is no part of it.
    pub finish: Option<Digit>,
    /// How long to wait for the first one, from the prompt's end on.
    pub first_timeout: Duration,
    /// How long to wait for each further one.
    pub inter_timeout: Duration,
    /// What is played meanwhile.
    pub prompt: Option<Sound>,
    /// Whether the first digit stops the prompt. If not, digits count from the prompt's end on, those pressed before it included.
    pub barge_in: bool,
}

/// A message to be left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voicemail {
    /// Where.
    pub mailbox: UserId,
    /// What the caller hears first; `None`: the mailbox's own greeting.
    pub greeting: Option<Sound>,
    /// The longest message.
    pub max_duration: Duration,
    /// The message is over when nobody spoke for this long.
    pub silence: Option<Duration>,
    /// Ends the message.
    pub finish: Option<Digit>,
}

/// A wait in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// Which.
    pub queue: QueueId,
    /// Higher goes first.
    pub priority: u8,
    /// What the caller hears meanwhile; `None`: what the queue says, else the tenant's music on hold.
    pub music: Option<Sound>,
    /// The longest wait; the queue's own when that is shorter.
    pub max_wait: Duration,
    /// What an agent must be able to do, and how well.
    pub needs: Skills,
}

/// A call to be parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Park {
    /// Where; `None`: wherever there is room.
    pub slot: Option<String>,
    /// When nobody picks it up in this time, it goes back.
    pub timeout: Duration,
}

/// In which order users ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Together, round after round; no round is empty.
    Rounds(Vec<Vec<UserId>>),
    /// One after another, drawn by weight: who has twice the weight is twice as likely to be next. Those without weight come last, in their
    /// order.
    Weighted(Vec<(u16, UserId)>),
}

/// A room or channel to enter, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enter {
    /// Its name.
    pub room: RoomName,
    /// What sort of a room.
    pub kind: RoomKind,
    /// How the caller enters.
    pub entry: Entry,
}

/// A dial, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Whom to ring, and in which order.
    pub order: Order,
    /// How long each round rings.
    pub ring_timeout: Duration,
    /// The longest that the parties may talk.
    pub max_duration: Duration,
    /// What the callee sees instead of the caller's address.
    pub caller_id: Option<String>,
    /// What only the callee hears before being connected.
    pub whisper: Option<Sound>,
    /// What the callee must press before being connected.
    pub confirm: Option<Digit>,
    /// What happens when the callee hangs up first.
    pub after_answer: AfterAnswer,
}

impl Plan {
    /// The plan that rings one user's devices: what a tenant without a function gets.
    pub fn ring_user(user: &str, ring_timeout: Duration) -> Self {
        let target = DialTarget { address: Address::User(user.to_owned()), round: 0, weight: 0 };
        let dial = DialStep {
            targets: vec![target],
            strategy: DialStrategy::AtOnce,
            ring_timeout: u32::try_from(ring_timeout.as_millis()).unwrap_or(u32::MAX),
            max_duration: None,
            caller_id: None,
            whisper: None,
            confirm_key: None,
            after_answer: AfterAnswer::HangUp,
        };
        Self { steps: vec![Step::Dial(dial)], state: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(users: &[(&str, u8)], strategy: DialStrategy) -> Step {
        let target = |&(user, round): &(&str, u8)| DialTarget { address: Address::User(user.into()), round, weight: 0 };
        let Step::Dial(base) = Plan::ring_user("x", Duration::from_secs(20)).steps.remove(0) else { unreachable!() };
        Step::Dial(DialStep { targets: users.iter().map(target).collect(), strategy, ..base })
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { steps, state: Vec::new() }
    }

    fn rounds(step: Step) -> Vec<Vec<String>> {
        match plan(vec![step]).accept().unwrap().steps.remove(0) {
            Action::Dial(Dial { order: Order::Rounds(rounds), .. }) => {
                rounds.into_iter().map(|round| round.into_iter().map(String::from).collect()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn strategies_become_rounds() {
        let users = [("a", 2), ("b", 1), ("c", 2)];
        assert_eq!(rounds(dial(&users, DialStrategy::AtOnce)), [vec!["a", "b", "c"]]);
        assert_eq!(rounds(dial(&users, DialStrategy::OneAfterAnother)), [["a"], ["b"], ["c"]]);
        assert_eq!(rounds(dial(&users, DialStrategy::Rounds)), [vec!["b"], vec!["a", "c"]]);
    }

    #[test]
    fn a_step_that_is_not_carried_out_is_named() {
        let mut step = dial(&[("a", 0)], DialStrategy::AtOnce);
        if let Step::Dial(dial) = &mut step {
            dial.targets[0].address = Address::Sip("sip:a@example.org".into());
        }
        let error = plan(vec![Step::RingBack, step]).accept().unwrap_err();
        assert_eq!(error, PlanError::NotCarriedOut { index: 2, step: "dial to sip" });
        assert_eq!(error.to_string(), "step 2: this gateway does not carry out `dial to sip` yet");
    }

    #[test]
    fn bounds_are_checked_and_said() {
        let many: Vec<_> = (0..10_000).map(|_| ("a", 0)).collect();
        let table = [
            (plan(vec![]), "a plan needs at least one step"),
            (plan(vec![Step::RingBack; 33]), "a plan has at most 32 steps; this one has 33"),
            (plan(vec![Step::Pause(0)]), "step 1 (`pause`): the pause must be 1 to 60000 ms; got 0"),
            (plan(vec![dial(&many, DialStrategy::AtOnce)]), "step 1 (`dial`): 1 to 64 targets; got 10000"),
            (plan(vec![dial(&[], DialStrategy::AtOnce)]), "step 1 (`dial`): 1 to 64 targets; got 0"),
            (
                Plan { steps: vec![Step::RingBack], state: vec![0; 16385] },
                "a plan's state is at most 16384 bytes; this one has 16385",
            ),
        ];
        for (plan, message) in table {
            assert_eq!(plan.accept().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn json_uses_the_contracts_names() {
        let json = r#"{"steps":["ring-back",{"dial":{"targets":[{"address":{"user":"bob"}}],"strategy":"at-once","ring-timeout":20000}},{"reject":{"cause":"no-answer"}}]}"#;
        let plan: Plan = serde_json::from_str(json).unwrap();
        assert_eq!(plan.steps.iter().map(Step::name).collect::<Vec<_>>(), ["ring-back", "dial", "reject"]);
        assert!(plan.accept().is_ok());
    }
}

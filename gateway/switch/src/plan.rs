//! What a routing function answers: a plan, a list of typed steps. Mirrors `wit/voice.wit`; as JSON the names are the contract's own.
//!
//! [`Plan`] is what a function may say, [`Accepted`] is what the call machine carries out: the only way from one to the other is
//! [`Plan::accept`], which checks every bound and refuses steps that this gateway does not carry out yet.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::id::UserId;
use crate::limits;

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
    pub enum AudioSource { Prompt(String), Tone(Tone) }
    pub struct PlayStep { pub source: AudioSource, pub times: u32 }
    pub struct GatherStep {
        pub min_digits: u8,
        pub max_digits: u8,
        pub finish_key: Option<char>,
        pub first_digit_timeout: u32,
        pub inter_digit_timeout: u32,
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
    pub struct ConferenceStep { pub room: String, pub muted: bool, pub moderator: bool, pub starts: bool, pub ends: bool }
    pub struct EnqueueStep { pub queue: String, pub priority: u8, pub music: Option<AudioSource>, pub max_wait: u32 }
    pub struct VoicemailStep { pub mailbox: String, pub greeting: Option<AudioSource> }
    pub struct RecordStep { pub action: RecordAction, pub legs: Legs }
    pub struct TransferStep { pub kind: TransferKind, pub to: Address }
    pub struct ParkStep { pub slot: Option<String>, pub timeout: u32 }
    pub struct TapStep { pub url: String, pub legs: Legs }
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
}

/// Why a plan is refused. Each says which step, what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No steps.
    #[error("a plan needs at least one step")]
    Empty,
    /// Too many steps.
    #[error("a plan has at most {max} steps; this one has {0}", max = limits::PLAN_STEPS_MAX)]
    TooManySteps(usize),
    /// Too much state.
    #[error("a plan's state is at most {max} bytes; this one has {0}", max = limits::PLAN_STATE_BYTES_MAX)]
    StateTooLarge(usize),
    /// A step of the contract that this gateway does not carry out yet.
    #[error("step {index}: this gateway does not carry out `{step}` yet")]
    NotCarriedOut {
        /// The step's place in the plan, from 1.
        index: usize,
        /// What it is, in the contract's words.
        step: &'static str,
    },
    /// A value out of its bounds.
    #[error("step {index} (`{step}`): {what}")]
    OutOfBounds {
        /// The step's place in the plan, from 1.
        index: usize,
        /// The step's name.
        step: &'static str,
        /// What was wrong and what would be right.
        what: String,
    },
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
    /// Let the caller hear that it rings.
    RingBack,
    /// Wait.
    Pause(Duration),
    /// Ring somebody.
    Dial(Dial),
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

/// A dial, its strategy resolved into rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Whom to ring together, round after round; no round is empty.
    pub rounds: Vec<Vec<UserId>>,
    /// How long each round rings.
    pub ring_timeout: Duration,
    /// The longest that the parties may talk.
    pub max_duration: Duration,
    /// What the callee sees instead of the caller's address.
    pub caller_id: Option<String>,
    /// What happens when the callee hangs up first.
    pub after_answer: AfterAnswer,
}

impl Plan {
    /// Checks every bound and parses the steps into what the call machine carries out.
    ///
    /// # Errors
    /// Names the first step that is wrong or not carried out by this gateway.
    pub fn accept(self) -> Result<Accepted, PlanError> {
        if self.steps.is_empty() {
            return Err(PlanError::Empty);
        }
        if self.steps.len() > limits::PLAN_STEPS_MAX {
            return Err(PlanError::TooManySteps(self.steps.len()));
        }
        if self.state.len() > limits::PLAN_STATE_BYTES_MAX {
            return Err(PlanError::StateTooLarge(self.state.len()));
        }
        let steps = self.steps.into_iter().enumerate().map(|(at, step)| accept_step(at + 1, step));
        Ok(Accepted { steps: steps.collect::<Result<_, _>>()?, state: self.state })
    }

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

fn accept_step(index: usize, step: Step) -> Result<Action, PlanError> {
    let name = step.name();
    let out_of_bounds = |what: String| PlanError::OutOfBounds { index, step: name, what };
    match step {
        Step::RingBack => Ok(Action::RingBack),
        Step::Pause(millis) => {
            let pause = within(millis, limits::PAUSE_MIN, limits::PAUSE_MAX, "the pause").map_err(out_of_bounds)?;
            Ok(Action::Pause(pause))
        }
        Step::Dial(dial) => accept_dial(index, dial).map(Action::Dial),
        Step::Reject(Rejection { cause, reason }) => {
            at_most(reason.as_deref().unwrap_or(""), limits::REASON_BYTES_MAX, "the reason").map_err(out_of_bounds)?;
            Ok(Action::Reject { cause, reason })
        }
        Step::Hangup(cause) => Ok(Action::Hangup(cause)),
        Step::Consult(tag) => {
            at_most(&tag, limits::TAG_BYTES_MAX, "the tag").map_err(out_of_bounds)?;
            Ok(Action::Consult(tag))
        }
        Step::Answer
        | Step::Play(_)
        | Step::Gather(_)
        | Step::Conference(_)
        | Step::Broadcast(_)
        | Step::Listen(_)
        | Step::Enqueue(_)
        | Step::Voicemail(_)
        | Step::Record(_)
        | Step::Transfer(_)
        | Step::Park(_)
        | Step::Tap(_)
        | Step::Redirect(_) => Err(PlanError::NotCarriedOut { index, step: name }),
    }
}

fn accept_dial(index: usize, dial: DialStep) -> Result<Dial, PlanError> {
    let out_of_bounds = |what: String| PlanError::OutOfBounds { index, step: "dial", what };
    let not_carried_out = |step| PlanError::NotCarriedOut { index, step };
    if dial.whisper.is_some() {
        return Err(not_carried_out("dial.whisper"));
    }
    if dial.confirm_key.is_some() {
        return Err(not_carried_out("dial.confirm-key"));
    }
    let count = dial.targets.len();
    if count == 0 || count > limits::DIAL_TARGETS_MAX {
        return Err(out_of_bounds(format!("1 to {} targets; got {count}", limits::DIAL_TARGETS_MAX)));
    }
    if let Some(caller_id) = &dial.caller_id {
        at_most(caller_id, limits::ADDRESS_BYTES_MAX, "the caller id").map_err(out_of_bounds)?;
    }
    let ring_timeout = within(dial.ring_timeout, limits::RING_TIMEOUT_MIN, limits::RING_TIMEOUT_MAX, "ring-timeout")
        .map_err(out_of_bounds)?;
    let max_duration = match dial.max_duration {
        None => limits::CALL_DURATION_MAX,
        Some(millis) => within(millis, limits::CALL_DURATION_MIN, limits::CALL_DURATION_MAX, "max-duration")
            .map_err(out_of_bounds)?,
    };
    let mut targets = Vec::with_capacity(count);
    for target in dial.targets {
        let user = match target.address {
            Address::User(name) => UserId::new(&name).map_err(|error| out_of_bounds(error.to_string()))?,
            Address::Number(_) => return Err(not_carried_out("dial to number")),
            Address::Sip(_) => return Err(not_carried_out("dial to sip")),
            Address::Room(_) => return Err(not_carried_out("dial to room")),
            Address::Queue(_) => return Err(not_carried_out("dial to queue")),
        };
        targets.push((target.round, user));
    }
    let rounds = match dial.strategy {
        DialStrategy::AtOnce => vec![targets.into_iter().map(|(_, user)| user).collect()],
        DialStrategy::OneAfterAnother => targets.into_iter().map(|(_, user)| vec![user]).collect(),
        DialStrategy::Rounds => by_round(targets),
        DialStrategy::Weighted => return Err(not_carried_out("dial.strategy weighted")),
    };
    Ok(Dial { rounds, ring_timeout, max_duration, caller_id: dial.caller_id, after_answer: dial.after_answer })
}

fn by_round(mut targets: Vec<(u8, UserId)>) -> Vec<Vec<UserId>> {
    targets.sort_by_key(|(round, _)| *round);
    targets
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(|round| round.iter().map(|(_, user)| user.clone()).collect())
        .collect()
}

fn within(millis: u32, min: Duration, max: Duration, what: &str) -> Result<Duration, String> {
    let span = Duration::from_millis(millis.into());
    if span < min || span > max {
        return Err(format!("{what} must be {} to {} ms; got {millis}", min.as_millis(), max.as_millis()));
    }
    Ok(span)
}

fn at_most(text: &str, max: usize, what: &str) -> Result<(), String> {
    if text.len() > max {
        return Err(format!("{what} is at most {max} bytes; got {}", text.len()));
    }
    Ok(())
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
            Action::Dial(dial) => {
                dial.rounds.into_iter().map(|round| round.into_iter().map(String::from).collect()).collect()
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
        let error = plan(vec![Step::RingBack, Step::Voicemail(VoicemailStep { mailbox: "m".into(), greeting: None })]);
        assert_eq!(error.accept(), Err(PlanError::NotCarriedOut { index: 2, step: "voicemail" }));
        let error = plan(vec![dial(&[("a", 0)], DialStrategy::Weighted)]).accept().unwrap_err();
        assert_eq!(error.to_string(), "step 1: this gateway does not carry out `dial.strategy weighted` yet");
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

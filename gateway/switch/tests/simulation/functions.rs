//! What tenants' functions answer: plans of every strategy, impossible plans, failures, and nothing.

use std::time::Duration;

use tandem_switch::cause::Cause;
use tandem_switch::exchange::{Answer, Consult, ConsultFailure, DefaultPlan};
use tandem_switch::limits;
use tandem_switch::plan::{
    Address, AfterAnswer, AudioSource, DialStep, DialStrategy, DialTarget, GatherStep, Legs, Plan, PlayStep,
    RecordAction, RecordStep, Rejection, Step, TapFormat, TapStep, Tone, TransferKind, TransferStep, VoicemailStep,
};

use crate::random::Random;

/// An answer, and when it comes. `None`: never.
pub(crate) fn answer(
    random: &mut Random,
    consult: &Consult,
    users: &[String],
) -> Option<(Duration, Result<Answer, ConsultFailure>)> {
    let delay = match random.below(20) {
        0 => return None,
        1 => limits::CONSULT_TIMEOUT + random.millis(0, 3000),
        _ => random.millis(0, 400),
    };
    let answer = match random.below(10) {
        0 => Err(ConsultFailure::Trapped("out of bounds".to_owned())),
        1 => Ok(Plan {
            steps: vec![Step::Transfer(TransferStep { kind: TransferKind::Attended, to: Address::User("x".into()) })],
            state: vec![],
        }),
        2 => Ok(Plan { steps: vec![], state: vec![] }),
        3..6 => Ok(Plan::ring_user(&consult.context.to, random.millis(1000, 15_000))),
        _ => Ok(plan(random, users)),
    };
    Some((delay, answer.map(|plan| Answer { plan, version: "v1".to_owned(), instead_of: None })))
}

/// A plan that is mostly possible.
pub(crate) fn plan(random: &mut Random, users: &[String]) -> Plan {
    let steps = (0..=random.below(4)).map(|_| step(random, users)).collect();
    Plan { steps, state: vec![random.below(256) as u8] }
}

fn step(random: &mut Random, users: &[String]) -> Step {
    match random.below(18) {
        12 => Step::Answer,
        13 => play(random),
        14 => gather(random),
        15 => voicemail(random),
        16 => {
            let action = *random.pick(&[
                RecordAction::Start,
                RecordAction::Start,
                RecordAction::Stop,
                RecordAction::Pause,
                RecordAction::Resume,
            ]);
            Step::Record(RecordStep { action, legs: *random.pick(&[Legs::Both, Legs::Caller, Legs::Callee]) })
        }
        17 => {
            let (url, format) = ("wss://ears.example.org".to_owned(), TapFormat::Opus);
            Step::Tap(TapStep { url, legs: Legs::Both, format, speaks: random.percent(50) })
        }
        0 => Step::RingBack,
        1 => Step::Pause(random.below(3000) as u32),
        2 => Step::Reject(Rejection { cause: Cause::Closed, reason: Some("closed".to_owned()) }),
        3 => Step::Hangup(Cause::Forbidden),
        4 | 5 => Step::Consult("again".to_owned()),
        _ => Step::Dial(dial(random, users)),
    }
}

fn play(random: &mut Random) -> Step {
    Step::Play(PlayStep { source: AudioSource::Prompt("welcome".to_owned()), times: 1 + random.below(3) as u32 })
}

fn gather(random: &mut Random) -> Step {
    Step::Gather(GatherStep {
        min_digits: 1,
        max_digits: 1 + random.below(4) as u8,
        finish_key: random.percent(50).then_some('#'),
        first_digit_timeout: 1000 + random.below(4000) as u32,
        inter_digit_timeout: 1000,
        prompt: random.percent(70).then(|| AudioSource::Prompt("menu".to_owned())),
        barge_in: random.percent(70),
    })
}

fn voicemail(random: &mut Random) -> Step {
    Step::Voicemail(VoicemailStep {
        mailbox: "somebody".to_owned(),
        greeting: random.percent(50).then_some(AudioSource::Tone(Tone::Beep)),
        max_duration: 1000 + random.below(9000) as u32,
        silence_timeout: random.percent(50).then_some(2000),
        finish_key: random.percent(50).then_some('#'),
    })
}

fn dial(random: &mut Random, users: &[String]) -> DialStep {
    let target = |random: &mut Random| {
        let name = if random.percent(10) { "nobody" } else { random.pick(users) };
        DialTarget { address: Address::User(name.to_owned()), round: random.below(3) as u8, weight: 0 }
    };
    DialStep {
        targets: (0..=random.below(3)).map(|_| target(random)).collect(),
        strategy: *random.pick(&[DialStrategy::AtOnce, DialStrategy::OneAfterAnother, DialStrategy::Rounds]),
        ring_timeout: 1000 + random.below(12_000) as u32,
        max_duration: random.percent(40).then(|| 1000 + random.below(20_000) as u32),
        caller_id: random.percent(30).then(|| "front desk".to_owned()),
        whisper: None,
        confirm_key: None,
        after_answer: *random.pick(&[AfterAnswer::HangUp, AfterAnswer::GoOn]),
    }
}

pub(crate) fn default_plan(random: &mut Random, users: &[String]) -> DefaultPlan {
    match random.below(4) {
        0 => DefaultPlan::Refuse,
        1 => plan(random, users).accept().map_or(DefaultPlan::Refuse, DefaultPlan::Plan),
        _ => DefaultPlan::RingDialled { ring_timeout: Duration::from_secs(10) },
    }
}

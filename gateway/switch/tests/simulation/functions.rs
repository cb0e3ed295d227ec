//! What tenants' functions answer: plans of every strategy, impossible plans, failures, and nothing.

use std::time::Duration;

use tandem_switch::cause::Cause;
use tandem_switch::exchange::{Answer, Consult, ConsultFailure, DefaultPlan};
use tandem_switch::limits;
use tandem_switch::plan::{Address, AfterAnswer, DialStep, DialStrategy, DialTarget, ParkStep, Plan, Rejection, Step};

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
        1 => Ok(Plan { steps: vec![Step::Park(ParkStep { slot: None, timeout: 1000 })], state: vec![] }),
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
    match random.below(12) {
        0 => Step::RingBack,
        1 => Step::Pause(random.below(3000) as u32),
        2 => Step::Reject(Rejection { cause: Cause::Closed, reason: Some("closed".to_owned()) }),
        3 => Step::Hangup(Cause::Forbidden),
        4 | 5 => Step::Consult("again".to_owned()),
        _ => Step::Dial(dial(random, users)),
    }
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

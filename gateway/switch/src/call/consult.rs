//! Questions to the tenant's function, and what happens when it fails: the call goes on with the tenant's default plan, and the
//! failure is in the record.

use crate::call::{Call, State};
use crate::cause::Cause;
use crate::event::{Consultation, Context, EndedCall, Event, Outcome, Party, Verification};
use crate::exchange::{Answer, Consult, ConsultFailure, DefaultPlan, Failed};
use crate::id::UserId;
use crate::limits;
use crate::plan::{Accepted, Action, AfterAnswer, Dial, Order};
use crate::record::{CallRecord, ConsultationRecord, EndedBy, Instead};
use crate::time::Instant;

use super::Output;

/// Every question of a call, and the version that it runs on.
#[derive(Debug, Default)]
pub(super) struct Consultations {
    /// How many questions were asked; the number of the last one.
    asked: u32,
    asked_at: Instant,
    /// What the question under way is about, until it is answered.
    about: Option<String>,
    /// Pinned by the first answer, so that one call never mixes two versions.
    version: Option<String>,
    records: Vec<ConsultationRecord>,
}

impl Consultations {
    pub(super) fn deadline(&self) -> Instant {
        self.asked_at + limits::CONSULT_TIMEOUT
    }

    pub(super) fn version(&self) -> Option<&String> {
        self.version.as_ref()
    }

    pub(super) fn take_records(&mut self) -> Vec<ConsultationRecord> {
        std::mem::take(&mut self.records)
    }

    /// The call ends before the answer: recorded without version and failure.
    pub(super) fn unanswered(&mut self, now: Instant) {
        self.answered(now, String::new(), None);
    }

    fn answered(&mut self, now: Instant, version: String, failed: Option<(String, Instead)>) {
        let (failure, instead) = failed.unzip();
        if let Some(about) = self.about.take() {
            let micros = u64::try_from(now.since(self.asked_at).as_micros()).unwrap_or(u64::MAX);
            self.records.push(ConsultationRecord { about, version, micros, failure, instead });
        }
    }
}

impl Call {
    /// Asks the function and waits for its answer.
    pub(super) fn ask(&mut self, now: Instant, about: &str, event: Event) {
        self.consultations.about = Some(about.to_owned());
        self.enter(now, State::Deciding);
        self.put_question(now, event);
    }

    /// A `consult` step. A function that answers `consult` for ever is stopped here.
    pub(super) fn ask_again(&mut self, now: Instant, tag: String) {
        if self.consultations.asked >= limits::CONSULTATIONS_MAX {
            let failure = format!("a call may ask its function {} times at most", limits::CONSULTATIONS_MAX);
            self.consultations.asked_at = now;
            self.consultations.about = Some(tag);
            self.consultations.answered(now, String::new(), Some((failure, Instead::Rejection)));
            return self.end(now, Cause::FunctionFailed, EndedBy::Plan, None);
        }
        let outcome = std::mem::take(&mut self.outcome);
        self.ask(now, &tag.clone(), Event::Consulted(Consultation { tag, outcome }));
    }

    /// Hands a question out, without waiting for its answer.
    pub(super) fn put_question(&mut self, now: Instant, event: Event) {
        self.consultations.asked += 1;
        self.consultations.asked_at = now;
        let invitation = &self.invitation;
        let context = Context {
            call: invitation.call.to_string(),
            from: Party {
                address: self.began_by().user.to_string(),
                display_name: self.began_by().name.clone(),
                verified_by: Verification::Token,
            },
            to: invitation.to.clone(),
            transport: self.began_by().transport,
            node: String::new(),
            region: String::new(),
            headers: invitation.headers.clone(),
            started_at: self.clock.at(self.started),
            now: self.clock.at(now),
            state: self.plan.state.clone(),
            version: self.consultations.version.clone().unwrap_or_default(),
        };
        self.outputs.push_back(Output::Consult(Box::new(Consult {
            call: invitation.call,
            consultation: self.consultations.asked,
            tenant: invitation.tenant.clone(),
            version: self.consultations.version.clone(),
            context,
            event,
        })));
    }

    /// The answer to question `number`. One that comes too late, or to another question, is ignored.
    pub(super) fn planned(&mut self, now: Instant, number: u32, answer: Result<Answer, ConsultFailure>) {
        if !matches!(self.state, State::Deciding) || number != self.consultations.asked {
            return;
        }
        match answer {
            Ok(Answer { plan, version, instead_of }) => {
                // The plan and the state are this version's from here on: so is the call.
                if instead_of.is_some() || self.consultations.version.is_none() {
                    self.consultations.version = Some(version.clone());
                }
                match (plan.accept(), instead_of) {
                    (Ok(plan), None) => {
                        self.consultations.answered(now, version, None);
                        self.follow(now, plan);
                    }
                    (Ok(plan), Some(Failed { version: broken, failure })) => {
                        self.consultations.answered(now, broken, Some((failure, Instead::LastGoodVersion(version))));
                        self.follow(now, plan);
                    }
                    (Err(error), _) => self.fall_back(now, version, format!("the plan was refused: {error}")),
                }
            }
            Err(failure) => self.fall_back(now, String::new(), failure.to_string()),
        }
    }

    pub(super) fn decision_overdue(&mut self, now: Instant) {
        let failure = ConsultFailure::DeadlineExceeded(limits::CONSULT_TIMEOUT);
        self.fall_back(now, String::new(), failure.to_string());
    }

    pub(super) fn follow(&mut self, now: Instant, plan: Accepted) {
        self.plan = plan;
        self.cursor = 0;
        self.outcome = Outcome::None;
        self.advance(now);
    }

    /// The tenant's default plan instead of the function's. The function's state stays as its last good plan left it.
    fn fall_back(&mut self, now: Instant, version: String, failure: String) {
        let instead = self.invitation.default_plan.instead(&self.invitation.to);
        self.consultations.answered(now, version, Some((failure, instead)));
        let steps = match &*self.invitation.default_plan {
            DefaultPlan::Refuse => return self.end(now, Cause::FunctionFailed, EndedBy::Plan, None),
            DefaultPlan::Plan(plan) => plan.steps.clone(),
            DefaultPlan::RingDialled { ring_timeout } => match UserId::new(&self.invitation.to) {
                Err(_) => return self.end(now, Cause::NotFound, EndedBy::Plan, None),
                Ok(user) => vec![Action::Dial(Dial {
                    order: Order::Rounds(vec![vec![user]]),
                    ring_timeout: (*ring_timeout).clamp(limits::RING_TIMEOUT_MIN, limits::RING_TIMEOUT_MAX),
                    max_duration: limits::CALL_DURATION_MAX,
                    caller_id: None,
                    whisper: None,
                    confirm: None,
                    after_answer: AfterAnswer::HangUp,
                })],
            },
        };
        let state = std::mem::take(&mut self.plan.state);
        self.follow(now, Accepted { steps, state });
    }

    /// What the function is told at the end, for its own accounting.
    pub(super) fn ended_event(&self, record: &CallRecord) -> Event {
        Event::Ended(EndedCall {
            call: record.call.to_string(),
            from: record.from.to_string(),
            to: record.to.clone(),
            started_at: record.started_at,
            answered_at: record.answered_at,
            ended_at: record.ended_at,
            answered_by: record.answered_by.as_ref().map(ToString::to_string),
            cause: record.cause,
        })
    }
}

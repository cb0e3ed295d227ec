//! Asks a tenant's function, so that a call gets an answer even when the function fails: the chosen version first, the last good one when
//! that fails by its own fault. When neither gives a plan, the core goes on with the tenant's default plan.
//!
//! Each version is asked once, with a fresh deadline, and both together end before the core would go on by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_host::{Conditions, Host, Invocation};
use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::{Answer, ConsultFailure, Failed};
use tandem_switch::id::{CallId, TenantId};
use tandem_switch::limits::CONSULT_TIMEOUT;
use tandem_switch::plan::Plan;
use tandem_switch::record::Instead;
use tandem_switch::rollout::Outcome;

use crate::calls::functions::{Chosen, Observation, Share};
use crate::calls::outside::{Surroundings, World};
use crate::calls::routing::Version;
use crate::clock::unix_now;
use crate::tenants::model::InvocationRecord;

/// By when everything is answered, counted from the question: half a second before the core gives up waiting.
const ANSWER_TIMEOUT: Duration = CONSULT_TIMEOUT.saturating_sub(Duration::from_millis(500));

/// A version is not asked when less time than this is left for it.
const TIME_LEFT_MIN: Duration = Duration::from_millis(10);

/// A question to a tenant's function.
#[derive(Debug)]
pub struct Question {
    /// Whose function.
    pub tenant: TenantId,
    /// In which call.
    pub call: CallId,
    /// Which question of that call, from 1.
    pub consultation: u32,
    /// The call so far.
    pub context: Context,
    /// What happened.
    pub event: Event,
    /// Who is to answer.
    pub chosen: Chosen,
    /// What the tenant's invocations are given.
    pub share: Share,
}

/// What came of it.
#[derive(Debug)]
pub struct Answered {
    /// The plan, or why there is none; secrets are masked in the why.
    pub answer: Result<Answer, ConsultFailure>,
    /// The version that took over for the rest of the call.
    pub moved_to: Option<Version>,
    /// How the versions that were asked did.
    pub observations: Vec<Observation>,
    /// What is kept of each invocation; secrets are not masked yet.
    pub invocations: Vec<InvocationRecord>,
}

/// Asks functions. Clones share the host.
#[derive(Clone, Debug)]
pub struct SafetyNet {
    /// Runs functions.
    pub host: Arc<Host>,
    /// Answers what they ask.
    pub world: World,
}

impl SafetyNet {
    /// Asks whoever was chosen; never fails without a failure to show.
    pub async fn ask(&self, mut question: Question) -> Answered {
        let asked_at = Instant::now();
        let answer = Err(ConsultFailure::NoFunction);
        let mut answered = Answered { answer, moved_to: None, observations: Vec::new(), invocations: Vec::new() };
        let (version, failure, last_good) = match question.chosen.clone() {
            Chosen::Paused(version, last_good) => {
                let failure = ConsultFailure::Paused(version.name.to_string());
                (version, failure, last_good)
            }
            Chosen::Version(version, last_good) => {
                match self.attempt(&mut question, &version, asked_at, &mut answered).await {
                    Ok(plan) => {
                        answered.answer = Ok(Answer { plan, version: version.name.to_string(), instead_of: None });
                        return answered;
                    }
                    Err(failure) => (version, failure, last_good),
                }
            }
        };
        answered.answer = Err(failure.clone());
        let is_over = matches!(question.event, Event::Ended(_));
        let Some(last_good) = last_good.filter(|_| !is_over && helps(&failure)) else { return answered };
        if let Ok(plan) = self.attempt(&mut question, &last_good, asked_at, &mut answered).await {
            // The version that failed was asked first.
            if let Some(first) = answered.invocations.first_mut().filter(|record| record.failure.is_some()) {
                first.instead = Some(Instead::LastGoodVersion(last_good.name.to_string()));
            }
            let failed = Failed { version: version.name.to_string(), failure: failure.to_string() };
            let name = last_good.name.to_string();
            answered.answer = Ok(Answer { plan, version: name, instead_of: Some(failed) });
            answered.moved_to = Some(last_good);
        }
        answered
    }

    /// Asks one version, if the tenant's budgets and the time that is left allow it.
    async fn attempt(
        &self,
        question: &mut Question,
        version: &Version,
        asked_at: Instant,
        answered: &mut Answered,
    ) -> Result<Plan, ConsultFailure> {
        let refused = |_: &ConsultFailure| question.share.budgets.meters().failures.count(1);
        let place = question.share.budgets.enter().await.inspect_err(refused)?;
        let left = ANSWER_TIMEOUT.saturating_sub(asked_at.elapsed());
        if left < TIME_LEFT_MIN {
            place.settle(Duration::ZERO);
            return Err(ConsultFailure::DeadlineExceeded(ANSWER_TIMEOUT));
        }
        question.context.version = version.name.to_string();
        let conditions = self.conditions(question, version, left);
        let at = unix_now();
        let mut invocation =
            self.host.invoke_under(&version.function, &question.context, &question.event, conditions).await;
        place.settle(Duration::from_micros(invocation.cpu_micros));
        let answer =
            judged(std::mem::replace(&mut invocation.answer, Err(ConsultFailure::NoFunction)), &question.event)
                .map_err(|failure| question.share.masks.failure(failure));
        count(&question.share, &answer, &invocation);
        show_log(&question.share.masks.text(&invocation.log.text));
        let failure = answer.as_ref().err().map(ToString::to_string);
        if let Some(outcome) = outcome(&answer, &question.event) {
            let (function, version) = (version.of.clone(), version.number);
            answered.observations.push(Observation { function, version, outcome, failure: failure.clone() });
        }
        answered.invocations.push(InvocationRecord {
            id: 0,
            at,
            function: version.of.clone(),
            version: version.number,
            call: question.call.to_string(),
            consultation: question.consultation,
            context: question.context.clone(),
            event: question.event.clone(),
            plan: answer.as_ref().ok().cloned(),
            failure,
            instead: None,
            trace: invocation.trace,
            log: invocation.log.text,
            log_dropped_bytes: invocation.log.dropped_bytes,
            micros: invocation.micros,
            cpu_micros: invocation.cpu_micros,
            memory_bytes: invocation.memory_high_water_bytes as u64,
        });
        answer
    }

    fn conditions(&self, question: &Question, version: &Version, left: Duration) -> Conditions {
        let Share { variables, budgets, quota, memory_bytes_max, .. } = &question.share;
        let surroundings = Surroundings {
            world: self.world.clone(),
            tenant: question.tenant.clone(),
            manifest: Arc::clone(&version.manifest),
            variables: Arc::clone(variables),
            quota: *quota,
            budgets: Arc::clone(budgets),
        };
        let mut conditions = self.host.conditions(Arc::new(surroundings));
        conditions.seed = rand::random();
        conditions.deadline = conditions.deadline.min(left);
        conditions.memory_bytes_max = conditions.memory_bytes_max.min(*memory_bytes_max);
        conditions.turns = budgets.turns().clone();
        conditions
    }
}

/// A plan that cannot be carried out is none. What is answered to `ended` is not carried out.
fn judged(answer: Result<Plan, ConsultFailure>, event: &Event) -> Result<Plan, ConsultFailure> {
    let plan = answer?;
    match event {
        Event::Ended(_) => Ok(plan),
        Event::Incoming | Event::Consulted(_) => match plan.clone().accept() {
            Ok(_) => Ok(plan),
            Err(error) => Err(ConsultFailure::PlanRefused(error.to_string())),
        },
    }
}

/// Whether the last good version may do better: where the failure is the version's own.
fn helps(failure: &ConsultFailure) -> bool {
    match failure {
        ConsultFailure::Trapped(_)
        | ConsultFailure::DeadlineExceeded(_)
        | ConsultFailure::OutOfMemory(_)
        | ConsultFailure::AnswerTooLarge(_)
        | ConsultFailure::PlanRefused(_)
        | ConsultFailure::Refused(_)
        | ConsultFailure::Paused(_)
        | ConsultFailure::Host(_) => true,
        ConsultFailure::NoFunction | ConsultFailure::OverBudget(_) | ConsultFailure::Overloaded => false,
    }
}

/// What an answer says of its version: only what is the function's own fault speaks against it. Its answer to `ended` is ignored, so an
/// error there says nothing.
fn outcome(answer: &Result<Plan, ConsultFailure>, event: &Event) -> Option<Outcome> {
    match answer {
        Ok(_) => Some(Outcome::Worked),
        Err(ConsultFailure::Refused(_)) if matches!(event, Event::Ended(_)) => None,
        Err(
            ConsultFailure::Trapped(_)
            | ConsultFailure::DeadlineExceeded(_)
            | ConsultFailure::OutOfMemory(_)
            | ConsultFailure::AnswerTooLarge(_)
            | ConsultFailure::PlanRefused(_)
            | ConsultFailure::Refused(_),
        ) => Some(Outcome::Failed),
        Err(
            ConsultFailure::NoFunction
            | ConsultFailure::Paused(_)
            | ConsultFailure::OverBudget(_)
            | ConsultFailure::Overloaded
            | ConsultFailure::Host(_),
        ) => None,
    }
}

fn count(share: &Share, answer: &Result<Plan, ConsultFailure>, invocation: &Invocation) {
    let meters = share.budgets.meters();
    meters.memory_bytes.at_least(invocation.memory_high_water_bytes as u64);
    match answer {
        Ok(_) => {}
        Err(failure) => {
            meters.failures.count(1);
            if matches!(failure, ConsultFailure::OutOfMemory(_)) {
                meters.memory_bytes.refuse();
            }
        }
    }
}

/// What a function wrote: for developers (`tandem dev` shows it). It may hold what callers are called, hence DEBUG.
fn show_log(text: &str) {
    for line in text.lines() {
        tracing::debug!(target: "function", "{line}");
    }
}

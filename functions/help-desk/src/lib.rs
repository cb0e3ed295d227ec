//! Help desk: callers wait in the queue `help` until an agent takes the call. Who waits too long, or leaves by the exit key, can leave a message.
//!
//! The queue itself, with its agents and their skills, is set up with `tandem queues put help --agent alice --agent bob:french=5`.

use tandem_function::{
    Cause, Consultation, Context, EnqueueStep, Error, Event, Outcome, Plan, QueueResult, Refused, Router, SkillNeed,
    Step, VoicemailStep, directory,
};

/// The queue, and the mailbox of the same name.
const HELP: &str = "help";

/// How many may wait before callers are sent away at once.
const QUEUE_LENGTH_MAX: u32 = 20;

/// The longest wait, milliseconds.
const MAX_WAIT_MS: u32 = 10 * 60 * 1000;

/// The longest message, milliseconds.
const MAX_MESSAGE_MS: u32 = 2 * 60 * 1000;

/// The tag of the question after the queue.
const AFTER_QUEUE: &str = "after-queue";

struct HelpDesk;

impl Router for HelpDesk {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => incoming(&context).await,
            Event::Consulted(consultation) => after_queue(&consultation),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(HelpDesk, http);

async fn incoming(context: &Context) -> Result<Plan, Error> {
    match directory::queue_length(HELP).await {
        Ok(callers) if callers >= QUEUE_LENGTH_MAX => {
            Ok(Plan::new().reject_because(Cause::Busy, "too many callers are waiting; please call again later"))
        }
        // A queue that cannot be asked is tried: what comes of it is told afterwards.
        Ok(_) | Err(Refused { .. }) => Ok(Plan::new().step(Step::Enqueue(wait(context))).consult(AFTER_QUEUE)),
    }
}

/// `help-fr` and the like ask for somebody who speaks that language; known customers go first.
fn wait(context: &Context) -> EnqueueStep {
    let language = context.to.strip_prefix("help-").and_then(|code| match code {
        "fr" => Some("french"),
        "de" => Some("german"),
        _ => None,
    });
    let needs = language.map(|skill| SkillNeed { skill: skill.into(), level: 3 }).into_iter().collect();
    let is_customer = context.headers.iter().any(|header| header.name == "x-customer");
    let priority = if is_customer { 5 } else { 0 };
    EnqueueStep { queue: HELP.into(), priority, music: None, max_wait: MAX_WAIT_MS, needs }
}

fn after_queue(consultation: &Consultation) -> Result<Plan, Error> {
    let Outcome::Queued(outcome) = &consultation.outcome else {
        return Err(Error::new("the question should come after the queue"));
    };
    Ok(match outcome.result {
        QueueResult::Connected => Plan::new().hangup(Cause::Normal),
        QueueResult::NoAgents => Plan::new().reject_because(Cause::Closed, "nobody is at the help desk now"),
        QueueResult::TimedOut | QueueResult::LeftByKey | QueueResult::Full => leave_message(),
        QueueResult::Removed | QueueResult::NoSuchQueue => Plan::new().reject(Cause::NotFound),
    })
}

fn leave_message() -> Plan {
    Plan::new().step(Step::Voicemail(VoicemailStep {
        mailbox: HELP.into(),
        greeting: None,
        max_duration: MAX_MESSAGE_MS,
        silence_timeout: Some(5_000),
        finish_key: Some('#'),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::QueueOutcome;
    use tandem_function::testing::{Surroundings, call, decide};

    fn incoming_with(callers: u32, to: &str) -> Plan {
        let (plan, _) = Surroundings::new()
            .queue(HELP, callers)
            .during(|| decide::<HelpDesk>(call("carol", to), Event::Incoming).unwrap());
        plan
    }

    fn after(result: QueueResult) -> Plan {
        let outcome = QueueOutcome { queue: HELP.into(), result, waited: 9_000, agent: None, talked: 0 };
        let asked = Consultation { tag: AFTER_QUEUE.into(), outcome: Outcome::Queued(outcome) };
        decide::<HelpDesk>(call("carol", HELP), Event::Consulted(asked)).unwrap()
    }

    fn enqueued(plan: &Plan) -> &EnqueueStep {
        match &plan.steps[0] {
            Step::Enqueue(step) => step,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn callers_wait_and_are_asked_for_afterwards() {
        let plan = incoming_with(3, "help");
        assert_eq!((enqueued(&plan).queue.as_str(), enqueued(&plan).priority), (HELP, 0));
        assert_eq!(plan.steps[1], Step::Consult(AFTER_QUEUE.into()));
    }

    #[test]
    fn a_full_house_sends_callers_away_at_once() {
        assert!(matches!(incoming_with(QUEUE_LENGTH_MAX, "help").steps[0], Step::Reject(_)));
    }

    #[test]
    fn a_language_needs_somebody_who_speaks_it() {
        let plan = incoming_with(0, "help-fr");
        assert_eq!(enqueued(&plan).needs, [SkillNeed { skill: "french".into(), level: 3 }]);
    }

    #[test]
    fn every_way_out_of_the_queue_has_an_answer() {
        assert_eq!(after(QueueResult::Connected), Plan::new().hangup(Cause::Normal));
        for result in [QueueResult::TimedOut, QueueResult::LeftByKey, QueueResult::Full] {
            assert!(matches!(after(result).steps[0], Step::Voicemail(_)), "{result:?}");
        }
        for result in [QueueResult::NoAgents, QueueResult::Removed, QueueResult::NoSuchQueue] {
            assert!(matches!(after(result).steps[0], Step::Reject(_)), "{result:?}");
        }
    }
}

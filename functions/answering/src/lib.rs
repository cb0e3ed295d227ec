//! An answering machine: rings who was dialled, then takes a message; records the call where the caller asked for it.
//!
//! Who sends the header `x-record: yes` has their call recorded. Both sides are told: the caller hears the prompt `recorded` first, the
//! called person as a whisper before being connected.

use tandem_function::{Cause, Consultation, Context, Error, Event, Outcome, Plan, Router, ring, voicemail};

/// How long it rings before the machine answers, seconds.
const RING_SECONDS: u32 = 20;

/// The longest message, seconds.
const MESSAGE_SECONDS: u32 = 120;

/// The header by which a caller asks for a recording.
const RECORD_HEADER: &str = "x-record";

/// "This call is being recorded."
const RECORDED: &str = "recorded";

/// "Thank you, your message has been saved."
const THANKS: &str = "message-saved";

/// "Your message was too short, or could not be saved. Please try again."
const AGAIN: &str = "message-lost";

/// The tags of the questions after ringing, after a message, and after a second try.
const RUNG: &str = "rung";
const MESSAGE: &str = "message";
const SECOND_TRY: &str = "second-try";

struct Answering;

impl Router for Answering {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => Ok(ring_first(&context)),
            Event::Consulted(consultation) => next(&context.to, &consultation),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(Answering, http);

fn ring_first(context: &Context) -> Plan {
    let dial = ring([context.to.as_str()]).for_seconds(RING_SECONDS);
    if context.header(RECORD_HEADER) == Some("yes") {
        return Plan::new().play(RECORDED).record().ring_back().dial(dial.whisper(RECORDED)).consult(RUNG);
    }
    Plan::new().ring_back().dial(dial).consult(RUNG)
}

fn next(mailbox: &str, consultation: &Consultation) -> Result<Plan, Error> {
    match (consultation.tag.as_str(), &consultation.outcome) {
        (RUNG, Outcome::Dialled(dialled)) => Ok(after_ringing(mailbox, dialled.cause)),
        (MESSAGE | SECOND_TRY, Outcome::LeftMessage(message)) if message.recording.is_some() => {
            Ok(Plan::new().play(THANKS).hangup(Cause::Normal))
        }
        (MESSAGE, Outcome::LeftMessage(_)) => Ok(take_message(mailbox, Plan::new().play(AGAIN), SECOND_TRY)),
        (SECOND_TRY, Outcome::LeftMessage(_)) => Ok(Plan::new().hangup(Cause::Normal)),
        (tag, outcome) => Err(Error::new(format!("no step before {tag:?} brings {outcome:?}"))),
    }
}

fn after_ringing(mailbox: &str, cause: Cause) -> Plan {
    match cause {
        Cause::Normal => Plan::new().hangup(Cause::Normal),
        // Nobody of this name has a mailbox either.
        Cause::NotFound | Cause::OwnAddress | Cause::Forbidden => Plan::new().reject(cause),
        _ => take_message(mailbox, Plan::new(), MESSAGE),
    }
}

fn take_message(mailbox: &str, before: Plan, then: &str) -> Plan {
    before.voicemail(voicemail(mailbox).at_most_seconds(MESSAGE_SECONDS)).consult(then)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, consulted, consulted_after_dial, consulted_after_message, decide};
    use tandem_function::{Header, Step};

    fn route(event: Event) -> Plan {
        decide::<Answering>(call("alice", "bob"), event).unwrap()
    }

    fn names(plan: &Plan) -> Vec<&'static str> {
        plan.steps.iter().map(name).collect()
    }

    fn name(step: &Step) -> &'static str {
        match step {
            Step::RingBack => "ring-back",
            Step::Play(_) => "play",
            Step::Record(_) => "record",
            Step::Dial(_) => "dial",
            Step::Voicemail(_) => "voicemail",
            Step::Consult(_) => "consult",
            Step::Hangup(_) => "hangup",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_does_not_answer_gets_a_message() {
        assert_eq!(names(&route(Event::Incoming)), ["ring-back", "dial", "consult"]);
        for cause in [Cause::NoAnswer, Cause::Busy, Cause::Declined, Cause::Unreachable] {
            let plan = route(consulted_after_dial(RUNG, cause));
            let message = voicemail("bob").at_most_seconds(MESSAGE_SECONDS);
            assert_eq!(plan, Plan::new().voicemail(message).consult(MESSAGE), "{cause:?}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_gets_none() {
        assert_eq!(route(consulted_after_dial(RUNG, Cause::NotFound)), Plan::new().reject(Cause::NotFound));
    }

    #[test]
    fn a_message_that_was_kept_is_thanked_for_and_one_that_was_not_may_be_tried_once_more() {
        let kept = || Plan::new().play(THANKS).hangup(Cause::Normal);
        assert_eq!(route(consulted_after_message(MESSAGE, Some("c-1"))), kept());
        let again = route(consulted_after_message(MESSAGE, None));
        assert_eq!(names(&again), ["play", "voicemail", "consult"]);
        assert_eq!(route(consulted_after_message(SECOND_TRY, Some("c-2"))), kept());
        assert_eq!(route(consulted_after_message(SECOND_TRY, None)), Plan::new().hangup(Cause::Normal));
    }

    #[test]
    fn a_recording_is_made_on_request_and_both_sides_are_told() {
        let mut context = call("alice", "bob");
        context.headers.push(Header { name: RECORD_HEADER.into(), value: "yes".into() });
        let plan = decide::<Answering>(context, Event::Incoming).unwrap();
        assert_eq!(names(&plan), ["play", "record", "ring-back", "dial", "consult"]);
        let Step::Dial(dial) = &plan.steps[3] else { panic!("{plan:?}") };
        assert_eq!(dial.whisper, Some(RECORDED.into()));
    }

    #[test]
    fn an_outcome_that_cannot_be_is_an_error_not_a_guess() {
        let error = decide::<Answering>(call("alice", "bob"), consulted(RUNG, Outcome::None)).unwrap_err();
        assert!(error.message.contains("rung"), "{error:?}");
    }
}

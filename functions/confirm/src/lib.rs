//! On call: rings the people on call on their mobiles, one after another, and connects only who presses 1.
//!
//! A mobile's own voicemail answers calls, too. It presses no key: so the call goes on to the next person instead of being lost there. Who
//! answers hears what it is about (the prompt `on-call-whisper`) before the caller hears anything but ringing.

use tandem_function::{Cause, Consultation, Context, Error, Event, Outcome, Plan, Router, ring};

/// Who is on call, in the order in which they are rung.
const ON_CALL: [&str; 3] = ["alice.mobile", "bob.mobile", "carol.mobile"];

/// How long each mobile rings, seconds: shorter than most mobiles' own voicemail waits.
const RING_SECONDS: u32 = 18;

/// What the called person hears: "A call for the team on call. Press 1 to take it."
const WHISPER: &str = "on-call-whisper";

/// What the caller hears when nobody could be reached.
const SORRY: &str = "nobody-on-call";

/// The tag of the question after the round.
const ROUND_OVER: &str = "round-over";

struct OnCall;

impl Router for OnCall {
    async fn route(_context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => {
                let people = ring(ON_CALL).one_after_another().for_seconds(RING_SECONDS);
                let confirmed = people.whisper(WHISPER).confirmed_by('1');
                Ok(Plan::new().ring_back().dial(confirmed).consult(ROUND_OVER))
            }
            Event::Consulted(consultation) => Ok(after_round(&consultation)),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(OnCall, http);

/// Nobody took the call: the caller is told, and may try again. A call that was taken ends with its dial.
fn after_round(consultation: &Consultation) -> Plan {
    match &consultation.outcome {
        Outcome::Dialled(outcome) if outcome.cause == Cause::Normal => Plan::new().hangup(Cause::Normal),
        _ => Plan::new().play(SORRY).hangup(Cause::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, consulted_after_dial, decide};
    use tandem_function::{AudioSource, DialStrategy, Step};

    #[test]
    fn only_who_presses_1_is_connected() {
        let plan = decide::<OnCall>(call("dave", "on-call"), Event::Incoming).unwrap();
        let Step::Dial(dial) = &plan.steps[1] else { panic!("{plan:?}") };
        assert_eq!(dial.confirm_key, Some('1'));
        assert_eq!(dial.whisper, Some(AudioSource::Prompt(WHISPER.into())));
        assert_eq!(dial.strategy, DialStrategy::OneAfterAnother);
        assert_eq!(dial.targets.len(), ON_CALL.len());
        assert_eq!(plan.steps[2], Step::Consult(ROUND_OVER.into()));
    }

    #[test]
    fn a_caller_whom_nobody_takes_is_told() {
        for cause in [Cause::NoAnswer, Cause::Declined, Cause::Unreachable] {
            let plan = decide::<OnCall>(call("dave", "on-call"), consulted_after_dial(ROUND_OVER, cause)).unwrap();
            assert_eq!(plan, Plan::new().play(SORRY).hangup(Cause::NoAnswer), "{cause:?}");
        }
    }

    #[test]
    fn a_call_that_was_taken_is_over() {
        let plan = decide::<OnCall>(call("dave", "on-call"), consulted_after_dial(ROUND_OVER, Cause::Normal)).unwrap();
        assert_eq!(plan, Plan::new().hangup(Cause::Normal));
    }
}

//! Receptionist: rings the reception. When nobody answers there, the call is parked for a while in the slot `reception`, so that anybody in the
//! house may pick it up; after that the caller can leave a message.
//!
//! Whoever answers hands the call on by their client: `transfer` to a colleague, or `park`.

use tandem_function::{
    Cause, Consultation, Context, Error, Event, Outcome, ParkResult, ParkStep, Plan, Router, Step, VoicemailStep, ring,
};

/// Whom to ring, the slot to park in, and the mailbox.
const RECEPTION: &str = "reception";

/// How long the reception rings, seconds.
const RING_SECONDS: u32 = 15;

/// How long a call stays parked, milliseconds.
const PARKED_MS: u32 = 60_000;

/// The tag of the question after ringing, and after parking.
const AFTER: &str = "after";

struct Receptionist;

impl Router for Receptionist {
    async fn route(_context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => {
                Ok(Plan::new().ring_back().dial(ring([RECEPTION]).for_seconds(RING_SECONDS)).consult(AFTER))
            }
            Event::Consulted(consultation) => after(&consultation),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(Receptionist, http);

fn after(consultation: &Consultation) -> Result<Plan, Error> {
    match &consultation.outcome {
        Outcome::Dialled(dialled) if dialled.cause == Cause::Declined => {
            Ok(Plan::new().reject_because(Cause::Closed, "the reception is closed"))
        }
        Outcome::Dialled(_) => Ok(park(Some(RECEPTION))),
        Outcome::Parked(parked) => Ok(match parked.result {
            ParkResult::PickedUp => Plan::new().hangup(Cause::Normal),
            // Somebody else is parked there already: any slot will do.
            ParkResult::SlotTaken => park(None),
            ParkResult::TimedOut | ParkResult::Full => leave_message(),
        }),
        _ => Err(Error::new("the question should come after ringing or parking")),
    }
}

fn park(slot: Option<&str>) -> Plan {
    let step = ParkStep { slot: slot.map(Into::into), timeout: PARKED_MS };
    Plan::new().step(Step::Park(step)).consult(AFTER)
}

fn leave_message() -> Plan {
    Plan::new().step(Step::Voicemail(VoicemailStep {
        mailbox: RECEPTION.into(),
        greeting: None,
        max_duration: 120_000,
        silence_timeout: Some(5_000),
        finish_key: Some('#'),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::ParkOutcome;
    use tandem_function::testing::{call, consulted_after_dial, decide};

    fn decided(event: Event) -> Plan {
        decide::<Receptionist>(call("carol", RECEPTION), event).unwrap()
    }

    fn parked(result: ParkResult) -> Plan {
        let outcome = ParkOutcome { slot: None, result, waited: 0, by: None, talked: 0 };
        decided(Event::Consulted(Consultation { tag: AFTER.into(), outcome: Outcome::Parked(outcome) }))
    }

    #[test]
    fn the_reception_rings_first() {
        let plan = decided(Event::Incoming);
        assert!(matches!(&plan.steps[1], Step::Dial(dial) if dial.ring_timeout == RING_SECONDS * 1000), "{plan:?}");
    }

    #[test]
    fn a_call_that_nobody_answers_is_parked_and_one_that_is_declined_is_not() {
        let plan = decided(consulted_after_dial(AFTER, Cause::NoAnswer));
        assert_eq!(plan, park(Some(RECEPTION)));
        let plan = decided(consulted_after_dial(AFTER, Cause::Declined));
        assert!(matches!(plan.steps[0], Step::Reject(_)));
    }

    #[test]
    fn a_taken_slot_means_another_one_and_nobody_coming_a_message() {
        assert_eq!(parked(ParkResult::SlotTaken), park(None));
        assert!(matches!(parked(ParkResult::TimedOut).steps[0], Step::Voicemail(_)));
        assert_eq!(parked(ParkResult::PickedUp), Plan::new().hangup(Cause::Normal));
    }
}

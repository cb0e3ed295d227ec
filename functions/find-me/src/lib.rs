//! Find me: rings one device of the dialled person after another: `alice`, then `alice.mobile`, then `alice.home`.
//!
//! Each attempt is a plan of its own that ends in `consult`. The function keeps no memory between two questions, so which device
//! comes next travels in the plan's state.

use tandem_function::{Cause, Consultation, Context, Error, Event, Outcome, Plan, Router, ring};

/// What is appended to the dialled name, in the order in which the devices ring.
const DEVICES: [&str; 3] = ["", ".mobile", ".home"];

/// How long each device rings, seconds.
const RING_SECONDS: u32 = 12;

/// The tag of the question after each attempt.
const NEXT: &str = "next-device";

struct FindMe;

impl Router for FindMe {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => Ok(ring_device(&context.to, 0)),
            Event::Consulted(consultation) => after_attempt(&context, &consultation),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(FindMe, http);

fn ring_device(person: &str, device: usize) -> Plan {
    let Some(suffix) = DEVICES.get(device) else {
        return Plan::new().reject_because(Cause::NoAnswer, format!("{person} could not be found"));
    };
    let attempt = ring([format!("{person}{suffix}")]).for_seconds(RING_SECONDS);
    Plan::new().ring_back().dial(attempt).consult(NEXT).with_state(device.to_string())
}

fn after_attempt(context: &Context, consultation: &Consultation) -> Result<Plan, Error> {
    // Who declines has been found: ringing their next device would be rude.
    if let Outcome::Dialled(outcome) = &consultation.outcome
        && outcome.cause == Cause::Declined
    {
        return Ok(Plan::new().reject(Cause::Declined));
    }
    let tried = context.state_text().and_then(|text| text.parse::<usize>().ok());
    let tried = tried.ok_or_else(|| Error::new("the state does not say which device rang last"))?;
    Ok(ring_device(&context.to, tried.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, consulted_after_dial, decide};
    use tandem_function::{Address, Step};

    /// Plays a call: who rings, one after another, when each attempt ends for `cause`; and the last plan.
    fn play(cause: Cause) -> (Vec<String>, Plan) {
        let mut rung = Vec::new();
        let mut context = call("carol", "alice");
        let mut plan = decide::<FindMe>(context.clone(), Event::Incoming).unwrap();
        while let Some(Step::Dial(dial)) = plan.steps.get(1) {
            assert!(rung.len() < 10, "it rings for ever: {rung:?}");
            let Address::User(user) = &dial.targets[0].address else { panic!("{dial:?}") };
            rung.push(user.clone());
            context.state = plan.state.clone();
            plan = decide::<FindMe>(context.clone(), consulted_after_dial(NEXT, cause)).unwrap();
        }
        (rung, plan)
    }

    #[test]
    fn devices_ring_one_after_another_then_the_caller_is_told() {
        let (rung, last) = play(Cause::NoAnswer);
        assert_eq!(rung, ["alice", "alice.mobile", "alice.home"]);
        assert_eq!(last, Plan::new().reject_because(Cause::NoAnswer, "alice could not be found"));
    }

    #[test]
    fn a_device_that_is_away_is_passed_over() {
        assert_eq!(play(Cause::Unreachable).0.len(), DEVICES.len());
    }

    #[test]
    fn who_declines_is_not_rung_elsewhere() {
        let (rung, last) = play(Cause::Declined);
        assert_eq!(rung, ["alice"]);
        assert_eq!(last, Plan::new().reject(Cause::Declined));
    }

    #[test]
    fn a_lost_state_is_an_error_not_a_guess() {
        let error = decide::<FindMe>(call("carol", "alice"), consulted_after_dial(NEXT, Cause::NoAnswer)).unwrap_err();
        assert!(error.message.contains("state"), "{error:?}");
    }
}

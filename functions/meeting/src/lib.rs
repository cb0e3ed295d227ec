//! Meetings behind a number: whoever dials `meeting-…` enters the PIN and is in that meeting, as a moderator or as a guest.
//!
//! The PINs are the variables `moderator_pin` and `guest_pin`. Guests hear nobody until a moderator is there. Without PINs nobody gets in: a
//! meeting that anybody could join by mistake would be worse than none.

use tandem_function::{
    Cause, Consultation, Context, Error, Event, Outcome, Plan, Refused, RoomCause, Router, conference, config, gather,
};

/// "Please enter the PIN, and the pound key."
const ENTER_PIN: &str = "enter-pin";

/// "This PIN is not right."
const WRONG_PIN: &str = "wrong-pin";

/// "This meeting is locked, or full."
const NO_ENTRY: &str = "meeting-closed";

/// The longest PIN.
const PIN_DIGITS_MAX: u8 = 12;

/// How often a caller may try.
const TRIES: u8 = 3;

/// The tags of the questions after a PIN and after the meeting.
const PIN: &str = "pin";
const AFTERWARDS: &str = "afterwards";

struct Meeting;

impl Router for Meeting {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming if !context.to.starts_with("meeting") => Ok(Plan::new().reject(Cause::NotFound)),
            Event::Incoming => Ok(ask_for_pin(Plan::new(), 1)),
            Event::Consulted(consultation) => next(&context, &consultation),
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(Meeting, http);

/// `trial` counts from 1; it is kept in the plan's state.
fn ask_for_pin(plan: Plan, trial: u8) -> Plan {
    let pin = gather(1).up_to(PIN_DIGITS_MAX).ended_by('#').asking(ENTER_PIN);
    plan.gather(pin).consult(PIN).with_state([trial])
}

fn next(context: &Context, consultation: &Consultation) -> Result<Plan, Error> {
    match (consultation.tag.as_str(), &consultation.outcome) {
        (PIN, _) => check_pin(context, consultation.digits().unwrap_or_default()),
        (AFTERWARDS, Outcome::Conferenced(stay)) => Ok(match stay.cause {
            RoomCause::Locked | RoomCause::Full => Plan::new().play(NO_ENTRY).hangup(Cause::Overloaded),
            _ => Plan::new().hangup(Cause::Normal),
        }),
        (tag, outcome) => Err(Error::new(format!("{outcome:?} after {tag:?}"))),
    }
}

fn check_pin(context: &Context, digits: &str) -> Result<Plan, Error> {
    let variable = |name| config::get(name).map_err(|Refused(why)| Error::new(why));
    let is_pin = |pin: Option<String>| pin.is_some_and(|pin| !pin.is_empty() && pin == digits);
    let room = conference(&*context.to).announced();
    if is_pin(variable("moderator_pin")?) {
        return Ok(Plan::new().conference(room.moderator()).consult(AFTERWARDS));
    }
    if is_pin(variable("guest_pin")?) {
        return Ok(Plan::new().conference(room.waits_for_moderator()).consult(AFTERWARDS));
    }
    let trial = context.state.first().copied().unwrap_or(1);
    if trial >= TRIES {
        return Ok(Plan::new().play(WRONG_PIN).hangup(Cause::Forbidden));
    }
    Ok(ask_for_pin(Plan::new().play(WRONG_PIN), trial + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{Surroundings, call, consulted, consulted_after_gather, decide};
    use tandem_function::{RoomOutcome, Step};

    fn enters(digits: &str, trial: u8) -> Plan {
        let pins = Surroundings::new().variable("moderator_pin", "9876").variable("guest_pin", "1234");
        let context = Context { state: vec![trial], ..call("carol", "meeting-7") };
        pins.during(|| decide::<Meeting>(context, consulted_after_gather(PIN, digits)).unwrap()).0
    }

    #[test]
    fn who_calls_is_asked_for_the_pin() {
        let plan = decide::<Meeting>(call("carol", "meeting-7"), Event::Incoming).unwrap();
        assert!(
            matches!(&plan.steps[..], [Step::Gather(pin), Step::Consult(_)] if pin.finish_key == Some('#')),
            "{plan:?}"
        );
        let elsewhere = decide::<Meeting>(call("carol", "bob"), Event::Incoming).unwrap();
        assert_eq!(elsewhere, Plan::new().reject(Cause::NotFound));
    }

    #[test]
    fn the_pin_says_who_moderates() {
        let room = conference("meeting-7").announced();
        let moderator = Plan::new().conference(room.clone().moderator()).consult(AFTERWARDS);
        assert_eq!(enters("9876", 1), moderator);
        let guest = Plan::new().conference(room.waits_for_moderator()).consult(AFTERWARDS);
        assert_eq!(enters("1234", 1), guest);
    }

    #[test]
    fn a_wrong_pin_may_be_tried_three_times() {
        assert_eq!(enters("1", 1), ask_for_pin(Plan::new().play(WRONG_PIN), 2));
        assert_eq!(enters("", 2), ask_for_pin(Plan::new().play(WRONG_PIN), 3));
        assert_eq!(enters("12345", 3), Plan::new().play(WRONG_PIN).hangup(Cause::Forbidden));
    }

    #[test]
    fn without_pins_nobody_gets_in() {
        let context = Context { state: vec![3], ..call("carol", "meeting-7") };
        let (plan, _) =
            Surroundings::new().during(|| decide::<Meeting>(context, consulted_after_gather(PIN, "")).unwrap());
        assert_eq!(plan, Plan::new().play(WRONG_PIN).hangup(Cause::Forbidden));
    }

    #[test]
    fn a_full_meeting_is_explained() {
        let after = |cause| {
            let stay = RoomOutcome { room: "meeting-7".into(), cause, stayed: 0 };
            decide::<Meeting>(call("carol", "meeting-7"), consulted(AFTERWARDS, Outcome::Conferenced(stay))).unwrap()
        };
        assert_eq!(after(RoomCause::Full), Plan::new().play(NO_ENTRY).hangup(Cause::Overloaded));
        assert_eq!(after(RoomCause::Left), Plan::new().hangup(Cause::Normal));
    }
}

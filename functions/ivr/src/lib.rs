//! A menu: 1 rings sales, 2 rings support, 9 takes a message. Who presses nothing, or something else, hears it three times; who reaches nobody
//! may leave a message.
//!
//! Its prompts are `menu` ("Press 1 for sales, 2 for support, 9 to leave a message"), `not-understood`, `nobody-there` and `goodbye`. One that
//! is missing is not heard, and the menu goes on.

use tandem_function::{Cause, Consultation, Context, Error, Event, Plan, Router, gather, ring, voicemail};

/// Who answers at sales, and at support.
const SALES: [&str; 2] = ["alice", "bob"];
const SUPPORT: [&str; 1] = ["bob"];

/// Where messages go.
const MAILBOX: &str = "alice";

/// How long anybody rings, seconds.
const RINGS_SECONDS: u32 = 20;

/// How often the menu is heard.
const TRIES: u8 = 3;

/// The tags of what is asked after the menu, and after somebody was rung.
const CHOSEN: &str = "chosen";
const RANG: &str = "rang";

struct Ivr;

impl Router for Ivr {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming => Ok(menu(Plan::new().answer(), 1)),
            Event::Consulted(consultation) if consultation.tag == RANG => Ok(after_ringing(&consultation)),
            Event::Consulted(consultation) => {
                Ok(chosen(&consultation, context.state.first().copied().unwrap_or(TRIES)))
            }
            Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(Ivr, http);

/// Asks, for so many-th time. The state is how often.
fn menu(plan: Plan, times: u8) -> Plan {
    plan.gather(gather(1).asking("menu")).consult(CHOSEN).with_state([times])
}

fn chosen(consultation: &Consultation, times: u8) -> Plan {
    match consultation.digits() {
        Some("1") => rung(&SALES),
        Some("2") => rung(&SUPPORT),
        Some("9") => message(Plan::new()),
        _ if times < TRIES => menu(Plan::new().play("not-understood"), times + 1),
        _ => Plan::new().play("goodbye").hangup(Cause::Normal),
    }
}

fn rung(staff: &[&str]) -> Plan {
    let dial = ring(staff.iter().copied()).at_once().for_seconds(RINGS_SECONDS);
    Plan::new().ring_back().dial(dial).consult(RANG)
}

/// Somebody who was reached has said all there was to say.
fn after_ringing(consultation: &Consultation) -> Plan {
    match consultation.outcome.dialled() {
        Some(dialled) if dialled.answered_by.is_some() => Plan::new().hangup(Cause::Normal),
        _ => message(Plan::new().play("nobody-there")),
    }
}

fn message(plan: Plan) -> Plan {
    plan.voicemail(voicemail(MAILBOX)).play("goodbye").hangup(Cause::Normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, consulted_after_dial, consulted_after_gather, decide};

    fn after_menu(digits: &str, times: u8) -> Plan {
        let context = Context { state: vec![times], ..call("carol", "menu") };
        decide::<Ivr>(context, consulted_after_gather(CHOSEN, digits)).unwrap()
    }

    #[test]
    fn every_key_leads_where_the_prompt_says() {
        assert_eq!(decide::<Ivr>(call("carol", "menu"), Event::Incoming).unwrap(), menu(Plan::new().answer(), 1));
        assert_eq!(after_menu("1", 1), rung(&SALES));
        assert_eq!(after_menu("2", 1), rung(&SUPPORT));
        assert_eq!(after_menu("9", 1), message(Plan::new()));
    }

    #[test]
    fn who_presses_nothing_or_something_else_hears_the_menu_three_times() {
        for digits in ["", "5"] {
            assert_eq!(after_menu(digits, 1), menu(Plan::new().play("not-understood"), 2));
            assert_eq!(after_menu(digits, 2), menu(Plan::new().play("not-understood"), 3));
            assert_eq!(after_menu(digits, 3), Plan::new().play("goodbye").hangup(Cause::Normal));
        }
    }

    #[test]
    fn who_reaches_nobody_may_leave_a_message() {
        for cause in [Cause::NoAnswer, Cause::Busy] {
            let plan = decide::<Ivr>(call("carol", "menu"), consulted_after_dial(RANG, cause)).unwrap();
            assert_eq!(plan, message(Plan::new().play("nobody-there")));
        }
    }
}

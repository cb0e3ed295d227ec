//! A front desk: calls to `front-desk` ring the whole desk during business hours, and are told the hours otherwise. A call to
//! anybody else rings that person directly.

use tandem_function::{Cause, Context, Error, Event, Plan, Router, ring};

/// The address that callers dial to reach the desk.
const DESK: &str = "front-desk";

/// Who sits at the desk: all ring at once.
const STAFF: [&str; 2] = ["alice", "bob"];

/// How long the desk rings, seconds.
const DESK_RINGS_SECONDS: u32 = 20;

/// How long a person who is dialled directly rings, seconds.
const PERSON_RINGS_SECONDS: u32 = 30;

/// Where the desk is, minutes east of Greenwich: 60 is Central European (winter) time.
const UTC_OFFSET_MINUTES: i32 = 60;

/// When the desk is open, Monday to Friday.
const HOURS: Hours = Hours { from: 9, until: 17 };

/// Keeps the desk open around the clock, so that the demonstration works at night too. Set it to `false` to see business hours at
/// work: outside of them a caller is told when to call again.
const OPEN_ALL_HOURS: bool = true;

/// Business hours of a working day: `from` the full hour, `until` before the full hour.
struct Hours {
    from: u8,
    until: u8,
}

struct FrontDesk;

impl Router for FrontDesk {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming if context.to != DESK => Ok(person(&context.to)),
            Event::Incoming if OPEN_ALL_HOURS || is_open(&context) => Ok(open()),
            Event::Incoming => Ok(closed()),
            // No plan of this function consults, and the answer to `ended` is ignored.
            Event::Consulted(_) | Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!(FrontDesk, http);

/// A call that nobody answers ends with what the dial brought: busy, declined, no such user.
fn person(user: &str) -> Plan {
    Plan::new().ring_back().dial(ring([user]).for_seconds(PERSON_RINGS_SECONDS))
}

fn open() -> Plan {
    let staff = ring(STAFF).at_once().for_seconds(DESK_RINGS_SECONDS);
    Plan::new().ring_back().dial(staff).reject_because(Cause::NoAnswer, "Everybody at the front desk is busy")
}

fn closed() -> Plan {
    let Hours { from, until } = HOURS;
    Plan::new().reject_because(Cause::Closed, format!("We are open Monday to Friday, {from} to {until}"))
}

fn is_open(context: &Context) -> bool {
    let local = context.local_time(UTC_OFFSET_MINUTES);
    !local.weekday.is_weekend() && (HOURS.from..HOURS.until).contains(&local.hour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, decide};
    use tandem_function::{Address, Rejection, Step};

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    fn rejection(plan: &Plan) -> &Rejection {
        match plan.steps.last() {
            Some(Step::Reject(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_desk_rings_together_then_gives_up_with_a_reason() {
        let plan = decide::<FrontDesk>(call("carol", DESK), Event::Incoming).unwrap();
        assert_eq!(plan, open());
        assert_eq!(plan.steps[1], Step::Dial(ring(["alice", "bob"]).at_once().for_seconds(20)));
        assert_eq!(rejection(&plan).cause, Cause::NoAnswer);
        assert!(rejection(&plan).reason.is_some());
    }

    #[test]
    fn anybody_else_is_rung_directly() {
        let plan = decide::<FrontDesk>(call("carol", "dave"), Event::Incoming).unwrap();
        let Step::Dial(dial) = &plan.steps[1] else { panic!("{plan:?}") };
        assert_eq!(dial.targets[0].address, Address::User("dave".into()));
        assert_eq!(dial.ring_timeout, 30_000);
    }

    #[test]
    fn the_hours_are_those_of_the_desks_own_clock() {
        // `call` is on a Monday at 12:00 UTC, which is 13:00 at the desk.
        let monday_noon = call("carol", DESK).now;
        let table = [
            (monday_noon, true),
            (monday_noon - 4 * HOUR_MS, true),
            (monday_noon - 4 * HOUR_MS - 1, false),
            (monday_noon + 4 * HOUR_MS - 1, true),
            (monday_noon + 4 * HOUR_MS, false),
            (monday_noon + 4 * DAY_MS, true),
            (monday_noon + 5 * DAY_MS, false),
            (monday_noon + 6 * DAY_MS, false),
            (monday_noon + 7 * DAY_MS, true),
        ];
        for (now, open) in table {
            assert_eq!(is_open(&Context { now, ..call("carol", DESK) }), open, "{now}");
        }
    }

    #[test]
    fn a_closed_desk_says_when_it_opens() {
        let plan = closed();
        assert_eq!(rejection(&plan).cause, Cause::Closed);
        assert_eq!(rejection(&plan).reason.as_deref(), Some("We are open Monday to Friday, 9 to 17"));
    }
}

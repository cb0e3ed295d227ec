//! A list of important callers, kept in the tenant's key-value store: each rings the person who looks after them first, then the desk, as
//! everybody else does. Calls are counted by caller.
//!
//! `tandem kv put vip/carol bob` makes carol a caller whom bob looks after; no new version of the function is needed.

use tandem_function::{Cause, Context, Error, Event, Plan, Refused, Router, key_value, ring};

/// Who answers everybody.
const DESK: [&str; 2] = ["alice", "bob"];

/// How long the person who looks after a caller rings alone, seconds.
const FIRST_RINGS_SECONDS: u32 = 10;

/// How long the desk rings, seconds.
const DESK_RINGS_SECONDS: u32 = 20;

struct VipList;

impl Router for VipList {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        let Event::Incoming = event else { return Ok(Plan::new()) };
        let caller = &context.from.address;
        let looked_up = look_up(caller);
        // Without the store a call still goes somewhere: to the desk.
        let looked_after_by = looked_up.unwrap_or_else(|Refused(why)| {
            eprintln!("vip-list: {why}"); // kept in the invocation's log, and shown by `spin up` alike
            None
        });
        Ok(plan(looked_after_by))
    }
}

tandem_function::router!(VipList, http);

/// Counts the call, and says who looks after the caller, if somebody does.
fn look_up(caller: &str) -> Result<Option<String>, Refused> {
    key_value::increment(&format!("calls/{caller}"), 1)?;
    let name = key_value::get(&format!("vip/{caller}"))?;
    Ok(name.and_then(|name| String::from_utf8(name).ok()).map(|name| name.trim().to_owned()))
}

fn plan(looked_after_by: Option<String>) -> Plan {
    let desk = ring(DESK).at_once().for_seconds(DESK_RINGS_SECONDS);
    let plan = Plan::new().ring_back();
    let plan = match looked_after_by {
        // A dial that nobody answers goes on with the plan's next step.
        Some(name) => plan.dial(ring([name]).for_seconds(FIRST_RINGS_SECONDS)),
        None => plan,
    };
    plan.dial(desk).reject(Cause::NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{Surroundings, call, decide};

    fn carol_calls() -> Plan {
        decide::<VipList>(call("carol", "desk"), Event::Incoming).unwrap()
    }

    #[test]
    fn a_caller_of_the_list_rings_their_own_person_first() {
        let (plan, after) = Surroundings::new().value("vip/carol", "bob\n").during(carol_calls);
        assert_eq!(plan, super::plan(Some("bob".into())));
        assert_eq!(plan.steps.len(), 4);
        assert_eq!(after.value_of("calls/carol"), Some(&b"1"[..]));
    }

    #[test]
    fn everybody_else_rings_the_desk_and_is_counted() {
        let (plan, after) = Surroundings::new().value("calls/carol", "41").during(carol_calls);
        assert_eq!(plan, super::plan(None));
        assert_eq!(after.value_of("calls/carol"), Some(&b"42"[..]));
    }

    #[test]
    fn a_store_that_fails_costs_the_order_not_the_call() {
        let (plan, _) = Surroundings::new().value("calls/carol", "many").during(carol_calls);
        assert_eq!(plan, super::plan(None));
    }
}

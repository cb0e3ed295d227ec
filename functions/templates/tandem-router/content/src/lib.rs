//! {{project-description}}.

use tandem_function::{Cause, Context, Error, Event, Plan, Router, ring};

/// The address that callers dial to reach the team.
const TEAM: &str = "team";

/// Who rings, all at once, when somebody calls the team.
const MEMBERS: [&str; 2] = ["alice", "bob"];

struct {{project-name | pascal_case}};

impl Router for {{project-name | pascal_case}} {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        match event {
            Event::Incoming if context.to == TEAM => {
                let members = ring(MEMBERS).at_once().for_seconds(20);
                Ok(Plan::new().ring_back().dial(members).reject_because(Cause::NoAnswer, "Nobody is free right now"))
            }
            Event::Incoming => Ok(Plan::new().ring_back().dial(ring([context.to]).for_seconds(30))),
            // No plan here consults, and the answer to `ended` is ignored.
            Event::Consulted(_) | Event::Ended(_) => Ok(Plan::new()),
        }
    }
}

tandem_function::router!({{project-name | pascal_case}}, http);

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::Step;
    use tandem_function::testing::{call, decide};

    #[test]
    fn the_team_rings_together() {
        let plan = decide::<{{project-name | pascal_case}}>(call("carol", TEAM), Event::Incoming).unwrap();
        assert_eq!(plan.steps[1], Step::Dial(ring(["alice", "bob"]).at_once().for_seconds(20)));
    }

    #[test]
    fn anybody_else_rings_directly() {
        let plan = decide::<{{project-name | pascal_case}}>(call("carol", "dave"), Event::Incoming).unwrap();
        assert_eq!(plan.steps[1], Step::Dial(ring(["dave"]).for_seconds(30)));
    }
}

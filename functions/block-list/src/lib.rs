//! A block list: refuses unwanted callers, and rings the dialled person for everybody else.

use tandem_function::{Cause, Context, Error, Event, Plan, Router, ring};

/// Who is refused: an address as it is, or, with `*` at the end, every address that begins so.
const BLOCKED: [&str; 4] = ["mallory", "spam.*", "+4990*", "sip:telemarketing@*"];

/// How long the dialled person rings, seconds.
const RING_SECONDS: u32 = 30;

struct BlockList;

impl Router for BlockList {
    async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        if is_blocked(&context.from.address) {
            return Ok(Plan::new().reject(Cause::Forbidden));
        }
        Ok(Plan::new().ring_back().dial(ring([context.to]).for_seconds(RING_SECONDS)))
    }
}

tandem_function::router!(BlockList, http);

fn is_blocked(caller: &str) -> bool {
    BLOCKED.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => caller.starts_with(prefix),
        None => caller == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{call, decide};

    #[test]
    fn patterns_match_whole_addresses_or_prefixes() {
        let table = [
            ("mallory", true),
            ("mallory2", false),
            ("spam.bot", true),
            ("spam", false),
            ("+499012345", true),
            ("+493012345", false),
            ("sip:telemarketing@example.org", true),
            ("alice", false),
        ];
        for (caller, blocked) in table {
            assert_eq!(is_blocked(caller), blocked, "{caller}");
        }
    }

    #[test]
    fn a_blocked_caller_is_forbidden_and_rings_nobody() {
        let plan = decide::<BlockList>(call("mallory", "alice"), Event::Incoming);
        assert_eq!(plan, Ok(Plan::new().reject(Cause::Forbidden)));
    }

    #[test]
    fn everybody_else_gets_through() {
        let plan = decide::<BlockList>(call("bob", "alice"), Event::Incoming);
        assert_eq!(plan, Ok(Plan::new().ring_back().dial(ring(["alice"]).for_seconds(30))));
    }
}

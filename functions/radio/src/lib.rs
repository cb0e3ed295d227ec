//! A radio: whoever dials `radio-…` listens to that station; its hosts speak.
//!
//! The hosts are the variable `hosts`, names separated by blanks. A station that nobody listens to yet can be spoken on, and one that nobody
//! speaks on can be listened to: whoever speaks is heard by all who are there then.

use tandem_function::{Cause, Context, Error, Event, Plan, Refused, Router, config};

struct Radio;

impl Router for Radio {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        let Event::Incoming = event else { return Ok(Plan::new()) };
        if !context.to.starts_with("radio-") {
            return Ok(Plan::new().reject(Cause::NotFound));
        }
        // Without the list everybody listens, and nobody speaks who should not.
        let hosts = config::get("hosts").unwrap_or_else(|Refused(why)| {
            eprintln!("radio: {why}"); // kept in the invocation's log, and shown by `spin up` alike
            None
        });
        let hosts = hosts.unwrap_or_default();
        let plan = match hosts.split_whitespace().any(|host| host == context.from.address) {
            true => Plan::new().broadcast(context.to),
            false => Plan::new().listen(context.to),
        };
        Ok(plan.hangup(Cause::Normal))
    }
}

tandem_function::router!(Radio, http);

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{Surroundings, call, decide};

    fn dials(who: &str, to: &str) -> Plan {
        let hosts = Surroundings::new().variable("hosts", "alice bob");
        hosts.during(|| decide::<Radio>(call(who, to), Event::Incoming).unwrap()).0
    }

    #[test]
    fn hosts_speak_and_others_listen() {
        assert_eq!(dials("bob", "radio-news"), Plan::new().broadcast("radio-news").hangup(Cause::Normal));
        assert_eq!(dials("carol", "radio-news"), Plan::new().listen("radio-news").hangup(Cause::Normal));
        assert_eq!(dials("bo", "radio-news"), Plan::new().listen("radio-news").hangup(Cause::Normal));
        assert_eq!(dials("bob", "news"), Plan::new().reject(Cause::NotFound));
    }

    #[test]
    fn without_a_list_nobody_speaks() {
        let (plan, _) = Surroundings::new().during(|| decide::<Radio>(call("alice", "radio-news"), Event::Incoming));
        assert_eq!(plan, Ok(Plan::new().listen("radio-news").hangup(Cause::Normal)));
    }
}

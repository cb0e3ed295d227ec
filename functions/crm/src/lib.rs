//! Asks a customer database who owns a caller, and rings that person; when the database is slow, broken or does not know the caller, the
//! whole team rings instead.
//!
//! Where the database is and how to sign in stand in the tenant's configuration: the variable `crm_url` and the secret `crm_token`. The
//! database's host must be among those that the function may reach: `tandem deploy --allow-host …`.

use tandem_function::fetch::Request;
use tandem_function::{Cause, Context, Error, Event, Plan, Refused, Router, config, ring};

/// Who answers callers without an owner.
const TEAM: [&str; 2] = ["alice", "bob"];

/// How long the owner rings, and the team, seconds.
const RING_SECONDS: u32 = 20;

/// How long the caller waits for the database, milliseconds: less than the function's own deadline.
const PATIENCE_MS: u32 = 300;

struct Crm;

impl Router for Crm {
    async fn route(context: Context, event: Event) -> Result<Plan, Error> {
        let Event::Incoming = event else { return Ok(Plan::new()) };
        let owner = owner(&context.from.address).unwrap_or_else(|Refused(why)| {
            eprintln!("crm: {why}"); // kept in the invocation's log, and shown by `spin up` alike
            None
        });
        let targets = owner.map_or_else(|| ring(TEAM), |owner| ring([owner]));
        Ok(Plan::new().ring_back().dial(targets.at_once().for_seconds(RING_SECONDS)).reject(Cause::NoAnswer))
    }
}

tandem_function::router!(Crm, http);

/// Who owns the caller, if the database knows.
fn owner(caller: &str) -> Result<Option<String>, Refused> {
    let url = config::get("crm_url")?.ok_or_else(|| Refused("the variable crm_url is not set".into()))?;
    let token = config::get("crm_token")?.ok_or_else(|| Refused("the secret crm_token is not set".into()))?;
    let request = Request::get(format!("{url}/callers/{}", escaped(caller)))
        .header("authorization", format!("Bearer {token}"))
        .wait_at_most_ms(PATIENCE_MS);
    let response = request.send()?;
    match response.status {
        200 => Ok(owner_in(&response.body)),
        404 => Ok(None),
        status => Err(Refused(format!("the database answers with status {status}"))),
    }
}

/// The `owner` of an answer such as `{"owner": "bob"}`.
fn owner_in(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(answer.get("owner")?.as_str()?.to_owned())
}

/// A caller's address as one segment of a URL's path (RFC 3986): whoever calls chooses it.
fn escaped(address: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    address.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_function::testing::{Surroundings, call, decide};
    use tandem_function::{Address, Step};

    const URL: &str = "https://crm.example.com/callers/%2B493012345";

    fn configured() -> Surroundings {
        Surroundings::new().variable("crm_url", "https://crm.example.com").variable("crm_token", "secret")
    }

    /// Who rings when +493012345 calls.
    fn rung(around: Surroundings) -> Vec<Address> {
        let (plan, _) = around.during(|| decide::<Crm>(call("+493012345", "sales"), Event::Incoming).unwrap());
        let Step::Dial(dial) = &plan.steps[1] else { panic!("{plan:?}") };
        dial.targets.iter().map(|target| target.address.clone()).collect()
    }

    #[test]
    fn the_owner_of_the_caller_rings() {
        assert_eq!(rung(configured().page(URL, 200, r#"{"owner": "dave"}"#)), [Address::User("dave".into())]);
    }

    #[test]
    fn whatever_is_wrong_with_the_database_the_team_rings() {
        let wrong = [
            configured().page(URL, 404, ""),
            configured().page(URL, 200, "<html>"),
            configured().page(URL, 200, r#"{"owner": 7}"#),
            configured().page(URL, 500, ""),
            configured(),
            Surroundings::new(),
        ];
        for around in wrong {
            assert_eq!(rung(around.clone()), TEAM.map(|user| Address::User(user.into())), "{around:?}");
        }
    }

    #[test]
    fn what_went_wrong_is_said() {
        let say = |around: Surroundings| around.during(|| owner("+493012345")).0.unwrap_err().0;
        assert!(say(configured().page(URL, 500, "")).contains("status 500"));
        assert!(say(configured()).contains("nobody answers"));
        assert!(say(Surroundings::new()).contains("crm_url is not set"));
    }

    #[test]
    fn a_callers_address_stays_one_segment() {
        assert_eq!(escaped("../admin?x=1"), "%2E%2E%2Fadmin%3Fx%3D1");
    }
}

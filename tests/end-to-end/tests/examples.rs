//! The examples that ask the world, as components in the host: what they make of what they find.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tandem_end_to_end::function;
use tandem_host::outside::{Bytes, HttpResponse, Outside, Question, Refusal, Reply};
use tandem_host::{Host, HostConfig, Invocation};
use tandem_switch::event::{Context, Event};
use tandem_switch::http_contract::Request;
use tandem_switch::plan::{Action, Dial, Order, Plan};

/// A small world: values, variables, and one server.
#[derive(Debug, Default)]
struct World {
    values: Mutex<BTreeMap<String, String>>,
    variables: BTreeMap<&'static str, &'static str>,
    /// What the server answers, by URL; no answer is a refusal.
    pages: BTreeMap<&'static str, (u16, &'static str)>,
}

impl World {
    fn value(&self, key: &str) -> Option<String> {
        self.values.lock().expect("nobody panics with it").get(key).cloned()
    }
}

#[async_trait::async_trait]
impl Outside for World {
    async fn ask(&self, question: Question) -> Reply {
        match question {
            Question::KvOpen { .. } => Reply::Done,
            Question::KvGet { key, .. } => Reply::Value(self.value(&key).map(|value| Bytes(value.into()))),
            Question::KvIncrement { key, by, .. } => {
                let sum = self.value(&key).and_then(|value| value.parse().ok()).unwrap_or(0) + by;
                self.values.lock().expect("nobody panics with it").insert(key, sum.to_string());
                Reply::Number(sum)
            }
            Question::Variable { name } => Reply::Text(self.variables.get(&name[..]).map(|&text| text.into())),
            Question::Http(request) => match self.pages.get(&request.url[..]) {
                Some(&(status, body)) => {
                    let signed_in = request.headers.contains(&("authorization".into(), "Bearer s3cret".into()));
                    assert!(signed_in, "{request:?}");
                    Reply::Response(HttpResponse { status, headers: Vec::new(), body: Bytes(body.into()) })
                }
                None => Reply::Refused(Refusal::TimedOut("the server".into())),
            },
            other => Reply::Refused(Refusal::Denied(format!("{other:?}"))),
        }
    }
}

/// Carol calls.
async fn invoke(package: &str, world: Arc<World>) -> anyhow::Result<Invocation> {
    let host = Host::new(HostConfig::default())?;
    let component = std::fs::read(function::component(package).await?)?;
    let function = host.load(&component)?;
    let sample = include_str!("../../../functions/templates/tandem-router/content/sample-event.json");
    let Request { context, .. } = serde_json::from_str(sample)?;
    let context: Context = context.into_owned();
    Ok(host.invoke_under(&function, &context, &Event::Incoming, host.conditions(world)).await)
}

/// Who rings, dial after dial.
fn rung(plan: Plan) -> Vec<Vec<String>> {
    let steps = plan.accept().expect("a plan that this gateway carries out").steps;
    let users = |step: &Action| match step {
        Action::Dial(Dial { order: Order::Rounds(rounds), .. }) => {
            Some(rounds.concat().iter().map(|user| user.as_str().to_owned()).collect())
        }
        _ => None,
    };
    steps.iter().filter_map(users).collect()
}

#[tokio::test]
async fn a_vip_rings_their_own_person_first_and_every_call_is_counted() -> anyhow::Result<()> {
    let world = Arc::new(World::default());
    world.values.lock().expect("nobody panics with it").insert("calls/carol".into(), "41".into());
    let invocation = invoke("vip-list", Arc::clone(&world)).await?;
    assert_eq!(rung(invocation.answer?), [["alice", "bob"]]);
    assert_eq!(world.value("calls/carol").as_deref(), Some("42"));

    world.values.lock().expect("nobody panics with it").insert("vip/carol".into(), "dave".into());
    let invocation = invoke("vip-list", Arc::clone(&world)).await?;
    assert_eq!(rung(invocation.answer?), [vec!["dave"], vec!["alice", "bob"]]);
    Ok(())
}

#[tokio::test]
async fn the_customer_database_says_who_rings_and_its_failure_costs_no_call() -> anyhow::Result<()> {
    let variables = BTreeMap::from([("crm_url", "https://crm.example.com"), ("crm_token", "s3cret")]);
    let url = "https://crm.example.com/callers/carol";
    let table = [
        (Some((200, r#"{"owner": "dave"}"#)), vec!["dave"], ""),
        (Some((404, "")), vec!["alice", "bob"], ""),
        (Some((503, "")), vec!["alice", "bob"], "status 503"),
        (None, vec!["alice", "bob"], url),
    ];
    for (page, expected, said) in table {
        let pages = page.map(|page| (url, page)).into_iter().collect();
        let world = World { variables: variables.clone(), pages, ..World::default() };
        let invocation = invoke("crm", Arc::new(world)).await?;
        assert!(invocation.log.text.contains(said), "{:?}", invocation.log);
        assert_eq!(rung(invocation.answer?), [expected], "{page:?}");
    }
    Ok(())
}

//! A small world for the guest `capable`: tables that answer what it asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tandem_host::outside::{Bytes, HttpRequest, HttpResponse, Outside, Question, Refusal, Reply};

/// One store `default`, a secret, a user, a queue, and a server that says what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Town {
    values: Mutex<BTreeMap<String, Bytes>>,
}

impl Town {
    fn answer(&self, question: Question) -> Reply {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        match question {
            Question::KvOpen { store } => match store.as_str() {
                "default" => Reply::Done,
                "closed" => Reply::Refused(Refusal::Denied(store)),
                _ => Reply::Refused(Refusal::NoSuch(store)),
            },
            Question::KvGet { key, .. } => Reply::Value(values.get(&key).cloned()),
            Question::KvSet { key, value, .. } => {
                values.insert(key, value);
                Reply::Done
            }
            Question::KvDelete { key, .. } => {
                values.remove(&key);
                Reply::Done
            }
            Question::KvExists { key, .. } => Reply::Truth(values.contains_key(&key)),
            Question::KvKeys { .. } => Reply::Keys { keys: values.keys().cloned().collect(), more: None },
            Question::KvIncrement { key, by, .. } => {
                let before = values.get(&key).map_or("0", |value| std::str::from_utf8(&value.0).unwrap());
                let sum = before.parse::<i64>().unwrap() + by;
                values.insert(key, Bytes(sum.to_string().into()));
                Reply::Number(sum)
            }
            Question::Variable { name } => Reply::Text((name == "secret").then(|| "xyzzy".into())),
            Question::Variables => Reply::Texts(vec![("secret".into(), "xyzzy".into())]),
            Question::Http(request) => served(&request),
            Question::Reachable { user } if user == "alice" => Reply::Number(2),
            Question::QueueLength { queue } if queue == "alice" => Reply::Number(-1),
            Question::Reachable { user: name }
            | Question::QueueLength { queue: name }
            | Question::RoomOccupancy { room: name } => Reply::Refused(Refusal::NoSuch(name)),
        }
    }
}

fn served(request: &HttpRequest) -> Reply {
    let refused = |refusal: fn(String) -> Refusal| Reply::Refused(refusal("on purpose".into()));
    match request.url.as_str() {
        "https://crm.example/who" => {
            let header = request.headers.iter().find(|(name, _)| name == "x-asked-by").map(|(_, value)| value);
            let asked = String::from_utf8_lossy(&request.body.0);
            let body = format!("{} {header:?} {asked} {:?}", request.method, request.timeout_ms);
            let headers = vec![("content-type".into(), "text/plain".into())];
            Reply::Response(HttpResponse { status: 200, headers, body: Bytes(body.into()) })
        }
        "https://denied.example/" => refused(Refusal::Denied),
        "https://slow.example/" => refused(Refusal::TimedOut),
        "https://large.example/" => refused(Refusal::TooLarge),
        "https://busy.example/" => refused(Refusal::OverLimit),
        _ => refused(Refusal::Failed),
    }
}

#[async_trait::async_trait]
impl Outside for Town {
    async fn ask(&self, question: Question) -> Reply {
        self.answer(question)
    }
}

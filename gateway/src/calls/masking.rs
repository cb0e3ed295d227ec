//! Keeps the values of a tenant's secrets out of what is kept and shown: each becomes `«secret:NAME»`.
//!
//! Found is a value as it is, as JSON text has it, and percent-encoded, anywhere in a text, in bytes, in bytes that are written as base64, and
//! in a header that signs in with name and password (`Basic …`).
//! Not found is a value that the function has changed: encoded in another way, cut up, or hashed.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_switch::event::{Context, Event, Verification};
use tandem_switch::exchange::ConsultFailure;

use crate::tenants::model::{InvocationRecord, Variables};

/// Shortest secret that is masked, bytes. A shorter one is everywhere by chance, and no secret.
const SECRET_BYTES_MIN: usize = 4;

/// How [`tandem_host::outside::Bytes`] that are no text look as JSON.
const CODED: &str = "base64";

/// Knows a tenant's secrets. Made anew when its variables change; searches are prepared when the first is wanted.
#[derive(Debug)]
pub struct Masks {
    variables: Arc<Variables>,
    search: OnceLock<Option<Search>>,
}

/// What to look for, and what to put in its place.
#[derive(Debug)]
struct Search {
    values: AhoCorasick,
    masks: Vec<String>,
}

impl Search {
    /// None when there is nothing to look for.
    fn of(variables: &Variables) -> Option<Self> {
        let secrets = variables.iter().filter(|(_, (value, secret))| *secret && value.len() >= SECRET_BYTES_MIN);
        let (mut values, mut masks) = (Vec::new(), Vec::new());
        for (name, (value, _)) in secrets {
            for spelling in spellings(value) {
                values.push(spelling);
                masks.push(format!("«secret:{name}»"));
            }
        }
        if values.is_empty() {
            return None;
        }
        // Of two secrets of which one begins with the other, the longer is masked whole. The automaton is built of what the store holds of
        // one tenant's variables, far below the library's own bounds.
        let values = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values).ok()?;
        Some(Self { values, masks })
    }
}

/// A value and what becomes of it in JSON and in URLs.
fn spellings(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let percent = url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
    let strict = percent.replace('+', "%20");
    let mut spellings = vec![value.to_owned(), json, percent, strict];
    spellings.retain(|spelling| spelling.len() >= SECRET_BYTES_MIN);
    spellings.sort();
    spellings.dedup();
    spellings
}

impl Masks {
    /// The secrets among these variables.
    pub fn new(variables: Arc<Variables>) -> Self {
        Self { variables, search: OnceLock::new() }
    }

    /// Whether they are the secrets of these very variables.
    pub fn are_of(&self, variables: &Arc<Variables>) -> bool {
        Arc::ptr_eq(&self.variables, variables)
    }

    fn search(&self) -> Option<&Search> {
        self.search.get_or_init(|| Search::of(&self.variables)).as_ref()
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.search() {
            Some(search) if search.values.is_match(text) => Cow::Owned(search.values.replace_all(text, &search.masks)),
            _ => Cow::Borrowed(text),
        }
    }

    /// The bytes without secrets.
    fn bytes(&self, bytes: &mut Vec<u8>) {
        if let Some(search) = self.search()
            && search.values.is_match(&*bytes)
        {
            *bytes = search.values.replace_all_bytes(bytes, &search.masks);
        }
    }

    /// The same failure, without secrets in the function's own words.
    pub fn failure(&self, failure: ConsultFailure) -> ConsultFailure {
        let masked = |text: String| self.text(&text).into_owned();
        match failure {
            ConsultFailure::Trapped(text) => ConsultFailure::Trapped(masked(text)),
            ConsultFailure::AnswerTooLarge(text) => ConsultFailure::AnswerTooLarge(masked(text)),
            ConsultFailure::PlanRefused(text) => ConsultFailure::PlanRefused(masked(text)),
            ConsultFailure::Refused(text) => ConsultFailure::Refused(masked(text)),
            ConsultFailure::Host(text) => ConsultFailure::Host(masked(text)),
            unchanged @ (ConsultFailure::NoFunction
            | ConsultFailure::DeadlineExceeded(_)
            | ConsultFailure::OutOfMemory(_)
            | ConsultFailure::Paused(_)
            | ConsultFailure::OverBudget(_)
            | ConsultFailure::Overloaded) => unchanged,
        }
    }

    /// A record that may be kept and shown. What does not fit its type any more without the secret (one that is a word of the
    /// contract) is left out rather than kept.
    pub fn record(&self, mut record: InvocationRecord) -> InvocationRecord {
        if self.search().is_none() {
            return record;
        }
        self.bytes(&mut record.context.state);
        record.context = self.data(&record.context).unwrap_or_else(|| blank(&record.context));
        record.event = self.data(&record.event).unwrap_or(Event::Incoming);
        record.plan = record.plan.and_then(|mut plan| {
            self.bytes(&mut plan.state);
            self.data(&plan)
        });
        record.trace = self.data(&record.trace).unwrap_or_default();
        record.failure = record.failure.map(|failure| self.text(&failure).into_owned());
        record.log = self.text(&record.log).into_owned();
        record
    }

    /// A sign-in with name and password (RFC 7617) without secrets; nothing when the text is none. It stays the sign-in that a replay makes
    /// of the masked secret.
    fn sign_in(&self, text: &str) -> Option<String> {
        let (scheme, coded) = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))?;
        let mut bytes = STANDARD.decode(coded.trim()).ok()?;
        self.bytes(&mut bytes);
        Some(format!("{scheme} {}", STANDARD.encode(bytes)))
    }

    fn data<T: Serialize + DeserializeOwned>(&self, data: &T) -> Option<T> {
        let mut value = serde_json::to_value(data).ok()?;
        self.value(&mut value);
        serde_json::from_value(value).ok()
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                if let Some(masked) = self.sign_in(text) {
                    *text = masked;
                } else if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(fields) => {
                let coded = fields.get(CODED).filter(|_| fields.len() == 1).and_then(Value::as_str);
                if let Some(mut bytes) = coded.and_then(|text| STANDARD.decode(text).ok()) {
                    self.bytes(&mut bytes);
                    fields.insert(CODED.into(), STANDARD.encode(bytes).into());
                } else {
                    fields.values_mut().for_each(|value| self.value(value));
                }
            }
        }
    }
}

/// What of a context cannot be a secret.
fn blank(context: &Context) -> Context {
    let mut context = context.clone();
    context.from.address.clear();
    context.from.display_name = None;
    context.from.verified_by = Verification::None;
    context.to.clear();
    context.headers.clear();
    context.state.clear();
    context
}

#[cfg(test)]
mod tests {
    use tandem_host::outside::{Bytes, HttpRequest, HttpResponse, Question, Reply};
    use tandem_host::{HostCall, Trace};
    use tandem_switch::plan::{Plan, Rejection, Step};

    use super::*;
    use crate::calls::test_kit::record;

    const SECRET: &str = "s3cr3t \"+key";

    fn masks(variables: &[(&str, &str, bool)]) -> Masks {
        let entry = |(name, value, secret): &(&str, &str, bool)| ((*name).into(), ((*value).into(), *secret));
        Masks::new(Arc::new(variables.iter().map(entry).collect()))
    }

    #[test]
    fn secrets_in_texts_become_their_names() {
        let masks = masks(&[
            ("api_key", SECRET, true),
            ("short", "abc", true),
            ("greeting", "hello", false),
            ("pin", "1234", true),
            ("long_pin", "123456", true),
        ]);
        let cases = [
            ("nothing here, abc hello", "nothing here, abc hello"),
            ("Bearer s3cr3t \"+key!", "Bearer «secret:api_key»!"),
            (r#"{"key":"s3cr3t \"+key"}"#, r#"{"key":"«secret:api_key»"}"#),
            ("?k=s3cr3t+%22%2Bkey", "?k=«secret:api_key»"),
            ("?k=s3cr3t%20%22%2Bkey", "?k=«secret:api_key»"),
            ("1234 123456 12345", "«secret:pin» «secret:long_pin» «secret:pin»5"),
        ];
        for (text, expected) in cases {
            assert_eq!(masks.text(text), expected);
        }
    }

    #[test]
    fn without_secrets_nothing_changes() {
        let masks = masks(&[("short", "abc", true), ("greeting", "hello", false)]);
        assert!(matches!(masks.text("abc hello"), Cow::Borrowed("abc hello")));
        assert_eq!(masks.record(record("front-desk", 1)), record("front-desk", 1));
    }

    #[test]
    fn a_secret_is_found_wherever_a_record_can_hold_one() {
        let binary = [&[0xff, 0xfe], SECRET.as_bytes(), &[0xff]].concat();
        let request = HttpRequest {
            method: "POST".into(),
            url: "https://api.example.com/?key=s3cr3t+%22%2Bkey".into(),
            headers: vec![
                ("authorization".into(), format!("Bearer {SECRET}")),
                ("authorization".into(), format!("Basic {}", STANDARD.encode(format!("desk:{SECRET}")))),
            ],
            body: Bytes(serde_json::to_string(&[SECRET]).unwrap().into()),
            timeout_ms: None,
        };
        let response = HttpResponse { status: 200, headers: vec![], body: Bytes(binary.into()) };
        let call = |question, reply| HostCall { question, reply, micros: 1 };
        let variable = Question::Variable { name: "api_key".into() };
        let plan = Plan {
            steps: vec![Step::Reject(Rejection {
                cause: tandem_switch::cause::Cause::Declined,
                reason: Some(SECRET.into()),
            })],
            state: SECRET.as_bytes().to_vec(),
        };
        let mut told = record("front-desk", 1);
        told.context.to = SECRET.into();
        told.context.state = SECRET.as_bytes().to_vec();
        told.context.headers.push(tandem_switch::event::Header { name: "x".into(), value: SECRET.into() });
        told.plan = Some(plan);
        told.failure = Some(format!("no {SECRET}"));
        told.log = format!("key is {SECRET}\n");
        told.trace = Trace {
            calls: vec![
                call(Question::Http(request), Reply::Response(response)),
                call(variable, Reply::Text(Some(SECRET.into()))),
            ],
            ..Trace::default()
        };
        let masked = masks(&[("api_key", SECRET, true)]).record(told);
        let text = serde_json::to_string(&masked).unwrap();
        assert_eq!(text.matches("«secret:api_key»").count(), 9, "three more are in bytes: {text}");
        let mask = "«secret:api_key»".as_bytes();
        assert_eq!(masked.context.state, mask);
        assert_eq!(masked.plan.unwrap().state, mask);
        let Reply::Response(response) = &masked.trace.calls[0].reply else { panic!("{text}") };
        assert_eq!(response.body.0, [&[0xff, 0xfe], mask, &[0xff]].concat());
        let Question::Http(request) = &masked.trace.calls[0].question else { panic!("{text}") };
        assert_eq!(request.headers[1].1, format!("Basic {}", STANDARD.encode("desk:«secret:api_key»")));
        for spelling in spellings(SECRET) {
            assert!(!text.contains(&spelling), "{spelling}: {text}");
        }
    }

    #[test]
    fn what_is_nothing_without_its_secret_is_left_out() {
        let masks = masks(&[("word", "consulted", true), ("party", "none", true)]);
        let mut told = record("front-desk", 1);
        told.plan = Some(Plan { steps: vec![Step::Redirect("consulted".into())], state: vec![] });
        told.event = Event::Consulted(tandem_switch::event::Consultation {
            tag: "consulted".into(),
            outcome: Default::default(),
        });
        let masked = masks.record(told);
        assert!(!serde_json::to_string(&masked.plan).unwrap().contains("\"consulted\""));
        assert_eq!(masked.event, Event::Incoming, "an outcome is the word `none`");
    }
}

//! Running a recorded invocation again, with the same version or another: the same clock readings, the same random numbers, and to an equal
//! question the recorded reply. Nothing reaches the world, and nothing changes in it.
//!
//! A question that was never recorded has no answer: it is refused, and noted, so that whoever reads the outcome knows that it is uncertain.
//! Key-value writes are the exception: they succeed, and what is written is kept for the replay's own reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_switch::event::{Context, Event};

use crate::capabilities::seed;
use crate::host::Host;
use crate::invoke::{Clock, Conditions, Invocation};
use crate::load::Function;
use crate::outside::{Bytes, Outside, Question, Refusal, Reply};
use crate::trace::{HostCall, Trace};

/// How much longer than an invocation a replay may take, so that a busy machine does not look like a slow function.
const PATIENCE: u32 = 10;

/// What a replay brought.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The answer, and what it cost this time.
    pub invocation: Invocation,
    /// What was asked and not recorded, so that nobody knows the answer, in the order of asking. While there is any, the outcome is
    /// uncertain.
    pub unrecorded: Vec<Question>,
}

impl Host {
    /// Asks a function again what was asked when `trace` was recorded. The same version comes to the same answer, unless it was ended by a
    /// limit. An invocation that never began has an empty trace, and its replay a seed of zeroes.
    pub async fn replay(&self, function: &Function, context: &Context, event: &Event, trace: &Trace) -> Replayed {
        let replay = Arc::new(Replay::new(trace));
        let conditions = Conditions {
            clock: Clock::Recorded(trace.clock.clone()),
            seed: seed(&trace.seed).unwrap_or_default(),
            cpu_time_max: self.limits().cpu_time_max.saturating_mul(PATIENCE),
            deadline: self.limits().deadline.saturating_mul(PATIENCE),
            ..self.conditions(replay.clone())
        };
        let invocation = self.invoke_under(function, context, event, conditions).await;
        let unrecorded = std::mem::take(&mut replay.state().unrecorded);
        Replayed { invocation, unrecorded }
    }
}

/// A world made of what was recorded.
#[derive(Debug)]
pub struct Replay(Mutex<State>);

/// A store's label and a key.
type Place = (String, String);

#[derive(Debug)]
struct State {
    calls: Vec<HostCall>,
    /// Which of them were asked again.
    used: BTreeSet<usize>,
    /// What the function wrote in this replay, as far as it is known; no value: it deleted the key.
    written: BTreeMap<Place, Written>,
    unrecorded: Vec<Question>,
}

#[derive(Clone, Debug)]
struct Written {
    value: Option<Bytes>,
    /// Whether the recorded version wrote the same there, so that its later reads hold as well.
    as_recorded: bool,
}

impl Replay {
    /// Answers from a trace.
    pub fn new(trace: &Trace) -> Self {
        let calls = trace.calls.clone();
        Self(Mutex::new(State { calls, used: BTreeSet::new(), written: BTreeMap::new(), unrecorded: Vec::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Outside for Replay {
    async fn ask(&self, question: Question) -> Reply {
        self.state().answer(question)
    }
}

impl State {
    fn answer(&mut self, question: Question) -> Reply {
        let written = place(&question).and_then(|place| self.written.get(&place));
        if let Some(written) = written.filter(|written| !written.as_recorded) {
            // The candidate has gone its own way at this key: what was recorded of it holds no more.
            let reply = own(&question, written.value.clone());
            self.note_write(&question, &reply, false);
            return reply;
        }
        if let Some(reply) = self.recorded(&question) {
            self.note_write(&question, &reply, true);
            return match &question {
                Question::KvKeys { store, after } => self.with_own_keys(reply, store, after.as_deref()),
                _ => reply,
            };
        }
        let known = place(&question).and_then(|place| self.written.get(&place)).map(|written| written.value.clone());
        let reply = match (&question, known) {
            (_, Some(value)) => own(&question, value),
            (Question::KvSet { .. } | Question::KvDelete { .. }, None) => Reply::Done,
            (_, None) => {
                self.unrecorded.push(question);
                return Reply::Refused(Refusal::NotRecorded);
            }
        };
        self.note_write(&question, &reply, false);
        reply
    }

    /// The reply to the first equal question that was not asked again yet; to a question that only reads, the last one once more.
    fn recorded(&mut self, question: &Question) -> Option<Reply> {
        let equal = |at: &usize| self.calls[*at].question == *question;
        let unused = (0..self.calls.len()).filter(equal).find(|at| !self.used.contains(at));
        let at = match unused {
            Some(at) => at,
            None if writes(question) => return None,
            None => (0..self.calls.len()).rfind(equal)?,
        };
        // A read that came after a write which the candidate has left out saw something that is not there now.
        if place(question).is_some() && !self.all_writes_are_done(at, place(question)) {
            return None;
        }
        self.used.insert(at);
        Some(self.calls[at].reply.clone())
    }

    fn all_writes_are_done(&self, before: usize, at: Option<Place>) -> bool {
        let undone = |(index, call): (usize, &HostCall)| {
            writes(&call.question)
                && !self.used.contains(&index)
                && !matches!(call.reply, Reply::Refused(_))
                && place(&call.question) == at
        };
        !self.calls[..before].iter().enumerate().any(undone)
    }

    /// Keeps what a write that succeeded has left behind.
    fn note_write(&mut self, question: &Question, reply: &Reply, as_recorded: bool) {
        let value = match (question, reply) {
            (Question::KvSet { value, .. }, Reply::Done) => Some(value.clone()),
            (Question::KvDelete { .. }, Reply::Done) => None,
            (Question::KvIncrement { .. }, Reply::Number(number)) => Some(Bytes(number.to_string().into())),
            _ => return,
        };
        if let Some(place) = place(question) {
            self.written.insert(place, Written { value, as_recorded });
        }
    }

    /// A recorded page of keys, with what the candidate alone has written or deleted.
    fn with_own_keys(&self, reply: Reply, store: &str, after: Option<&str>) -> Reply {
        let Reply::Keys { keys, more } = reply else { return reply };
        let mut keys: BTreeSet<String> = keys.into_iter().collect();
        let last = more.as_ref().and_then(|_| keys.last().cloned());
        for ((_, key), written) in self.written.iter().filter(|((of, _), written)| of == store && !written.as_recorded)
        {
            let on_this_page =
                after.is_none_or(|after| key.as_str() > after) && last.as_ref().is_none_or(|last| key <= last);
            match written.value {
                Some(_) if on_this_page => drop(keys.insert(key.clone())),
                Some(_) => {}
                None => drop(keys.remove(key)),
            }
        }
        Reply::Keys { keys: keys.into_iter().collect(), more }
    }
}

/// Which key a question is about.
fn place(question: &Question) -> Option<Place> {
    match question {
        Question::KvGet { store, key }
        | Question::KvSet { store, key, .. }
        | Question::KvDelete { store, key }
        | Question::KvExists { store, key }
        | Question::KvIncrement { store, key, .. } => Some((store.clone(), key.clone())),
        Question::KvKeys { .. }
        | Question::KvOpen { .. }
        | Question::Variable { .. }
        | Question::Variables
        | Question::Http(_)
        | Question::Reachable { .. }
        | Question::QueueLength { .. }
        | Question::RoomOccupancy { .. } => None,
    }
}

fn writes(question: &Question) -> bool {
    matches!(question, Question::KvSet { .. } | Question::KvDelete { .. } | Question::KvIncrement { .. })
}

/// The answer to a question about a key whose value is known.
fn own(question: &Question, value: Option<Bytes>) -> Reply {
    match question {
        Question::KvGet { .. } => Reply::Value(value),
        Question::KvExists { .. } => Reply::Truth(value.is_some()),
        Question::KvIncrement { by, .. } => {
            let text = value.map_or_else(|| b"0".to_vec(), |value| value.0.to_vec());
            let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
            match number.and_then(|number| number.checked_add(*by)) {
                Some(sum) => Reply::Number(sum),
                None => Reply::Refused(Refusal::Invalid("the value is no number that can be added to".into())),
            }
        }
        _ => Reply::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(key: &str) -> Question {
        Question::KvGet { store: "default".into(), key: key.into() }
    }

    fn set(key: &str, value: &str) -> Question {
        Question::KvSet { store: "default".into(), key: key.into(), value: bytes(value) }
    }

    fn add(key: &str, by: i64) -> Question {
        Question::KvIncrement { store: "default".into(), key: key.into(), by }
    }

    fn bytes(text: &str) -> Bytes {
        Bytes(text.to_owned().into())
    }

    fn value(text: &str) -> Reply {
        Reply::Value(Some(bytes(text)))
    }

    const REFUSED: Reply = Reply::Refused(Refusal::NotRecorded);

    /// What a replay of these calls answers to these questions, and how many of them nobody knows.
    async fn answers(calls: &[(Question, Reply)], questions: &[Question]) -> (Vec<Reply>, usize) {
        let calls = calls.iter().cloned().map(|(question, reply)| HostCall { question, reply, micros: 1 }).collect();
        let replay = Replay::new(&Trace { calls, ..Trace::default() });
        let mut replies = Vec::new();
        for question in questions {
            replies.push(replay.ask(question.clone()).await);
        }
        let unrecorded = replay.state().unrecorded.len();
        (replies, unrecorded)
    }

    #[tokio::test]
    async fn equal_questions_get_their_replies_in_order_and_the_last_one_again() {
        let recorded = [(get("a"), value("1")), (get("b"), value("x")), (get("a"), value("2"))];
        let asked = [get("b"), get("a"), get("a"), get("a")];
        assert_eq!(answers(&recorded, &asked).await, (vec![value("x"), value("1"), value("2"), value("2")], 0));
    }

    #[tokio::test]
    async fn what_was_never_recorded_is_refused_and_noted() {
        let asked = [get("b"), Question::Variables, add("n", 1)];
        assert_eq!(answers(&[(get("a"), value("1"))], &asked).await, (vec![REFUSED, REFUSED, REFUSED], 3));
    }

    #[tokio::test]
    async fn the_recorded_version_sees_what_it_saw() {
        // Another invocation added to the number meanwhile.
        let recorded = [
            (add("n", 1), Reply::Number(5)),
            (add("n", 1), Reply::Number(9)),
            (set("k", "v"), Reply::Done),
            (get("k"), value("other")),
        ];
        let asked: Vec<_> = recorded.iter().map(|(question, _)| question.clone()).collect();
        let replies = recorded.iter().map(|(_, reply)| reply.clone()).collect();
        assert_eq!(answers(&recorded, &asked).await, (replies, 0));
    }

    #[tokio::test]
    async fn a_candidate_reads_its_own_writes() {
        let recorded = [(get("k"), value("old"))];
        let delete = Question::KvDelete { store: "default".into(), key: "k".into() };
        let exists = Question::KvExists { store: "default".into(), key: "k".into() };
        let asked = [get("k"), set("k", "7"), get("k"), add("k", 1), get("k"), delete, exists, get("k")];
        let replies = vec![
            value("old"),
            Reply::Done,
            value("7"),
            Reply::Number(8),
            value("8"),
            Reply::Done,
            Reply::Truth(false),
            Reply::Value(None),
        ];
        assert_eq!(answers(&recorded, &asked).await, (replies, 0));
    }

    #[tokio::test]
    async fn a_read_after_a_write_that_is_left_out_is_not_known() {
        let recorded = [(set("k", "v"), Reply::Done), (get("k"), value("v"))];
        assert_eq!(answers(&recorded, &[get("k")]).await, (vec![REFUSED], 1));
    }

    #[tokio::test]
    async fn own_keys_are_listed_among_the_recorded_ones() {
        let keys = |after: Option<&str>| Question::KvKeys { store: "default".into(), after: after.map(Into::into) };
        let page = |keys: &[&str], more: Option<&str>| Reply::Keys {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            more: more.map(Into::into),
        };
        let recorded = [(keys(None), page(&["a", "d"], Some("d"))), (keys(Some("d")), page(&["f"], None))];
        let delete = Question::KvDelete { store: "default".into(), key: "a".into() };
        let asked = [set("c", "1"), set("e", "1"), delete, keys(None), keys(Some("d"))];
        let (replies, unrecorded) = answers(&recorded, &asked).await;
        assert_eq!(replies[3..], [page(&["c", "d"], Some("d")), page(&["e", "f"], None)]);
        assert_eq!(unrecorded, 0);
    }
}

//! The one way from a host function to the [`Outside`]: bounds what passes, and writes it down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::capabilities::clock::micros;
use crate::limits;
use crate::outside::{Outside, Question, Refusal, Reply};
use crate::trace::HostCall;

/// One invocation's door to the world. Clones are the same door.
#[derive(Clone)]
pub(crate) struct Door {
    outside: Arc<dyn Outside>,
    passed: Arc<Mutex<Passed>>,
}

/// What went through.
#[derive(Default)]
struct Passed {
    calls: Vec<HostCall>,
    /// What questions and replies have together.
    bytes: usize,
}

impl Passed {
    /// Adds `bytes`, unless that is too much.
    fn make_room(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > limits::HOST_CALL_BYTES_MAX {
            let max = limits::HOST_CALL_BYTES_MAX;
            return Err(Refusal::TooLarge(format!("{bytes} bytes in one host call; at most {max} are possible")));
        }
        let together = self.bytes + bytes;
        if together > limits::TRACE_BYTES_MAX {
            let max = limits::TRACE_BYTES_MAX;
            return Err(Refusal::OverLimit(format!("{max} bytes in all host calls of an invocation")));
        }
        self.bytes = together;
        Ok(())
    }
}

impl Door {
    pub(crate) fn new(outside: Arc<dyn Outside>) -> Self {
        Self { outside, passed: Arc::default() }
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the outside. What is too much is refused here, and not recorded when it was not asked at all: a replay refuses it again.
    pub(crate) async fn ask(&self, question: Question) -> Reply {
        let place = match self.admit(&question) {
            Ok(place) => place,
            Err(refusal) => return Reply::Refused(refusal),
        };
        let asked = Instant::now();
        let reply = self.outside.ask(question).await;
        self.keep(place, reply, micros(asked.elapsed()))
    }

    /// Writes the question down, and says where its reply goes.
    fn admit(&self, question: &Question) -> Result<usize, Refusal> {
        let mut passed = self.passed();
        if passed.calls.len() >= limits::HOST_CALLS_MAX {
            let max = limits::HOST_CALLS_MAX;
            return Err(Refusal::OverLimit(format!("{max} host calls of an invocation")));
        }
        passed.make_room(question.bytes())?;
        // What stands there when the invocation ends before the answer comes.
        let reply = Reply::Refused(Refusal::TimedOut("the invocation ended before the answer came".into()));
        passed.calls.push(HostCall { question: question.clone(), reply, micros: 0 });
        Ok(passed.calls.len() - 1)
    }

    fn keep(&self, place: usize, reply: Reply, micros: u64) -> Reply {
        let mut passed = self.passed();
        let reply = passed.make_room(reply.bytes()).map_or_else(Reply::Refused, |()| reply);
        // An answer that comes after the trace was taken is written nowhere.
        if let Some(call) = passed.calls.get_mut(place) {
            *call = HostCall { question: call.question.clone(), reply: reply.clone(), micros };
        }
        reply
    }

    /// What went through so far, in the order of the questions.
    pub(crate) fn take(&self) -> Vec<HostCall> {
        std::mem::take(&mut self.passed().calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::Bytes;

    /// Answers with so many bytes.
    struct Giving(usize);

    #[async_trait::async_trait]
    impl Outside for Giving {
        async fn ask(&self, _question: Question) -> Reply {
            Reply::Value(Some(Bytes(vec![b'x'; self.0].into())))
        }
    }

    fn get(key: &str) -> Question {
        Question::KvGet { store: "default".into(), key: key.into() }
    }

    #[tokio::test]
    async fn what_passes_is_written_down_in_order() {
        let door = Door::new(Arc::new(Giving(1)));
        for key in ["a", "b"] {
            door.ask(get(key)).await;
        }
        let asked: Vec<_> = door.take().into_iter().map(|call| call.question).collect();
        assert_eq!(asked, [get("a"), get("b")]);
    }

    #[tokio::test]
    async fn a_call_too_many_is_refused_and_not_asked() {
        let door = Door::new(Arc::new(Giving(1)));
        for _ in 0..limits::HOST_CALLS_MAX {
            assert!(matches!(door.ask(get("a")).await, Reply::Value(Some(_))));
        }
        assert!(matches!(door.ask(get("a")).await, Reply::Refused(Refusal::OverLimit(_))));
        assert_eq!(door.take().len(), limits::HOST_CALLS_MAX);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_both_ways() {
        let question = Door::new(Arc::new(Giving(1)));
        let key = "k".repeat(limits::HOST_CALL_BYTES_MAX + 1);
        assert!(matches!(question.ask(get(&key)).await, Reply::Refused(Refusal::TooLarge(_))));
        assert!(question.take().is_empty());
        let reply = Door::new(Arc::new(Giving(limits::HOST_CALL_BYTES_MAX + 1)));
        let told = reply.ask(get("a")).await;
        assert!(matches!(told, Reply::Refused(Refusal::TooLarge(_))));
        assert_eq!(reply.take()[0].reply, told);
    }

    #[tokio::test]
    async fn all_calls_together_are_bounded() {
        let door = Door::new(Arc::new(Giving(limits::HOST_CALL_BYTES_MAX)));
        let mut given = 0;
        while let Reply::Value(Some(bytes)) = door.ask(get("a")).await {
            given += bytes.0.len();
        }
        assert!(given <= limits::TRACE_BYTES_MAX);
        assert!(given + limits::HOST_CALL_BYTES_MAX + limits::HOST_CALLS_MAX * 8 > limits::TRACE_BYTES_MAX);
    }

    /// Never answers.
    struct Silent;

    #[async_trait::async_trait]
    impl Outside for Silent {
        async fn ask(&self, _question: Question) -> Reply {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_question_without_an_answer_is_in_the_trace() {
        let door = Door::new(Arc::new(Silent));
        let mut asking = Box::pin(door.ask(get("a")));
        assert!(futures_poll(asking.as_mut()).is_none());
        drop(asking);
        let calls = door.take();
        assert_eq!(calls[0].question, get("a"));
        assert!(matches!(calls[0].reply, Reply::Refused(Refusal::TimedOut(_))));
    }

    fn futures_poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}

//! What was seen of each call, so that nothing is told twice after a resume.

use std::collections::VecDeque;

use tandem_switch::signal::{CallEvent, Happening, Seen};

use crate::limits;

/// The last event of each call, of at most [`limits::SEEN_CALLS_MAX`] calls.
#[derive(Debug, Default)]
pub(crate) struct SeenCalls {
    /// From the call that was silent longest to the one that was heard of last.
    calls: VecDeque<LastSeen>,
}

#[derive(Debug)]
struct LastSeen {
    seen: Seen,
    over: bool,
}

impl SeenCalls {
    /// Whether an event was not told before; remembers it.
    pub(crate) fn is_new(&mut self, event: &CallEvent) -> bool {
        if let Some(place) = self.calls.iter().position(|last| last.seen.call == event.call) {
            if event.n <= self.calls[place].seen.n {
                return false;
            }
            self.calls.remove(place);
        } else if self.calls.len() >= limits::SEEN_CALLS_MAX {
            self.forget_one();
        }
        let seen = Seen { call: event.call, n: event.n };
        self.calls.push_back(LastSeen { seen, over: matches!(event.what, Happening::Ended { .. }) });
        true
    }

    /// Forgets the call that has been over longest; a live one only when there are more than the gateway allows.
    fn forget_one(&mut self) {
        let over = self.calls.iter().position(|last| last.over);
        self.calls.remove(over.unwrap_or(0));
    }

    /// For a resume.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.calls.iter().map(|last| last.seen).collect()
    }

    /// The calls of a session that did not go on.
    pub(crate) fn clear(&mut self) {
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use tandem_switch::cause::Cause;
    use tandem_switch::id::CallId;

    use super::*;

    fn ringing(call: u128, n: u32) -> CallEvent {
        CallEvent { call: CallId(call), n, what: Happening::Ringing }
    }

    fn ended(call: u128, n: u32) -> CallEvent {
        let what = Happening::Ended { cause: Cause::Normal, reason: None };
        CallEvent { call: CallId(call), n, what }
    }

    #[test]
    fn an_event_is_new_once() {
        let mut seen = SeenCalls::default();
        assert!(seen.is_new(&ringing(1, 1)) && seen.is_new(&ended(1, 2)) && seen.is_new(&ringing(2, 1)));
        assert!(!seen.is_new(&ringing(1, 1)) && !seen.is_new(&ended(1, 2)));
        assert_eq!(seen.all(), [Seen { call: CallId(1), n: 2 }, Seen { call: CallId(2), n: 1 }]);
    }

    #[test]
    fn every_call_that_the_gateway_may_tell_of_again_is_remembered() {
        let kept = tandem_switch::limits::EVENT_LOG_MAX as u128;
        let mut seen = SeenCalls::default();
        let live = 1..=tandem_switch::limits::CALLS_PER_SESSION_MAX as u128;
        live.clone().for_each(|call| assert!(seen.is_new(&ringing(call, 1))));
        let others = 1000..1000 + 3 * kept;
        others.clone().for_each(|call| assert!(seen.is_new(&ended(call, 1))));
        others.rev().take(kept as usize).for_each(|call| assert!(!seen.is_new(&ended(call, 1)), "told again"));
        live.for_each(|call| assert!(!seen.is_new(&ringing(call, 1)), "a live call is not forgotten"));
        assert_eq!(seen.all().len(), limits::SEEN_CALLS_MAX);
    }
}

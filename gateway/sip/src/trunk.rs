//! Which gateway is asked next: of a trunk's gateways, and of trunks. Priorities come first, weights decide among equals (as RFC 2782
//! does for servers), and who is known not to answer is asked last.
//!
//! [`order`] is a plain function: what there is, and a seed. [`Health`] is a machine for each gateway: told how it answers, it says when
//! to ask it again and whether it counts as up.

use std::time::Duration;

use tandem_switch::time::Instant;

use crate::limits;

/// Something that a call can be tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// Whose it is.
    pub id: Id,
    /// The lowest is tried first.
    pub priority: u16,
    /// Among equals of a priority, how often it comes first; 0 comes first only where all others are 0 too.
    pub weight: u16,
    /// Whether it is known to answer.
    pub is_up: bool,
}

/// The order in which they are tried, at most [`limits::ATTEMPTS_MAX`] of them. The same seed gives the same order.
pub fn order<Id: Copy>(candidates: &[Candidate<Id>], seed: u64) -> Vec<Id> {
    let mut rest = candidates.to_vec();
    // Stable: what was named first is first among those of equal weight 0.
    rest.sort_by_key(|candidate| (!candidate.is_up, candidate.priority));
    let (mut ordered, mut draws) = (Vec::new(), Draws(seed));
    while ordered.len() < limits::ATTEMPTS_MAX
        && let Some(first) = rest.first().copied()
    {
        let equals =
            rest.iter().take_while(|other| (other.is_up, other.priority) == (first.is_up, first.priority)).count();
        let total: u64 = rest[..equals].iter().map(|candidate| u64::from(candidate.weight)).sum();
        let drawn = draws.next_below(total);
        let chosen = rest[..equals].iter().scan(0, |sum, candidate| {
            *sum += u64::from(candidate.weight);
            Some(*sum)
        });
        let chosen = chosen.enumerate().find(|&(_, sum)| sum > drawn).map_or(0, |(index, _)| index);
        ordered.push(rest.remove(chosen).id);
    }
    ordered
}

/// SplitMix64: a seed's numbers, spread well enough to share calls out.
struct Draws(u64);

impl Draws {
    fn next_below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

/// What is heard of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Any answer to OPTIONS, and a call that it did not fail: it is there.
    Answer,
    /// No answer, or a failure of its own (5xx) without a wish.
    Failure,
    /// 503 with `Retry-After`: it wants to be left alone for so long.
    Busy(Duration),
}

/// What is to be done, or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send OPTIONS; the answer, or its absence, is the next input.
    Ask,
    /// It counts as up from now on.
    Up,
    /// It counts as down from now on.
    Down,
}

/// Whether one gateway counts as up: hard to lose, harder to win back.
#[derive(Clone, Debug)]
pub struct Health {
    is_up: bool,
    /// Answers in a row while it is down, failures in a row while it is up.
    against: u32,
    busy_until: Option<Instant>,
    ask_at: Instant,
    outputs: Vec<Output>,
}

impl Health {
    /// Taken to be up until it proves otherwise, and asked at once.
    pub fn new(now: Instant) -> Self {
        Self { is_up: true, against: 0, busy_until: None, ask_at: now, outputs: Vec::new() }
    }

    /// Whether calls shall be tried on it before others.
    pub fn is_up(&self, now: Instant) -> bool {
        self.is_up && self.busy_until.is_none_or(|until| until <= now)
    }

    /// Takes what is heard of it.
    pub fn handle(&mut self, now: Instant, heard: Heard) {
        match heard {
            Heard::Busy(wish) => {
                self.busy_until = Some(now + wish.min(limits::RETRY_AFTER_MAX));
                // Whoever says that it is busy is there.
                self.count(true);
            }
            Heard::Answer => self.count(true),
            Heard::Failure => self.count(false),
        }
        let interval = if self.is_up { limits::HEALTH_INTERVAL } else { limits::HEALTH_INTERVAL_DOWN };
        self.ask_at = now + interval;
    }

    fn count(&mut self, answered: bool) {
        if answered == self.is_up {
            self.against = 0;
            return;
        }
        self.against += 1;
        let enough = if self.is_up { limits::FAILURES_TO_DOWN } else { limits::ANSWERS_TO_UP };
        if self.against >= enough {
            self.is_up = answered;
            self.against = 0;
            self.outputs.push(if answered { Output::Up } else { Output::Down });
        }
    }

    /// When it is to be asked next.
    pub fn poll_timeout(&self) -> Instant {
        self.ask_at
    }

    /// The time has come, or has not.
    pub fn timeout(&mut self, now: Instant) {
        if now >= self.ask_at {
            self.outputs.push(Output::Ask);
            // Should neither answer nor failure be told, it is asked again all the same.
            self.ask_at = now + limits::HEALTH_INTERVAL;
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        (!self.outputs.is_empty()).then(|| self.outputs.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u8, priority: u16, weight: u16) -> Candidate<u8> {
        Candidate { id, priority, weight, is_up: true }
    }

    #[test]
    fn priorities_first_those_that_are_down_last() {
        let down = Candidate { is_up: false, ..candidate(1, 1, 10) };
        let candidates = [candidate(3, 20, 1), down, candidate(2, 10, 1)];
        for seed in 0..100 {
            assert_eq!(order(&candidates, seed), [2, 3, 1], "{seed}");
        }
        assert!(order::<u8>(&[], 1).is_empty());
        assert_eq!(order(&[candidate(1, 1, 1); 20], 1).len(), limits::ATTEMPTS_MAX);
    }

    #[test]
    fn weights_share_calls_out() {
        let candidates = [candidate(1, 1, 3), candidate(2, 1, 1), candidate(0, 1, 0)];
        let first = (0..4000).map(|seed| order(&candidates, seed)[0]).collect::<Vec<_>>();
        let share = |id| first.iter().filter(|first| **first == id).count();
        assert!((2850..3150).contains(&share(1)), "{}", share(1));
        assert_eq!((share(0), share(1) + share(2)), (0, 4000));
        assert_eq!(order(&candidates, 7), order(&candidates, 7), "a seed's order is its own");
        let weightless = [candidate(1, 1, 0), candidate(2, 1, 0)];
        assert_eq!(order(&weightless, 9), [1, 2]);
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn three_failures_take_it_down_two_answers_bring_it_back() {
        use Heard::{Answer, Failure};
        let mut health = Health::new(at(0));
        let heard = [Failure, Failure, Answer, Failure, Failure, Failure, Answer, Failure, Answer, Answer];
        let up = [true, true, true, true, true, false, false, false, false, true];
        for (heard, up) in heard.into_iter().zip(up) {
            health.handle(at(1), heard);
            assert_eq!(health.is_up(at(1)), up);
        }
        let outputs: Vec<_> = std::iter::from_fn(|| health.poll()).collect();
        assert_eq!(outputs, [Output::Down, Output::Up]);
    }

    #[test]
    fn it_is_asked_at_once_and_sooner_while_it_is_down() {
        let mut health = Health::new(at(5));
        health.timeout(at(4));
        assert_eq!(health.poll(), None);
        health.timeout(at(5));
        assert_eq!(health.poll(), Some(Output::Ask));
        health.handle(at(6), Heard::Answer);
        assert_eq!(health.poll_timeout(), at(6) + limits::HEALTH_INTERVAL);
        for _ in 0..limits::FAILURES_TO_DOWN {
            health.handle(at(7), Heard::Failure);
        }
        assert_eq!(health.poll_timeout(), at(7) + limits::HEALTH_INTERVAL_DOWN);
    }

    #[test]
    fn who_wants_to_be_left_alone_is_for_a_while() {
        let mut health = Health::new(at(0));
        health.handle(at(0), Heard::Busy(Duration::from_secs(20)));
        assert!(!health.is_up(at(19)) && health.is_up(at(20)));
        health.handle(at(20), Heard::Busy(Duration::MAX));
        assert!(health.is_up(at(20) + limits::RETRY_AFTER_MAX));
        assert_eq!(health.poll(), None, "it never was down");
    }
}

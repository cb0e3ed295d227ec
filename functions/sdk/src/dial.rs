//! Building a `dial` step.

use crate::{Address, AfterAnswer, AudioSource, DialStep, DialStrategy, DialTarget};

/// How long a dial rings unless told otherwise, milliseconds: six rings, as telephones do.
const RING_TIMEOUT_MS: u32 = 30_000;

/// A dial that rings these users, all at once, for 30 s.
///
/// ```
/// use tandem_function::ring;
/// let step = ring(["alice", "bob"]).one_after_another().for_seconds(15).then_go_on();
/// assert_eq!(step.targets.len(), 2);
/// ```
pub fn ring<User: Into<String>>(users: impl IntoIterator<Item = User>) -> DialStep {
    let target = |user: User| DialTarget { address: Address::User(user.into()), round: 0, weight: 0 };
    DialStep {
        targets: users.into_iter().map(target).collect(),
        strategy: DialStrategy::AtOnce,
        ring_timeout: RING_TIMEOUT_MS,
        max_duration: None,
        caller_id: None,
        whisper: None,
        confirm_key: None,
        after_answer: AfterAnswer::HangUp,
    }
}

/// A dial that rings these users one after another, in a random order: who has twice the weight is twice as likely to be next.
///
/// ```
/// use tandem_function::ring_weighted;
/// let step = ring_weighted([("senior", 3), ("junior", 1)]).for_seconds(15);
/// assert_eq!(step.targets[0].weight, 3);
/// ```
pub fn ring_weighted<User: Into<String>>(users: impl IntoIterator<Item = (User, u16)>) -> DialStep {
    let (users, weights): (Vec<User>, Vec<u16>) = users.into_iter().unzip();
    let mut step = ring(users);
    for (target, weight) in step.targets.iter_mut().zip(weights) {
        target.weight = weight;
    }
    DialStep { strategy: DialStrategy::Weighted, ..step }
}

impl DialStep {
    /// All ring together; whoever answers first gets the call.
    pub fn at_once(self) -> Self {
        Self { strategy: DialStrategy::AtOnce, ..self }
    }

    /// They ring in the order of the list, each for the ring timeout.
    pub fn one_after_another(self) -> Self {
        Self { strategy: DialStrategy::OneAfterAnother, ..self }
    }

    /// Adds users that ring together once all those before them have rung in vain.
    pub fn then<User: Into<String>>(mut self, users: impl IntoIterator<Item = User>) -> Self {
        let round = self.targets.iter().map(|target| target.round).max().unwrap_or(0).saturating_add(1);
        let target = |user: User| DialTarget { address: Address::User(user.into()), round, weight: 0 };
        self.targets.extend(users.into_iter().map(target));
        Self { strategy: DialStrategy::Rounds, ..self }
    }

    /// How long each attempt rings: each target of `one_after_another`, each round.
    pub fn for_seconds(self, seconds: u32) -> Self {
        Self { ring_timeout: seconds.saturating_mul(1000), ..self }
    }

    /// The longest that the parties may talk.
    pub fn at_most_minutes(self, minutes: u32) -> Self {
        Self { max_duration: Some(minutes.saturating_mul(60_000)), ..self }
    }

    /// What the callee sees instead of the caller's own address.
    pub fn show_caller_as(self, caller_id: impl Into<String>) -> Self {
        Self { caller_id: Some(caller_id.into()), ..self }
    }

    /// What only the callee hears before being connected.
    pub fn whisper(self, sound: impl Into<AudioSource>) -> Self {
        Self { whisper: Some(sound.into()), ..self }
    }

    /// The callee must press this key before being connected, while the others ring on: so that no answering machine takes the call.
    pub fn confirmed_by(self, key: char) -> Self {
        Self { confirm_key: Some(key), ..self }
    }

    /// The plan goes on with its next step when the callee hangs up first, rather than end the call.
    pub fn then_go_on(self) -> Self {
        Self { after_answer: AfterAnswer::GoOn, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_numbered_as_they_are_added() {
        let step = ring(["a", "b"]).then(["c"]).then(["d"]);
        assert_eq!(step.strategy, DialStrategy::Rounds);
        assert_eq!(step.targets.iter().map(|target| target.round).collect::<Vec<_>>(), [0, 0, 1, 2]);
    }

    #[test]
    fn each_user_keeps_its_weight() {
        let step = ring_weighted([("a", 3), ("b", 1)]).whisper("hello").confirmed_by('1');
        assert_eq!(step.strategy, DialStrategy::Weighted);
        assert_eq!(step.targets.iter().map(|target| target.weight).collect::<Vec<_>>(), [3, 1]);
        assert_eq!((step.whisper, step.confirm_key), (Some("hello".into()), Some('1')));
    }

    #[test]
    fn spans_are_milliseconds_and_do_not_overflow() {
        let step = ring(["a"]).for_seconds(20).at_most_minutes(2);
        assert_eq!((step.ring_timeout, step.max_duration), (20_000, Some(120_000)));
        assert_eq!(ring(["a"]).for_seconds(u32::MAX).ring_timeout, u32::MAX);
    }
}

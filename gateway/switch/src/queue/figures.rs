//! How well a queue served its callers since the node started.

use std::time::Duration;

use super::interface::Exit;

/// Upper bounds of the buckets of [`Figures::waits`], seconds; the last bucket, after them, has none.
pub const WAIT_BOUNDS_SECONDS: [u64; 11] = [1, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];

/// How much a new call weighs in the mean handling time: 1/8, as a new round trip does in TCP's (RFC 6298 section 2).
const NEW_CALL_WEIGHT: u32 = 8;

/// Counts since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Callers who joined, those who were refused at once included.
    pub joined: u64,
    /// Callers whom an agent took.
    pub answered: u64,
    /// Of them, those within the service level's time.
    pub answered_in_time: u64,
    /// Callers who hung up while they waited.
    pub abandoned: u64,
    /// Callers whose longest wait was over.
    pub timed_out: u64,
    /// Callers who were refused because too many waited.
    pub full: u64,
    /// Callers who left because nobody who could serve them was logged on.
    pub no_agents: u64,
    /// Callers who left by the exit key.
    pub left_by_key: u64,
    /// Callers who left because the queue was removed.
    pub removed: u64,
    /// How long those waited who were answered: how many in each bucket of [`WAIT_BOUNDS_SECONDS`], and in the one above.
    pub waits: [u64; WAIT_BOUNDS_SECONDS.len() + 1],
    /// The sum of their waits.
    pub waited: Duration,
    /// The longest of them.
    pub longest_wait: Duration,
    /// How long a call takes its agent, talk and wrap-up: an exponential mean.
    pub mean_handling: Option<Duration>,
}

impl Figures {
    /// The mean wait of those who were answered.
    pub fn mean_wait(&self) -> Option<Duration> {
        let answered = u32::try_from(self.answered).unwrap_or(u32::MAX);
        self.waited.checked_div(answered)
    }

    pub(super) fn answered(&mut self, waited: Duration, service_level: Duration) {
        self.answered += 1;
        self.answered_in_time += u64::from(waited <= service_level);
        let bucket = WAIT_BOUNDS_SECONDS.partition_point(|bound| waited > Duration::from_secs(*bound));
        self.waits[bucket] += 1;
        self.waited += waited;
        self.longest_wait = self.longest_wait.max(waited);
    }

    pub(super) fn handled(&mut self, handling: Duration) {
        self.mean_handling = Some(match self.mean_handling {
            None => handling,
            Some(mean) => (mean * (NEW_CALL_WEIGHT - 1) + handling) / NEW_CALL_WEIGHT,
        });
    }

    /// Counts a caller who left without an agent.
    pub(super) fn left(&mut self, exit: &Exit) {
        match exit {
            Exit::TimedOut => self.timed_out += 1,
            Exit::Full => self.full += 1,
            Exit::NoAgents => self.no_agents += 1,
            Exit::Key(_) => self.left_by_key += 1,
            Exit::Removed => self.removed += 1,
            // Counted by `answered`; and what does not exist counts nothing.
            Exit::Connected(_) | Exit::NoSuchQueue => {}
        }
    }
}

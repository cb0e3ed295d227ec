//! How a queue works, as its tenant set it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::limits;

/// Skills and how good somebody is at each (0 to 255), or how good one has to be at least.
pub type Skills = BTreeMap<String, u8>;

/// Whom a caller is offered to, of those who are free and have the skills that the caller needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All of them; who answers first gets the call.
    RingAll,
    /// Who has had no call for the longest time.
    #[default]
    LongestIdle,
    /// Each in turn, by name.
    RoundRobin,
    /// Who answered the fewest calls of this queue since logging on.
    FewestCalls,
    /// Anybody.
    Random,
    /// Who is best at what the caller needs: the highest sum of levels.
    Skills,
}

/// What happens to callers while no agent who could serve them is logged on. Agents who are paused count: they come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenEmpty {
    /// They leave with [`super::Exit::NoAgents`].
    #[default]
    Leave,
    /// They wait.
    Wait,
}

/// A queue's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whom a caller is offered to.
    pub strategy: Strategy,
    /// Who may log on, with their skills.
    pub agents: BTreeMap<UserId, Skills>,
    /// How long an agent's devices ring.
    pub ring_time: Duration,
    /// How long an agent is left alone after a call.
    pub wrap_up: Duration,
    /// Most callers who wait at once.
    pub callers_max: usize,
    /// The longest wait; a plan may ask for less.
    pub max_wait: Duration,
    /// How often a caller is told its position after the first time; `None`: not again.
    pub announce_every: Option<Duration>,
    /// The prompt that callers hear while they wait, unless the plan names another.
    pub music: Option<String>,
    /// A key by which a caller leaves the queue.
    pub exit_key: Option<char>,
    /// After how many missed calls in a row an agent is set aside; 0: never.
    pub misses_max: u32,
    /// Who is answered within this time was answered in time.
    pub service_level: Duration,
    /// What happens while nobody is logged on.
    pub when_empty: WhenEmpty,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            agents: BTreeMap::new(),
            ring_time: Duration::from_secs(20),
            wrap_up: Duration::from_secs(10),
            callers_max: 100,
            max_wait: Duration::from_mins(10),
            announce_every: Some(Duration::from_secs(30)),
            music: None,
            exit_key: None,
            misses_max: 3,
            service_level: Duration::from_secs(20),
            when_empty: WhenEmpty::Leave,
        }
    }
}

/// A setting that is out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` {what}")]
pub struct BadSettings {
    /// Which.
    pub setting: &'static str,
    /// What was wrong, and what would be right.
    pub what: String,
}

impl Settings {
    /// Checks every bound.
    ///
    /// # Errors
    /// Names the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), BadSettings> {
        span("ring-time", self.ring_time, limits::RING_TIMEOUT_MIN, limits::RING_TIMEOUT_MAX)?;
        span("wrap-up", self.wrap_up, Duration::ZERO, limits::QUEUE_WRAP_UP_MAX)?;
        span("max-wait", self.max_wait, limits::QUEUE_WAIT_MIN, limits::QUEUE_WAIT_MAX)?;
        span("service-level", self.service_level, limits::QUEUE_WAIT_MIN, limits::QUEUE_WAIT_MAX)?;
        if let Some(every) = self.announce_every {
            span("announce-every", every, limits::QUEUE_ANNOUNCE_MIN, limits::QUEUE_ANNOUNCE_MAX)?;
        }
        let bad = |setting, what| Err(BadSettings { setting, what });
        if self.callers_max == 0 || self.callers_max > limits::QUEUE_CALLERS_MAX {
            return bad("callers-max", format!("must be 1 to {}; got {}", limits::QUEUE_CALLERS_MAX, self.callers_max));
        }
        if self.agents.len() > limits::QUEUE_AGENTS_MAX {
            let got = self.agents.len();
            return bad("agents", format!("names at most {} agents; got {got}", limits::QUEUE_AGENTS_MAX));
        }
        if let Some(key) = self.exit_key
            && !matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
        {
            return bad("exit-key", format!("must be one of 0-9, *, #, A-D; got {key:?}"));
        }
        if let Some(music) =
            self.music.as_deref().filter(|music| music.is_empty() || music.len() > limits::NAME_BYTES_MAX)
        {
            let max = limits::NAME_BYTES_MAX;
            return bad("music", format!("must be a prompt's name of 1 to {max} bytes; got {}", music.len()));
        }
        self.agents.values().try_for_each(check_skills)
    }
}

/// Checks skills that an agent has, or that a caller needs.
///
/// # Errors
/// When there are too many, or a name is none.
pub(crate) fn check_skills(skills: &Skills) -> Result<(), BadSettings> {
    let bad = |what| Err(BadSettings { setting: "skills", what });
    if skills.len() > limits::SKILLS_MAX {
        return bad(format!("has at most {} of them; got {}", limits::SKILLS_MAX, skills.len()));
    }
    match skills.keys().find(|name| name.is_empty() || name.len() > limits::NAME_BYTES_MAX) {
        Some(name) => bad(format!("has names of 1 to {} bytes; got one of {}", limits::NAME_BYTES_MAX, name.len())),
        None => Ok(()),
    }
}

fn span(setting: &'static str, span: Duration, min: Duration, max: Duration) -> Result<(), BadSettings> {
    if span < min || span > max {
        let what = format!("must be {} to {} s; got {} s", min.as_secs(), max.as_secs(), span.as_secs_f64());
        return Err(BadSettings { setting, what });
    }
    Ok(())
}

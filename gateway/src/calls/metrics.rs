//! What is counted about calls.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// A word of `Cause`.
    pub cause: &'static str,
}

/// What a consultation brought.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnswerLabel {
    /// `plan`, or what went wrong.
    pub answer: &'static str,
}

/// What a call went on with when its function failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct InsteadLabel {
    /// `last-good-version`, `default-plan` or `rejection`.
    pub instead: &'static str,
}

/// What was found out about a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FindingLabel {
    /// `good`, `rolled-back` or `paused`.
    pub finding: &'static str,
}

/// What kind of error a client was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// A word of `ErrorCode`.
    pub code: String,
}

/// Counters of the call driver.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    /// Calls that began.
    pub started: Counter,
    /// Calls that ended, by cause.
    pub ended: Family<CauseLabel, Counter>,
    /// Calls under way.
    pub live: Gauge,
    /// Sessions, those that may still be resumed included.
    pub sessions: Gauge,
    /// Rooms and channels that somebody is in.
    pub rooms: Gauge,
    /// Their members.
    pub room_members: Gauge,
    /// Questions to functions, by what they brought.
    pub consultations: Family<AnswerLabel, Counter>,
    /// How long functions took to answer.
    pub consultation_seconds: Histogram,
    /// Questions whose function failed, by what the call went on with.
    pub safety_net: Family<InsteadLabel, Counter>,
    /// What was found out about versions.
    pub findings: Family<FindingLabel, Counter>,
    /// Invocations that could not be kept for looking at.
    pub invocations_lost: Counter,
    /// Errors that clients were told, by code.
    pub signalling_errors: Family<CodeLabel, Counter>,
    /// Tokens that were refused.
    pub tokens_refused: Counter,
    /// Records that could not be stored.
    pub records_lost: Counter,
}

impl CallMetrics {
    /// Makes the counters and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            started: Counter::default(),
            ended: Family::default(),
            live: Gauge::default(),
            sessions: Gauge::default(),
            rooms: Gauge::default(),
            room_members: Gauge::default(),
            consultations: Family::default(),
            // 16 µs to about 0.5 s: a fresh instance takes tens of µs, the host's deadline is a quarter of a second.
            consultation_seconds: Histogram::new(exponential_buckets(16e-6, 2.0, 16)),
            safety_net: Family::default(),
            findings: Family::default(),
            invocations_lost: Counter::default(),
            signalling_errors: Family::default(),
            tokens_refused: Counter::default(),
            records_lost: Counter::default(),
        };
        registry.register("started", "Calls that began", metrics.started.clone());
        registry.register("ended", "Calls that ended, by cause", metrics.ended.clone());
        registry.register("live", "Calls under way", metrics.live.clone());
        registry.register("sessions", "Sessions, resumable ones included", metrics.sessions.clone());
        registry.register("rooms", "Rooms and channels that somebody is in", metrics.rooms.clone());
        registry.register("room_members", "Members of rooms and channels", metrics.room_members.clone());
        registry.register(
            "consultations",
            "Questions to routing functions, by what they brought",
            metrics.consultations.clone(),
        );
        registry.register(
            "consultation_seconds",
            "How long routing functions took to answer",
            metrics.consultation_seconds.clone(),
        );
        registry.register(
            "safety_net",
            "Questions whose routing function failed, by what the call went on with",
            metrics.safety_net.clone(),
        );
        registry.register("findings", "What was found out about versions of functions", metrics.findings.clone());
        registry.register(
            "invocations_lost",
            "Invocations that could not be kept for looking at",
            metrics.invocations_lost.clone(),
        );
        registry.register(
            "signalling_errors",
            "Errors that clients were told, by code",
            metrics.signalling_errors.clone(),
        );
        registry.register("tokens_refused", "Tokens that were refused", metrics.tokens_refused.clone());
        registry.register("records_lost", "Call records that could not be stored", metrics.records_lost.clone());
        metrics
    }
}

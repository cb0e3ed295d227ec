//! What is counted about the codec threads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// How something ended, or why it was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// One of a closed set of words.
    pub outcome: &'static str,
}

/// Counters of all codec threads.
#[derive(Clone, Debug)]
pub struct AudioMetrics {
    /// Ports open now.
    pub ports: Gauge,
    /// Playbacks: `finished`, `stopped`, `failed`.
    pub playbacks: Family<OutcomeLabel, Counter>,
    /// Packets played to parties.
    pub sent: Counter,
    /// Packets that a party's link did not take.
    pub unsent: Counter,
    /// Copies of voice that found the queue full.
    pub heard_lost: Counter,
    /// Ticks that came more than 20 ms late.
    pub late_ticks: Counter,
    /// Ticks that were left out.
    pub skipped_ticks: Counter,
    /// Processor time of a tick, seconds.
    pub tick_seconds: Histogram,
    /// Commands that a hanging thread could not take.
    pub refused: Counter,
    /// Events that could not be told.
    pub events_lost: Counter,
    /// Recordings being made now.
    pub recordings: Gauge,
    /// Recordings: `kept`, `discarded`, `failed`, `unkept`.
    pub recordings_ended: Family<OutcomeLabel, Counter>,
    /// Times that what was written could not be made to stay on the disk.
    pub sync_failures: Counter,
    /// Taps that stand now, or are being connected.
    pub taps: Gauge,
    /// Taps: `closed`, `failed`.
    pub taps_ended: Family<OutcomeLabel, Counter>,
    /// Frames that a tap's far end was too slow for.
    pub tap_frames_lost: Counter,
    /// Frames and marks of a tap's far end beyond what is held.
    pub tap_voice_lost: Counter,
}

impl AudioMetrics {
    /// Makes the counters and registers them, under names without the area's prefix (`tandem_audio_`).
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ports: Gauge::default(),
            playbacks: Family::default(),
            sent: Counter::default(),
            unsent: Counter::default(),
            heard_lost: Counter::default(),
            late_ticks: Counter::default(),
            skipped_ticks: Counter::default(),
            tick_seconds: Histogram::new(exponential_buckets(0.000_01, 2.0, 12)),
            refused: Counter::default(),
            events_lost: Counter::default(),
            recordings: Gauge::default(),
            recordings_ended: Family::default(),
            sync_failures: Counter::default(),
            taps: Gauge::default(),
            taps_ended: Family::default(),
            tap_frames_lost: Counter::default(),
            tap_voice_lost: Counter::default(),
        };
        registry.register("ports", "Parties that the gateway speaks with now", metrics.ports.clone());
        registry.register("playbacks", "Playbacks, by how they ended", metrics.playbacks.clone());
        registry.register("packets_sent", "Voice packets played to parties", metrics.sent.clone());
        registry.register("packets_unsent", "Voice packets that no link took", metrics.unsent.clone());
        registry.register("copies_lost", "Copies of voice that found the queue full", metrics.heard_lost.clone());
        registry.register("ticks_late", "Ticks more than 20 ms late", metrics.late_ticks.clone());
        registry.register("ticks_skipped", "Ticks left out after a long delay", metrics.skipped_ticks.clone());
        registry.register("tick_cpu_seconds", "Processor time of a tick", metrics.tick_seconds.clone());
        registry.register("commands_refused", "Commands that a hanging thread could not take", metrics.refused.clone());
        registry.register("events_lost", "Events that the call driver did not take", metrics.events_lost.clone());
        registry.register("recordings", "Recordings being made now", metrics.recordings.clone());
        registry.register("recordings_ended", "Recordings, by how they ended", metrics.recordings_ended.clone());
        registry.register(
            "recording_syncs_failed",
            "Failures to make recordings durable",
            metrics.sync_failures.clone(),
        );
        registry.register("taps", "Taps that stand now", metrics.taps.clone());
        registry.register("taps_ended", "Taps, by how they ended", metrics.taps_ended.clone());
        registry.register("tap_frames_lost", "Frames that far ends were too slow for", metrics.tap_frames_lost.clone());
        registry.register("tap_voice_lost", "Frames of far ends beyond what is held", metrics.tap_voice_lost.clone());
        metrics
    }
}

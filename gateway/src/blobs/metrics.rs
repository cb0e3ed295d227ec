//! What is counted about blobs. No tenant is a label: blobs come and go too seldom for anybody to need it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What became of an upload or a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    /// `upload` or `delete`.
    pub(super) what: &'static str,
    /// `done` or `failed`.
    pub(super) outcome: &'static str,
}

/// How blobs stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StateLabel {
    /// `local`, `uploading`, `failed` or `deleting`; only what is not where it is to be.
    pub(super) state: &'static str,
}

/// Counters of blobs.
#[derive(Clone, Debug, Default)]
pub struct BlobMetrics {
    /// Uploads and deletions, by what became of them.
    pub(super) attempts: Family<Outcome, Counter>,
    /// Bytes that were uploaded.
    pub(super) bytes: Counter,
    /// Blobs that are not where they are to be.
    pub(super) waiting: Family<StateLabel, Gauge>,
}

impl BlobMetrics {
    /// Registers `tandem_storage_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Uploads and deletions of recordings, by what became of them";
        registry.register("attempts", help, metrics.attempts.clone());
        registry.register("uploaded_bytes", "Bytes of recordings that were uploaded", metrics.bytes.clone());
        let help =
            "Recordings' files by how they stand: local ones wait when [storage] is set, failed ones are tried again";
        registry.register("files", help, metrics.waiting.clone());
        metrics
    }

    pub(super) fn set_waiting(&self, state: &'static str, count: u64) {
        self.waiting.get_or_create(&StateLabel { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn count(&self, what: &'static str, outcome: &'static str) {
        self.attempts.get_or_create(&Outcome { what, outcome }).inc();
    }
}

//! Keeps call records: what the exchange tells of a call, with the voice counters that the shards have of it.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tandem_switch::id::UserId;
use tandem_switch::media::stats::Reception;
use tandem_switch::record::{CallRecord, VoiceRecord};
use tokio::sync::oneshot;

use crate::store::{Store, StoreError};

/// How often a record that could not be written is tried, and how long the first wait between tries is; it doubles. A full disk or a
/// locked database has about a minute to recover, then the record is lost and counted.
const RECORD_TRIES: u32 = 6;
/// See [`RECORD_TRIES`].
const RECORD_RETRY: Duration = Duration::from_secs(2);

/// How long a record waits for its last voice counters. Shards answer within microseconds; one that does not is being stopped.
const COUNTERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Counters of a call's routes that were taken down, on their way from the shards.
pub(super) type PendingVoice = Vec<(UserId, oneshot::Receiver<Reception>)>;

/// Stores a record, trying again when the store has trouble; one that is given up is counted.
pub(super) async fn keep(store: &Store, record: CallRecord, lost: &Counter) {
    let call = record.call;
    let mut wait = RECORD_RETRY;
    for tried in 1..=RECORD_TRIES {
        match store.insert_record(record.clone()).await {
            Ok(()) => return,
            Err(error @ StoreError::NotWritten(_)) if tried < RECORD_TRIES => {
                tracing::warn!(%call, %error, "a call record could not be stored; trying again");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => {
                tracing::error!(%call, %error, "a call record is lost");
                break;
            }
        }
    }
    lost.inc();
}

/// One entry for each speaker, in the order of the call; a speaker's flows (several dials, a resumed session) are added up.
pub(super) async fn collect(pending: PendingVoice) -> Vec<VoiceRecord> {
    let mut voice: Vec<VoiceRecord> = Vec::new();
    for (user, counters) in pending {
        let Ok(Ok(reception)) = tokio::time::timeout(COUNTERS_TIMEOUT, counters).await else { continue };
        match voice.iter_mut().find(|entry| entry.user == user) {
            Some(entry) => entry.reception = entry.reception.merge(reception),
            None => voice.push(VoiceRecord { user, reception }),
        }
    }
    voice
}

//! Keeps what functions were asked and answered, without their tenants' secrets. Never holds a call up: masking happens on a thread of its
//! own, behind a queue that is bounded in records and bytes, and a record for which there is no room is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use prometheus_client::metrics::counter::Counter;
use tandem_switch::id::TenantId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::calls::functions::Share;
use crate::store::InvocationLog;
use crate::tenants::model::InvocationRecord;

/// Most records that wait to be masked. Masking takes tens of microseconds: at 10,000 invocations a second, a tenth of a second's worth.
const QUEUE_MAX: usize = 1024;

/// Most bytes of records that wait to be masked. Nearly all have a few kilobytes, but a function that reads large values has 4 MiB in one:
/// a queue full of those would take the node's memory. Beyond it they are dropped and counted.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Of them, most of one tenant, so that one whose records are large leaves room for the others'.
const QUEUE_BYTES_OF_TENANT_MAX: usize = 16 * 1024 * 1024;

/// What a record takes beside what is counted, bytes.
const RECORD_BYTES: usize = 4 * 1024;

/// One invocation of a tenant.
#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    share: Share,
    record: Box<InvocationRecord>,
    _room: Room,
}

/// Room among the bytes that wait, until it is dropped. Only [`Recorder::record`] takes any, so nobody comes in between.
#[derive(Debug)]
struct Room {
    taken_from: [Arc<AtomicUsize>; 2],
    bytes: usize,
}

impl Room {
    fn take(all: &Arc<AtomicUsize>, tenant: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let fits = |taken: &AtomicUsize, max| taken.load(Relaxed) + bytes <= max;
        if !fits(all, QUEUE_BYTES_MAX) || !fits(tenant, QUEUE_BYTES_OF_TENANT_MAX) {
            return None;
        }
        let taken_from = [Arc::clone(all), Arc::clone(tenant)];
        for taken in &taken_from {
            taken.fetch_add(bytes, Relaxed);
        }
        Some(Self { taken_from, bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for taken in &self.taken_from {
            taken.fetch_sub(self.bytes, Relaxed);
        }
    }
}

/// About how many bytes a record takes.
fn bytes(record: &InvocationRecord) -> usize {
    let InvocationRecord { context, plan, failure, trace, log, .. } = record;
    let calls = trace.calls.iter().map(|call| call.question.bytes() + call.reply.bytes()).sum::<usize>();
    let plan = plan.as_ref().and_then(|plan| serde_json::to_vec(plan).ok()).map_or(0, |plan| plan.len());
    RECORD_BYTES + context.state.len() + plan + failure.as_ref().map_or(0, String::len) + calls + log.len()
}

/// Takes records.
#[derive(Debug)]
pub struct Recorder {
    entries: mpsc::Sender<Entry>,
    waiting_bytes: Arc<AtomicUsize>,
    log: InvocationLog,
    dropped: Counter,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts the thread that masks records and hands them to `log`. Needs a tokio runtime.
    pub fn start(log: InvocationLog, dropped: Counter) -> Self {
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let (kept_in, lost) = (log.clone(), dropped.clone());
        let thread = tokio::task::spawn_blocking(move || run(&kept_in, queue, &lost));
        Self { entries, waiting_bytes: Arc::default(), log, dropped, thread }
    }

    /// Keeps a record, if there is room.
    pub fn record(&self, tenant: &TenantId, share: &Share, record: InvocationRecord) {
        let room = Room::take(&self.waiting_bytes, &share.unrecorded_bytes, bytes(&record));
        let entry = room.map(|room| Entry {
            tenant: tenant.clone(),
            share: share.clone(),
            record: Box::new(record),
            _room: room,
        });
        if entry.is_none_or(|entry| self.entries.try_send(entry).is_err()) {
            self.dropped.inc();
        }
    }

    /// Hands on what waits, then ends.
    pub async fn close(self) {
        drop(self.entries);
        let _ = self.thread.await;
        self.log.flush().await;
    }
}

fn run(log: &InvocationLog, mut queue: mpsc::Receiver<Entry>, dropped: &Counter) {
    while let Some(Entry { tenant, share, record, _room }) = queue.blocking_recv() {
        let record = share.masks.record(*record);
        if !log.keep(&tenant, share.invocations_kept, &record) {
            dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_host::HostCall;
    use tandem_host::outside::{Bytes, Question, Reply};

    use super::*;
    use crate::calls::test_kit::record;

    #[test]
    fn what_waits_is_bounded_in_bytes_for_each_tenant_and_for_all() {
        let all = Arc::default();
        let tenants: [Arc<AtomicUsize>; 5] = Default::default();
        let half = QUEUE_BYTES_OF_TENANT_MAX / 2;
        let mut rooms = Vec::new();
        for tenant in &tenants[..4] {
            rooms.extend([(); 2].map(|()| Room::take(&all, tenant, half).expect("room for two halves")));
            assert!(Room::take(&all, tenant, 1).is_none(), "the tenant has all that is its own");
        }
        assert!(Room::take(&all, &tenants[4], 1).is_none(), "all room is taken");
        drop(rooms.pop());
        assert!(Room::take(&all, &tenants[4], half).is_some());
        drop(rooms);
        assert!(tenants.iter().chain([&all]).all(|taken| taken.load(Relaxed) == 0));
    }

    #[test]
    fn what_a_function_read_counts() {
        let mut large = record("front-desk", 1);
        let small = bytes(&large);
        let question = Question::KvGet { store: "default".into(), key: "k".into() };
        let reply = Reply::Value(Some(Bytes(vec![0; 1 << 20].into())));
        large.trace.calls.push(HostCall { question, reply, micros: 1 });
        assert!(small < 2 * RECORD_BYTES && bytes(&large) >= small + (1 << 20));
    }
}

//! Keeps what functions were asked and answered, without their tenants' secrets. Never holds a call up: masking happens in a task of its
//! own, behind a bounded queue, and a record for which there is no room is dropped and counted.

use prometheus_client::metrics::counter::Counter;
use tandem_switch::id::TenantId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::calls::functions::Share;
use crate::store::InvocationLog;
use crate::tenants::model::InvocationRecord;

/// Most records that wait to be masked. Masking takes tens of microseconds: at 10,000 invocations a second, a tenth of a second's worth.
const QUEUE_MAX: usize = 1024;

/// One invocation of a tenant.
#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    share: Share,
    record: Box<InvocationRecord>,
}

/// Takes records.
#[derive(Debug)]
pub struct Recorder {
    entries: mpsc::Sender<Entry>,
    dropped: Counter,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts the task that masks records and hands them to `log`. Needs a tokio runtime.
    pub fn start(log: InvocationLog, dropped: Counter) -> Self {
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(run(log, queue, dropped.clone()));
        Self { entries, dropped, task }
    }

    /// Keeps a record, if there is room.
    pub fn record(&self, tenant: &TenantId, share: &Share, record: InvocationRecord) {
        let entry = Entry { tenant: tenant.clone(), share: share.clone(), record: Box::new(record) };
        if self.entries.try_send(entry).is_err() {
            self.dropped.inc();
        }
    }

    /// Hands on what waits, then ends.
    pub async fn close(self) {
        drop(self.entries);
        let _ = self.task.await;
    }
}

async fn run(log: InvocationLog, mut queue: mpsc::Receiver<Entry>, dropped: Counter) {
    while let Some(Entry { tenant, share, record }) = queue.recv().await {
        let record = share.masks.record(*record);
        if !log.keep(&tenant, share.invocations_kept, &record) {
            dropped.inc();
        }
    }
    log.flush().await;
}

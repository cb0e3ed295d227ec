//! The worker: uploads what is finished, deletes what is to go, and comes back to what failed for as long as it takes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use object_store::{MultipartUpload, ObjectStoreExt as _};
use tandem_switch::time::UnixMillis;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use super::rows::{self, Due, State};
use super::target::{self, Target};
use super::{BlobError, Blobs};
use crate::clock::unix_now;
use crate::store::StoreError;

/// Most uploads and deletions at once: each upload holds [`PART_BYTES`].
const AT_ONCE_MAX: usize = 4;

/// Bytes that are sent at once; larger blobs go in parts of this size.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// How long an upload may take at least, and for each byte of it: 64 KiB a second. Longer: it has failed, and is tried again.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_BYTES_PER_SECOND: u64 = 64 * 1024;

/// How long a deletion may take.
const DELETE_TIMEOUT: Duration = Duration::from_secs(60);

/// What is not where it is to be.
const WAITING: [State; 4] = [State::Local, State::Uploading, State::Failed, State::Deleting];

/// How often an upload is tried in quick succession before it counts as failed: after 1, 2, 4, 8 s.
const QUICK_TRIES: u32 = 5;

/// How long the worker sleeps at most: so it sees what a lost wake-up left behind.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// How long it waits when the store cannot be asked, or a blob is still on its way.
const PAUSE: Duration = Duration::from_secs(2);

/// Most bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 400;

/// Files that are looked at when the process begins; further ones: at a later start.
const TIDIED_MAX: usize = 1_000_000;

impl Blobs {
    /// Uploads and deletes until it is dropped. What is under way then is taken up at the next start.
    pub async fn run(self) {
        self.begin().await;
        let mut under_way = JoinSet::new();
        let mut blobs = HashMap::new();
        loop {
            let free = AT_ONCE_MAX - under_way.len();
            let due = if free > 0 { self.take(free, &blobs).await } else { Vec::new() };
            for blob in due {
                let (this, own) = (self.clone(), blob.clone());
                let task = under_way.spawn(async move { this.work(own).await });
                blobs.insert(task.id(), blob);
            }
            let sleep = self.until_due().await;
            tokio::select! {
                Some(done) = under_way.join_next_with_id() => {
                    let (id, broke_off) = done.map_or_else(|error| (error.id(), true), |(id, ())| (id, false));
                    if let Some(blob) = blobs.remove(&id).filter(|_| broke_off) {
                        self.put_back(blob, "it broke off; the node's log says more".into()).await;
                    }
                }
                () = self.shared.due.notified(), if under_way.len() < AT_ONCE_MAX => {}
                () = tokio::time::sleep(sleep), if under_way.len() < AT_ONCE_MAX => {}
            }
        }
    }

    /// Takes up what the process before left behind.
    async fn begin(&self) {
        let uploading = self.is_uploading();
        if let Err(error) = self.shared.store.change(move |connection| rows::resume(connection, uploading)).await {
            tracing::error!(%error, "recordings that wait for their upload cannot be taken up; the next start tries again");
        }
        self.tidy().await;
    }

    /// Removes files that no row knows, and those that have been uploaded: a killed process leaves them behind.
    async fn tidy(&self) {
        let directory = self.shared.directory.clone();
        let found = tokio::task::spawn_blocking(move || files(&directory)).await.unwrap_or_default();
        for chunk in found.chunks(256) {
            let names = chunk.to_vec();
            let stale = self.shared.store.read(move |connection| {
                let stale = names.into_iter().filter_map(|name| match rows::is_kept_here(connection, &name) {
                    Ok(kept) => (!kept).then_some(Ok(name)),
                    Err(error) => Some(Err(error)),
                });
                stale.collect::<Result<Vec<_>, StoreError>>()
            });
            match stale.await {
                Ok(stale) => {
                    for name in stale {
                        let _ = self.shared.here.delete(&target::path(&name)).await;
                    }
                }
                Err(error) => {
                    return tracing::warn!(%error, "files of recordings that nobody has stay until the next start");
                }
            }
        }
    }

    async fn take(&self, free: usize, under_way: &HashMap<tokio::task::Id, Due>) -> Vec<Due> {
        let taken = self.shared.store.change(move |connection| rows::take(connection, unix_now(), free)).await;
        let mut due = taken.unwrap_or_else(|error: StoreError| {
            tracing::debug!(%error, "the store does not say which recordings wait");
            Vec::new()
        });
        // Deleted while it is being uploaded: when the upload has ended.
        let (later, now): (Vec<_>, Vec<_>) =
            due.drain(..).partition(|blob| under_way.values().any(|busy| busy.object == blob.object));
        for blob in later {
            let at = after(PAUSE);
            let _ = self.shared.store.change(move |connection| rows::put_off(connection, &blob.object, at)).await;
        }
        now
    }

    async fn until_due(&self) -> Duration {
        // Where nothing is uploaded, local files wait for nothing.
        let states = if self.is_uploading() { &WAITING[..] } else { &WAITING[1..] };
        let asked = self.shared.store.read(move |connection| {
            let counts: Result<Vec<_>, StoreError> =
                states.iter().map(|state| rows::count(connection, *state)).collect();
            Ok::<_, StoreError>((rows::next_due(connection)?, counts?))
        });
        let Ok((next, counts)) = asked.await else { return PAUSE };
        for (state, count) in states.iter().zip(counts) {
            self.shared.metrics.set_waiting(state.word(), count);
        }
        next.map_or(SLEEP_MAX, |next| Duration::from_millis(next.0.saturating_sub(unix_now().0)).min(SLEEP_MAX))
    }

    async fn work(&self, blob: Due) {
        let deletes = blob.state == State::Deleting;
        let what = if deletes { "delete" } else { "upload" };
        let done = if deletes { self.delete(&blob).await } else { self.upload(&blob).await };
        match done {
            Ok(()) => self.shared.metrics.count(what, "done"),
            Err(why) => {
                self.shared.metrics.count(what, "failed");
                self.put_back(blob, why).await;
            }
        }
    }

    async fn upload(&self, blob: &Due) -> Result<(), String> {
        let Some(target) = &self.shared.there else { return Err("no [storage] is configured".into()) };
        let time = UPLOAD_TIMEOUT + Duration::from_secs(blob.bytes / UPLOAD_BYTES_PER_SECOND);
        let sent = tokio::time::timeout(time, send(&self.file(&blob.object), target, &blob.object)).await;
        let bytes = sent.map_err(|_| format!("not done within {} s", time.as_secs()))??;
        let object = blob.object.clone();
        let is_wanted = self.shared.store.change(move |connection| rows::uploaded(connection, &object)).await;
        if is_wanted.map_err(|error: StoreError| error.to_string())? {
            self.shared.metrics.bytes.inc_by(bytes);
            // The row says where it is: a file that stays because the process ends here goes at the next start.
            let _ = self.shared.here.delete(&target::path(&blob.object)).await;
        }
        Ok(())
    }

    async fn delete(&self, blob: &Due) -> Result<(), String> {
        let gone = |outcome: object_store::Result<()>, tells_absence: bool| match outcome {
            Ok(()) => Ok(()),
            Err(object_store::Error::NotFound { .. }) if tells_absence => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        gone(self.shared.here.delete(&target::path(&blob.object)).await, true)?;
        if let Some(target) = &self.shared.there {
            let path = target.path(&blob.object);
            let deleted = tokio::time::timeout(DELETE_TIMEOUT, target.store.delete(&path)).await;
            gone(
                deleted.map_err(|_| format!("not done within {} s", DELETE_TIMEOUT.as_secs()))?,
                target.tells_absence,
            )?;
        }
        // A recording without any sound has an empty directory.
        if let Some(directory) = self.file(&blob.object).parent() {
            let _ = tokio::fs::remove_dir(directory).await;
        }
        let object = blob.object.clone();
        let forgotten = self.shared.store.change(move |connection| rows::deleted(connection, &object)).await;
        forgotten.map_err(|error: StoreError| error.to_string())
    }

    /// Says why, and when it is tried again.
    async fn put_back(&self, blob: Due, why: String) {
        let failures = blob.failures + 1;
        let (state, wait) = match blob.state {
            State::Deleting => (State::Deleting, quick(failures).unwrap_or(self.shared.retry)),
            _ => quick(failures).map_or((State::Failed, self.shared.retry), |wait| (State::Local, wait)),
        };
        let end = why.floor_char_boundary(REASON_BYTES_MAX.min(why.len()));
        let (object, reason, at) = (blob.object.clone(), why[..end].to_owned(), after(wait));
        if state == State::Failed && failures == QUICK_TRIES {
            tracing::error!(
                object = blob.object,
                why,
                "a recording cannot be uploaded; it stays here and is tried again"
            );
        } else {
            tracing::warn!(object = blob.object, why, failures, "the object store failed");
        }
        let kept =
            self.shared.store.change(move |connection| rows::failed(connection, &object, state, at, &reason)).await;
        if let Err(error) = kept as Result<(), StoreError> {
            tracing::error!(%error, object = blob.object, "a recording is not tried again before the next start");
        }
    }
}

/// How long to wait after so many failures, while they are few.
fn quick(failures: u32) -> Option<Duration> {
    (failures < QUICK_TRIES).then(|| Duration::from_secs(1 << (failures.max(1) - 1)))
}

fn after(wait: Duration) -> UnixMillis {
    UnixMillis(unix_now().0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

/// Sends a file, and makes sure that all of it arrived.
async fn send(file: &Path, target: &Target, object: &str) -> Result<u64, String> {
    let path = target.path(object);
    let unreadable = |error: std::io::Error| format!("its file cannot be read: {error}");
    let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
    let first = part(&mut source).await.map_err(unreadable)?;
    let bytes = if first.len() < PART_BYTES {
        let bytes = first.len() as u64;
        target.store.put(&path, first.into()).await.map_err(|error| error.to_string())?;
        bytes
    } else {
        let mut upload = target.store.put_multipart(&path).await.map_err(|error| error.to_string())?;
        match send_parts(upload.as_mut(), first, &mut source).await {
            Ok(bytes) => bytes,
            Err(why) => {
                // Parts that stay there cost money until the bucket's own rules remove them.
                let _ = upload.abort().await;
                return Err(why);
            }
        }
    };
    target.flush(object).await.map_err(|error| error.to_string())?;
    let found = target.store.head(&path).await.map_err(|error| error.to_string())?;
    if found.size == bytes { Ok(bytes) } else { Err(format!("{bytes} bytes were sent and {} arrived", found.size)) }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    first: Vec<u8>,
    source: &mut tokio::fs::File,
) -> Result<u64, String> {
    let (mut next, mut bytes) = (first, 0);
    while !next.is_empty() {
        bytes += next.len() as u64;
        upload.put_part(next.into()).await.map_err(|error| error.to_string())?;
        next = part(source).await.map_err(|error| format!("its file cannot be read: {error}"))?;
    }
    upload.complete().await.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The next part of a file; less than a whole one at its end.
async fn part(source: &mut tokio::fs::File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::new();
    source.take(PART_BYTES as u64).read_to_end(&mut part).await?;
    Ok(part)
}

/// The names of all files below the directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(path);
            } else if let Some(name) = path.strip_prefix(directory).ok().and_then(Path::to_str) {
                found.push(name.to_owned());
            }
            if found.len() >= TIDIED_MAX {
                return found;
            }
        }
    }
    found
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        Self::Unreadable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_failures_are_tried_again_soon_and_more_of_them_later() {
        let waits: Vec<_> = (1..=6).map(|failures| quick(failures).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), None, None]);
    }
}

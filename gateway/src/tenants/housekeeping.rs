//! What recordings need without anybody asking: those that a killed process left behind are mended, and those that are older than their
//! tenant keeps them are deleted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use tandem_audio::ogg_opus;
use tandem_switch::id::{RecordingId, TenantId};
use tandem_switch::time::UnixMillis;

use super::change::{Change, kept, millis};
use super::model::{Actor, Limits, RecordingState};
use super::publish::Effect;
use super::recorders::Ending;
use super::{Result, TenantError, Tenants, recordings};
use crate::clock::unix_now;

/// How often old recordings are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Most recordings that are deleted at once; further ones: the next time.
const SWEPT_MAX: usize = 500;

/// The work of one process.
#[derive(Debug)]
pub struct Housekeeping {
    tenants: Tenants,
    /// Whose processes are gone: begun before this one.
    left_behind: Vec<(TenantId, RecordingId)>,
}

impl Tenants {
    /// What is to be done from now on. To be called before anything is recorded: what is unfinished now, another process began.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn housekeeping(&self) -> Result<Housekeeping> {
        Ok(Housekeeping { tenants: self.clone(), left_behind: self.read(unfinished).await? })
    }

    /// Deletes recordings of calls and rooms that are older than their tenants keep them, at most 500. Gives how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_recordings(&self) -> Result<usize> {
        let old = self.read(|connection| expired(connection, unix_now(), SWEPT_MAX)).await?;
        let count = old.len();
        let mut by_tenant: BTreeMap<TenantId, Vec<RecordingId>> = BTreeMap::new();
        for (tenant, id) in old {
            by_tenant.entry(tenant).or_default().push(id);
        }
        for (tenant, ids) in by_tenant {
            let change = Change::new(
                &Actor::Gateway,
                &tenant,
                "recording.expire",
                format!("{} recordings", ids.len()),
                Effect::Nothing,
            );
            self.change(change, move |connection, _line| {
                ids.into_iter().try_for_each(|id| recordings::forget(connection, &tenant, id))
            })
            .await?;
        }
        if count > 0 {
            self.blobs().wake();
        }
        Ok(count)
    }

    /// Ends a recording whose process is gone: its files are cut where they are whole. A message arrives in its mailbox.
    async fn mend(&self, tenant: &TenantId, id: RecordingId) -> Result<()> {
        let known = self.recording(tenant, id).await?;
        if known.state == RecordingState::Recording {
            let files = known
                .tracks
                .iter()
                .map(|track| (track.start_ms, self.blobs().file(&recordings::object(tenant, id, track.track))));
            let files = files.collect::<Vec<_>>();
            let mended = tokio::task::spawn_blocking(move || {
                let ends = files.iter().map(|(start, file)| mend_file(file).map_or(0, |duration| start + duration));
                ends.max().unwrap_or(0)
            });
            let duration_ms = mended.await.map_err(|_| TenantError::Stopping)?;
            self.end_recording(tenant, id, Ending { duration_ms, is_whole: false }).await?;
        }
        match self.keep_message(tenant, id).await {
            // It is no message.
            Ok(_) | Err(TenantError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Housekeeping {
    /// Mends what was left behind, one after the other, and then deletes what is old, until it is dropped.
    pub async fn run(self) {
        for (tenant, id) in self.left_behind {
            match self.tenants.mend(&tenant, id).await {
                Ok(()) => tracing::info!(%tenant, recording = %id, "a recording that was cut short is mended"),
                Err(error) => {
                    tracing::error!(%tenant, recording = %id, %error, "a recording that was cut short is not mended; the next start tries again")
                }
            }
        }
        loop {
            match self.tenants.sweep_recordings().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "recordings that were old enough are deleted"),
                Err(error) => tracing::warn!(%error, "old recordings cannot be deleted just now"),
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }
}

/// Makes a file whole that was cut off, and says how long it is, milliseconds. One without any sound is removed: it is no file.
fn mend_file(file: &Path) -> Option<u64> {
    let mut open = std::fs::OpenOptions::new().read(true).write(true).open(file).ok()?;
    match ogg_opus::repair(&mut open) {
        Ok(repair) => u64::try_from(repair.duration.as_millis()).ok(),
        // Good sound comes after the damage: kept as it is, for whoever can read it.
        Err(error @ ogg_opus::OggError::Damaged { .. }) => {
            tracing::warn!(%error, "a recording is damaged in its midst");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "a recording was cut off before its sound began");
            let _ = std::fs::remove_file(file);
            None
        }
    }
}

/// Recordings that are being made, and messages on their way, of all tenants.
fn unfinished(connection: &Connection) -> Result<Vec<(TenantId, RecordingId)>> {
    let select = "SELECT tenant, id FROM recording WHERE state = 'recording' OR meant_for IS NOT NULL";
    let mut statement = connection.prepare(select)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    identified(rows)
}

/// Up to `limit` recordings of calls and rooms that are older than their tenants keep them.
fn expired(connection: &Connection, now: UnixMillis, limit: usize) -> Result<Vec<(TenantId, RecordingId)>> {
    let select = "SELECT r.tenant, r.id
        FROM (SELECT name, coalesce(json_extract(settings, '$.limits.\"recording-days\"'), ?2) AS days FROM tenant) AS t
        CROSS JOIN recording AS r ON r.tenant = t.name
        WHERE t.days > 0 AND r.started_at < ?1 - t.days * 86400000 AND r.kind IN ('call', 'room') AND r.state != 'recording'
        LIMIT ?3";
    let mut statement = connection.prepare_cached(select)?;
    // Settings that were kept before there was this limit have the usual one.
    let values = params![millis(now), Limits::default().recording_days as i64, limit as i64];
    let rows = statement.query_map(values, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    identified(rows)
}

fn identified(rows: impl Iterator<Item = rusqlite::Result<(String, String)>>) -> Result<Vec<(TenantId, RecordingId)>> {
    let mut found = Vec::new();
    for row in rows {
        let (tenant, id) = row?;
        found.push((kept(TenantId::new(&tenant))?, recordings::identifier(id)?));
    }
    Ok(found)
}

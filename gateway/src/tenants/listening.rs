//! What is made of recordings and uploads by decoding them: prompts, pictures, mixdowns. It costs processor time, so it runs away from the
//! threads that carry calls, and only so much of it at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::params;
use tandem_audio::prompt::{self, PromptLimits};
use tandem_switch::id::{PromptId, RecordingId, TenantId};
use tokio::sync::OwnedSemaphorePermit;

use super::mixdown::{self, Layout, Part};
use super::model::{Actor, Prompt, Recording, Revision, Waveform};
use super::{Result, TenantError, Tenants, recordings};

/// Most threads that decode or encode at once. Whoever comes later waits, at most [`WAIT_MAX`].
pub(super) const AT_ONCE_MAX: usize = 2;

/// How long somebody waits for a thread. Longer: refused, to come again.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The longest recording that is mixed down: that takes a minute of one core. A longer one is heard track by track.
const MIXED_MS_MAX: u64 = 60 * 60 * 1000;

/// Most bytes of a recording that are mixed down or looked at: they are held in memory.
const HELD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most peaks of a picture.
const PEAKS_MAX: usize = 256;

impl Tenants {
    /// Makes or replaces a prompt of a WAV or Ogg Opus file. Calls that play the one before play on.
    ///
    /// # Errors
    /// Says what was wrong with the file, or which budget is used up; then nothing has changed.
    pub async fn put_prompt(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &PromptId,
        expected: Option<Revision>,
        upload: Bytes,
    ) -> Result<Prompt> {
        self.tenant(tenant).await?;
        let made = listen(self.place().await?, move |_asking| {
            let made = prompt::Prompt::from_bytes(&upload, PromptLimits::default());
            let made = made.map_err(|error| TenantError::Audio(error.to_string()))?;
            Ok((Bytes::from(made.to_ogg()), u64::try_from(made.duration.as_millis()).unwrap_or(u64::MAX)))
        });
        self.keep_prompt(actor, tenant, name, expected, made.await?).await
    }

    /// A prompt ready to be played, and its revision.
    ///
    /// # Errors
    /// When there is none, it is damaged, or the store fails.
    pub async fn playable_prompt(&self, tenant: &TenantId, name: &PromptId) -> Result<(Revision, prompt::Prompt)> {
        let (known, ogg) = self.prompt_audio(tenant, name).await?;
        let prompt = prompt::Prompt::from_ogg(&ogg).map_err(|error| TenantError::Audio(error.to_string()))?;
        Ok((known.revision, prompt))
    }

    /// All tracks of a recording as one, as Ogg Opus: mixed, or in stereo with the first track left and the others right.
    ///
    /// # Errors
    /// When there is none, it is still being made, too long, or cannot be read just now.
    pub async fn mixdown(&self, tenant: &TenantId, id: RecordingId, layout: Layout) -> Result<Bytes> {
        let recording = self.recording(tenant, id).await?;
        recordings::ended(&recording)?;
        if recording.duration_ms > MIXED_MS_MAX {
            let (long, most) = (recording.duration_ms / 60_000, MIXED_MS_MAX / 60_000);
            let what = format!("the recording has {long} minutes; at most {most} are mixed down; download its tracks");
            return Err(TenantError::Conflict(what));
        }
        let place = self.place().await?;
        let parts = self.parts(tenant, &recording).await?;
        let mixed = listen(place, move |asking| mixdown::mixdown(parts, layout, || asking.strong_count() > 0));
        Ok(mixed.await?.into())
    }

    /// A recording's picture: as it was made when it was kept as a message, else made now.
    pub(super) async fn recording_waveform(&self, tenant: &TenantId, id: RecordingId) -> Result<Waveform> {
        let recording = self.recording(tenant, id).await?;
        let whose = tenant.clone();
        let known = self.read(move |connection| {
            let select = "SELECT waveform FROM recording WHERE tenant = ?1 AND id = ?2";
            let mut statement = connection.prepare_cached(select)?;
            let known: Option<Vec<u8>> = statement.query_row([whose.as_str(), &id.to_string()], |row| row.get(0))?;
            Ok(known)
        });
        let peaks = match known.await? {
            Some(peaks) => peaks,
            None => self.picture(tenant, &recording).await?,
        };
        Ok(Waveform { peaks, duration_ms: recording.duration_ms })
    }

    /// Makes a recording's picture and keeps it. What goes wrong is told in the log: it is made when somebody asks.
    pub(super) async fn keep_picture(&self, tenant: &TenantId, id: RecordingId) {
        let work = async {
            let recording = self.recording(tenant, id).await?;
            let peaks = self.picture(tenant, &recording).await?;
            let whose = tenant.clone();
            let store = &self.shared.parts.store;
            let update = "UPDATE recording SET waveform = ?3 WHERE tenant = ?1 AND id = ?2";
            store
                .change(move |connection| {
                    connection.prepare_cached(update)?.execute(params![whose.as_str(), id.to_string(), peaks])?;
                    Ok::<_, TenantError>(())
                })
                .await
        };
        if let Err(error) = work.await {
            tracing::warn!(%tenant, recording = %id, %error, "a message has no picture yet");
        }
    }

    async fn picture(&self, tenant: &TenantId, recording: &Recording) -> Result<Vec<u8>> {
        let place = self.place().await?;
        let parts = self.parts(tenant, recording).await?;
        listen(place, move |asking| mixdown::peaks(parts, PEAKS_MAX, || asking.strong_count() > 0)).await
    }

    /// The tracks of a recording, in memory.
    async fn parts(&self, tenant: &TenantId, recording: &Recording) -> Result<Vec<Part>> {
        let mut left = HELD_BYTES_MAX;
        let mut parts = Vec::with_capacity(recording.tracks.len());
        for track in &recording.tracks {
            let ogg = self.blobs().read(&recordings::object(tenant, recording.id, track.track), left).await?;
            left -= (ogg.len() as u64).min(left);
            parts.push(Part { ogg, start_ms: track.start_ms });
        }
        Ok(parts)
    }

    /// Waits for a place among those that decode; what is decoded is read once there is one.
    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let place = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.shared.listening).acquire_owned()).await;
        let busy = |_| TenantError::Busy("too many recordings are being decoded just now; try again in a moment");
        place.map_err(busy)?.map_err(|_| TenantError::Stopping)
    }
}

/// Does work on a thread of its own. The work is given what dies when nobody waits for it any more.
async fn listen<T: Send + 'static>(
    place: OwnedSemaphorePermit,
    work: impl FnOnce(Weak<()>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let asking = Arc::new(());
    let asked = Arc::downgrade(&asking);
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(asked)
    });
    let outcome = done.await.unwrap_or(Err(TenantError::Stopping));
    drop(asking);
    outcome
}

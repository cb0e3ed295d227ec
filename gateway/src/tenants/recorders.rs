//! Recordings while they are made: begun and ended by calls.
//!
//! A call asks for a recording and is given a file for each leg; nothing but this node's disk is met while it runs. When it ends, the
//! files become blobs ([`crate::blobs`]) and the recording can be heard. What calls do here is in no audit log.

use std::path::PathBuf;

use rusqlite::params;
use tandem_switch::id::{CallId, MailboxId, RecordingId, TenantId, UserId};

use super::change::{json, millis, to_its_end};
use super::model::{Recording, RecordingKind, RecordingState, StorageState, Track};
use super::notices::{Notice, RecordingDone};
use super::recordings::{find, forget, kind_word, object, put, state_word, usage};
use super::{Result, TenantError, Tenants, settings};
use crate::blobs;
use crate::clock::unix_now;

/// Most tracks of one recording: the members of a room that talk at once, over its whole time.
pub const TRACKS_MAX: usize = 64;

/// Longest name of a leg, bytes.
const LEG_BYTES_MAX: usize = 128;

/// A recording to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecording {
    /// Of which call.
    pub call: Option<CallId>,
    /// What it is of.
    pub kind: RecordingKind,
    /// Its first tracks; more can join ([`Tenants::add_track`]).
    pub tracks: Vec<NewTrack>,
    /// Where it goes when it has ended ([`Tenants::keep_message`]), if it is a message.
    pub meant_for: Option<MeantFor>,
}

/// A message while it is being left.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MeantFor {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Who leaves it: an address.
    pub from: String,
    /// What they have dialled.
    pub to: String,
}

/// A track to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrack {
    /// Whose voice it is, in the call's own words: `caller`, `callee`, a member of a room; at most 128 bytes.
    pub leg: String,
    /// The user, when it is one.
    pub user: Option<UserId>,
    /// How long after the recording's beginning it begins, milliseconds.
    pub start_ms: u64,
}

/// A recording that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its identifier.
    pub id: RecordingId,
    /// Where each track is to be written, as Ogg Opus. The directory is there, the files are not.
    pub files: Vec<PathBuf>,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How long it is, milliseconds.
    pub duration_ms: u64,
    /// Whether it is whole.
    pub is_whole: bool,
}

impl Tenants {
    /// Begins a recording. It is known from now on, and mended at the next start when the process is killed before it ends.
    ///
    /// # Errors
    /// When a budget is used up, or the disk fails; then nothing was begun, and the call goes on.
    pub async fn begin_recording(&self, tenant: &TenantId, new: NewRecording) -> Result<Begun> {
        let id = RecordingId(rand::random());
        let tracks = (0..).zip(new.tracks).map(|(number, track)| begun(number, track)).collect::<Vec<_>>();
        if tracks.len() > TRACKS_MAX {
            return Err(too_many_tracks());
        }
        let recording = Recording {
            id,
            call: new.call,
            kind: new.kind,
            state: RecordingState::Recording,
            storage: StorageState::Local,
            started_at: unix_now(),
            ended_at: None,
            duration_ms: 0,
            tracks,
            bookmarks: Vec::new(),
        };
        let files = recording.tracks.iter().map(|track| self.blobs().file(&object(tenant, id, track.track))).collect();
        let (whose, meant_for) = (tenant.clone(), new.meant_for);
        let begun = self.shared.parts.store.change(move |connection| {
            let limits = settings::find(connection, &whose)?.settings.limits;
            let (count, bytes) = usage(connection, &whose)?;
            let hint = "; delete some, or ask the operator for more";
            if count >= limits.recordings {
                return Err(TenantError::OverLimit { budget: RECORDINGS, limit: limits.recordings, hint });
            }
            if bytes >= limits.recording_bytes {
                return Err(TenantError::OverLimit { budget: RECORDING_BYTES, limit: limits.recording_bytes, hint });
            }
            let insert = "INSERT INTO recording (tenant, id, call, kind, state, started_at, bytes, body, meant_for)
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)";
            connection.prepare_cached(insert)?.execute(params![
                whose.as_str(),
                id.to_string(),
                recording.call.map(|call| call.to_string()),
                kind_word(recording.kind),
                state_word(recording.state),
                millis(recording.started_at),
                json(&recording)?,
                meant_for.as_ref().map(json).transpose()?,
            ])?;
            for track in &recording.tracks {
                blobs::rows::begin(connection, &object(&whose, id, track.track), &whose, id)?;
            }
            Ok(())
        });
        if let Err(error) = begun.await {
            self.count_refusal(tenant, &error);
            return Err(error);
        }
        if let Err(error) = self.blobs().make_directory(&object(tenant, id, 0)).await {
            // A disk that takes no directory may take no row either: then the next start forgets it.
            let _ = self.discard_recording(tenant, id).await;
            return Err(error.into());
        }
        Ok(Begun { id, files })
    }

    /// Adds a track to a recording that is being made. Gives the file to write it to.
    ///
    /// # Errors
    /// When the recording has ended or has too many tracks.
    pub async fn add_track(&self, tenant: &TenantId, id: RecordingId, new: NewTrack) -> Result<PathBuf> {
        let whose = tenant.clone();
        let added = self.shared.parts.store.change(move |connection| {
            let mut recording = find(connection, &whose, id)?;
            if recording.state != RecordingState::Recording {
                return Err(TenantError::Conflict("the recording has ended".into()));
            }
            if recording.tracks.len() >= TRACKS_MAX {
                return Err(too_many_tracks());
            }
            let number = recording.tracks.last().map_or(0, |last| last.track + 1);
            recording.tracks.push(begun(number, new));
            blobs::rows::begin(connection, &object(&whose, id, number), &whose, id)?;
            put(connection, &whose, &recording)?;
            Ok(number)
        });
        Ok(self.blobs().file(&object(tenant, id, added.await?)))
    }

    /// Ends a recording: its files are whole and closed, or there are none. Again is no error. The notice
    /// [`RecordingDone`] says that it can be heard.
    ///
    /// # Errors
    /// When there is no such recording (its tenant may be gone by now), or the store fails.
    pub async fn end_recording(&self, tenant: &TenantId, id: RecordingId, ending: Ending) -> Result<Recording> {
        let (this, tenant) = (self.clone(), tenant.clone());
        to_its_end(async move { this.end(tenant, id, ending).await }).await
    }

    async fn end(&self, tenant: TenantId, id: RecordingId, ending: Ending) -> Result<Recording> {
        let known = self.recording(&tenant, id).await?;
        let files =
            known.tracks.iter().map(|track| (track.track, self.blobs().file(&object(&tenant, id, track.track))));
        let files = files.collect::<Vec<_>>();
        let sizes = tokio::task::spawn_blocking(move || {
            files.into_iter().map(|(track, file)| (track, flushed(&file))).collect::<std::collections::HashMap<_, _>>()
        });
        let sizes = sizes.await.map_err(|_| TenantError::Stopping)?;
        let (whose, uploading) = (tenant.clone(), self.blobs().is_uploading());
        let done = self.shared.parts.store.change(move |connection| {
            let mut recording = find(connection, &whose, id)?;
            if recording.state != RecordingState::Recording {
                return Ok((recording, false));
            }
            let mut kept = Vec::with_capacity(recording.tracks.len());
            for mut track in std::mem::take(&mut recording.tracks) {
                let object = object(&whose, id, track.track);
                match sizes.get(&track.track).copied().flatten() {
                    Some(bytes) => {
                        blobs::rows::finish(connection, &object, bytes, uploading)?;
                        track.bytes = bytes;
                        kept.push(track);
                    }
                    // A leg that never said anything, or whose file could not be made.
                    None => blobs::rows::forget_one(connection, &object)?,
                }
            }
            let lost_all = kept.is_empty();
            recording.tracks = kept;
            recording.state =
                if ending.is_whole && !lost_all { RecordingState::Complete } else { RecordingState::CutShort };
            recording.duration_ms = if lost_all { 0 } else { ending.duration_ms };
            recording.ended_at = Some(unix_now());
            put(connection, &whose, &recording)?;
            Ok::<_, TenantError>((recording, true))
        });
        let (recording, is_news) = done.await?;
        if is_news {
            self.blobs().wake();
            self.tell(Notice::RecordingDone(RecordingDone { tenant, recording: recording.clone() }));
        }
        Ok(recording)
    }

    /// Forgets a recording that is being made: a message that is too short, say. Its files are closed.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub async fn discard_recording(&self, tenant: &TenantId, id: RecordingId) -> Result<()> {
        let whose = tenant.clone();
        let discard = self.shared.parts.store.change(move |connection| match find(connection, &whose, id)?.state {
            RecordingState::Recording => forget(connection, &whose, id),
            RecordingState::Complete | RecordingState::CutShort => {
                Err(TenantError::Conflict("the recording has ended".into()))
            }
        });
        discard.await?;
        self.blobs().wake();
        Ok(())
    }

    fn count_refusal(&self, tenant: &TenantId, error: &TenantError) {
        let meters = self.meters().of(tenant);
        match error {
            TenantError::OverLimit { budget: RECORDINGS, .. } => meters.recordings.refuse(),
            TenantError::OverLimit { budget: RECORDING_BYTES, .. } => meters.recording_bytes.refuse(),
            _ => {}
        }
    }
}

/// The budgets, as they are called in the limits.
const RECORDINGS: &str = "recordings";
const RECORDING_BYTES: &str = "recording-bytes";

fn too_many_tracks() -> TenantError {
    TenantError::OverLimit { budget: "tracks of a recording", limit: TRACKS_MAX as u64, hint: "" }
}

fn begun(track: u32, new: NewTrack) -> Track {
    let end = new.leg.floor_char_boundary(LEG_BYTES_MAX.min(new.leg.len()));
    Track { track, leg: new.leg[..end].to_owned(), user: new.user, bytes: 0, start_ms: new.start_ms }
}

/// The size of a file that is on disk for good; none when there is no file.
fn flushed(file: &std::path::Path) -> Option<u64> {
    let file = std::fs::File::open(file).ok()?;
    file.sync_all().ok()?;
    let bytes = file.metadata().ok()?.len();
    (bytes > 0).then_some(bytes)
}

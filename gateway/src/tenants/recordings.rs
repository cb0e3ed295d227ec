//! Recordings: begun and ended by calls, seen, heard, marked and deleted by people.
//!
//! A call asks for a recording and is given a file for each leg; nothing but this node's disk is met while it runs. When it ends, the
//! files become blobs ([`crate::blobs`]) and the recording can be heard. What calls do here is in no audit log; what people do is.

use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use tandem_switch::id::{CallId, MailboxId, RecordingId, TenantId, UserId};

use super::change::{Change, bounded, json, millis, number, page, parsed, to_its_end};
use super::model::{
    Actor, Bookmark, NewBookmark, Page, Recording, RecordingFilter, RecordingKind, RecordingState, StorageState, Track,
};
use super::notices::{Notice, RecordingDone};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::blobs::{self, Reading};
use crate::clock::unix_now;

/// Most tracks of one recording: the members of a room that talk at once, over its whole time.
pub const TRACKS_MAX: usize = 64;

/// Most marked moments of one recording.
const BOOKMARKS_MAX: usize = 500;

/// Longest label of a marked moment, bytes.
const LABEL_BYTES_MAX: usize = 256;

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
        self.blobs().make_directory(&object(tenant, id, 0)).await?;
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
        match begun.await {
            Ok(()) => Ok(Begun { id, files }),
            Err(error) => {
                self.count_refusal(tenant, &error);
                Err(error)
            }
        }
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

    /// A tenant's recordings, newest first.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn recordings(
        &self,
        tenant: &TenantId,
        filter: RecordingFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Recording>> {
        let (tenant, before, limit) = (tenant.clone(), number(cursor)?, bounded(limit));
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let found = select(connection, &tenant, &filter, before, limit + 1)?;
            let page = page(found, limit, |(seq, _)| seq.to_string());
            let items = page.items.into_iter().map(|(_, recording)| recording).collect();
            Ok(Page { items, next: page.next })
        })
        .await
    }

    /// One recording.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn recording(&self, tenant: &TenantId, id: RecordingId) -> Result<Recording> {
        let tenant = tenant.clone();
        self.read(move |connection| find(connection, &tenant, id)).await
    }

    /// One track of a recording that has ended, as Ogg Opus, piece by piece.
    ///
    /// # Errors
    /// When there is none, it is still being made, or it cannot be read just now.
    pub async fn track(&self, tenant: &TenantId, id: RecordingId, track: u32) -> Result<Reading> {
        let recording = self.recording(tenant, id).await?;
        ended(&recording)?;
        if !recording.tracks.iter().any(|found| found.track == track) {
            return Err(TenantError::not_found("track", track));
        }
        Ok(self.blobs().open_blob(&object(tenant, id, track)).await?)
    }

    /// Deletes a recording, here and in the object store.
    ///
    /// # Errors
    /// When there is none, it is still being made, or it is a message of a mailbox.
    pub async fn delete_recording(&self, actor: &Actor, tenant: &TenantId, id: RecordingId) -> Result<()> {
        let change = Change::new(actor, tenant, "recording.delete", id, Effect::Nothing);
        let tenant = tenant.clone();
        self.change(change, move |connection, _line| {
            let recording = find(connection, &tenant, id)?;
            ended(&recording)?;
            let mailbox = "SELECT mailbox FROM message WHERE tenant = ?1 AND recording = ?2 LIMIT 1";
            let mailbox: Option<String> =
                connection.query_row(mailbox, [tenant.as_str(), &id.to_string()], |row| row.get(0)).optional()?;
            if let Some(mailbox) = mailbox {
                let what = format!("the recording is a message in mailbox {mailbox}; delete the message there");
                return Err(TenantError::Conflict(what));
            }
            forget(connection, &tenant, id)
        })
        .await?;
        self.blobs().wake();
        Ok(())
    }

    /// Marks a moment of a recording, also while it is being made. Gives all of its marks, by time.
    ///
    /// # Errors
    /// When there is no such recording, the moment is after its end, or it has too many marks.
    pub async fn bookmark(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        id: RecordingId,
        new: NewBookmark,
    ) -> Result<Vec<Bookmark>> {
        check_label(&new.label)?;
        let by = actor.to_string();
        let (whose, mark) = (tenant.clone(), new);
        let work = move |connection: &Connection| {
            let mut recording = find(connection, &whose, id)?;
            let end = recording.ended_at.map(|_| recording.duration_ms);
            if let Some(end) = end.filter(|end| mark.at_ms > *end) {
                let what = format!("is after the recording's end: at most {end}; got {}", mark.at_ms);
                return Err(TenantError::invalid("at-ms", what));
            }
            if recording.bookmarks.len() >= BOOKMARKS_MAX {
                let limit = BOOKMARKS_MAX as u64;
                return Err(TenantError::OverLimit { budget: "bookmarks of a recording", limit, hint: "" });
            }
            let at = recording.bookmarks.partition_point(|other| other.at_ms <= mark.at_ms);
            recording.bookmarks.insert(at, Bookmark { at_ms: mark.at_ms, label: mark.label, by });
            put(connection, &whose, &recording)?;
            Ok(recording.bookmarks)
        };
        match actor {
            // What users do in their own calls is not what the audit log is for.
            Actor::User(_) => self.shared.parts.store.change(work).await,
            Actor::Operator | Actor::Token { .. } | Actor::Gateway => {
                let change = Change::new(actor, tenant, "recording.bookmark", id, Effect::Nothing);
                self.change(change, move |connection, _line| work(connection)).await
            }
        }
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

/// The blob of a track.
pub(super) fn object(tenant: &TenantId, id: RecordingId, track: u32) -> String {
    format!("{tenant}/{id}/{track}.ogg")
}

/// The size of a file that is on disk for good; none when there is no file.
fn flushed(file: &std::path::Path) -> Option<u64> {
    let file = std::fs::File::open(file).ok()?;
    file.sync_all().ok()?;
    let bytes = file.metadata().ok()?.len();
    (bytes > 0).then_some(bytes)
}

pub(super) fn ended(recording: &Recording) -> Result<()> {
    match recording.state {
        RecordingState::Recording => {
            Err(TenantError::Conflict("the recording is still being made; wait for its end".into()))
        }
        RecordingState::Complete | RecordingState::CutShort => Ok(()),
    }
}

fn check_label(label: &str) -> Result<()> {
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let what = format!("must have at most {LABEL_BYTES_MAX} bytes and no control characters");
        return Err(TenantError::invalid("label", what));
    }
    Ok(())
}

/// How many recordings a tenant has, and their bytes.
pub(super) fn usage(connection: &Connection, tenant: &TenantId) -> Result<(u64, u64)> {
    let select = "SELECT recordings, bytes FROM recording_usage WHERE tenant = ?1";
    let mut statement = connection.prepare_cached(select)?;
    let found = statement.query_row([tenant.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (count, bytes) = found.optional()?.unwrap_or_default();
    Ok((count.max(0).unsigned_abs(), bytes.max(0).unsigned_abs()))
}

/// One recording, in a transaction.
pub(super) fn find(connection: &Connection, tenant: &TenantId, id: RecordingId) -> Result<Recording> {
    let select = "SELECT body FROM recording WHERE tenant = ?1 AND id = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let body: Option<String> = statement.query_row([tenant.as_str(), &id.to_string()], |row| row.get(0)).optional()?;
    let body = body.ok_or_else(|| TenantError::not_found("recording", id))?;
    read(connection, tenant, &body)
}

fn read(connection: &Connection, tenant: &TenantId, body: &str) -> Result<Recording> {
    let mut recording: Recording = parsed("of a recording", body)?;
    let state = blobs::rows::state(connection, tenant.as_str(), &recording.id.to_string())?;
    recording.storage = match state {
        Some(blobs::rows::State::Stored) => StorageState::Stored,
        Some(blobs::rows::State::Uploading) => StorageState::Uploading,
        Some(blobs::rows::State::Failed) => StorageState::Failed,
        Some(blobs::rows::State::Writing | blobs::rows::State::Local | blobs::rows::State::Deleting) | None => {
            StorageState::Local
        }
    };
    Ok(recording)
}

/// Keeps a recording as it is now.
pub(super) fn put(connection: &Connection, tenant: &TenantId, recording: &Recording) -> Result<()> {
    let update = "UPDATE recording SET state = ?3, bytes = ?4, body = ?5 WHERE tenant = ?1 AND id = ?2";
    let bytes: u64 = recording.tracks.iter().map(|track| track.bytes).sum();
    connection.prepare_cached(update)?.execute(params![
        tenant.as_str(),
        recording.id.to_string(),
        state_word(recording.state),
        bytes as i64,
        json(recording)?,
    ])?;
    Ok(())
}

/// Forgets a recording; its blobs go when the worker comes to it.
pub(super) fn forget(connection: &Connection, tenant: &TenantId, id: RecordingId) -> Result<()> {
    blobs::rows::forget(connection, tenant, id)?;
    let delete = "DELETE FROM recording WHERE tenant = ?1 AND id = ?2";
    connection.prepare_cached(delete)?.execute([tenant.as_str(), &id.to_string()])?;
    Ok(())
}

fn select(
    connection: &Connection,
    tenant: &TenantId,
    filter: &RecordingFilter,
    before: i64,
    limit: usize,
) -> Result<Vec<(i64, Recording)>> {
    let text = |text: String| Value::Text(text);
    let conditions = [
        Some(("tenant = ?", text(tenant.to_string()))),
        Some(("seq < ?", Value::Integer(before))),
        filter.call.map(|call| ("call = ?", text(call.to_string()))),
        filter.kind.map(|kind| ("kind = ?", text(kind_word(kind).to_owned()))),
        filter.since.map(|since| ("started_at >= ?", Value::Integer(millis(since)))),
    ];
    let (conditions, values): (Vec<_>, Vec<_>) = conditions.into_iter().flatten().unzip();
    let wanted = conditions.join(" AND ");
    let sql = format!("SELECT seq, body FROM recording WHERE {wanted} ORDER BY seq DESC LIMIT {limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let rows = statement.query_map(params_from_iter(values), row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter().map(|(seq, body)| Ok((seq, read(connection, tenant, &body)?))).collect()
}

pub(super) const fn kind_word(kind: RecordingKind) -> &'static str {
    match kind {
        RecordingKind::Call => "call",
        RecordingKind::Voicemail => "voicemail",
        RecordingKind::Message => "message",
        RecordingKind::Room => "room",
    }
}

const fn state_word(state: RecordingState) -> &'static str {
    match state {
        RecordingState::Recording => "recording",
        RecordingState::Complete => "complete",
        RecordingState::CutShort => "cut-short",
    }
}

/// Forgets a recording that no message refers to any more.
pub(super) fn forget_if_unused(connection: &Connection, tenant: &TenantId, id: RecordingId) -> Result<()> {
    let used = "SELECT EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND recording = ?2)";
    let used: bool =
        connection.prepare_cached(used)?.query_row([tenant.as_str(), &id.to_string()], |row| row.get(0))?;
    if used { Ok(()) } else { forget(connection, tenant, id) }
}

/// The recordings of messages in a mailbox.
pub(super) fn of_mailbox(connection: &Connection, tenant: &TenantId, mailbox: &MailboxId) -> Result<Vec<RecordingId>> {
    let select = "SELECT DISTINCT recording FROM message WHERE tenant = ?1 AND mailbox = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([tenant.as_str(), mailbox.as_str()], |row| row.get::<_, String>(0))?;
    let mut ids = Vec::new();
    for row in rows {
        ids.push(identifier(row?)?);
    }
    Ok(ids)
}

/// An identifier that the store has.
pub(super) fn identifier(text: String) -> Result<RecordingId> {
    let damaged =
        |_| TenantError::Store(crate::store::StoreError::Damage(format!("{text:?} is no recording's identifier")));
    RecordingId::try_from(text.clone()).map_err(damaged)
}

//! Recordings as people see them: listed, heard, marked, deleted. How they are made: [`super::recorders`].

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use tandem_switch::id::{MailboxId, RecordingId, TenantId};

use super::change::{Change, bounded, json, millis, number, page, parsed};
use super::model::{
    Actor, Bookmark, NewBookmark, Page, Recording, RecordingFilter, RecordingKind, RecordingState, StorageState,
};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::blobs::{self, Reading};

/// Most marked moments of one recording.
const BOOKMARKS_MAX: usize = 500;

/// Longest label of a marked moment, bytes.
const LABEL_BYTES_MAX: usize = 256;

impl Tenants {
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
    /// When there is no such recording, it is not of the user, the moment is after its end, or it has too many marks.
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
        let who = actor.clone();
        let work = move |connection: &Connection| {
            let mut recording = find(connection, &whose, id)?;
            permit(connection, &who, &whose, &recording)?;
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
}

/// The blob of a track.
pub(super) fn object(tenant: &TenantId, id: RecordingId, track: u32) -> String {
    format!("{tenant}/{id}/{track}.ogg")
}

pub(super) fn ended(recording: &Recording) -> Result<()> {
    match recording.state {
        RecordingState::Recording => {
            Err(TenantError::Conflict("the recording is still being made; wait for its end".into()))
        }
        RecordingState::Complete | RecordingState::CutShort => Ok(()),
    }
}

/// Refuses a user what is neither the user's voice nor a message of the user's, as if it were not there.
fn permit(connection: &Connection, actor: &Actor, tenant: &TenantId, recording: &Recording) -> Result<()> {
    let Actor::User(user) = actor else { return Ok(()) };
    let own = "SELECT EXISTS (SELECT 1 FROM message AS m JOIN mailbox_owner AS o ON o.tenant = m.tenant AND o.mailbox = m.mailbox
        WHERE m.tenant = ?1 AND m.recording = ?2 AND o.user = ?3)";
    let values = [tenant.as_str(), &recording.id.to_string(), user.as_str()];
    let is_own = recording.tracks.iter().any(|track| track.user.as_ref() == Some(user))
        || connection.prepare_cached(own)?.query_row(values, |row| row.get::<_, bool>(0))?;
    if is_own { Ok(()) } else { Err(TenantError::not_found("recording", recording.id)) }
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

pub(super) const fn state_word(state: RecordingState) -> &'static str {
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

//! The messages in mailboxes: references to recordings. Sharing one makes another reference, and the recording goes with the last of them.
//! Calls leave messages; the control API and the owners (over signalling) hear, mark, share and delete them.

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::{MailboxId, MessageId, RecordingId, TenantId};

use super::change::{Change, Line, bounded, json, number, page, parsed};
use super::mailboxes::{MESSAGES, find_or_make, most, owners, permit, waiting_of};
use super::model::{Actor, Message, Page, Recording, Waveform};
use super::notices::Waiting;
use super::publish::Effect;
use super::recorders::MeantFor;
use super::{Result, TenantError, Tenants, recordings};
use crate::blobs::Reading;

/// Most mailboxes that one message is shared with.
const SHARES_MAX: usize = 32;

/// How many messages a full mailbox still takes: those that were being left while it became full.
const BEYOND_FULL_MAX: u64 = 64;

/// Longest address of who left a message, or of what was dialled, bytes.
const ADDRESS_BYTES_MAX: usize = tandem_switch::limits::ADDRESS_BYTES_MAX;

/// What is kept of a message as it is shown; the rest is the recording's.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Body {
    from: String,
    to: String,
    received_at: tandem_switch::time::UnixMillis,
    #[serde(default)]
    shared_with: Vec<MailboxId>,
    #[serde(default)]
    shared_from: Option<MailboxId>,
}

impl Tenants {
    /// Puts a recording that has ended into the mailbox that it is meant for, as a message. The owners are told ([`Waiting`]).
    ///
    /// # Errors
    /// When there is no such recording or mailbox, it is meant for none (any more), or nothing was recorded or the mailbox is more than full:
    /// then the recording is deleted.
    pub async fn keep_message(&self, tenant: &TenantId, recording: RecordingId) -> Result<Message> {
        let id = MessageId(rand::random());
        let whose = tenant.clone();
        let kept = self.shared.parts.store.change(move |connection| {
            let meant_for = meant_for(connection, &whose, recording)?;
            if recordings::find(connection, &whose, recording)?.tracks.is_empty() {
                recordings::forget(connection, &whose, recording)?;
                return Ok(None);
            }
            let name = meant_for.mailbox;
            let mailbox = find_or_make(connection, &whose, &name)?;
            let most = most(connection, &whose, &mailbox)?;
            if mailbox.messages >= most.saturating_add(BEYOND_FULL_MAX) {
                let hint = "; delete messages that have been heard";
                return Err(TenantError::OverLimit { budget: MESSAGES, limit: most, hint });
            }
            let body = Body {
                from: cut(meant_for.from),
                to: cut(meant_for.to),
                received_at: crate::clock::unix_now(),
                shared_with: Vec::new(),
                shared_from: None,
            };
            insert(connection, &whose, &name, id, recording, &body)?;
            let arrived = "UPDATE recording SET meant_for = NULL WHERE tenant = ?1 AND id = ?2";
            connection.prepare_cached(arrived)?.execute([whose.as_str(), &recording.to_string()])?;
            let waiting = waiting_of(connection, &whose, owners(connection, &whose, &name)?)?;
            Ok(Some((message(connection, &whose, &name, id)?, waiting)))
        });
        match kept.await {
            Ok(None) => {
                self.blobs().wake();
                Err(TenantError::Conflict("nothing was recorded: there is no message".into()))
            }
            Ok(Some((message, waiting))) => {
                self.tell_waiting(waiting);
                let (this, tenant) = (self.clone(), tenant.clone());
                // Nobody waits for it: who asks before it is there, has it made. It holds a place of those that decode.
                tokio::spawn(async move { this.keep_picture(&tenant, recording).await });
                Ok(message)
            }
            Err(error @ TenantError::OverLimit { .. }) => {
                self.meters().of(tenant).mailbox_messages.refuse();
                let whose = tenant.clone();
                let store = &self.shared.parts.store;
                store.change(move |connection| recordings::forget_if_unused(connection, &whose, recording)).await?;
                self.blobs().wake();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// A mailbox's messages, newest first.
    ///
    /// # Errors
    /// When there is no such mailbox, or it is not the user's.
    pub async fn messages(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Message>> {
        let (actor, tenant, name) = (actor.clone(), tenant.clone(), name.clone());
        let (before, limit) = (number(cursor)?, bounded(limit));
        self.read(move |connection| {
            permit(connection, &actor, &tenant, &name)?;
            let select = "SELECT seq, id FROM message WHERE tenant = ?1 AND mailbox = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4";
            let mut statement = connection.prepare_cached(select)?;
            let values = params![tenant.as_str(), name.as_str(), before, limit as i64 + 1];
            let rows = statement.query_map(values, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let page = page(rows, limit, |(seq, _)| seq.to_string());
            let items = page.items.into_iter().map(|(_, id)| message(connection, &tenant, &name, identifier(id)?));
            Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
        })
        .await
    }

    /// One message.
    ///
    /// # Errors
    /// When there is none, or the mailbox is not the user's.
    pub async fn message(&self, actor: &Actor, tenant: &TenantId, name: &MailboxId, id: MessageId) -> Result<Message> {
        let (actor, tenant, name) = (actor.clone(), tenant.clone(), name.clone());
        self.read(move |connection| {
            permit(connection, &actor, &tenant, &name)?;
            message(connection, &tenant, &name, id)
        })
        .await
    }

    /// A message's voice, as Ogg Opus, piece by piece.
    ///
    /// # Errors
    /// When there is none, the mailbox is not the user's, or it cannot be read just now.
    pub async fn message_audio(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        id: MessageId,
    ) -> Result<Reading> {
        let message = self.message(actor, tenant, name, id).await?;
        let recording: Recording = self.recording(tenant, message.recording).await?;
        let track = recording.tracks.first().ok_or_else(|| TenantError::not_found("track", 0))?.track;
        self.track(tenant, message.recording, track).await
    }

    /// A message's picture.
    ///
    /// # Errors
    /// When there is no such message, or the mailbox is not the user's.
    pub async fn waveform(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        id: MessageId,
    ) -> Result<Waveform> {
        let message = self.message(actor, tenant, name, id).await?;
        self.recording_waveform(tenant, message.recording).await
    }

    /// Says whether a message has been heard.
    ///
    /// # Errors
    /// When there is none, or the mailbox is not the user's.
    pub async fn mark_message(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        id: MessageId,
        heard: bool,
    ) -> Result<Message> {
        let (whose, mailbox) = (tenant.clone(), name.clone());
        self.change_messages(actor, tenant, "message.mark", name, id, move |connection, line| {
            let before = message(connection, &whose, &mailbox, id)?;
            line.unchanged = before.heard == heard;
            line.detail = if heard { "heard" } else { "not heard" }.to_owned();
            let update = "UPDATE message SET heard = ?4 WHERE tenant = ?1 AND mailbox = ?2 AND id = ?3";
            let values = params![whose.as_str(), mailbox.as_str(), id.to_string(), heard];
            connection.prepare_cached(update)?.execute(values)?;
            let waiting = waiting_of(connection, &whose, owners(connection, &whose, &mailbox)?)?;
            Ok((Message { heard, ..before }, waiting))
        })
        .await
    }

    /// Puts a message into another mailbox too. Its owners find it as one that has not been heard.
    ///
    /// # Errors
    /// When there is no such message or mailbox, the one is not the user's, the other has it already or is full.
    pub async fn share_message(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        id: MessageId,
        with: &MailboxId,
    ) -> Result<Message> {
        let (whose, mailbox, other) = (tenant.clone(), name.clone(), with.clone());
        self.change_messages(actor, tenant, "message.share", name, id, move |connection, line| {
            line.detail = format!("with {other}");
            let mut shared = message(connection, &whose, &mailbox, id)?;
            let target = find_or_make(connection, &whose, &other)?;
            let most = most(connection, &whose, &target)?;
            if target.messages >= most {
                return Err(TenantError::Conflict(format!("mailbox {other} is full: it has {most} messages")));
            }
            let there = "SELECT EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND mailbox = ?2 AND recording = ?3)";
            let values = [whose.as_str(), other.as_str(), &shared.recording.to_string()];
            if connection.query_row(there, values, |row| row.get(0))? {
                return Err(TenantError::Conflict(format!("mailbox {other} has this message already")));
            }
            if shared.shared_with.len() >= SHARES_MAX {
                let budget = "mailboxes that a message is shared with";
                return Err(TenantError::OverLimit { budget, limit: SHARES_MAX as u64, hint: "" });
            }
            shared.shared_with.push(other.clone());
            put_body(connection, &whose, &mailbox, &shared)?;
            let body = Body {
                from: shared.from.clone(),
                to: shared.to.clone(),
                received_at: shared.received_at,
                shared_with: Vec::new(),
                shared_from: Some(mailbox.clone()),
            };
            insert(connection, &whose, &other, MessageId(rand::random()), shared.recording, &body)?;
            let waiting = waiting_of(connection, &whose, owners(connection, &whose, &other)?)?;
            Ok((shared, waiting))
        })
        .await
    }

    /// Deletes a message; its recording goes with the last message that refers to it.
    ///
    /// # Errors
    /// When there is none, or the mailbox is not the user's.
    pub async fn delete_message(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        id: MessageId,
    ) -> Result<()> {
        let (whose, mailbox) = (tenant.clone(), name.clone());
        self.change_messages(actor, tenant, "message.delete", name, id, move |connection, _line| {
            let gone = message(connection, &whose, &mailbox, id)?;
            let delete = "DELETE FROM message WHERE tenant = ?1 AND mailbox = ?2 AND id = ?3";
            connection.prepare_cached(delete)?.execute([whose.as_str(), mailbox.as_str(), &id.to_string()])?;
            recordings::forget_if_unused(connection, &whose, gone.recording)?;
            let waiting = waiting_of(connection, &whose, owners(connection, &whose, &mailbox)?)?;
            Ok(((), waiting))
        })
        .await?;
        self.blobs().wake();
        Ok(())
    }

    /// Changes a message: with a line in the audit log, unless it is a user's own doing.
    async fn change_messages<T: Send + 'static>(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        action: &'static str,
        name: &MailboxId,
        id: MessageId,
        work: impl FnOnce(&Connection, &mut Line) -> Result<(T, Vec<Waiting>)> + Send + 'static,
    ) -> Result<T> {
        let (who, whose, mailbox) = (actor.clone(), tenant.clone(), name.clone());
        let permitted = move |connection: &Connection, line: &mut Line| {
            permit(connection, &who, &whose, &mailbox)?;
            work(connection, line)
        };
        let (value, waiting) = match actor {
            Actor::User(_) => {
                let work = move |connection: &Connection| permitted(connection, &mut Line::default());
                self.shared.parts.store.change(work).await?
            }
            Actor::Operator | Actor::Token { .. } | Actor::Gateway => {
                let change = Change::new(actor, tenant, action, format!("{name}/{id}"), Effect::Nothing);
                self.change(change, permitted).await?
            }
        };
        self.tell_waiting(waiting);
        Ok(value)
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ADDRESS_BYTES_MAX.min(text.len())));
    text
}

/// Whom a recording that has ended is meant for.
fn meant_for(connection: &Connection, tenant: &TenantId, id: RecordingId) -> Result<MeantFor> {
    recordings::ended(&recordings::find(connection, tenant, id)?)?;
    let select = "SELECT meant_for FROM recording WHERE tenant = ?1 AND id = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let found: Option<String> = statement.query_row([tenant.as_str(), &id.to_string()], |row| row.get(0))?;
    let none = || TenantError::Conflict("the recording is no message that waits for its mailbox".into());
    parsed("of a message that is being left", &found.ok_or_else(none)?)
}

fn insert(
    connection: &Connection,
    tenant: &TenantId,
    name: &MailboxId,
    id: MessageId,
    recording: RecordingId,
    body: &Body,
) -> Result<()> {
    let insert = "INSERT INTO message (tenant, mailbox, id, recording, heard, body) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
    let values = params![tenant.as_str(), name.as_str(), id.to_string(), recording.to_string(), json(body)?];
    connection.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

fn put_body(connection: &Connection, tenant: &TenantId, name: &MailboxId, message: &Message) -> Result<()> {
    let Message { from, to, received_at, shared_with, shared_from, .. } = message.clone();
    let body = Body { from, to, received_at, shared_with, shared_from };
    let update = "UPDATE message SET body = ?4 WHERE tenant = ?1 AND mailbox = ?2 AND id = ?3";
    let values = params![tenant.as_str(), name.as_str(), message.id.to_string(), json(&body)?];
    connection.prepare_cached(update)?.execute(values)?;
    Ok(())
}

fn message(connection: &Connection, tenant: &TenantId, name: &MailboxId, id: MessageId) -> Result<Message> {
    let select = "SELECT recording, heard, body FROM message WHERE tenant = ?1 AND mailbox = ?2 AND id = ?3";
    let mut statement = connection.prepare_cached(select)?;
    let found = statement.query_row([tenant.as_str(), name.as_str(), &id.to_string()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, String>(2)?))
    });
    let (recording, heard, body) = found.optional()?.ok_or_else(|| TenantError::not_found("message", id))?;
    let recording = recordings::find(connection, tenant, recordings::identifier(recording)?)?;
    let Body { from, to, received_at, shared_with, shared_from } = parsed("of a message", &body)?;
    let Recording { id: recording, duration_ms, bookmarks, .. } = recording;
    Ok(Message { id, from, to, received_at, duration_ms, recording, heard, bookmarks, shared_with, shared_from })
}

fn identifier(text: String) -> Result<MessageId> {
    let damaged =
        |_| TenantError::Store(crate::store::StoreError::Damage(format!("{text:?} is no message's identifier")));
    MessageId::try_from(text.clone()).map_err(damaged)
}

//! Mailboxes and their messages. A message is a reference to a recording: sharing it makes another reference, and the recording goes with
//! the last of them. Calls leave messages; the control API and the owners (over signalling) hear, mark, share and delete them.
//!
//! An [`Actor::User`] sees and does only what is in mailboxes of the user's own; to others it is as if they were not there.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tandem_switch::id::{MailboxId, MessageId, PromptId, RecordingId, TenantId, UserId};

use super::change::{Change, bounded, expect, json, kept, number, page, parsed};
use super::model::{Actor, Mailbox, MailboxSettings, Message, Page, Recording, Revision};
use super::notices::{Notice, Waiting};
use super::publish::Effect;
use super::recordings::MeantFor;
use super::{Result, TenantError, Tenants, recordings, settings};
use crate::blobs::Reading;

/// Most owners of a mailbox.
const OWNERS_MAX: usize = 100;

/// Most mailboxes that one message is shared with.
const SHARES_MAX: usize = 32;

/// How many messages a full mailbox still takes: those that were being left while it became full.
const BEYOND_FULL_MAX: u64 = 64;

/// Longest address of who left a message, or of what was dialled, bytes.
const ADDRESS_BYTES_MAX: usize = tandem_switch::limits::ADDRESS_BYTES_MAX;

/// What a call must know before somebody leaves a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// What the caller hears first; none: a tone only.
    pub greeting: Option<PromptId>,
    /// Longest message, seconds.
    pub message_seconds: u64,
    /// Whether there is room for one more. When not, the caller is told, and leaves none.
    pub has_room: bool,
}

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
    /// A tenant's mailboxes, by name.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn mailboxes(&self, tenant: &TenantId, cursor: Option<&str>, limit: usize) -> Result<Page<Mailbox>> {
        let (tenant, after, limit) = (tenant.clone(), cursor.unwrap_or_default().to_owned(), bounded(limit));
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let select =
                "SELECT name, settings, revision FROM mailbox WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
            let mut statement = connection.prepare_cached(select)?;
            let rows = statement.query_map(params![tenant.as_str(), after, limit as i64 + 1], raw)?;
            let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let found = found.into_iter().map(|row| mailbox(connection, &tenant, row)).collect::<Result<Vec<_>>>()?;
            Ok(page(found, limit, |mailbox| mailbox.name.to_string()))
        })
        .await
    }

    /// The mailboxes of a user's own, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_mailboxes(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Mailbox>> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.read(move |connection| {
            let select = "SELECT m.name, m.settings, m.revision FROM mailbox_owner AS o
                JOIN mailbox AS m ON m.tenant = o.tenant AND m.name = o.mailbox
                WHERE o.tenant = ?1 AND o.user = ?2 ORDER BY m.name LIMIT ?3";
            let mut statement = connection.prepare_cached(select)?;
            let rows =
                statement.query_map(params![tenant.as_str(), user.as_str(), super::change::PAGE_MAX as i64], raw)?;
            let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            found.into_iter().map(|row| mailbox(connection, &tenant, row)).collect()
        })
        .await
    }

    /// One mailbox.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn mailbox(&self, tenant: &TenantId, name: &MailboxId) -> Result<Mailbox> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.read(move |connection| find(connection, &tenant, &name)).await
    }

    /// Makes or changes a mailbox.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_mailbox(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        expected: Option<Revision>,
        wanted: MailboxSettings,
    ) -> Result<Mailbox> {
        let change = Change::new(actor, tenant, "mailbox.put", name, Effect::Nothing);
        let (whose, name) = (tenant.clone(), name.clone());
        let done = self
            .change(change, move |connection, _line| {
                let limits = settings::find(connection, &whose)?.settings.limits;
                let revision = match find(connection, &whose, &name) {
                    Ok(before) => {
                        expect(expected, before.revision)?;
                        before.revision + 1
                    }
                    Err(TenantError::NotFound { .. }) => {
                        expect(expected, 0)?;
                        room_for_one(connection, &whose, limits.mailboxes)?;
                        1
                    }
                    Err(error) => return Err(error),
                };
                check(&wanted, limits.message_seconds, limits.mailbox_messages)?;
                put(connection, &whose, &name, &wanted, revision)?;
                find(connection, &whose, &name)
            })
            .await;
        if let Err(TenantError::OverLimit { budget: MAILBOXES, .. }) = &done {
            self.meters().of(tenant).mailboxes.refuse();
        }
        done
    }

    /// Deletes a mailbox and its messages.
    ///
    /// # Errors
    /// When there is none, it has changed, or the store fails.
    pub async fn delete_mailbox(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &MailboxId,
        expected: Option<Revision>,
    ) -> Result<()> {
        let change = Change::new(actor, tenant, "mailbox.delete", name, Effect::Nothing);
        let (whose, name) = (tenant.clone(), name.clone());
        let waiting = self
            .change(change, move |connection, line| {
                let before = find(connection, &whose, &name)?;
                expect(expected, before.revision)?;
                line.detail = format!("{} messages", before.messages);
                let owners = owners(connection, &whose, &name)?;
                let recordings = recordings::of_mailbox(connection, &whose, &name)?;
                connection
                    .execute("DELETE FROM mailbox WHERE tenant = ?1 AND name = ?2", [whose.as_str(), name.as_str()])?;
                for recording in recordings {
                    recordings::forget_if_unused(connection, &whose, recording)?;
                }
                waiting_of(connection, &whose, owners)
            })
            .await?;
        self.tell_waiting(waiting);
        self.blobs().wake();
        Ok(())
    }

    /// What a call must know before somebody leaves a message. A mailbox that a user's name stands for is there although nobody made it.
    ///
    /// # Errors
    /// When there is no such mailbox, or the store fails.
    pub async fn mailbox_door(&self, tenant: &TenantId, name: &MailboxId) -> Result<Door> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.read(move |connection| {
            let limits = settings::find(connection, &tenant)?.settings.limits;
            let (wanted, messages) = match find(connection, &tenant, &name) {
                Ok(found) => (found.settings, found.messages),
                Err(TenantError::NotFound { .. }) => {
                    stands_for_a_user(connection, &tenant, &name)?;
                    (MailboxSettings::default(), 0)
                }
                Err(error) => return Err(error),
            };
            let most = wanted.messages.unwrap_or(u64::MAX).min(limits.mailbox_messages);
            let (bytes, recordings) = recordings::usage(connection, &tenant).map(|(count, bytes)| (bytes, count))?;
            let has_room = messages < most && bytes < limits.recording_bytes && recordings < limits.recordings;
            let message_seconds = wanted.message_seconds.unwrap_or(u64::MAX).min(limits.message_seconds);
            Ok(Door { greeting: wanted.greeting, message_seconds, has_room })
        })
        .await
    }

    /// Puts a recording that has ended into the mailbox that it is meant for, as a message. The owners are told ([`Waiting`]).
    ///
    /// # Errors
    /// When there is no such recording or mailbox, it is meant for none (any more), or the mailbox is more than full: then the recording is
    /// deleted.
    pub async fn keep_message(&self, tenant: &TenantId, recording: RecordingId) -> Result<Message> {
        let id = MessageId(rand::random());
        let whose = tenant.clone();
        let kept = self.shared.parts.store.change(move |connection| {
            let meant_for = meant_for(connection, &whose, recording)?;
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
            Ok((message(connection, &whose, &name, id)?, waiting))
        });
        match kept.await {
            Ok((message, waiting)) => {
                self.tell_waiting(waiting);
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

    /// How many messages wait for a user, in all of the user's mailboxes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting(&self, tenant: &TenantId, user: &UserId) -> Result<Waiting> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.read(move |connection| waiting(connection, &tenant, user)).await
    }

    /// Changes a message: with a line in the audit log, unless it is a user's own doing.
    async fn change_messages<T: Send + 'static>(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        action: &'static str,
        name: &MailboxId,
        id: MessageId,
        work: impl FnOnce(&Connection, &mut super::change::Line) -> Result<(T, Vec<Waiting>)> + Send + 'static,
    ) -> Result<T> {
        let (who, whose, mailbox) = (actor.clone(), tenant.clone(), name.clone());
        let permitted = move |connection: &Connection, line: &mut super::change::Line| {
            permit(connection, &who, &whose, &mailbox)?;
            work(connection, line)
        };
        let (value, waiting) = match actor {
            Actor::User(_) => {
                let work = move |connection: &Connection| permitted(connection, &mut super::change::Line::default());
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

    fn tell_waiting(&self, waiting: Vec<Waiting>) {
        waiting.into_iter().for_each(|waiting| self.tell(Notice::Waiting(waiting)));
    }
}

/// The budgets, as they are called in the limits.
const MAILBOXES: &str = "mailboxes";
const MESSAGES: &str = "mailbox-messages";

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ADDRESS_BYTES_MAX.min(text.len())));
    text
}

fn check(wanted: &MailboxSettings, seconds_max: u64, messages_max: u64) -> Result<()> {
    if wanted.owners.len() > OWNERS_MAX {
        let what = format!("are {}; at most {OWNERS_MAX} users own a mailbox", wanted.owners.len());
        return Err(TenantError::invalid("owners", what));
    }
    let within = |field: &str, value: Option<u64>, most: u64| match value {
        Some(value) if !(1..=most).contains(&value) => {
            Err(TenantError::invalid(field, format!("must be 1 to {most}, the tenant's limit; got {value}")))
        }
        Some(_) | None => Ok(()),
    };
    within("message-seconds", wanted.message_seconds, seconds_max)?;
    within("messages", wanted.messages, messages_max)
}

fn room_for_one(connection: &Connection, tenant: &TenantId, most: u64) -> Result<()> {
    let count = "SELECT count(*) FROM mailbox WHERE tenant = ?1";
    let count: i64 = connection.query_row(count, [tenant.as_str()], |row| row.get(0))?;
    if count.unsigned_abs() >= most {
        let hint = "; delete mailboxes that nobody uses";
        return Err(TenantError::OverLimit { budget: MAILBOXES, limit: most, hint });
    }
    Ok(())
}

/// Whether the mailbox is the own one of a user: of one who is known, or of anybody where nobody is.
fn stands_for_a_user(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<()> {
    let select = "SELECT NOT EXISTS (SELECT 1 FROM user WHERE tenant = ?1)
        OR EXISTS (SELECT 1 FROM user WHERE tenant = ?1 AND name = ?2)";
    let is_one: bool =
        connection.prepare_cached(select)?.query_row([tenant.as_str(), name.as_str()], |row| row.get(0))?;
    if is_one { Ok(()) } else { Err(TenantError::not_found("mailbox", name)) }
}

/// The mailbox, made when it is a user's own that nobody has made.
fn find_or_make(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<Mailbox> {
    match find(connection, tenant, name) {
        Err(TenantError::NotFound { .. }) => {
            stands_for_a_user(connection, tenant, name)?;
            room_for_one(connection, tenant, settings::find(connection, tenant)?.settings.limits.mailboxes)?;
            put(connection, tenant, name, &MailboxSettings::default(), 1)?;
            find(connection, tenant, name)
        }
        found => found,
    }
}

/// How many messages a mailbox takes.
fn most(connection: &Connection, tenant: &TenantId, mailbox: &Mailbox) -> Result<u64> {
    let limit = settings::find(connection, tenant)?.settings.limits.mailbox_messages;
    Ok(mailbox.settings.messages.unwrap_or(u64::MAX).min(limit))
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

/// Refuses a user what is not the user's own, as if it were not there.
fn permit(connection: &Connection, actor: &Actor, tenant: &TenantId, name: &MailboxId) -> Result<()> {
    let Actor::User(user) = actor else { return find(connection, tenant, name).map(drop) };
    let own = "SELECT EXISTS (SELECT 1 FROM mailbox_owner WHERE tenant = ?1 AND user = ?2 AND mailbox = ?3)";
    let values = [tenant.as_str(), user.as_str(), name.as_str()];
    let is_own: bool = connection.prepare_cached(own)?.query_row(values, |row| row.get(0))?;
    if is_own { Ok(()) } else { Err(TenantError::not_found("mailbox", name)) }
}

type Raw = (String, String, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn find(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<Mailbox> {
    let select = "SELECT name, settings, revision FROM mailbox WHERE tenant = ?1 AND name = ?2";
    let found = connection.prepare_cached(select)?.query_row([tenant.as_str(), name.as_str()], raw).optional()?;
    mailbox(connection, tenant, found.ok_or_else(|| TenantError::not_found("mailbox", name))?)
}

fn mailbox(connection: &Connection, tenant: &TenantId, (name, settings, revision): Raw) -> Result<Mailbox> {
    let count = "SELECT count(*), coalesce(sum(NOT heard), 0) FROM message WHERE tenant = ?1 AND mailbox = ?2";
    let mut statement = connection.prepare_cached(count)?;
    let (messages, waiting): (i64, i64) =
        statement.query_row([tenant.as_str(), &name], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Mailbox {
        settings: parsed("of a mailbox", &settings)?,
        name: kept(MailboxId::new(&name))?,
        messages: messages.unsigned_abs(),
        waiting: waiting.unsigned_abs(),
        revision: revision.unsigned_abs(),
    })
}

fn put(
    connection: &Connection,
    tenant: &TenantId,
    name: &MailboxId,
    wanted: &MailboxSettings,
    revision: Revision,
) -> Result<()> {
    let upsert = "INSERT INTO mailbox (tenant, name, settings, revision) VALUES (?1, ?2, ?3, ?4)
                  ON CONFLICT (tenant, name) DO UPDATE SET settings = ?3, revision = ?4";
    let values = params![tenant.as_str(), name.as_str(), json(wanted)?, revision as i64];
    connection.prepare_cached(upsert)?.execute(values)?;
    connection
        .execute("DELETE FROM mailbox_owner WHERE tenant = ?1 AND mailbox = ?2", [tenant.as_str(), name.as_str()])?;
    // Every mailbox's name is a user's as well: both have the same rules.
    let own = [name.as_str()];
    let owners = wanted.owners.iter().map(UserId::as_str).chain(own.into_iter().filter(|_| wanted.owners.is_empty()));
    for owner in owners {
        let insert = "INSERT OR IGNORE INTO mailbox_owner (tenant, user, mailbox) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(insert)?.execute([tenant.as_str(), owner, name.as_str()])?;
    }
    Ok(())
}

fn owners(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<Vec<UserId>> {
    let select = "SELECT user FROM mailbox_owner WHERE tenant = ?1 AND mailbox = ?2 ORDER BY user";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([tenant.as_str(), name.as_str()], |row| row.get::<_, String>(0))?;
    rows.map(|user| kept(UserId::new(&user?))).collect()
}

fn waiting(connection: &Connection, tenant: &TenantId, user: UserId) -> Result<Waiting> {
    let count = "SELECT count(*), coalesce(sum(NOT m.heard), 0) FROM mailbox_owner AS o
        JOIN message AS m ON m.tenant = o.tenant AND m.mailbox = o.mailbox WHERE o.tenant = ?1 AND o.user = ?2";
    let mut statement = connection.prepare_cached(count)?;
    let (messages, waiting): (i64, i64) =
        statement.query_row([tenant.as_str(), user.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (messages, waiting) = (messages.unsigned_abs(), waiting.unsigned_abs());
    Ok(Waiting { tenant: tenant.clone(), user, waiting, messages })
}

fn waiting_of(connection: &Connection, tenant: &TenantId, users: Vec<UserId>) -> Result<Vec<Waiting>> {
    users.into_iter().map(|user| waiting(connection, tenant, user)).collect()
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

//! Mailboxes: whose they are, what callers hear there, how much goes in. What is in them: [`super::messages`].
//!
//! An [`Actor::User`] sees and does only what is in mailboxes of the user's own; to others it is as if they were not there.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tandem_switch::id::{MailboxId, PromptId, TenantId, UserId};

use super::change::{Change, bounded, expect, json, kept, page, parsed};
use super::model::{Actor, Mailbox, MailboxSettings, Page, Revision};
use super::notices::{Notice, Waiting};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, recordings, settings};

/// Most owners of a mailbox.
const OWNERS_MAX: usize = 100;

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

    /// How many messages wait for a user, in all of the user's mailboxes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting(&self, tenant: &TenantId, user: &UserId) -> Result<Waiting> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.read(move |connection| waiting(connection, &tenant, user)).await
    }

    pub(super) fn tell_waiting(&self, waiting: Vec<Waiting>) {
        waiting.into_iter().for_each(|waiting| self.tell(Notice::Waiting(waiting)));
    }
}

/// The budgets, as they are called in the limits.
const MAILBOXES: &str = "mailboxes";
pub(super) const MESSAGES: &str = "mailbox-messages";

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
pub(super) fn find_or_make(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<Mailbox> {
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
pub(super) fn most(connection: &Connection, tenant: &TenantId, mailbox: &Mailbox) -> Result<u64> {
    let limit = settings::find(connection, tenant)?.settings.limits.mailbox_messages;
    Ok(mailbox.settings.messages.unwrap_or(u64::MAX).min(limit))
}

/// Refuses a user what is not the user's own, as if it were not there.
pub(super) fn permit(connection: &Connection, actor: &Actor, tenant: &TenantId, name: &MailboxId) -> Result<()> {
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

pub(super) fn owners(connection: &Connection, tenant: &TenantId, name: &MailboxId) -> Result<Vec<UserId>> {
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

pub(super) fn waiting_of(connection: &Connection, tenant: &TenantId, users: Vec<UserId>) -> Result<Vec<Waiting>> {
    users.into_iter().map(|user| waiting(connection, tenant, user)).collect()
}

//! What creates brought, so that one that is asked for again (the answer was lost on its way) is not done twice.

use rusqlite::{OptionalExtension as _, params};

use super::change::millis;
use super::model::Actor;
use super::{Result, Tenants};
use crate::clock::unix_now;

/// How long an answer is remembered, milliseconds: a day. Who asks again later than that makes another.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Most answers that are remembered for one token; the oldest go.
const KEPT_MAX: i64 = 1000;

/// What a create brought, kept so that it is not done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 of method, path and body: another request under the same key is refused.
    pub request: [u8; 32],
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    pub body: Vec<u8>,
}

impl Tenants {
    /// What a create with this idempotency key brought before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remembered(&self, actor: &Actor, key: &str) -> Result<Option<Remembered>> {
        let (actor, key) = (actor.to_string(), key.to_owned());
        self.read(move |connection| {
            let since = millis(unix_now()) - KEPT_MS;
            let select = "SELECT request, status, body FROM idempotency WHERE actor = ?1 AND key = ?2 AND at > ?3";
            let mut statement = connection.prepare_cached(select)?;
            let found = statement.query_row(params![actor, key, since], |row| {
                Ok(Remembered { request: row.get(0)?, status: row.get(1)?, body: row.get(2)? })
            });
            Ok(found.optional()?)
        })
        .await
    }

    /// Keeps what a create brought, for a day.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remember(&self, actor: &Actor, key: &str, answer: Remembered) -> Result<()> {
        let (actor, key) = (actor.to_string(), key.to_owned());
        let store = &self.shared.parts.store;
        store
            .change(move |connection| {
                let now = millis(unix_now());
                let insert = "INSERT OR REPLACE INTO idempotency (actor, key, request, status, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let Remembered { request, status, body } = answer;
                connection.execute(insert, params![actor, key, request, status, body, now])?;
                connection.execute("DELETE FROM idempotency WHERE at <= ?1", [now - KEPT_MS])?;
                let excess = "DELETE FROM idempotency WHERE actor = ?1 AND key IN
                    (SELECT key FROM idempotency WHERE actor = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)";
                connection.execute(excess, params![actor, KEPT_MAX])?;
                Ok(())
            })
            .await
    }
}

//! A tenant's users. One without any takes everybody whose token is good.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tandem_switch::id::{TenantId, UserId};

use super::change::{Change, bounded, free, kept, page};
use super::model::{Actor, Page, User};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};

/// Most users of a tenant: each is a line in the presence table of every node.
const USERS_MAX: u64 = 100_000;

/// Longest name to show, bytes.
const DISPLAY_NAME_BYTES_MAX: usize = 256;

impl Tenants {
    /// Its users, by name.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn users(&self, tenant: &TenantId, cursor: Option<&str>, limit: usize) -> Result<Page<User>> {
        let (tenant, after, limit) = (tenant.clone(), cursor.unwrap_or_default().to_owned(), bounded(limit));
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let users = select(connection, &tenant, &after, limit as i64 + 1)?;
            let users = users.into_iter().map(|(name, display_name)| User { name, display_name }).collect();
            Ok(page(users, limit, |user| user.name.to_string()))
        })
        .await
    }

    /// Makes or changes a user.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_user(&self, actor: &Actor, tenant: &TenantId, user: User) -> Result<User> {
        if let Some(name) = &user.display_name
            && (name.is_empty() || name.len() > DISPLAY_NAME_BYTES_MAX || name.chars().any(char::is_control))
        {
            let what = format!("must have 1 to {DISPLAY_NAME_BYTES_MAX} bytes and no control characters");
            return Err(TenantError::invalid("display-name", what));
        }
        let change = Change::new(actor, tenant, "user.put", &user.name, Effect::Users);
        let tenant = tenant.clone();
        self.change(change, move |connection, _line| {
            free(connection, &tenant, "the users")?;
            let count = "SELECT count(*) FROM user WHERE tenant = ?1 AND name != ?2";
            let others: i64 = connection.query_row(count, [tenant.as_str(), user.name.as_str()], |row| row.get(0))?;
            if others.unsigned_abs() >= USERS_MAX {
                return Err(TenantError::OverLimit { budget: "users", limit: USERS_MAX, hint: "" });
            }
            put(connection, &tenant, &user.name, user.display_name.as_deref())?;
            Ok(user)
        })
        .await
    }

    /// Forgets a user.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_user(&self, actor: &Actor, tenant: &TenantId, user: &UserId) -> Result<()> {
        let change = Change::new(actor, tenant, "user.delete", user, Effect::Users);
        let (tenant, user) = (tenant.clone(), user.clone());
        self.change(change, move |connection, _line| {
            free(connection, &tenant, "the users")?;
            let delete = "DELETE FROM user WHERE tenant = ?1 AND name = ?2";
            match connection.execute(delete, [tenant.as_str(), user.as_str()])? {
                0 => Err(TenantError::not_found("user", user)),
                _ => Ok(()),
            }
        })
        .await
    }
}

pub(super) fn put(connection: &Connection, tenant: &TenantId, user: &UserId, display_name: Option<&str>) -> Result<()> {
    let upsert = "INSERT INTO user (tenant, name, display_name) VALUES (?1, ?2, ?3)
                  ON CONFLICT (tenant, name) DO UPDATE SET display_name = ?3";
    connection.prepare_cached(upsert)?.execute(params![tenant.as_str(), user.as_str(), display_name])?;
    Ok(())
}

/// All users of a tenant and the names to show.
pub(super) fn all(connection: &Connection, tenant: &TenantId) -> Result<BTreeMap<UserId, Option<String>>> {
    Ok(select(connection, tenant, "", -1)?.into_iter().collect())
}

fn select(
    connection: &Connection,
    tenant: &TenantId,
    after: &str,
    limit: i64,
) -> Result<Vec<(UserId, Option<String>)>> {
    let select = "SELECT name, display_name FROM user WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map(params![tenant.as_str(), after, limit], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    let mut users = Vec::new();
    for row in rows {
        let (name, display_name) = row?;
        users.push((kept(UserId::new(&name))?, display_name));
    }
    Ok(users)
}

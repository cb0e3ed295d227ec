//! Prompts: what callers are played. An upload is transcoded once, away from the threads that carry calls, and kept with its row in the
//! store, so that a prompt is there whole or not at all, and can be played however the object store does.

use rusqlite::{Connection, OptionalExtension as _, params};
use tandem_switch::id::{PromptId, TenantId};

use super::change::{Change, bounded, expect, json, page, parsed};
use super::model::{Actor, Page, Prompt, Revision};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;

/// Largest upload, bytes: ten minutes of WAV at 48 kHz, and some. It is held in memory while it is transcoded.
pub const UPLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Tenants {
    /// A tenant's prompts, by name.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn prompts(&self, tenant: &TenantId, cursor: Option<&str>, limit: usize) -> Result<Page<Prompt>> {
        let (tenant, after, limit) = (tenant.clone(), cursor.unwrap_or_default().to_owned(), bounded(limit));
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let select = "SELECT body FROM prompt WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
            let mut statement = connection.prepare_cached(select)?;
            let values = params![tenant.as_str(), after, limit as i64 + 1];
            let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
            let prompts = rows.map(|body| parsed("of a prompt", &body?)).collect::<Result<Vec<Prompt>>>()?;
            Ok(page(prompts, limit, |prompt| prompt.name.to_string()))
        })
        .await
    }

    /// What is known of a prompt.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn prompt(&self, tenant: &TenantId, name: &PromptId) -> Result<Prompt> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.read(move |connection| find(connection, &tenant, &name)).await
    }

    /// A prompt as it is kept: Ogg Opus, with what is known of it.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn prompt_audio(&self, tenant: &TenantId, name: &PromptId) -> Result<(Prompt, bytes::Bytes)> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.read(move |connection| {
            let prompt = find(connection, &tenant, &name)?;
            let select = "SELECT ogg FROM prompt_audio WHERE tenant = ?1 AND name = ?2";
            let mut statement = connection.prepare_cached(select)?;
            let ogg: Vec<u8> = statement.query_row([tenant.as_str(), name.as_str()], |row| row.get(0))?;
            Ok((prompt, ogg.into()))
        })
        .await
    }

    /// Forgets a prompt. Calls that play it play on.
    ///
    /// # Errors
    /// When there is none, it has changed, or the store fails.
    pub async fn delete_prompt(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &PromptId,
        expected: Option<Revision>,
    ) -> Result<()> {
        let change = Change::new(actor, tenant, "prompt.delete", name, Effect::Nothing);
        let (tenant, name) = (tenant.clone(), name.clone());
        self.change(change, move |connection, _line| {
            expect(expected, find(connection, &tenant, &name)?.revision)?;
            let delete = "DELETE FROM prompt WHERE tenant = ?1 AND name = ?2";
            connection.execute(delete, [tenant.as_str(), name.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Keeps a prompt that is Ogg Opus of our own making.
    pub(super) async fn keep_prompt(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &PromptId,
        expected: Option<Revision>,
        (ogg, duration_ms): (bytes::Bytes, u64),
    ) -> Result<Prompt> {
        let change = Change::new(actor, tenant, "prompt.put", name, Effect::Nothing);
        let (whose, name) = (tenant.clone(), name.clone());
        let done = self
            .change(change, move |connection, line| {
                let limits = settings::find(connection, &whose)?.settings.limits;
                let before = match find(connection, &whose, &name) {
                    Ok(before) => before.revision,
                    Err(TenantError::NotFound { .. }) => 0,
                    Err(error) => return Err(error),
                };
                expect(expected, before)?;
                let bytes = ogg.len() as u64;
                let (others, other_bytes) = others(connection, &whose, &name)?;
                let hint = "; delete prompts that are no longer played";
                if others >= limits.prompts {
                    return Err(TenantError::OverLimit { budget: PROMPTS, limit: limits.prompts, hint });
                }
                if other_bytes + bytes > limits.prompt_bytes {
                    return Err(TenantError::OverLimit { budget: PROMPT_BYTES, limit: limits.prompt_bytes, hint });
                }
                let prompt = Prompt { name, duration_ms, bytes, changed_at: unix_now(), revision: before + 1 };
                line.detail = format!("{duration_ms} ms, {bytes} bytes");
                put(connection, &whose, &prompt, &ogg)?;
                Ok(prompt)
            })
            .await;
        let meters = self.meters().of(tenant);
        match &done {
            Err(TenantError::OverLimit { budget: PROMPTS, .. }) => meters.prompts.refuse(),
            Err(TenantError::OverLimit { budget: PROMPT_BYTES, .. }) => meters.prompt_bytes.refuse(),
            _ => {}
        }
        done
    }
}

/// The budgets, as they are called in the limits.
const PROMPTS: &str = "prompts";
const PROMPT_BYTES: &str = "prompt-bytes";

fn find(connection: &Connection, tenant: &TenantId, name: &PromptId) -> Result<Prompt> {
    let select = "SELECT body FROM prompt WHERE tenant = ?1 AND name = ?2";
    let mut statement = connection.prepare_cached(select)?;
    let body: Option<String> = statement.query_row([tenant.as_str(), name.as_str()], |row| row.get(0)).optional()?;
    parsed("of a prompt", &body.ok_or_else(|| TenantError::not_found("prompt", name))?)
}

/// How many other prompts a tenant has, and their bytes.
fn others(connection: &Connection, tenant: &TenantId, name: &PromptId) -> Result<(u64, u64)> {
    let select = "SELECT count(*), coalesce(sum(bytes), 0) FROM prompt WHERE tenant = ?1 AND name != ?2";
    let values = [tenant.as_str(), name.as_str()];
    let (count, bytes): (i64, i64) = connection.query_row(select, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((count.unsigned_abs(), bytes.unsigned_abs()))
}

/// How many prompts a tenant has, and their bytes.
pub(super) fn usage(connection: &Connection, tenant: &TenantId) -> Result<(u64, u64)> {
    let select = "SELECT count(*), coalesce(sum(bytes), 0) FROM prompt WHERE tenant = ?1";
    let (count, bytes): (i64, i64) =
        connection.query_row(select, [tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((count.unsigned_abs(), bytes.unsigned_abs()))
}

fn put(connection: &Connection, tenant: &TenantId, prompt: &Prompt, ogg: &[u8]) -> Result<()> {
    let upsert = "INSERT INTO prompt (tenant, name, bytes, body) VALUES (?1, ?2, ?3, ?4)
                  ON CONFLICT (tenant, name) DO UPDATE SET bytes = ?3, body = ?4";
    let values = params![tenant.as_str(), prompt.name.as_str(), prompt.bytes as i64, json(prompt)?];
    connection.execute(upsert, values)?;
    let audio = "INSERT INTO prompt_audio (tenant, name, ogg) VALUES (?1, ?2, ?3)
                 ON CONFLICT (tenant, name) DO UPDATE SET ogg = ?3";
    connection.execute(audio, params![tenant.as_str(), prompt.name.as_str(), ogg])?;
    Ok(())
}

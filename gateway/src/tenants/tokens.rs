//! Control tokens: who may use the control API. Of a token only the SHA-256 is kept: it has 256 random bits, so nothing slower is needed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use tandem_switch::id::TenantId;
use tandem_switch::time::UnixMillis;

use super::change::{Change, json, parsed};
use super::model::{Actor, NewToken, Scope, Token};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;
use crate::config::Secret;

/// What every tenant's token begins with.
const PREFIX: &str = "tdm_";

/// What an operator's token begins with.
pub(crate) const OPERATOR_PREFIX: &str = "tdmop_";

/// Most tokens of a tenant that have not expired.
const TOKENS_MAX: usize = 100;

/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 128;

/// Longest life that can be asked for, seconds: ten years.
const SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// Longest text that is looked at as a token, bytes.
const TOKEN_BYTES_MAX: usize = 256;

impl Tenants {
    /// Its control tokens.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn tokens(&self, tenant: &TenantId) -> Result<Vec<Token>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            all(connection, &tenant)
        })
        .await
    }

    /// Makes a control token; the secret is the token itself, shown this once. Nobody grants more than they may, nor for longer.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn create_token(&self, actor: &Actor, tenant: &TenantId, token: NewToken) -> Result<(Token, Secret)> {
        check(actor, &token)?;
        let id = random_id();
        let secret = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let hash = hash(&secret);
        let change = Change::new(actor, tenant, "token.create", &id, Effect::Nothing);
        let (tenant, maker) = (tenant.clone(), actor.clone());
        let made = self
            .change(change, move |connection, line| {
                settings::find(connection, &tenant)?;
                let now = unix_now();
                forget_expired(connection, &tenant, now)?;
                if all(connection, &tenant)?.len() >= TOKENS_MAX {
                    let (limit, hint) = (TOKENS_MAX as u64, "; delete one that is no longer used");
                    return Err(TenantError::OverLimit { budget: "control tokens", limit, hint });
                }
                let NewToken { name, scopes, seconds } = token;
                let expires_at = seconds.map(|seconds| UnixMillis(now.0 + seconds * 1000));
                outlives_no_maker(connection, &maker, expires_at)?;
                let token = Token { id, name, scopes, created_at: now, expires_at };
                line.detail = json(&token.scopes)?;
                let insert = "INSERT INTO token (id, tenant, hash, body) VALUES (?1, ?2, ?3, ?4)";
                connection.execute(insert, params![token.id, tenant.as_str(), hash, json(&token)?])?;
                Ok(token)
            })
            .await?;
        Ok((made, Secret::new(secret)))
    }

    /// Ends a control token.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_token(&self, actor: &Actor, tenant: &TenantId, id: &str) -> Result<()> {
        let change = Change::new(actor, tenant, "token.delete", id, Effect::Nothing);
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.change(change, move |connection, _line| {
            match connection.execute("DELETE FROM token WHERE tenant = ?1 AND id = ?2", [tenant.as_str(), &id])? {
                0 => Err(TenantError::not_found("control token", id)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Whose token this is, if it is good. A store that cannot be read lets nobody in.
    pub async fn authenticate(&self, bearer: &str) -> Option<Actor> {
        if bearer.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = hash(bearer);
        if bearer.starts_with(OPERATOR_PREFIX) {
            let operator = self.shared.parts.operator_token.as_ref()?;
            // Hashes are compared: how long that takes says nothing of the token.
            return (self::hash(operator.reveal()) == hash).then_some(Actor::Operator);
        }
        let id = bearer.strip_prefix(PREFIX)?.split_once('_')?.0.to_owned();
        self.read(move |connection| find(connection, &id, &hash)).await.ok().flatten()
    }
}

fn find(connection: &Connection, id: &str, hash: &[u8; 32]) -> Result<Option<Actor>> {
    let select = "SELECT tenant, hash, body FROM token WHERE id = ?1";
    let row = connection
        .prepare_cached(select)?
        .query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?)));
    let Some((tenant, kept, body)) = row.optional()? else { return Ok(None) };
    let token: Token = parsed("of a control token", &body)?;
    let good = kept == hash && token.expires_at.is_none_or(|at| unix_now() < at);
    let Ok(tenant) = TenantId::new(&tenant) else { return Ok(None) };
    Ok(good.then_some(Actor::Token { tenant, id: token.id, scopes: token.scopes }))
}

fn check(actor: &Actor, token: &NewToken) -> Result<()> {
    if token.name.is_empty() || token.name.len() > NAME_BYTES_MAX || token.name.chars().any(char::is_control) {
        let what = format!("must have 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(TenantError::invalid("name", what));
    }
    if token.scopes.is_empty() {
        return Err(TenantError::invalid("scopes", "must name one or more; `*` is everything that a tenant may do"));
    }
    if let Some(seconds) = token.seconds
        && !(1..=SECONDS_MAX).contains(&seconds)
    {
        return Err(TenantError::invalid("seconds", format!("must be 1 to {SECONDS_MAX}; got {seconds}")));
    }
    match actor {
        Actor::Token { scopes: own, .. } if !own.contains(&Scope::All) => {
            match token.scopes.iter().find(|scope| !own.contains(scope)) {
                Some(scope) => {
                    let what = format!("must not grant {} with a token that does not have it", json(scope)?);
                    Err(TenantError::invalid("scopes", what))
                }
                None => Ok(()),
            }
        }
        Actor::User(_) => Err(TenantError::invalid("scopes", "users make no tokens")),
        Actor::Token { .. } | Actor::Operator | Actor::Gateway => Ok(()),
    }
}

/// Who has a token that ends makes none that ends later.
fn outlives_no_maker(connection: &Connection, maker: &Actor, expires_at: Option<UnixMillis>) -> Result<()> {
    let Actor::Token { tenant, id, .. } = maker else { return Ok(()) };
    let own = all(connection, tenant)?.into_iter().find(|token| token.id == *id);
    let own = own.ok_or_else(|| TenantError::not_found("control token", id))?;
    match own.expires_at {
        Some(end) if expires_at.is_none_or(|at| at > end) => {
            let left = end.0.saturating_sub(unix_now().0) / 1000;
            let what = format!("must be at most {left}: the token that makes this one ends then");
            Err(TenantError::invalid("seconds", what))
        }
        Some(_) | None => Ok(()),
    }
}

fn all(connection: &Connection, tenant: &TenantId) -> Result<Vec<Token>> {
    let mut statement = connection.prepare_cached("SELECT body FROM token WHERE tenant = ?1")?;
    let rows = statement.query_map([tenant.as_str()], |row| row.get::<_, String>(0))?;
    let mut tokens = rows.map(|body| parsed("of a control token", &body?)).collect::<Result<Vec<Token>>>()?;
    tokens.sort_by(|left, right| (left.created_at, &left.id).cmp(&(right.created_at, &right.id)));
    Ok(tokens)
}

fn forget_expired(connection: &Connection, tenant: &TenantId, now: UnixMillis) -> Result<()> {
    for token in all(connection, tenant)? {
        if token.expires_at.is_some_and(|at| at <= now) {
            connection.execute("DELETE FROM token WHERE id = ?1", [token.id])?;
        }
    }
    Ok(())
}

/// Twelve hexadecimal digits: they have no `_`, which ends them in a token.
fn random_id() -> String {
    rand::random::<[u8; 6]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

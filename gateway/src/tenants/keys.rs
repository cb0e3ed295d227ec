//! The keys that a tenant's user tokens are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use rusqlite::{Connection, params};
use tandem_switch::id::TenantId;
use tandem_switch::time::UnixMillis;

use super::change::{Change, free, millis};
use super::model::{Actor, Key, KeyKind, NewKey};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::clock::unix_now;
use crate::config::{HS256_SECRET_BYTES_MIN, Secret};
use crate::token::{KEYS_TRIED_MAX, KeyMaterial, NamedKey, ed25519_bytes};

/// Longest name of a key, bytes.
const KEY_ID_BYTES_MAX: usize = 64;

/// Longest shared secret, bytes. What is longer than a block of SHA-256 (64 bytes) adds nothing.
const SECRET_BYTES_MAX: usize = 4096;

impl Tenants {
    /// The keys that its user tokens are signed with.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn keys(&self, tenant: &TenantId) -> Result<Vec<Key>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let rows = rows(connection, &tenant)?;
            Ok(rows.into_iter().map(|(key, created_at)| shown(key, created_at)).collect())
        })
        .await
    }

    /// Adds a key; gives the secret when one was made.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn add_key(&self, actor: &Actor, tenant: &TenantId, key: NewKey) -> Result<(Key, Option<Secret>)> {
        let (key, made) = material(key)?;
        let change = Change::new(actor, tenant, "key.add", key.id.as_deref().unwrap_or_default(), Effect::Keys);
        let tenant = tenant.clone();
        let key = self
            .change(change, move |connection, line| {
                free(connection, &tenant, "the keys")?;
                let have = rows(connection, &tenant)?;
                if have.iter().any(|(other, _)| other.id == key.id) {
                    return Err(TenantError::Exists { kind: "key", name: key.id.unwrap_or_default() });
                }
                if have.len() >= KEYS_TRIED_MAX {
                    let (limit, hint) = (KEYS_TRIED_MAX as u64, "; delete one that is no longer used");
                    return Err(TenantError::OverLimit { budget: "keys", limit, hint });
                }
                let created_at = unix_now();
                insert(connection, &tenant, &key, false, created_at)?;
                line.detail = match key.material {
                    KeyMaterial::Hs256(_) => "hs256".into(),
                    KeyMaterial::Ed25519(_) => "eddsa".into(),
                };
                Ok(shown(key, created_at))
            })
            .await?;
        Ok((key, made))
    }

    /// Forgets a key: tokens signed with it are refused from now on. Sessions that stand live on.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_key(&self, actor: &Actor, tenant: &TenantId, id: &str) -> Result<()> {
        let change = Change::new(actor, tenant, "key.delete", id, Effect::Keys);
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.change(change, move |connection, _line| {
            free(connection, &tenant, "the keys")?;
            match connection.execute("DELETE FROM key WHERE tenant = ?1 AND id = ?2", [tenant.as_str(), &id])? {
                0 => Err(TenantError::not_found("key", id)),
                _ => Ok(()),
            }
        })
        .await
    }
}

fn shown(key: NamedKey, created_at: UnixMillis) -> Key {
    let (kind, public) = match key.material {
        KeyMaterial::Hs256(_) => (KeyKind::Hs256, None),
        KeyMaterial::Ed25519(bytes) => (KeyKind::Eddsa, Some(STANDARD.encode(bytes))),
    };
    Key { id: key.id.unwrap_or_default(), kind, public, created_at }
}

/// What a new key is made of, and the secret when one is made here.
fn material(key: NewKey) -> Result<(NamedKey, Option<Secret>)> {
    let legal = |character: char| character.is_ascii_graphic();
    if key.id.is_empty() || key.id.len() > KEY_ID_BYTES_MAX || !key.id.chars().all(legal) {
        let what = format!("must be 1 to {KEY_ID_BYTES_MAX} visible ASCII characters without spaces");
        return Err(TenantError::invalid("id", what));
    }
    let id = Some(key.id);
    match (key.secret, key.public) {
        (Some(_), Some(_)) => Err(TenantError::invalid("secret", "and `public` exclude each other; give one of them")),
        (Some(secret), None) => {
            let bytes = secret.reveal().as_bytes();
            if !(HS256_SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
                let got = bytes.len();
                let what = format!("must have {HS256_SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes; it has {got}");
                return Err(TenantError::invalid("secret", what));
            }
            Ok((NamedKey { id, material: KeyMaterial::Hs256(bytes.to_vec()) }, None))
        }
        (None, Some(public)) => {
            let bytes = ed25519_bytes(&public).filter(|bytes| VerifyingKey::from_bytes(bytes).is_ok());
            let what = "must be an Ed25519 public key: base64 of its 32 bytes, or the PEM of `openssl pkey -pubout`";
            let bytes = bytes.ok_or_else(|| TenantError::invalid("public", what))?;
            Ok((NamedKey { id, material: KeyMaterial::Ed25519(bytes) }, None))
        }
        (None, None) => {
            let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            let material = KeyMaterial::Hs256(secret.as_bytes().to_vec());
            Ok((NamedKey { id, material }, Some(Secret::new(secret))))
        }
    }
}

const HS256: &str = "hs256";
const EDDSA: &str = "eddsa";

pub(super) fn insert(
    connection: &Connection,
    tenant: &TenantId,
    key: &NamedKey,
    declared: bool,
    created_at: UnixMillis,
) -> Result<()> {
    let insert = "INSERT INTO key (tenant, id, kind, material, declared, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (kind, bytes) = match &key.material {
        KeyMaterial::Hs256(secret) => (HS256, secret.as_slice()),
        KeyMaterial::Ed25519(public) => (EDDSA, public.as_slice()),
    };
    let values = params![tenant.as_str(), key.id, kind, bytes, declared, millis(created_at)];
    connection.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

/// A tenant's keys, in the order in which they came.
pub(super) fn rows(connection: &Connection, tenant: &TenantId) -> Result<Vec<(NamedKey, UnixMillis)>> {
    let select = "SELECT id, kind, material, created_at FROM key WHERE tenant = ?1 ORDER BY seq";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query([tenant.as_str()])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(2)?;
        let material = match row.get::<_, String>(1)?.as_str() {
            EDDSA => <[u8; 32]>::try_from(bytes).ok().map(KeyMaterial::Ed25519),
            HS256 => Some(KeyMaterial::Hs256(bytes)),
            _ => None,
        };
        // A kind that only a newer version knows opens nothing here.
        let Some(material) = material else { continue };
        keys.push((NamedKey { id: row.get(0)?, material }, UnixMillis(row.get::<_, i64>(3)?.unsigned_abs())));
    }
    Ok(keys)
}

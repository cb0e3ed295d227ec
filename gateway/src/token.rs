//! Tokens: who signed one, and with which of a tenant's keys. The rules for what a token claims are `tandem_switch::token`'s.
//!
//! A key fixes its algorithm. A token's `alg` is compared with it and never chooses how the signature is checked, so that neither
//! `none` nor a public key used as a shared secret opens a door.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use tandem_switch::id::{BadName, TenantId};
use tandem_switch::time::UnixMillis;
use tandem_switch::token::{Claims, Identity, TokenError};

use crate::config::{self, HS256_SECRET_BYTES_MIN, Tenant};

/// Longest token that is looked at, bytes. Ours have 300; an enterprise's with many claims 4 KiB. Longer: refused unread.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Most keys of a tenant that one token is tried against, when it names none. Two while keys are being changed is usual.
pub const KEYS_TRIED_MAX: usize = 8;

/// Largest file that is read as a secret, bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a tenant's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The tenant's name is none.
    #[error("a tenant's name is wrong: {0}")]
    BadTenant(#[from] BadName),
    /// The entry does not say what the key is.
    #[error("key {number} of tenant {tenant} needs exactly one of hs256_secret, hs256_secret_file, ed25519_public")]
    NoMaterial {
        /// Whose.
        tenant: TenantId,
        /// Which, from 0.
        number: usize,
    },
    /// The file cannot be read.
    #[error("cannot read the secret of tenant {tenant} from {file}: {error}")]
    Unreadable {
        /// Whose.
        tenant: TenantId,
        /// Which file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The secret is too short.
    #[error("an HS256 secret of tenant {tenant} has {got} bytes; it needs {HS256_SECRET_BYTES_MIN} or more")]
    TooShort {
        /// Whose.
        tenant: TenantId,
        /// Its length.
        got: usize,
    },
    /// Not an Ed25519 public key.
    #[error(
        "ed25519_public of tenant {tenant} is no key: give the base64 of its 32 bytes, or the PEM of `openssl pkey -pubout`"
    )]
    NotEd25519 {
        /// Whose.
        tenant: TenantId,
    },
    /// Nothing to sign with.
    #[error(
        "cannot sign for tenant {0}: it has no HS256 key, and of an Ed25519 key only the public half is known here"
    )]
    NothingToSignWith(TenantId),
    /// No such tenant.
    #[error("there is no tenant {0}; the configuration has: {1}")]
    NoSuchTenant(String, String),
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(String),
}

/// One key of one tenant, ready for use.
struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    verify: DecodingKey,
    sign: Option<EncodingKey>,
}

/// What a key is made of, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// A shared secret of 32 bytes or more.
    Hs256(Vec<u8>),
    /// The public half of an Ed25519 key.
    Ed25519([u8; 32]),
}

impl std::fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hs256(_) => "Hs256(***)",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

/// A key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    /// The `kid` of tokens; none: tokens that name none or any other are tried against it.
    pub id: Option<String>,
    /// What it is made of.
    pub material: KeyMaterial,
}

/// Every tenant's keys. They may change while tokens are checked: whoever checks sees all of a tenant's keys before or after a change.
#[derive(Default)]
pub struct Keyring {
    tenants: RwLock<BTreeMap<TenantId, Arc<[SigningKey]>>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_map().entries(tenants.iter().map(|(tenant, keys)| (tenant.as_str(), keys.len()))).finish()
    }
}

impl Keyring {
    /// Reads the keys of every tenant, secret files included.
    ///
    /// # Errors
    /// Names the tenant and the key that cannot be used.
    pub fn new(tenants: &[Tenant]) -> Result<Self, KeyError> {
        let keyring = Self::default();
        for tenant in tenants {
            let (id, keys) = NamedKey::read_all(tenant)?;
            keyring.set(id, keys);
        }
        Ok(keyring)
    }

    /// These, and no others, are the tenant's keys from now on. Sessions that stand live on.
    pub fn set(&self, tenant: TenantId, keys: Vec<NamedKey>) {
        let keys = keys.into_iter().map(SigningKey::new).collect();
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, keys);
    }

    /// The tenant is gone: its tokens are no longer good.
    pub fn remove(&self, tenant: &TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    fn keys(&self, tenant: &TenantId) -> Option<Arc<[SigningKey]>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(Arc::clone)
    }

    /// Checks a token's signature and claims.
    ///
    /// # Errors
    /// Says why the token is refused.
    pub fn verify(&self, token: &str, now: UnixMillis) -> Result<Identity, TokenError> {
        let bad = |why: &str| TokenError::BadSignature(why.to_owned());
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::BadSignature(format!(
                "a token is at most {TOKEN_BYTES_MAX} bytes; got {}",
                token.len()
            )));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| bad("not a JWT signed with HS256 or EdDSA (header.payload.signature)"))?;
        let issuer = claimed_issuer(token)?;
        let (tenant, keys) = TenantId::new(&issuer)
            .ok()
            .and_then(|tenant| self.keys(&tenant).map(|keys| (tenant, keys)))
            .ok_or_else(|| bad("its issuer (iss) is no tenant of this gateway"))?;
        let claims = check_signature(token, &header, &keys)?;
        claims.check(&tenant, now)
    }

    /// Signs claims with the tenant's first key that can.
    ///
    /// # Errors
    /// When there is no such tenant or it has no shared secret here.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let known = || {
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            tenants.keys().map(TenantId::as_str).collect::<Vec<_>>().join(", ")
        };
        let no_such = || KeyError::NoSuchTenant(claims.iss.clone(), known());
        let tenant = TenantId::new(&claims.iss).map_err(|_| no_such())?;
        let keys = self.keys(&tenant).ok_or_else(no_such)?;
        let usable = keys.iter().find_map(|key| key.sign.as_ref().map(|sign| (key, sign)));
        let (key, sign) = usable.ok_or(KeyError::NothingToSignWith(tenant))?;
        let header = Header { kid: key.id.clone(), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, claims, sign).map_err(|error| KeyError::Signing(error.to_string()))
    }
}

/// Whom the token says it is from, before anything is believed: it only picks the keys to check it with.
fn claimed_issuer(token: &str) -> Result<String, TokenError> {
    #[derive(serde::Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let issuer = payload.and_then(|payload| serde_json::from_slice::<Issuer>(&payload).ok());
    issuer.map(|issuer| issuer.iss).ok_or_else(|| TokenError::BadSignature("its payload has no issuer (iss)".into()))
}

/// Tries the key that the token names, or else each key of the algorithm, in order.
fn check_signature(token: &str, header: &Header, keys: &[SigningKey]) -> Result<Claims, TokenError> {
    let named = |key: &&SigningKey| match (&header.kid, &key.id) {
        (Some(kid), Some(id)) => kid == id,
        (Some(_), None) | (None, _) => true,
    };
    let fitting = keys.iter().filter(named).filter(|key| key.algorithm == header.alg).take(KEYS_TRIED_MAX);
    let mut why = "no key of this tenant fits its alg and kid".to_owned();
    for key in fitting {
        match jsonwebtoken::decode::<Claims>(token, &key.verify, &signature_only(key.algorithm)) {
            Ok(data) => return Ok(data.claims),
            Err(error) => {
                why = match error.kind() {
                    ErrorKind::InvalidSignature => {
                        "it was not signed with a key of the tenant that it names".to_owned()
                    }
                    other => format!("{other:?}"),
                }
            }
        }
    }
    Err(TokenError::BadSignature(why))
}

/// The claims' rules are the core's, which is told the time; here only the signature counts.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl NamedKey {
    /// Reads the keys of a tenant of the configuration, secret files included.
    ///
    /// # Errors
    /// Names the tenant and the key that cannot be used.
    pub fn read_all(tenant: &Tenant) -> Result<(TenantId, Vec<Self>), KeyError> {
        let id = TenantId::new(&tenant.name)?;
        let keys = tenant.keys.iter().enumerate().map(|(number, key)| Self::read(&id, number, key));
        let keys = keys.collect::<Result<_, _>>()?;
        Ok((id, keys))
    }

    fn read(tenant: &TenantId, number: usize, key: &config::SigningKey) -> Result<Self, KeyError> {
        let material = match key.material() {
            None => return Err(KeyError::NoMaterial { tenant: tenant.clone(), number }),
            Some(config::Material::Secret(secret)) => hs256(tenant, secret.reveal().as_bytes().to_vec())?,
            Some(config::Material::SecretFile(file)) => {
                let secret = read_secret(&file).map_err(|error| {
                    let file = file.clone();
                    KeyError::Unreadable { tenant: tenant.clone(), file, error }
                })?;
                hs256(tenant, secret)?
            }
            Some(config::Material::Ed25519(public)) => KeyMaterial::Ed25519(
                ed25519_bytes(&public).ok_or_else(|| KeyError::NotEd25519 { tenant: tenant.clone() })?,
            ),
        };
        Ok(Self { id: key.id.clone(), material })
    }
}

fn hs256(tenant: &TenantId, secret: Vec<u8>) -> Result<KeyMaterial, KeyError> {
    if secret.len() < HS256_SECRET_BYTES_MIN {
        return Err(KeyError::TooShort { tenant: tenant.clone(), got: secret.len() });
    }
    Ok(KeyMaterial::Hs256(secret))
}

impl SigningKey {
    fn new(key: NamedKey) -> Self {
        let (algorithm, verify, sign) = match key.material {
            KeyMaterial::Hs256(secret) => {
                (Algorithm::HS256, DecodingKey::from_secret(&secret), Some(EncodingKey::from_secret(&secret)))
            }
            KeyMaterial::Ed25519(public) => (Algorithm::EdDSA, DecodingKey::from_ed_der(&public), None),
        };
        Self { id: key.id, algorithm, verify, sign }
    }
}

/// A secret from a file, without the newline that editors and `echo` leave at its end.
fn read_secret(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut secret = Vec::new();
    std::fs::File::open(file)?.take(SECRET_FILE_BYTES_MAX).read_to_end(&mut secret)?;
    if secret.ends_with(b"\n") {
        secret.pop();
    }
    if secret.ends_with(b"\r") {
        secret.pop();
    }
    Ok(secret)
}

/// An Ed25519 public key in DER (RFC 8410): this, then the 32 bytes.
const ED25519_DER_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The 32 bytes of a public key in base64, or in PEM.
pub(crate) fn ed25519_bytes(written: &str) -> Option<[u8; 32]> {
    let body: String = written.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let bytes = STANDARD.decode(&body).or_else(|_| URL_SAFE_NO_PAD.decode(&body)).ok()?;
    let raw = bytes.strip_prefix(&ED25519_DER_PREFIX).unwrap_or(&bytes);
    raw.try_into().ok()
}

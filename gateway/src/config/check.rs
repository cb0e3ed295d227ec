//! What the values must be together, once each is right by itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tandem_switch::id::{TenantId, UserId};

use super::secret::HS256_SECRET_BYTES_MIN;
use crate::blobs;
use crate::outgoing::addresses::Network;

use super::{Config, ConfigError, Loaded, SigningKey, Tenant, Tls};

/// A rule that is broken: which key, and what is wrong with it.
struct Broken {
    path: String,
    what: String,
}

fn broken<T>(path: impl Into<String>, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { path: path.into(), what: what.into() })
}

impl Loaded {
    /// Applies every rule that one value alone cannot break.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.config.check().map_err(|Broken { path, what }| {
            let origin = self.origins.get(&path).map_or_else(|| self.file_or_default(), ToString::to_string);
            ConfigError::BadValue { origin, path, what }
        })
    }

    /// A rule may be broken by what is missing: then any source of the same configuration is named.
    fn file_or_default(&self) -> String {
        self.origins.values().next().map_or_else(|| "configuration".into(), ToString::to_string)
    }
}

impl Config {
    fn check(&self) -> Result<(), Broken> {
        if let Some(plain) = self.web.plain_listen.filter(|address| !address.ip().is_loopback()) {
            let why =
                "tokens and voice would cross the network unencrypted, and browsers give no microphone to such a page";
            let right = format!(
                "use a loopback address such as \"127.0.0.1:{}\", or [web] listen, which has TLS",
                plain.port()
            );
            return broken("web.plain_listen", format!("takes loopback addresses only: {why}; {right}"));
        }
        self.check_tls()?;
        for network in &self.functions.allow_private_addresses {
            if let Err(error) = network.parse::<Network>() {
                return broken("functions.allow_private_addresses", format!("has an entry that is none: {error}"));
            }
        }
        if let Some(Err(error)) = self.storage.url.as_deref().map(blobs::parse_url) {
            return broken("storage.url", error);
        }
        if self.node.name.is_empty() {
            return broken("node.name", "is empty; give the node a name");
        }
        let mut seen = BTreeSet::new();
        for (number, tenant) in self.tenant.iter().enumerate() {
            tenant.check(&format!("tenant.{number}"))?;
            if !seen.insert(&tenant.name) {
                return broken(
                    format!("tenant.{number}.name"),
                    format!("{:?} is taken by another tenant", tenant.name),
                );
            }
        }
        Ok(())
    }

    fn check_tls(&self) -> Result<(), Broken> {
        let missing =
            |set: &str| format!("is missing, and {set} is set; set both, or neither for a self-signed certificate");
        match self.tls {
            Tls { certificate: Some(_), key: None, .. } => broken("tls.key", missing("tls.certificate")),
            Tls { certificate: None, key: Some(_), .. } => broken("tls.certificate", missing("tls.key")),
            Tls { certificate: Some(_), key: Some(_), ref names } if !names.is_empty() => {
                broken("tls.names", "are for a self-signed certificate; with tls.certificate set, leave them out")
            }
            Tls { certificate: Some(_), key: Some(_), .. } | Tls { certificate: None, key: None, .. } => Ok(()),
        }
    }
}

impl Tenant {
    fn check(&self, at: &str) -> Result<(), Broken> {
        if let Err(error) = TenantId::new(&self.name) {
            return broken(format!("{at}.name"), format!("is no tenant's name: {error}"));
        }
        let mut ids = BTreeSet::new();
        for (number, key) in self.keys.iter().enumerate() {
            let at = format!("{at}.keys.{number}");
            key.check(&at)?;
            if let Some(id) = key.id.as_ref().filter(|id| !ids.insert(*id)) {
                return broken(format!("{at}.id"), format!("{id:?} is taken by another key of this tenant"));
            }
        }
        let mut names = BTreeSet::new();
        for (number, user) in self.users.iter().enumerate() {
            let at = format!("{at}.users.{number}.name");
            if let Err(error) = UserId::new(&user.name) {
                return broken(at, format!("is no user's name: {error}"));
            }
            if !names.insert(&user.name) {
                return broken(at, format!("{:?} is taken by another user of this tenant", user.name));
            }
        }
        Ok(())
    }
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    /// A shared secret.
    Secret(super::Secret),
    /// A file with a shared secret.
    SecretFile(PathBuf),
    /// An Ed25519 public key, as it was written.
    Ed25519(String),
}

impl SigningKey {
    /// What the key is made of; `None` when not exactly one of the three is set.
    pub(crate) fn material(&self) -> Option<Material> {
        match (&self.hs256_secret, &self.hs256_secret_file, &self.ed25519_public) {
            (Some(secret), None, None) => Some(Material::Secret(secret.clone())),
            (None, Some(file), None) => Some(Material::SecretFile(file.clone())),
            (None, None, Some(public)) => Some(Material::Ed25519(public.clone())),
            _ => None,
        }
    }

    fn check(&self, at: &str) -> Result<(), Broken> {
        match self.material() {
            None => broken(at, "needs exactly one of hs256_secret, hs256_secret_file, ed25519_public"),
            Some(Material::Secret(secret)) if secret.reveal().len() < HS256_SECRET_BYTES_MIN => {
                let got = secret.reveal().len();
                let right = "make one with: openssl rand -base64 48";
                broken(
                    format!("{at}.hs256_secret"),
                    format!("needs {HS256_SECRET_BYTES_MIN} bytes or more; got {got}; {right}"),
                )
            }
            Some(_) => Ok(()),
        }
    }
}

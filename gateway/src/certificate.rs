//! The certificate of the UDP and the TCP listener: made here and short-lived, or read from PEM files; both are kept fresh.
//!
//! Browsers take a self-signed certificate for WebTransport when the page names its SHA-256 (`serverCertificateHashes`), and only one with
//! an ECDSA P-256 key that is good for 14 days at most. So a self-signed one is good for 13 and replaced after 10.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::version::TLS13;
use rustls::{DEFAULT_VERSIONS, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::config::Tls;

/// How long a self-signed certificate is good for.
const VALIDITY: Duration = Duration::from_hours(13 * 24);

/// How old a self-signed certificate gets before it is replaced.
const RENEW_AFTER: Duration = Duration::from_hours(10 * 24);

/// How far a client's clock may be behind.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// How often files are looked at, and a self-signed certificate's age.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Most certificates that are read from a chain file.
const CHAIN_MAX: usize = 16;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {what} from {file}: {why}")]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The key does not fit the certificate, or TLS cannot use them.
    #[error("the certificate and the key cannot be used together: {0}; tls.key must be the key of tls.certificate")]
    Unusable(#[from] rustls::Error),
    /// A name cannot stand in a certificate.
    #[error("cannot make a self-signed certificate: {0}; tls.names takes host names and IP addresses")]
    NotMade(#[from] rcgen::Error),
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The end certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The SHA-256 of the end certificate.
    pub sha256: [u8; 32],
    /// Whether it was made here, so that clients need its hash to trust it.
    pub self_signed: bool,
}

impl Certificate {
    /// Makes one for `localhost`, the loopback addresses and `names`.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn self_signed(names: &[String], now: SystemTime) -> Result<Self, CertificateError> {
        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        all.extend(names.iter().filter(|name| !["localhost", "127.0.0.1", "::1"].contains(&name.as_str())).cloned());
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Tandem, self-signed");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = utc(now - CLOCK_SKEW);
        params.not_after = utc(now - CLOCK_SKEW + VALIDITY);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self::new(vec![certificate.der().clone()], key, true))
    }

    /// Reads a chain and a key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read, has no PEM of its kind, or the key does not fit.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let unreadable =
            |what, file: &Path, why: String| CertificateError::Unreadable { what, file: file.to_owned(), why };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(|chain| chain.take(CHAIN_MAX).collect())
            .map_err(|error| unreadable("a certificate", certificate, error.to_string()))?;
        if chain.is_empty() {
            let why = "the file has no `-----BEGIN CERTIFICATE-----`".to_owned();
            return Err(unreadable("a certificate", certificate, why));
        }
        let key =
            PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("a private key", key, error.to_string()))?;
        let loaded = Self::new(chain, key, false);
        loaded.tls(DEFAULT_VERSIONS, &[])?;
        Ok(loaded)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>, self_signed: bool) -> Self {
        let sha256 = Sha256::digest(&chain[0]).into();
        Self { chain, key, sha256, self_signed }
    }

    /// The SHA-256 as 64 hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// TLS for QUIC: 1.3, HTTP/3.
    ///
    /// # Errors
    /// When TLS cannot use the key.
    pub fn quic(&self) -> Result<ServerConfig, CertificateError> {
        let mut config = self.tls(&[&TLS13], &[b"h3"])?;
        // QUIC-TLS knows two values only: no early data, or all of it (RFC 9001 section 4.6.1). Early data can be replayed.
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// TLS for TCP: HTTP/2 and 1.1. A WebSocket needs the latter, so browsers open a connection of their own for it.
    ///
    /// # Errors
    /// When TLS cannot use the key.
    pub fn tcp(&self) -> Result<ServerConfig, CertificateError> {
        self.tls(DEFAULT_VERSIONS, &[b"h2", b"http/1.1"])
    }

    fn tls(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> Result<ServerConfig, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

fn utc(at: SystemTime) -> OffsetDateTime {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Where the node's certificate comes from, and the one in use.
#[derive(Debug)]
pub struct Source {
    from: Origin,
    current: watch::Sender<Arc<Certificate>>,
}

#[derive(Debug)]
enum Origin {
    Names { names: Vec<String>, made_at: SystemTime },
    Files { certificate: PathBuf, key: PathBuf, changed_at: [Option<SystemTime>; 2] },
}

impl Source {
    /// Loads or makes the first certificate.
    ///
    /// # Errors
    /// When it cannot be loaded or made.
    pub fn open(tls: &Tls) -> Result<Self, CertificateError> {
        let (from, certificate) = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                let changed_at = [certificate, key].map(|file| changed_at(file));
                let loaded = Certificate::load(certificate, key)?;
                (Origin::Files { certificate: certificate.clone(), key: key.clone(), changed_at }, loaded)
            }
            (_, _) => {
                let made_at = SystemTime::now();
                let made = Certificate::self_signed(&tls.names, made_at)?;
                (Origin::Names { names: tls.names.clone(), made_at }, made)
            }
        };
        Ok(Self { from, current: watch::Sender::new(Arc::new(certificate)) })
    }

    /// The certificate in use, now and whenever it changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Certificate>> {
        self.current.subscribe()
    }

    /// Keeps the certificate fresh for as long as the future is polled. A file that cannot be used leaves the old certificate in use.
    pub async fn keep_fresh(mut self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            self.look(SystemTime::now());
        }
    }

    /// Replaces the certificate if it is time to.
    fn look(&mut self, now: SystemTime) {
        let fresh = match &mut self.from {
            Origin::Names { names, made_at } => {
                let old = now.duration_since(*made_at).unwrap_or_default() >= RENEW_AFTER;
                old.then(|| {
                    *made_at = now;
                    Certificate::self_signed(names, now)
                })
            }
            Origin::Files { certificate, key, changed_at: before } => {
                let after = [&*certificate, &*key].map(|file| changed_at(file));
                (after != *before).then(|| {
                    let loaded = Certificate::load(certificate, key);
                    // What could not be loaded is tried again: a file may be readable only after its time stamp was set.
                    if loaded.is_ok() {
                        *before = after;
                    }
                    loaded
                })
            }
        };
        match fresh {
            None => {}
            Some(Ok(certificate)) => {
                tracing::info!(sha256 = certificate.sha256_hex(), "the certificate was replaced");
                self.current.send_replace(Arc::new(certificate));
            }
            Some(Err(error)) => tracing::error!(%error, "the new certificate cannot be used; the old one stays in use"),
        }
    }
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_one_is_replaced_after_ten_days() {
        let mut source = Source::open(&Tls::default()).unwrap();
        let mut current = source.subscribe();
        let start = SystemTime::now();
        source.look(start + RENEW_AFTER - Duration::from_mins(1));
        assert!(!current.has_changed().unwrap());
        source.look(start + RENEW_AFTER + Duration::from_mins(1));
        assert!(current.has_changed().unwrap());
        current.mark_unchanged();
        source.look(start + RENEW_AFTER + Duration::from_mins(2));
        assert!(!current.has_changed().unwrap(), "the new one is young");
    }

    /// Writes a certificate and its key, both last changed `seconds` after 1970: a file system's clock may be coarse.
    fn write(tls: &Tls, certificate: &Certificate, seconds: u64) {
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine as _;
            format!(
                "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
                base64::engine::general_purpose::STANDARD.encode(der)
            )
        };
        let parts = [
            ("CERTIFICATE", &tls.certificate, &*certificate.chain[0]),
            ("PRIVATE KEY", &tls.key, certificate.key.secret_der()),
        ];
        for (label, path, der) in parts {
            let path = path.as_ref().unwrap();
            std::fs::write(path, pem(label, der)).unwrap();
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }

    #[test]
    fn a_renewed_file_is_used_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| Some(directory.path().join(name));
        let tls = Tls { certificate: path("c.pem"), key: path("k.pem"), names: Vec::new() };
        let made = || Certificate::self_signed(&[], SystemTime::now()).unwrap();
        write(&tls, &made(), 1_000);
        let mut source = Source::open(&tls).unwrap();
        let current = source.subscribe();
        let mut broken = made();
        broken.key = made().key;
        write(&tls, &broken, 2_000);
        source.look(SystemTime::now());
        assert!(!current.has_changed().unwrap(), "a key of another certificate is not taken");
        // Mended without a new time stamp, as `chmod` mends: it is tried again.
        let mended = made();
        write(&tls, &mended, 2_000);
        source.look(SystemTime::now());
        assert_eq!(current.borrow().sha256, mended.sha256);
        let renewed = made();
        write(&tls, &renewed, 3_000);
        source.look(SystemTime::now());
        assert_eq!(current.borrow().sha256, renewed.sha256);
    }
}

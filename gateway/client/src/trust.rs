//! Which gateway certificates are believed.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use crate::error::ConnectError;

/// Which gateway certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those that this machine's certificate authorities signed.
    #[default]
    System,
    /// The one with this SHA-256, whoever signed it: the short-lived self-signed certificate of a development gateway.
    CertificateHash([u8; 32]),
    /// Those that these certificate authorities signed, as PEM.
    Authorities(Vec<u8>),
    /// Any, for tests. Only gateways on this machine are connected to.
    AnyOnLoopback,
}

impl Trust {
    /// Reads a certificate hash as it is printed: 64 hexadecimal digits, colons allowed.
    ///
    /// # Errors
    /// When it is something else.
    pub fn certificate_hash(text: &str) -> Result<Self, ConnectError> {
        let wrong = || ConnectError::Trust(format!("a certificate hash has 64 hexadecimal digits; got {text:?}"));
        let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+')).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self::CertificateHash(hash))
    }

    /// The TLS settings that hold for it.
    ///
    /// # Errors
    /// When there is no certificate authority to trust.
    pub fn tls(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocol: &str,
    ) -> Result<ClientConfig, ConnectError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| ConnectError::Trust(error.to_string()))?;
        let algorithms = provider.signature_verification_algorithms;
        let pinned = |hash| Arc::new(Pinned { hash, algorithms });
        let mut tls = match self {
            Self::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
            Self::Authorities(pem) => builder.with_root_certificates(roots_of(pem)?).with_no_client_auth(),
            Self::CertificateHash(hash) => {
                builder.dangerous().with_custom_certificate_verifier(pinned(Some(*hash))).with_no_client_auth()
            }
            Self::AnyOnLoopback => {
                builder.dangerous().with_custom_certificate_verifier(pinned(None)).with_no_client_auth()
            }
        };
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(tls)
    }
}

fn system_roots() -> Result<RootCertStore, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(ConnectError::Trust(format!("this machine's certificate authorities: {reason}")));
    }
    Ok(roots)
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ConnectError::Trust(error.to_string()))?;
        roots.add(certificate).map_err(|error| ConnectError::Trust(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConnectError::Trust("the PEM text has no certificate".to_owned()));
    }
    Ok(roots)
}

/// Believes one certificate by its hash, or any. Signatures of the handshake are checked in both cases.
#[derive(Debug)]
struct Pinned {
    hash: Option<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.hash {
            Some(hash) if Sha256::digest(certificate)[..] != hash => {
                Err(rustls::CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [plain, colons] {
            assert!(matches!(Trust::certificate_hash(&text), Ok(Trust::CertificateHash(hash)) if hash == [0xab; 32]));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "ab", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32), &"+1".repeat(32)] {
            let read = Trust::certificate_hash(text);
            assert!(matches!(read, Err(ConnectError::Trust(_))), "{text:?}");
        }
    }

    #[test]
    fn text_without_a_certificate_is_no_authority() {
        let tls = Trust::Authorities(b"hello".to_vec()).tls(&[&rustls::version::TLS13], "h3");
        assert!(matches!(tls, Err(ConnectError::Trust(_))));
    }
}

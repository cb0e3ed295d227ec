//! Certificates: made here, read from files.

use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tandem::certificate::{Certificate, CertificateError, Source};
use tandem::config::Tls;

#[test]
fn a_self_signed_one_is_what_browsers_take() {
    let certificate = Certificate::self_signed(&["gateway.test".to_owned()], SystemTime::now()).unwrap();
    assert!(certificate.self_signed);
    let digest: [u8; 32] = Sha256::digest(&certificate.chain[0]).into();
    assert_eq!(certificate.sha256, digest);
    assert_eq!(certificate.sha256_hex().len(), 64);
    let der = certificate.chain[0].as_ref();
    let contains = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
    for name in [&b"localhost"[..], b"gateway.test", &[0x87, 4, 127, 0, 0, 1]] {
        assert!(contains(name), "{name:?}");
    }
    // prime256v1, the only curve that serverCertificateHashes takes everywhere.
    assert!(contains(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]));
    assert_eq!(certificate.quic().unwrap().alpn_protocols, [b"h3".to_vec()]);
    assert_eq!(certificate.tcp().unwrap().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

/// The two UTCTime values of a certificate, as text.
fn validity(der: &[u8]) -> Vec<String> {
    der.windows(15)
        .filter(|window| window[0] == 0x17 && window[1] == 13 && window[14] == b'Z')
        .map(|window| String::from_utf8_lossy(&window[2..14]).into_owned())
        .collect()
}

#[test]
fn it_is_good_for_thirteen_days() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let certificate = Certificate::self_signed(&[], at).unwrap();
    assert_eq!(validity(&certificate.chain[0]), ["270115070000", "270128070000"]);
}

#[test]
fn a_name_that_is_none_is_refused() {
    let error = Certificate::self_signed(&["größe".to_owned()], SystemTime::now()).unwrap_err();
    assert!(matches!(error, CertificateError::NotMade(_)) && error.to_string().contains("tls.names"), "{error}");
}

fn write(directory: &std::path::Path, made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Tls {
    let (certificate, key) = (directory.join("c.pem"), directory.join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Tls { certificate: Some(certificate), key: Some(key), names: Vec::new() }
}

fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["gateway.test".to_owned()]).unwrap()
}

#[test]
fn files_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let made = made();
    let source = Source::open(&write(directory.path(), &made)).unwrap();
    let certificate = source.subscribe().borrow().clone();
    assert_eq!(&certificate.chain[0], made.cert.der());
    assert!(!certificate.self_signed, "clients trust it by its authority, not by its hash");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let tls = write(directory.path(), &made());
    let (certificate, key) = (tls.certificate.clone().unwrap(), tls.key.clone().unwrap());
    let error = |tls: &Tls| Source::open(tls).unwrap_err().to_string();
    let swapped = Tls { certificate: Some(key.clone()), key: Some(certificate.clone()), names: Vec::new() };
    assert!(
        error(&swapped).contains("cannot read a certificate from") && error(&swapped).contains("k.pem"),
        "{}",
        error(&swapped)
    );
    std::fs::write(&key, made().signing_key.serialize_pem()).unwrap();
    assert!(error(&tls).contains("cannot be used together"), "{}", error(&tls));
    std::fs::remove_file(&key).unwrap();
    assert!(error(&tls).contains("cannot read a private key from"), "{}", error(&tls));
}

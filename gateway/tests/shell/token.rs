//! Which tokens open the door.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use tandem::config::{Secret, SigningKey, Tenant};
use tandem::token::{KEYS_TRIED_MAX, KeyError, Keyring, TOKEN_BYTES_MAX};
use tandem_switch::time::UnixMillis;
use tandem_switch::token::{Claims, Grant, Identity, TokenError};

const NOW: u64 = 1_800_000_000;

fn secret(letter: char) -> String {
    letter.to_string().repeat(32)
}

fn shared(id: Option<&str>, letter: char) -> SigningKey {
    SigningKey { id: id.map(str::to_owned), hs256_secret: Some(Secret::new(secret(letter))), ..SigningKey::default() }
}

fn tenant(name: &str, keys: Vec<SigningKey>) -> Tenant {
    Tenant { name: name.to_owned(), keys, ..Tenant::default() }
}

fn keyring() -> Keyring {
    Keyring::new(&[tenant("acme", vec![shared(None, 'a')]), tenant("evil", vec![shared(None, 'e')])]).unwrap()
}

fn claims(iss: &str) -> Claims {
    Claims {
        iss: iss.into(),
        sub: "alice".into(),
        iat: NOW,
        exp: NOW + 3600,
        nbf: None,
        name: None,
        grants: vec![Grant::Call],
    }
}

fn sign(header: &Header, claims: &Claims, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn verify(keyring: &Keyring, token: &str) -> Result<Identity, TokenError> {
    keyring.verify(token, UnixMillis(NOW * 1000))
}

fn bad_signature(keyring: &Keyring, token: &str) -> String {
    match verify(keyring, token) {
        Err(TokenError::BadSignature(why)) => why,
        other => panic!("{token:.80} must be refused for its signature or form; got {other:?}"),
    }
}

#[test]
fn a_signed_token_is_good() {
    let keyring = keyring();
    let token = keyring.sign(&claims("acme")).unwrap();
    let identity = verify(&keyring, &token).unwrap();
    assert_eq!(
        (identity.tenant.as_str(), identity.user.as_str(), identity.grants),
        ("acme", "alice", vec![Grant::Call])
    );
}

#[test]
fn a_changed_token_is_refused() {
    let keyring = keyring();
    let token = keyring.sign(&claims("acme")).unwrap();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    assert!(
        bad_signature(&keyring, &format!("{head}.{flipped}{}", &signature[1..]))
            .contains("not signed with a key of the tenant")
    );
    bad_signature(&keyring, &format!("{head}."));
}

#[test]
fn an_expired_token_is_refused() {
    let keyring = keyring();
    let old = Claims { iat: NOW - 7200, exp: NOW - 3600, ..claims("acme") };
    assert_eq!(verify(&keyring, &keyring.sign(&old).unwrap()), Err(TokenError::Expired(3600)));
}

#[test]
fn another_tenant_s_key_opens_nothing() {
    let token = sign(&Header::new(Algorithm::HS256), &claims("acme"), &secret('e'));
    assert!(bad_signature(&keyring(), &token).contains("not signed with a key of the tenant that it names"));
    let stranger = sign(&Header::new(Algorithm::HS256), &claims("nobody"), &secret('a'));
    assert!(bad_signature(&keyring(), &stranger).contains("is no tenant of this gateway"));
}

#[test]
fn unsigned_tokens_are_refused() {
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims("acme")).unwrap());
    for alg in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#));
        bad_signature(&keyring(), &format!("{header}.{payload}."));
        bad_signature(&keyring(), &format!("{header}.{payload}.AAAA"));
    }
}

#[test]
fn other_algorithms_than_the_key_s_are_refused() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = sign(&Header::new(algorithm), &claims("acme"), &secret('a'));
        assert!(bad_signature(&keyring(), &token).contains("no key of this tenant fits"));
    }
}

fn ed25519() -> (KeyPair, String) {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let public = STANDARD.encode(pair.der_bytes());
    (pair, public)
}

fn public_key(written: &str) -> SigningKey {
    SigningKey { ed25519_public: Some(written.to_owned()), ..SigningKey::default() }
}

#[test]
fn an_ed25519_key_checks_what_its_private_half_signed_however_it_is_written() {
    let (pair, public) = ed25519();
    let token = jsonwebtoken::encode(
        &Header::new(Algorithm::EdDSA),
        &claims("acme"),
        &EncodingKey::from_ed_der(&pair.serialize_der()),
    )
    .unwrap();
    let unpadded = URL_SAFE_NO_PAD.encode(pair.der_bytes());
    for written in [public, pair.public_key_pem(), unpadded] {
        let keyring = Keyring::new(&[tenant("acme", vec![public_key(&written)])]).unwrap();
        assert!(verify(&keyring, &token).is_ok(), "{written}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let (pair, public) = ed25519();
    let keyring = Keyring::new(&[tenant("acme", vec![public_key(&public)])]).unwrap();
    for secret in [public.as_bytes(), pair.der_bytes(), pair.public_key_pem().as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims("acme"), &key).unwrap();
        assert!(bad_signature(&keyring, &token).contains("no key of this tenant fits"));
    }
    assert!(matches!(keyring.sign(&claims("acme")), Err(KeyError::NothingToSignWith(_))));
}

#[test]
fn the_named_key_is_used_and_without_a_name_each_is_tried() {
    let keyring = Keyring::new(&[tenant("acme", vec![shared(Some("old"), 'o'), shared(Some("new"), 'n')])]).unwrap();
    let named = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    assert!(verify(&keyring, &sign(&named("new"), &claims("acme"), &secret('n'))).is_ok());
    assert!(verify(&keyring, &sign(&Header::new(Algorithm::HS256), &claims("acme"), &secret('n'))).is_ok());
    bad_signature(&keyring, &sign(&named("old"), &claims("acme"), &secret('n')));
    bad_signature(&keyring, &sign(&named("gone"), &claims("acme"), &secret('n')));
}

#[test]
fn a_token_is_tried_against_a_bounded_number_of_keys() {
    let letters = "abcdefghijklmnop";
    let keyring =
        Keyring::new(&[tenant("acme", letters.chars().map(|letter| shared(None, letter)).collect())]).unwrap();
    let with =
        |at: usize| sign(&Header::new(Algorithm::HS256), &claims("acme"), &secret(letters.chars().nth(at).unwrap()));
    assert!(verify(&keyring, &with(KEYS_TRIED_MAX - 1)).is_ok());
    bad_signature(&keyring, &with(KEYS_TRIED_MAX));
}

#[test]
fn garbage_is_refused() {
    let keyring = keyring();
    for token in ["", ".", "..", "a.b.c", "\0\0\0", "eyJhbGciOiJIUzI1NiJ9..", "eyJhbGciOiJIUzI1NiJ9.e30.", "🎈.🎈.🎈"]
    {
        bad_signature(&keyring, token);
    }
    assert!(bad_signature(&keyring, &"a".repeat(TOKEN_BYTES_MAX + 1)).contains("at most 8192 bytes; got 8193"));
}

#[test]
fn a_secret_file_loses_its_newline_and_a_bad_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let key = SigningKey { hs256_secret_file: Some(file.clone()), ..SigningKey::default() };
    let tenants = [tenant("acme", vec![key])];
    assert!(matches!(Keyring::new(&tenants), Err(KeyError::Unreadable { .. })));
    std::fs::write(&file, "short\n").unwrap();
    assert!(matches!(Keyring::new(&tenants), Err(KeyError::TooShort { got: 5, .. })));
    std::fs::write(&file, secret('a') + "\n").unwrap();
    let token = sign(&Header::new(Algorithm::HS256), &claims("acme"), &secret('a'));
    assert!(verify(&Keyring::new(&tenants).unwrap(), &token).is_ok());
    assert!(matches!(Keyring::new(&[tenant("acme", vec![public_key("AAAA")])]), Err(KeyError::NotEd25519 { .. })));
}

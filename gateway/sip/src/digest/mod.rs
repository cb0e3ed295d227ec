//! Digest authentication on both sides (RFC 7616, for SIP RFC 8760): MD5 where it must be, SHA-256 where it can be, `qop=auth`.
//!
//! - [`Ha1`]: a user's secret as it is kept: it opens one realm, and the password cannot be read from it;
//! - [`Challenge`], [`Credentials`]: what is asked, what is answered, as header fields;
//! - [`Asked`]: our own answers to somebody's challenge, counted;
//! - [`Verifier`]: challenges of our own and what comes back: signed nonces that need no table, and a bounded one against replays.
//!
//! Who a user is and what they may is not decided here.

mod header;
mod nonce;
mod verifier;

use std::fmt;

use subtle::ConstantTimeEq;

pub use header::{Challenge, Credentials};
pub use nonce::Nonces;
pub use verifier::{Refusal, Verifier};

/// A hash function, the weaker first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What every telephone can; broken for other uses, and here only where a setting allows it.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Algorithm {
    /// Its name in header fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&<md5::Md5 as md5::Digest>::digest(text.as_bytes())),
            Self::Sha256 => hex(&<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `H(user:realm:password)`: what is kept of a password. Whoever has it can sign in to that realm, so it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    algorithm: Algorithm,
    hash: String,
}

impl Ha1 {
    /// Of a password that was just set.
    pub fn of_password(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Self {
        Self { algorithm, hash: algorithm.hash(&format!("{user}:{realm}:{password}")) }
    }

    /// As it was stored: `MD5:…` or `SHA-256:…` and hexadecimal digits.
    pub fn stored(text: &str) -> Option<Self> {
        let (algorithm, hash) = text.split_once(':')?;
        let algorithm = Algorithm::parse(algorithm)?;
        let length = match algorithm {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 => 64,
        };
        let is_hash = hash.len() == length && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Self { algorithm, hash: hash.to_ascii_lowercase() })
    }

    /// As it is stored.
    pub fn to_stored(&self) -> String {
        format!("{}:{}", self.algorithm.as_str(), self.hash)
    }

    /// Whose hash it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Never the hash itself.
impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({})", self.algorithm.as_str())
    }
}

/// What is hashed into a response besides the secret.
struct Request<'a> {
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// `nc` and `cnonce`, where `qop=auth` (RFC 7616 §3.4.1); without them it is RFC 2069's form.
    counted: Option<(u32, &'a str)>,
}

fn response(ha1: &Ha1, request: &Request<'_>) -> String {
    let ha2 = ha1.algorithm.hash(&format!("{}:{}", request.method, request.uri));
    let nonce = request.nonce;
    let middle = request.counted.map_or(String::new(), |(count, cnonce)| format!(":{count:08x}:{cnonce}:auth"));
    ha1.algorithm.hash(&format!("{}:{nonce}{middle}:{ha2}", ha1.hash))
}

fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A challenge that somebody gave us, and how often it was answered.
#[derive(Clone, Debug)]
pub struct Asked {
    challenge: Challenge,
    count: u32,
}

impl Asked {
    /// The strongest of several challenges that is understood and allowed; none if there is no such one.
    pub fn strongest(challenges: Vec<Challenge>, weakest: Algorithm) -> Option<Self> {
        let known = challenges.into_iter().filter(|challenge| challenge.algorithm >= weakest);
        // Of equals the first: servers name what they prefer first (RFC 7616 §3.7).
        let best = known.reduce(|best, next| if next.algorithm > best.algorithm { next } else { best })?;
        Some(Self { challenge: best, count: 0 })
    }

    /// What is answered.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The credentials of one request. `cnonce` is a fresh random word of letters and digits.
    pub fn answer(&mut self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str) -> Credentials {
        self.count += 1;
        let challenge = &self.challenge;
        let ha1 = Ha1::of_password(challenge.algorithm, user, &challenge.realm, password);
        let counted = challenge.qop_auth.then_some((self.count, cnonce));
        let response = response(&ha1, &Request { method, uri, nonce: &challenge.nonce, counted });
        Credentials {
            user: user.to_owned(),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            response,
            algorithm: challenge.algorithm,
            counted: counted.map(|(count, cnonce)| (count, cnonce.to_owned())),
            opaque: challenge.opaque.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc_7616(algorithm: Algorithm, expected: &str) {
        let realm = "http-auth@example.org";
        let ha1 = Ha1::of_password(algorithm, "Mufasa", realm, "Circle of Life");
        let request = Request {
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            counted: Some((1, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        };
        assert_eq!(response(&ha1, &request), expected);
    }

    #[test]
    fn rfc_7616_section_3_9_1() {
        rfc_7616(Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec");
        rfc_7616(Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn without_qop_it_is_rfc_2069s_form() {
        let ha1 = Ha1::of_password(Algorithm::Md5, "u", "r", "p");
        let request = Request { method: "REGISTER", uri: "sip:r", nonce: "n", counted: None };
        let md5 = |text: String| Algorithm::Md5.hash(&text);
        assert_eq!(
            response(&ha1, &request),
            md5(format!("{}:n:{}", md5("u:r:p".into()), md5("REGISTER:sip:r".into())))
        );
    }

    #[test]
    fn a_stored_secret_comes_back_and_is_never_shown() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let ha1 = Ha1::of_password(algorithm, "alice", "example.com", "secret");
            assert_eq!(Ha1::stored(&ha1.to_stored()), Some(ha1.clone()));
            assert!(!format!("{ha1:?}").contains(&ha1.hash));
        }
        for wrong in
            ["", "MD5", "MD5:12", "SHA-1:00000000000000000000000000000000", "SHA-256:00000000000000000000000000000000"]
        {
            assert_eq!(Ha1::stored(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_strongest_known_challenge_is_answered_and_counted_in_hexadecimal() {
        let challenges = Challenge::read([
            "Digest realm=\"r\", nonce=\"a\", algorithm=SHA-512-256, qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"b\", algorithm=MD5, qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"c\", algorithm=SHA-256, qop=\"auth-int, auth\"",
            "Basic realm=\"r\"",
        ]);
        assert_eq!(challenges.len(), 2);
        let mut asked = Asked::strongest(challenges.clone(), Algorithm::Md5).unwrap();
        assert_eq!(asked.challenge().nonce, "c");
        for count in 1..=20u32 {
            let credentials = asked.answer("u", "p", "INVITE", "sip:x", "word");
            assert_eq!(credentials.counted, Some((count, "word".to_owned())));
            let header = credentials.to_string();
            assert!(header.contains(&format!("nc={count:08x}")), "{header}");
            assert_eq!(Credentials::parse(&header), Some(credentials));
        }
        let weak = challenges.into_iter().filter(|challenge| challenge.algorithm == Algorithm::Md5).collect();
        assert!(Asked::strongest(weak, Algorithm::Sha256).is_none(), "MD5 alone, and not allowed");
    }
}

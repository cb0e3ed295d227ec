//! Our own challenges, and what comes back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tandem_switch::time::UnixMillis;

use super::nonce::{Age, Nonce};
use super::{Algorithm, Challenge, Credentials, Ha1, Nonces, Request, is_same, response};
use crate::limits;

/// Why credentials do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The nonce is too old or was used already: ask again, with `stale`, and the user is not bothered.
    #[error("the nonce is too old or was used already")]
    Stale,
    /// The nonce is none of ours, or the realm is another.
    #[error("the credentials answer a challenge that was never made here")]
    Foreign,
    /// They are for another request than the one that carries them.
    #[error("the credentials are for another request")]
    OtherRequest,
    /// The algorithm is not allowed, or the answer is not counted.
    #[error("the credentials are weaker than what was asked for")]
    TooWeak,
    /// No such user, or another password: which of them is nobody's business.
    #[error("no such user, or another password")]
    Wrong,
}

/// Asks for passwords, and knows the right ones. It looks at credentials in one place, so that no count is used twice.
#[derive(Debug)]
pub struct Verifier {
    realm: String,
    nonces: Nonces,
    weakest: Algorithm,
    used: BTreeMap<Nonce, Counts>,
    /// All nonces up to here are forgotten, and stale.
    forgotten: Option<Nonce>,
}

/// Which counts of a nonce were used: the highest, and of those before it the last [`limits::NONCE_WINDOW`].
#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    /// Bit n: `highest - n` was used.
    used: u64,
}

impl Counts {
    const NONE: Self = Self { highest: 0, used: 0 };

    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.used = self.used.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        let is_free = back < limits::NONCE_WINDOW && self.used & 1 << back == 0;
        if is_free && count > 0 {
            self.used |= 1 << back;
        }
        is_free && count > 0
    }
}

impl Verifier {
    /// For the users of `realm`; `weakest` is the weakest algorithm that is asked for and taken.
    pub fn new(realm: impl Into<String>, nonces: Nonces, weakest: Algorithm) -> Self {
        Self { realm: realm.into(), nonces, weakest, used: BTreeMap::new(), forgotten: None }
    }

    /// The challenges of one answer, the strongest first (RFC 8760 §2.3). `salt` is random; `stale` after [`Refusal::Stale`].
    pub fn challenges(&self, now: UnixMillis, salt: u64, stale: bool) -> Vec<Challenge> {
        let nonce = self.nonces.make(now, salt);
        let allowed = [Algorithm::Sha256, Algorithm::Md5].into_iter().filter(|algorithm| *algorithm >= self.weakest);
        let challenge = |algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: nonce.clone(),
            algorithm,
            qop_auth: true,
            stale,
            opaque: None,
        };
        allowed.map(challenge).collect()
    }

    /// Whether these credentials open this request. `ha1` is what is stored for their user and algorithm, none if there is no such user.
    ///
    /// # Errors
    /// A [`Refusal`]; only a right password uses a count up.
    pub fn verify(
        &mut self,
        now: UnixMillis,
        credentials: &Credentials,
        ha1: Option<&Ha1>,
        method: &str,
        request_uri: &str,
    ) -> Result<(), Refusal> {
        if credentials.realm != self.realm {
            return Err(Refusal::Foreign);
        }
        let nonce = match self.nonces.age(now, &credentials.nonce) {
            Age::Foreign => return Err(Refusal::Foreign),
            Age::Stale => return Err(Refusal::Stale),
            Age::Fresh(nonce) => nonce,
        };
        let Some((count, cnonce)) = credentials.counted.as_ref().filter(|_| credentials.algorithm >= self.weakest)
        else {
            return Err(Refusal::TooWeak);
        };
        if !is_same_target(&credentials.uri, request_uri) {
            return Err(Refusal::OtherRequest);
        }
        let counted = Some((*count, cnonce.as_str()));
        let request = Request { method, uri: &credentials.uri, nonce: &credentials.nonce, counted };
        // A user that does not exist takes as long as one that does.
        let nobody = Ha1::of_password(credentials.algorithm, "", "", "");
        let own = ha1.filter(|ha1| ha1.algorithm() == credentials.algorithm);
        let is_right = is_same(&response(own.unwrap_or(&nobody), &request), &credentials.response);
        if !is_right || own.is_none() {
            return Err(Refusal::Wrong);
        }
        if self.take(nonce, *count) { Ok(()) } else { Err(Refusal::Stale) }
    }

    fn take(&mut self, nonce: Nonce, count: u32) -> bool {
        match self.used.entry(nonce) {
            Entry::Occupied(mut counts) => counts.get_mut().take(count),
            Entry::Vacant(_) if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) => false,
            Entry::Vacant(vacant) => {
                let taken = vacant.insert(Counts::NONE).take(count);
                if self.used.len() > limits::NONCES_MAX {
                    self.forgotten = self.used.pop_first().map(|(nonce, _)| nonce).max(self.forgotten);
                }
                taken
            }
        }
    }
}

/// Telephones write the target with or without its parameters (RFC 7616 §3.4.6 asks for equivalence, not equality).
fn is_same_target(one: &str, other: &str) -> bool {
    let bare = |uri: &str| uri.split([';', '?']).next().unwrap_or_default().to_ascii_lowercase();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::*;

    const REALM: &str = "example.com";

    fn verifier(weakest: Algorithm) -> Verifier {
        Verifier::new(REALM, Nonces::new(&[7; 32]), weakest)
    }

    fn ha1(algorithm: Algorithm) -> Ha1 {
        Ha1::of_password(algorithm, "alice", REALM, "secret")
    }

    fn asked(verifier: &Verifier, now: u64, salt: u64) -> Asked {
        let headers =
            verifier.challenges(UnixMillis(now), salt, false).iter().map(ToString::to_string).collect::<Vec<_>>();
        Asked::strongest(Challenge::read(headers.iter().map(String::as_str)), Algorithm::Md5).expect("a challenge")
    }

    const NOW: u64 = 1_800_000_000_000;

    fn check(verifier: &mut Verifier, now: u64, credentials: &Credentials) -> Result<(), Refusal> {
        let ha1 = ha1(credentials.algorithm);
        verifier.verify(UnixMillis(now), credentials, Some(&ha1), "REGISTER", "sip:example.com")
    }

    fn answer(asked: &mut Asked, password: &str) -> Credentials {
        asked.answer("alice", password, "REGISTER", "sip:example.com;transport=tcp", "word")
    }

    #[test]
    fn the_right_password_opens_once_for_each_count() {
        let mut verifier = verifier(Algorithm::Md5);
        let mut asked = asked(&verifier, NOW, 1);
        assert_eq!(asked.challenge().algorithm, Algorithm::Sha256);
        for _ in 0..20 {
            let credentials = answer(&mut asked, "secret");
            assert_eq!(check(&mut verifier, NOW, &credentials), Ok(()));
            assert_eq!(check(&mut verifier, NOW, &credentials), Err(Refusal::Stale), "a replay");
        }
    }

    #[test]
    fn each_wrong_thing_has_its_refusal() {
        let mut verifier = verifier(Algorithm::Md5);
        let life = u64::try_from(limits::NONCE_LIFE.as_millis()).unwrap();
        let good = answer(&mut asked(&verifier, NOW, 1), "secret");
        for (change, refusal) in [
            ((|credentials| credentials.realm = "other".into()) as fn(&mut Credentials), Refusal::Foreign),
            (|credentials| credentials.nonce.replace_range(3..4, "~"), Refusal::Foreign),
            (|credentials| credentials.nonce = Nonces::new(&[8; 32]).make(UnixMillis(NOW), 1), Refusal::Foreign),
            (|credentials| credentials.nonce.clear(), Refusal::Foreign),
            (|credentials| credentials.counted = None, Refusal::TooWeak),
            (|credentials| credentials.uri = "sip:elsewhere".into(), Refusal::OtherRequest),
            (|credentials| credentials.response.replace_range(..1, "x"), Refusal::Wrong),
            (|credentials| credentials.response.clear(), Refusal::Wrong),
            (|credentials| credentials.counted = Some((2, "word".into())), Refusal::Wrong),
        ] {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(check(&mut verifier, NOW, &changed), Err(refusal));
        }
        let nobody = verifier.verify(UnixMillis(NOW), &good, None, "REGISTER", "sip:example.com");
        assert_eq!(nobody, Err(Refusal::Wrong));
        let other = ha1(Algorithm::Md5);
        let other = verifier.verify(UnixMillis(NOW), &good, Some(&other), "REGISTER", "sip:example.com");
        assert_eq!(other, Err(Refusal::Wrong), "a secret of another algorithm");
        assert_eq!(check(&mut verifier, NOW + life + 1, &good), Err(Refusal::Stale));
        assert_eq!(check(&mut verifier, NOW + life, &good), Ok(()), "and nothing of that used it up");
    }

    #[test]
    fn md5_is_asked_for_and_taken_where_it_is_allowed_only() {
        let algorithms = |weakest| {
            let challenges = verifier(weakest).challenges(UnixMillis(NOW), 1, true);
            challenges.into_iter().map(|challenge| challenge.algorithm).collect::<Vec<_>>()
        };
        assert_eq!(algorithms(Algorithm::Md5), [Algorithm::Sha256, Algorithm::Md5]);
        assert_eq!(algorithms(Algorithm::Sha256), [Algorithm::Sha256]);
        let lenient = verifier(Algorithm::Md5);
        let weak = lenient.challenges(UnixMillis(NOW), 1, false).split_off(1);
        let credentials = answer(&mut Asked::strongest(weak, Algorithm::Md5).unwrap(), "secret");
        assert_eq!(check(&mut verifier(Algorithm::Sha256), NOW, &credentials), Err(Refusal::TooWeak));
        assert_eq!(check(&mut verifier(Algorithm::Md5), NOW, &credentials), Ok(()));
    }

    #[test]
    fn counts_may_come_late_but_not_twice_and_not_from_far_back() {
        let mut counts = Counts::NONE;
        for (count, taken) in [
            (1, true),
            (1, false),
            (0, false),
            (5, true),
            (3, true),
            (3, false),
            (4, true),
            (70, true),
            (7, true),
            (6, false),
            (u32::MAX, true),
            (70, false),
            (u32::MAX, false),
        ] {
            assert_eq!(counts.take(count), taken, "{count}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_forgotten_is_stale() {
        let mut verifier = verifier(Algorithm::Md5);
        let first = verifier.nonces.make(UnixMillis(NOW), 0);
        let Age::Fresh(first) = verifier.nonces.age(UnixMillis(NOW), &first) else { panic!("fresh") };
        assert!(verifier.take(first, 1));
        for salt in 1..=u64::try_from(limits::NONCES_MAX).unwrap() {
            let nonce = verifier.nonces.make(UnixMillis(NOW + 1), salt);
            let Age::Fresh(nonce) = verifier.nonces.age(UnixMillis(NOW + 1), &nonce) else { panic!("fresh") };
            assert!(verifier.take(nonce, 1));
        }
        assert_eq!(verifier.used.len(), limits::NONCES_MAX);
        assert!(!verifier.take(first, 2), "forgotten");
    }
}

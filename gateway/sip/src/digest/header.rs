//! Challenges and credentials as header fields.

use std::fmt;

use super::Algorithm;
use crate::limits;

/// What `WWW-Authenticate` or `Proxy-Authenticate` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users are asked for.
    pub realm: String,
    /// The word that the answer is made with.
    pub nonce: String,
    /// How it is hashed.
    pub algorithm: Algorithm,
    /// Whether answers are counted (`qop=auth`).
    pub qop_auth: bool,
    /// Whether only the nonce was too old: the password is right.
    pub stale: bool,
    /// Comes back as it is.
    pub opaque: Option<String>,
}

impl Challenge {
    /// Those of an answer's header fields that can be answered; unknown schemes, algorithms and demands are passed over.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        values.into_iter().filter_map(Self::parse).take(limits::CHALLENGES_MAX).collect()
    }

    fn parse(value: &str) -> Option<Self> {
        let parameters = Parameters::parse(value)?;
        let qop = parameters.get("qop");
        let qop_auth = qop.is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !qop_auth {
            return None;
        }
        Some(Self {
            realm: parameters.get("realm")?.to_owned(),
            nonce: parameters.get("nonce")?.to_owned(),
            algorithm: parameters.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            qop_auth,
            stale: parameters.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            opaque: parameters.get("opaque").map(str::to_owned),
        })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", Quoted(&self.realm), Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if self.qop_auth {
            f.write_str(", qop=\"auth\"")?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        Ok(())
    }
}

/// What `Authorization` or `Proxy-Authorization` answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who it is.
    pub user: String,
    /// As in the challenge.
    pub realm: String,
    /// As in the challenge.
    pub nonce: String,
    /// What is asked for with it.
    pub uri: String,
    /// The proof.
    pub response: String,
    /// How it is hashed.
    pub algorithm: Algorithm,
    /// `nc` and `cnonce`, where answers are counted.
    pub counted: Option<(u32, String)>,
    /// As in the challenge.
    pub opaque: Option<String>,
}

impl Credentials {
    /// Reads a header field's value; none if it is of another scheme, or something that it must say is missing.
    pub fn parse(value: &str) -> Option<Self> {
        let parameters = Parameters::parse(value)?;
        let counted = match parameters.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let count = parameters.get("nc")?;
                // RFC 7616 §3.4: exactly eight hexadecimal digits.
                let is_count = count.len() == 8 && count.bytes().all(|byte| byte.is_ascii_hexdigit());
                let count = is_count.then(|| u32::from_str_radix(count, 16).ok()).flatten()?;
                Some((count, parameters.get("cnonce")?.to_owned()))
            }
            Some(_) => return None,
        };
        Some(Self {
            user: parameters.get("username")?.to_owned(),
            realm: parameters.get("realm")?.to_owned(),
            nonce: parameters.get("nonce")?.to_owned(),
            uri: parameters.get("uri")?.to_owned(),
            response: parameters.get("response")?.to_ascii_lowercase(),
            algorithm: parameters.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            counted,
            opaque: parameters.get("opaque").map(str::to_owned),
        })
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", Quoted(&self.user), Quoted(&self.realm))?;
        write!(f, ", nonce={}, uri={}", Quoted(&self.nonce), Quoted(&self.uri))?;
        write!(f, ", response=\"{}\", algorithm={}", self.response, self.algorithm.as_str())?;
        if let Some((count, cnonce)) = &self.counted {
            write!(f, ", qop=auth, nc={count:08x}, cnonce={}", Quoted(cnonce))?;
        }
        match &self.opaque {
            Some(opaque) => write!(f, ", opaque={}", Quoted(opaque)),
            None => Ok(()),
        }
    }
}

/// Without the proof: who overhears it can try passwords at leisure.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for char in self.0.chars().filter(|char| !char.is_control()) {
            if matches!(char, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{char}")?;
        }
        f.write_str("\"")
    }
}

/// `name=value` or `name="value"`, with commas between them.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.trim().split_once([' ', '\t'])?;
        let mut parameters = Vec::new();
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Some(Self(parameters));
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = read_value(after.trim_start())?;
            let name = name.trim().to_ascii_lowercase();
            let again = parameters.iter().any(|(own, _)| *own == name);
            if name.contains(['"', ' ', ',']) || again || parameters.len() == limits::DIGEST_PARAMETERS_MAX {
                return None;
            }
            parameters.push((name, value));
            rest = after;
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (index, char) in quoted.char_indices() {
        match char {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some((value, &quoted[index + 1..])),
            char => {
                value.push(char);
                escaped = false;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_comes_back_as_it_was_written() {
        for opaque in [None, Some("x\\\"y".to_owned())] {
            for (stale, qop_auth) in [(false, true), (true, false)] {
                let (realm, nonce) = ("a \"b\" \\".to_owned(), "n,=".to_owned());
                let opaque = opaque.clone();
                let challenge = Challenge { realm, nonce, algorithm: Algorithm::Sha256, qop_auth, stale, opaque };
                assert_eq!(Challenge::read([challenge.to_string().as_str()]), [challenge]);
            }
        }
    }

    #[test]
    fn what_is_missing_twice_or_of_another_kind_is_not_read() {
        let good = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"AB\"";
        assert_eq!(Credentials::parse(good).unwrap().response, "ab");
        assert_eq!(Credentials::parse(&good.replace(", ", ",\t  ")).unwrap().user, "u");
        for wrong in [
            good.replace("Digest", "Basic"),
            good.replace("username", "user"),
            format!("{good}, realm=\"other\""),
            format!("{good}, qop=auth-int"),
            format!("{good}, qop=auth, cnonce=\"c\""),
            format!("{good}, qop=auth, cnonce=\"c\", nc=1"),
            format!("{good}, qop=auth, cnonce=\"c\", nc=+0000001"),
            format!("{good}, algorithm=MD5-sess"),
            format!("{good}, x=\"y"),
            format!("{good}, x"),
            "Digest".to_owned(),
            String::new(),
        ] {
            assert_eq!(Credentials::parse(&wrong), None, "{wrong}");
        }
    }
}

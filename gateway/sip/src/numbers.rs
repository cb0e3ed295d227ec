//! Telephone numbers: what is one, how a trunk wants it written, and how it is shown.
//!
//! Inside the gateway a number is [`E164`]. What a telephone dials and what a trunk sends and wants are [`Rewriting`]s to and from it:
//! lists of rules of which the first that fits holds. Numbers are personal data: `Debug` and logs show them masked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// An international number: `+` and up to fifteen digits, the first of which is not 0 (ITU-T E.164).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(String);

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It does not begin with `+`.
    #[error("an international number begins with + and its country code, as in +4930123456")]
    NotInternational,
    /// Something else than digits, or too few or too many of them.
    #[error("a number has 3 to 15 digits and no letters")]
    NotDigits,
}

impl E164 {
    /// Reads a number as people write it: blanks, dots, hyphens, slashes and brackets between digits are passed over.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let plain = without_separators(text.trim());
        let digits = plain.strip_prefix('+').ok_or(NumberError::NotInternational)?;
        let is_number = (3..=limits::E164_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if is_number { Ok(Self(plain)) } else { Err(NumberError::NotDigits) }
    }

    /// Reads the number of a `tel:` or `sip:` address (RFC 3966, RFC 3261 §19.1.6); none if it has none.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::parse(&user_of_uri(uri)?).ok()
    }

    /// With its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its `+`, as tokens of caller identity have it (RFC 8225 §5.2.1).
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl TryFrom<String> for E164 {
    type Error = NumberError;

    fn try_from(text: String) -> Result<Self, NumberError> {
        Self::parse(&text)
    }
}

impl From<E164> for String {
    fn from(number: E164) -> Self {
        number.0
    }
}

/// Masked.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

/// A number as logs may show it: its last four digits are hidden, of short ones all.
pub fn masked(number: &str) -> String {
    let shown = number.chars().count().saturating_sub(4).min(6);
    number.chars().enumerate().map(|(index, char)| if index < shown { char } else { '*' }).collect()
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|char| !matches!(char, ' ' | '\u{a0}' | '.' | '-' | '/' | '(' | ')')).collect()
}

/// The user part of a `sip:`, `sips:` or `tel:` address, without escapes, password and parameters.
pub fn user_of_uri(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let user = match scheme.to_ascii_lowercase().as_str() {
        "tel" => rest,
        "sip" | "sips" => rest.rsplit_once('@')?.0,
        _ => return None,
    };
    let user = user.split([';', ':']).next().unwrap_or_default();
    unescaped(user).filter(|user| !user.is_empty())
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

/// A display name for a header field: quoted, without what would end it.
pub fn quoted_display_name(name: &str) -> String {
    let mut quoted = String::from("\"");
    for char in name.chars().filter(|char| !char.is_control()).take(limits::DISPLAY_NAME_CHARACTERS_MAX) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

/// One rule: numbers that look like `pattern` lose their first `strip` characters and get `prefix` before the rest.
///
/// In a pattern `0`–`9`, `*`, `#` and `+` stand for themselves, `X` for any digit, `Z` for 1–9, `N` for 2–9; `.` at its end stands for
/// anything, also for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which numbers it is for.
    pub pattern: String,
    /// How many characters they lose at their beginning.
    #[serde(default)]
    pub strip: usize,
    /// What they get instead.
    #[serde(default)]
    pub prefix: String,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// More than [`limits::REWRITING_RULES_MAX`].
    #[error("at most {max} rules, these are {0}", max = limits::REWRITING_RULES_MAX)]
    TooMany(usize),
    /// A pattern that is none.
    #[error("{0:?} is no pattern: digits, *, #, +, X (any digit), Z (1-9), N (2-9), and . at the end for anything")]
    Pattern(String),
    /// A prefix with something else than digits.
    #[error("{0:?} is no prefix: digits, *, # and a + at its beginning")]
    Prefix(String),
    /// It strips more than the pattern is sure to have.
    #[error("{0:?} has fewer than the {1} characters that are to be stripped")]
    Strip(String, usize),
}

/// How numbers are written anew: the first rule whose pattern fits holds, and a number that none fits stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rule>", into = "Vec<Rule>")]
pub struct Rewriting(Vec<Rule>);

impl Rewriting {
    /// Checks rules.
    ///
    /// # Errors
    /// One of them is none.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        if rules.len() > limits::REWRITING_RULES_MAX {
            return Err(RuleError::TooMany(rules.len()));
        }
        rules.iter().try_for_each(Rule::check)?;
        Ok(Self(rules))
    }

    /// What becomes of a number; none if that would be no number, or a longer one than any.
    pub fn apply(&self, number: &str) -> Option<String> {
        let rewritten = match self.0.iter().find(|rule| rule.fits(number)) {
            Some(rule) => format!("{}{}", rule.prefix, number.get(rule.strip..)?),
            None => number.to_owned(),
        };
        is_dialable(&rewritten).then_some(rewritten)
    }
}

impl TryFrom<Vec<Rule>> for Rewriting {
    type Error = RuleError;

    fn try_from(rules: Vec<Rule>) -> Result<Self, RuleError> {
        Self::new(rules)
    }
}

impl From<Rewriting> for Vec<Rule> {
    fn from(rewriting: Rewriting) -> Self {
        rewriting.0
    }
}

impl Rule {
    fn fixed(&self) -> &str {
        self.pattern.strip_suffix('.').unwrap_or(&self.pattern)
    }

    fn check(&self) -> Result<(), RuleError> {
        let characters = self.fixed().bytes().all(|byte| byte.is_ascii_digit() || b"*#+XZN".contains(&byte));
        if self.pattern.is_empty() || !characters || self.pattern.len() > limits::NUMBER_CHARACTERS_MAX {
            return Err(RuleError::Pattern(self.pattern.clone()));
        }
        if !self.prefix.is_empty() && !is_dialable(&self.prefix) && self.prefix != "+" {
            return Err(RuleError::Prefix(self.prefix.clone()));
        }
        if self.strip > self.fixed().len() {
            return Err(RuleError::Strip(self.pattern.clone(), self.strip));
        }
        Ok(())
    }

    fn fits(&self, number: &str) -> bool {
        let fixed = self.fixed();
        let length =
            if self.pattern.ends_with('.') { number.len() >= fixed.len() } else { number.len() == fixed.len() };
        length
            && fixed.bytes().zip(number.bytes()).all(|(pattern, digit)| match pattern {
                b'X' => digit.is_ascii_digit(),
                b'Z' => (b'1'..=b'9').contains(&digit),
                b'N' => (b'2'..=b'9').contains(&digit),
                literal => literal == digit,
            })
    }
}

/// Whether a telephone could dial it: digits, `*`, `#`, and a `+` at the beginning.
pub fn is_dialable(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let characters = digits.bytes().all(|byte| byte.is_ascii_digit() || b"*#".contains(&byte));
    !digits.is_empty() && characters && number.len() <= limits::NUMBER_CHARACTERS_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_number() {
        for (text, number) in [
            ("+4930123456", Some("+4930123456")),
            (" +49 (30) 123-456 ", Some("+4930123456")),
            ("+1.212.555/0100", Some("+12125550100")),
            ("+123456789012345", Some("+123456789012345")),
            ("+1234567890123456", None),
            ("030123456", None),
            ("+0123456", None),
            ("+12", None),
            ("+49x30", None),
            ("++4930", None),
            ("+٤٩٣٠", None),
            ("", None),
        ] {
            assert_eq!(E164::parse(text).ok().as_ref().map(E164::as_str), number, "{text}");
        }
    }

    #[test]
    fn numbers_of_addresses() {
        for (uri, number) in [
            ("sip:+4930123456@example.com;user=phone", Some("+4930123456")),
            ("sips:%2b4930123456:secret@example.com", Some("+4930123456")),
            ("sip:+4930-123456;phone-context=x@example.com", Some("+4930123456")),
            ("tel:+49-30-123456;isub=1", Some("+4930123456")),
            ("TEL:+4930123456", Some("+4930123456")),
            ("sip:alice@example.com", None),
            ("sip:example.com", None),
            ("sip:%4@example.com", None),
            ("mailto:+4930123456@example.com", None),
        ] {
            assert_eq!(E164::of_uri(uri).as_ref().map(E164::as_str), number, "{uri}");
        }
    }

    fn rules(rules: &[(&str, usize, &str)]) -> Result<Rewriting, RuleError> {
        let rule = |&(pattern, strip, prefix): &(&str, usize, &str)| Rule {
            pattern: pattern.into(),
            strip,
            prefix: prefix.into(),
        };
        Rewriting::new(rules.iter().map(rule).collect())
    }

    #[test]
    fn a_berlin_telephone_dials() {
        let berlin =
            rules(&[("11X", 0, ""), ("00.", 2, "+"), ("0Z.", 1, "+49"), ("NXXXXX.", 0, "+4930"), ("**XX", 2, "")])
                .unwrap();
        for (dialled, number) in [
            ("112", Some("112")),
            ("00441632960000", Some("+441632960000")),
            ("089123456", Some("+4989123456")),
            ("3012345", Some("+49303012345")),
            ("**12", Some("12")),
            ("+4930123456", Some("+4930123456")),
            ("00", None),
            ("alice", None),
            ("", None),
        ] {
            assert_eq!(berlin.apply(dialled).as_deref(), number, "{dialled}");
        }
    }

    #[test]
    fn rules_that_are_none() {
        assert!(matches!(rules(&[("", 0, "")]), Err(RuleError::Pattern(_))));
        assert!(matches!(rules(&[("0.0", 0, "")]), Err(RuleError::Pattern(_))));
        assert!(matches!(rules(&[("0", 0, "a")]), Err(RuleError::Prefix(_))));
        assert!(matches!(rules(&[("0.", 2, "")]), Err(RuleError::Strip(_, 2))));
        assert!(matches!(rules(&[("0", 0, ""); 65]), Err(RuleError::TooMany(65))));
    }

    #[test]
    fn logs_show_neither_numbers_nor_their_ends() {
        assert_eq!(format!("{:?}", E164::parse("+4930123456").unwrap()), "+49301*****");
        assert_eq!(masked("112"), "***");
        assert_eq!(quoted_display_name("A \"B\" \\ \r\nC"), "\"A \\\"B\\\" \\\\ C\"");
    }

    proptest! {
        #[test]
        fn anything_is_read(text in "\\PC{0,40}") {
            let _ = (E164::parse(&text), user_of_uri(&text), masked(&text), rules(&[("X.", 1, "+")]).unwrap().apply(&text));
        }
    }
}

//! Toll fraud: which numbers a tenant's calls may reach, how many of them begin within a minute, and what all of them cost a minute.
//!
//! A stolen password is turned into money by calls to expensive numbers, at night, many at once; each of these rules makes that a small
//! sum. What a number costs is told by whoever knows (the trunk's tariff). It counts; it carries no call.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_switch::time::Instant;

use crate::limits;
use crate::numbers::E164;

/// A tenant's rules. Without allowed prefixes no telephone can be called: whoever wants to, says whereto.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Numbers that begin with one of these may be called, as `+49`.
    pub allowed: Vec<String>,
    /// But not those that begin with one of these, as `+49900`. The longer prefix holds, and of two equal ones this.
    #[serde(default)]
    pub forbidden: Vec<String>,
    /// Most calls that begin within a minute.
    pub calls_per_minute: u32,
    /// Most that all calls together may cost a minute, in millionths of the tenant's currency.
    pub spend_per_minute: u64,
}

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// More than [`limits::PREFIXES_MAX`].
    #[error("at most {max} prefixes, these are {0}", max = limits::PREFIXES_MAX)]
    TooMany(usize),
    /// A prefix that no number begins with.
    #[error("{0:?} is no prefix: it begins with + and goes on with digits, as in +49")]
    Prefix(String),
    /// More calls than anybody may make.
    #[error("at most {max} calls a minute, these are {0}", max = limits::TELEPHONE_CALLS_MAX)]
    Calls(u32),
}

impl Rules {
    /// Checks rules.
    ///
    /// # Errors
    /// One of them is none.
    pub fn check(&self) -> Result<(), RuleError> {
        for prefixes in [&self.allowed, &self.forbidden] {
            if prefixes.len() > limits::PREFIXES_MAX {
                return Err(RuleError::TooMany(prefixes.len()));
            }
            if let Some(wrong) = prefixes.iter().find(|prefix| !is_prefix(prefix)) {
                return Err(RuleError::Prefix(wrong.clone()));
            }
        }
        match usize::try_from(self.calls_per_minute) {
            Ok(calls) if calls <= limits::TELEPHONE_CALLS_MAX => Ok(()),
            _ => Err(RuleError::Calls(self.calls_per_minute)),
        }
    }
}

fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    digits.len() <= limits::E164_DIGITS_MAX && text.starts_with('+') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why a call may not be made: the rule, which its tenant can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No allowed prefix fits.
    #[error("the tenant's rules allow no calls to this number")]
    NotAllowed,
    /// A forbidden prefix fits.
    #[error("the tenant's rules forbid calls to this number")]
    Forbidden,
    /// As many calls began within the last minute as may.
    #[error("as many calls began within a minute as the tenant's rules allow")]
    Calls,
    /// With this one, all calls together would cost too much.
    #[error("with this call, the tenant's calls would cost more a minute than its rules allow")]
    Spend,
}

/// A call that was allowed, and counts until it is given back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what a call costs counts until it is given back"]
pub struct Ticket {
    price: u64,
}

/// One tenant's calls to telephones.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: Rules,
    begun: VecDeque<Instant>,
    spend: u64,
}

impl Guard {
    /// No call was made yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, begun: VecDeque::new(), spend: 0 }
    }

    /// Other rules from now on; calls that are being made count on.
    pub fn change(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Whether a call may be made to a number that costs `price` a minute (in millionths, as [`Rules::spend_per_minute`]).
    ///
    /// # Errors
    /// The rule that it breaks. Nothing is counted then.
    pub fn begin(&mut self, now: Instant, number: &E164, price: u64) -> Result<Ticket, Refusal> {
        self.whereto(number)?;
        while self.begun.front().is_some_and(|begun| now.since(*begun) >= Duration::from_mins(1)) {
            self.begun.pop_front();
        }
        let most = usize::try_from(self.rules.calls_per_minute).unwrap_or(usize::MAX).min(limits::TELEPHONE_CALLS_MAX);
        if self.begun.len() >= most {
            return Err(Refusal::Calls);
        }
        let spend = self.spend.checked_add(price).filter(|spend| *spend <= self.rules.spend_per_minute);
        self.spend = spend.ok_or(Refusal::Spend)?;
        self.begun.push_back(now);
        Ok(Ticket { price })
    }

    /// The call is over.
    pub fn end(&mut self, ticket: Ticket) {
        self.spend = self.spend.saturating_sub(ticket.price);
    }

    fn whereto(&self, number: &E164) -> Result<(), Refusal> {
        let longest = |prefixes: &[String]| {
            let fitting = prefixes.iter().filter(|prefix| number.as_str().starts_with(prefix.as_str()));
            fitting.map(String::len).max()
        };
        match (longest(&self.rules.allowed), longest(&self.rules.forbidden)) {
            (None, _) => Err(Refusal::NotAllowed),
            (Some(allowed), Some(forbidden)) if forbidden >= allowed => Err(Refusal::Forbidden),
            (Some(_), _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn number(text: &str) -> E164 {
        E164::parse(text).expect("a number")
    }

    fn rules(allowed: &[&str], forbidden: &[&str]) -> Rules {
        let owned = |prefixes: &[&str]| prefixes.iter().map(ToString::to_string).collect();
        Rules { allowed: owned(allowed), forbidden: owned(forbidden), calls_per_minute: 2, spend_per_minute: 100 }
    }

    #[test]
    fn the_longer_prefix_holds() {
        let rules = rules(&["+49", "+4990012", "+1"], &["+49900", "+1900", "+1"]);
        for (called, refusal) in [
            ("+4930123456", None),
            ("+4990099999", Some(Refusal::Forbidden)),
            ("+4990012345", None),
            ("+12125550100", Some(Refusal::Forbidden)),
            ("+441632960000", Some(Refusal::NotAllowed)),
        ] {
            assert_eq!(Guard::new(rules.clone()).begin(at(0), &number(called), 1).err(), refusal, "{called}");
        }
        let nothing = Guard::new(Rules::default()).begin(at(0), &number("+4930123456"), 0);
        assert_eq!(nothing, Err(Refusal::NotAllowed));
    }

    #[test]
    fn so_many_calls_a_minute() {
        let mut guard = Guard::new(rules(&["+49"], &[]));
        let called = number("+4930123456");
        for (seconds, refusal) in
            [(0, None), (30, None), (59, Some(Refusal::Calls)), (60, None), (89, Some(Refusal::Calls))]
        {
            assert_eq!(guard.begin(at(seconds), &called, 0).err(), refusal, "{seconds}");
        }
    }

    #[test]
    fn so_much_money_a_minute_while_they_last() {
        let mut guard = Guard::new(rules(&["+49"], &[]));
        let called = number("+4930123456");
        let ticket = guard.begin(at(0), &called, 60).expect("60 of 100");
        assert_eq!(guard.begin(at(1), &called, 41), Err(Refusal::Spend));
        assert_eq!(guard.begin(at(1), &called, u64::MAX), Err(Refusal::Spend));
        guard.end(ticket);
        assert!(guard.begin(at(1), &called, 100).is_ok(), "and what was refused was not counted");
    }

    #[test]
    fn rules_that_are_none() {
        assert_eq!(rules(&["+49", "+"], &["+49900"]).check(), Ok(()));
        assert_eq!(rules(&["49"], &[]).check(), Err(RuleError::Prefix("49".into())));
        assert_eq!(rules(&[], &["+4x"]).check(), Err(RuleError::Prefix("+4x".into())));
        assert_eq!(rules(&["+1"; 257], &[]).check(), Err(RuleError::TooMany(257)));
        let calls = Rules { calls_per_minute: 10_001, ..rules(&[], &[]) };
        assert_eq!(calls.check(), Err(RuleError::Calls(10_001)));
    }
}

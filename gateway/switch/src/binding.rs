//! Which function answers for what was dialled: a table of patterns, of which the longest that fits holds.
//!
//! A pattern is an address (`front-desk`, `+493012345`), the beginning of one with `*` at its end (`+4930*`), or `*` alone, which fits
//! everything. Only a `*` at the end has this meaning: `*97` is the address `*97`. It does not know functions: a table may lead to
//! anything.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::limits;

/// What stands for any ending, the empty one included.
const WILDCARD: char = '*';

/// Which addresses are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// This address alone.
    Exact(String),
    /// All addresses that begin so; all of them when it is empty.
    Prefix(String),
}

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// There is nothing in it.
    #[error("a pattern must not be empty; `*` stands for every address")]
    Empty,
    /// No address is that long.
    #[error("a pattern has at most {max} bytes, as an address has; got {got}", max = limits::ADDRESS_BYTES_MAX)]
    TooLong {
        /// How many bytes it has, without the `*` at its end.
        got: usize,
    },
    /// No address has such a character.
    #[error("a pattern has no spaces and no control characters; got {0:?}")]
    Character(char),
}

impl FromStr for Pattern {
    type Err = BadPattern;

    /// # Errors
    /// When it is empty, too long, or has a character that cannot be dialled.
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (address, is_prefix) = match text.strip_suffix(WILDCARD) {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        if address.is_empty() && !is_prefix {
            return Err(BadPattern::Empty);
        }
        if address.len() > limits::ADDRESS_BYTES_MAX {
            return Err(BadPattern::TooLong { got: address.len() });
        }
        if let Some(character) = address.chars().find(|it| it.is_whitespace() || it.is_control()) {
            return Err(BadPattern::Character(character));
        }
        Ok(if is_prefix { Self::Prefix(address.to_owned()) } else { Self::Exact(address.to_owned()) })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(address) => f.write_str(address),
            Self::Prefix(beginning) => write!(f, "{beginning}{WILDCARD}"),
        }
    }
}

impl Pattern {
    /// Whether it fits this address.
    pub fn fits(&self, dialled: &str) -> bool {
        match self {
            Self::Exact(address) => address == dialled,
            Self::Prefix(beginning) => dialled.starts_with(beginning.as_str()),
        }
    }
}

/// Patterns and where they lead. A look-up takes time by the length of what was dialled, not by the number of patterns.
#[derive(Clone, Debug)]
pub struct Bindings<T> {
    exact: BTreeMap<String, T>,
    prefixes: BTreeMap<String, T>,
}

impl<T> Default for Bindings<T> {
    fn default() -> Self {
        Self { exact: BTreeMap::new(), prefixes: BTreeMap::new() }
    }
}

impl<T> Bindings<T> {
    /// Where this address leads: by itself, else by the longest beginning that fits; `None` when nothing does.
    pub fn find(&self, dialled: &str) -> Option<&T> {
        self.exact.get(dialled).or_else(|| self.find_by_prefix(dialled))
    }

    fn find_by_prefix(&self, dialled: &str) -> Option<&T> {
        let longest = dialled.floor_char_boundary(limits::ADDRESS_BYTES_MAX);
        let ends = (0..=longest).rev().filter(|&end| dialled.is_char_boundary(end));
        ends.map(|end| &dialled[..end]).find_map(|beginning| self.prefixes.get(beginning))
    }
}

impl<T> FromIterator<(Pattern, T)> for Bindings<T> {
    /// Of two equal patterns the later one holds.
    fn from_iter<I: IntoIterator<Item = (Pattern, T)>>(bindings: I) -> Self {
        let mut table = Self::default();
        for (pattern, target) in bindings {
            match pattern {
                Pattern::Exact(address) => table.exact.insert(address, target),
                Pattern::Prefix(beginning) => table.prefixes.insert(beginning, target),
            };
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(patterns: &[&'static str]) -> Bindings<&'static str> {
        patterns.iter().map(|text| (text.parse().expect("a pattern"), *text)).collect()
    }

    #[test]
    fn the_longest_pattern_that_fits_holds_and_an_address_goes_before_its_beginnings() {
        let table = table(&["*", "+49*", "+4930*", "+4930123", "+4930123*", "*97", "süd*"]);
        let cases = [
            ("+4930123", "+4930123"),
            ("+49301234", "+4930123*"),
            ("+4930", "+4930*"),
            ("+4931", "+49*"),
            ("+4", "*"),
            ("", "*"),
            ("*97", "*97"),
            ("*9", "*"),
            ("süd", "süd*"),
            ("sü", "*"),
            ("südwest", "süd*"),
        ];
        for (dialled, expected) in cases {
            assert_eq!(table.find(dialled), Some(&expected), "{dialled}");
        }
    }

    #[test]
    fn what_no_pattern_fits_leads_nowhere() {
        let table = table(&["alice", "+49*"]);
        for dialled in ["", "alic", "alice2", "+4", "bob"] {
            assert_eq!(table.find(dialled), None, "{dialled}");
        }
        assert_eq!(Bindings::<u8>::default().find("alice"), None);
    }

    #[test]
    fn text_that_is_no_pattern_is_refused() {
        let long = "1".repeat(limits::ADDRESS_BYTES_MAX + 1);
        let cases = [
            ("", BadPattern::Empty),
            (long.as_str(), BadPattern::TooLong { got: limits::ADDRESS_BYTES_MAX + 1 }),
            ("a b", BadPattern::Character(' ')),
            ("a\n*", BadPattern::Character('\n')),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Pattern>(), Err(expected), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_table_finds_what_a_scan_of_all_patterns_finds(
            texts in proptest::collection::btree_set("[ab*]{0,4}[ab]|[ab]{0,4}\\*", 0..20),
            dialled in "[ab*]{0,6}",
        ) {
            let patterns: Vec<Pattern> = texts.iter().map(|text| text.parse().expect("a pattern")).collect();
            let table: Bindings<Pattern> = patterns.iter().map(|pattern| (pattern.clone(), pattern.clone())).collect();
            let rank = |pattern: &&Pattern| match pattern {
                Pattern::Exact(_) => usize::MAX,
                Pattern::Prefix(beginning) => beginning.len(),
            };
            let expected = patterns.iter().filter(|pattern| pattern.fits(&dialled)).max_by_key(rank);
            prop_assert_eq!(table.find(&dialled), expected);
        }

        #[test]
        fn a_pattern_survives_being_written_and_read(text in "\\PC{0,300}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}

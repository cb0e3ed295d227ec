//! Floods and scanners: how much one source network may send, and who gets no answer any more.
//!
//! [`Sources`] is asked before a message is looked at and told afterwards what came of it. Its verdict names the rule that made it, and an
//! allow list overrides every rule. It knows no clock, and its table is bounded. What calls may cost is [`crate::toll`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tandem_switch::budget::Bucket;
use tandem_switch::time::Instant;

use crate::limits;

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: u128,
    bits: u8,
    is_v4: bool,
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address; none if it is none, or has bits set behind its length.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        let network = (bits <= width).then(|| Self::around(address, bits))?;
        (network == Self { bits, ..Self::around(address, width) }).then_some(network)
    }

    /// Who is counted as one: an address, or the /64 that one household has in IPv6.
    pub fn of_source(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::around(address.into(), 32),
            IpAddr::V6(address) => Self::around(address.into(), 64),
        }
    }

    /// Whether an address is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && Self::around(address, self.bits) == *self
    }

    fn around(address: IpAddr, bits: u8) -> Self {
        let (value, width) = match address {
            IpAddr::V4(address) => (u128::from(Ipv4Addr::to_bits(address)), 32),
            IpAddr::V6(address) => (Ipv6Addr::to_bits(address), 128),
        };
        let behind = u32::from(width - bits.min(width));
        let address = value.checked_shr(behind).unwrap_or(0).checked_shl(behind).unwrap_or(0);
        Self { address, bits, is_v4: width == 32 }
    }
}

/// What one source may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Messages a second, and in a burst. Beyond it they are dropped.
    pub messages_per_second: u32,
    /// So many offences within [`Rules::offence_span`] make it a scanner.
    pub offences: u32,
    /// How long an offence counts.
    pub offence_span: Duration,
    /// How long a scanner gets no answer; each message that it sends meanwhile begins that anew.
    pub silence: Duration,
    /// Networks that no rule is for: trunks, one's own offices.
    pub allowed: Vec<Network>,
}

impl Default for Rules {
    /// A telephone sends a few messages a minute and an office a few a second; a scanner tries dozens of names in a second.
    fn default() -> Self {
        Self {
            messages_per_second: 50,
            offences: 20,
            offence_span: Duration::from_mins(1),
            silence: Duration::from_mins(10),
            allowed: Vec::new(),
        }
    }
}

/// Which rule made a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// More messages than [`Rules::messages_per_second`].
    Rate,
    /// As many offences as [`Rules::offences`].
    Scanner,
}

impl Rule {
    /// A word for counters, logs and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Scanner => "scanner",
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is looked at.
    Pass,
    /// It is dropped, without an answer, by this rule.
    Drop(Rule),
}

#[derive(Clone, Debug)]
struct Source {
    bucket: Bucket,
    offences: u32,
    /// When the first of them was.
    since: Instant,
    silent_until: Option<Instant>,
    seen: Instant,
}

/// All sources that were heard lately.
#[derive(Clone, Debug)]
pub struct Sources {
    rules: Rules,
    table: BTreeMap<Network, Source>,
    /// The same, by when they were heard: the oldest goes first.
    by_age: BTreeSet<(Instant, Network)>,
}

impl Sources {
    /// Nobody was heard yet. Of more than [`limits::ALLOWED_NETWORKS_MAX`] allowed networks the first ones count.
    pub fn new(mut rules: Rules) -> Self {
        rules.allowed.truncate(limits::ALLOWED_NETWORKS_MAX);
        Self { rules, table: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// Whether a message from `address` is looked at.
    pub fn judge(&mut self, now: Instant, address: IpAddr) -> Verdict {
        if self.is_allowed(address) {
            return Verdict::Pass;
        }
        let silence = self.rules.silence;
        let source = self.source(now, address);
        if source.silent_until.is_some_and(|until| now < until) {
            source.silent_until = Some(now + silence);
            return Verdict::Drop(Rule::Scanner);
        }
        source.silent_until = None;
        if source.bucket.take(now) { Verdict::Pass } else { Verdict::Drop(Rule::Rate) }
    }

    /// It did what telephones do not: sent what cannot be read, asked for a user that does not exist, had a wrong password.
    pub fn offended(&mut self, now: Instant, address: IpAddr) {
        if self.is_allowed(address) {
            return;
        }
        let (span, enough, silence) = (self.rules.offence_span, self.rules.offences, self.rules.silence);
        let source = self.source(now, address);
        if source.offences == 0 || now.since(source.since) > span {
            (source.offences, source.since) = (0, now);
        }
        source.offences += 1;
        if source.offences >= enough {
            (source.offences, source.silent_until) = (0, Some(now + silence));
        }
    }

    /// Somebody signed in from there: a person who mistyped their password is no scanner.
    pub fn signed_in(&mut self, address: IpAddr) {
        if let Some(source) = self.table.get_mut(&Network::of_source(address)) {
            source.offences = 0;
        }
    }

    /// An operator's word: what is held against a source is forgotten.
    pub fn forgive(&mut self, address: IpAddr) {
        let network = Network::of_source(address);
        if let Some(source) = self.table.remove(&network) {
            self.by_age.remove(&(source.seen, network));
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.rules.allowed.iter().any(|network| network.contains(address))
    }

    fn source(&mut self, now: Instant, address: IpAddr) -> &mut Source {
        let network = Network::of_source(address);
        match self.table.get(&network) {
            Some(source) => {
                self.by_age.remove(&(source.seen, network));
            }
            None if self.table.len() >= limits::SOURCES_MAX => {
                if let Some((_, oldest)) = self.by_age.pop_first() {
                    self.table.remove(&oldest);
                }
            }
            None => {}
        }
        self.by_age.insert((now, network));
        let bucket = Bucket::full(self.rules.messages_per_second.into(), now);
        let new = || Source { bucket, offences: 0, since: now, silent_until: None, seen: now };
        let source = self.table.entry(network).or_insert_with(new);
        source.seen = now;
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks() {
        for (network, address, contains) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
        ] {
            let network = Network::parse(network).expect("a network");
            assert_eq!(network.contains(ip(address)), contains, "{network:?} {address}");
        }
        for wrong in ["", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "x"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_sends_too_much_is_dropped_and_others_are_not() {
        let mut sources = Sources::new(Rules { messages_per_second: 2, ..Rules::default() });
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let verdicts = [(); 3].map(|()| sources.judge(at(1), one));
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Drop(Rule::Rate)]);
        assert_eq!(sources.judge(at(1), other), Verdict::Pass);
        assert_eq!(sources.judge(at(2), one), Verdict::Pass);
    }

    #[test]
    fn a_scanner_gets_silence_for_as_long_as_it_goes_on() {
        let mut sources = Sources::new(Rules::default());
        // One household, many addresses.
        for offence in 0..20 {
            assert_eq!(sources.judge(at(0), ip(&format!("2001:db8::{offence:x}"))), Verdict::Pass);
            sources.offended(at(0), ip(&format!("2001:db8::{offence:x}")));
        }
        for seconds in [1, 599, 1100, 1699] {
            assert_eq!(sources.judge(at(seconds), ip("2001:db8::1")), Verdict::Drop(Rule::Scanner), "{seconds}");
        }
        assert_eq!(sources.judge(at(2299), ip("2001:db8::1")), Verdict::Pass);
        assert_eq!(sources.judge(at(1), ip("2001:db8:0:1::1")), Verdict::Pass, "the neighbours");
    }

    #[test]
    fn people_mistype_and_offences_are_forgotten() {
        let mut sources = Sources::new(Rules::default());
        let person = ip("192.0.2.1");
        for _ in 0..3 {
            (0..19).for_each(|_| sources.offended(at(0), person));
            sources.signed_in(person);
        }
        assert_eq!(sources.judge(at(0), person), Verdict::Pass);
        (0..19).for_each(|_| sources.offended(at(0), person));
        sources.offended(at(61), person);
        assert_eq!(sources.judge(at(61), person), Verdict::Pass);
        (0..19).for_each(|_| sources.offended(at(62), person));
        assert_eq!(sources.judge(at(62), person), Verdict::Drop(Rule::Scanner));
        sources.forgive(person);
        assert_eq!((sources.judge(at(62), person), sources.len()), (Verdict::Pass, 1));
    }

    #[test]
    fn an_allow_list_overrides_every_rule() {
        let allowed = vec![Network::parse("192.0.2.0/24").unwrap()];
        let mut sources = Sources::new(Rules { messages_per_second: 1, allowed, ..Rules::default() });
        for _ in 0..100 {
            sources.offended(at(0), ip("192.0.2.1"));
            assert_eq!(sources.judge(at(0), ip("192.0.2.1")), Verdict::Pass);
        }
        assert!(sources.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_quietest_goes() {
        let mut sources = Sources::new(Rules::default());
        let first = ip("10.0.0.0");
        for number in 0..u32::try_from(limits::SOURCES_MAX).unwrap() + 10 {
            sources.judge(at(number.into()), Ipv4Addr::from_bits(0x0a00_0000 + number).into());
            sources.judge(at(number.into()), first);
        }
        assert_eq!((sources.len(), sources.by_age.len()), (limits::SOURCES_MAX, limits::SOURCES_MAX));
        assert!(sources.table.contains_key(&Network::of_source(first)), "it was heard all the time");
        assert!(!sources.table.contains_key(&Network::of_source(ip("10.0.0.1"))));
    }
}

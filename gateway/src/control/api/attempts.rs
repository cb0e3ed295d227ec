//! How many bad tokens an address may show. Tokens carry 256 random bits, so this is not what keeps them from being guessed: it tells a
//! client that is stuck with an old token to slow down, and keeps such a client out of the log. A good token always passes, so that
//! nobody who shares an address (behind a proxy, say) is locked out by a neighbour.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most bad tokens in a row. Further ones are answered with 429.
const BURST: u32 = 20;

/// How soon one more is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3);

/// Most addresses that are remembered, 64 bytes or so each. When all are taken by addresses with recent failures, further ones count as
/// having failed too often.
const ADDRESSES_MAX: usize = 4096;

/// Failures by address.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// When an address will be forgiven everything.
    clean_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Attempts {
    /// Counts a bad token; says whether the address has shown too many.
    pub(super) fn is_too_many(&self, now: Instant, address: IpAddr) -> bool {
        let mut clean_at = self.clean_at.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if clean_at.len() >= ADDRESSES_MAX && !clean_at.contains_key(&address) {
            clean_at.retain(|_, clean| *clean > now);
            if clean_at.len() >= ADDRESSES_MAX {
                return true;
            }
        }
        let clean = clean_at.entry(address).or_insert(now);
        let after = (*clean).max(now) + FORGIVEN_AFTER;
        if after > now + FORGIVEN_AFTER * BURST {
            return true;
        }
        *clean = after;
        false
    }
}

/// What one party usually has: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_fail_some_times_and_is_forgiven_with_time() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let one = address("192.0.2.1");
        for failure in 0..BURST {
            assert!(!attempts.is_too_many(start, one), "{failure}");
        }
        assert!(attempts.is_too_many(start, one));
        assert!(!attempts.is_too_many(start, address("192.0.2.2")), "others are not concerned");
        assert!(!attempts.is_too_many(start + FORGIVEN_AFTER, one));
        assert!(attempts.is_too_many(start + FORGIVEN_AFTER, one));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for host in 0..BURST {
            assert!(!attempts.is_too_many(start, address(&format!("2001:db8::{host:x}"))));
        }
        assert!(attempts.is_too_many(start, address("2001:db8::ffff")));
        assert!(!attempts.is_too_many(start, address("2001:db8:0:1::1")));
    }

    #[test]
    fn a_bounded_number_of_addresses_is_remembered() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for host in 0..u32::try_from(ADDRESSES_MAX).unwrap() {
            assert!(!attempts.is_too_many(start, IpAddr::V4(host.into())));
        }
        let further = address("192.0.2.1");
        assert!(attempts.is_too_many(start, further));
        assert!(!attempts.is_too_many(start + FORGIVEN_AFTER, further), "those that are forgiven make room");
    }
}

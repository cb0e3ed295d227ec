//! Where a version's manifest lets its outgoing HTTP go: patterns as in Spin's `allowed_outbound_hosts`. Pure: names are compared here,
//! the addresses behind them elsewhere ([`super::addresses`]).

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Longest pattern, bytes: a DNS name has at most 253, and scheme and port a few more. Longer: refused.
pub const PATTERN_BYTES_MAX: usize = 300;

/// Servers that a function may reach: `https://api.example.com`, `http://host:8000`, `https://*.example.com` (names below it, not itself),
/// `*://api.example.com:*` (both schemes, any port). Without a port the scheme's own is meant: 80 or 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Scheme,
    host: HostRule,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Either,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostRule {
    Exactly(Host),
    /// Every name that ends with a dot and this one.
    Below(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    OfScheme,
    Number(u16),
    Any,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHostPattern {
    /// It is too long.
    #[error("a host pattern has at most {PATTERN_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// It does not say which scheme.
    #[error("{0:?} names no scheme; write https://{0}")]
    NoScheme(String),
    /// Its scheme is nothing that a function can use.
    #[error("{0}: functions speak http and https only; write https://…, http://… or *://…")]
    OtherScheme(String),
    /// It means every host.
    #[error("{0:?} would allow every host; name the hosts, such as https://api.example.com or https://*.example.com")]
    EveryHost(String),
    /// Its host is no host.
    #[error(
        "{0:?} is no host; write a name such as api.example.com, *.example.com or an address such as 192.0.2.1 or [2001:db8::1]"
    )]
    Host(String),
    /// Its port is no port.
    #[error("{0:?} is no port; write 1 to 65535, or * for any")]
    Port(String),
    /// It has more than scheme, host and port.
    #[error(
        "{0:?} is more than scheme, host and port; a pattern allows whole hosts, so leave out path, query and sign-in"
    )]
    MoreThanHost(String),
}

impl HostPattern {
    /// Whether a request may go to `url`, as far as the manifest is concerned.
    pub fn allows(&self, url: &Url) -> bool {
        let own_port = match (url.scheme(), self.scheme) {
            ("http", Scheme::Http | Scheme::Either) => 80,
            ("https", Scheme::Https | Scheme::Either) => 443,
            _ => return false,
        };
        let port = url.port_or_known_default();
        let port_fits = match self.port {
            Port::OfScheme => port == Some(own_port),
            Port::Number(number) => port == Some(number),
            Port::Any => true,
        };
        port_fits && url.host().is_some_and(|host| self.host.fits(&host))
    }
}

impl HostRule {
    fn fits(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Exactly(Host::Domain(name)), Host::Domain(asked)) => name == without_root(asked),
            (Self::Exactly(Host::Ipv4(address)), Host::Ipv4(asked)) => address == asked,
            (Self::Exactly(Host::Ipv6(address)), Host::Ipv6(asked)) => address == asked,
            (Self::Below(name), Host::Domain(asked)) => {
                let front = without_root(asked).strip_suffix(name.as_str());
                front.is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            _ => false,
        }
    }
}

/// A name may end with the root's dot and mean the same.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(BadHostPattern::TooLong(text.len()));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| BadHostPattern::NoScheme(text.into()))?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "*" => Scheme::Either,
            other => return Err(BadHostPattern::OtherScheme(other.into())),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(BadHostPattern::MoreThanHost(text.into()));
        }
        let (host, port) = split_port(rest);
        let port = match port {
            None => Port::OfScheme,
            Some("*") => Port::Any,
            Some(digits) => Port::Number(port_number(digits)?),
        };
        if host == "*" {
            return Err(BadHostPattern::EveryHost(text.into()));
        }
        Ok(Self { scheme, host: host_rule(host)?, port })
    }
}

/// An IPv6 address has colons of its own, within brackets.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    }
}

fn port_number(digits: &str) -> Result<u16, BadHostPattern> {
    let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten();
    number.filter(|&number| number > 0).ok_or_else(|| BadHostPattern::Port(digits.into()))
}

fn host_rule(text: &str) -> Result<HostRule, BadHostPattern> {
    let bad = || BadHostPattern::Host(text.into());
    let name = text.strip_prefix("*.");
    let host = Host::parse(name.unwrap_or(text)).map_err(|_| bad())?;
    match (name, host) {
        (_, Host::Domain(name)) if name.contains('*') || without_root(&name).is_empty() => Err(bad()),
        (None, Host::Domain(name)) => Ok(HostRule::Exactly(Host::Domain(without_root(&name).to_owned()))),
        (None, address) => Ok(HostRule::Exactly(address)),
        (Some(_), Host::Domain(name)) => Ok(HostRule::Below(without_root(&name).to_owned())),
        (Some(_), Host::Ipv4(_) | Host::Ipv6(_)) => Err(bad()),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
            Scheme::Either => "*://",
        })?;
        match &self.host {
            HostRule::Exactly(host) => write!(f, "{host}")?,
            HostRule::Below(name) => write!(f, "*.{name}")?,
        }
        match self.port {
            Port::OfScheme => Ok(()),
            Port::Number(number) => write!(f, ":{number}"),
            Port::Any => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_allows_its_hosts_and_no_others() {
        let table: [(&str, &[&str], &[&str]); 8] = [
            (
                "https://api.example.com",
                &["https://api.example.com/a?b", "https://API.example.com:443/", "https://api.example.com./"],
                &[
                    "http://api.example.com/",
                    "https://api.example.com:8443/",
                    "https://xapi.example.com/",
                    "https://api.example.com.evil.test/",
                    "https://api.example.com@evil.test/",
                    "wss://api.example.com/",
                ],
            ),
            ("http://host:8000/", &["http://host:8000/x"], &["http://host/", "https://host:8000/"]),
            (
                "https://*.example.com",
                &["https://a.example.com/", "https://a.b.example.com./"],
                &[
                    "https://example.com/",
                    "https://.example.com/",
                    "https://evilexample.com/",
                    "https://a.example.com:1/",
                ],
            ),
            ("https://*.example.com:8443", &["https://a.example.com:8443/"], &["https://a.example.com/"]),
            (
                "*://api.example.com",
                &["http://api.example.com", "https://api.example.com"],
                &["http://api.example.com:443"],
            ),
            (
                "*://api.example.com:*",
                &["http://api.example.com:1", "https://api.example.com:65535"],
                &["https://b.test"],
            ),
            // However an address is written, it is the same one.
            (
                "http://127.0.0.1:3000",
                &["http://127.0.0.1:3000", "http://0x7f.1:3000", "http://2130706433:3000"],
                &["http://localhost:3000"],
            ),
            ("http://[2001:db8::1]", &["http://[2001:db8:0::1]/"], &["http://[2001:db8::2]/"]),
        ];
        for (pattern, allowed, denied) in table {
            let parsed: HostPattern = pattern.parse().unwrap();
            for url in allowed {
                assert!(parsed.allows(&Url::parse(url).unwrap()), "{pattern} allows {url}");
            }
            for url in denied {
                assert!(!Url::parse(url).is_ok_and(|url| parsed.allows(&url)), "{pattern} denies {url}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_would_be_right() {
        let table = [
            ("api.example.com", "write https://api.example.com"),
            ("redis://cache:6379", "http and https only"),
            ("*://*:*", "name the hosts"),
            ("https://*", "name the hosts"),
            ("https://", "is no host"),
            ("https://*.", "is no host"),
            ("https://a.*.com", "is no host"),
            ("https://*.*.com", "is no host"),
            ("https://*.10.0.0.1", "is no host"),
            ("https://a b", "is no host"),
            ("https://{{ host }}", "is no host"),
            ("https://host:0", "1 to 65535"),
            ("https://host:65536", "1 to 65535"),
            ("https://host:+80", "1 to 65535"),
            ("https://host:", "1 to 65535"),
            ("https://[::1", "is no host"),
            ("https://host/path", "leave out path"),
            ("https://me@host", "leave out path"),
            ("https://host?q", "leave out path"),
        ];
        for (text, says) in table {
            let error = text.parse::<HostPattern>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long = format!("https://{}", "a".repeat(PATTERN_BYTES_MAX));
        assert!(matches!(long.parse::<HostPattern>(), Err(BadHostPattern::TooLong(_))));
    }

    #[test]
    fn a_pattern_is_shown_as_it_is_written() {
        for text in ["https://api.example.com", "*://*.example.com:*", "http://[2001:db8::1]:8000"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }
}

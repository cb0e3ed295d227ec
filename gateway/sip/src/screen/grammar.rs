//! The parts of SIP's grammar (RFC 3261 §25.1) that are checked: tokens, addresses, hops and their parameters.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::limits;

const BLANK: [char; 2] = [' ', '\t'];

/// A parameter: its name, and its value if it has one.
pub(super) type Parameter<'a> = (&'a str, Option<&'a str>);

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Digits and nothing else, up to 2⁶⁴−1.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Cut at `at`, outside of quotes and angle brackets; none where one of these does not close.
pub(super) fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (index, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !bracketed => quoted = !quoted,
            _ if quoted => {}
            '<' if bracketed => return None,
            '<' => bracketed = true,
            '>' if !bracketed => return None,
            '>' => bracketed = false,
            char if char == at && !bracketed => {
                pieces.push(text[from..index].trim_matches(BLANK));
                from = index + char.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(text[from..].trim_matches(BLANK));
    (!quoted && !bracketed).then_some(pieces)
}

fn parameters(text: &str) -> Option<Vec<Parameter<'_>>> {
    let parameters = split(text, ';')?.into_iter().map(parameter).collect::<Option<Vec<_>>>()?;
    (!has_a_name_twice(&parameters)).then_some(parameters)
}

/// RFC 3261 §7.3.1 forbids it, and parsers differ over which of the two holds. Sorted, since a stranger may send thousands of them.
fn has_a_name_twice(parameters: &[Parameter<'_>]) -> bool {
    let mut names: Vec<_> = parameters.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn parameter(text: &str) -> Option<Parameter<'_>> {
    match text.split_once('=') {
        None => is_token(text).then_some((text, None)),
        Some((name, value)) => {
            let (name, value) = (name.trim_end_matches(BLANK), value.trim_start_matches(BLANK));
            let readable = if value.starts_with('"') {
                is_one_quoted_string(value)
            } else {
                !value.contains([' ', '\t', '<', '>', '"', ','])
            };
            (is_token(name) && !value.is_empty() && readable).then_some((name, Some(value)))
        }
    }
}

fn write_parameters(parameters: &[Parameter<'_>], text: &mut String) {
    for (name, value) in parameters {
        let _ = match value {
            Some(value) => write!(text, ";{name}={value}"),
            None => write!(text, ";{name}"),
        };
    }
}

/// An address's scheme, where it has the form of one (RFC 3986 §3.1).
pub(super) fn scheme(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let letter = scheme.starts_with(|char: char| char.is_ascii_alphabetic());
    let rest_of_it = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (letter && rest_of_it && !rest.is_empty()).then_some(scheme)
}

/// Where an address may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In angle brackets: it may carry header fields.
    Bracketed,
    /// By itself: it may not.
    Bare,
}

/// Whether an address can be read: of SIP's own schemes the whole form, of others the characters.
pub(super) fn is_uri(uri: &str, place: Place) -> bool {
    let Some(scheme) = scheme(uri) else { return false };
    let characters = uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte));
    let sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    characters && (!sip || is_sip_uri(&uri[scheme.len() + 1..], place))
}

fn is_sip_uri(rest: &str, place: Place) -> bool {
    let escapes = rest.split('%').skip(1).all(|piece| piece.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2);
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let end = rest.find([';', '?']).unwrap_or(rest.len());
    let bare_is_bare = place == Place::Bracketed || !rest.contains('?');
    // A second `@` would leave it to each parser where the host begins.
    let user_is_one = user.is_none_or(|user| !user.is_empty() && !user.contains('@'));
    escapes && bare_is_bare && user_is_one && is_host_port(&rest[..end])
}

fn is_host_port(text: &str) -> bool {
    host_port(text).is_some()
}

/// A host and its port, which may have blanks around its colon in `Via`.
fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<std::net::Ipv6Addr>().ok()?;
            (&text[..end + 2], rest[end + 1..].trim_matches(BLANK))
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let host = text[..end].trim_end_matches(BLANK);
            let characters = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            (!host.is_empty() && characters).then_some((host, &text[end..]))?
        }
    };
    match port.strip_prefix(':') {
        None => port.is_empty().then_some((host, None)),
        Some(port) => {
            let port = number(port.trim_start_matches(BLANK)).and_then(|port| u16::try_from(port).ok())?;
            Some((host, Some(port)))
        }
    }
}

/// A `name-addr` or `addr-spec` with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    display: &'a str,
    /// The address.
    pub uri: &'a str,
    bracketed: bool,
    /// The header field's own parameters.
    pub parameters: Vec<Parameter<'a>>,
}

impl<'a> Address<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(BLANK);
        match bracket(text) {
            Some(open) => {
                let (display, rest) = (text[..open].trim_end_matches(BLANK), &text[open + 1..]);
                let (uri, rest) = rest.split_once('>')?;
                let readable = is_display(display) && is_uri(uri, Place::Bracketed);
                let parameters = trailing(rest.trim_start_matches(BLANK))?;
                readable.then_some(Self { display, uri, bracketed: true, parameters })
            }
            None => {
                let end = text.find(';').unwrap_or(text.len());
                let (uri, rest) = (text[..end].trim_end_matches(BLANK), &text[end..]);
                let readable = !uri.contains(',') && is_uri(uri, Place::Bare);
                let parameters = trailing(rest)?;
                readable.then_some(Self { display: "", uri, bracketed: false, parameters })
            }
        }
    }

    /// Whether it has a parameter of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    fn write(&self, text: &mut String) {
        if !self.display.is_empty() {
            text.push_str(self.display);
            text.push(' ');
        }
        let (open, close) = if self.bracketed { ("<", ">") } else { ("", "") };
        let _ = write!(text, "{open}{}{close}", self.uri);
        write_parameters(&self.parameters, text);
    }
}

fn bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(index, char)| {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => return Some(index),
            _ => {}
        }
        None
    })
}

/// Nothing, a quoted string, or words.
fn is_display(text: &str) -> bool {
    if text.starts_with('"') {
        return is_one_quoted_string(text);
    }
    text.split(BLANK).filter(|word| !word.is_empty()).all(is_token)
}

fn is_one_quoted_string(text: &str) -> bool {
    let mut escaped = false;
    let close = text.char_indices().skip(1).find(|&(_, char)| {
        let closes = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        closes
    });
    close.is_some_and(|(index, _)| index + 1 == text.len())
}

fn trailing(text: &str) -> Option<Vec<Parameter<'_>>> {
    match text.strip_prefix(';') {
        Some(rest) => parameters(rest),
        None => text.is_empty().then(Vec::new),
    }
}

/// One hop of a `Via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Via<'a> {
    transport: &'a str,
    /// Who sent it, by their own account.
    pub host: &'a str,
    /// Their port, if they name one.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` …
    pub parameters: Vec<Parameter<'a>>,
}

impl<'a> Via<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let end = text.find(';').unwrap_or(text.len());
        let mut pieces = text[..end].splitn(3, '/').map(|piece| piece.trim_matches(BLANK));
        let (name, version, rest) = (pieces.next()?, pieces.next()?, pieces.next()?);
        let (transport, sent_by) = rest.split_once(BLANK)?;
        let (host, port) = host_port(sent_by.trim_matches(BLANK))?;
        let readable = name.eq_ignore_ascii_case("SIP") && version == "2.0" && is_token(transport);
        let parameters = trailing(text[end..].trim_matches(BLANK))?;
        readable.then_some(Self { transport, host, port, parameters })
    }

    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<Option<&'a str>> {
        self.parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    pub(super) fn write(&self, text: &mut String) {
        let _ = write!(text, "SIP/2.0/{} {}", self.transport, self.host);
        if let Some(port) = self.port {
            let _ = write!(text, ":{port}");
        }
        write_parameters(&self.parameters, text);
    }
}

/// The values of one header field, cut at commas; none where it cannot be cut or has too many.
pub(super) fn values(text: &str) -> Option<Vec<&str>> {
    split(text, ',').filter(|values| values.len() <= limits::VALUES_MAX)
}

/// A checked value without the blanks that it may have and needs not.
pub(super) fn plain_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let rewritten = match name {
        "Via" => rewrite(value, |hop, text| Via::parse(hop).map(|via| via.write(text))),
        "From" | "To" => Address::parse(value).map(|address| {
            let mut text = String::new();
            address.write(&mut text);
            text
        }),
        "Contact" | "Route" | "Record-Route" => {
            rewrite(value, |one, text| Address::parse(one).map(|address| address.write(text)))
        }
        "CSeq" => value
            .split_once(BLANK)
            .and_then(|(sequence, method)| Some(format!("{} {}", number(sequence)?, method.trim_start_matches(BLANK)))),
        "Max-Forwards" => number(value).map(|hops| hops.to_string()),
        _ => None,
    };
    rewritten.map_or(Cow::Borrowed(value), Cow::Owned)
}

fn rewrite(value: &str, write: impl Fn(&str, &mut String) -> Option<()>) -> Option<String> {
    let mut text = String::new();
    for one in values(value)? {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write(one, &mut text)?;
    }
    Some(text)
}

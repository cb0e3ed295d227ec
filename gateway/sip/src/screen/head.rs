//! A message's head: its first line and its header fields, unfolded. Everything that can be read is, whatever else is wrong: an answer
//! to a bad request repeats the good parts of it.

use std::borrow::Cow;

use super::Fault;
use super::grammar;
use crate::limits;

/// The first line.
#[derive(Debug)]
pub(super) enum Start<'a> {
    /// `METHOD uri version`.
    Request { method: &'a str, uri: &'a str, version: &'a str },
    /// `version status phrase`.
    Response { version: &'a str, status: &'a str, phrase: &'a str },
    /// Something else.
    Unreadable,
}

/// One header field.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// Its name: the long form, where it has one.
    pub name: &'a str,
    /// Its value, unfolded, without blanks around it.
    pub value: Cow<'a, str>,
}

/// A message's head.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub start: Start<'a>,
    pub headers: Vec<Header<'a>>,
    /// The first thing that is wrong with its lines.
    pub fault: Option<Fault>,
}

/// The names that are known by their form here, and their short forms (RFC 3261 §20, RFC 3515, 3892, 4028, 6665, 8224).
const NAMES: [(&str, &str); 26] = [
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("n", "Identity-Info"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
    ("y", "Identity"),
    ("", "CSeq"),
    ("", "Max-Forwards"),
    ("", "Route"),
    ("", "Record-Route"),
    ("", "Require"),
    ("", "Accept"),
];

fn long_name(name: &str) -> &str {
    let known = NAMES.iter().find(|(short, long)| name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short));
    known.map_or(name, |&(_, long)| long)
}

impl<'a> Head<'a> {
    /// Reads the head of `message`; the rest of it follows.
    pub(super) fn read(message: &'a [u8]) -> (Self, &'a [u8]) {
        let mut head = Self { start: Start::Unreadable, headers: Vec::new(), fault: None };
        let (lines, body) = match end_of_head(message) {
            Some(end) => (&message[..end], &message[end + 4..]),
            None => {
                head.fault = Some(Fault::HeadNotEnded);
                (message, &message[message.len()..])
            }
        };
        let lines = if lines.len() > limits::HEAD_BYTES_MAX {
            head.fault = Some(Fault::HeadTooLarge);
            &lines[..limits::HEAD_BYTES_MAX]
        } else {
            lines
        };
        let (first, fields) = split_line(lines);
        head.read_start(first);
        head.read_fields(fields);
        (head, body)
    }

    fn note(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn read_start(&mut self, line: &'a [u8]) {
        if line.len() > limits::START_LINE_BYTES_MAX {
            return self.note(Fault::StartLineTooLong);
        }
        let Some(line) = plain_text(line) else { return self.note(Fault::Characters) };
        let mut pieces = line.splitn(3, ' ');
        let (one, two, three) = (pieces.next().unwrap_or_default(), pieces.next(), pieces.next());
        let is_version = |piece: &str| piece.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
        match (two, three) {
            (Some(status), Some(phrase)) if is_version(one) => {
                self.start = Start::Response { version: one, status, phrase };
            }
            (Some(uri), Some(version)) if grammar::is_token(one) && !uri.is_empty() && is_version(version) => {
                self.start = Start::Request { method: one, uri, version };
                if version.contains([' ', '\t']) {
                    self.note(Fault::StartLine);
                }
            }
            _ => self.note(Fault::StartLine),
        }
    }

    fn read_fields(&mut self, mut rest: &'a [u8]) {
        while !rest.is_empty() {
            if self.headers.len() == limits::HEADERS_MAX {
                return self.note(Fault::HeadTooLarge);
            }
            let (field, after) = split_field(rest);
            rest = after;
            match read_field(field) {
                Ok(header) => self.headers.push(header),
                Err(fault) => self.note(fault),
            }
        }
    }

    /// Every value of a name, in order.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| &*header.value)
    }

    /// The value of a name that is there once or not at all.
    pub(super) fn only(&self, name: &'static str) -> Result<Option<&str>, Fault> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(Fault::Repeated(name)) } else { Ok(first) }
    }

    /// The value of a name that every message has once.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Fault> {
        self.only(name)?.ok_or(Fault::Missing(name))
    }

    /// The message as every parser reads it alike. Only for a head that was checked.
    pub(super) fn written_plainly(&self, body: &[u8]) -> Vec<u8> {
        let length = self.only("Content-Length").ok().flatten().and_then(grammar::number);
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(body.len());
        let body = &body[..length.min(body.len())];
        let mut text = match self.start {
            Start::Request { method, uri, version } => format!("{method} {uri} {version}\r\n"),
            Start::Response { version, status, phrase } => format!("{version} {status} {phrase}\r\n"),
            Start::Unreadable => String::new(),
        };
        for header in self.headers.iter().filter(|header| header.name != "Content-Length") {
            text.push_str(header.name);
            text.push_str(": ");
            text.push_str(&grammar::plain_value(header.name, &header.value));
            text.push_str("\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

/// Where the empty line that ends a head begins.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|window| window == b"\r\n") {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &[]),
    }
}

/// A line with those that go on with it: they begin with a blank (RFC 3261 §7.3.1).
fn split_field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (mut line, mut rest) = split_line(bytes);
    while let [b' ' | b'\t', ..] = rest {
        let (next, after) = split_line(rest);
        line = &bytes[..line.len() + 2 + next.len()];
        rest = after;
    }
    (line, rest)
}

fn read_field(field: &[u8]) -> Result<Header<'_>, Fault> {
    if field.len() > limits::HEADER_BYTES_MAX {
        return Err(Fault::HeadTooLarge);
    }
    let colon = field.iter().position(|&byte| byte == b':').ok_or(Fault::HeaderLine)?;
    let name = std::str::from_utf8(&field[..colon]).map_err(|_| Fault::HeaderLine)?.trim_end_matches([' ', '\t']);
    if !grammar::is_token(name) {
        return Err(Fault::HeaderLine);
    }
    let text = std::str::from_utf8(&field[colon + 1..]).map_err(|_| Fault::Characters)?;
    let value = match text.contains("\r\n") {
        true => Cow::Owned(
            text.split("\r\n")
                .map(|line| line.trim_matches([' ', '\t']))
                .collect::<Vec<_>>()
                .join(" ")
                .trim()
                .to_owned(),
        ),
        false => Cow::Borrowed(text.trim_matches([' ', '\t'])),
    };
    if !is_plain(&value) {
        return Err(Fault::Characters);
    }
    Ok(Header { name: long_name(name), value })
}

fn plain_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| is_plain(text))
}

/// No control characters but tabs and those that a backslash quotes (`quoted-pair` of RFC 3261 §25.1, which never quotes a line's end).
fn is_plain(text: &str) -> bool {
    let mut quoted = false;
    text.chars().all(|char| {
        let may = quoted && char != '\r' && char != '\n';
        quoted = char == '\\' && !quoted;
        char == '\t' || !char.is_ascii_control() || may
    })
}

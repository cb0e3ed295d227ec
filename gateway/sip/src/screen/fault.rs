//! What can be wrong with a message.

use std::fmt;

/// What was wrong with a message: the rule that refused it, for answers, counters and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// These bytes are something else, or too little to answer.
    NotSip,
    /// The first line is neither a request's nor a response's.
    StartLine,
    /// The first line is longer than [`crate::limits::START_LINE_BYTES_MAX`].
    StartLineTooLong,
    /// Another version of SIP.
    Version,
    /// No empty line ends the head.
    HeadNotEnded,
    /// The head, one of its fields or their number is larger than a limit.
    HeadTooLarge,
    /// A header line has no name, no colon, or a name with characters that none has.
    HeaderLine,
    /// A NUL, a lone line feed or carriage return, or bytes that are not UTF-8.
    Characters,
    /// A header field that every message has is missing.
    Missing(&'static str),
    /// A header field that a message has once is there again.
    Repeated(&'static str),
    /// A method that nobody here knows.
    UnknownMethod,
    /// A method that is known and not offered.
    MethodNotAllowed,
    /// The request's address cannot be read.
    RequestUri,
    /// The request's address is of a kind that is not served.
    Scheme,
    /// `CSeq` is no number up to 2³¹−1 and a method.
    CSeq,
    /// `CSeq` names another method than the first line.
    CSeqMethod,
    /// `Max-Forwards` is no number up to 255.
    MaxForwards,
    /// The request came too far: it has no hops left.
    NoHopsLeft,
    /// `Content-Length` is no number.
    ContentLength,
    /// Fewer bytes came than `Content-Length` says.
    BodyTooShort,
    /// The body is larger than [`crate::limits::BODY_BYTES_MAX`].
    BodyTooLarge,
    /// `Via` cannot be read.
    Via,
    /// `Via` has a branch that begins as RFC 3261's do and goes on with nothing.
    Branch,
    /// An address (`From`, `To`, `Contact` …) cannot be read.
    Address(&'static str),
    /// Something is required that is not supported.
    Extension,
    /// The body is of a kind that is not understood.
    ContentType,
    /// The sender accepts nothing that could be answered.
    Accept,
    /// A response's status is none.
    Status,
    /// A response that was meant for somebody else: it has further hops to go.
    ResponseVia,
}

impl Fault {
    /// The status of the answer, if it is a request that can be answered.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::StartLineTooLong => 414,
            Self::HeadTooLarge => 513,
            Self::UnknownMethod => 501,
            Self::MethodNotAllowed => 405,
            Self::Scheme => 416,
            Self::NoHopsLeft => 483,
            Self::BodyTooLarge => 413,
            Self::Extension => 420,
            Self::ContentType => 415,
            Self::Accept => 406,
            _ => 400,
        }
    }

    /// A word for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSip => "not-sip",
            Self::StartLine => "start-line",
            Self::StartLineTooLong => "start-line-too-long",
            Self::Version => "version",
            Self::HeadNotEnded => "head-not-ended",
            Self::HeadTooLarge => "head-too-large",
            Self::HeaderLine => "header-line",
            Self::Characters => "characters",
            Self::Missing(_) => "missing-header",
            Self::Repeated(_) => "repeated-header",
            Self::UnknownMethod => "unknown-method",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestUri => "request-uri",
            Self::Scheme => "scheme",
            Self::CSeq => "cseq",
            Self::CSeqMethod => "cseq-method",
            Self::MaxForwards => "max-forwards",
            Self::NoHopsLeft => "no-hops-left",
            Self::ContentLength => "content-length",
            Self::BodyTooShort => "body-too-short",
            Self::BodyTooLarge => "body-too-large",
            Self::Via => "via",
            Self::Branch => "branch",
            Self::Address(_) => "address",
            Self::Extension => "extension",
            Self::ContentType => "content-type",
            Self::Accept => "accept",
            Self::Status => "status",
            Self::ResponseVia => "response-via",
        }
    }
}

/// The reason phrase of the answer: for the person who reads a trace.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Missing(name) => return write!(f, "Bad Request: {name} is missing"),
            Self::Repeated(name) => return write!(f, "Bad Request: {name} is there twice"),
            Self::Address(name) => return write!(f, "Bad Request: {name} cannot be read"),
            Self::NotSip => "Bad Request: not SIP",
            Self::StartLine => "Bad Request: the first line cannot be read",
            Self::StartLineTooLong => "Request-URI Too Long",
            Self::Version => "Version Not Supported",
            Self::HeadNotEnded => "Bad Request: no empty line ends the head",
            Self::HeadTooLarge => "Message Too Large",
            Self::HeaderLine => "Bad Request: a header line cannot be read",
            Self::Characters => "Bad Request: characters that no header has",
            Self::UnknownMethod => "Not Implemented",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestUri => "Bad Request: the Request-URI cannot be read",
            Self::Scheme => "Unsupported URI Scheme",
            Self::CSeq => "Bad Request: CSeq is no number up to 2147483647 and a method",
            Self::CSeqMethod => "Bad Request: CSeq names another method",
            Self::MaxForwards => "Bad Request: Max-Forwards is no number up to 255",
            Self::NoHopsLeft => "Too Many Hops",
            Self::ContentLength => "Bad Request: Content-Length is no number",
            Self::BodyTooShort => "Bad Request: less came than Content-Length says",
            Self::BodyTooLarge => "Request Entity Too Large",
            Self::Via => "Bad Request: Via cannot be read",
            Self::Branch => "Bad Request: the branch of Via is empty",
            Self::Extension => "Bad Extension",
            Self::ContentType => "Unsupported Media Type",
            Self::Accept => "Not Acceptable",
            Self::Status => "no such status",
            Self::ResponseVia => "a response with further hops to go",
        };
        f.write_str(text)
    }
}

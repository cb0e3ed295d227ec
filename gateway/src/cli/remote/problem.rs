//! Why the gateway did not do what was asked, in plain words.

use std::fmt::Write as _;

use serde::Deserialize;

use super::show::printable;

/// Most bytes of an answer that is no problem document which an error repeats.
const EXCERPT_CHARS: usize = 200;

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The gateway refused it, and said why.
    #[error("{0}")]
    Refused(Problem),
    /// No connection, or it broke.
    #[error("the gateway at {server} cannot be reached: {why}; {hint}")]
    Unreachable {
        /// Where it should be.
        server: String,
        /// What the connection said.
        why: String,
        /// What to look at.
        hint: &'static str,
    },
    /// It answered, but not as a gateway does.
    #[error(
        "{server} does not answer as a gateway's control API does: {what}; is the address right (the control API's port is 9443 by default)?"
    )]
    Foreign {
        /// Who.
        server: String,
        /// What came.
        what: String,
    },
    /// More than anybody wants to read.
    #[error("the gateway's answer is larger than {0} bytes; ask for less with --limit")]
    TooLarge(usize),
}

impl RemoteError {
    /// Whether the same question may well be answered a little later: a node that is being restarted, or has too much to do.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Foreign { .. } | Self::TooLarge(_) => false,
        }
    }
}

/// A problem document (RFC 9457), as far as a person needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// What kind of problem, in a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong this time.
    detail: Option<String>,
    /// Which field of the request.
    field: Option<String>,
}

impl Problem {
    /// Reads the body of an answer that is no success.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(body) {
            Ok(problem) if !problem.title.is_empty() || problem.detail.is_some() => Self { status, ..problem },
            _ => Self { status, detail: Some(excerpt(body)).filter(|text| !text.is_empty()), ..Self::default() },
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detail = self.detail.as_deref().unwrap_or(&self.title);
        let mut text = printable(detail);
        if let Some(field) = self.field.as_deref().filter(|field| !detail.contains(*field)) {
            text = format!("{}: {text}", printable(field));
        }
        if text.is_empty() {
            write!(text, "the gateway answered with status {}", self.status)?;
        }
        f.write_str(&text)?;
        match self.status {
            401 => f.write_str("; is the token right and not expired? --token-file or TANDEM_API_TOKEN gives it"),
            412 => f.write_str("; nothing was changed, try again"),
            _ => Ok(()),
        }
    }
}

/// The beginning of an answer, as text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    printable(&text.trim().chars().take(EXCERPT_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for (status, passes) in [(503, true), (429, true), (401, false), (404, false), (500, false)] {
            assert_eq!(RemoteError::Refused(Problem::read(status, b"")).is_passing(), passes, "{status}");
        }
        assert!(!RemoteError::TooLarge(1).is_passing());
    }

    #[test]
    fn problems_are_said_in_plain_words() {
        let table = [
            (
                409,
                r#"{"title":"Conflict","status":409,"detail":"there is no version to roll back to"}"#,
                "there is no version to roll back to",
            ),
            (422, r#"{"title":"Invalid","detail":"1 to 600","field":"limits.calls"}"#, "limits.calls: 1 to 600"),
            (
                422,
                r#"{"title":"Invalid","detail":"limits.calls: 1 to 600","field":"limits.calls"}"#,
                "limits.calls: 1 to 600",
            ),
            (404, r#"{"title":"Not found"}"#, "Not found"),
            (502, "bad \u{1b}[2Jgateway", "bad ?[2Jgateway"),
            (500, "", "the gateway answered with status 500"),
            (412, r#"{"title":"Changed"}"#, "Changed; nothing was changed, try again"),
        ];
        for (status, body, said) in table {
            assert_eq!(Problem::read(status, body.as_bytes()).to_string(), said);
        }
    }
}

//! Log lines, as text for people or as JSON for machines, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is none.
    #[error(
        "log.level {given:?} is none: {why}; use error, warn, info, debug, trace, or directives such as info,tandem=debug"
    )]
    BadLevel {
        /// What was written.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something else logs already.
    #[error("logging has already been started in this process")]
    AlreadyStarted,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the level is none, or logging has been started before.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|_| TelemetryError::AlreadyStarted)
}

/// The WebTransport library warns of every client that vanishes, which is daily life; the UDP library names addresses of clients that
/// cannot be reached, which are personal. The operator's own directives come later and win.
const QUIETER: &str = "web_transport_quinn=error,quinn_udp=error";

/// A filter that reads a bare word as a level, and refuses a word that is none: `EnvFilter` takes it for a module's name.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let bad = |why: String| TelemetryError::BadLevel { given: level.to_owned(), why };
    let directives: Vec<_> = level.split(',').map(str::trim).collect();
    for directive in &directives {
        let written = directive.rsplit_once('=').map_or(*directive, |(_, level)| level);
        // tracing takes an empty word for `error`.
        if written.is_empty() || written.parse::<LevelFilter>().is_err() {
            return Err(bad(format!("{written:?} is no level")));
        }
    }
    let all = [&[QUIETER][..], &directives].concat();
    EnvFilter::try_new(all.join(",")).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_read() {
        for level in ["info", "WARN", "off", "info,tandem=debug", "warn, tandem::media=trace"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_by_name() {
        for level in ["loud", "", "info,tandem=loud", "tandem"] {
            let text = filter(level).unwrap_err().to_string();
            assert!(text.contains("is no level") && text.contains("use error, warn, info"), "{text}");
        }
    }
}

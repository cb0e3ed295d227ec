//! What can be wrong with a configuration.

use std::path::PathBuf;

/// What is wrong with the configuration, where, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML. The line itself is not shown: it may hold a secret.
    #[error("{file} is not valid TOML{place}: {why}")]
    NotToml {
        /// Which.
        file: PathBuf,
        /// The line, in words, or nothing.
        place: String,
        /// Why.
        why: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{path}`{suggestion}; {known}")]
    UnknownKey {
        /// The file or variable.
        origin: String,
        /// The key.
        path: String,
        /// The nearest one, in words, or nothing.
        suggestion: String,
        /// What the section has, in words.
        known: String,
    },
    /// A value that does not fit its key.
    #[error("{origin}: `{path}` {what}")]
    BadValue {
        /// The file or variable.
        origin: String,
        /// The key.
        path: String,
        /// What is wrong and what would be right.
        what: String,
    },
}

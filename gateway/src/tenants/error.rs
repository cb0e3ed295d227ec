//! Why a change or a question about a tenant is refused. Each names what was wrong and what would be right.

use tandem_host::LoadError;

use crate::blobs::BlobError;
use crate::store::StoreError;

use super::model::Revision;

/// Why it is refused. Nothing has changed, but for [`TenantError::NotAtWork`], which says so.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// No such thing.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name, as asked for.
        name: String,
    },
    /// A thing of that name is there already.
    #[error("there is already a {kind} {name:?}")]
    Exists {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A value breaks a rule.
    #[error("{field}: {what}")]
    Invalid {
        /// Which field, as in the request: `limits.calls`.
        field: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// It does not fit how things stand: nothing to roll back to, a version in use, a paused one.
    #[error("{0}")]
    Conflict(String),
    /// Somebody else changed it in the meantime.
    #[error("it has changed: its revision is {found}, not {expected}; read it again")]
    Changed {
        /// What the request said.
        expected: Revision,
        /// What it is.
        found: Revision,
    },
    /// The node's configuration file declares it.
    #[error("{0}")]
    Declared(String),
    /// A budget is used up.
    #[error("the limit of {limit} {budget} is reached{hint}")]
    OverLimit {
        /// Which budget, as in the limits.
        budget: &'static str,
        /// The limit.
        limit: u64,
        /// What would help, beginning with `; `, or nothing.
        hint: &'static str,
    },
    /// The component cannot be used.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// The signature is missing or wrong.
    #[error("the component's signature {0}")]
    Signature(String),
    /// The bytes are not those that were announced.
    #[error("the uploaded bytes have the SHA-256 {found}, not {expected}; was the upload interrupted?")]
    WrongDigest {
        /// What the request said.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The uploaded audio cannot be used.
    #[error("{0}")]
    Audio(String),
    /// Too much goes on just now.
    #[error("{0}")]
    Busy(&'static str),
    /// A recording's file cannot be used.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change is kept, and the node could not put it to work.
    #[error(
        "the change is kept but not at work yet ({0}); it is with the tenant's next change, or when the node starts again"
    )]
    NotAtWork(Box<TenantError>),
    /// The node is stopping.
    #[error("the node is stopping; try again on another, or later")]
    Stopping,
}

impl TenantError {
    /// There is no such thing.
    pub fn not_found(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    /// A value breaks a rule.
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), what: what.into() }
    }
}

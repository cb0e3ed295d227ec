//! What can go wrong between a client and its gateway.

use std::time::Duration;

use tandem_switch::cause::Cause;
use tandem_switch::signal::ErrorCode;

use crate::link::Transport;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The gateway's address is no address.
    #[error("{0:?} is no gateway address; write https://host:port (or http://host:port for an unencrypted WebSocket)")]
    BadAddress(String),
    /// The name has no address.
    #[error("cannot find the address of {host}: {reason}")]
    Unresolved {
        /// Which name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Certificates are only left unchecked on the same machine.
    #[error("certificates may only be left unchecked for a gateway on this machine, not for {0}")]
    InsecureBeyondLoopback(String),
    /// The certificates to trust cannot be used.
    #[error("cannot use the certificates to trust: {0}")]
    Trust(String),
    /// A transport could not be set up; another attempt may work.
    #[error("no {transport} connection: {reason}")]
    Transport {
        /// Which transport.
        transport: Transport,
        /// What happened.
        reason: String,
    },
    /// The gateway did not answer in time; another attempt may work.
    #[error("no {transport} connection within {after:?}")]
    TimedOut {
        /// Which transport.
        transport: Transport,
        /// How long it was given.
        after: Duration,
    },
    /// Neither transport works.
    #[error("{web_transport}; {web_socket}")]
    NoTransport {
        /// What WebTransport met.
        web_transport: Box<ConnectError>,
        /// What WebSocket met.
        web_socket: Box<ConnectError>,
    },
    /// The gateway refused the session; the same attempt will be refused again.
    #[error("the gateway refused the session: {message}")]
    Refused {
        /// What kind of refusal.
        code: ErrorCode,
        /// In words.
        message: String,
    },
    /// The gateway said something that does not belong here.
    #[error("the gateway broke the protocol: {0}")]
    Protocol(String),
}

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session with the gateway is over")]
pub struct SessionGone;

/// Why an invitation became no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The gateway did not take the invitation.
    #[error("the gateway did not take the call: {message}")]
    Refused {
        /// What kind of refusal.
        code: ErrorCode,
        /// In words.
        message: String,
    },
    /// No answer to the invitation came.
    #[error("the gateway did not answer the invitation within {0:?}")]
    TimedOut(Duration),
    /// Too many invitations wait for an answer.
    #[error("too many invitations wait for the gateway's answer")]
    TooMany,
    /// The session is over.
    #[error(transparent)]
    Gone(#[from] SessionGone),
}

impl CallError {
    /// The cause that comes nearest, for those who only know causes.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Refused { code: ErrorCode::NotGranted, .. } => Cause::Forbidden,
            Self::Refused { code: ErrorCode::ShuttingDown, .. } => Cause::Shutdown,
            Self::Refused { code: ErrorCode::Overloaded, .. } | Self::TooMany => Cause::Overloaded,
            Self::Refused { .. } => Cause::InternalError,
            Self::TimedOut(_) | Self::Gone(_) => Cause::ConnectionLost,
        }
    }
}

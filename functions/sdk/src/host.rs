//! What a function may ask of the gateway while it decides: the tenant's key-value stores, its configuration and secrets, its log, and who is
//! reachable. A function that uses none of it imports none of it.
//!
//! Under `spin up` the stores and the configuration are Spin's; the directory and the log exist on a gateway only. Natively, in a unit
//! test, there is no gateway: every question is answered by [`crate::testing::Surroundings`].
#![allow(clippy::needless_question_mark, reason = "in a component the error is another type; natively it is the same")]

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, missing_docs, reason = "the generated glue between the component and its host")]
mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit",
            "../../gateway/host/wit/deps/wasi-keyvalue-0.2.0-draft2",
            "../../gateway/host/wit/deps/wasi-config-0.2.0-draft-2024-09-27",
            "../../gateway/host/wit/deps/wasi-logging-0.1.0-draft",
        ],
        inline: r"
            package tandem:function;

            world asking {
                import tandem:voice/directory@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:config/store@0.2.0-draft-2024-09-27;
                import wasi:logging/logging@0.1.0-draft;
            }
        ",
        world: "tandem:function/asking",
        generate_all,
    });
}

/// Why the gateway gave no answer, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for crate::Error {
    fn from(refused: Refused) -> Self {
        Self::new(refused.0)
    }
}

/// Who is reachable, how long a queue is, how full a room. The answer is of the moment.
pub mod directory {
    use super::Refused;
    #[cfg(target_family = "wasm")]
    use super::bindings::tandem::voice::directory::{self as asked, Error};
    #[cfg(not(target_family = "wasm"))]
    use crate::surroundings::asked;

    #[cfg(target_family = "wasm")]
    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Self(match error {
                Error::NoSuch(what) => format!("there is no {what}"),
                Error::OverLimit(what) => format!("over the limit: {what}"),
                Error::Failed(why) => why,
            })
        }
    }

    /// How many devices of a user would ring now.
    ///
    /// # Errors
    /// When there is no such user, or a limit is reached.
    pub async fn reachable(user: &str) -> Result<u32, Refused> {
        Ok(asked::reachable(user.into()).await?)
    }

    /// How many callers wait in a queue.
    ///
    /// # Errors
    /// When there is no such queue, or a limit is reached.
    pub async fn queue_length(queue: &str) -> Result<u32, Refused> {
        Ok(asked::queue_length(queue.into()).await?)
    }

    /// How many parties are in a room.
    ///
    /// # Errors
    /// When there is no such room, or a limit is reached.
    pub async fn room_occupancy(room: &str) -> Result<u32, Refused> {
        Ok(asked::room_occupancy(room.into()).await?)
    }
}

/// The tenant's key-value stores: what outlives a call. Every question opens the store anew; that is cheap.
pub mod key_value {
    use super::Refused;
    #[cfg(target_family = "wasm")]
    use super::bindings::wasi::keyvalue::{atomics, store};
    #[cfg(not(target_family = "wasm"))]
    use crate::surroundings::{atomics, store};

    /// The store that every tenant has.
    pub const DEFAULT: &str = "default";

    #[cfg(target_family = "wasm")]
    impl From<store::Error> for Refused {
        fn from(error: store::Error) -> Self {
            Self(match error {
                store::Error::NoSuchStore => "there is no such store".into(),
                store::Error::AccessDenied => "this store may not be used".into(),
                store::Error::Other(why) => why,
            })
        }
    }

    /// The value under a key of the default store, if there is one.
    ///
    /// # Errors
    /// When the store cannot be used, or a limit is reached; so for all of this module.
    pub fn get(key: &str) -> Result<Option<Vec<u8>>, Refused> {
        Ok(store::open(DEFAULT)?.get(key)?)
    }

    /// Keeps a value under a key of the default store.
    ///
    /// # Errors
    /// See [`get`].
    pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        Ok(store::open(DEFAULT)?.set(key, value.as_ref())?)
    }

    /// Forgets a key of the default store; one that is not there is no error.
    ///
    /// # Errors
    /// See [`get`].
    pub fn delete(key: &str) -> Result<(), Refused> {
        Ok(store::open(DEFAULT)?.delete(key)?)
    }

    /// Adds to the number under a key of the default store, at once and undivided, and says what it is then. A missing key counts as 0.
    ///
    /// # Errors
    /// See [`get`]; and when the value is no number in decimal digits.
    pub fn increment(key: &str, by: i64) -> Result<i64, Refused> {
        Ok(atomics::increment(&store::open(DEFAULT)?, key, by)?)
    }
}

/// The tenant's configuration and secrets.
pub mod config {
    use super::Refused;
    #[cfg(target_family = "wasm")]
    use super::bindings::wasi::config::store;
    #[cfg(not(target_family = "wasm"))]
    use crate::surroundings::config as store;

    #[cfg(target_family = "wasm")]
    impl From<store::Error> for Refused {
        fn from(error: store::Error) -> Self {
            let (store::Error::Upstream(why) | store::Error::Io(why)) = error;
            Self(why)
        }
    }

    /// A variable or secret, if there is one of this name.
    ///
    /// # Errors
    /// When the function may not read it, or a limit is reached.
    pub fn get(name: &str) -> Result<Option<String>, Refused> {
        Ok(store::get(name)?)
    }
}

/// The invocation's log: kept with the invocation, shown by `tandem logs`. `println!` writes there, too, without a level.
pub mod log {
    #[cfg(target_family = "wasm")]
    use super::bindings::wasi::logging::logging::{Level, log};
    #[cfg(not(target_family = "wasm"))]
    use crate::surroundings::{Level, log};

    /// Of interest to somebody who looks for a fault. `context` says what it belongs to; it may be empty. So for all of this module.
    pub fn debug(context: &str, message: &str) {
        log(Level::Debug, context, message);
    }

    /// Of interest to somebody who watches.
    pub fn info(context: &str, message: &str) {
        log(Level::Info, context, message);
    }

    /// Something is not as it should be, and the function goes on.
    pub fn warn(context: &str, message: &str) {
        log(Level::Warn, context, message);
    }

    /// Something failed.
    pub fn error(context: &str, message: &str) {
        log(Level::Error, context, message);
    }
}

//! Tenants: what they are, what they have, and every change to it.
//!
//! [`Tenants`] is the one way to change anything of a tenant: it checks, keeps the change in the store together with its line in the audit
//! log, and then puts it to work (keys in the keyring, settings and functions in the call driver). Changes of one tenant are made
//! one after another; a change that was acknowledged survives `kill -9`. It knows no HTTP: `control::api` speaks that.
//!
//! One file for each resource, with its rules and its SQL; `publish` puts changes to work, `declared` takes the configuration file's
//! tenants in, `verdicts` keeps what the call driver finds out about versions.

mod bindings;
mod change;
mod components;
mod declared;
mod error;
mod functions;
mod history;
mod housekeeping;
mod idempotency;
mod keys;
mod kv;
mod listening;
mod live;
mod mailboxes;
mod messages;
mod mixdown;
pub mod model;
mod notices;
mod prompts;
mod publish;
mod queues;
mod recorders;
mod recordings;
mod rollouts;
mod settings;
mod tokens;
pub mod usage;
mod users;
mod variables;
mod verdicts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tandem_host::{Function, Host};
use tandem_switch::id::TenantId;
use tokio::sync::{Semaphore, broadcast, mpsc};

use crate::blobs::Blobs;
use crate::calls::driver::Command;
use crate::config::Secret;
use crate::store::{Components, InvocationLog, Kv, Store, StoreError};
use crate::token::Keyring;

pub use error::TenantError;
pub use housekeeping::Housekeeping;
pub use idempotency::Remembered;
pub use mailboxes::Door;
pub use mixdown::Layout;
pub use notices::{Notice, RecordingDone, Waiting};
pub use prompts::UPLOAD_BYTES_MAX as PROMPT_UPLOAD_BYTES_MAX;
pub use publish::Introduction;
pub use recorders::{Begun, Ending, MeantFor, NewRecording, NewTrack, TRACKS_MAX};
pub(crate) use tokens::OPERATOR_PREFIX;

type Result<T> = std::result::Result<T, TenantError>;

/// What tenants' changes are made with.
#[derive(Debug)]
pub struct Parts {
    /// Keeps everything; components and invocations beside it, in its directory.
    pub store: Store,
    /// Compiles and checks components.
    pub host: Arc<Host>,
    /// Where keys are put to work.
    pub keyring: Arc<Keyring>,
    /// Recordings' files, and where they go.
    pub blobs: Blobs,
    /// What everybody uses.
    pub meters: Arc<usage::Meters>,
    /// The call driver, which is told of every change that concerns calls. What is kept takes effect at the next start when it is gone.
    pub commands: mpsc::Sender<Command>,
    /// The token that may do everything; none: nobody is the operator.
    pub operator_token: Option<Secret>,
}

/// Everything about tenants. Clones share it.
#[derive(Clone, Debug)]
pub struct Tenants {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    kv: Kv,
    invocations: InvocationLog,
    components: Components,
    /// Held while component files come and go, so that none goes that somebody just uploads.
    files: tokio::sync::Mutex<()>,
    turns: change::Turns,
    /// The functions that answer calls, and of each tenant the one that was uploaded last, so that it is live at once.
    loaded: Mutex<HashMap<(TenantId, String), Arc<Function>>>,
    notices: broadcast::Sender<Notice>,
    /// Places of threads that decode and encode.
    listening: Arc<Semaphore>,
}

impl Tenants {
    /// Takes up what the store has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open(parts: Parts) -> Result<Self> {
        let directory = parts.store.directory().to_owned();
        let components = Components::open(&directory)?;
        let invocations = InvocationLog::open(&directory)?;
        let kv = Kv::new(parts.store.clone());
        let (files, turns, loaded) = Default::default();
        let notices = broadcast::Sender::new(notices::NOTICES_MAX);
        let listening = Arc::new(Semaphore::new(listening::AT_ONCE_MAX));
        let shared = Shared { parts, kv, invocations, components, files, turns, loaded, notices, listening };
        let tenants = Self { shared: Arc::new(shared) };
        tenants.tidy_components().await;
        tenants.publish_keys().await?;
        Ok(tenants)
    }

    /// What everybody uses.
    pub fn meters(&self) -> &Arc<usage::Meters> {
        &self.shared.parts.meters
    }

    /// Recordings' files.
    pub fn blobs(&self) -> &Blobs {
        &self.shared.parts.blobs
    }

    /// The key-value stores, for functions: nothing of what is done there is audited.
    pub fn kv(&self) -> &Kv {
        &self.shared.kv
    }

    /// Where invocations are kept.
    pub fn invocation_log(&self) -> &InvocationLog {
        &self.shared.invocations
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.shared.parts.store.read(work).await
    }
}

impl From<rusqlite::Error> for TenantError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(StoreError::Refused(error))
    }
}

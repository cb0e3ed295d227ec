//! What tenants have, as the control API shows it and the store keeps it. All of it is plain data; names were checked when it was made.

mod live;
mod queue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_host::Trace;
use tandem_switch::event::{Context, Event};
use tandem_switch::id::{FunctionId, TenantId, UserId};
use tandem_switch::plan::Plan;
use tandem_switch::record::Instead;
use tandem_switch::time::UnixMillis;
use utoipa::ToSchema;

mod audio;

pub use self::live::{CallSide, HangupCall, LiveCall, PlayToCall, RedirectCall, SideOfCall, TransferCall};
pub use self::queue::{Queue, QueueAgent, QueueCaller, QueueFigures, QueueSettings, QueueState, QueueWaits};
pub use audio::*;

/// Counts the changes of a resource; its ETag is the number in quotes.
pub type Revision = u64;

/// The number of a version within its function, from 1.
pub type VersionNumber = u32;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tenant {
    /// Its name: the `iss` of its users' tokens.
    #[schema(value_type = String)]
    pub name: TenantId,
    /// Everything about it that can be set.
    pub settings: Settings,
    /// Whether the node's configuration file declares it: then settings, keys and users are changed there, not here.
    pub declared: bool,
    /// When it was made.
    #[schema(value_type = u64)]
    pub created_at: UnixMillis,
    /// See [`Revision`].
    pub revision: Revision,
}

/// What can be set of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// What happens to a call whose function fails, when no good version is left.
    pub default_plan: DefaultPlan,
    /// What it may use.
    pub limits: Limits,
    /// An Ed25519 public key, base64 of 32 bytes: when set, every component must come with a signature over its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// What happens to a call when no function can answer for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum DefaultPlan {
    /// Ring the user that was dialled.
    RingDialled {
        /// How long, seconds; 1 to 600.
        ring_seconds: u64,
    },
    /// Carry out this plan.
    #[schema(value_type = Object)]
    Plan(Plan),
    /// Refuse the call politely.
    Refuse,
}

impl Default for DefaultPlan {
    fn default() -> Self {
        Self::RingDialled { ring_seconds: 30 }
    }
}

/// A tenant's budgets on this node. Each is enforced, counted and shown with its use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Most sessions. Further ones are refused.
    pub sessions: u64,
    /// Most calls at once. Further ones end as overloaded.
    pub calls: u64,
    /// Most invocations a second, and in a burst. Further ones fail, and their calls take the safety net.
    pub invocations_per_second: u64,
    /// Most invocations at once. Further ones wait a moment, then fail.
    pub invocations_at_once: u64,
    /// Processor time of its functions, milliseconds a second. When it is spent, invocations fail until it has come back.
    pub cpu_ms_per_second: u64,
    /// Most memory of one invocation, MiB.
    pub memory_mib: u64,
    /// Most keys in key-value stores.
    pub kv_keys: u64,
    /// Most bytes of keys and values in key-value stores.
    pub kv_bytes: u64,
    /// Largest component, bytes.
    pub component_bytes: u64,
    /// Most functions.
    pub functions: u64,
    /// Most versions kept of one function; the oldest that is not in use goes first.
    pub versions: u64,
    /// Most outgoing HTTP requests a second, and in a burst.
    pub http_requests_per_second: u64,
    /// Most voice packets a second, received from its sessions. Further ones are dropped.
    pub packets_per_second: u64,
    /// Most voice bytes a second, received from its sessions. Further packets are dropped.
    pub bytes_per_second: u64,
    /// Most invocations kept for looking at and for replay; the oldest go first.
    pub invocations_kept: u64,
    /// Most prompts.
    pub prompts: u64,
    /// Most bytes of prompts, as they are kept.
    pub prompt_bytes: u64,
    /// Most recordings, messages among them. Further ones are not begun.
    pub recordings: u64,
    /// Most bytes of recordings, messages among them. When it is reached, none is begun.
    pub recording_bytes: u64,
    /// How many days recordings of calls and rooms are kept; 0: until they are deleted.
    pub recording_days: u64,
    /// Most mailboxes.
    pub mailboxes: u64,
    /// Most messages in one mailbox.
    pub mailbox_messages: u64,
    /// Longest message, seconds.
    pub message_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: tandem_switch::limits::SESSIONS_PER_TENANT_MAX as u64,
            calls: tandem_switch::limits::CALLS_PER_TENANT_MAX as u64,
            // A call asks once or twice: 500 new calls a second.
            invocations_per_second: 1_000,
            invocations_at_once: 64,
            // A fifth of a core: 10,000 decisions of 20 µs a second.
            cpu_ms_per_second: 200,
            memory_mib: 64,
            kv_keys: 100_000,
            kv_bytes: 64 * 1024 * 1024,
            component_bytes: tandem_host::limits::COMPONENT_BYTES_MAX as u64,
            functions: 50,
            versions: 50,
            http_requests_per_second: 50,
            // 2,000 talkers at 50 packets a second.
            packets_per_second: 100_000,
            bytes_per_second: 20_000_000,
            invocations_kept: 10_000,
            prompts: 1_000,
            // Some 18 hours of prompts.
            prompt_bytes: 256 * 1024 * 1024,
            recordings: 100_000,
            // Some 4,000 hours of two legs.
            recording_bytes: 64 * 1024 * 1024 * 1024,
            recording_days: 90,
            mailboxes: 10_000,
            mailbox_messages: 200,
            message_seconds: 300,
        }
    }
}

/// What is used of one budget right now, and how often it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// The budget's name in [`Limits`].
    pub budget: String,
    /// The limit.
    pub limit: u64,
    /// What is used: of a rate, in the last second; else now.
    pub used: u64,
    /// How often something was refused or dropped because of it, since the node started.
    pub refused: u64,
}

/// A key that a tenant's user tokens are signed with. A shared secret is never given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Key {
    /// Its name: the `kid` of tokens.
    pub id: String,
    /// What kind it is.
    pub kind: KeyKind,
    /// The public key of an EdDSA key, base64 of its 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// When it was added.
    #[schema(value_type = u64)]
    pub created_at: UnixMillis,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// A shared secret.
    Hs256,
    /// An Ed25519 key, of which only the public half is here.
    Eddsa,
}

/// A key to add: exactly one of `secret` and `public`, or neither: then a secret is made, and given back this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewKey {
    /// Its name: the `kid` of tokens.
    pub id: String,
    /// A shared secret of 32 bytes or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<crate::config::Secret>,
    /// An Ed25519 public key: base64 of 32 bytes, or PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

/// A user of a tenant. A tenant without users takes anybody whose token is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct User {
    /// The name: the `sub` of tokens, and what others dial.
    #[schema(value_type = String)]
    pub name: UserId,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// A function: a name under which versions of a component are rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Function {
    /// Its name.
    #[schema(value_type = String)]
    pub name: FunctionId,
    /// The version that answers new calls.
    pub live: Option<VersionNumber>,
    /// The version that is being tried on some of them.
    pub canary: Option<Canary>,
    /// The last version before the live one that worked: what the safety net falls back on.
    pub last_good: Option<VersionNumber>,
    /// When it was made.
    #[schema(value_type = u64)]
    pub created_at: UnixMillis,
    /// See [`Revision`].
    pub revision: Revision,
}

/// A version that is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Canary {
    /// Which.
    pub version: VersionNumber,
    /// On how many of a hundred calls; 1 to 99.
    pub percent: u8,
}

/// One uploaded component as a version of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Version {
    /// Its number within the function, from 1. In records and contexts it is called `<function>@<number>`.
    pub number: VersionNumber,
    /// The SHA-256 of the component, 64 hexadecimal digits.
    pub digest: String,
    /// The component's size.
    pub bytes: u64,
    /// What kind of component it is: `router`, `blocking-router`, `http-0.2` or `http-0.3`.
    pub kind: String,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it may reach, and what its author says of it.
    pub manifest: Manifest,
    /// How it stands.
    pub state: VersionState,
    /// Why it stands so, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made.
    #[schema(value_type = u64)]
    pub created_at: UnixMillis,
    /// Who made it.
    pub created_by: String,
}

/// How a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// Never answered a call yet, or nothing is known of how it does.
    New,
    /// It has answered calls well enough to be fallen back on.
    Good,
    /// It failed, and was rolled back.
    RolledBack,
    /// It failed again and again, and is not asked any more.
    Paused,
}

/// What a version may reach. A function has nothing that its manifest does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Manifest {
    /// Where outgoing HTTP may go, as in Spin: `https://api.example.com`, `https://*.example.com:8443`, `http://host:8000`. Empty: nowhere.
    pub allowed_outbound_hosts: Vec<String>,
    /// The labels of key-value stores that it may open.
    pub key_value_stores: Vec<String>,
    /// What its author says of it, at most 1 KiB: a commit, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A version to make of a component that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewVersion {
    /// The SHA-256 of the component, 64 hexadecimal digits.
    pub digest: String,
    /// What it may reach.
    #[serde(default)]
    pub manifest: Manifest,
    /// An Ed25519 signature over the 32 bytes of the digest, base64; needed when the tenant has a signing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A roll-out to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewDeployment {
    /// Which version.
    pub version: VersionNumber,
    /// On how many of a hundred calls; 100, or nothing: all of them, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// When it is rolled back by itself.
    #[serde(default)]
    pub rollback: RollbackRule,
}

/// When a new version is rolled back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct RollbackRule {
    /// When more than this many of a hundred of its invocations failed; 100: never.
    pub error_percent: u8,
    /// But not before this many invocations are known, 1 to 1000.
    pub after_invocations: u32,
}

impl Default for RollbackRule {
    fn default() -> Self {
        Self { error_percent: 10, after_invocations: 5 }
    }
}

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// Its number within the tenant, from 1.
    pub id: u64,
    /// Of which function.
    #[schema(value_type = String)]
    pub function: FunctionId,
    /// Which version.
    pub version: VersionNumber,
    /// On how many of a hundred calls.
    pub percent: u8,
    /// When it is rolled back by itself.
    pub rollback: RollbackRule,
    /// How it stands.
    pub state: DeploymentState,
    /// Why it stands so, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began.
    #[schema(value_type = u64)]
    pub started_at: UnixMillis,
    /// When it ended or was settled.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMillis>,
    /// Who began it.
    pub started_by: String,
}

/// How a roll-out stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentState {
    /// It answers calls, and is watched.
    Running,
    /// It answers calls, and has proven good.
    Settled,
    /// A canary that was put on all calls.
    Promoted,
    /// It was taken back, by somebody or by itself.
    RolledBack,
    /// Another came after it.
    Replaced,
}

/// Which function answers for a dialled number or address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Binding {
    /// An address as dialled, the beginning of one with `*` at its end (`+4930*`), or `*` for all others. The longest that fits holds.
    pub pattern: String,
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionId,
}

/// A variable or secret that functions read as configuration. A secret's value is never given back, and is masked wherever it is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Variable {
    /// Its name: lower case letters, digits and `_`, beginning with a letter, at most 64 bytes.
    pub name: String,
    /// Its value; none where a secret is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it is a secret.
    #[serde(default)]
    pub secret: bool,
}

/// One key of a key-value store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KvEntry {
    /// The store's label.
    pub store: String,
    /// The key.
    pub key: String,
    /// The value's size.
    pub bytes: u64,
}

/// A token for the control API. What it is made of is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Its identifier; the token itself begins with it.
    pub id: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = u64)]
    pub created_at: UnixMillis,
    /// When it ends.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, 1 to 128 bytes.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// How long it is good, seconds; none: until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// What a control token allows within its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Everything a tenant may do.
    #[serde(rename = "*")]
    All,
    /// See settings, users, bindings, variables (without secrets), usage and audit.
    #[serde(rename = "settings:read")]
    SettingsRead,
    /// Change users, bindings, default plan and signing key; never limits, which are the operator's.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// See and change keys and control tokens.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// See functions, versions and roll-outs.
    #[serde(rename = "functions:read")]
    FunctionsRead,
    /// Upload and roll out.
    #[serde(rename = "functions:write")]
    FunctionsWrite,
    /// Set and delete variables and secrets.
    #[serde(rename = "variables:write")]
    VariablesWrite,
    /// Read key-value stores.
    #[serde(rename = "kv:read")]
    KvRead,
    /// Change key-value stores.
    #[serde(rename = "kv:write")]
    KvWrite,
    /// See call records.
    #[serde(rename = "records:read")]
    RecordsRead,
    /// See invocations and logs.
    #[serde(rename = "invocations:read")]
    InvocationsRead,
    /// See live calls, and who waits in queues.
    #[serde(rename = "calls:read")]
    CallsRead,
    /// Change live calls: hang up, redirect, mute, transfer, play.
    #[serde(rename = "calls:write")]
    CallsWrite,
    /// See and hear prompts.
    #[serde(rename = "prompts:read")]
    PromptsRead,
    /// Upload and delete prompts.
    #[serde(rename = "prompts:write")]
    PromptsWrite,
    /// See and hear recordings.
    #[serde(rename = "recordings:read")]
    RecordingsRead,
    /// Mark and delete recordings.
    #[serde(rename = "recordings:write")]
    RecordingsWrite,
    /// See mailboxes, and see and hear their messages.
    #[serde(rename = "mailboxes:read")]
    MailboxesRead,
    /// Change mailboxes; mark, share and delete messages.
    #[serde(rename = "mailboxes:write")]
    MailboxesWrite,
}

/// Who does something through the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator.
    Operator,
    /// Who holds a tenant's control token.
    Token {
        /// Whose.
        tenant: TenantId,
        /// The token's identifier.
        id: String,
        /// What it allows.
        scopes: Vec<Scope>,
    },
    /// A user of the tenant, over signalling: does what users do with mailboxes of their own, and nothing else.
    User(UserId),
    /// The gateway itself: an automatic roll-back, the configuration file.
    Gateway,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Token { id, .. } => write!(f, "token {id}"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

/// One change, as the audit log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// Its number.
    pub id: u64,
    /// When.
    #[schema(value_type = u64)]
    pub at: UnixMillis,
    /// Who: `operator`, `token <id>`, or `gateway`.
    pub actor: String,
    /// Whose.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// What was done, such as `function.deploy`.
    pub action: String,
    /// To what.
    pub target: String,
    /// Particulars, never a secret.
    pub detail: String,
}

/// One invocation as it is kept: enough to understand it and to run it again. Secrets in it are masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InvocationRecord {
    /// Its number on this node; later ones are larger. 0 until it is kept.
    #[serde(default)]
    pub id: u64,
    /// When it began.
    #[schema(value_type = u64)]
    pub at: UnixMillis,
    /// Of which function.
    #[schema(value_type = String)]
    pub function: FunctionId,
    /// Which version of it.
    pub version: VersionNumber,
    /// In which call.
    pub call: String,
    /// Which question of that call, from 1.
    pub consultation: u32,
    /// What the function was told of the call.
    #[schema(value_type = Object)]
    pub context: Context,
    /// What it was told has happened.
    #[schema(value_type = Object)]
    pub event: Event,
    /// The plan that it answered with.
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Plan>,
    /// Or how it failed, in plain words.
    pub failure: Option<String>,
    /// What was carried out instead, when it failed.
    #[schema(value_type = Option<Object>)]
    pub instead: Option<Instead>,
    /// What it saw of the world.
    #[schema(value_type = Object)]
    pub trace: Trace,
    /// What it wrote.
    pub log: String,
    /// How much more it wrote than was kept, bytes.
    pub log_dropped_bytes: u64,
    /// How long it took, microseconds.
    pub micros: u64,
    /// How long a thread worked for it, microseconds.
    pub cpu_micros: u64,
    /// The most memory that it had, bytes.
    pub memory_bytes: u64,
}

/// Which invocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvocationFilter {
    /// Of this function.
    pub function: Option<FunctionId>,
    /// Of this version.
    pub version: Option<VersionNumber>,
    /// In this call.
    pub call: Option<String>,
    /// Those that failed only.
    pub failed: bool,
    /// Older than this one (its number).
    pub before: Option<u64>,
    /// Newer than this one; then oldest first, for following.
    pub after: Option<u64>,
    /// At most this many.
    pub limit: usize,
}

/// Some of many, and where the rest begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// These.
    pub items: Vec<T>,
    /// What to ask for as `cursor` for those after them; none: that was all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VersionDiff {
    /// The one.
    pub from: VersionNumber,
    /// The other.
    pub to: VersionNumber,
    /// How many bytes it is larger (or smaller).
    pub bytes: i64,
    /// Imports that only the other has.
    pub imports_added: Vec<String>,
    /// Imports that only the one has.
    pub imports_removed: Vec<String>,
    /// Hosts that only the other may reach.
    pub hosts_added: Vec<String>,
    /// Hosts that only the one may reach.
    pub hosts_removed: Vec<String>,
}

/// A tenant's variables with their values, as functions get them; secrets marked.
pub type Variables = BTreeMap<String, (String, bool)>;

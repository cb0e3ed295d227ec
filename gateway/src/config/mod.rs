//! The configuration: a TOML file, every key defaulted, each of them overridable by an environment variable.
//!
//! Layers, later ones win: [`Config::default`] → the file → `TANDEM_<SECTION>__<KEY>` variables → `--set key=value`. A key that is
//! not in [`schema`] is an error, wherever it was written, and the message names the nearest key that exists.

mod check;
mod error;
mod layers;
mod print;
pub mod schema;
mod secret;
mod tenant_limits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use check::Material;
pub use error::ConfigError;
pub use layers::{Loaded, Origin, Sources};
pub use secret::{HS256_SECRET_BYTES_MIN, Secret};
pub use tenant_limits::TenantLimits;

/// Everything an operator can set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// Voice and WebTransport over UDP.
    pub media: Media,
    /// The page, the SDK and the WebSocket fallback over TCP.
    pub web: Web,
    /// The certificate of both.
    pub tls: Tls,
    /// Health, metrics and status, for operators only.
    pub ops: Ops,
    /// The control API.
    pub control: Control,
    /// What functions may reach.
    pub functions: Functions,
    /// What is kept on disk.
    pub store: Store,
    /// Where finished recordings go.
    pub storage: Storage,
    /// What is logged, and how.
    pub log: Log,
    /// Bounds of this node.
    pub limits: Limits,
    /// Stopping.
    pub drain: Drain,
    /// The tenants.
    pub tenant: Vec<Tenant>,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The node's name, unique in a deployment.
    pub name: String,
    /// Where it is; functions are told.
    pub region: String,
}

/// Voice and WebTransport over UDP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// The UDP address.
    pub listen: SocketAddr,
    /// The UDP port that clients use, where a load balancer or NAT shows another one than `listen`'s; 0: the same.
    pub public_port: u16,
    /// Threads that forward voice; 0: one for each core.
    pub shards: usize,
}

/// The page, the SDK and the WebSocket fallback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// The TCP address, TLS only.
    pub listen: SocketAddr,
    /// A second TCP address without TLS; loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_listen: Option<SocketAddr>,
    /// The host name that clients are told; when unset, the one they asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_host: Option<String>,
}

/// The certificate. With neither path set, the node makes a short-lived one itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// A PEM file with the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Further host names and addresses of a self-signed certificate.
    pub names: Vec<String>,
}

/// Health, metrics and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// The TCP address, without TLS and without passwords: keep it private.
    pub listen: SocketAddr,
}

/// The control API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// The TCP address, TLS only.
    pub listen: SocketAddr,
    /// A file with the operator's token; unset: `operator-token` in the data directory, made at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_token_file: Option<PathBuf>,
}

/// What functions may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Functions {
    /// Networks (`10.1.0.0/16`) and single addresses that outgoing HTTP may reach although they are private.
    pub allow_private_addresses: Vec<String>,
}

/// What is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The directory; made when it is missing.
    pub data_dir: PathBuf,
}

/// Where finished recordings go. Without a URL they stay in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///directory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The region of an S3 bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The address of a service that is not the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// S3 access key id, or Azure account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// S3 secret access key, Azure account key, or the JSON of a Google service account. Without it, what the environment has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// How often an upload that failed is tried again, minutes.
    pub retry_minutes: u64,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A level, or directives such as `info,tandem=debug`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Bounds of this node. The tenants' own are in [`Tenant`]; those of the protocol in `tandem_switch::limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most client connections at once. Further ones are refused.
    pub links: usize,
    /// How long a version may take to answer, milliseconds. Then the last good version is asked, else the call goes on with the default plan.
    pub function_deadline_ms: u64,
    /// Most memory of one invocation, MiB.
    pub function_memory_mib: usize,
    /// Most invocations at once, all tenants together.
    pub invocations: usize,
}

/// Stopping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long calls may go on after SIGTERM, seconds.
    pub seconds: u64,
}

impl Drain {
    /// How long calls may go on after SIGTERM.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    /// Its name: the `iss` of its tokens.
    pub name: String,
    /// A routing function, a component, rolled out as the function `main`; a tenant without any function has its calls routed by the default
    /// plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<PathBuf>,
    /// What happens when no function answers for what was dialled, or it fails and no good version is left.
    pub default_plan: DefaultPlan,
    /// How long the default plan rings, seconds.
    pub ring_seconds: u64,
    /// Its budgets on this node.
    pub limits: TenantLimits,
    /// Keys that its tokens are signed with.
    pub keys: Vec<SigningKey>,
    /// Its users; none: anybody whose token is good.
    pub users: Vec<User>,
}

/// What happens when there is no function or it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultPlan {
    /// Ring the user that was dialled.
    #[default]
    RingDialled,
    /// Refuse the call.
    Refuse,
}

/// A key that tokens are signed with: exactly one of the three is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningKey {
    /// The key's name, as the `kid` of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A shared secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hs256_secret: Option<Secret>,
    /// A file with a shared secret; one newline at its end is not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hs256_secret_file: Option<PathBuf>,
    /// A public key: 32 bytes in base64, or PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ed25519_public: Option<String>,
}

/// A user of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The name: the `sub` of tokens, and what others dial.
    pub name: String,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "local".into(), region: String::new() }
    }
}

/// All addresses of the machine, IPv6 and IPv4, on the port of both transports.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 4433);

impl Default for Media {
    fn default() -> Self {
        Self { listen: LISTEN, public_port: 0, shards: 0 }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: LISTEN, plain_listen: None, public_host: None }
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)) }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9443)), operator_token_file: None }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { data_dir: "data".into() }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { url: None, region: None, endpoint: None, key_id: None, key: None, retry_minutes: 5 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { links: 50_000, function_deadline_ms: 250, function_memory_mib: 64, invocations: 256 }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            name: String::new(),
            function: None,
            default_plan: DefaultPlan::default(),
            ring_seconds: 30,
            limits: TenantLimits::default(),
            keys: Vec::new(),
            users: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file (none: defaults only) with this process's environment on top.
    ///
    /// # Errors
    /// Names the file or variable, the key, what is wrong with it and what would be right.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let sources = Sources { file: file.map(Path::to_owned), env: Sources::environment(), set: Vec::new() };
        Ok(sources.load()?.config)
    }
}

//! Every key: where it stands, what it takes, what it is for. One table drives the checks, the environment and the printing.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that is never printed.
    Secret,
    /// A path; a relative one in a file is relative to that file's directory.
    Path,
    /// A socket address.
    Address,
    /// A whole number within these bounds, both included.
    Number(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts; in the environment comma-separated.
    Texts,
    /// A table of its own.
    Table(&'static [Key]),
    /// A list of tables.
    Tables(&'static [Key]),
}

/// One key of a section.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is for, as the comment of `--print-config`.
    pub about: &'static str,
}

/// One section.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about }
}

/// Most of anything countable: a bound that no machine reaches.
const COUNT_MAX: u64 = 10_000_000;

/// Every section but `[[tenant]]`.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "node",
        keys: &[
            key("name", Kind::Text, "the node's name, unique in a deployment"),
            key("region", Kind::Text, "where it is; functions are told"),
        ],
    },
    Section {
        name: "media",
        keys: &[
            key("listen", Kind::Address, "UDP address of voice and WebTransport"),
            key("public_port", Kind::Number(0, 65_535), "UDP port that clients use; 0: the same as listen"),
            key("shards", Kind::Number(0, 64), "threads that forward voice; 0: one for each core"),
        ],
    },
    Section {
        name: "web",
        keys: &[
            key("listen", Kind::Address, "TCP address of the page and the WebSocket fallback (TLS)"),
            key("plain_listen", Kind::Address, "a second TCP address without TLS; loopback only"),
            key("public_host", Kind::Text, "host name that clients are told; unset: the one they asked for"),
        ],
    },
    Section {
        name: "tls",
        keys: &[
            key("certificate", Kind::Path, "PEM file with the certificate chain; unset: self-signed"),
            key("key", Kind::Path, "PEM file with the private key"),
            key("names", Kind::Texts, "further names and addresses of a self-signed certificate"),
        ],
    },
    Section {
        name: "ops",
        keys: &[key(
            "listen",
            Kind::Address,
            "TCP address of the live page, /healthz, /readyz, /metrics, /status.json; keep it private",
        )],
    },
    Section {
        name: "control",
        keys: &[
            key(
                "listen",
                Kind::Address,
                "TCP address of the control API (TLS); keep it private, or let tenants reach it",
            ),
            key(
                "operator_token_file",
                Kind::Path,
                "file with the operator's token; unset: operator-token in store.data_dir, made at the first start",
            ),
        ],
    },
    Section {
        name: "functions",
        keys: &[key(
            "allow_private_addresses",
            Kind::Texts,
            "networks (10.1.0.0/16) and addresses that functions' HTTP may reach although they are private; none by default",
        )],
    },
    Section { name: "store", keys: &[key("data_dir", Kind::Path, "directory of everything that is kept")] },
    Section {
        name: "storage",
        keys: &[
            key(
                "url",
                Kind::Text,
                "where finished recordings go: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///directory; unset: they stay in store.data_dir",
            ),
            key("region", Kind::Text, "region of an S3 bucket; unset: AWS_REGION"),
            key(
                "endpoint",
                Kind::Text,
                "address of an S3-compatible or Azure-compatible service; unset: the provider's own",
            ),
            key(
                "key_id",
                Kind::Text,
                "S3 access key id, or Azure account; unset: AWS_ACCESS_KEY_ID, AZURE_STORAGE_ACCOUNT_NAME",
            ),
            key(
                "key",
                Kind::Secret,
                "S3 secret access key, Azure account key, or the JSON of a Google service account; unset: the provider's variables or the machine's role",
            ),
            key("retry_minutes", Kind::Number(1, 1_440), "how often an upload that failed is tried again, minutes"),
        ],
    },
    Section {
        name: "log",
        keys: &[
            key("format", Kind::Word(&["text", "json"]), "text or json"),
            key("level", Kind::Text, "error, warn, info, debug, trace, or directives such as info,tandem=debug"),
        ],
    },
    Section {
        name: "limits",
        keys: &[
            key("links", Kind::Number(1, COUNT_MAX), "most client connections at once"),
            key("function_deadline_ms", Kind::Number(1, 9_000), "how long a function may take to answer, milliseconds"),
            key("function_memory_mib", Kind::Number(1, 4_096), "most memory of one invocation, MiB"),
            key("invocations", Kind::Number(1, 10_000), "most invocations at once"),
        ],
    },
    Section {
        name: "drain",
        keys: &[key("seconds", Kind::Number(0, 86_400), "how long calls may go on after SIGTERM, seconds")],
    },
];

/// The name of the tenants' section.
pub const TENANT: &str = "tenant";

/// The keys of a `[[tenant]]`.
pub const TENANT_KEYS: &[Key] = &[
    key("name", Kind::Text, "the tenant's name: the iss of its tokens"),
    key("function", Kind::Path, "a routing function, a component, rolled out as the function `main`"),
    key(
        "default_plan",
        Kind::Word(&["ring-dialled", "refuse"]),
        "what happens when no function answers, or it fails and no good version is left",
    ),
    key("ring_seconds", Kind::Number(1, 600), "how long the default plan rings, seconds"),
    key("limits", Kind::Table(TENANT_LIMITS), "its budgets on this node"),
    key("keys", Kind::Tables(SIGNING_KEYS), "keys that its tokens are signed with"),
    key("users", Kind::Tables(USER_KEYS), "its users; none: anybody whose token is good"),
];

/// The keys of a tenant's budgets.
const TENANT_LIMITS: &[Key] = &[
    key("sessions", Kind::Number(0, COUNT_MAX), "most sessions"),
    key("calls", Kind::Number(0, COUNT_MAX), "most calls at once"),
    key("invocations_per_second", Kind::Number(0, COUNT_MAX), "most invocations a second"),
    key("invocations_at_once", Kind::Number(0, 10_000), "most invocations at once"),
    key("cpu_ms_per_second", Kind::Number(0, 1_000_000), "processor time of its functions, milliseconds a second"),
    key("memory_mib", Kind::Number(0, 4_096), "most memory of one invocation, MiB"),
    key("kv_keys", Kind::Number(0, LARGE_MAX), "most keys in key-value stores"),
    key("kv_bytes", Kind::Number(0, LARGE_MAX), "most bytes of keys and values in key-value stores"),
    key("component_bytes", Kind::Number(0, COMPONENT_BYTES_MAX), "largest component, bytes"),
    key("functions", Kind::Number(0, 10_000), "most functions"),
    key("versions", Kind::Number(3, 10_000), "most versions kept of one function"),
    key("http_requests_per_second", Kind::Number(0, COUNT_MAX), "most outgoing HTTP requests a second"),
    key("packets_per_second", Kind::Number(0, LARGE_MAX), "most voice packets a second"),
    key("bytes_per_second", Kind::Number(0, LARGE_MAX), "most voice bytes a second"),
    key("invocations_kept", Kind::Number(0, COUNT_MAX), "most invocations kept for looking at and for replay"),
    key("prompts", Kind::Number(0, 100_000), "most prompts"),
    key("prompt_bytes", Kind::Number(0, LARGE_MAX), "most bytes of prompts, as they are kept"),
    key("recordings", Kind::Number(0, COUNT_MAX), "most recordings"),
    key("recording_bytes", Kind::Number(0, LARGE_MAX), "most bytes of recordings"),
    key(
        "recording_days",
        Kind::Number(0, 36_500),
        "days that recordings of calls and rooms are kept; 0: until they are deleted",
    ),
    key("mailboxes", Kind::Number(0, 100_000), "most mailboxes"),
    key("mailbox_messages", Kind::Number(0, 10_000), "most messages in one mailbox"),
    key("message_seconds", Kind::Number(1, 3_600), "longest message, seconds"),
];

/// Most bytes and packets: a bound that keeps sums whole numbers.
const LARGE_MAX: u64 = 1 << 40;

/// Largest component that any node takes.
const COMPONENT_BYTES_MAX: u64 = tandem_host::limits::COMPONENT_BYTES_MAX as u64;

/// The keys of a signing key.
const SIGNING_KEYS: &[Key] = &[
    key("id", Kind::Text, "the key's name: the kid of tokens"),
    key("hs256_secret", Kind::Secret, "a shared secret of 32 bytes or more"),
    key("hs256_secret_file", Kind::Path, "a file with a shared secret"),
    key("ed25519_public", Kind::Text, "a public key: base64 of 32 bytes, or PEM"),
];

/// The keys of a user.
const USER_KEYS: &[Key] = &[
    key("name", Kind::Text, "the user's name: the sub of tokens, and what others dial"),
    key("display_name", Kind::Text, "the name to show"),
];

/// What stands at the top of a configuration under a name.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// `[section]`.
    Section(&'static [Key]),
    /// `[[section]]`.
    List(&'static [Key]),
}

/// What `name` stands for, if anything.
pub(super) fn place(name: &str) -> Option<Place> {
    if name == TENANT {
        return Some(Place::List(TENANT_KEYS));
    }
    SECTIONS.iter().find(|section| section.name == name).map(|section| Place::Section(section.keys))
}

/// The names of all sections.
pub(super) fn section_names() -> Vec<&'static str> {
    SECTIONS.iter().map(|section| section.name).chain([TENANT]).collect()
}

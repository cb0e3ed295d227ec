//! Every bound of outgoing HTTP: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Most requests of all tenants under way, some 50 KiB each when bodies are small. Further ones: refused.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Most requests of one tenant under way: a tenant whose servers are slow must not take the others' places. Further ones: refused.
pub const IN_FLIGHT_PER_TENANT_MAX: usize = 64;

/// Most names that are looked up at once: each takes one of the 512 threads on which everything else that blocks runs as well. Further ones
/// wait, at most [`CONNECT_TIMEOUT`].
pub const LOOKUPS_MAX: usize = 256;

/// Longest URL, bytes: what common servers take. Longer: refused.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Most header fields of a request or an answer. More: refused.
pub const HEADERS_MAX: usize = 100;

/// Most bytes of all header fields' names and values, of a request or an answer: what common servers take. More: refused.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Largest body of a request or an answer, bytes: what one host call may carry. Larger: refused; an answer is read no further.
pub const BODY_BYTES_MAX: usize = tandem_host::limits::HOST_CALL_BYTES_MAX;

/// How long name resolution, TCP and TLS may take together. Longer: timed out. A caller waits meanwhile.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a request may take altogether, its answer's last byte included. Longer: timed out. The function's own deadline is shorter as
/// a rule.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);

/// Connections kept open to one server that nobody uses now. Further ones: closed after use.
pub const IDLE_PER_HOST_MAX: usize = 4;

/// How long a connection that nobody uses is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the object store may be silent in the middle of an answer. Longer: the request has failed, and is made again later.
pub const STORAGE_SILENCE: Duration = Duration::from_secs(30);

/// How long a webhook may take to answer: generous, for a developer's machine, and below the core's
/// [`CONSULT_TIMEOUT`](tandem_switch::limits::CONSULT_TIMEOUT). Longer: the call goes on with the default plan.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

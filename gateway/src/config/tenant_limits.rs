//! A tenant's budgets as the configuration file writes them: [`Limits`] with the file's way of writing names.

use serde::{Deserialize, Serialize};

use crate::tenants::model::Limits;

/// Declares the table once, with its ways from and to [`Limits`].
macro_rules! tenant_limits {
    ($($name:ident),* $(,)?) => {
        /// A tenant's budgets on this node; see [`Limits`], field for field.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[expect(missing_docs, reason = "`tenants::model::Limits` documents every budget; one place")]
        pub struct TenantLimits {
            $(pub $name: u64,)*
        }

        impl From<Limits> for TenantLimits {
            fn from(limits: Limits) -> Self {
                Self { $($name: limits.$name,)* }
            }
        }

        impl From<TenantLimits> for Limits {
            fn from(limits: TenantLimits) -> Self {
                Self { $($name: limits.$name,)* }
            }
        }
    };
}

tenant_limits!(
    sessions,
    calls,
    invocations_per_second,
    invocations_at_once,
    cpu_ms_per_second,
    memory_mib,
    kv_keys,
    kv_bytes,
    component_bytes,
    functions,
    versions,
    http_requests_per_second,
    packets_per_second,
    bytes_per_second,
    invocations_kept,
    prompts,
    prompt_bytes,
    recordings,
    recording_bytes,
    recording_days,
    mailboxes,
    mailbox_messages,
    message_seconds,
);

impl Default for TenantLimits {
    fn default() -> Self {
        Limits::default().into()
    }
}

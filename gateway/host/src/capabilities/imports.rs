//! The whole list of what a component may import.

/// Which versions of a package are linked.
#[derive(Clone, Copy, Debug)]
enum Version {
    /// Every patch of it, such as `0.2` for `0.2.0` to `0.2.12`: they are compatible by WASI's promise. Not its candidates (`0.3.0-rc…`).
    Minor(&'static str),
    /// This one only: drafts promise nothing.
    Exactly(&'static str),
    /// Whatever there is: it links only if it has the right shape.
    Any,
}

impl Version {
    fn fits(self, version: &str) -> bool {
        match self {
            Self::Minor(minor) => version
                .strip_prefix(minor)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())),
            Self::Exactly(exact) => version == exact,
            Self::Any => true,
        }
    }
}

use Version::{Any, Exactly, Minor};

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stderr",
    "stdin",
    "stdout",
    "terminal-input",
    "terminal-output",
    "terminal-stderr",
    "terminal-stdin",
    "terminal-stdout",
];
const FILES: &[&str] = &["preopens", "types"];
const KEY_VALUE: &[&str] = &["atomics", "batch", "store"];
const RANDOM: &[&str] = &["insecure", "insecure-seed", "random"];

/// Packages, their versions, and the interfaces of them that a component may import.
const ALLOWED: [(&str, Version, &[&str]); 21] = [
    ("tandem:voice", Any, &["directory", "types"]),
    ("wasi:cli", Minor("0.2"), CLI),
    ("wasi:cli", Minor("0.3"), CLI),
    ("wasi:cli", Minor("0.3"), &["types"]),
    ("wasi:clocks", Minor("0.2"), &["monotonic-clock", "wall-clock"]),
    ("wasi:clocks", Minor("0.3"), &["monotonic-clock", "system-clock", "types"]),
    ("wasi:filesystem", Minor("0.2"), FILES),
    ("wasi:filesystem", Minor("0.3"), FILES),
    ("wasi:io", Minor("0.2"), &["error", "poll", "streams"]),
    ("wasi:random", Minor("0.2"), RANDOM),
    ("wasi:random", Minor("0.3"), RANDOM),
    ("wasi:http", Minor("0.2"), &["outgoing-handler", "types"]),
    ("wasi:http", Minor("0.3"), &["client", "types"]),
    ("wasi:keyvalue", Exactly("0.2.0-draft"), KEY_VALUE),
    ("wasi:keyvalue", Exactly("0.2.0-draft2"), KEY_VALUE),
    ("wasi:config", Exactly("0.2.0-rc.1"), &["store"]),
    ("wasi:config", Exactly("0.2.0-draft-2024-09-27"), &["store"]),
    ("wasi:logging", Exactly("0.1.0-draft"), &["logging"]),
    // What Spin applications call a store and their variables: spin-sdk 5 by the first name, 6 and 7 by the second.
    ("fermyon:spin", Exactly("2.0.0"), &["key-value", "variables"]),
    ("spin:key-value", Exactly("3.0.0"), &["key-value"]),
    ("spin:variables", Exactly("3.0.0"), &["variables"]),
];

/// Whether the contract lets a component import this, by its full name: `wasi:cli/stdout@0.2.6`.
pub fn is_allowed(import: &str) -> bool {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, interface)) = name.split_once('/') else {
        return false;
    };
    ALLOWED
        .iter()
        .any(|(of, versions, interfaces)| *of == package && versions.fits(version) && interfaces.contains(&interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_names_what_may_be_imported() {
        let table = [
            ("wasi:cli/stdout@0.2.6", true),
            ("wasi:cli/stdout@0.2.0", true),
            ("wasi:cli/stdout@0.3.0", true),
            ("wasi:cli/stdout@0.3.0-rc-2026-03-15", false),
            ("wasi:cli/stdout@0.2.", false),
            ("wasi:cli/stdout@0.20.0", false),
            ("wasi:cli/stdout@0.4.0", false),
            ("wasi:cli/stdout", false),
            ("wasi:cli/types@0.2.6", false),
            ("wasi:cli/types@0.3.0", true),
            ("wasi:cli/run@0.2.6", false),
            ("wasi:clocks/wall-clock@0.2.12", true),
            ("wasi:clocks/wall-clock@0.3.0", false),
            ("wasi:clocks/system-clock@0.3.0", true),
            ("wasi:clocks/timezone@0.2.6", false),
            ("wasi:filesystem/preopens@0.2.6", true),
            ("wasi:io/streams@0.2.6", true),
            ("wasi:random/insecure-seed@0.3.0", true),
            ("wasi:http/outgoing-handler@0.2.6", true),
            ("wasi:http/types@0.2.0", true),
            ("wasi:http/incoming-handler@0.2.6", false),
            ("wasi:http/client@0.3.0", true),
            ("wasi:http/handler@0.3.0", false),
            ("wasi:sockets/tcp@0.2.6", false),
            ("wasi:sockets/types@0.3.0", false),
            ("wasi:keyvalue/store@0.2.0-draft", true),
            ("wasi:keyvalue/atomics@0.2.0-draft2", true),
            ("wasi:keyvalue/batch@0.2.0-draft", true),
            ("wasi:keyvalue/watcher@0.2.0-draft", false),
            ("wasi:keyvalue/store@0.3.0", false),
            ("wasi:config/store@0.2.0-rc.1", true),
            ("wasi:config/store@0.2.0-draft-2024-09-27", true),
            ("wasi:config/runtime@0.2.0-draft", false),
            ("wasi:logging/logging@0.1.0-draft", true),
            ("fermyon:spin/key-value@2.0.0", true),
            ("fermyon:spin/variables@2.0.0", true),
            ("fermyon:spin/sqlite@2.0.0", false),
            ("fermyon:spin/llm@2.0.0", false),
            ("spin:key-value/key-value@3.0.0", true),
            ("spin:variables/variables@3.0.0", true),
            ("spin:redis/redis@3.0.0", false),
            ("tandem:voice/types@0.1.0", true),
            ("tandem:voice/directory@0.1.0", true),
            ("tandem:voice/switch@0.1.0", false),
            ("evil:thing/api", false),
            ("route", false),
            ("", false),
        ];
        for (import, allowed) in table {
            assert_eq!(is_allowed(import), allowed, "{import}");
        }
    }
}

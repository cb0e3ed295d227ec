//! What the host's tests and benchmark share: the guest components, built once, and questions to ask them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tandem_host::{Host, HostConfig, Limits};
use tandem_switch::event::{Context, Event, Party, Transport, Verification};
use tandem_switch::time::UnixMillis;

const TARGET: &str = "wasm32-wasip2";
const GUESTS: [&str; 9] = [
    "capable",
    "front-desk",
    "find-me",
    "block-list",
    "blocking",
    "misbehaving",
    "served-misbehaving",
    "spin-app",
    "start-trap",
];

/// The bytes of a guest component. The first call builds all of them.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let file = BUILT.get_or_init(build).join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Builds the guests and says where they are.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the host is two levels down");
    let target_directory =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--release", "--target", TARGET]);
    command.arg("--target-dir").arg(&target_directory);
    command.args(GUESTS.iter().flat_map(|name| ["-p", name]));
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the guests do not build; is the target there? `rustup target add {TARGET}`");
    target_directory.join(TARGET).join("release")
}

/// A small host.
#[allow(dead_code, reason = "the benchmark measures the default")]
pub(crate) fn host(limits: Limits) -> Host {
    Host::new(HostConfig { limits, cache: None }).expect("the host starts")
}

/// Bounds that no test reaches by accident on a machine that is busy.
#[allow(dead_code, reason = "the benchmark measures the default")]
pub(crate) fn patient() -> Limits {
    let minute = std::time::Duration::from_mins(1);
    Limits { cpu_time_max: minute, deadline: minute, permit_wait_max: minute, invocations_max: 8, ..Limits::default() }
}

/// The context of a call on Monday, 2 November 2026, 12:00 UTC.
pub(crate) fn call(from: &str, to: &str) -> Context {
    let monday_noon = UnixMillis(1_793_620_800_000);
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: from.into(), display_name: None, verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Webtransport,
        node: "test".into(),
        region: "test".into(),
        headers: Vec::new(),
        started_at: monday_noon,
        now: monday_noon,
        state: Vec::new(),
        version: String::new(),
    }
}

/// Somebody calls.
pub(crate) const INCOMING: Event = Event::Incoming;

/// Waits until no invocation holds a place any more: one that was dropped, or had much memory, gives it back in the background.
#[allow(dead_code, reason = "not all tests drop invocations")]
pub(crate) async fn until_idle(host: &Host) {
    let begun = std::time::Instant::now();
    while host.invocations_under_way() > 0 {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "a place is never given back");
        tokio::task::yield_now().await;
    }
}

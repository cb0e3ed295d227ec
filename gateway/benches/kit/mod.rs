//! What the benchmarks that run functions share: guests, built once; a call to route; figures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tandem_switch::event::{Context, Party, Transport, Verification};
use tandem_switch::time::UnixMillis;

const TARGET: &str = "wasm32-wasip2";
const GUESTS: [&str; 2] = ["front-desk", "misbehaving"];

/// Whether this is only a look whether the benchmark works: with `--test`, or without the `--bench` that `cargo bench` passes.
pub(crate) fn smoke() -> bool {
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    has("--test") || !has("--bench")
}

/// The bytes of a guest component. The first call builds all of them.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let file = BUILT.get_or_init(build).join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the gateway is one level down");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--release", "--target", TARGET, "--target-dir"]).arg(&target);
    command.args(GUESTS.iter().flat_map(|name| ["-p", name]));
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the guests do not build; is the target there? `rustup target add {TARGET}`");
    target.join(TARGET).join("release")
}

/// Carol calls somebody, on Monday, 2 November 2026, 12:00 UTC.
pub(crate) fn call(to: &str) -> Context {
    let monday_noon = UnixMillis(1_793_620_800_000);
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: "carol".into(), display_name: None, verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Webtransport,
        node: "bench".into(),
        region: "bench".into(),
        headers: Vec::new(),
        started_at: monday_noon,
        now: monday_noon,
        state: Vec::new(),
        version: String::new(),
    }
}

/// Of so many of a hundred times, the longest.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Prints p50 and p99 of some times; gives p99.
pub(crate) fn report(what: &str, mut took: Vec<Duration>) -> Duration {
    took.sort();
    let [p50, p99] = [50, 99].map(|percent| percentile(&took, percent));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("{what:<34} p50 {:>9.1} µs   p99 {:>9.1} µs   (n={})", micros(p50), micros(p99), took.len());
    p99
}

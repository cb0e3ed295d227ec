//! Running other programs, and saying what is going on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What went wrong, in plain words.
pub(crate) type Outcome = Result<(), String>;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_owned()
}

/// Where Cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The built `tandem` binary of a profile's folder (`debug`, `release`).
pub(crate) fn tandem(profile: &str) -> PathBuf {
    target().join(profile).join("tandem")
}

/// A program to be run in the workspace's root, or `folder` below it.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Whether clippy compiles the workspace's crates.
static LINTS: AtomicBool = AtomicBool::new(false);

/// From now on clippy's lints are looked for while the workspace's crates are compiled, and each is an error. `cargo clippy` checks everything
/// once more, dependencies included, and nothing of that is used to build.
pub(crate) fn lint_while_compiling() {
    LINTS.store(true, Ordering::Relaxed);
}

/// Cargo, with the workspace's feature set, so that the dependency tree is compiled once whatever is built.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    if LINTS.load(Ordering::Relaxed) && !arguments.contains(&"--target") {
        // As `cargo clippy` hands arguments on.
        cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings");
    }
    cargo
}

/// Runs a program to its end with its output shown.
pub(crate) fn execute(mut command: Command) -> Outcome {
    let shown = show(&command);
    println!("  $ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// Whether a program runs and succeeds, its output hidden.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = command(program, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A thing to do, with its name.
pub(crate) type Step = (&'static str, fn() -> Outcome);

/// A list of things to do, each with its name, shown as it goes; all are tried, and the failures are named at the end.
pub(crate) fn steps(list: &[Step]) -> Outcome {
    let mut results: Vec<(&str, Duration, Outcome)> = Vec::new();
    for (at, (name, step)) in list.iter().enumerate() {
        println!("\n[{}/{}] {name}", at + 1, list.len());
        let started = Instant::now();
        let outcome = step();
        if let Err(message) = &outcome {
            println!("  FAILED: {message}");
        }
        results.push((name, started.elapsed(), outcome));
    }
    println!("\nSummary");
    for (name, took, outcome) in &results {
        let verdict = if outcome.is_ok() { "ok    " } else { "FAILED" };
        println!("  {verdict} {:>6.1} s  {name}", took.as_secs_f64());
    }
    let failed: Vec<&str> =
        results.iter().filter(|(_, _, outcome)| outcome.is_err()).map(|(name, _, _)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

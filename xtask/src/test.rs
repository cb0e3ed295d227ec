//! `cargo xtask test`: every kind of test, in the order in which a failure is cheapest to find.

use crate::command::{Outcome, Step, cargo, command, execute, lint_while_compiling, root, steps};
use crate::{browser, purity, setup};

/// A kind of test: its name, what it is, how it runs.
type Kind = (&'static str, &'static str, fn() -> Outcome);

const KINDS: &[Kind] = &[
    ("format", "format: rustfmt", format),
    ("rust", "rust: unit, property, simulation, fuzz corpora, function host, end to end", rust),
    (
        "languages",
        "languages: functions in JavaScript and Python, built, compared with Rust, and routing a call",
        languages,
    ),
    ("quality", "quality: speech over a bad network, scored with PESQ", quality),
    ("purity", "purity: the core imports nothing", purity::check),
    ("web", "web: type check and unit tests of the browser SDK", web),
    ("browser", "browser: Chromium plays and hears", browser::check),
    ("lint", "lint: clippy", lint),
];

/// Runs all kinds, or those that are named.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.iter().find(|word| !KINDS.iter().any(|(name, _, _)| name == word)) {
        let names: Vec<&str> = KINDS.iter().map(|(name, _, _)| *name).collect();
        return Err(format!("no kind of test `{unknown}`; there are: {}", names.join(", ")));
    }
    let everything = arguments.is_empty();
    let build_title =
        if everything { "build and lint: functions and gateway, with clippy" } else { "build: functions and gateway" };
    let mut list: Vec<Step> = vec![("set-up: what the tests need", || setup::run_all(true)), (build_title, build)];
    if everything {
        lint_while_compiling();
    }
    // What is linted while it is built is not linted again.
    let chosen = KINDS
        .iter()
        .filter(|(name, _, _)| if everything { *name != "lint" } else { arguments.iter().any(|word| word == name) });
    list.extend(chosen.map(|&(_, title, run)| (title, run)));
    steps(&list)
}

fn build() -> Outcome {
    let examples = examples()?;
    let packages = examples.iter().flat_map(|name| ["--package", name]);
    let words = ["build", "--release", "--target", "wasm32-wasip2"].into_iter().chain(packages);
    execute(cargo(&words.collect::<Vec<_>>()))?;
    execute(cargo(&["build", "--workspace", "--all-targets"]))
}

/// The example functions: the crates in `functions/`, the SDK apart.
fn examples() -> Result<Vec<String>, String> {
    let folder = root().join("functions");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let crates = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").exists());
    let mut names: Vec<_> = crates.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "sdk");
    names.sort();
    Ok(names)
}

fn format() -> Outcome {
    execute(cargo(&["fmt", "--all", "--check"]))
}

fn lint() -> Outcome {
    execute(cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))
}

fn rust() -> Outcome {
    execute(cargo(&["test", "--workspace", "--quiet"]))
}

fn languages() -> Outcome {
    execute(command("sh", &["functions/languages/build.sh"]))?;
    let features = ["--features", "tandem-end-to-end/languages", "--test", "languages"];
    execute(cargo(&[&["test", "--workspace", "--quiet"][..], &features, &["--", "--nocapture"]].concat()))
}

fn quality() -> Outcome {
    execute(cargo(&["test", "--workspace", "--quiet", "--bench", "quality"]))
}

fn web() -> Outcome {
    for script in ["check", "test"] {
        let mut npm = command("npm", &["run", "--silent", script]);
        npm.current_dir(root().join("tests/browser"));
        execute(npm)?;
    }
    Ok(())
}

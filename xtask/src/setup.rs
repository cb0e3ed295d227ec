//! Installing what a machine needs: by `rustup` for Wasm targets, by `apt-get` for Debian packages where it may, by `npm` and `pip`
//! into folders of the project. What cannot be installed is named, with the command that would do it.

use crate::command::{Outcome, command, execute, succeeds};

/// `cargo xtask setup [--tests]`.
pub(crate) fn run_all(tests: bool) -> Outcome {
    for_building()?;
    if tests { for_tests() } else { Ok(()) }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => run_all(false),
        [flag] if flag == "--tests" => run_all(true),
        _ => Err("usage: cargo xtask setup [--tests]".to_owned()),
    }
}

/// A program and the Debian package that has it.
struct Tool {
    program: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
}

const BUILD_TOOLS: &[Tool] = &[
    Tool { program: "cc", probe: &["--version"], package: "gcc" },
    Tool { program: "c++", probe: &["--version"], package: "g++" },
    Tool { program: "cmake", probe: &["--version"], package: "cmake" },
];

const TEST_TOOLS: &[Tool] = &[
    Tool { program: "chromium", probe: &["--version"], package: "chromium" },
    Tool { program: "espeak-ng", probe: &["--version"], package: "espeak-ng" },
    Tool { program: "sox", probe: &["--version"], package: "sox" },
    Tool { program: "node", probe: &["--version"], package: "nodejs" },
    Tool { program: "npm", probe: &["--version"], package: "npm" },
    Tool { program: "python3", probe: &["-m", "venv", "--help"], package: "python3-venv" },
];

/// The Wasm targets, and what the C libraries in our dependencies (Opus, SQLite) are built with.
pub(crate) fn for_building() -> Outcome {
    for target in ["wasm32-wasip2", "wasm32-unknown-unknown"] {
        if !has_target(target) {
            let hint =
                |error| format!("{error}\n  hint: install the Rust target {target}: `rustup target add {target}`");
            execute(command("rustup", &["target", "add", target])).map_err(hint)?;
        }
    }
    install_missing(BUILD_TOOLS)
}

/// Chromium, speech, and the packages of the two test suites that are not Rust.
pub(crate) fn for_tests() -> Outcome {
    install_missing(TEST_TOOLS)?;
    execute(command("sh", &["tests/browser/setup.sh"]))
}

fn has_target(target: &str) -> bool {
    let listed = command("rustup", &["target", "list", "--installed"]).output();
    listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == target))
}

fn install_missing(tools: &[Tool]) -> Outcome {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !succeeds(tool.program, tool.probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let by_hand = format!("missing: {}; on Debian: `sudo apt-get install {}`", programs.join(", "), packages.join(" "));
    let may_install = succeeds("apt-get", &["--version"]) && succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]);
    if !may_install {
        return Err(by_hand);
    }
    println!("  installing from Debian: {}", packages.join(" "));
    execute(apt(&["update", "-qq"]))?;
    let mut arguments = vec!["install", "--yes", "-qq", "--no-install-recommends"];
    arguments.extend(&packages);
    execute(apt(&arguments)).map_err(|error| format!("{error}\n  {by_hand}"))?;
    match missing.iter().find(|tool| !succeeds(tool.program, tool.probe)) {
        None => Ok(()),
        Some(tool) => Err(format!("`{}` still does not run after installing `{}`", tool.program, tool.package)),
    }
}

fn apt(arguments: &[&str]) -> std::process::Command {
    let mut apt = command("apt-get", arguments);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    apt
}

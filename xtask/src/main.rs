//! `cargo xtask …`: set-up, dev, test, bench, package. Standard library only, so that it builds at once on a fresh machine.

mod bench;
mod browser;
mod command;
mod dev;
mod package;
mod purity;
mod setup;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
Tandem's own tasks.

Usage: cargo xtask <task>

Tasks:
  setup           Install what building needs: the Wasm targets, CMake, a C compiler
  setup --tests   … and what the tests need: Chromium, speech synthesis, Node and Python packages
  dev [ARGS]      Build functions and gateway, start it with a demo tenant, print where to click;
                  ARGS go to `tandem dev` (see `tandem dev --help`)
  test [KIND…]    Run every kind of test, or the named ones: format, lint, rust, languages,
                   quality, purity, web, browser
  bench [KIND…]   Run every benchmark, or the named ones: route, datagram, codec, quality,
                   neighbours, fleet, upload, rooms, load
  package spin-plugin
                   Make the archive and manifest of Tandem as a plugin of the Spin CLI

Examples:
  cargo xtask dev
  cargo xtask test
  cargo xtask test rust purity
  cargo xtask bench load";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match task {
        "setup" => setup::run(rest),
        "dev" => dev::run(rest),
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "package" => package::run(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("no task `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

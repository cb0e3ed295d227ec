//! `cargo xtask dev`: from a clone to a call in one command.

use crate::command::{Outcome, cargo, command, execute, tandem};
use crate::setup;

/// Sets up, builds, and runs `tandem dev` until it is interrupted.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    println!("[1/3] set-up: Wasm targets and build tools");
    setup::for_building()?;
    println!("[2/3] build the gateway (the first time takes some minutes: the dependencies are compiled once)");
    execute(cargo(&["build", "--workspace", "--bin", "tandem"]))?;
    println!("[3/3] start it");
    let binary = tandem("debug");
    let mut words = vec!["dev"];
    if arguments.is_empty() {
        words.extend(["--function", "functions/front-desk"]);
    }
    words.extend(arguments.iter().map(String::as_str));
    execute(command(&binary.to_string_lossy(), &words))
}

//! Components to run, built once each: what the tests and the benchmarks of the gateway share.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const TARGET: &str = "wasm32-wasip2";

/// The bytes of a component of the workspace. The first call for each builds it.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    static BUILT: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the gateway is one level down");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--release", "--target", TARGET, "-p", name]);
    let status = command.arg("--target-dir").arg(&target).status().expect("cargo starts");
    assert!(status.success(), "{name} does not build; is the target there? `rustup target add {TARGET}`");
    let file = target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

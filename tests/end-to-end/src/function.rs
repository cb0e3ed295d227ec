//! Components for a gateway to run.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Builds a workspace package as a component and says where it is. Cargo does nothing when it is built already.
///
/// # Errors
/// When it does not build.
pub async fn component(package: &str) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the tests are two levels down")?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--release", "--target", TARGET, "-p", package]);
    let status = command.arg("--target-dir").arg(&target).status().await.context("cargo does not start")?;
    if !status.success() {
        bail!("{package} does not build; is the target there? `rustup target add {TARGET}`");
    }
    Ok(target.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_"))))
}

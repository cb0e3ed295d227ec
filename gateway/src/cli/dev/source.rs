//! Where a routing function comes from: a component file, or a Rust crate that is built into one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;

/// The compilation target of a component.
const TARGET: &str = "wasm32-wasip2";

/// Most bytes of Cargo's JSON output that are read: thousands of artifacts. A longer build is reported as an error.
const BUILD_OUTPUT_MAX: u64 = 16 * 1024 * 1024;

/// A routing function's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FunctionSource {
    /// The folder of a Rust crate.
    Crate(PathBuf),
    /// A component file.
    Component(PathBuf),
}

/// Why a source gave no component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Neither a crate nor a file.
    #[error("--function {0}: neither a folder with a Cargo.toml nor a .wasm file")]
    Neither(PathBuf),
    /// Cargo could not be run.
    #[error("cargo could not be started: {0}; a Rust function needs the Rust toolchain from https://rustup.rs")]
    NoCargo(#[source] std::io::Error),
    /// The build failed; Cargo has said why.
    #[error("the function does not build (see above); the version before it keeps answering")]
    DoesNotBuild,
    /// The build made no component.
    #[error("the build made no component: the crate needs `crate-type = [\"cdylib\"]`")]
    NoComponent,
    /// The file cannot be read.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
}

impl FunctionSource {
    /// Looks at what stands at a path.
    pub(crate) fn find(path: &Path) -> Result<Self, SourceError> {
        if path.join("Cargo.toml").is_file() {
            return Ok(Self::Crate(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::Component(path.to_owned()));
        }
        Err(SourceError::Neither(path.to_owned()))
    }

    /// The folder to watch.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Crate(folder) => folder,
            Self::Component(file) => match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            },
        }
    }

    /// Whether a change of this path concerns the function: a crate's own sources, or the file itself.
    pub(crate) fn concerns(&self, changed: &Path) -> bool {
        match self {
            Self::Component(file) => changed.file_name() == file.file_name(),
            Self::Crate(folder) => {
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                let inside = changed.strip_prefix(&folder).unwrap_or(changed);
                let hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
                let source = changed.extension().is_some_and(|kind| kind == "rs" || kind == "toml");
                source && !inside.starts_with("target") && !inside.components().any(hidden)
            }
        }
    }

    /// Builds if need be, and reads the component.
    pub(crate) async fn component(&self) -> Result<Vec<u8>, SourceError> {
        let file = match self {
            Self::Crate(folder) => build(folder).await?,
            Self::Component(file) => file.clone(),
        };
        tokio::fs::read(&file).await.map_err(|error| SourceError::Unreadable(file, error))
    }
}

/// Runs Cargo, its messages shown to the developer, and gives the component that it made.
async fn build(folder: &Path) -> Result<PathBuf, SourceError> {
    let arguments =
        ["build", "--quiet", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"];
    let mut cargo = tokio::process::Command::new("cargo");
    cargo.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = cargo.spawn().map_err(SourceError::NoCargo)?;
    let mut messages = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(BUILD_OUTPUT_MAX).read_to_string(&mut messages).await.map_err(SourceError::NoCargo)?;
    }
    let status = child.wait().await.map_err(SourceError::NoCargo)?;
    if !status.success() {
        return Err(SourceError::DoesNotBuild);
    }
    messages.lines().rev().find_map(component_of).ok_or(SourceError::NoComponent)
}

/// The component that one of Cargo's messages tells of (`compiler-artifact` of a `cdylib`).
fn component_of(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message.get("reason")? != "compiler-artifact" {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_message_tells_the_component() {
        let message = r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib","/t/x.wasm"]}"#;
        assert_eq!(component_of(message), Some(PathBuf::from("/t/x.wasm")));
        assert_eq!(component_of(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(component_of("warning: hello"), None);
    }

    #[test]
    fn only_sources_trigger_a_build() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[package]").unwrap();
        let source = FunctionSource::find(folder.path()).unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (path, concerns) in [
            ("src/lib.rs", true),
            ("Cargo.toml", true),
            ("target/debug/x.rs", false),
            (".git/x.rs", false),
            ("src/lib.rs.swp", false),
        ] {
            assert_eq!(source.concerns(&root.join(path)), concerns, "{path}");
        }
    }

    #[test]
    fn what_is_neither_crate_nor_file_is_named() {
        let error = FunctionSource::find(Path::new("nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "--function nowhere: neither a folder with a Cargo.toml nor a .wasm file");
    }
}

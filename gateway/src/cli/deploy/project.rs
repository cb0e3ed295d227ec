//! What `tandem deploy` is pointed at: a Spin application, a Rust crate or a component file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;

use super::manifest::{self, Component};
use crate::cli::dev::source::FunctionSource;
use crate::cli::remote::show::progress;
use crate::tenants::model::Manifest;

/// Something that can be deployed.
#[derive(Debug)]
pub(super) struct Project {
    kind: Kind,
    name: String,
    shown: String,
    manifest: Manifest,
}

#[derive(Debug)]
enum Kind {
    Spin(Component),
    Plain(FunctionSource),
}

impl Project {
    /// Looks at what stands at a path.
    ///
    /// # Errors
    /// When it is nothing that can be deployed.
    pub(super) fn find(path: &Path, component: Option<&str>) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let spin = if path.ends_with("spin.toml") { path.to_owned() } else { path.join("spin.toml") };
        if spin.is_file() {
            let component = manifest::component(&spin, component)?;
            let (name, manifest) = (component.name.clone(), component.manifest.clone());
            return Ok(Self { kind: Kind::Spin(component), name, shown, manifest });
        }
        anyhow::ensure!(
            component.is_none(),
            "--component chooses from a Spin application, but {shown} has no spin.toml"
        );
        let source = FunctionSource::find(path).map_err(|_| {
            anyhow::anyhow!("{shown}: neither a folder with a spin.toml or a Cargo.toml nor a .wasm file")
        })?;
        let name = match &source {
            FunctionSource::Crate(folder) => crate_name(folder)?,
            FunctionSource::Component(file) => stem(file),
        };
        Ok(Self { kind: Kind::Plain(source), name, shown, manifest: Manifest::default() })
    }

    /// What its function is called unless somebody says otherwise.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How it was named on the command line.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What it may reach, as its manifest says.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Runs the build of a Spin application, as `spin build` does. A crate is built when its component is asked for.
    ///
    /// # Errors
    /// When a command fails.
    pub(super) async fn build(&self) -> anyhow::Result<()> {
        match &self.kind {
            Kind::Spin(component) => build(component).await,
            Kind::Plain(_) => Ok(()),
        }
    }

    /// The component.
    ///
    /// # Errors
    /// When there is none, or the crate does not build.
    pub(super) async fn component(&self) -> anyhow::Result<Vec<u8>> {
        match &self.kind {
            Kind::Spin(component) => {
                let missing =
                    || format!("cannot read {}; does the component's build make it?", component.source.display());
                std::fs::read(&component.source).with_context(missing)
            }
            Kind::Plain(source) => {
                if let FunctionSource::Crate(folder) = source {
                    progress(&format!("building {} …", folder.display()));
                }
                Ok(source.component().await?)
            }
        }
    }
}

/// Runs the commands of a component's `[build]`, as `spin build` does.
async fn build(component: &Component) -> anyhow::Result<()> {
    let Some(build) = &component.build else { return Ok(()) };
    for command in &build.commands {
        progress(&format!("building {}: {command}", component.name));
        let mut shell = tokio::process::Command::new("sh");
        // Standard output stays for the answer of `deploy`.
        shell
            .args(["-c", &format!("{{ {command}\n}} 1>&2")])
            .current_dir(&build.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let status =
            shell.status().await.with_context(|| format!("cannot run {command:?} in {}", build.folder.display()))?;
        anyhow::ensure!(status.success(), "{command:?} failed (see above); nothing was deployed");
    }
    Ok(())
}

fn crate_name(folder: &Path) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct CargoToml {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let file = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let cargo: CargoToml = toml::from_str(&text).with_context(|| format!("{}: no crate", file.display()))?;
    Ok(cargo.package.name.to_lowercase())
}

/// `target/…/front_desk.wasm` → `front-desk`: what Cargo made of the crate's name.
fn stem(file: &Path) -> String {
    let stem: PathBuf = file.file_stem().unwrap_or_default().into();
    stem.to_string_lossy().replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_from_manifest_crate_or_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("My_router.wasm"), b"\0asm").unwrap();
        assert_eq!(Project::find(&at("My_router.wasm"), None).unwrap().name(), "my-router");
        std::fs::write(at("Cargo.toml"), "[package]\nname = 'Desk'\n").unwrap();
        assert_eq!(Project::find(folder.path(), None).unwrap().name(), "desk");
        std::fs::write(at("spin.toml"), "spin_manifest_version = 2\n[component.router]\nsource = 'r.wasm'\n").unwrap();
        assert_eq!(Project::find(folder.path(), None).unwrap().name(), "router");
        assert_eq!(Project::find(&at("spin.toml"), None).unwrap().name(), "router");
    }

    #[test]
    fn what_is_nothing_is_named() {
        let error = Project::find(Path::new("nowhere"), None).unwrap_err().to_string();
        assert_eq!(error, "nowhere: neither a folder with a spin.toml or a Cargo.toml nor a .wasm file");
    }

    #[tokio::test]
    async fn the_build_of_a_spin_application_is_run_where_it_says() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let toml =
            "spin_manifest_version = 2\n[component.r]\nsource = 'r.wasm'\n[component.r.build]\nworkdir = 'src'\n";
        std::fs::write(folder.path().join("spin.toml"), format!("{toml}command = 'printf built > ../r.wasm'\n"))
            .unwrap();
        let project = Project::find(folder.path(), None).unwrap();
        assert!(project.component().await.unwrap_err().to_string().contains("does the component's build make it?"));
        project.build().await.unwrap();
        assert_eq!(project.component().await.unwrap(), b"built");
        std::fs::write(folder.path().join("spin.toml"), format!("{toml}command = ['true', 'exit 3']\n")).unwrap();
        let error = Project::find(folder.path(), None).unwrap().build().await.unwrap_err().to_string();
        assert_eq!(error, "\"exit 3\" failed (see above); nothing was deployed");
    }
}

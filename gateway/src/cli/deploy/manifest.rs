//! A Spin application's `spin.toml`, as far as a routing function needs it: which component, how it is built, what it may reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::tenants::model::Manifest;

/// The triggers whose components can route calls, the fittest first.
const TRIGGERS: [&str; 2] = ["voice", "http"];

/// One component of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// Its name in the manifest.
    pub(super) name: String,
    /// The component file.
    pub(super) source: PathBuf,
    /// The commands that make it, and where they run.
    pub(super) build: Option<Build>,
    /// What it may reach.
    pub(super) manifest: Manifest,
}

/// How a component is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// Shell commands, one after another.
    pub(super) commands: Vec<String>,
    /// Where.
    pub(super) folder: PathBuf,
}

/// What is read of the file; Spin's own tools say what else is wrong with it.
#[derive(Deserialize)]
struct SpinToml {
    spin_manifest_version: u32,
    #[serde(default)]
    trigger: BTreeMap<String, Vec<Trigger>>,
    #[serde(default)]
    component: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Trigger {
    component: Option<toml::Value>,
}

#[derive(Deserialize)]
struct Listed {
    source: toml::Value,
    build: Option<ListedBuild>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
}

#[derive(Deserialize)]
struct ListedBuild {
    command: Commands,
    workdir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Commands {
    One(String),
    Many(Vec<String>),
}

/// Finds a component in a `spin.toml`: the one that is named, else the only one that a trigger names.
///
/// # Errors
/// Says what is wrong with the file, or between which components to choose.
pub(super) fn component(file: &Path, name: Option<&str>) -> anyhow::Result<Component> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    parse(&text, folder, name).with_context(|| file.display().to_string())
}

fn parse(text: &str, folder: &Path, name: Option<&str>) -> anyhow::Result<Component> {
    let mut spin: SpinToml = toml::from_str(text)?;
    anyhow::ensure!(
        spin.spin_manifest_version == 2,
        "spin_manifest_version {} is not known here; 2 is",
        spin.spin_manifest_version
    );
    let name = match name {
        Some(name) => name.to_owned(),
        None => triggered(&spin)?,
    };
    let known: Vec<_> = spin.component.keys().cloned().collect();
    let listed = spin.component.remove(&name);
    let listed = listed.with_context(|| format!("there is no component {name:?}; there are: {}", known.join(", ")))?;
    let toml::Value::String(source) = &listed.source else {
        anyhow::bail!(
            "component {name}: only a `source` that is a file can be deployed; download it and give the file"
        );
    };
    if let Some(template) = listed.allowed_outbound_hosts.iter().find(|host| host.contains("{{")) {
        anyhow::bail!(
            "component {name}: `allowed_outbound_hosts` has the template {template:?}; write the host itself, or use --allow-host"
        );
    }
    let build = listed.build.map(|build| Build {
        commands: match build.command {
            Commands::One(command) => vec![command],
            Commands::Many(commands) => commands,
        },
        folder: build.workdir.map_or_else(|| folder.to_owned(), |workdir| folder.join(workdir)),
    });
    let manifest = Manifest {
        allowed_outbound_hosts: listed.allowed_outbound_hosts,
        key_value_stores: listed.key_value_stores,
        note: None,
    };
    Ok(Component { source: folder.join(source), name, build, manifest })
}

/// The one component that a voice trigger names, else an HTTP trigger.
fn triggered(spin: &SpinToml) -> anyhow::Result<String> {
    for kind in TRIGGERS {
        let triggers = spin.trigger.get(kind).into_iter().flatten();
        let mut names: Vec<_> = triggers.filter_map(|trigger| trigger.component.as_ref()?.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] => {}
            [only] => return Ok((*only).to_owned()),
            many => anyhow::bail!("which component? --component takes one of: {}", many.join(", ")),
        }
    }
    let mut names = spin.component.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => anyhow::bail!("the application has no [component.…]"),
        (Some(_), Some(_)) => anyhow::bail!(
            "which component? --component takes one of: {}",
            spin.component.keys().cloned().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = r#"
spin_manifest_version = 2
[application]
name = "desk"
[[trigger.http]]
route = "/..."
component = "web"
[[trigger.voice]]
component = "router"
[component.router]
source = "target/router.wasm"
allowed_outbound_hosts = ["https://crm.example.com"]
key_value_stores = ["default"]
[component.router.build]
command = "cargo build"
workdir = "router"
[component.web]
source = { url = "https://example.com/x.wasm", digest = "sha256:00" }
"#;

    #[test]
    fn a_voice_triggers_component_is_taken() {
        let found = parse(APPLICATION, Path::new("app"), None).unwrap();
        assert_eq!((found.name.as_str(), found.source.as_path()), ("router", Path::new("app/target/router.wasm")));
        let build = found.build.unwrap();
        assert_eq!(
            (build.commands.as_slice(), build.folder.as_path()),
            (&["cargo build".to_owned()][..], Path::new("app/router"))
        );
        assert_eq!(found.manifest.allowed_outbound_hosts, ["https://crm.example.com"]);
        assert_eq!(found.manifest.key_value_stores, ["default"]);
    }

    #[test]
    fn what_cannot_be_deployed_is_named() {
        let several = "spin_manifest_version = 2\n[component.a]\nsource = 'a'\n[component.b]\nsource = 'b'\n";
        let template = "spin_manifest_version = 2\n[component.a]\nsource = 'a'\nallowed_outbound_hosts = ['{{ x }}']\n";
        let table = [
            (APPLICATION, Some("web"), "only a `source` that is a file"),
            (APPLICATION, Some("nobody"), "there is no component \"nobody\"; there are: router, web"),
            (several, None, "which component? --component takes one of: a, b"),
            (template, None, "has the template"),
            ("spin_manifest_version = 1", None, "spin_manifest_version 1 is not known"),
            ("spin_manifest_version = 2", None, "no [component.…]"),
        ];
        for (text, name, said) in table {
            let error = format!("{:#}", parse(text, Path::new("."), name).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}

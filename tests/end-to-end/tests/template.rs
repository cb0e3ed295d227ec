//! The template of a new function, as `spin new` and as `functions/new.sh` make a project of it: whole, agreeing with itself, and a routing
//! function once it is built. Spin itself is not needed: what Liquid the template uses is rendered here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use tandem_host::{Host, HostConfig, Kind};
use tandem_switch::http_contract::Request;
use tandem_switch::plan::{Action, Order, Plan};

const NAME: &str = "my-router";

fn functions() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the tests are two levels down");
    root.join("functions")
}

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder)?.to_owned(), std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(found)
}

/// Renders `{{parameter}}` and `{{parameter | filter}}` as Spin does, and refuses whatever else Liquid has.
fn render(text: &str, parameters: &BTreeMap<&str, String>) -> anyhow::Result<String> {
    ensure!(!text.contains("{%"), "this template has no Liquid tags");
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (placeholder, after) = after.split_once("}}").context("a placeholder without an end")?;
        let (name, filter) = match placeholder.split_once('|') {
            Some((name, filter)) => (name.trim(), filter.trim()),
            None => (placeholder.trim(), ""),
        };
        let value = parameters.get(name).with_context(|| format!("no parameter `{name}`"))?;
        rendered.push_str(before);
        rendered.push_str(&match filter {
            "" | "kebab_case" => value.clone(),
            "snake_case" => value.replace('-', "_"),
            "pascal_case" => value.split('-').map(capitalised).collect(),
            _ => bail!("no filter `{filter}`"),
        });
        rest = after;
    }
    Ok(rendered + rest)
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// What Spin itself gives, and the defaults of the template's own parameters, but for the path of the SDK, which is this clone's.
fn parameters() -> anyhow::Result<BTreeMap<&'static str, String>> {
    let sdk = functions().join("sdk").to_str().context("a path of UTF-8")?.to_owned();
    Ok(BTreeMap::from([
        ("project-name", NAME.to_owned()),
        ("output-path", NAME.to_owned()),
        ("project-description", "Routes calls".to_owned()),
        ("sdk-path", sdk),
    ]))
}

/// What `spin new` writes.
fn rendered() -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let parameters = parameters()?;
    let content = files(&functions().join("templates/tandem-router/content"))?;
    let render = |(path, text): (PathBuf, String)| {
        let path = if path.extension().is_some_and(|end| end == "tmpl") { path.with_extension("") } else { path };
        Ok((path, render(&text, &parameters)?))
    };
    content.into_iter().map(render).collect()
}

fn script(folder: &Path) -> anyhow::Result<std::process::Output> {
    Ok(Command::new("sh").arg(functions().join("new.sh")).arg(folder).output()?)
}

#[test]
fn the_script_makes_what_spin_new_makes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join(NAME);
    let output = script(&project)?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(files(&project)?, rendered()?);
    let again = script(&project)?;
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
    let misnamed = script(&folder.path().join("My Router"))?;
    assert!(String::from_utf8_lossy(&misnamed.stderr).contains("no name for a function"), "{misnamed:?}");
    assert!(!folder.path().join("My Router").exists());
    Ok(())
}

#[test]
fn every_parameter_of_the_template_has_a_default() -> anyhow::Result<()> {
    let metadata = std::fs::read_to_string(functions().join("templates/tandem-router/metadata/spin-template.toml"))?;
    let metadata: toml::Table = metadata.parse()?;
    assert_eq!(metadata["id"].as_str(), Some("tandem-router"));
    let declared = metadata["parameters"].as_table().context("parameters")?;
    assert!(declared.values().all(|parameter| parameter.get("default").is_some()), "{declared:?}");
    let own: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
    let given: BTreeSet<&str> = parameters()?.into_keys().collect();
    assert_eq!(&given - &own, BTreeSet::from(["output-path", "project-name"]));
    Ok(())
}

/// Holds a manifest against itself and the crates: every trigger has its component, every source is what its build command makes.
fn check_manifest(manifest: &str, packages: &[&str]) -> anyhow::Result<()> {
    let manifest: toml::Table = manifest.parse()?;
    let components = manifest["component"].as_table().context("components")?;
    let names: Vec<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>(), packages.iter().collect());
    for triggers in manifest["trigger"].as_table().context("triggers")?.values() {
        let triggered = triggers.as_array().context("a list of triggers")?.iter();
        let triggered: BTreeSet<_> = triggered.filter_map(|trigger| trigger["component"].as_str()).collect();
        assert_eq!(triggered, names.iter().copied().collect());
    }
    for (name, component) in components {
        let source = component["source"].as_str().context("a source")?;
        let made = format!("target/wasm32-wasip2/release/{}.wasm", name.replace('-', "_"));
        assert!(source.ends_with(&made), "{source}");
        let command = component["build"]["command"].as_str().context("a build command")?;
        assert!(command.starts_with("cargo build --release --target wasm32-wasip2"), "{command}");
        if let Some((_, package)) = command.split_once("-p ") {
            assert_eq!(package, name);
        }
    }
    Ok(())
}

#[test]
fn the_manifests_agree_with_themselves_and_with_the_crates() -> anyhow::Result<()> {
    let project = rendered()?;
    let manifest = &project[Path::new("spin.toml")];
    check_manifest(manifest, &[NAME])?;
    // The trigger of the gateway waits for its plugin; with the comment signs away it is as good.
    let voice = manifest.replace("# [[trigger.voice]]\n# component", "[[trigger.voice]]\ncomponent");
    assert_ne!(&voice, manifest);
    check_manifest(&voice, &[NAME])?;
    let snippet = functions().join("templates/tandem-router/metadata/snippets/component.txt");
    check_manifest(&render(&std::fs::read_to_string(snippet)?, &parameters()?)?, &[NAME])?;
    let cargo: toml::Table = project[Path::new("Cargo.toml")].parse()?;
    assert_eq!(cargo["package"]["name"].as_str(), Some(NAME));

    let examples = examples()?;
    let examples: Vec<&str> = examples.iter().map(String::as_str).collect();
    check_manifest(&std::fs::read_to_string(functions().join("spin.toml"))?, &examples)
}

/// The example functions that Spin can serve: the crates in `functions/`, without the SDK and without those that ask the gateway's directory,
/// which Spin does not have.
fn examples() -> anyhow::Result<Vec<String>> {
    let folders = std::fs::read_dir(functions())?.collect::<Result<Vec<_>, _>>()?;
    let crates = folders.iter().filter(|folder| folder.path().join("Cargo.toml").exists());
    let names = crates.map(|folder| folder.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "sdk" && name != "help-desk").collect())
}

#[tokio::test]
async fn a_new_project_passes_its_own_tests_and_routes_the_sample_event() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join(NAME);
    for (path, text) in rendered()? {
        let path = project.join(path);
        std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        std::fs::write(path, text)?;
    }
    // The versions of this workspace: the same crates again.
    std::fs::copy(functions().join("../Cargo.lock"), project.join("Cargo.lock"))?;
    // Kept from run to run, so that only the first compiles what the function depends on.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("template");
    cargo(&project, &target, &["test", "--quiet"])?;
    cargo(&project, &target, &["build", "--quiet", "--release", "--target", "wasm32-wasip2"])?;

    let component = target.join("wasm32-wasip2/release/my_router.wasm");
    let sample = std::fs::read(project.join("sample-event.json"))?;
    let plan = asked(&component, Kind::Router, &sample).await?;

    // A gateway prefers the typed world. Without it the same function is asked as Spin asks it: over HTTP, in JSON.
    let source = project.join("src/lib.rs");
    let both = std::fs::read_to_string(&source)?;
    let served = both.replace("tandem_function::router!(MyRouter, http);", HTTP_ALONE);
    ensure!(served != both, "the template exports both worlds");
    std::fs::write(&source, served)?;
    cargo(&project, &target, &["build", "--quiet", "--release", "--target", "wasm32-wasip2"])?;
    assert_eq!(asked(&component, Kind::Http02, &sample).await?, plan);

    let accepted = plan.accept()?;
    let [Action::RingBack, Action::Dial(dial), Action::Reject { .. }] = &accepted.steps[..] else {
        bail!("{accepted:?}");
    };
    let Order::Rounds(rounds) = &dial.order else { panic!("{dial:?}") };
    assert_eq!(rounds.concat().iter().map(|user| user.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    Ok(())
}

/// What `router!(MyRouter, http)` exports beside `route`.
const HTTP_ALONE: &str = "
#[cfg(target_family = \"wasm\")]
mod served {
    use tandem_function::http::{Guest, IncomingRequest, ResponseOutparam, serve, wasip2};
    struct Served;
    impl Guest for Served {
        fn handle(request: IncomingRequest, response: ResponseOutparam) {
            serve::<super::MyRouter>(request, response);
        }
    }
    wasip2::http::proxy::export!(Served with_types_in wasip2);
}
";

/// What a component of this kind answers to the sample event.
async fn asked(component: &Path, kind: Kind, sample: &[u8]) -> anyhow::Result<Plan> {
    let host = Host::new(HostConfig::default())?;
    let function = host.load(&std::fs::read(component)?)?;
    assert_eq!(function.kind(), kind);
    let Request { context, event } = serde_json::from_slice(sample)?;
    Ok(host.invoke(&function, &context, &event).await.answer?)
}

fn cargo(project: &Path, target: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let cargo = cargo.current_dir(project).args(arguments).arg("--target-dir").arg(target);
    let output = cargo.env_remove("CARGO_TARGET_DIR").output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

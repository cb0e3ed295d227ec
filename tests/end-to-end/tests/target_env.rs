//! The target environment of a routing function, as `spin build` uses it: what a component imports must be in the environment's world, and
//! what that world exports must be in the component. The Spin CLI is not needed: names are compared here; that the interfaces behind the
//! names are the gateway's, and that the whole is valid WIT, is checked apart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use tandem_end_to_end::function;
use tandem_host::capabilities::is_allowed;
use tandem_host::{Host, HostConfig};

/// The environment's worlds resolve, or this does not compile.
#[allow(unsafe_code, missing_docs, unused, reason = "generated, and only to see that it can be")]
mod worlds {
    mod voice {
        wit_bindgen::generate!({
            path: "../../functions/templates/tandem-router/content/target-env/wit",
            world: "tandem:target/voice",
            generate_all,
        });
    }
    mod blocking_voice {
        wit_bindgen::generate!({
            path: "../../functions/templates/tandem-router/content/target-env/wit",
            world: "tandem:target/blocking-voice",
            generate_all,
        });
    }
    mod http {
        wit_bindgen::generate!({
            path: "../../functions/templates/tandem-router/content/target-env/wit",
            world: "tandem:target/http",
            generate_all,
        });
    }
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the tests are two levels down");
    root.to_owned()
}

fn environment() -> PathBuf {
    root().join("functions/templates/tandem-router/content/target-env")
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn table(file: &Path) -> anyhow::Result<toml::Table> {
    Ok(read(file)?.parse()?)
}

/// What a world, or a component, imports and exports, by full name.
#[derive(Debug, Default)]
struct Sides {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl Sides {
    fn add(&mut self, other: Self) {
        self.imports.extend(other.imports);
        self.exports.extend(other.exports);
    }
}

/// A world by its full name, `package/world@version`, with what it includes; from the environment's two files that have worlds.
fn world(name: &str) -> anyhow::Result<Sides> {
    let (package, rest) = name.split_once('/').context("a full name")?;
    let (world, version) = rest.split_once('@').context("a version")?;
    let file = if package == "tandem:voice" { "wit/deps/tandem-voice.wit" } else { "wit/world.wit" };
    let text = read(&environment().join(file))?;
    let declared = format!("package {package}@{version};");
    ensure!(text.lines().any(|line| line == declared), "{file} lacks {declared}");
    let beginning = format!("world {world} {{");
    let body = text.lines().skip_while(|line| *line != beginning).skip(1).take_while(|line| *line != "}");
    let full = |name: &str| if name.contains('/') { name.to_owned() } else { format!("{package}/{name}@{version}") };
    let mut sides = Sides::default();
    for line in body.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let (word, what) = line.trim_end_matches(';').split_once(' ').context("a word and a name")?;
        match (word, what.split_once(": ")) {
            // A function of the world itself has a bare name.
            ("export", Some((function, _))) => sides.exports.insert(function.to_owned()),
            ("export", None) => sides.exports.insert(full(what)),
            ("import", None) => sides.imports.insert(full(what)),
            ("include", None) => {
                sides.add(self::world(&full(what))?);
                true
            }
            ("use", _) => true,
            _ => bail!("{name}: what is {line:?}?"),
        };
    }
    ensure!(!sides.exports.is_empty() || !sides.imports.is_empty(), "there is no world {name}");
    Ok(sides)
}

/// The worlds that the environment has for a trigger, one of which a component must fit.
fn worlds_of(trigger: &str) -> anyhow::Result<Vec<Sides>> {
    let definition = table(&environment().join("tandem.toml"))?;
    let listed = definition["triggers"][trigger]["worlds"].as_array().context("a list of worlds")?;
    let read = |entry: &toml::Value| {
        ensure!(entry["path"].as_str() == Some("wit"), "{entry}");
        world(entry["world"].as_str().context("a world")?)
    };
    listed.iter().map(read).collect()
}

/// A name as far as versions of it fit each other: of a released one, all patches do; of a draft, only itself.
fn fitting(name: &str) -> &str {
    let released = name.split_once('@').is_some_and(|(_, version)| !version.contains('-'));
    if released { name.rsplit_once('.').map_or(name, |(minor, _patch)| minor) } else { name }
}

/// How components stand to the environment.
struct Checker {
    host: Host,
}

impl Checker {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { host: Host::new(HostConfig::default())? })
    }

    /// What `spin build` says of a component behind each of some triggers: nothing when it fits one of the worlds, else how it misses the
    /// last.
    async fn misfits<const N: usize>(&self, package: &str, triggers: [&str; N]) -> anyhow::Result<[Vec<String>; N]> {
        let component = self.host.inspect(&std::fs::read(function::component(package).await?)?)?;
        let mut all = [const { Vec::new() }; N];
        for (trigger, said) in triggers.iter().zip(&mut all) {
            for world in worlds_of(trigger)? {
                let offered: BTreeSet<_> = world.imports.iter().map(|name| fitting(name)).collect();
                let given: BTreeSet<_> = component.exports.iter().map(|name| fitting(name)).collect();
                let foreign = component.imports.iter().filter(|name| !offered.contains(fitting(name)));
                let missing = world.exports.iter().filter(|name| !given.contains(fitting(name)));
                *said = foreign.map(|name| format!("imports {name}")).collect();
                said.extend(missing.map(|name| format!("lacks {name}")));
                if said.is_empty() {
                    break;
                }
            }
        }
        Ok(all)
    }
}

#[tokio::test]
async fn every_example_fits_both_triggers() -> anyhow::Result<()> {
    let checker = Checker::new()?;
    // The application of all examples; a test of its own holds it complete.
    let application = table(&root().join("functions/spin.toml"))?;
    for package in application["component"].as_table().context("components")?.keys() {
        assert_eq!(checker.misfits(package, ["voice", "http"]).await?, [[""; 0]; 2], "{package}");
    }
    // A component for tools without asynchronous functions.
    assert_eq!(checker.misfits("blocking", ["voice"]).await?, [[""; 0]]);
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_named() -> anyhow::Result<()> {
    let checker = Checker::new()?;
    // It has the typed world alone.
    let [voice, http] = checker.misfits("misbehaving", ["voice", "http"]).await?;
    assert_eq!((voice, http), (vec![], vec!["lacks wasi:http/incoming-handler@0.2.12".to_owned()]));
    // An application by spin-sdk 7 knows nothing of the typed world.
    let [said] = checker.misfits("spin-app", ["voice"]).await?;
    for expected in ["lacks route", "imports wasi:http/types@0.3.0"] {
        assert!(said.iter().any(|said| said == expected), "{expected}: {said:?}");
    }
    Ok(())
}

/// What stands for a project's name in the template.
const NAME: &str = "{{project-name | kebab_case}}";

#[test]
fn the_manifests_name_the_environment_and_it_has_their_triggers() -> anyhow::Result<()> {
    let content = root().join("functions/templates/tandem-router/content");
    for folder in [content, root().join("functions")] {
        let manifest: toml::Table = read(&folder.join("spin.toml"))?.replace(NAME, "my-router").parse()?;
        let targets = manifest["application"]["targets"].as_array().context("a list of targets")?;
        let [target] = &targets[..] else { bail!("{targets:?}") };
        let file = folder.join(target["path"].as_str().context("a path")?);
        assert_eq!(file.canonicalize()?, environment().join("tandem.toml").canonicalize()?);
        for trigger in manifest["trigger"].as_table().context("triggers")?.keys() {
            ensure!(!worlds_of(trigger)?.is_empty(), "{trigger}");
        }
    }
    Ok(())
}

#[test]
fn the_environments_interfaces_are_those_of_the_gateway() -> anyhow::Result<()> {
    let copies = environment().join("wit/deps");
    let (copy, original) = (copies.join("tandem-voice.wit"), root().join("wit/voice.wit"));
    ensure!(read(&copy)? == read(&original)?, "copy {} to {}", original.display(), copy.display());
    let mut compared = 0;
    for folder in std::fs::read_dir(&copies)?.flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(folder.path())?.flatten() {
            let original = root().join("gateway/host/wit/deps").join(folder.file_name()).join(file.file_name());
            assert_eq!(read(&file.path())?, read(&original)?, "{}", file.path().display());
            compared += 1;
        }
    }
    assert_eq!(compared, 5, "key-value has three files, configuration and log one each");
    // What the environment offers, a gateway links.
    for trigger in ["voice", "http"] {
        for import in worlds_of(trigger)?.iter().flat_map(|world| &world.imports) {
            ensure!(is_allowed(import), "a gateway has no {import}");
        }
    }
    Ok(())
}

//! `cargo xtask package`: archives that others install. So far one: Tandem as a plugin of the Spin CLI, whose voice trigger it serves.
//!
//! A plugin is an archive with one executable at its root, and a manifest that says where the archive is and what its SHA-256 is. The same
//! binary gives the same archive, byte for byte. `tar` and `sha256sum` do the work.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Outcome, cargo, execute, tandem, target};

/// What Spin calls the plugin, and the executable in it.
const PLUGIN: &str = "trigger-voice";

/// Which versions of Spin start a trigger as Tandem expects it.
const SPIN: &str = ">=2.0";

/// Where the executable runs, as Spin calls it: `xtask` packs on the system that it packs for.
const OS: &str = "linux";

const USAGE: &str = "\
usage: cargo xtask package spin-plugin [--binary FILE] [--url PREFIX] [--out FOLDER]
  --binary FILE   the executable; else a release build of `tandem` is made
  --url PREFIX    where the archive will be fetched from, such as https://example.com/tandem; else the file itself
  --out FOLDER    where archive and manifest go; else target/spin-plugin";

/// Makes what is named.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (what, options) = arguments.split_first().ok_or(USAGE)?;
    if what != "spin-plugin" {
        return Err(format!("there is no package `{what}`\n{USAGE}"));
    }
    let options = Options::read(options)?;
    let binary = match options.binary {
        Some(binary) => binary,
        None => {
            execute(cargo(&["build", "--release", "--workspace", "--bin", "tandem"]))?;
            tandem("release")
        }
    };
    let folder = options.out.unwrap_or_else(|| target().join("spin-plugin"));
    let manifest = spin_plugin(&binary, options.url.as_deref(), &folder)?;
    println!("made {}; next: spin plugins install --file {} --yes", manifest.display(), manifest.display());
    Ok(())
}

#[derive(Default)]
struct Options {
    binary: Option<PathBuf>,
    url: Option<String>,
    out: Option<PathBuf>,
}

impl Options {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(format!("`{}` says nothing\n{USAGE}", pair[0])) };
            match name.as_str() {
                "--binary" => options.binary = Some(value.into()),
                "--url" => options.url = Some(value.clone()),
                "--out" => options.out = Some(value.into()),
                other => return Err(format!("there is no option `{other}`\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

/// Writes archive and manifest into a folder; gives the manifest's path.
fn spin_plugin(binary: &Path, url: Option<&str>, folder: &Path) -> Result<PathBuf, String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let (os, arch) = (OS, arch()?);
    let version = env!("CARGO_PKG_VERSION");
    std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    let folder = folder.canonicalize().map_err(|error| at(folder, error))?;

    // The archive takes the executable from a folder where it has its name.
    let staging = folder.join("staging");
    let executable = staging.join(PLUGIN);
    std::fs::create_dir_all(&staging).map_err(|error| at(&staging, error))?;
    let name = format!("{PLUGIN}-{version}-{os}-{arch}.tar.gz");
    let archive = folder.join(&name);
    let copied = std::fs::copy(binary, &executable).map_err(|error| at(binary, error));
    let packed = copied.and_then(|_| pack(&staging, &archive));
    std::fs::remove_dir_all(&staging).map_err(|error| at(&staging, error))?;
    packed?;

    let url = match url {
        Some(prefix) => format!("{}/{name}", prefix.trim_end_matches('/')),
        None => file_url(&archive),
    };
    let manifest = folder.join(format!("{PLUGIN}.json"));
    let text = manifest_of(version, os, arch, &url, &sha256(&archive)?)?;
    std::fs::write(&manifest, text).map_err(|error| at(&manifest, error))?;
    Ok(manifest)
}

/// What Spin calls the processor of this machine.
fn arch() -> Result<&'static str, String> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        known @ "aarch64" => Ok(known),
        other => Err(format!("Spin has no plugins for {other}")),
    }
}

/// Packs the executable without whatever differs from machine to machine: who owns it, when it was made.
fn pack(staging: &Path, archive: &Path) -> Outcome {
    let mut tar = Command::new("tar");
    tar.args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--mode=0755",
        "--use-compress-program=gzip -n",
    ]);
    tar.arg("--create").arg("--file").arg(archive).arg("--directory").arg(staging).arg(PLUGIN);
    output(tar).map(drop)
}

fn sha256(file: &Path) -> Result<String, String> {
    let mut sum = Command::new("sha256sum");
    sum.arg(file);
    let said = output(sum)?;
    // A path with a backslash is escaped, which `sha256sum` tells by one at the line's beginning.
    let digest: String = said.trim_start_matches('\\').chars().take_while(char::is_ascii_hexdigit).collect();
    if digest.len() == 64 { Ok(digest) } else { Err(format!("sha256sum says: {said}")) }
}

fn output(mut command: Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{name}` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The `file:` URL of an absolute path: every byte that may mean something else in a URL is escaped (RFC 3986, 2.1).
fn file_url(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let escaped = |&byte: &u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path: String = path.as_os_str().as_encoded_bytes().iter().map(escaped).collect();
    format!("file://{path}")
}

fn manifest_of(version: &str, os: &str, arch: &str, url: &str, sha256: &str) -> Result<String, String> {
    if url.contains(['"', '\\']) || url.contains(char::is_control) {
        return Err(format!("--url {url:?} is no address"));
    }
    Ok(format!(
        r#"{{
  "name": "{PLUGIN}",
  "description": "Starts a Tandem gateway whose calls the application routes",
  "version": "{version}",
  "spinCompatibility": "{SPIN}",
  "license": "Apache-2.0",
  "packages": [
    {{ "os": "{os}", "arch": "{arch}", "url": "{url}", "sha256": "{sha256}" }}
  ]
}}
"#
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::Value;

    use super::*;
    use crate::command::root;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// A folder of this test's own, whose name would have to be escaped in a URL.
    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tandem plugin {test} {}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn program(folder: &Path) -> PathBuf {
        let binary = folder.join("any-name");
        std::fs::write(&binary, "#!/bin/sh\necho \"started with $*\"\n").unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o700)).unwrap();
        binary
    }

    fn read(manifest: &Path) -> Value {
        serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap()
    }

    fn run_of(program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments);
        output(command).unwrap()
    }

    #[test]
    fn the_archive_has_the_executable_at_its_root_and_the_manifest_its_digest() {
        let folder = folder("layout");
        let (binary, out) = (program(&folder), folder.join("out"));
        let options = ["--binary", binary.to_str().unwrap(), "--out", out.to_str().unwrap()];
        run(&words(&[&["spin-plugin"][..], &options].concat())).unwrap();
        let manifest = read(&out.join("trigger-voice.json"));
        let [package] = &manifest["packages"].as_array().unwrap()[..] else { panic!("{manifest}") };
        let url = package["url"].as_str().unwrap();
        let archive = url.strip_prefix("file://").unwrap().replace("%20", " ");
        assert!(url.contains("tandem%20plugin%20layout") && !url.contains(' '), "{url}");

        assert_eq!(run_of("tar", &["--list", "--file", &archive]), "trigger-voice\n");
        let sum = run_of("sha256sum", &[&archive]);
        assert_eq!(sum.split(' ').next(), package["sha256"].as_str());
        let installed = folder.join("installed");
        std::fs::create_dir(&installed).unwrap();
        run_of("tar", &["--extract", "--file", &archive, "--directory", installed.to_str().unwrap()]);
        let started = run_of(installed.join("trigger-voice").to_str().unwrap(), &["--help-args-only"]);
        assert_eq!(started, "started with --help-args-only\n");
        assert!(!out.join("staging").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_same_binary_gives_the_same_archive_wherever_it_will_be_fetched_from() {
        let folder = folder("repeat");
        let binary = program(&folder);
        let manifest = |out: &str, url: Option<&str>| read(&spin_plugin(&binary, url, &folder.join(out)).unwrap());
        let here = manifest("a", None);
        let there = manifest("b", Some("https://example.com/tandem/"));
        assert_eq!(here["packages"][0]["sha256"], there["packages"][0]["sha256"]);
        let url = there["packages"][0]["url"].as_str().unwrap();
        assert!(url.starts_with("https://example.com/tandem/trigger-voice-") && url.ends_with(".tar.gz"), "{url}");
        // What the script for this machine says of the plugin is the same.
        let script = std::fs::read_to_string(root().join("functions/spin-trigger.sh")).unwrap();
        for field in ["name", "description", "version", "spinCompatibility", "license"] {
            let line = format!("\"{field}\": {}", there[field]);
            assert!(script.contains(&line), "{line}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_packed_is_refused_by_name() {
        let out = std::env::temp_dir().join(format!("tandem-plugin-refused-{}", std::process::id()));
        let out = out.to_str().unwrap();
        let table: [(&[&str], &str); 6] = [
            (&[], "usage: cargo xtask package"),
            (&["snap"], "there is no package `snap`"),
            (&["spin-plugin", "--binary"], "`--binary` says nothing"),
            (&["spin-plugin", "--for", "me"], "there is no option `--for`"),
            (&["spin-plugin", "--out", out, "--binary", "/nowhere/tandem"], "/nowhere/tandem: No such file"),
            (&["spin-plugin", "--out", out, "--binary", "/bin/sh", "--url", "a\"b"], "is no address"),
        ];
        for (arguments, said) in table {
            let error = run(&words(arguments)).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
        let _ = std::fs::remove_dir_all(out);
    }
}

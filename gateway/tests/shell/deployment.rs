//! The deployment files say what the program understands.

use clap::Parser as _;
use tandem::cli::Cli;
use tandem::config::{Sources, schema};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../edge-deploy/tandem.example.toml");
const UNIT: &str = include_str!("../../../edge-deploy/systemd/tandem.service");
const CONTAINERFILE: &str = include_str!("../../../edge-deploy/Containerfile");

fn environment(pairs: impl Iterator<Item = (String, String)>) -> Sources {
    Sources { file: Some(EXAMPLE.into()), env: pairs.collect(), set: Vec::new() }
}

#[test]
fn the_example_is_read_and_names_every_key() {
    let config = environment(std::iter::empty()).load().unwrap().config;
    assert_eq!((config.tenant[0].name.as_str(), config.tenant[0].keys.len()), ("acme", 2));
    let text = std::fs::read_to_string(EXAMPLE).unwrap();
    let written = |key: &str| text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
    for section in schema::SECTIONS {
        assert!(text.contains(&format!("\n[{}]\n", section.name)), "[{}]", section.name);
        for key in section.keys {
            assert!(written(key.name), "{}.{}", section.name, key.name);
        }
    }
    for key in schema::TENANT_KEYS {
        match key.kind {
            schema::Kind::Tables(_) => {}
            schema::Kind::Table(keys) => {
                assert!(text.contains(&format!("\n[tenant.{}]\n", key.name)), "[tenant.{}]", key.name);
                keys.iter().for_each(|inner| assert!(written(inner.name), "tenant.{}.{}", key.name, inner.name));
            }
            _ => assert!(written(key.name), "tenant.{}", key.name),
        }
    }
}

#[test]
fn the_unit_starts_what_the_command_line_understands() {
    let line = UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
    let variables = UNIT.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let config = environment(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).load().unwrap().config;
    assert_eq!(config.tenant[0].keys[0].hs256_secret_file.as_ref().unwrap().to_str(), Some("%d/acme.secret"));
    let patience = UNIT.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.parse::<u64>().ok()).unwrap();
    assert!(patience > config.drain.seconds, "systemd would kill a node that still drains");
}

#[test]
fn the_container_starts_what_the_command_line_understands() {
    let list = |keyword: &str| {
        let line = CONTAINERFILE.lines().find_map(|line| line.strip_prefix(keyword)).unwrap();
        serde_json::from_str::<Vec<String>>(line.trim()).unwrap()
    };
    let arguments: Vec<_> = [list("ENTRYPOINT"), list("CMD")].concat();
    Cli::try_parse_from(&arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let words = CONTAINERFILE.split_whitespace().filter_map(|word| word.split_once('='));
    let variables: Vec<_> = words.filter(|(name, _)| name.starts_with("TANDEM_")).collect();
    assert_eq!(variables.len(), 4);
    let pairs = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = environment(pairs).load().unwrap().config;
    for listen in [config.ops.listen, config.control.listen] {
        assert!(listen.ip().is_unspecified(), "{listen}: a container's loopback is its own");
        assert!(CONTAINERFILE.contains(&format!(" {}/tcp", listen.port())), "{listen} is not exposed");
    }
    assert!(CONTAINERFILE.lines().any(|line| line.starts_with("USER 1")), "it must not run as root");
}

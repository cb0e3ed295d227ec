//! Components are checked when they are loaded, and compiled once.

mod kit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kit::{INCOMING, call, guest, host, patient};
use tandem_host::{Host, HostConfig, Kind, Limits, LoadError, Origin};

/// A component that imports an empty instance under this name and, if it shall, exports it again. Component model, `Binary.md`.
fn importing(name: &str, export_as: Option<&str>) -> Vec<u8> {
    let named = |name: &str| [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    let section = |id: u8, body: Vec<u8>| [vec![id, u8::try_from(body.len()).unwrap()], body].concat();
    let types = section(7, vec![1, 0x42, 0]);
    let imports = section(10, [vec![1], named(name), vec![5, 0]].concat());
    let exports = export_as.map(|export| section(11, [vec![1], named(export), vec![5, 0, 0]].concat()));
    [b"\0asm\x0d\0\x01\0".to_vec(), types, imports, exports.unwrap_or_default()].concat()
}

fn refusal(bytes: &[u8]) -> LoadError {
    host(patient()).load(bytes).unwrap_err()
}

#[test]
fn an_import_outside_the_contract_is_refused_by_its_name() {
    let error = refusal(&importing("wasi:sockets/tcp@0.2.6", None));
    assert_eq!(error, LoadError::ForeignImports(vec!["wasi:sockets/tcp@0.2.6".into()]));
    assert!(error.to_string().contains("`wasi:sockets/tcp@0.2.6`"), "{error}");
}

#[test]
fn a_component_that_is_no_router_is_told_what_it_lacks() {
    let error = refusal(&importing("tandem:voice/types@0.1.0", None));
    assert_eq!(error, LoadError::NoRoute(vec![]));
    let error = refusal(&importing("tandem:voice/types@0.1.0", Some("route")));
    assert_eq!(error, LoadError::WrongRoute("it is not a function".into()));
}

#[test]
fn what_is_no_component_is_told_apart() {
    let whole = guest("front-desk");
    assert_eq!(refusal(b"hello, this is not wasm"), LoadError::NotWasm);
    assert_eq!(refusal(b"\0asm\x01\0\0\0"), LoadError::CoreModule);
    let half = whole.len() / 2;
    assert_eq!(refusal(&whole[..half]), LoadError::Truncated { bytes: half });
    let mut broken = whole.clone();
    broken[8..200].fill(0);
    assert!(matches!(refusal(&broken), LoadError::Invalid(_) | LoadError::Truncated { .. }));
    let small = host(Limits { component_bytes_max: 1000, ..patient() });
    assert_eq!(small.load(&whole).unwrap_err(), LoadError::TooLarge { bytes: whole.len(), max: 1000 });
}

#[test]
fn a_component_that_traps_as_it_starts_is_refused_and_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let error = caching(directory.path()).load(&guest("start-trap")).unwrap_err();
        assert!(matches!(&error, LoadError::DoesNotStart(why) if why.contains("unreachable")), "{error}");
    }
    assert!(compiled_files(directory.path()).is_empty());
}

#[test]
fn a_component_by_spin_sdk_6_is_told_to_be_rebuilt() {
    let handler = "wasi:http/handler@0.3.0-rc-2026-03-15";
    let error = refusal(&importing("wasi:http/types@0.3.0-rc-2026-03-15", Some(handler)));
    assert_eq!(error, LoadError::OutdatedHandler(handler.into()));
    assert!(error.to_string().ends_with("rebuild it with spin-sdk 7"), "{error}");
}

#[test]
fn a_component_that_begins_with_too_much_memory_is_refused() {
    let tight = host(Limits { memory_bytes_max: 64 * 1024, ..patient() });
    let error = tight.load(&guest("front-desk")).unwrap_err();
    assert!(matches!(&error, LoadError::Invalid(why) if why.contains("memory")), "{error}");
}

#[test]
fn an_inspection_says_what_a_component_is() {
    let host = host(patient());
    let bytes = guest("front-desk");
    let inspection = host.inspect(&bytes).unwrap();
    let exports: BTreeSet<&str> = inspection.exports.iter().map(String::as_str).collect();
    assert_eq!(exports, BTreeSet::from(["route", "wasi:http/incoming-handler@0.2.12"]));
    assert!(inspection.imports.iter().any(|name| name == "tandem:voice/types@0.1.0"), "{inspection:?}");
    assert_eq!((inspection.bytes, &inspection.kind), (bytes.len(), &Ok(Kind::Router)));
    assert_eq!(inspection.verdict(), "it is a routing function (world `router`), and this gateway loads it");
    let foreign = host.inspect(&importing("wasi:sockets/tcp@0.2.6", None)).unwrap();
    assert!(foreign.verdict().contains("wasi:sockets/tcp@0.2.6"), "{}", foreign.verdict());
}

fn caching(directory: &Path) -> Host {
    Host::new(HostConfig { limits: patient(), cache: Some(directory.to_owned()) }).unwrap()
}

/// Loads a component as a node does that has run before or not, and waits until it is compiled well.
fn origin(directory: &Path, bytes: &[u8]) -> Origin {
    let host = caching(directory);
    let function = host.load(bytes).unwrap();
    host.settle();
    function.origin()
}

fn compiled_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

#[tokio::test]
async fn what_was_compiled_once_comes_from_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = guest("front-desk");
    assert_eq!(origin(directory.path(), &bytes), Origin::Compiled);
    let host = caching(directory.path());
    let function = host.load(&bytes).unwrap();
    assert_eq!(function.origin(), Origin::Cached);
    let invocation = host.invoke(&function, &call("carol", "front-desk"), &INCOMING).await;
    assert!(invocation.answer.is_ok(), "{invocation:?}");
}

#[test]
fn a_corrupted_cache_file_is_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = guest("block-list");
    let origin = || origin(directory.path(), &bytes);
    assert_eq!(origin(), Origin::Compiled);
    let file = compiled_files(directory.path()).pop().expect("one file");

    let mut code = std::fs::read(&file).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::write(&file, &code).unwrap();
    assert_eq!(origin(), Origin::Compiled, "a flipped bit");
    assert_eq!(origin(), Origin::Cached, "it was replaced");

    std::fs::write(&file, b"").unwrap();
    assert_eq!(origin(), Origin::Compiled, "an empty file");
    std::fs::remove_file(file.with_extension("sha256")).unwrap();
    assert_eq!(origin(), Origin::Compiled, "a file without its digest");
    assert_eq!(compiled_files(directory.path()).len(), 1);
}

/// Whoever is asked while it is compiled anew gets its answer from what there is.
#[tokio::test]
async fn a_function_answers_before_and_after_it_is_compiled_well() {
    let directory = tempfile::tempdir().unwrap();
    let host = caching(directory.path());
    let bytes = guest("front-desk");
    let function = host.load(&bytes).unwrap();
    // Where there is no fast compiler, it is compiled well at once.
    assert_eq!(function.is_compiled_well(), !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")));
    let first = host.invoke(&function, &call("carol", "front-desk"), &INCOMING).await.answer.unwrap();
    host.settle();
    assert!(function.is_compiled_well());
    assert_eq!(compiled_files(directory.path()).len(), 1, "what is compiled well is kept");
    let second = host.invoke(&function, &call("carol", "front-desk"), &INCOMING).await.answer.unwrap();
    assert_eq!(first, second);
}

#[test]
fn when_too_much_waits_a_component_is_compiled_well_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { optimising_bytes_max: 0, ..patient() };
    let host = Host::new(HostConfig { limits, cache: Some(directory.path().to_owned()) }).unwrap();
    let function = host.load(&guest("front-desk")).unwrap();
    assert_eq!((function.origin(), function.is_compiled_well()), (Origin::Compiled, true));
    assert_eq!(compiled_files(directory.path()).len(), 1);
}

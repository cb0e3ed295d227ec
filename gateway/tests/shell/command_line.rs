//! The binary as people run it.

use std::process::{Command, Output};

use tandem::config::{Secret, SigningKey, Tenant};
use tandem::store::Store;
use tandem::token::Keyring;
use tandem_switch::time::UnixMillis;

fn tandem(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(arguments).env_clear().envs(env.iter().copied()).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_effective_configuration_is_printed() {
    let output = tandem(&["serve", "--print-config"], &[("TANDEM_MEDIA__SHARDS", "7")]);
    assert!(out(&output).contains("shards = 7\n"));
}

#[test]
fn mistakes_are_answered_in_plain_words_with_a_hint() {
    let error = refusal(&tandem(&["serve", "--print-config", "--set", "media.shard=7"], &[]));
    assert!(error.starts_with("error: --set: unknown key `media.shard`, did you mean `media.shards`?"), "{error}");
    assert!(error.contains("\nhint: `tandem serve --print-config`"), "{error}");
    let unknown = tandem(&["sevre"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("serve"));
}

#[test]
fn a_configuration_is_checked_with_the_files_that_it_names() {
    let missing = refusal(&tandem(
        &["serve", "--check", "--set", "tenant.0.name=acme", "--set", "tenant.0.function=/nowhere.wasm"],
        &[],
    ));
    assert!(missing.contains("the function of tenant acme, /nowhere.wasm"), "{missing}");
    assert_eq!(out(&tandem(&["serve", "--check"], &[])), "the configuration is good\n");
}

#[test]
fn a_token_is_signed_that_the_gateway_takes() {
    let secret = "0123456789abcdef0123456789abcdef";
    let env = [("TANDEM_TENANT__0__NAME", "acme"), ("TANDEM_TENANT__0__KEYS__0__HS256_SECRET", secret)];
    let arguments =
        ["token", "--tenant", "acme", "--user", "alice", "--name", "Alice", "--grants", "call", "--ttl", "15m"];
    let token = out(&tandem(&arguments, &env));
    let key = SigningKey { hs256_secret: Some(Secret::new(secret)), ..SigningKey::default() };
    let keyring = Keyring::new(&[Tenant { name: "acme".into(), keys: vec![key], ..Tenant::default() }]).unwrap();
    let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let identity = keyring.verify(token.trim_end(), UnixMillis(now)).unwrap();
    assert_eq!((identity.user.as_str(), identity.name.as_deref(), identity.grants.len()), ("alice", Some("Alice"), 1));
    assert!((now + 890_000..=now + 901_000).contains(&identity.expires_at.0));
    let stranger = refusal(&tandem(&["token", "--tenant", "acne", "--user", "alice"], &env));
    assert!(stranger.contains("there is no tenant acne; the configuration has: acme"), "{stranger}");
    let forever = refusal(&tandem(&["token", "--tenant", "acme", "--user", "alice", "--ttl", "25h"], &env));
    assert!(forever.contains("1s to 24h"), "{forever}");
}

#[test]
fn records_are_read_while_the_store_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert!(refusal(&tandem(&["records", "--data-dir", path], &[])).contains("there is no store at"));
    let store = Store::open(directory.path()).unwrap();
    let json = r#"{"call":"00000000000000000000000001","tenant":"acme","from":"alice","to":"bob\u001b[2J","transport":"webtransport",
        "started_at":1800000000000,"ringing_at":null,"answered_at":1800000001000,"ended_at":1800000066000,"answered_by":"bob",
        "cause":"normal","ended_by":"caller","consultations":[],"voice":[]}"#;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.insert_record(serde_json::from_str(json).unwrap())).unwrap();
    let table = out(&tandem(&["records", "--data-dir", path], &[]));
    assert!(table.contains("2027-01-15T08:00:00Z") && table.contains("1:05") && table.contains("normal"), "{table}");
    assert!(!table.contains('\u{1b}'), "a dialled address must not command the terminal");
    let line = out(&tandem(&["records", "--data-dir", path, "--json", "--user", "alice"], &[]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["ended_by"], "caller");
    assert_eq!(out(&tandem(&["records", "--data-dir", path, "--json", "--user", "carol"], &[])), "");
    assert!(
        refusal(&tandem(&["records", "--data-dir", path, "--since", "soon"], &[]))
            .contains("--since: \"soon\" is no time")
    );
    drop(store);
}

#[test]
fn what_is_no_component_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.wasm");
    std::fs::write(&file, "hello").unwrap();
    let error = refusal(&tandem(&["check", file.to_str().unwrap()], &[]));
    assert!(error.contains("x.wasm: this is not WebAssembly"), "{error}");
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&tandem(&["completions", shell], &[])).contains("print-config"), "{shell}");
    }
}

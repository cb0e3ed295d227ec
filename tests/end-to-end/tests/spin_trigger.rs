//! `tandem` as Spin's voice trigger: a Spin application's component routes the calls of a gateway that `spin up` starts.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tandem_client::TransportChoice::WebTransport;
use tandem_end_to_end::spin::Application;
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, PATIENCE, Phone, function, signal};
use tandem_switch::cause::Cause;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

async fn application(package: &str) -> anyhow::Result<Application> {
    Application::new(&function::component(package).await?).await
}

async fn sign_in(gateway: &Gateway, user: &str) -> anyhow::Result<Phone> {
    Phone::with_token(gateway, user, &gateway.demo_token(user)?, WebTransport).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn an_applications_component_routes_a_call() -> anyhow::Result<()> {
    let mut gateway = application("spin-app").await?.up().await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let mut carol = sign_in(&gateway, "carol").await?;
    // Nobody is called so: without the application nobody would ring.
    let call = carol.dial("front-desk").await?;
    assert_eq!(alice.rings().await?, call);
    alice.client.answer(call).await?;
    carol.connected(call, CALLER_HZ).await?;
    alice.connected(call, CALLEE_HZ).await?;
    carol.hears(CALLEE_HZ).await?;
    alice.hears(CALLER_HZ).await?;
    alice.hang_up(call).await?;
    assert_eq!(carol.ended(call).await?, Cause::Normal);
    let records = gateway.await_records(1).await?;
    let asked = &records[0].consultations[0];
    assert_eq!((asked.version.as_str(), asked.failure.as_deref()), ("main@1", None));

    // Ctrl-C on `spin up`; and the next `spin up` goes on with the same data.
    gateway.signal("TERM").await?;
    assert_eq!(gateway.ended().await?.code(), Some(0), "{}", gateway.log());
    gateway.restart().await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let carol = sign_in(&gateway, "carol").await?;
    let call = carol.dial("front-desk").await?;
    assert_eq!(alice.rings().await?, call);
    gateway.signal("INT").await?;
    assert_eq!(gateway.ended().await?.code(), Some(0), "{}", gateway.log());
    assert_eq!(gateway.log(), "");
    Ok(())
}

#[tokio::test]
async fn a_component_gets_the_variables_and_hosts_that_its_application_gives_it() -> anyhow::Result<()> {
    let mut application = application("crm").await?;
    application.locked["variables"] =
        json!({ "crm_url": { "default": "http://127.0.0.1:1" }, "crm_token": { "secret": true } });
    let component = &mut application.locked["components"][0];
    component["config"] = json!({ "crm_url": "{{ crm_url }}", "crm_token": "{{ crm_token }}" });
    component["metadata"]["allowed_outbound_hosts"] = json!(["{{ crm_url }}"]);
    component["metadata"]["key_value_stores"] = json!(["default"]);
    let refused = application.fails().await?;
    let said = text(&refused.stderr);
    assert!(said.contains("variable crm_token has no value; set SPIN_VARIABLE_CRM_TOKEN"), "{said}");
    application.environment.push(("SPIN_VARIABLE_CRM_TOKEN", "hush".to_owned()));
    let gateway = application.up().await?;
    let list = gateway.command("demo", &["variable".into(), "list".into(), "--json".into()]).await?;
    assert!(list.contains("http://127.0.0.1:1") && list.contains("crm_token") && !list.contains("hush"), "{list}");
    let versions = gateway.command("demo", &["versions".into(), "--json".into()]).await?;
    let version: Value = serde_json::from_str(versions.lines().next().context("a version")?)?;
    assert_eq!(version["manifest"]["allowed-outbound-hosts"], json!(["http://127.0.0.1:1"]), "{version}");
    Ok(())
}

#[tokio::test]
async fn spin_asks_what_options_there_are() -> anyhow::Result<()> {
    let application = application("front-desk").await?;
    let Output { status, stdout, stderr } = application.asked("--help-args-only").await?;
    assert_eq!((status.code(), text(&stderr)), (Some(0), String::new()));
    let help = text(&stdout);
    let Output { status, stdout, stderr } = application.asked("--launch-metadata-only").await?;
    assert_eq!((status.code(), text(&stdout)), (Some(0), String::new()));
    let metadata: Value = serde_json::from_slice(&stderr)?;
    let flags = metadata["all_flags"].as_array().context("a list of options")?;
    ensure!(flags.len() >= 5, "{metadata}");
    for flag in flags {
        let long = flag["long"].as_str().context("a long option")?;
        assert!(long.starts_with("--voice-") && help.contains(long), "{long}: {help}");
    }
    // By hand, it says who starts it.
    let unset = application.asked("--voice-user=alice").await?;
    assert_eq!(unset.status.code(), Some(1));
    assert!(text(&unset.stderr).contains("which `spin up` starts"), "{}", text(&unset.stderr));
    Ok(())
}

#[tokio::test]
async fn an_application_that_cannot_be_served_is_refused_in_plain_words() -> anyhow::Result<()> {
    type Change = fn(&mut Value, &Path);
    let table: [(Change, &str); 6] = [
        (
            |locked, _| {
                locked["spin_lock_version"] = json!(1);
                locked["must_understand"] = json!(["host_requirements"]);
            },
            "the application needs what the voice trigger does not have: host_requirements",
        ),
        (
            |locked, _| locked["components"][0]["source"]["source"] = json!("file:///nowhere/a%20router.wasm"),
            "cannot read /nowhere/a router.wasm; `spin build` makes it",
        ),
        (
            |locked, none| locked["components"][0]["source"]["source"] = json!(format!("file://{}", none.display())),
            "this is not WebAssembly",
        ),
        (|locked, _| locked["triggers"][0]["trigger_config"]["component"] = json!("nobody"), "which there is none of"),
        (|locked, _| locked["triggers"][0]["trigger_type"] = json!("http"), "the application has no [[trigger.voice]]"),
        (|locked, _| *locked = json!("hello"), "this is no locked Spin application"),
    ];
    let no_component = tempfile::NamedTempFile::new()?;
    std::fs::write(no_component.path(), "hello")?;
    for (change, said) in table {
        let mut application = application("front-desk").await?;
        change(&mut application.locked, no_component.path());
        let output = application.fails().await?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{said}: {}", text(&output.stderr));
        assert!(!text(&output.stdout).contains("is live"), "{}", text(&output.stdout));
    }
    Ok(())
}

/// Waits until a file is there, while the process runs.
async fn appears(process: &mut Child, file: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        if let Some(status) = process.try_wait()? {
            bail!("it ended before {} was there: {status}", file.display());
        }
        ensure!(Instant::now() < deadline, "{} does not appear", file.display());
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_is_stopped_while_it_starts_ends_well_and_leaves_nothing_in_the_way() -> anyhow::Result<()> {
    let application = application("front-desk").await?;
    let launch = application.launch()?;
    let data = &launch.data_dir;
    // In this order they appear: the demo tenant's secret, the operator's token, where the node listens; then the component is compiled.
    for (sign, name) in [("demo-secret", "TERM"), ("operator-token", "INT"), ("ports.json", "TERM")] {
        std::fs::remove_file(data.join(sign)).ok();
        let mut process = launch.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        appears(&mut process, &data.join(sign)).await?;
        signal(&process, name).await?;
        let output = timeout(PATIENCE, process.wait_with_output()).await.context("it does not end")??;
        assert_eq!(output.status.code(), Some(0), "{sign}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{sign}");
        // So that the next one compiles again.
        std::fs::remove_dir_all(data.join("compiled")).ok();
    }
    let left: Vec<_> = std::fs::read_dir(data)?.flatten().map(|entry| entry.file_name()).collect();
    let unfinished = left.iter().find(|name| name.to_string_lossy().ends_with(".new"));
    assert_eq!(unfinished, None, "{left:?}");
    // The same data serve a start that nobody interrupts.
    std::fs::remove_file(data.join("ports.json"))?;
    let gateway = application.up().await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let carol = sign_in(&gateway, "carol").await?;
    let call = carol.dial("front-desk").await?;
    assert_eq!(alice.rings().await?, call);
    Ok(())
}

//! From nothing to a function in service, the way that functions/README.md tells it: a tenant is made, a function comes from the template, is
//! edited, built, deployed, called and looked at; a broken version loses no call and is taken back by itself; a replay says beforehand
//! what a new version would change.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tandem_client::TransportChoice::WebTransport;
use tandem_end_to_end::token::{claims, sign};
use tandem_end_to_end::{Gateway, PATIENCE, Phone, Settings};
use tandem_switch::cause::Cause;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

const TENANT: &str = "initech";

/// How many calls it takes until a version has proven good: each asks twice, when it comes in and when it has ended.
const GOOD_CALLS: usize = 12;

/// How many calls meet the broken version before it has to be gone: a few more than a roll-out needs to be judged.
const BROKEN_CALLS: usize = 12;

/// What a developer has on their machine: the binary, a project, and the tenant's control token in a file.
struct Developer {
    binary: PathBuf,
    project: PathBuf,
    server: String,
    fingerprint: String,
    token: PathBuf,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Developer {
    /// Runs a subcommand of `tandem` with the tenant's own token, over the network interface that everybody else uses.
    async fn tandem(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.project).stdin(Stdio::null()).kill_on_drop(true);
        // As on a developer's machine: a project's target folder is its own.
        command.env_remove("CARGO_TARGET_DIR");
        command.args(["--server", &self.server, "--fingerprint", &self.fingerprint, "--token-file"]).arg(&self.token);
        // A first build of the project compiles the SDK.
        let output = timeout(PATIENCE * 15, command.output()).await.context("it takes too long")??;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().context("it was killed")?;
        Ok(Said { code, out: text(&output.stdout), err: text(&output.stderr) })
    }

    async fn done(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let said = self.tandem(arguments).await?;
        ensure!(said.code == 0, "tandem {}: exit {}\n{}\n{}", arguments.join(" "), said.code, said.out, said.err);
        Ok(said.out)
    }

    /// Every object that a subcommand lists.
    async fn list(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let out = self.done(&[arguments, &["--json"]].concat()).await?;
        out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Changes a line of the function's source.
    fn edit(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let file = self.project.join("src/lib.rs");
        let source = std::fs::read_to_string(&file)?;
        ensure!(source.contains(from), "{from} is not in {source}");
        Ok(std::fs::write(file, source.replacen(from, to, 1))?)
    }
}

async fn operator(gateway: &Gateway, tenant: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    gateway.command(tenant, &arguments).await
}

fn template(folder: &Path) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the tests are two levels down")?;
    let project = folder.join("my-router");
    let script = root.join("functions/new.sh");
    let status = std::process::Command::new("sh").arg(script).arg(&project).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "new.sh: {status}");
    Ok(project)
}

/// Dials the team, whose one member lets it ring and declines; says which version decided, and what was carried out instead of it.
async fn call_the_team(caller: &mut Phone, member: &mut Phone) -> anyhow::Result<()> {
    let call = caller.dial("team").await?;
    ensure!(member.rings().await? == call, "another call rings");
    member.client.decline(call).await?;
    ensure!(caller.ended(call).await? == Cause::NoAnswer, "the plan's last step");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tenant_gets_from_nothing_to_a_function_that_heals_itself() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;

    // The operator makes the tenant, and gives its developer a token.
    operator(&gateway, "", &["tenant", "create", TENANT]).await?;
    let token = operator(&gateway, TENANT, &["api-token", "create", "--name", "owner"]).await?;
    let token_file = gateway.folder().join("initech.token");
    std::fs::write(&token_file, token.trim())?;
    let developer = Developer {
        binary: gateway.binary().to_owned(),
        project: template(gateway.folder())?,
        server: format!("https://{}", gateway.control_address()),
        fingerprint: gateway.certificate_hash().to_owned(),
        token: token_file,
    };

    // The developer makes a key for users' tokens, edits a line, and deploys.
    let secret = developer.done(&["key", "add", "first"]).await?;
    let user =
        |name: &str| sign(&tandem_end_to_end::token::Claims { iss: TENANT.into(), ..claims(name) }, secret.trim());
    developer.edit("[\"alice\", \"bob\"]", "[\"bob\"]")?;
    developer.edit(": [&str; 2]", ": [&str; 1]")?;
    developer.done(&["deploy", "."]).await?;

    // Calls are routed by it, and each decision can be looked at.
    let mut alice = Phone::with_token(&gateway, "alice", &user("alice"), WebTransport).await?;
    let mut bob = Phone::with_token(&gateway, "bob", &user("bob"), WebTransport).await?;
    for _ in 0..GOOD_CALLS {
        call_the_team(&mut alice, &mut bob).await?;
    }
    let seen = invocations(&developer, GOOD_CALLS).await?;
    let first = seen.last().context("an invocation")?;
    assert_eq!(
        (&first["function"], &first["version"], &first["failure"]),
        (&"my-router".into(), &1.into(), &Value::Null)
    );
    assert_eq!(first["plan"]["steps"][0], "ring-back");

    // A version that always panics: every call is still routed, by the last good one, until it is taken back by itself.
    developer.edit("match event {", "if context.to == TEAM { panic!(\"on purpose\") }\n        match event {")?;
    developer.done(&["deploy", "."]).await?;
    for _ in 0..BROKEN_CALLS {
        call_the_team(&mut alice, &mut bob).await?;
    }
    let versions = versions_when(&developer, 2, "rolled-back").await?;
    let good = versions.iter().find(|version| version["number"] == 1).context("version 1")?;
    assert_eq!(good["state"], "good", "{versions:?}");
    let functions = developer.list(&["functions"]).await?;
    assert_eq!(functions[0]["live"], 1, "{functions:?}");
    let audit = operator(&gateway, TENANT, &["audit", "--json"]).await?;
    assert!(audit.contains("\"actor\":\"gateway\""), "{audit}");
    let failed = developer.list(&["invocations", "--failed"]).await?;
    ensure!((1..=BROKEN_CALLS).contains(&failed.len()), "{failed:?}");
    for invocation in &failed {
        assert!(invocation["failure"].as_str().is_some_and(|why| why.contains("trapped")), "{invocation}");
        assert_eq!(invocation["instead"]["last-good-version"], "my-router@1", "{invocation}");
    }
    let rolled_back = Instant::now();
    call_the_team(&mut alice, &mut bob).await?;
    ensure!(rolled_back.elapsed() < PATIENCE, "calls go on");

    // Before the next version is deployed, a replay says what it changes: the broken one as nothing, the mended one as something.
    developer.edit("if context.to == TEAM { panic!(\"on purpose\") }\n", "")?;
    build(&developer).await?;
    let component = developer.project.join("target/wasm32-wasip2/release/my_router.wasm");
    let component = component.to_str().context("a path of UTF-8")?;
    let same = developer.tandem(&["replay", "last", "5", "--with", component]).await?;
    assert_eq!(same.code, 0, "{}\n{}", same.out, same.err);
    developer.edit("for_seconds(20)", "for_seconds(25)")?;
    build(&developer).await?;
    let changed = developer.tandem(&["replay", "last", "5", "--with", component]).await?;
    assert_eq!(changed.code, 3, "{}\n{}", changed.out, changed.err);
    let gated = developer.tandem(&["deploy", ".", "--replay", "5"]).await?;
    assert_eq!(gated.code, 3, "{}\n{}", gated.out, gated.err);
    assert_eq!(developer.list(&["functions"]).await?[0]["live"], 1);
    developer.done(&["deploy", ".", "--replay", "5", "--accept-changes"]).await?;
    assert_eq!(developer.list(&["functions"]).await?[0]["live"], 3);
    developer.done(&["rollback"]).await?;
    assert_eq!(developer.list(&["functions"]).await?[0]["live"], 1);
    Ok(())
}

async fn build(developer: &Developer) -> anyhow::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]).current_dir(&developer.project);
    let status = cargo.env_remove("CARGO_TARGET_DIR").status().await?;
    ensure!(status.success(), "the project does not build");
    Ok(())
}

/// The invocations of incoming calls, once there are `count`; they are written behind the calls.
async fn invocations(developer: &Developer, count: usize) -> anyhow::Result<Vec<Value>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = developer.list(&["invocations"]).await?;
        let incoming: Vec<Value> = all.into_iter().filter(|invocation| invocation["event"] == "incoming").collect();
        if incoming.len() >= count {
            return Ok(incoming);
        }
        if Instant::now() > deadline {
            bail!("{count} invocations expected: {incoming:?}");
        }
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The versions, once one of them stands as expected; what the gateway finds out is written behind the calls.
async fn versions_when(developer: &Developer, number: u64, state: &str) -> anyhow::Result<Vec<Value>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let versions = developer.list(&["versions"]).await?;
        if versions.iter().any(|version| version["number"] == number && version["state"] == state) {
            return Ok(versions);
        }
        if Instant::now() > deadline {
            bail!("version {number} is not {state}: {versions:?}");
        }
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

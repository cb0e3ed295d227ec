//! `tandem deploy`: from a folder or a component file to a version that answers calls.
//!
//! Build, check here, replay if asked, upload under the digest, make a version, roll it out. Whatever fails before the last step leaves
//! calls as they are.

mod manifest;
mod project;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tandem_host::Inspection;
use tandem_switch::id::FunctionId;

use self::project::Project;
use super::functions::path;
use super::remote::show::{Format, Paint, micros, progress, size};
use super::remote::{Client, ConnectionArgs};
use super::replay::{self, Which};
use super::sign::{read_key, signature};
use crate::tenants::model::{Deployment, Manifest, NewDeployment, NewVersion, RollbackRule, Version};

/// Arguments of `tandem deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem deploy                                        what is in this folder: a Spin application or a Rust crate
  tandem deploy ./front-desk --percent 10              on a tenth of the calls; then `tandem promote`
  tandem deploy router.wasm --function front-desk --allow-host https://crm.example.com
  tandem deploy --replay 1000                          only if no recorded decision changes

The first function of a tenant answers every call; `tandem bind` says otherwise.
Exit codes: 0 deployed, 1 error, 2 wrong usage, 3 not deployed because recorded decisions change.")]
pub struct DeployArgs {
    /// A folder with a spin.toml or a Cargo.toml, or a component file.
    #[arg(default_value = ".", value_name = "FOLDER | FILE.wasm")]
    source: PathBuf,
    /// The function's name; else that of the component, crate or file.
    #[arg(long)]
    function: Option<String>,
    /// Which component of a Spin application that has several.
    #[arg(long)]
    component: Option<String>,
    /// Do not build: take the component as it was built last (Spin applications).
    #[arg(long)]
    no_build: bool,
    /// On how many of a hundred calls, 1 to 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: Option<u8>,
    /// Where its outgoing HTTP may go, as in Spin: https://crm.example.com; repeat for more. Adds to the Spin manifest's.
    #[arg(long = "allow-host", value_name = "URL")]
    allowed_hosts: Vec<String>,
    /// A key-value store that it may open, by its label; repeat for more. Adds to the Spin manifest's.
    #[arg(long = "key-value-store", value_name = "LABEL")]
    stores: Vec<String>,
    /// Replay so many of the newest recorded decisions first, and stop when one changes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    replay: Option<u16>,
    /// Deploy although recorded decisions change.
    #[arg(long, requires = "replay")]
    accept_changes: bool,
    /// Sign the component with the Ed25519 key in this file (`tandem sign --new-key` makes one).
    #[arg(long, value_name = "FILE")]
    sign_with: Option<PathBuf>,
    /// Roll back by itself when more than so many of a hundred invocations fail; 100: never.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    rollback_at: Option<u8>,
    /// What to remember of this version: a commit, say.
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) async fn run(args: DeployArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let client = Client::new(args.connection.connection()?)?;
    // Whoever may not ask learns it before a long build.
    let tenant = client.tenant().await?;
    let project = Project::find(&args.source, args.component.as_deref())?;
    let function = FunctionId::new(args.function.as_deref().unwrap_or(project.name()))
        .context("the function's name; --function gives it another")?;
    let key = args.sign_with.as_deref().map(read_key).transpose()?;
    if !args.no_build {
        project.build().await?;
    }
    let component = project.component().await?;
    let found = inspect(component.clone()).await?;
    progress(&format!("{}: {}, SHA-256 {}", project.shown(), size(component.len() as u64), found.digest.short()));
    gate(&client, &function, &args, &component).await?;

    let uploading = Instant::now();
    let digest = found.digest.to_string();
    let signature = key.as_ref().map(|key| signature(key, &component));
    client.put_bytes(&client.path(&format!("/components/{digest}")).await?, component).await?;
    let version = NewVersion { digest, manifest: manifest(&args, project.manifest()), signature };
    let functions = path(&client, &function).await?;
    let version: Version = client.post(&format!("{functions}/versions"), &version).await?;
    let uploaded = uploading.elapsed();

    let mut rollback = RollbackRule::default();
    rollback.error_percent = args.rollback_at.unwrap_or(rollback.error_percent);
    let deployment = NewDeployment { version: version.number, percent: args.percent, rollback };
    let deployment: Deployment = client.post(&format!("{functions}/deployments"), &deployment).await?;
    args.format.one(&deployment, |deployment| live(deployment, tenant.as_str()))?;
    let taken = |span: std::time::Duration| micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    progress(&format!("(upload and check {}, all in all {})", taken(uploaded), taken(started.elapsed())));
    Ok(())
}

/// What is live now, and what one may do about it.
fn live(deployment: &Deployment, tenant: &str) -> String {
    let Deployment { function, version, percent, rollback, .. } = deployment;
    let mut text = match percent {
        100 => format!("{function}@{version} answers all new calls of {tenant}.\n"),
        percent => format!(
            "{function}@{version} answers {percent} % of new calls of {tenant}.\n  all of them:  tandem promote {function}\n"
        ),
    };
    text += &format!("  back:         tandem rollback {function}\n  watch:        tandem logs -f\n");
    if rollback.error_percent < 100 {
        text += &format!(
            "It is rolled back by itself when more than {} % of its invocations fail.\n",
            rollback.error_percent
        );
    }
    text
}

/// Looks at a component as the gateway will, before anything is uploaded.
async fn inspect(component: Vec<u8>) -> anyhow::Result<Inspection> {
    let host = Arc::new(super::check::host()?);
    let found = tokio::task::spawn_blocking(move || host.inspect(&component)).await??;
    found.kind.clone()?;
    Ok(found)
}

/// With `--replay`: no recorded decision may change, unless that is accepted.
async fn gate(client: &Client, function: &FunctionId, args: &DeployArgs, component: &[u8]) -> anyhow::Result<()> {
    let Some(count) = args.replay else { return Ok(()) };
    let which = Which::Last(count.into());
    let Some(report) = replay::replay(client, function, which, &args.source, component.to_vec()).await? else {
        progress("nothing is recorded of this function yet, so there is nothing to replay");
        return Ok(());
    };
    eprint!("{}", report.words(Paint::Plain));
    match report.verdict() {
        Err(change) if !args.accept_changes => {
            Err(change.context("not deployed; --accept-changes deploys nevertheless"))
        }
        _ => Ok(()),
    }
}

fn manifest(args: &DeployArgs, found: &Manifest) -> Manifest {
    let joined = |found: &[String], given: &[String]| {
        let mut all = found.to_vec();
        all.extend(given.iter().filter(|one| !found.contains(one)).cloned());
        all
    };
    Manifest {
        allowed_outbound_hosts: joined(&found.allowed_outbound_hosts, &args.allowed_hosts),
        key_value_stores: joined(&found.key_value_stores, &args.stores),
        note: args.note.clone(),
    }
}

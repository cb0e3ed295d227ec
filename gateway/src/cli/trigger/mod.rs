//! `tandem` as the executable behind `[[trigger.voice]]` of a Spin application: `spin up` starts a gateway on this machine whose calls the
//! application's component routes.
//!
//! The protocol is Spin's for trigger plugins (Spin 2 to 4): the locked application is a JSON file that SPIN_LOCKED_URL names; two options
//! ask what options there are; SIGTERM or Ctrl-C ends it with exit code 0. It watches nothing: `spin watch` starts a new process.

mod locked;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use tandem_switch::id::{FunctionId, TenantId};
use url::Url;

use self::locked::{Application, Function};
use super::dev::{self, DevArgs};
use crate::gateway::{Gateway, Signals};
use crate::tenants::Tenants;
use crate::tenants::model::{Actor, NewDeployment, NewVersion, RollbackRule};

/// What the executable is called in Spin's plugin folder, and the hidden subcommand of the same meaning.
pub(super) const NAME: &str = "trigger-voice";

/// What the function is called: as `tandem dev` calls the demo tenant's, so that one data directory serves both.
const FUNCTION: &str = "main";

/// Most bytes of a locked application: thousands of components.
const LOCKED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Options of the voice trigger, given to `spin up`.
#[derive(Debug, Parser)]
#[command(name = NAME, about = "Options of the voice trigger:", disable_version_flag = true)]
pub struct TriggerArgs {
    /// TCP address of the softphone page; loopback only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    voice_listen: SocketAddr,
    /// UDP (WebTransport) and TCP (WebSocket over TLS) address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    voice_media: SocketAddr,
    /// TCP address of the live page, health and metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    voice_ops: SocketAddr,
    /// TCP address of the control API; a free port unless said otherwise: `tandem login --data-dir FOLDER` finds it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    voice_control: SocketAddr,
    /// Where records and the demo tenant's secret are kept; else .spin/tandem beside the application.
    #[arg(long, value_name = "FOLDER")]
    voice_data_dir: Option<PathBuf>,
    /// A demo user; repeat for more.
    #[arg(long = "voice-user", value_name = "NAME", default_values = ["alice", "bob"])]
    voice_users: Vec<String>,
    /// Print these options, as `spin up --help` asks.
    #[arg(long, hide = true)]
    help_args_only: bool,
    /// Print these options as JSON on standard error, as `spin up` asks before it starts.
    #[arg(long, hide = true)]
    launch_metadata_only: bool,
}

/// The arguments, when this process was started under the trigger's name.
pub(super) fn called_by_spin() -> Option<TriggerArgs> {
    let program = std::env::args_os().next()?;
    (Path::new(&program).file_stem()? == NAME).then(TriggerArgs::parse)
}

pub(super) fn run(args: TriggerArgs) -> anyhow::Result<()> {
    if args.help_args_only {
        return Ok(write!(std::io::stdout(), "{}", TriggerArgs::command().bin_name("spin up").render_help())?);
    }
    if args.launch_metadata_only {
        return Ok(writeln!(std::io::stderr(), "{}", launch_metadata())?);
    }
    super::block_on(serve(args))
}

/// The options that `spin up` shall take for ours.
fn launch_metadata() -> serde_json::Value {
    let command = TriggerArgs::command().bin_name("spin up");
    let options = command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long);
    let flags: Vec<_> = options.map(|long| serde_json::json!({ "long": format!("--{long}") })).collect();
    serde_json::json!({ "all_flags": flags })
}

async fn serve(args: TriggerArgs) -> anyhow::Result<()> {
    // First of all: Spin may stop the trigger while it still starts.
    let mut signals = Signals::watch()?;
    match signals.unless_stopped(Box::pin(start(args))).await {
        Some(gateway) => gateway?.run_until(&mut signals).await,
        None => Ok(()),
    }
}

/// A gateway with the application's component at work.
async fn start(args: TriggerArgs) -> anyhow::Result<Gateway> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = variable("SPIN_LOCKED_URL").context(
        "SPIN_LOCKED_URL is not set: this is Spin's voice trigger, which `spin up` starts; `tandem dev` starts a gateway by itself",
    )?;
    let application = Application::parse(&read(&url)?).with_context(|| url.clone())?;
    let function = application.function(&variable)?;
    let component = tokio::fs::read(&function.source).await;
    let component =
        component.with_context(|| format!("cannot read {}; `spin build` makes it", function.source.display()))?;
    let folder = variable("SPIN_LOCAL_APP_DIR").unwrap_or_else(|| ".".to_owned());
    let args = DevArgs {
        function: Some(function.source.clone()),
        router: None,
        listen: args.voice_listen,
        media: args.voice_media,
        ops: args.voice_ops,
        control: args.voice_control,
        shards: 0,
        data_dir: args.voice_data_dir.unwrap_or_else(|| Path::new(&folder).join(".spin").join("tandem")),
        users: args.voice_users,
        log: "warn".to_owned(),
    };
    let gateway = dev::start(&args).await?;
    put_to_work(gateway.tenants(), &function, component)
        .await
        .with_context(|| function.source.display().to_string())?;
    dev::announce(&gateway, &args);
    println!("{} of {} is live", function.component, application.name());
    Ok(gateway)
}

/// Gives the demo tenant the function with what it may reach, for every call.
async fn put_to_work(tenants: &Tenants, function: &Function, component: Vec<u8>) -> anyhow::Result<()> {
    let tenant = TenantId::new(dev::TENANT)?;
    let name = FunctionId::new(FUNCTION)?;
    for variable in &function.variables {
        tenants.put_variable(&Actor::Gateway, &tenant, variable.clone()).await?;
    }
    let digest = tandem_host::Digest::of(&component).to_string();
    tenants.put_component(&Actor::Gateway, &tenant, &digest, component.into()).await?;
    let version = NewVersion { digest, manifest: function.manifest.clone(), signature: None };
    let version = tenants.create_version(&Actor::Gateway, &tenant, &name, version).await?.number;
    let deployment = NewDeployment { version, percent: None, rollback: RollbackRule::default() };
    tenants.deploy(&Actor::Gateway, &tenant, &name, None, deployment).await?;
    Ok(())
}

fn read(url: &str) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let path = file(url).with_context(|| format!("SPIN_LOCKED_URL={url}"))?;
    let open = std::fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    open.take(LOCKED_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(
        bytes.len() as u64 <= LOCKED_BYTES_MAX,
        "{} is larger than {LOCKED_BYTES_MAX} bytes",
        path.display()
    );
    Ok(bytes)
}

/// The path that a `file:` URL names.
fn file(url: &str) -> anyhow::Result<PathBuf> {
    let path = Url::parse(url).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    path.with_context(|| format!("{url:?} is no file: URL with an absolute path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spin_is_told_every_option() {
        let flags = launch_metadata();
        let flags: Vec<_> =
            flags["all_flags"].as_array().unwrap().iter().map(|flag| flag["long"].as_str().unwrap()).collect();
        assert_eq!(
            flags,
            ["--voice-listen", "--voice-media", "--voice-ops", "--voice-control", "--voice-data-dir", "--voice-user"]
        );
        let help = TriggerArgs::command().bin_name("spin up").render_help().to_string();
        assert!(flags.iter().all(|flag| help.contains(flag)) && !help.contains("launch-metadata"), "{help}");
    }

    #[test]
    fn file_urls_are_decoded() {
        assert_eq!(file("file:///a%20b/spin.lock").unwrap(), PathBuf::from("/a b/spin.lock"));
        for url in ["http://a/spin.lock", "spin.lock", ""] {
            assert!(file(url).is_err(), "{url}");
        }
    }
}

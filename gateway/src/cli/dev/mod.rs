//! `tandem dev`: a whole gateway on this machine, with a demo tenant, that follows the source of a routing function.

pub(super) mod source;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use tandem_switch::id::{TenantId, UserId};

use crate::config::{self, Config, Secret};
use crate::control::Demo;
use crate::gateway::{Gateway, Options, Signals, write_private};
use crate::outgoing::webhook::Webhook;
use crate::store::create_private;
use crate::telemetry;
use source::FunctionSource;

/// The demo tenant's name.
pub(super) const TENANT: &str = "demo";

/// Arguments of `tandem dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem dev                                          every call rings whom it dials
  tandem dev --function functions/front-desk          a Rust crate: built now, and again at every change
  tandem dev --function router.wasm                   a component: loaded now, and again when it changes
  tandem dev --router http://127.0.0.1:3000           a running `spin up`, or any server that answers with plans
  tandem dev --user alice --user bob --user carol")]
pub struct DevArgs {
    /// The routing function: the folder of a Rust crate, or a component file.
    #[arg(long, value_name = "PATH")]
    pub function: Option<PathBuf>,
    /// A server that routes the calls: each question is posted there as JSON, and the answer is a plan as JSON.
    #[arg(long, value_name = "URL", conflicts_with = "function")]
    pub router: Option<String>,
    /// TCP address of the softphone page; loopback only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// UDP (WebTransport) and TCP (WebSocket over TLS) address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    pub media: SocketAddr,
    /// TCP address of the operators' live page, health, metrics and status.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub ops: SocketAddr,
    /// TCP address of the control API; a free port unless said otherwise: `tandem login --data-dir FOLDER` finds it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub control: SocketAddr,
    /// Threads that forward voice; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    pub shards: usize,
    /// Where records and the demo tenant's secret are kept.
    #[arg(long, value_name = "FOLDER", default_value = "tandem-data")]
    pub data_dir: PathBuf,
    /// A demo user; repeat for more.
    #[arg(long = "user", value_name = "NAME", default_values = ["alice", "bob"])]
    pub users: Vec<String>,
    /// What is logged: error, warn, info, debug, trace.
    #[arg(long, default_value = "warn")]
    pub log: String,
}

/// Runs until it is interrupted.
///
/// # Errors
/// When the gateway cannot start; a function that does not build or load is shown and waited for.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    let source = args.function.as_deref().map(FunctionSource::find).transpose()?;
    let mut signals = Signals::watch()?;
    let Some(gateway) = signals.unless_stopped(Box::pin(start(&args))).await else { return Ok(()) };
    let gateway = gateway?;
    announce(&gateway, &args);
    let deployer = gateway.deployer(TenantId::new(TENANT)?);
    let following = source.map(|source| tokio::spawn(watch::follow(source, deployer)));
    let outcome = gateway.run_until(&mut signals).await;
    if let Some(following) = following {
        following.abort();
    }
    outcome
}

/// Starts logging and a gateway with the demo tenant, which has no function yet.
pub(super) async fn start(args: &DevArgs) -> anyhow::Result<Gateway> {
    anyhow::ensure!(
        args.listen.ip().is_loopback(),
        "--listen {}: the demo page signs anybody in, so it may listen on loopback only, such as 127.0.0.1:8080",
        args.listen
    );
    let config = configuration(args)?;
    telemetry::init(&config.log)?;
    let users = config.tenant[0].users.iter().map(|user| (user.name.clone(), user.display_name.clone())).collect();
    let demo = Demo { tenant: TenantId::new(TENANT)?, users };
    let router = args.router.as_deref().map(Webhook::new).transpose().context("--router")?;
    Gateway::start(config, Options { demo: Some(demo), router }).await
}

fn configuration(args: &DevArgs) -> anyhow::Result<Config> {
    let secret = demo_secret(&args.data_dir)?;
    let users = args.users.iter().map(|name| demo_user(name)).collect::<Result<Vec<_>, _>>()?;
    let key = config::SigningKey { id: Some("demo".to_owned()), hs256_secret: Some(secret), ..Default::default() };
    let tenant = config::Tenant { name: TENANT.to_owned(), keys: vec![key], users, ..Default::default() };
    let mut config = Config { tenant: vec![tenant], ..Default::default() };
    config.node.name = "dev".to_owned();
    config.log.level = format!("{},function=debug", args.log);
    config.media.listen = args.media;
    config.media.shards = args.shards;
    config.web.listen = args.media;
    // By its address: `localhost` may mean ::1 to a browser, where nobody listens.
    config.web.public_host = Some(args.media.ip().to_string());
    config.web.plain_listen = Some(args.listen);
    config.ops.listen = args.ops;
    config.control.listen = args.control;
    config.store.data_dir.clone_from(&args.data_dir);
    // Interrupting a demo should not make anybody wait.
    config.drain.seconds = 0;
    Ok(config)
}

fn demo_user(name: &str) -> anyhow::Result<config::User> {
    let user = UserId::new(name).with_context(|| format!("--user {name}"))?;
    let mut letters = user.as_str().chars();
    let display_name = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
    Ok(config::User { name: name.to_owned(), display_name })
}

/// The demo tenant's secret, made once: tokens stay good when `dev` is started again.
fn demo_secret(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join("demo-secret");
    if let Ok(secret) = std::fs::read_to_string(&path) {
        return Ok(Secret::new(secret));
    }
    create_private(data_dir).with_context(|| format!("cannot make the folder {}", data_dir.display()))?;
    let secret = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>());
    write_private(&path, &secret).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Secret::new(secret))
}

/// Says where the pages are.
pub(super) fn announce(gateway: &Gateway, args: &DevArgs) {
    let addresses = gateway.addresses();
    let page = addresses.plain.unwrap_or(args.listen);
    println!("\nTandem is up. Open these in two browser tabs and call from one to the other:\n");
    for user in &args.users {
        println!("  {user:<8} http://localhost:{}/?user={user}", page.port());
    }
    match (&args.function, &args.router) {
        (Some(path), _) => {
            println!("\nCalls are routed by {}; save a change and the next call runs it.", path.display())
        }
        (None, Some(url)) => println!("\nCalls are routed by {url}; what goes wrong there is shown here."),
        (None, None) => {
            println!("\nCalls ring whom they dial; give --function PATH to route them with your own function.");
        }
    }
    println!(
        "What goes on, live: http://{}/   Records: tandem records --data-dir {}",
        addresses.ops,
        args.data_dir.display()
    );
    println!("Stop with Ctrl-C.\n");
}

//! `tandem serve`: run a node.

use std::io::Write as _;

use anyhow::Context as _;

use super::settings::Settings;
use crate::certificate;
use crate::config::Config;
use crate::token::Keyring;
use crate::{gateway, telemetry};

/// Arguments of `tandem serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem serve --config tandem.toml
  tandem serve --config tandem.toml --check             read everything, start nothing
  tandem serve --print-config > tandem.toml             a file to begin with
  TANDEM_LOG__LEVEL=debug tandem serve --set media.shards=2

It stops at SIGTERM or Ctrl-C: new calls are refused, and those under way have drain.seconds to end; a second signal ends them at once.")]
pub struct ServeArgs {
    #[command(flatten)]
    settings: Settings,
    /// Print the effective configuration, without secrets, and exit.
    #[arg(long)]
    print_config: bool,
    /// Check the configuration and the files that it names, and exit.
    #[arg(long, conflicts_with = "print_config")]
    check: bool,
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let loaded = args.settings.load()?;
    if args.print_config {
        return Ok(std::io::stdout().write_all(loaded.to_toml().as_bytes())?);
    }
    if args.check {
        check(&loaded.config)?;
        return Ok(writeln!(std::io::stdout(), "the configuration is good")?);
    }
    telemetry::init(&loaded.config.log)?;
    if loaded.config.tenant.is_empty() {
        tracing::warn!("the configuration has no [[tenant]]: nobody can sign in");
    }
    Box::pin(gateway::serve(loaded.config)).await
}

/// What `serve` would stumble over before it listens.
fn check(config: &Config) -> anyhow::Result<()> {
    Keyring::new(&config.tenant)?;
    certificate::Source::open(&config.tls)?;
    for tenant in &config.tenant {
        if let Some(function) = &tenant.function {
            let what = || format!("the function of tenant {}, {}", tenant.name, function.display());
            anyhow::ensure!(std::fs::metadata(function).with_context(what)?.is_file(), "{} is no file", what());
        }
    }
    Ok(())
}

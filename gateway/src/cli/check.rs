//! `tandem check`: what a component is, and whether the gateway runs it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tandem_host::{Host, HostConfig, HostError};

/// Arguments of `tandem check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem check target/wasm32-wasip2/release/front_desk.wasm

Exit codes: 0 the gateway runs it, 1 it does not.")]
pub struct CheckArgs {
    /// The component.
    #[arg(value_name = "COMPONENT.wasm")]
    component: PathBuf,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let file = args.component.display();
    let bytes = std::fs::read(&args.component).with_context(|| format!("cannot read {file}"))?;
    let host = host()?;
    let found = host.inspect(&bytes).with_context(|| file.to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{file}")?;
    writeln!(out, "  size     {} bytes", found.bytes)?;
    writeln!(out, "  digest   {}", found.digest)?;
    list(&mut out, "exports", &found.exports)?;
    list(&mut out, "imports", &found.imports)?;
    writeln!(out, "  verdict  {}", found.verdict())?;
    anyhow::ensure!(found.kind.is_ok(), "{file} cannot be used as a routing function");
    Ok(())
}

/// A host for looking at components, with a gateway's usual limits.
pub(super) fn host() -> Result<Host, HostError> {
    Host::new(HostConfig { limits: tandem_host::Limits::default(), cache: None })
}

fn list(out: &mut impl std::io::Write, title: &str, names: &[String]) -> std::io::Result<()> {
    if names.is_empty() {
        return writeln!(out, "  {title}  none");
    }
    names.iter().enumerate().try_for_each(|(number, name)| {
        let title = if number == 0 { title } else { "" };
        writeln!(out, "  {title:<8} {name}")
    })
}

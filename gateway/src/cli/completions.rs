//! `tandem completions`: what a shell needs to complete our command line.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Arguments of `tandem completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem completions bash > /etc/bash_completion.d/tandem
  tandem completions zsh > ~/.zfunc/_tandem")]
pub struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "tandem", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

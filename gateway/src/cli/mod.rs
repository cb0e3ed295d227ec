//! The command line: one file for each subcommand.

pub mod call;
mod check;
mod completions;
pub mod dev;
mod records;
mod serve;
mod settings;
mod span;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

/// Tandem: a voice gateway that its tenants program.
#[derive(Debug, Parser)]
#[command(
    name = "tandem",
    version,
    after_help = "\
Start here:
  tandem dev                       a whole gateway on this machine, with two demo users
  tandem serve --print-config      every setting, explained"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node.
    Serve(serve::ServeArgs),
    /// Run a node with a demo tenant, and follow the source of a routing function.
    Dev(dev::DevArgs),
    /// Sign a token for a user.
    Token(token::TokenArgs),
    /// Make or take a call.
    Call(call::Args),
    /// Say what a component imports and exports, and whether the gateway runs it.
    Check(check::CheckArgs),
    /// Show call records.
    Records(records::RecordsArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
}

/// Reads the arguments, does what they say, and says in plain words what went wrong.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let is_call = matches!(command, Command::Call(_));
    let Err(error) = run(command) else { return ExitCode::SUCCESS };
    // A reader that has seen enough (`tandem records | head`) is no failure.
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    if let Some(hint) = hint(&error) {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(if is_call { call::exit_code(&error) } else { 1 })
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Dev(args) => block_on(dev::run(args)),
        Command::Token(args) => token::run(&args),
        Command::Call(args) => block_on(call::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Records(args) => records::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // Whatever still blocks (a compilation, say) must not hold up the end.
    runtime.shutdown_background();
    outcome
}

fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error
        .downcast_ref::<ConfigError>()
        .map(|_| "`tandem serve --print-config` without a file shows every key, its default and what it is for")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}

//! The command line: one file for each subcommand, in three groups: what runs here, what a tenant does, what an operator does.

mod api_token;
mod audit;
mod binding;
pub mod call;
mod calls;
mod check;
mod completions;
mod deploy;
pub mod dev;
mod functions;
mod invocations;
mod key;
mod kv;
mod login;
mod mailbox;
mod prompts;
mod queues;
mod recordings;
mod records;
mod remote;
mod replay;
mod serve;
mod settings;
mod sign;
mod span;
mod tenant;
mod token;
mod trigger;
mod user;
mod variable;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::replay::DecisionsChange;
use crate::config::ConfigError;

/// The exit code when a replay finds that decisions would change.
const DECISIONS_CHANGE: u8 = 3;

/// The subcommands by who needs them: clap knows no headings of its own for them. A test holds the list complete.
const GROUPS: &str = "\
On this machine:
  dev           a whole gateway with two demo users; follows the source of a function
  call          make or take a call
  check         say what a component imports and exports, and whether a gateway runs it
  sign          the key that components are signed with, and signatures
  completions   completions for a shell

A tenant's functions:
  login         remember which gateway, which tenant, which token
  logout        forget them
  deploy        build, check, upload and roll out a function
  promote       put the version that is being tried on all calls
  rollback      take the new version back
  replay        which recorded decisions a new version would change
  logs          what functions write; -f follows
  invocations   what they were asked and what they answered
  functions     functions, and which versions answer
  versions      the versions of a function
  diff          what differs between two versions
  deployments   the roll-outs
  bind          let a function answer for a number or address
  unbind        not any more
  bindings      which function answers for what
  queues        queues, who serves them, and who waits
  calls         live calls, and changing them
  variable      variables and secrets
  kv            key-value stores

A tenant's sound:
  prompts       what callers are played
  recordings    recordings of calls, rooms and messages
  mailbox       mailboxes and their messages

A tenant's people:
  user          users
  key           keys that user tokens are signed with
  token         sign a token for a user
  api-token     tokens for the control API
  audit         who changed what

An operator's node:
  serve         run a node
  tenant        tenants, their limits and what they use
  records       call records, read from the node's disk";

/// Tandem: a voice gateway that its tenants program.
#[derive(Debug, Parser)]
#[command(
    name = "tandem",
    version,
    arg_required_else_help = true,
    help_template = "{about}\n\n{usage-heading} {usage}\n{before-help}\nOptions:\n{options}{after-help}",
    before_help = GROUPS,
    after_help = "\
Start here:
  tandem dev                       a whole gateway on this machine, with two demo users
  tandem serve --print-config      every setting, explained
  tandem deploy --help             each subcommand explains itself, with examples"
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
    /// Sign a token for a user, to make and take calls with.
    Token(token::TokenArgs),
    /// Make or take a call.
    Call(call::Args),
    /// Say what a component imports and exports, and whether the gateway runs it.
    Check(check::CheckArgs),
    /// Make the key that a tenant's components are signed with, and signatures.
    Sign(sign::SignArgs),
    /// Show call records.
    Records(records::RecordsArgs),
    /// Remember which gateway, which tenant and which token.
    Login(login::LoginArgs),
    /// Forget them.
    Logout(login::LogoutArgs),
    /// Make and change tenants, and see what they use.
    Tenant(tenant::TenantArgs),
    /// The keys that a tenant's user tokens are signed with.
    Key(key::KeyArgs),
    /// A tenant's users.
    User(user::UserArgs),
    /// Tokens for the control API.
    ApiToken(api_token::ApiTokenArgs),
    /// Build, check, upload and roll out a function.
    Deploy(Box<deploy::DeployArgs>),
    /// Put the version that is being tried on all calls.
    Promote(functions::PromoteArgs),
    /// Take the new version back.
    Rollback(functions::RollbackArgs),
    /// List functions, and which of their versions answer.
    Functions(functions::FunctionsArgs),
    /// List the versions of a function.
    Versions(functions::VersionsArgs),
    /// Show what differs between two versions.
    Diff(functions::DiffArgs),
    /// List roll-outs.
    Deployments(functions::DeploymentsArgs),
    /// Let a function answer for a number or address.
    Bind(binding::BindArgs),
    /// Let no function answer for it any more.
    Unbind(binding::UnbindArgs),
    /// List which function answers for what.
    Bindings(binding::BindingsArgs),
    /// Queues, who serves them, and who waits.
    Queues(queues::QueuesArgs),
    /// Live calls, and changing them.
    Calls(calls::CallsArgs),
    /// Variables and secrets that functions read.
    Variable(variable::VariableArgs),
    /// Key-value stores.
    Kv(kv::KvArgs),
    /// What callers are played.
    Prompts(prompts::PromptsArgs),
    /// Recordings of calls, rooms and messages.
    Recordings(recordings::RecordingsArgs),
    /// Mailboxes and their messages.
    Mailbox(mailbox::MailboxArgs),
    /// Show what functions write.
    Logs(invocations::LogsArgs),
    /// Show what functions were asked and what they answered.
    Invocations(invocations::InvocationsArgs),
    /// Show which recorded decisions a new version would change.
    Replay(replay::ReplayArgs),
    /// Show who changed what.
    Audit(audit::AuditArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
    /// What `spin up` starts for a voice trigger.
    #[command(name = trigger::NAME, hide = true)]
    TriggerVoice(trigger::TriggerArgs),
}

/// Reads the arguments, does what they say, and says in plain words what went wrong.
pub fn main() -> ExitCode {
    let command = match trigger::called_by_spin() {
        Some(args) => Command::TriggerVoice(args),
        None => Cli::parse().command,
    };
    let is_call = matches!(command, Command::Call(_));
    let Err(error) = run(command) else { return ExitCode::SUCCESS };
    // A reader that has seen enough (`tandem records | head`) is no failure.
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    if let Some(change) = error.downcast_ref::<DecisionsChange>() {
        eprintln!("{change}; {error}");
        return ExitCode::from(DECISIONS_CHANGE);
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
        Command::Sign(args) => sign::run(&args),
        Command::Records(args) => records::run(&args),
        Command::Login(args) => block_on(login::login(args)),
        Command::Logout(args) => login::logout(&args),
        Command::Tenant(args) => block_on(tenant::run(args)),
        Command::Key(args) => block_on(key::run(args)),
        Command::User(args) => block_on(user::run(args)),
        Command::ApiToken(args) => block_on(api_token::run(args)),
        Command::Deploy(args) => block_on(deploy::run(*args)),
        Command::Promote(args) => block_on(functions::promote(args)),
        Command::Rollback(args) => block_on(functions::rollback(args)),
        Command::Functions(args) => block_on(functions::functions(args)),
        Command::Versions(args) => block_on(functions::versions(args)),
        Command::Diff(args) => block_on(functions::diff(args)),
        Command::Deployments(args) => block_on(functions::deployments(args)),
        Command::Bind(args) => block_on(binding::bind(args)),
        Command::Unbind(args) => block_on(binding::unbind(args)),
        Command::Bindings(args) => block_on(binding::list(args)),
        Command::Calls(args) => block_on(calls::run(args)),
        Command::Queues(args) => block_on(queues::run(args)),
        Command::Variable(args) => block_on(variable::run(args)),
        Command::Kv(args) => block_on(kv::run(args)),
        Command::Prompts(args) => block_on(prompts::run(args)),
        Command::Recordings(args) => block_on(recordings::run(args)),
        Command::Mailbox(args) => block_on(mailbox::run(args)),
        Command::Logs(args) => block_on(invocations::logs(args)),
        Command::Invocations(args) => block_on(invocations::run(args)),
        Command::Replay(args) => block_on(replay::run(args)),
        Command::Audit(args) => block_on(audit::run(args)),
        Command::Completions(args) => completions::run(&args),
        Command::TriggerVoice(args) => trigger::run(args),
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

    #[test]
    fn every_subcommand_stands_in_a_group() {
        let listed: Vec<_> = GROUPS.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        let cli = Cli::command();
        let visible: Vec<_> = cli.get_subcommands().filter(|command| !command.is_hide_set()).collect();
        assert_eq!(listed.len(), visible.len());
        for command in visible {
            assert!(listed.contains(&command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn every_subcommand_shows_examples() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}

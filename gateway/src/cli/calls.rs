//! `tandem calls`: a tenant's live calls, and changing them.

use anyhow::Context as _;
use tandem_switch::cause::Cause;
use tandem_switch::id::UserId;

use super::remote::show::{Format, Table, progress};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::{CallSide, HangupCall, LiveCall, RedirectCall, TransferCall};

/// Arguments of `tandem calls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem calls list
  tandem calls hangup 0000000000000000000000001a
  tandem calls redirect 0000000000000000000000001a plan.json    the call goes on with this plan
  tandem calls transfer 0000000000000000000000001a carol        whoever answered leaves; carol is rung")]
pub struct CallsArgs {
    #[command(subcommand)]
    command: CallsCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum CallsCommand {
    /// List the live calls.
    List(Format),
    /// End a call, for everybody.
    Hangup {
        /// Its identifier.
        call: String,
    },
    /// Let a call go on with another plan.
    Redirect {
        /// Its identifier.
        call: String,
        /// The plan as JSON, as functions answer it; `-` reads standard input.
        plan: std::path::PathBuf,
    },
    /// Hand a conversation over to another user.
    Transfer {
        /// Its identifier.
        call: String,
        /// To whom.
        to: String,
        /// Who leaves is the caller, not who answered.
        #[arg(long)]
        caller_leaves: bool,
    },
}

pub(super) async fn run(args: CallsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let calls = client.path("/calls").await?;
    let of = |call: &str, deed: &str| format!("{calls}/{}/{deed}", segment(call));
    match args.command {
        CallsCommand::List(format) => {
            let found: Vec<LiveCall> = client.list(&calls, &[], usize::MAX).await?;
            format.list(&found, "nobody is in a call", table)?;
        }
        CallsCommand::Hangup { call } => {
            let hangup = HangupCall { cause: Cause::Normal };
            client.tell(&of(&call, "hangup"), &hangup).await?;
            progress(&format!("call {call} is over"));
        }
        CallsCommand::Redirect { call, plan } => {
            let text = match plan.as_os_str() == "-" {
                true => std::io::read_to_string(std::io::stdin())?,
                false => std::fs::read_to_string(&plan).with_context(|| format!("cannot read {}", plan.display()))?,
            };
            let plan = serde_json::from_str(&text).with_context(|| format!("{} has no plan", plan.display()))?;
            client.tell(&of(&call, "redirect"), &RedirectCall { plan }).await?;
            progress(&format!("call {call} goes on with the plan"));
        }
        CallsCommand::Transfer { call, to, caller_leaves } => {
            let leaves = if caller_leaves { CallSide::Caller } else { CallSide::Callee };
            let transfer = TransferCall { to: UserId::new(&to)?, leaves };
            client.tell(&of(&call, "transfer"), &transfer).await?;
            progress(&format!("{to} rings for call {call}"));
        }
    }
    Ok(())
}

fn table(calls: &[LiveCall]) -> Table {
    let mut table = Table::new(["CALL", "FROM", "TO", "STATE", "SINCE"]);
    for live in calls {
        let since = format!("{} s", live.seconds);
        table.row([live.call.to_string(), live.from.to_string(), live.to.clone(), live.state.clone(), since]);
    }
    table
}

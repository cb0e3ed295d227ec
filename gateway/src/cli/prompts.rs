//! `tandem prompts`: what callers are played.

use std::path::PathBuf;

use anyhow::Context as _;

use super::remote::show::{Format, Table, length, progress, size, utc};
use super::remote::{Client, ConnectionArgs, deliver, segment};
use crate::tenants::model::Prompt;

/// Arguments of `tandem prompts`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem prompts put welcome welcome.wav
  tandem prompts list
  tandem prompts get welcome heard-by-callers.ogg
  tandem prompts delete welcome")]
pub struct PromptsArgs {
    #[command(subcommand)]
    command: PromptsCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum PromptsCommand {
    /// Upload a prompt, or replace it; calls that play the one before play on.
    Put {
        /// Its name, as functions call it.
        name: String,
        /// A WAV or Ogg Opus file of 20 ms to 10 minutes.
        file: PathBuf,
    },
    /// List the prompts.
    List(Format),
    /// Download a prompt as it is played.
    Get {
        /// Its name.
        name: String,
        /// Where to; without it, standard output.
        file: Option<PathBuf>,
    },
    /// Forget a prompt; calls that play it play on.
    Delete {
        /// Its name.
        name: String,
    },
}

pub(super) async fn run(args: PromptsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let prompts = client.path("/prompts").await?;
    let of = |name: &str| format!("{prompts}/{}", segment(name));
    match args.command {
        PromptsCommand::Put { name, file } => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let prompt: Prompt = client.put_upload(&of(&name), bytes).await?;
            progress(&format!("prompt {} plays {}", prompt.name, length(prompt.duration_ms)));
        }
        PromptsCommand::List(format) => {
            let found: Vec<Prompt> = client.list(&prompts, &[], usize::MAX).await?;
            format.list(&found, "there are no prompts", table)?;
        }
        PromptsCommand::Get { name, file } => deliver(&client.bytes(&of(&name)).await?, file.as_deref())?,
        PromptsCommand::Delete { name } => {
            client.delete(&of(&name)).await?;
            progress(&format!("prompt {name} is gone"));
        }
    }
    Ok(())
}

fn table(prompts: &[Prompt]) -> Table {
    let mut table = Table::new(["PROMPT", "PLAYS", "SIZE", "CHANGED"]);
    for prompt in prompts {
        table.row([prompt.name.to_string(), length(prompt.duration_ms), size(prompt.bytes), utc(prompt.changed_at)]);
    }
    table
}

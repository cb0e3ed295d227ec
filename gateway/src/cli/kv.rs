//! `tandem kv`: a tenant's key-value stores, from outside of its functions.

use std::io::Write as _;
use std::path::PathBuf;

use super::remote::show::{Format, Table, progress, size};
use super::remote::{Client, ConnectionArgs, segment};
use super::variable::value;
use crate::tenants::model::KvEntry;

/// Arguments of `tandem kv`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem kv put vip/+4930123 yes
  tandem kv put greeting --file greeting.txt --store texts
  tandem kv get vip/+4930123
  tandem kv list --limit 500")]
pub struct KvArgs {
    #[command(subcommand)]
    command: KvCommand,
    /// The store's label.
    #[arg(long, default_value = "default", global = true)]
    store: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum KvCommand {
    /// Write a value, byte for byte, to standard output.
    Get {
        /// The key.
        key: String,
    },
    /// Keep a value.
    Put {
        /// The key.
        key: String,
        /// The value; without it and --file, standard input.
        #[arg(conflicts_with = "file")]
        value: Option<String>,
        /// Read the value from this file, byte for byte.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List keys, in their order.
    List {
        /// At most this many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
        #[command(flatten)]
        format: Format,
    },
    /// Forget a key.
    Delete {
        /// The key.
        key: String,
    },
}

pub(super) async fn run(args: KvArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let store = client.path(&format!("/kv/{}", segment(&args.store))).await?;
    let of = |key: &str| {
        // No URL can name them: they mean folders.
        anyhow::ensure!(!matches!(key, "." | ".."), "the key {key:?} cannot be named here; a function can");
        Ok(format!("{store}/{}", segment(key)))
    };
    match args.command {
        KvCommand::Get { key } => {
            let value = client.bytes(&of(&key)?).await?;
            std::io::stdout().write_all(&value)?;
        }
        KvCommand::Put { key, value: given, file } => {
            let bytes = match given {
                Some(text) => text.into_bytes(),
                None => value(file.as_deref())?,
            };
            client.put_bytes(&of(&key)?, bytes).await?;
            progress(&format!("{key} is kept"));
        }
        KvCommand::List { limit, format } => {
            let found: Vec<KvEntry> = client.list(&store, &[], limit).await?;
            format.list(&found, "the store is empty", |entries| {
                let mut table = Table::new(["SIZE", "KEY"]);
                for entry in entries {
                    table.row([size(entry.bytes), entry.key.clone()]);
                }
                table
            })?;
        }
        KvCommand::Delete { key } => {
            client.delete(&of(&key)?).await?;
            progress(&format!("{key} is gone"));
        }
    }
    Ok(())
}

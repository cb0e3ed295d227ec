//! `tandem key`: the keys that a tenant's user tokens are signed with. Several may be good at once, so that they can be changed without a gap.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::remote::show::{Format, Table, progress, utc, word};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::Key;

/// Arguments of `tandem key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem key add main > main.secret                   the gateway makes a secret, and shows it this once
  tandem key add main --secret-file main.secret       a shared secret (HS256) of 32 bytes or more
  tandem key add laptop --public-file laptop.pem      the public half of an Ed25519 key
  tandem token --secret-file main.secret --tenant acme --user alice

To change a key: add the new one, sign with it, delete the old one when its last token has expired.")]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Add a key; without a file the gateway makes a secret, and it is printed this once.
    Add(AddArgs),
    /// List the keys; secrets are never shown again.
    List(Format),
    /// Forget a key: tokens signed with it are refused from now on.
    Delete {
        /// Its name.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// Its name: the `kid` of tokens.
    id: String,
    /// A file with a shared secret; a newline at its end is not part of it.
    #[arg(long, value_name = "FILE", conflicts_with = "public_file")]
    secret_file: Option<PathBuf>,
    /// A file with an Ed25519 public key: PEM, or base64 of its 32 bytes.
    #[arg(long, value_name = "FILE")]
    public_file: Option<PathBuf>,
}

pub(super) async fn run(args: KeyArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let keys = client.path("/keys").await?;
    match args.command {
        KeyCommand::Add(args) => add(&client, &keys, args).await,
        KeyCommand::List(format) => {
            let found: Vec<Key> = client.get(&keys, &[]).await?;
            format.list(&found, "there are no keys: nobody can sign in; `tandem key add NAME` makes one", table)
        }
        KeyCommand::Delete { id } => {
            client.delete(&format!("{keys}/{}", segment(&id))).await?;
            progress(&format!("key {id} is gone"));
            Ok(())
        }
    }
}

async fn add(client: &Client, keys: &str, args: AddArgs) -> anyhow::Result<()> {
    let read = |file: &Option<PathBuf>| {
        let text =
            |file: &PathBuf| std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
        file.as_ref().map(text).transpose()
    };
    let secret = read(&args.secret_file)?.map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned());
    let public = read(&args.public_file)?.map(|text| text.trim().to_owned());
    let mut key = json!({ "id": args.id });
    if let Some(secret) = secret {
        key["secret"] = secret.into();
    }
    if let Some(public) = public {
        key["public"] = public.into();
    }
    let added: Value = client.post(keys, &key).await?;
    progress(&format!("key {} is added", args.id));
    if let Some(secret) = added.get("secret").and_then(Value::as_str) {
        progress("its secret, shown this once:");
        writeln!(std::io::stdout(), "{secret}")?;
    }
    Ok(())
}

fn table(keys: &[Key]) -> Table {
    let mut table = Table::new(["KEY", "KIND", "ADDED", "PUBLIC"]);
    for key in keys {
        let public = key.public.clone().unwrap_or_else(|| "-".to_owned());
        table.row([key.id.clone(), word(&key.kind), utc(key.created_at), public]);
    }
    table
}

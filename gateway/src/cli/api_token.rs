//! `tandem api-token`: the tokens that the control API takes. (`tandem token` signs those that users make calls with.)

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::remote::show::{Format, Table, progress, utc, word};
use super::remote::{Client, ConnectionArgs, segment};
use super::span::span;
use crate::tenants::model::{NewToken, Scope, Token};

/// Arguments of `tandem api-token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem api-token create --name owner --tenant acme > acme.token
  tandem api-token create --name ci --scope functions:read --scope functions:write --ttl 90d
  tandem api-token list

Scopes: *, settings:read, settings:write, keys:write, functions:read, functions:write, variables:write, kv:read, kv:write,
calls:read, calls:write, records:read, invocations:read, prompts:read, prompts:write, recordings:read,
recordings:write, mailboxes:read, mailboxes:write. Nobody grants more than they have.")]
pub struct ApiTokenArgs {
    #[command(subcommand)]
    command: ApiTokenCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum ApiTokenCommand {
    /// Make a token; it is printed this once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it allows; repeat for more.
        #[arg(long = "scope", default_value = "*", value_parser = scope)]
        scopes: Vec<Scope>,
        /// How long it is good: 12h, 90d. Without: until it is deleted.
        #[arg(long, value_parser = span)]
        ttl: Option<Duration>,
    },
    /// List the tokens; what they are made of is never shown again.
    List(Format),
    /// End a token.
    Delete {
        /// Its identifier.
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| "there is no such scope; --help lists them".to_owned())
}

pub(super) async fn run(args: ApiTokenArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let tokens = client.path("/tokens").await?;
    match args.command {
        ApiTokenCommand::Create { name, scopes, ttl } => {
            let token = NewToken { name, scopes, seconds: ttl.map(|ttl| ttl.as_secs()) };
            let made: Value = client.post(&tokens, &token).await?;
            let secret =
                made.get("secret").and_then(Value::as_str).context("the gateway made a token but does not show it")?;
            progress("the token, shown this once:");
            writeln!(std::io::stdout(), "{secret}")?;
        }
        ApiTokenCommand::List(format) => {
            let found: Vec<Token> = client.get(&tokens, &[]).await?;
            format.list(&found, "there are no tokens", table)?;
        }
        ApiTokenCommand::Delete { id } => {
            client.delete(&format!("{tokens}/{}", segment(&id))).await?;
            progress(&format!("token {id} is ended"));
        }
    }
    Ok(())
}

fn table(tokens: &[Token]) -> Table {
    let mut table = Table::new(["TOKEN", "FOR", "MADE", "ENDS", "ALLOWS"]);
    for token in tokens {
        let scopes: Vec<_> = token.scopes.iter().map(word).collect();
        let ends = token.expires_at.map_or_else(|| "never".to_owned(), utc);
        table.row([token.id.clone(), token.name.clone(), utc(token.created_at), ends, scopes.join(" ")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_by_their_names() {
        assert_eq!(scope("*"), Ok(Scope::All));
        assert_eq!(scope("kv:read"), Ok(Scope::KvRead));
        assert!(scope("kv").is_err());
    }
}

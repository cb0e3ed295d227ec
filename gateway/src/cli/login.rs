//! `tandem login`, `tandem logout`: remember which gateway, as whom, and about which tenant the other subcommands ask.

use anyhow::Context as _;

use super::remote::credentials::{Credentials, path};
use super::remote::show::progress;
use super::remote::{Client, ConnectionArgs, fingerprint};

/// Arguments of `tandem login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem login --server https://voice.example.com:9443 --token-file acme.token
  tandem login --data-dir tandem-data --tenant demo          the gateway that `tandem dev` runs here

It is kept in ~/.config/tandem/credentials.toml (TANDEM_CREDENTIALS names another file), readable for you alone.")]
pub struct LoginArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem logout`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem logout          the token itself stays good; `tandem api-token delete` ends it")]
pub struct LogoutArgs {}

pub(super) async fn login(args: LoginArgs) -> anyhow::Result<()> {
    let file = path().context("there is no home directory; TANDEM_CREDENTIALS can name a file")?;
    let connection = args.connection.connection()?;
    let client = Client::new(connection.clone())?;
    let me: serde_json::Value = client.get("/v1/me", &[]).await?;
    let of_token = me.get("tenant").and_then(serde_json::Value::as_str).map(str::to_owned);
    let tenant = connection.tenant.as_ref().map(ToString::to_string).or(of_token);
    let absolute = |path: &std::path::PathBuf| std::path::absolute(path);
    // What is not said anew of the same gateway stays as it was: `tandem login --tenant other` changes the tenant alone.
    let before = if args.connection.names_a_gateway() { Credentials::default() } else { Credentials::load()? };
    let data_dir = args.connection.data_dir.as_ref().map(absolute).transpose()?.or(before.data_dir);
    let (fingerprint, ca) = match (&args.connection.fingerprint, &args.connection.ca) {
        (None, None) => (before.fingerprint, before.ca),
        (hash, ca) => (hash.as_deref().map(fingerprint).transpose()?, ca.as_ref().map(absolute).transpose()?),
    };
    // The operator's token stays where it is; a token that was given is remembered.
    let given = args.connection.token_file.is_some() || data_dir.is_none() || before.token.is_some();
    let credentials = Credentials {
        server: data_dir.is_none().then(|| client.server().to_owned()),
        fingerprint,
        ca,
        token: given.then(|| connection.token.reveal().to_owned()),
        data_dir,
        tenant: tenant.clone(),
    };
    credentials.save(&file)?;
    let tenant =
        tenant.map_or_else(|| "no tenant: give --tenant with each command".to_owned(), |name| format!("tenant {name}"));
    progress(&format!("logged in at {}, {tenant}; kept in {}", client.server(), file.display()));
    Ok(())
}

pub(super) fn logout(_args: &LogoutArgs) -> anyhow::Result<()> {
    let Some(file) = path() else { return Ok(()) };
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => {
            progress("logged out");
            Ok(())
        }
    }
}

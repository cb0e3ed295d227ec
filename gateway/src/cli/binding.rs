//! `tandem bind`, `unbind`, `bindings`: which function answers for what was dialled.

use tandem_switch::id::FunctionId;

use super::remote::show::{Format, Table, progress};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::Binding;

/// Arguments of `tandem bind`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem bind reception front-desk          calls to `reception`
  tandem bind '+4930*' berlin               what begins with +4930; the longest pattern that fits holds
  tandem bind '*' front-desk                everything else; the first function that is deployed gets this by itself")]
pub struct BindArgs {
    /// An address as dialled, the beginning of one with `*` at its end, or `*` for all others.
    pattern: String,
    /// The function.
    function: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem unbind`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem unbind '+4930*'")]
pub struct UnbindArgs {
    /// The pattern, as `tandem bindings` shows it.
    pattern: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem bindings`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem bindings --json")]
pub struct BindingsArgs {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) async fn bind(args: BindArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let binding = Binding { pattern: args.pattern, function: FunctionId::new(&args.function)? };
    let path = client.path(&format!("/bindings/{}", segment(&binding.pattern))).await?;
    let bound: Binding = client.put(&path, &binding, None).await?;
    progress(&format!("{} is answered by {}", bound.pattern, bound.function));
    Ok(())
}

pub(super) async fn unbind(args: UnbindArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    client.delete(&client.path(&format!("/bindings/{}", segment(&args.pattern))).await?).await?;
    progress(&format!("{} is not bound any more", args.pattern));
    Ok(())
}

pub(super) async fn list(args: BindingsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let found: Vec<Binding> = client.get(&client.path("/bindings").await?, &[]).await?;
    args.format.list(&found, "nothing is bound: every call gets the default plan", |bindings| {
        let mut table = Table::new(["DIALLED", "FUNCTION"]);
        for binding in bindings {
            table.row([binding.pattern.clone(), binding.function.to_string()]);
        }
        table
    })
}

//! `tandem audit`: who changed what.

use super::remote::show::{Format, Table, utc};
use super::remote::{Client, ConnectionArgs};
use crate::tenants::model::AuditEntry;

/// Arguments of `tandem audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem audit --limit 20
  tandem audit --all --json                 of all tenants (operator)")]
pub struct AuditArgs {
    /// At most this many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Of all tenants; the operator's only.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let path = if args.all { "/v1/audit".to_owned() } else { client.path("/audit").await? };
    let entries: Vec<AuditEntry> = client.list(&path, &[], args.limit).await?;
    args.format.list(&entries, "nothing has been changed yet", |entries| {
        let mut table = Table::new(["WHEN", "WHO", "TENANT", "WHAT", "TO WHAT", "PARTICULARS"]);
        for entry in entries {
            table.row([
                utc(entry.at),
                entry.actor.clone(),
                entry.tenant.to_string(),
                entry.action.clone(),
                entry.target.clone(),
                entry.detail.clone(),
            ]);
        }
        table
    })
}

//! `tandem functions`, `versions`, `diff`, `deployments`, `promote`, `rollback`: a function's life after it was uploaded.

use serde_json::json;
use tandem_switch::id::FunctionId;

use super::remote::show::{Format, Table, Tone, printable, progress, size, utc, word};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::{Deployment, DeploymentState, Function, Version, VersionDiff, VersionNumber, VersionState};

/// Arguments of `tandem functions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem functions")]
pub struct FunctionsArgs {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem versions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem versions front-desk --limit 5
  tandem versions --json                    of the only function")]
pub struct VersionsArgs {
    /// The function; may be left out when there is but one.
    function: Option<String>,
    /// At most this many, newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem diff 3 4 --function front-desk")]
pub struct DiffArgs {
    /// The one version.
    from: VersionNumber,
    /// The other.
    to: VersionNumber,
    /// The function; may be left out when there is but one.
    #[arg(long)]
    function: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem deployments`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem deployments front-desk --limit 5")]
pub struct DeploymentsArgs {
    /// The function; without it, all of them.
    function: Option<String>,
    /// At most this many, newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem promote front-desk                 the version that is tried on some calls answers all of them")]
pub struct PromoteArgs {
    /// The function; may be left out when there is but one.
    function: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem rollback front-desk                takes back what is being tried; else the version before the live one answers again")]
pub struct RollbackArgs {
    /// The function; may be left out when there is but one.
    function: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) async fn functions(args: FunctionsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let found: Vec<Function> = client.get(&client.path("/functions").await?, &[]).await?;
    args.format.list(&found, "there are no functions; `tandem deploy` uploads one", |functions| {
        let mut table = Table::new(["FUNCTION", "LIVE", "TRIED", "FALLS BACK ON", "MADE"]);
        for function in functions {
            let version =
                |number: Option<VersionNumber>| number.map_or_else(|| "-".to_owned(), |number| format!("@{number}"));
            let tried = function.canary.map(|canary| format!("@{} on {} %", canary.version, canary.percent));
            table.row([
                function.name.to_string(),
                version(function.live),
                tried.unwrap_or_else(|| "-".to_owned()),
                version(function.last_good),
                utc(function.created_at),
            ]);
        }
        table
    })
}

pub(super) async fn versions(args: VersionsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let path = path(&client, &named_or_only(&client, args.function.as_deref()).await?).await?;
    let found: Vec<Version> = client.list(&format!("{path}/versions"), &[], args.limit).await?;
    args.format.list(&found, "there are no versions", |versions| {
        let mut table = Table::new(["VERSION", "STATE", "MADE", "BY", "SIZE", "KIND", "DIGEST", "REMARK"]);
        for version in versions {
            let remark = version.reason.as_ref().or(version.manifest.note.as_ref()).cloned().unwrap_or_default();
            let cells = [
                (Tone::Plain, format!("@{}", version.number)),
                (version_tone(version.state), word(&version.state)),
                (Tone::Plain, utc(version.created_at)),
                (Tone::Plain, version.created_by.clone()),
                (Tone::Plain, size(version.bytes)),
                (Tone::Plain, version.kind.clone()),
                (Tone::Faint, version.digest.chars().take(12).collect()),
                (Tone::Plain, remark),
            ];
            table.toned(cells);
        }
        table
    })
}

fn version_tone(state: VersionState) -> Tone {
    match state {
        VersionState::New => Tone::Plain,
        VersionState::Good => Tone::Good,
        VersionState::RolledBack | VersionState::Paused => Tone::Bad,
    }
}

pub(super) async fn diff(args: DiffArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let function = named_or_only(&client, args.function.as_deref()).await?;
    let query = [("from", args.from.to_string()), ("to", args.to.to_string())];
    let path = path(&client, &function).await?;
    let found: VersionDiff = client.get(&format!("{path}/diff"), &query).await?;
    args.format.one(&found, |found| difference(&function, found))
}

fn difference(function: &FunctionId, found: &VersionDiff) -> String {
    let mut text = format!("{function}@{} → {function}@{}\n", found.from, found.to);
    text += &match found.bytes {
        0 => "  size     the same\n".to_owned(),
        bytes => format!("  size     {} {}\n", size(bytes.unsigned_abs()), if bytes > 0 { "more" } else { "less" }),
    };
    let lists = [
        ("imports", '+', &found.imports_added),
        ("imports", '-', &found.imports_removed),
        ("hosts", '+', &found.hosts_added),
        ("hosts", '-', &found.hosts_removed),
    ];
    for (title, sign, names) in lists {
        text.extend(names.iter().map(|name| format!("  {title:<8} {sign} {}\n", printable(name))));
    }
    text
}

pub(super) async fn deployments(args: DeploymentsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let whose = match &args.function {
        Some(name) => path(&client, &FunctionId::new(name)?).await?,
        None => client.path("").await?,
    };
    let found: Vec<Deployment> = client.list(&format!("{whose}/deployments"), &[], args.limit).await?;
    args.format.list(&found, "nothing has been deployed yet", |deployments| {
        let mut table = Table::new(["NO.", "VERSION", "ON", "STATE", "BEGAN", "BY", "WHY"]);
        for deployment in deployments {
            table.toned([
                (Tone::Plain, deployment.id.to_string()),
                (Tone::Plain, format!("{}@{}", deployment.function, deployment.version)),
                (Tone::Plain, format!("{} %", deployment.percent)),
                (deployment_tone(deployment.state), word(&deployment.state)),
                (Tone::Plain, utc(deployment.started_at)),
                (Tone::Plain, deployment.started_by.clone()),
                (Tone::Plain, deployment.reason.clone().unwrap_or_default()),
            ]);
        }
        table
    })
}

fn deployment_tone(state: DeploymentState) -> Tone {
    match state {
        DeploymentState::Running | DeploymentState::Replaced => Tone::Plain,
        DeploymentState::Settled | DeploymentState::Promoted => Tone::Good,
        DeploymentState::RolledBack => Tone::Bad,
    }
}

pub(super) async fn promote(args: PromoteArgs) -> anyhow::Result<()> {
    change(&args.connection, args.function.as_deref(), "promote").await
}

pub(super) async fn rollback(args: RollbackArgs) -> anyhow::Result<()> {
    change(&args.connection, args.function.as_deref(), "rollback").await
}

async fn change(connection: &ConnectionArgs, function: Option<&str>, action: &str) -> anyhow::Result<()> {
    let client = Client::new(connection.connection()?)?;
    let name = named_or_only(&client, function).await?;
    let path = path(&client, &name).await?;
    let _: Deployment = client.post(&format!("{path}/{action}"), &json!({})).await?;
    let now: Function = client.get(&path, &[]).await?;
    let live = now.live.map_or_else(|| "no version of it".to_owned(), |number| format!("{name}@{number}"));
    progress(&match now.canary {
        Some(canary) => format!("{live} answers, and {name}@{} on {} % of calls", canary.version, canary.percent),
        None => format!("{live} answers all new calls; calls under way end on the version they began with"),
    });
    Ok(())
}

/// The path of a function.
pub(super) async fn path(client: &Client, function: &FunctionId) -> anyhow::Result<String> {
    client.path(&format!("/functions/{}", segment(function.as_str()))).await
}

/// The function that was named, else the tenant's only one.
pub(super) async fn named_or_only(client: &Client, name: Option<&str>) -> anyhow::Result<FunctionId> {
    if let Some(name) = name {
        return Ok(FunctionId::new(name)?);
    }
    let found: Vec<Function> = client.get(&client.path("/functions").await?, &[]).await?;
    match found.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => anyhow::bail!("there are no functions; `tandem deploy` uploads one"),
        many => {
            let names: Vec<_> = many.iter().map(|function| function.name.as_str()).collect();
            anyhow::bail!("which function? There are: {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_said_line_by_line() {
        let found = VersionDiff {
            from: 1,
            to: 2,
            bytes: -2048,
            imports_added: vec!["wasi:keyvalue/store@0.2.0-draft".into()],
            imports_removed: vec![],
            hosts_added: vec![],
            hosts_removed: vec!["https://crm.example\u{1b}".into()],
        };
        let said = difference(&FunctionId::new("desk").unwrap(), &found);
        assert_eq!(
            said,
            "desk@1 → desk@2\n  size     2.0 KiB less\n  imports  + wasi:keyvalue/store@0.2.0-draft\n  hosts    - https://crm.example?\n"
        );
    }
}

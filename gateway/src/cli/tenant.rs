//! `tandem tenant`: the tenants of a gateway, what they may use, and what they do use.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use tandem_switch::id::TenantId;

use super::remote::show::{Format, Table, Tone, progress, utc};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::{DefaultPlan, Limits, Settings, Tenant, Usage};

/// Arguments of `tandem tenant`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem tenant create acme --limit calls=500 --data-dir data
  tandem tenant set acme --default-plan refuse --limit invocations-per-second=200
  tandem tenant usage acme                         what is used of each budget, and how often it was reached")]
pub struct TenantArgs {
    #[command(subcommand)]
    command: TenantCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum TenantCommand {
    /// Make a tenant (operator).
    Create(CreateArgs),
    /// List tenants (operator).
    List(Format),
    /// Show a tenant's settings.
    Show(NamedArgs),
    /// Change a tenant's settings; limits are the operator's.
    Set(SetArgs),
    /// Forget a tenant and everything of it; its calls end (operator).
    Delete(DeleteArgs),
    /// Show what is used of each budget.
    Usage(NamedArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Its name: the `iss` of its users' tokens.
    name: String,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct NamedArgs {
    /// Which; else the one of --tenant or of the token.
    name: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Which; else the one of --tenant or of the token.
    name: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// Which.
    name: String,
    /// Yes, everything of it.
    #[arg(long, required = true)]
    yes: bool,
}

/// What can be set of a tenant.
#[derive(Debug, Default, clap::Args)]
struct SettingsArgs {
    /// A budget, such as calls=500; repeat for more. `tandem tenant usage` shows their names.
    #[arg(long = "limit", value_name = "BUDGET=NUMBER")]
    limits: Vec<String>,
    /// What happens to a call when no function answers: ring-dialled, refuse, or a JSON file with a plan.
    #[arg(long, value_name = "PLAN")]
    default_plan: Option<String>,
    /// How long ring-dialled rings.
    #[arg(long, value_name = "SECONDS")]
    ring_seconds: Option<u64>,
    /// An Ed25519 public key in base64, as `tandem sign --new-key` prints it: from then on every component must be signed. `none`: not any more.
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
}

pub(super) async fn run(args: TenantArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    match args.command {
        TenantCommand::Create(args) => create(&client, args).await,
        TenantCommand::List(format) => {
            let tenants: Vec<Tenant> = client.list("/v1/tenants", &[], usize::MAX).await?;
            format.list(&tenants, "there are no tenants; `tandem tenant create NAME` makes one", table)
        }
        TenantCommand::Show(args) => {
            let tenant: Tenant = client.get(&path(&client, args.name.as_deref()).await?, &[]).await?;
            args.format.one(&tenant, words)
        }
        TenantCommand::Set(args) => set(&client, args).await,
        TenantCommand::Delete(args) => {
            client.delete(&path(&client, Some(&args.name)).await?).await?;
            progress(&format!("tenant {} is gone", args.name));
            Ok(())
        }
        TenantCommand::Usage(args) => {
            let path = path(&client, args.name.as_deref()).await?;
            let usage: Vec<Usage> = client.get(&format!("{path}/usage"), &[]).await?;
            args.format.list(&usage, "no budgets", usage_table)
        }
    }
}

async fn create(client: &Client, args: CreateArgs) -> anyhow::Result<()> {
    let name = TenantId::new(&args.name)?;
    let settings = args.settings.apply(Settings::default())?;
    let tenant: Tenant = client.post("/v1/tenants", &json!({ "name": name, "settings": settings })).await?;
    args.format.one(&tenant, words)?;
    progress(&format!(
        "\nNext: `tandem key add main --tenant {name}` makes the key that its users' tokens are signed with,"
    ));
    progress(&format!("      `tandem api-token create --name owner --tenant {name}` a token to hand to the tenant."));
    Ok(())
}

async fn set(client: &Client, args: SetArgs) -> anyhow::Result<()> {
    let path = path(client, args.name.as_deref()).await?;
    let tenant: Tenant = client.get(&path, &[]).await?;
    let settings = args.settings.apply(tenant.settings.clone())?;
    anyhow::ensure!(settings != tenant.settings, "nothing to change; `tandem tenant set --help` shows what can be set");
    let tenant: Tenant = client.put(&format!("{path}/settings"), &settings, Some(tenant.revision)).await?;
    args.format.one(&tenant, words)
}

async fn path(client: &Client, name: Option<&str>) -> anyhow::Result<String> {
    match name {
        Some(name) => Ok(format!("/v1/tenants/{}", segment(TenantId::new(name)?.as_str()))),
        None => client.path("").await,
    }
}

impl SettingsArgs {
    /// The settings with what was asked for changed.
    fn apply(&self, mut settings: Settings) -> anyhow::Result<Settings> {
        settings.limits = with_limits(&settings.limits, &self.limits)?;
        if let Some(plan) = &self.default_plan {
            settings.default_plan = default_plan(plan)?;
        }
        if let Some(seconds) = self.ring_seconds {
            let DefaultPlan::RingDialled { ring_seconds } = &mut settings.default_plan else {
                anyhow::bail!("--ring-seconds belongs to --default-plan ring-dialled");
            };
            *ring_seconds = seconds;
        }
        match self.signing_key.as_deref() {
            None => {}
            Some("none") => settings.signing_key = None,
            Some(key) => settings.signing_key = Some(key.to_owned()),
        }
        Ok(settings)
    }
}

fn default_plan(text: &str) -> anyhow::Result<DefaultPlan> {
    match text {
        "ring-dialled" => Ok(DefaultPlan::default()),
        "refuse" => Ok(DefaultPlan::Refuse),
        file => {
            let what = || format!("--default-plan {file}: neither ring-dialled nor refuse nor a JSON file with a plan");
            let json = std::fs::read(PathBuf::from(file)).with_context(what)?;
            Ok(DefaultPlan::Plan(serde_json::from_slice(&json).with_context(what)?))
        }
    }
}

/// The limits are plain numbers by name, so they are changed by name.
fn with_limits(limits: &Limits, changes: &[String]) -> anyhow::Result<Limits> {
    let Value::Object(mut named) = serde_json::to_value(limits)? else { return Ok(limits.clone()) };
    for change in changes {
        let (name, number) = change
            .split_once('=')
            .and_then(|(name, number)| Some((name, number.parse::<u64>().ok()?)))
            .with_context(|| format!("--limit {change}: write a budget and a number, such as calls=500"))?;
        let Some(value) = named.get_mut(name) else {
            let near = |known: &&String| strsim::jaro_winkler(known, name);
            let nearest = named.keys().max_by(|left, right| near(left).total_cmp(&near(right)));
            let nearest = nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            anyhow::bail!("--limit {change}: there is no budget {name:?}{nearest}");
        };
        *value = number.into();
    }
    Ok(serde_json::from_value(Value::Object(named))?)
}

fn table(tenants: &[Tenant]) -> Table {
    let mut table = Table::new(["TENANT", "MADE", "DEFAULT PLAN", "SIGNED", "DECLARED"]);
    for tenant in tenants {
        let yes = |truth| if truth { "yes" } else { "-" }.to_owned();
        table.row([
            tenant.name.to_string(),
            utc(tenant.created_at),
            plan_words(&tenant.settings.default_plan),
            yes(tenant.settings.signing_key.is_some()),
            yes(tenant.declared),
        ]);
    }
    table
}

fn plan_words(plan: &DefaultPlan) -> String {
    match plan {
        DefaultPlan::RingDialled { ring_seconds } => format!("ring who is dialled, {ring_seconds} s"),
        DefaultPlan::Plan(_) => "a plan of its own".to_owned(),
        DefaultPlan::Refuse => "refuse".to_owned(),
    }
}

fn words(tenant: &Tenant) -> String {
    let mut text = format!("tenant        {}\nmade          {}\n", tenant.name, utc(tenant.created_at));
    text += &format!("default plan  {}\n", plan_words(&tenant.settings.default_plan));
    if let Some(key) = &tenant.settings.signing_key {
        text += &format!("signing key   {key}\n");
    }
    if tenant.declared {
        text += "declared      in the node's configuration file: settings, keys and users are changed there\n";
    }
    if let Ok(Value::Object(limits)) = serde_json::to_value(&tenant.settings.limits) {
        let mut title = "limits";
        for (name, limit) in limits {
            text += &format!("{title:<12}  {name} {limit}\n");
            title = "";
        }
    }
    text
}

fn usage_table(usage: &[Usage]) -> Table {
    let mut table = Table::new(["BUDGET", "LIMIT", "USED", "REFUSED"]);
    for budget in usage {
        let tone = if budget.refused > 0 { Tone::Bad } else { Tone::Plain };
        table.toned([
            (Tone::Plain, budget.budget.clone()),
            (Tone::Plain, budget.limit.to_string()),
            (Tone::Plain, budget.used.to_string()),
            (tone, budget.refused.to_string()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_changed_by_name() {
        let changes = ["calls=5".to_owned(), "kv-bytes=0".to_owned()];
        let changed = with_limits(&Limits::default(), &changes).unwrap();
        assert_eq!(changed, Limits { calls: 5, kv_bytes: 0, ..Limits::default() });
    }

    #[test]
    fn a_limit_that_is_none_is_named() {
        for (change, said) in [
            ("call=5", "there is no budget \"call\"; did you mean calls?"),
            ("calls", "write a budget and a number"),
            ("calls=-1", "write a budget and a number"),
        ] {
            let error = with_limits(&Limits::default(), &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn settings_change_only_where_asked() {
        let before =
            Settings { signing_key: Some("k".into()), default_plan: DefaultPlan::Refuse, ..Settings::default() };
        let args = SettingsArgs { signing_key: Some("none".into()), ..SettingsArgs::default() };
        assert_eq!(args.apply(before.clone()).unwrap(), Settings { signing_key: None, ..before.clone() });
        let ring = SettingsArgs { ring_seconds: Some(5), ..SettingsArgs::default() };
        assert!(ring.apply(before).is_err());
        let rings = ring.apply(Settings::default()).unwrap().default_plan;
        assert_eq!(rings, DefaultPlan::RingDialled { ring_seconds: 5 });
        assert!(default_plan("nowhere.json").unwrap_err().to_string().contains("neither ring-dialled nor refuse"));
    }

    #[test]
    fn a_tenant_is_shown_with_every_limit() {
        let settings = Settings { signing_key: Some("k".into()), ..Settings::default() };
        let (name, created_at) = (TenantId::new("acme").unwrap(), tandem_switch::time::UnixMillis(0));
        let text = words(&Tenant { name, settings, declared: true, created_at, revision: 1 });
        for part in [
            "tenant        acme\n",
            "ring who is dialled, 30 s",
            "signing key   k",
            "  calls 10000\n",
            "configuration file",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

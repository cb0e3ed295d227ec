//! `tandem token`: sign a token for a user.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use tandem_switch::id::{TenantId, UserId};
use tandem_switch::token::{Claims, Grant, LIFETIME_SECONDS_MAX};

use super::settings::Settings;
use super::span::span;
use crate::config::{SigningKey, Tenant};
use crate::token::Keyring;

/// Arguments of `tandem token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem token --config tandem.toml --tenant acme --user alice
  tandem token --config tandem.toml --tenant acme --user door --grants call --ttl 12h --name 'Front door'
  tandem token --secret-file tandem-data/demo-secret --tenant demo --user alice      for `tandem dev`")]
pub struct TokenArgs {
    #[command(flatten)]
    settings: Settings,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The user.
    #[arg(long)]
    user: String,
    /// The name that others see.
    #[arg(long)]
    name: Option<String>,
    /// How long it is good: 90s, 15m, 12h; a day at most.
    #[arg(long, default_value = "1h", value_parser = span)]
    ttl: Duration,
    /// What it allows.
    #[arg(long, value_delimiter = ',', default_value = "call,answer,presence")]
    grants: Vec<GrantName>,
    /// Sign with the secret in this file instead of the configuration's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "set"])]
    secret_file: Option<PathBuf>,
}

/// What a token can allow.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum GrantName {
    Call,
    Answer,
    Presence,
}

impl From<GrantName> for Grant {
    fn from(name: GrantName) -> Self {
        match name {
            GrantName::Call => Self::Call,
            GrantName::Answer => Self::Answer,
            GrantName::Presence => Self::Presence,
        }
    }
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    let (tenant, user) = (TenantId::new(&args.tenant)?, UserId::new(&args.user)?);
    let ttl = args.ttl.as_secs();
    anyhow::ensure!(
        (1..=LIFETIME_SECONDS_MAX).contains(&ttl),
        "--ttl {ttl}s: a token lives 1s to 24h; sign a new one when it ends"
    );
    let tenants = match &args.secret_file {
        Some(file) => vec![tenant_with_secret(&tenant, file.clone())],
        None => args.settings.load()?.config.tenant,
    };
    check_user(&tenants, &tenant, &user)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = Claims {
        iss: tenant.to_string(),
        sub: user.to_string(),
        iat: now,
        exp: now + ttl,
        nbf: None,
        name: args.name.clone(),
        grants: args.grants.iter().copied().map(Grant::from).collect(),
    };
    let token = Keyring::new(&tenants)?.sign(&claims)?;
    Ok(writeln!(std::io::stdout(), "{token}")?)
}

fn tenant_with_secret(tenant: &TenantId, file: PathBuf) -> Tenant {
    let key = SigningKey { hs256_secret_file: Some(file), ..SigningKey::default() };
    Tenant { name: tenant.to_string(), keys: vec![key], ..Tenant::default() }
}

/// A token for a user whom the gateway would turn away helps nobody.
fn check_user(tenants: &[Tenant], tenant: &TenantId, user: &UserId) -> anyhow::Result<()> {
    let Some(found) = tenants.iter().find(|candidate| candidate.name == tenant.as_str()) else { return Ok(()) };
    let known: Vec<_> = found.users.iter().map(|user| user.name.as_str()).collect();
    anyhow::ensure!(
        known.is_empty() || known.contains(&user.as_str()),
        "tenant {tenant} has no user {user}; it has: {}",
        known.join(", ")
    );
    Ok(())
}

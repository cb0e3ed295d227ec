//! Which gateway, as whom, about which tenant: from options, else the environment, else what `tandem login` remembered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use tandem_client::Trust;
use tandem_switch::id::TenantId;
use url::Url;

use super::credentials::Credentials;
use crate::config::Secret;

/// Where the options are listed in a subcommand's help.
const HEADING: &str = "Which gateway";

/// The options that say which gateway is meant; the same for every subcommand that asks one.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// The gateway's control API, https://host:9443; else TANDEM_SERVER, else what `tandem login` remembers.
    #[arg(long, value_name = "URL", global = true, help_heading = HEADING, conflicts_with = "data_dir")]
    pub(crate) server: Option<String>,
    /// A node on this machine, by its data directory: address, certificate and operator's token are found there.
    #[arg(long, value_name = "FOLDER", global = true, help_heading = HEADING)]
    pub(crate) data_dir: Option<PathBuf>,
    /// A file with the control token; else TANDEM_API_TOKEN holds the token itself.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING)]
    pub(crate) token_file: Option<PathBuf>,
    /// The tenant; else TANDEM_TENANT, else the one that the token is for.
    #[arg(long, value_name = "NAME", global = true, help_heading = HEADING)]
    pub(crate) tenant: Option<String>,
    /// Believe certificates that the authorities in this PEM file signed.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, conflicts_with = "fingerprint")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe the certificate with this SHA-256 (64 hexadecimal digits).
    #[arg(long, value_name = "SHA256", global = true, help_heading = HEADING)]
    pub(crate) fingerprint: Option<String>,
}

/// A gateway to talk to.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// `https://host:port`, without a path.
    pub(crate) server: Url,
    /// Which certificate is believed.
    pub(crate) trust: Trust,
    /// The control token.
    pub(crate) token: Secret,
    /// The tenant, if one was named.
    pub(crate) tenant: Option<TenantId>,
}

/// What a node writes into its data directory, as far as it is needed here.
#[derive(Deserialize)]
struct Ports {
    control: Option<SocketAddr>,
    certificate_sha256: String,
}

/// The operator's token in a node's data directory.
const OPERATOR_TOKEN: &str = "operator-token";

impl ConnectionArgs {
    /// Whether options or the environment say which gateway is meant, and what was remembered is not about it.
    pub(crate) fn names_a_gateway(&self) -> bool {
        let by_variable = std::env::var("TANDEM_SERVER").is_ok_and(|server| !server.is_empty());
        self.server.is_some() || self.data_dir.is_some() || by_variable
    }

    /// Decides.
    ///
    /// # Errors
    /// Says what is missing or does not read, and how it is given.
    pub(crate) fn connection(&self) -> anyhow::Result<Connection> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let variables = Variables {
            server: variable("TANDEM_SERVER"),
            token: variable("TANDEM_API_TOKEN"),
            tenant: variable("TANDEM_TENANT"),
        };
        self.among(variables, Credentials::load)
    }

    fn among(
        &self,
        variables: Variables,
        remembered: impl FnOnce() -> anyhow::Result<Credentials>,
    ) -> anyhow::Result<Connection> {
        // What was remembered of one gateway must not be sent to another.
        let elsewhere = self.server.is_some() || self.data_dir.is_some() || variables.server.is_some();
        let remembered = if elsewhere { Credentials::default() } else { remembered()? };
        let data_dir = self.data_dir.as_ref().or(remembered.data_dir.as_ref());
        let local = match data_dir {
            Some(folder) if self.server.is_none() => Some(Local::read(folder)?),
            _ => None,
        };
        let server = self.server.clone().or_else(|| local.as_ref().map(|local| local.server.clone()));
        let server = server.or(variables.server).or(remembered.server).context(
            "which gateway? Give --server https://host:9443, or --data-dir FOLDER for a node on this machine, or set TANDEM_SERVER; \
             `tandem login` remembers it",
        )?;
        // An option wins over what was remembered, of whichever kind that is.
        let (fingerprint, ca) = match (&self.fingerprint, &self.ca) {
            (None, None) => (remembered.fingerprint, remembered.ca),
            (fingerprint, ca) => (fingerprint.clone(), ca.clone()),
        };
        let trust = match (fingerprint, ca.as_ref(), &local) {
            (Some(hash), _, _) => Trust::certificate_hash(&hash).context("--fingerprint")?,
            (None, Some(ca), _) => Trust::Authorities(read(ca)?),
            (None, None, Some(local)) => Trust::certificate_hash(&local.fingerprint)?,
            (None, None, None) => Trust::System,
        };
        let from_file = self.token_file.as_deref().map(token_from).transpose()?;
        let token = from_file.or_else(|| variables.token.map(Secret::new));
        let token = token.or_else(|| remembered.token.map(Secret::new));
        let token = match (token, data_dir) {
            (Some(token), _) => token,
            (None, Some(folder)) => token_from(&folder.join(OPERATOR_TOKEN))?,
            (None, None) => anyhow::bail!(
                "which token? Give --token-file FILE, or set TANDEM_API_TOKEN; `tandem login` remembers it, `tandem api-token create` makes one"
            ),
        };
        let tenant = self.tenant.clone().or(variables.tenant).or(remembered.tenant);
        let tenant = tenant.as_deref().map(TenantId::new).transpose().context("--tenant")?;
        Ok(Connection { server: address(&server)?, trust, token, tenant })
    }
}

/// What the environment says.
#[derive(Debug, Default)]
struct Variables {
    server: Option<String>,
    token: Option<String>,
    tenant: Option<String>,
}

/// A node on this machine.
struct Local {
    server: String,
    fingerprint: String,
}

impl Local {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("ports.json");
        let text = std::fs::read(&path).with_context(|| {
            format!("--data-dir {}: no gateway has said there where it listens; is it running?", folder.display())
        })?;
        let ports: Ports = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        let mut control = ports.control.with_context(|| format!("{} names no control API", path.display()))?;
        if control.ip().is_unspecified() {
            control.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Ok(Self { server: format!("https://{control}"), fingerprint: ports.certificate_sha256 })
    }
}

/// The gateway's address, checked.
fn address(text: &str) -> anyhow::Result<Url> {
    let wrong = || format!("--server {text}: no address of a control API; write https://host:9443");
    let url = Url::parse(text).with_context(wrong)?;
    // A token must not cross the network in the clear, nor end up in somebody's log as part of an address.
    let plain =
        url.scheme() == "https" && url.host().is_some() && url.username().is_empty() && url.password().is_none();
    anyhow::ensure!(plain && matches!(url.path(), "" | "/") && url.query().is_none(), wrong());
    Ok(url)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The token that a file holds; a newline at its end is not part of it.
fn token_from(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the token in {}", path.display()))?;
    let token = text.trim_end();
    let legal = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    anyhow::ensure!(legal, "{} holds no token: one line, such as tdm_…", path.display());
    Ok(Secret::new(token))
}

/// A fingerprint as `tandem login` keeps it, checked.
pub(crate) fn fingerprint(text: &str) -> anyhow::Result<String> {
    Trust::certificate_hash(text).context("--fingerprint")?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(server: Option<&str>, data_dir: Option<&Path>) -> ConnectionArgs {
        let server = server.map(str::to_owned);
        ConnectionArgs { server, data_dir: data_dir.map(Path::to_owned), ..ConnectionArgs::default() }
    }

    fn remembered() -> anyhow::Result<Credentials> {
        let text = |text: &str| Some(text.to_owned());
        Ok(Credentials {
            server: text("https://a:1"),
            token: text("tdm_a"),
            tenant: text("acme"),
            ..Default::default()
        })
    }

    #[test]
    fn what_was_remembered_is_taken_when_nothing_else_is_said() {
        let connection = args(None, None).among(Variables::default(), remembered).unwrap();
        assert_eq!(connection.server.as_str(), "https://a:1/");
        assert_eq!((connection.token.reveal(), connection.tenant.unwrap().as_str()), ("tdm_a", "acme"));
    }

    #[test]
    fn a_remembered_token_goes_to_no_other_gateway() {
        let error = args(Some("https://b:1"), None).among(Variables::default(), remembered).unwrap_err();
        assert!(error.to_string().starts_with("which token?"), "{error}");
        let variables = Variables { server: Some("https://b:1".into()), ..Variables::default() };
        assert!(args(None, None).among(variables, remembered).is_err());
    }

    #[test]
    fn options_win_over_variables() {
        let variables = || Variables {
            server: Some("https://b:1".into()),
            token: Some("tdm_b".into()),
            tenant: Some("other".into()),
        };
        let mut args = args(Some("https://c:1"), None);
        args.tenant = Some("acme".into());
        let connection = args.among(variables(), remembered).unwrap();
        assert_eq!((connection.server.as_str(), connection.token.reveal()), ("https://c:1/", "tdm_b"));
        assert_eq!(connection.tenant.unwrap().as_str(), "acme");
    }

    #[test]
    fn an_authority_that_is_named_wins_over_a_remembered_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "pem").unwrap();
        let remembered = || Ok(Credentials { fingerprint: Some("ab".repeat(32)), ..remembered()? });
        let args = ConnectionArgs { ca: Some(ca), ..ConnectionArgs::default() };
        let connection = args.among(Variables::default(), remembered).unwrap();
        assert!(matches!(connection.trust, Trust::Authorities(pem) if pem == b"pem"));
        let connection = ConnectionArgs::default().among(Variables::default(), remembered).unwrap();
        assert!(matches!(connection.trust, Trust::CertificateHash(_)));
    }

    #[test]
    fn a_node_on_this_machine_is_found_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = args(None, Some(folder.path())).among(Variables::default(), remembered).unwrap_err();
        assert!(error.to_string().contains("is it running?"), "{error}");
        let ports = format!(r#"{{"control":"127.0.0.1:9443","certificate_sha256":"{}","media":"x"}}"#, "ab".repeat(32));
        std::fs::write(folder.path().join("ports.json"), ports).unwrap();
        std::fs::write(folder.path().join("operator-token"), "tdmop_x\n").unwrap();
        let connection = args(None, Some(folder.path())).among(Variables::default(), remembered).unwrap();
        assert_eq!((connection.server.as_str(), connection.token.reveal()), ("https://127.0.0.1:9443/", "tdmop_x"));
        assert!(matches!(connection.trust, Trust::CertificateHash(hash) if hash == [0xab; 32]));
    }

    #[test]
    fn an_address_that_would_leak_the_token_is_refused() {
        for text in ["http://a:9443", "a:9443", "https://u:p@a", "https://a/v1", "https://a?x", ""] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}

//! A running gateway: `tandem serve` of the tests' own configuration, `tandem dev`, or whatever else becomes one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, bail};
use tandem_client::{Options, TransportChoice, Trust};
use tandem_switch::record::CallRecord;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::PATIENCE;
use crate::launch::{LOOK_AGAIN, Launch, Running, Said, binary, get};
use crate::token::{self, OTHER_SECRET, OTHER_TENANT, SECRET, TENANT};

/// A call record, as `tandem records --json` prints it.
pub type Record = CallRecord;

/// What differs from a plain gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that forward voice.
    pub shards: usize,
    /// How long calls may go on after SIGTERM, seconds.
    pub drain_seconds: u64,
    /// What calls go on with when no function answers: `ring-dialled`, `refuse`.
    pub default_plan: &'static str,
    /// How long the default plan rings, seconds.
    pub ring_seconds: u64,
    /// The tenant's routing function.
    pub function: Option<PathBuf>,
    /// `info`, or more.
    pub log_level: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 1,
            drain_seconds: 1,
            default_plan: "ring-dialled",
            ring_seconds: 30,
            function: None,
            log_level: "info",
        }
    }
}

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    running: Running,
    launch: Launch,
    folder: TempDir,
    /// The binary by its own name, for subcommands.
    binary: PathBuf,
    log: Said,
    output: Said,
}

impl Gateway {
    /// Starts `tandem serve` and waits until it takes calls.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join(CONFIG);
        std::fs::write(&config, toml(&settings, folder.path())?)?;
        let arguments = vec!["serve".to_owned(), "--config".to_owned(), config.display().to_string()];
        let launch = launch(arguments, folder.path())?;
        Self::launch(folder, launch).await
    }

    /// Starts `tandem dev` on free ports, with more arguments, and waits until it takes calls.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up.
    pub async fn dev(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let any_port = ["--listen", "--media", "--ops", "--control"].map(|option| [option, "127.0.0.1:0"]);
        let words = [&["dev", "--data-dir", "data", "--shards", "1"][..], any_port.as_flattened(), arguments];
        let arguments = words.concat().into_iter().map(str::to_owned).collect();
        let launch = launch(arguments, folder.path())?;
        Self::launch(folder, launch).await
    }

    /// Starts a process that becomes a gateway and waits until it takes calls. The folder, which the process may use, is removed at the end.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up.
    pub async fn launch(folder: TempDir, launch: Launch) -> anyhow::Result<Self> {
        let (log, output) = (Said::default(), Said::default());
        let running = Running::start(&launch, &log, &output).await?;
        Ok(Self { running, launch, folder, binary: binary()?, log, output })
    }

    /// Waits until the process has ended, and starts it again over the same data, on other ports.
    ///
    /// # Errors
    /// When it does not end, or does not come up again.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.ended().await?;
        // What the process before wrote must not be taken for its successor's.
        std::fs::remove_file(self.launch.data_dir.join("ports.json"))?;
        self.running = Running::start(&self.launch, &self.log, &self.output).await?;
        Ok(())
    }

    /// Runs a subcommand of `tandem` as the operator of this gateway, about a tenant; gives what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn command(&self, tenant: &str, arguments: &[String]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(&self.launch.data_dir).kill_on_drop(true);
        if !tenant.is_empty() {
            command.args(["--tenant", tenant]);
        }
        let output = timeout(PATIENCE, command.stdin(Stdio::null()).output()).await.context("it takes too long")??;
        if !output.status.success() {
            bail!("tandem {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a client needs to connect over `transport`. WebTransport and WebSocket listen on different ports here.
    pub fn options(&self, transport: TransportChoice, token: &str) -> Options {
        let address = match transport {
            TransportChoice::WebTransport => &self.running.ports.media,
            TransportChoice::Auto | TransportChoice::WebSocket => &self.running.ports.web,
        };
        let trust = Trust::certificate_hash(&self.running.ports.certificate_sha256).expect("the gateway prints a hash");
        let url = Url::parse(&format!("https://{address}")).expect("the gateway prints an address");
        Options { trust, transport, ..Options::new(url, token) }
    }

    /// The certificate's SHA-256.
    pub fn certificate_hash(&self) -> &str {
        &self.running.ports.certificate_sha256
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where WebTransport listens, `host:port`.
    pub fn media_address(&self) -> &str {
        &self.running.ports.media
    }

    /// Where plain HTTP and WebSocket listen, `host:port`.
    ///
    /// # Panics
    /// When the gateway did not say so, though it was told to.
    pub fn plain_address(&self) -> &str {
        self.running.ports.plain.as_deref().expect("the tests' configuration has a plain address")
    }

    /// Where the control API listens, `host:port`.
    pub fn control_address(&self) -> &str {
        &self.running.ports.control
    }

    /// A folder of this gateway's own, for a test's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// What it printed for whoever started it.
    pub fn output(&self) -> String {
        self.output.so_far()
    }

    /// Waits until it has printed something.
    ///
    /// # Errors
    /// When it does not.
    pub async fn prints(&self, words: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.output().contains(words) {
            if Instant::now() > deadline {
                bail!("{words:?} is not printed:\n{}{}", self.output(), self.log());
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// A good token for a user of the demo tenant, which `tandem dev` and the voice trigger have.
    ///
    /// # Errors
    /// When there is no demo tenant.
    pub fn demo_token(&self, user: &str) -> anyhow::Result<String> {
        let secret = std::fs::read_to_string(self.launch.data_dir.join("demo-secret"))?;
        Ok(token::sign(&token::Claims { iss: "demo".to_owned(), ..token::claims(user) }, &secret))
    }

    /// Every call record so far, newest first.
    ///
    /// # Errors
    /// When `tandem records` fails.
    pub async fn records(&self) -> anyhow::Result<Vec<Record>> {
        let mut command = Command::new(&self.binary);
        command.args(["records", "--json", "--data-dir"]).arg(&self.launch.data_dir);
        let output = command.output().await?;
        if !output.status.success() {
            bail!("tandem records: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Waits until there are `count` records, and checks that there are no more.
    ///
    /// # Errors
    /// When there are fewer in time, or more.
    pub async fn await_records(&self, count: usize) -> anyhow::Result<Vec<Record>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let records = self.records().await?;
            if records.len() == count {
                return Ok(records);
            }
            if records.len() > count || Instant::now() > deadline {
                bail!("{count} records expected, got {}: {records:#?}", records.len());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        get(&self.running.ports.ops, "/metrics").await
    }

    /// The sum of a metric over all its labels.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.metrics().await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let of_name = lines.filter(|line| line.split(['{', ' ']).next() == Some(name));
        Ok(of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until a metric, summed over its labels, is `least` or more.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn await_metric(&self, name: &str, least: f64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.metric(name).await?;
            if value >= least {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{name} is {value}, not {least}:\n{}", self.metrics().await?);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Sends a signal, by its name (`TERM`, `KILL`).
    ///
    /// # Errors
    /// When there is no such process any more.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.running.signal(name).await
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.running.ended().await
    }
}

/// The configuration file, in the gateway's folder.
const CONFIG: &str = "tandem.toml";

/// The binary with these arguments, in a folder that has its data.
fn launch(arguments: Vec<String>, folder: &Path) -> anyhow::Result<Launch> {
    let (working_dir, data_dir) = (folder.to_owned(), folder.join("data"));
    Ok(Launch { program: binary()?, arguments, environment: Vec::new(), working_dir, data_dir })
}

fn toml(settings: &Settings, folder: &Path) -> anyhow::Result<String> {
    let Settings { shards, drain_seconds, default_plan, ring_seconds, function, log_level } = settings;
    let mut text = String::new();
    let mut tenant = |name: &str, secret: &str, function: &Option<PathBuf>| -> anyhow::Result<()> {
        write!(
            text,
            "\n[[tenant]]\nname = {name:?}\ndefault_plan = {default_plan:?}\nring_seconds = {ring_seconds}\n"
        )?;
        if let Some(function) = function {
            writeln!(text, "function = {:?}", function.display().to_string())?;
        }
        writeln!(text, "keys = [{{ id = \"test\", hs256_secret = {secret:?} }}]")?;
        Ok(())
    };
    tenant(TENANT, SECRET, function)?;
    tenant(OTHER_TENANT, OTHER_SECRET, &None)?;
    let data = folder.join("data").display().to_string();
    Ok(format!(
        "\
node = {{ name = \"test\", region = \"test\" }}
media = {{ listen = \"127.0.0.1:0\", shards = {shards} }}
web = {{ listen = \"127.0.0.1:0\", plain_listen = \"127.0.0.1:0\" }}
ops = {{ listen = \"127.0.0.1:0\" }}
control = {{ listen = \"127.0.0.1:0\" }}
store = {{ data_dir = {data:?} }}
log = {{ level = {log_level:?} }}
drain = {{ seconds = {drain_seconds} }}
{text}"
    ))
}

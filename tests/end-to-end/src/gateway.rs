//! One `tandem serve`, from its configuration to its exit code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tandem_client::{Options, TransportChoice, Trust};
use tandem_switch::record::CallRecord;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::PATIENCE;
use crate::token::{OTHER_SECRET, OTHER_TENANT, SECRET, TENANT};

/// How long a gateway may take to start: it compiles its function first, which for one with Python inside takes ten seconds of processor time.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How often a condition is looked at that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Most bytes of log that are kept; a test's is a few hundred lines.
const LOG_BYTES_MAX: usize = 16 << 20;

/// A call record, as `tandem records --json` prints it.
pub type Record = CallRecord;

/// What differs from a plain gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that forward voice.
    pub shards: usize,
    /// How long calls may go on after SIGTERM, seconds.
    pub drain_seconds: u64,
    /// How long the default plan rings, seconds.
    pub ring_seconds: u64,
    /// The tenant's routing function.
    pub function: Option<PathBuf>,
    /// `info`, or more.
    pub log_level: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shards: 1, drain_seconds: 1, ring_seconds: 30, function: None, log_level: "info" }
    }
}

/// Where a gateway listens: what it writes into `ports.json`.
#[derive(Clone, Debug, Deserialize)]
struct Ports {
    media: String,
    web: String,
    plain: Option<String>,
    ops: String,
    control: String,
    certificate_sha256: String,
}

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    folder: TempDir,
    binary: PathBuf,
    ports: Ports,
    log: Arc<Mutex<String>>,
    log_reader: JoinHandle<()>,
}

impl Gateway {
    /// Starts one and waits until it takes calls.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(CONFIG), toml(&settings, folder.path())?)?;
        let binary = binary()?;
        let log = Arc::new(Mutex::new(String::new()));
        let (process, ports, log_reader) = spawn(&binary, folder.path(), &log).await?;
        Ok(Self { process, folder, binary, ports, log, log_reader })
    }

    /// Waits until the process has ended, and starts it again over the same data, on other ports.
    ///
    /// # Errors
    /// When it does not end, or does not come up again.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.ended().await?;
        self.log_reader.abort();
        // What the process before wrote must not be taken for its successor's.
        std::fs::remove_file(self.folder.path().join("data/ports.json"))?;
        (self.process, self.ports, self.log_reader) = spawn(&self.binary, self.folder.path(), &self.log).await?;
        Ok(())
    }

    /// Runs a subcommand of `tandem` as the operator of this gateway, about a tenant; gives what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn command(&self, tenant: &str, arguments: &[String]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(self.folder.path().join("data")).kill_on_drop(true);
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
            TransportChoice::WebTransport => &self.ports.media,
            TransportChoice::Auto | TransportChoice::WebSocket => &self.ports.web,
        };
        let trust = Trust::certificate_hash(&self.ports.certificate_sha256).expect("the gateway prints a hash");
        let url = Url::parse(&format!("https://{address}")).expect("the gateway prints an address");
        Options { trust, transport, ..Options::new(url, token) }
    }

    /// The certificate's SHA-256.
    pub fn certificate_hash(&self) -> &str {
        &self.ports.certificate_sha256
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where WebTransport listens, `host:port`.
    pub fn media_address(&self) -> &str {
        &self.ports.media
    }

    /// Where plain HTTP and WebSocket listen, `host:port`.
    ///
    /// # Panics
    /// When the gateway did not say so, though it was told to.
    pub fn plain_address(&self) -> &str {
        self.ports.plain.as_deref().expect("the tests' configuration has a plain address")
    }

    /// Where the control API listens, `host:port`.
    pub fn control_address(&self) -> &str {
        &self.ports.control
    }

    /// A folder of this gateway's own, for a test's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// Every call record so far, newest first.
    ///
    /// # Errors
    /// When `tandem records` fails.
    pub async fn records(&self) -> anyhow::Result<Vec<Record>> {
        let mut command = Command::new(&self.binary);
        command.args(["records", "--json", "--data-dir"]).arg(self.folder.path().join("data"));
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
        get(&self.ports.ops, "/metrics").await
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
        let pid = self.process.id().context("the gateway has ended")?.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
        if status.success() { Ok(()) } else { bail!("kill -s {name} {pid}: {status}") }
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(timeout(PATIENCE, self.process.wait()).await.context("the gateway does not end")??)
    }
}

/// The configuration file, in the gateway's folder.
const CONFIG: &str = "tandem.toml";

type Started = (Child, Ports, JoinHandle<()>);

/// Starts the process and waits until it takes calls.
async fn spawn(binary: &Path, folder: &Path, log: &Arc<Mutex<String>>) -> anyhow::Result<Started> {
    let mut process = Command::new(binary)
        .args(["serve", "--config"])
        .arg(folder.join(CONFIG))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let stderr = process.stderr.take().context("the gateway has no stderr")?;
    let log_reader = tokio::spawn(read_log(BufReader::new(stderr), log.clone()));
    match timeout(START_PATIENCE, ready(&mut process, &folder.join("data"))).await {
        Ok(Ok(ports)) => Ok((process, ports, log_reader)),
        failed => {
            let why = failed.map_or_else(|_| "it takes too long".to_owned(), |outcome| format!("{outcome:?}"));
            bail!("the gateway does not come up: {why}\n{}", lock(log));
        }
    }
}

fn lock(log: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_log(stderr: impl tokio::io::AsyncBufRead + Unpin, log: Arc<Mutex<String>>) {
    let mut lines = stderr.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = lock(&log);
        if log.len() + line.len() < LOG_BYTES_MAX {
            log.push_str(&line);
            log.push('\n');
        }
    }
}

/// `TANDEM_BIN`, else the binary beside the test's own executable.
fn binary() -> anyhow::Result<PathBuf> {
    if let Some(binary) = std::env::var_os("TANDEM_BIN") {
        return Ok(binary.into());
    }
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("the test has no target folder")?;
    let binary = profile.join(format!("tandem{}", std::env::consts::EXE_SUFFIX));
    if !binary.is_file() {
        bail!("there is no {}; build it with `cargo build -p tandem`, or set TANDEM_BIN", binary.display());
    }
    Ok(binary)
}

fn toml(settings: &Settings, folder: &Path) -> anyhow::Result<String> {
    let Settings { shards, drain_seconds, ring_seconds, function, log_level } = settings;
    let mut text = String::new();
    let mut tenant = |name: &str, secret: &str, function: &Option<PathBuf>| -> anyhow::Result<()> {
        write!(text, "\n[[tenant]]\nname = {name:?}\nring_seconds = {ring_seconds}\n")?;
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

/// Waits until the gateway has said where it listens and that it is ready.
async fn ready(process: &mut Child, data: &Path) -> anyhow::Result<Ports> {
    loop {
        if let Some(status) = process.try_wait()? {
            bail!("it ended: {status}");
        }
        if let Ok(text) = std::fs::read_to_string(data.join("ports.json")) {
            let ports: Ports = serde_json::from_str(&text).with_context(|| format!("ports.json: {text}"))?;
            if get(&ports.ops, "/readyz").await.is_ok() {
                return Ok(ports);
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// The body of a GET, when it is answered with 200.
async fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.context("no answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { bail!("{path}: {head}") }
}

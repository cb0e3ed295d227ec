//! One process of `tandem`: how it is started, what it says, and when it takes calls.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::PATIENCE;

/// How long a gateway may take to start: it compiles its function first, which for one with Python inside takes ten seconds of processor time.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How often a condition is looked at that cannot be waited for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Most bytes that are kept of each thing that it says; a test's is a few hundred lines.
const SAID_BYTES_MAX: usize = 16 << 20;

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary, or a link to it.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<String>,
    /// What its environment has beside the test's own.
    pub environment: Vec<(&'static str, String)>,
    /// Where it is started.
    pub working_dir: PathBuf,
    /// Where it keeps its data.
    pub data_dir: PathBuf,
}

impl Launch {
    /// The process, not yet started; it is killed when it is dropped.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned()).current_dir(&self.working_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        self.command().spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// Where a gateway listens: what it writes into `ports.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ports {
    pub(crate) media: String,
    pub(crate) web: String,
    pub(crate) plain: Option<String>,
    pub(crate) ops: String,
    pub(crate) control: String,
    pub(crate) certificate_sha256: String,
}

/// What a process says, as it says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(Arc<Mutex<String>>);

impl Said {
    pub(crate) fn so_far(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn listen_to(&self, pipe: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let said = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut said = said.0.lock().unwrap_or_else(PoisonError::into_inner);
                if said.len() + line.len() < SAID_BYTES_MAX {
                    said.push_str(&line);
                    said.push('\n');
                }
            }
        })
    }
}

/// A process that takes calls. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    pub(crate) ports: Ports,
    readers: [JoinHandle<()>; 2],
}

impl Running {
    /// Starts a process and waits until it takes calls.
    pub(crate) async fn start(launch: &Launch, log: &Said, output: &Said) -> anyhow::Result<Self> {
        let mut process = launch.spawn()?;
        let stderr = process.stderr.take().context("the gateway has no stderr")?;
        let stdout = process.stdout.take().context("the gateway has no stdout")?;
        let readers = [log.listen_to(stderr), output.listen_to(stdout)];
        match timeout(START_PATIENCE, ready(&mut process, &launch.data_dir)).await {
            Ok(Ok(ports)) => Ok(Self { process, ports, readers }),
            failed => {
                let why = failed.map_or_else(|_| "it takes too long".to_owned(), |outcome| format!("{outcome:?}"));
                bail!("the gateway does not come up: {why}\n{}{}", output.so_far(), log.so_far());
            }
        }
    }

    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(&self.process, name).await
    }

    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(timeout(PATIENCE, self.process.wait()).await.context("the gateway does not end")??)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// Sends a signal to a process, by its name (`TERM`, `KILL`).
///
/// # Errors
/// When there is no such process any more.
pub async fn signal(process: &Child, name: &str) -> anyhow::Result<()> {
    let pid = process.id().context("the process has ended")?.to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
    if status.success() { Ok(()) } else { bail!("kill -s {name} {pid}: {status}") }
}

/// `TANDEM_BIN`, else the binary beside the test's own executable.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
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
pub(crate) async fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.context("no answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { bail!("{path}: {head}") }
}

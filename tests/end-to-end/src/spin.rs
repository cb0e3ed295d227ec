//! A Spin application as `spin up` hands it to the executable of a trigger: the locked application in a file, the rest in the environment.
//! The Spin CLI is not needed.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;
use url::Url;

use crate::launch::{Launch, binary};
use crate::{Gateway, PATIENCE};

/// The folder of the application, from where `spin up` is started.
const FOLDER: &str = "my app";

/// A Spin application with one component and one voice trigger, and Tandem installed as the plugin that serves it.
#[derive(Debug)]
pub struct Application {
    /// The locked application, as it will be written.
    pub locked: Value,
    /// What `spin up` was told beyond its own options.
    pub arguments: Vec<String>,
    /// What the environment of `spin up` has beside the test's own.
    pub environment: Vec<(&'static str, String)>,
    folder: TempDir,
    trigger: PathBuf,
}

impl Application {
    /// An application whose calls this component routes, for the users alice and carol; any port will do.
    ///
    /// # Errors
    /// When the plugin cannot be installed as `functions/README.md` says.
    pub async fn new(component: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(FOLDER))?;
        let source = Url::from_file_path(component).ok().context("an absolute path")?;
        let locked = json!({
            "spin_lock_version": 0,
            "metadata": { "name": "my-desk", "origin": "spin.toml", "triggers": { "voice": {} } },
            "triggers": [{ "id": "trigger--router", "trigger_type": "voice", "trigger_config": { "component": "router" } }],
            "components": [{
                "id": "router",
                "metadata": { "build": { "command": "cargo build" } },
                "source": { "content_type": "application/wasm", "source": source.as_str() },
            }],
        });
        let any_port = ["--voice-listen", "--voice-media", "--voice-ops", "--voice-control"];
        let any_port = any_port.map(|option| [option, "127.0.0.1:0"]);
        let users = ["--voice-user", "alice", "--voice-user", "carol"];
        let arguments = any_port.as_flattened().iter().chain(&users).map(|&word| word.to_owned()).collect();
        let trigger = install(folder.path()).await?;
        Ok(Self { locked, arguments, environment: Vec::new(), folder, trigger })
    }

    /// How `spin up` starts the trigger. Writes the locked application.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn launch(&self) -> anyhow::Result<Launch> {
        let working_dir = self.folder.path().to_owned();
        let unpacked = working_dir.join("unpacked");
        std::fs::create_dir_all(&unpacked)?;
        let locked = unpacked.join("spin.lock");
        std::fs::write(&locked, serde_json::to_vec_pretty(&self.locked)?)?;
        let url = Url::from_file_path(&locked).ok().context("an absolute path")?;
        let mut environment = vec![
            ("SPIN_LOCKED_URL", url.to_string()),
            ("SPIN_WORKING_DIR", unpacked.display().to_string()),
            ("SPIN_LOCAL_APP_DIR", FOLDER.to_owned()),
            ("SPIN_VERSION", "4.0.2".to_owned()),
        ];
        environment.extend(self.environment.iter().cloned());
        let data_dir = working_dir.join(FOLDER).join(".spin/tandem");
        let (program, arguments) = (self.trigger.clone(), self.arguments.clone());
        Ok(Launch { program, arguments, environment, working_dir, data_dir })
    }

    /// Starts it and waits until calls are routed by the component.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn up(self) -> anyhow::Result<Gateway> {
        let launch = self.launch()?;
        let gateway = Gateway::launch(self.folder, launch).await?;
        gateway.prints("router of my-desk is live").await?;
        Ok(gateway)
    }

    /// Starts it, and gives what it said when it ended by itself.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn fails(&self) -> anyhow::Result<Output> {
        ended(self.launch()?.command()).await
    }

    /// What the trigger answers when Spin asks it something: no application is there then.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn asked(&self, question: &str) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.trigger);
        command.arg(question).env_remove("SPIN_LOCKED_URL").current_dir(self.folder.path()).kill_on_drop(true);
        ended(command).await
    }
}

async fn ended(mut command: Command) -> anyhow::Result<Output> {
    Ok(timeout(PATIENCE, command.output()).await.context("the trigger does not end")??)
}

/// Installs the plugin below a data folder of Spin's own; gives the executable that Spin starts.
async fn install(folder: &Path) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the tests are two levels down")?;
    let spin = folder.join("spin");
    let mut script = Command::new("sh");
    script.arg(root.join("functions/spin-trigger.sh")).arg(binary()?).env("SPIN_DATA_DIR", &spin);
    let output = script.output().await?;
    if !output.status.success() {
        bail!("spin-trigger.sh: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(spin.join("plugins/trigger-voice/trigger-voice"))
}

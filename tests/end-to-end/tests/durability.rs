//! Whatever was acknowledged is there after `kill -9` at any moment: variables, key-value, users, versions and roll-outs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tandem_end_to_end::{Gateway, PATIENCE, Settings, function};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the gateway is killed.
const CYCLES: u64 = 12;

/// How long writers work before the kill: as long as tens of changes take.
const ALIVE_MS: std::ops::Range<u64> = 50..900;

/// In one of so many cycles the kill waits for a roll-out first: on a busy machine it takes longer than most lives.
const DEPLOYED_EVERY: u64 = 4;

/// The tenant whose changes are counted; made through the API, so that its very existence is one of them.
const TENANT: &str = "durable";

/// What the command line said is done.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    variables: BTreeSet<String>,
    keys: BTreeSet<String>,
    users: BTreeSet<String>,
    /// The newest version that was rolled out.
    live: u64,
}

/// Changes one thing after another until the gateway is gone; only what was acknowledged counts.
async fn write(
    gateway: Arc<Gateway>,
    cycle: u64,
    kind: usize,
    component: Arc<Vec<u8>>,
    done: Arc<Mutex<Acknowledged>>,
) {
    for number in 0.. {
        let name = format!("c{cycle}n{number}");
        let folder = gateway.folder().to_owned();
        let arguments: Vec<String> = match kind {
            0 => words(&["variable", "set", &name, "a value"]),
            1 => words(&["kv", "put", &name, "a value"]),
            2 => words(&["user", "add", &name]),
            _ => match another(&folder, &component, &name) {
                Ok(file) => words(&["deploy", &file, "--function", "main"]),
                Err(_) => return,
            },
        };
        let Ok(said) = gateway.command(TENANT, &arguments).await else { return };
        let mut done = done.lock().await;
        match kind {
            0 => drop(done.variables.insert(name)),
            1 => drop(done.keys.insert(name)),
            2 => drop(done.users.insert(name)),
            _ => {
                let deployment: Value = serde_json::from_str(&said).unwrap_or_default();
                done.live = done.live.max(deployment["version"].as_u64().unwrap_or(0));
            }
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    let json = if words[0] == "deploy" { vec!["--json".to_owned()] } else { Vec::new() };
    words.iter().map(|word| (*word).to_owned()).chain(json).collect()
}

/// The same component with other bytes: a custom section more.
fn another(folder: &Path, component: &[u8], name: &str) -> anyhow::Result<String> {
    let length = |bytes: usize| u8::try_from(bytes).context("a short name");
    let mut bytes = component.to_vec();
    bytes.extend([0, length(1 + name.len())?, length(name.len())?]);
    bytes.extend(name.as_bytes());
    let file = folder.join(format!("{name}.wasm"));
    std::fs::write(&file, bytes)?;
    Ok(file.to_str().context("a path of UTF-8")?.to_owned())
}

/// Waits until a roll-out more is acknowledged.
async fn deployed(done: &Mutex<Acknowledged>) -> anyhow::Result<()> {
    let before = done.lock().await.live;
    let deadline = Instant::now() + PATIENCE;
    while done.lock().await.live == before {
        ensure!(Instant::now() < deadline, "nothing is rolled out");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The names that a list has.
async fn names(gateway: &Gateway, list: &[&str], field: &str) -> anyhow::Result<BTreeSet<String>> {
    let arguments: Vec<String> = list.iter().map(|word| (*word).to_owned()).collect();
    let said = gateway.command(TENANT, &arguments).await?;
    let read = |line: &str| Ok(serde_json::from_str::<Value>(line)?[field].as_str().context("a name")?.to_owned());
    said.lines().map(read).collect()
}

async fn lost(gateway: &Gateway, done: &Acknowledged) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    let variables = names(gateway, &["variable", "list", "--json"], "name").await?;
    let keys = names(gateway, &["kv", "list", "--limit", "10000", "--json"], "key").await?;
    let users = names(gateway, &["user", "list", "--json"], "name").await?;
    lost.extend(done.variables.difference(&variables).map(|name| format!("variable {name}")));
    lost.extend(done.keys.difference(&keys).map(|name| format!("key {name}")));
    lost.extend(done.users.difference(&users).map(|name| format!("user {name}")));
    if done.live > 0 {
        let functions = gateway.command(TENANT, &["functions".to_owned(), "--json".to_owned()]).await?;
        let function: Value = serde_json::from_str(functions.lines().next().context("a function")?)?;
        let live = function["live"].as_u64().unwrap_or(0);
        if live < done.live {
            lost.push(format!("version {} went live and was acknowledged; live is {live}", done.live));
        }
    }
    Ok(lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_to_kill_9() -> anyhow::Result<()> {
    let seed = 9;
    let mut random = StdRng::seed_from_u64(seed);
    let component = Arc::new(std::fs::read(function::component("front-desk").await?)?);
    let mut gateway = Arc::new(Gateway::start(Settings::default()).await?);
    gateway.command("", &words(&["tenant", "create", TENANT])).await?;
    let done = Arc::new(Mutex::new(Acknowledged::default()));
    for cycle in 0..CYCLES {
        let mut writers = JoinSet::new();
        for kind in 0..4 {
            writers.spawn(write(gateway.clone(), cycle, kind, component.clone(), done.clone()));
        }
        if cycle % DEPLOYED_EVERY == 0 {
            deployed(&done).await?;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(ALIVE_MS))).await;
        gateway.signal("KILL").await?;
        while writers.join_next().await.is_some() {}
        let mut dead = Arc::into_inner(gateway).context("every writer has ended")?;
        dead.restart().await?;
        gateway = Arc::new(dead);
        let lost = lost(&gateway, &*done.lock().await).await?;
        ensure!(lost.is_empty(), "seed {seed}, cycle {cycle}: {lost:#?}\n{}", gateway.log());
    }
    let done = done.lock().await;
    let changes = done.variables.len() + done.keys.len() + done.users.len();
    println!("{CYCLES} kills, {changes} changes and version {} acknowledged, 0 lost", done.live);
    ensure!(changes > CYCLES as usize && done.live > 1, "the writers did nothing: {done:?}");
    Ok(())
}

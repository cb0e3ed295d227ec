//! `tandem queues`: a tenant's queues.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tandem_switch::id::{QueueId, UserId};
use tandem_switch::queue::Skills;

use super::remote::show::{Format, Table, progress, word};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::{Queue, QueueAgent, QueueSettings, QueueState};

/// Arguments of `tandem queues`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem queues put help --agent alice --agent bob:french=5,billing=3 --music waltz
  tandem queues put help --file help.json      all settings, as `tandem queues show help --json` gives them
  tandem queues state help                     who waits, who serves
  tandem queues list")]
pub struct QueuesArgs {
    #[command(subcommand)]
    command: QueuesCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum QueuesCommand {
    /// Make or change a queue; settings that are not named become their defaults.
    Put(Box<PutArgs>),
    /// List the queues.
    List(Format),
    /// Show a queue's settings, as JSON.
    Show {
        /// Its name.
        name: String,
    },
    /// Show who waits in a queue and who serves it now, and how it served its callers.
    State {
        /// Its name.
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Forget a queue. Who waits in it goes on with its plan.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct PutArgs {
    /// Its name: what `enqueue` steps say.
    name: String,
    /// All settings, from a file of JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agents", "strategy", "music", "max_wait", "wrap_up"])]
    file: Option<std::path::PathBuf>,
    /// A user who may serve it, with skills and how good they are at each, 0 to 255: `bob:french=5,billing=3`.
    #[arg(long = "agent", value_name = "USER[:SKILL=LEVEL,…]")]
    agents: Vec<String>,
    /// Whom a caller is offered to.
    #[arg(long, value_parser = ["ring-all", "longest-idle", "round-robin", "fewest-calls", "random", "skills"])]
    strategy: Option<String>,
    /// The prompt that callers hear while they wait.
    #[arg(long, value_name = "PROMPT")]
    music: Option<String>,
    /// The longest wait, seconds.
    #[arg(long, value_name = "SECONDS")]
    max_wait: Option<u64>,
    /// How long an agent is left alone after a call, seconds.
    #[arg(long, value_name = "SECONDS")]
    wrap_up: Option<u64>,
}

pub(super) async fn run(args: QueuesArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let queues = client.path("/queues").await?;
    let of = |name: &str| format!("{queues}/{}", segment(name));
    match args.command {
        QueuesCommand::Put(args) => {
            let queue = Queue { name: QueueId::new(&args.name)?, settings: settings(&args)? };
            let queue: Queue = client.put(&of(&args.name), &queue, None).await?;
            progress(&format!("queue {} has {} agents", queue.name, queue.settings.agents.len()));
        }
        QueuesCommand::List(format) => {
            let found: Vec<Queue> = client.get(&queues, &[]).await?;
            format.list(&found, "there are no queues", table)?;
        }
        QueuesCommand::Show { name } => {
            let queue: Queue = client.get(&of(&name), &[]).await?;
            println!("{}", serde_json::to_string_pretty(&queue.settings)?);
        }
        QueuesCommand::State { name, format } => {
            let state: QueueState = client.get(&format!("{}/state", of(&name)), &[]).await?;
            format.list(&state.agents, "nobody is logged on", agents_table)?;
            progress(&summary(&state));
        }
        QueuesCommand::Delete { name } => {
            client.delete(&of(&name)).await?;
            progress(&format!("queue {name} is gone"));
        }
    }
    Ok(())
}

fn settings(args: &PutArgs) -> anyhow::Result<QueueSettings> {
    if let Some(file) = &args.file {
        let text = match file.as_os_str() == "-" {
            true => std::io::read_to_string(std::io::stdin())?,
            false => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        };
        return serde_json::from_str(&text).with_context(|| format!("{} has no settings of a queue", file.display()));
    }
    let mut settings = QueueSettings { agents: agents(&args.agents)?, ..QueueSettings::default() };
    if let Some(strategy) = &args.strategy {
        settings.strategy = serde_json::from_value(strategy.clone().into())?;
    }
    settings.music.clone_from(&args.music);
    settings.max_wait_seconds = args.max_wait.unwrap_or(settings.max_wait_seconds);
    settings.wrap_up_seconds = args.wrap_up.unwrap_or(settings.wrap_up_seconds);
    Ok(settings)
}

/// Reads `USER[:SKILL=LEVEL,…]` of each agent.
fn agents(args: &[String]) -> anyhow::Result<BTreeMap<UserId, Skills>> {
    let agent = |arg: &String| {
        let (name, skills) = arg.split_once(':').unwrap_or((arg, ""));
        let skill = |pair: &str| {
            let (skill, level) = pair.split_once('=').unwrap_or((pair, "1"));
            let level = level.parse().with_context(|| format!("{pair:?}: a skill's level is 0 to 255"))?;
            anyhow::Ok((skill.to_owned(), level))
        };
        let skills = skills.split(',').filter(|pair| !pair.is_empty()).map(skill);
        anyhow::Ok((UserId::new(name)?, skills.collect::<anyhow::Result<Skills>>()?))
    };
    args.iter().map(agent).collect()
}

fn table(queues: &[Queue]) -> Table {
    let mut table = Table::new(["QUEUE", "STRATEGY", "AGENTS", "LONGEST WAIT", "MOST CALLERS"]);
    for Queue { name, settings } in queues {
        let agents = settings.agents.len().to_string();
        let longest = format!("{} s", settings.max_wait_seconds);
        table.row([name.to_string(), word(&settings.strategy), agents, longest, settings.callers_max.to_string()]);
    }
    table
}

fn agents_table(agents: &[QueueAgent]) -> Table {
    let mut table = Table::new(["AGENT", "STATE", "CALLS"]);
    for agent in agents {
        table.row([agent.user.to_string(), word(&agent.state), agent.calls.to_string()]);
    }
    table
}

fn summary(state: &QueueState) -> String {
    let QueueState { callers, figures, .. } = state;
    let longest = callers.iter().map(|caller| caller.waited_ms / 1000).max().unwrap_or(0);
    format!(
        "{} callers wait, the longest for {longest} s; of {} callers {} were answered ({} in time), {} hung up",
        callers.len(),
        figures.joined,
        figures.answered,
        figures.answered_in_time,
        figures.abandoned
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_read_with_their_skills() {
        let read = agents(&["alice".into(), "bob:french=5,billing".into()]).unwrap();
        let skills = |name: &str| read[&UserId::new(name).unwrap()].clone();
        assert_eq!(skills("alice"), Skills::new());
        assert_eq!(skills("bob"), Skills::from([("french".into(), 5), ("billing".into(), 1)]));
        for bad in ["Alice", "bob:french=256", "bob:french=much"] {
            assert!(agents(&[bad.into()]).is_err(), "{bad}");
        }
    }
}

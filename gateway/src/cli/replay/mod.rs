//! `tandem replay`: recorded decisions taken again by a candidate, on this machine, before anybody deploys it.
//!
//! Each invocation runs with the clock, random numbers, key-value contents and HTTP answers that were recorded with it, so what differs
//! comes from the candidate alone. Nothing reaches the network, and nothing changes on the gateway.

mod report;
mod words;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tandem_host::{Function, Host};
use tandem_switch::event::Event;
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::id::{CallId, FunctionId};
use tandem_switch::plan::Plan;

use self::report::{Decision, Replayed};
pub(super) use self::report::{DecisionsChange, Report};
pub(super) use self::words::plan_line;
use super::functions::named_or_only;
use super::remote::show::{Format, Paint, progress};
use super::remote::{Client, ConnectionArgs};
use crate::tenants::model::InvocationRecord;

/// Most invocations that are replayed at once: what a gateway keeps of a tenant by default.
const REPLAYED_MAX: usize = 10_000;

/// How many are replayed between two words of progress.
const PROGRESS_EVERY: usize = 200;

/// Arguments of `tandem replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem replay last 1000 --with target/wasm32-wasip2/release/front_desk.wasm
  tandem replay 01h8xz0000000000000000000a --with new.wasm --function front-desk

Exit codes: 0 every decision stays, 1 error, 2 wrong usage, 3 some decision changes.")]
pub struct ReplayArgs {
    /// A call's identifier, or `last N`: so many of the newest invocations.
    #[arg(value_name = "CALL | last N", num_args = 1..=2, required = true)]
    what: Vec<String>,
    /// The candidate.
    #[arg(long, value_name = "COMPONENT.wasm")]
    with: PathBuf,
    /// Whose invocations; may be left out when there is but one function.
    #[arg(long)]
    function: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Which invocations are replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those of one call.
    Call(CallId),
    /// The newest.
    Last(usize),
}

impl Which {
    fn read(words: &[String]) -> anyhow::Result<Self> {
        let wrong = "write a call's identifier, as `tandem invocations` shows it, or `last N`";
        match words {
            [last, count] if last == "last" => {
                let count: usize = count.parse().with_context(|| format!("last {count}: {wrong}"))?;
                anyhow::ensure!((1..=REPLAYED_MAX).contains(&count), "last {count}: 1 to {REPLAYED_MAX}");
                Ok(Self::Last(count))
            }
            [call] => {
                Ok(Self::Call(CallId::try_from(call.clone()).ok().with_context(|| format!("{call:?}: {wrong}"))?))
            }
            _ => anyhow::bail!("{:?}: {wrong}", words.join(" ")),
        }
    }
}

pub(super) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let which = Which::read(&args.what)?;
    let bytes = std::fs::read(&args.with).with_context(|| format!("cannot read {}", args.with.display()))?;
    let client = Client::new(args.connection.connection()?)?;
    let function = named_or_only(&client, args.function.as_deref()).await?;
    let report = replay(&client, &function, which, &args.with, bytes).await?;
    let report =
        report.with_context(|| format!("there is nothing to replay: no such invocation of {function} is kept"))?;
    args.format.one(&report, |report| report.words(Paint::of_stdout()))?;
    report.verdict()
}

/// Replays what a gateway recorded of a function with a candidate; nothing when nothing is recorded.
pub(super) async fn replay(
    client: &Client,
    function: &FunctionId,
    which: Which,
    file: &Path,
    candidate: Vec<u8>,
) -> anyhow::Result<Option<Report>> {
    let mut query = vec![("function", function.to_string())];
    let limit = match which {
        Which::Last(count) => count,
        Which::Call(call) => {
            query.push(("call", call.to_string()));
            REPLAYED_MAX
        }
    };
    let records: Vec<InvocationRecord> = client.list(&client.path("/invocations").await?, &query, limit).await?;
    if records.is_empty() {
        return Ok(None);
    }
    progress(&format!("replaying {} invocations of {function} with {} …", records.len(), file.display()));
    let host = std::sync::Arc::new(super::check::host()?);
    let loading = std::sync::Arc::clone(&host);
    let candidate = tokio::task::spawn_blocking(move || loading.load(&candidate)).await?;
    let candidate = candidate.with_context(|| file.display().to_string())?;
    let mut replayed = Vec::with_capacity(records.len());
    for (number, record) in records.into_iter().enumerate() {
        if number > 0 && number % PROGRESS_EVERY == 0 {
            progress(&format!("  {number} replayed"));
        }
        replayed.push(once(&host, &candidate, record).await);
    }
    Ok(Some(Report::of(replayed)))
}

/// Takes one decision again.
async fn once(host: &Host, candidate: &Function, record: InvocationRecord) -> Replayed {
    let InvocationRecord { context, event, trace, .. } = &record;
    let tandem_host::Replayed { invocation, unrecorded } = host.replay(candidate, context, event, trace).await;
    // What is answered when the call is over is ignored, so that any plan will do.
    let is_over = matches!(event, Event::Ended(_));
    let accepted = |plan: Plan| match plan.clone().accept() {
        Err(error) if !is_over => Decision::Failure(ConsultFailure::PlanRefused(error.to_string()).to_string()),
        Ok(_) | Err(_) => Decision::Plan(plan),
    };
    let now = invocation.answer.map_or_else(|failure| Decision::Failure(failure.to_string()), accepted);
    let unrecorded = unrecorded.iter().map(words::question).collect();
    Replayed { record, now, unrecorded }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A recorded invocation that answered `ring-back`.
    pub(in crate::cli) fn record(id: u64) -> InvocationRecord {
        let record = serde_json::json!({
            "id": id, "at": 1_800_000_000_000_u64, "function": "desk", "version": 1, "call": "00000000000000000000000001",
            "consultation": 1, "event": "incoming",
            "context": {
                "call": "00000000000000000000000001", "to": "reception", "transport": "webtransport", "node": "n", "region": "",
                "from": { "address": "bob", "display-name": null, "verified-by": "token" },
                "headers": [], "started-at": 1, "now": 1, "state": [], "version": "",
            },
            "plan": { "steps": ["ring-back"] }, "failure": null, "instead": null,
            "trace": { "seed": "00".repeat(32), "clock": [], "calls": [] },
            "log": "", "log-dropped-bytes": 0, "micros": 40, "cpu-micros": 30, "memory-bytes": 65536,
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn what_to_replay_is_read() {
        let read = |words: &[&str]| Which::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["last", "1000"]).unwrap(), Which::Last(1000));
        assert_eq!(read(&["00000000000000000000000001"]).unwrap(), Which::Call(CallId(1)));
        for words in [&["last"][..], &["last", "0"], &["last", "10001"], &["last", "x"], &["first", "3"], &["a/b"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}

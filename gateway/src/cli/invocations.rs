//! `tandem invocations` and `tandem logs`: what functions were asked, what they answered, and what they wrote.

use std::io::Write as _;
use std::time::Duration;

use super::remote::show::{Format, Paint, Table, Tone, micros, printable, size, utc, word};
use super::remote::{Client, ConnectionArgs, RemoteError};
use super::replay::plan_line;
use crate::tenants::model::{InvocationRecord, Page};

/// How long the gateway is asked to wait for something new, seconds. An idle `logs --follow` asks three times a minute.
const WAIT_SECONDS: u64 = 20;

/// How long `logs --follow` takes for one question at least: whatever the gateway answers, it is not asked more often.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How many invocations `logs --follow` takes at once; when there are more, it asks again at once.
const FOLLOWED_MAX: usize = 200;

/// Arguments of `tandem invocations`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem invocations --failed
  tandem invocations --call 01h8xz0000000000000000000a
  tandem invocations --show 4711                  event, plan, host calls, log, times
  tandem invocations --limit 1000 --json > seen.jsonl")]
pub struct InvocationsArgs {
    /// Show this one whole.
    #[arg(long, value_name = "ID", conflicts_with_all = ["call", "failed", "function", "version"])]
    show: Option<u64>,
    #[command(flatten)]
    which: Which,
    /// At most this many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `tandem logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem logs -f                            new lines as they come
  tandem logs --call 01h8xz0000000000000000000a
  tandem logs --failed --limit 200")]
pub struct LogsArgs {
    /// Wait for more; until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    which: Which,
    /// Of at most so many invocations.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Which invocations.
#[derive(Clone, Debug, Default, clap::Args)]
struct Which {
    /// Of this call.
    #[arg(long)]
    call: Option<String>,
    /// Those that failed.
    #[arg(long)]
    failed: bool,
    /// Of this function.
    #[arg(long)]
    function: Option<String>,
    /// Of this version of it: a number.
    #[arg(long, requires = "function")]
    version: Option<u32>,
}

impl Which {
    fn query(&self) -> Vec<(&'static str, String)> {
        let call = self.call.clone().map(|call| ("call", call));
        let failed = self.failed.then(|| ("failed", "true".to_owned()));
        let function = self.function.clone().map(|function| ("function", function));
        let version = self.version.map(|version| ("version", version.to_string()));
        [call, failed, function, version].into_iter().flatten().collect()
    }
}

pub(super) async fn run(args: InvocationsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let path = client.path("/invocations").await?;
    if let Some(id) = args.show {
        let record: InvocationRecord = client.get(&format!("{path}/{id}"), &[]).await?;
        return args.format.one(&record, whole);
    }
    let records: Vec<InvocationRecord> = client.list(&path, &args.which.query(), args.limit).await?;
    args.format.list(&records, "no function has been asked yet", table)
}

fn table(records: &[InvocationRecord]) -> Table {
    let mut table = Table::new(["ID", "WHEN", "VERSION", "CALL", "FROM", "TO", "EVENT", "TOOK", "ANSWER"]);
    for record in records {
        let (tone, answer) = answer(record);
        let plain = |text: String| (Tone::Plain, text);
        table.toned([
            plain(record.id.to_string()),
            plain(utc(record.at)),
            plain(version(record)),
            (Tone::Faint, record.call.clone()),
            plain(record.context.from.address.clone()),
            plain(record.context.to.clone()),
            plain(event(record)),
            plain(micros(record.micros)),
            (tone, answer),
        ]);
    }
    table
}

fn version(record: &InvocationRecord) -> String {
    format!("{}@{}", record.function, record.version)
}

fn event(record: &InvocationRecord) -> String {
    use tandem_switch::event::Event;
    match &record.event {
        Event::Incoming => "incoming".to_owned(),
        Event::Consulted(consultation) => format!("consulted {}", consultation.tag),
        Event::Ended(_) => "ended".to_owned(),
    }
}

fn answer(record: &InvocationRecord) -> (Tone, String) {
    match (&record.failure, &record.plan) {
        (Some(failure), _) => (Tone::Bad, failure.clone()),
        (None, Some(plan)) => (Tone::Plain, plan_line(plan)),
        (None, None) => (Tone::Plain, "-".to_owned()),
    }
}

/// Everything of one invocation.
fn whole(record: &InvocationRecord) -> String {
    let paint = Paint::of_stdout();
    let json = |value: serde_json::Result<String>| value.map_or_else(|_| "-".to_owned(), |text| printable_lines(&text));
    let heading = |text: &str| paint.text(Tone::Strong, text);
    let mut text = format!("{} {}, {}\n", heading("invocation"), record.id, utc(record.at));
    text += &format!(
        "  version   {}\n  call      {}, question {}\n",
        version(record),
        printable(&record.call),
        record.consultation
    );
    text += &format!(
        "  took      {} ({} of a processor), {} of memory\n",
        micros(record.micros),
        micros(record.cpu_micros),
        size(record.memory_bytes)
    );
    text += &format!("{}\n{}\n", heading("event"), json(serde_json::to_string_pretty(&record.event)));
    text += &format!("{}\n{}\n", heading("context"), json(serde_json::to_string_pretty(&record.context)));
    match (&record.plan, &record.failure) {
        (_, Some(failure)) => text += &format!("{}\n  {}\n", paint.text(Tone::Bad, "failure"), printable(failure)),
        (Some(plan), None) => text += &format!("{}\n{}\n", heading("plan"), json(serde_json::to_string_pretty(plan))),
        (None, None) => {}
    }
    if let Some(instead) = &record.instead {
        text += &format!("{}\n  {}\n", heading("instead"), printable(&word(instead)));
    }
    text += &format!("{} {}\n", heading("host calls"), record.trace.calls.len());
    for call in &record.trace.calls {
        let (question, reply) = (serde_json::to_string(&call.question), serde_json::to_string(&call.reply));
        text += &format!("  {} → {} ({})\n", json(question), json(reply), micros(call.micros));
    }
    text += &format!("{}\n{}", heading("log"), printable_lines(&record.log));
    if record.log_dropped_bytes > 0 {
        text += &format!("\n({} more bytes were not kept)", record.log_dropped_bytes);
    }
    text
}

/// Several lines of somebody's text.
fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("  {}", printable(line))).collect::<Vec<_>>().join("\n").trim_start().to_owned()
}

pub(super) async fn logs(args: LogsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let path = client.path("/invocations").await?;
    // One at least: what comes later is newer than it.
    let mut records: Vec<InvocationRecord> = client.list(&path, &args.which.query(), args.limit.max(1)).await?;
    let mut last = records.first().map_or(0, |record| record.id);
    records.truncate(args.limit);
    // The newest come first, but a log is read downwards.
    records.reverse();
    let mut printer = Printer { json: args.format.json, paint: Paint::of_stdout() };
    printer.print(&records)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        let asked = tokio::time::Instant::now();
        let mut query = args.which.query();
        query.extend([
            ("after", last.to_string()),
            ("wait", WAIT_SECONDS.to_string()),
            ("limit", FOLLOWED_MAX.to_string()),
        ]);
        let page: Result<Page<InvocationRecord>, RemoteError> = client.get(&path, &query).await;
        let page = match page {
            // A node that is being restarted is waited for.
            Err(error) if error.is_passing() => Page { items: Vec::new(), next: None },
            page => page?,
        };
        printer.print(&page.items)?;
        last = page.items.last().map_or(last, |record| record.id);
        if page.items.len() < FOLLOWED_MAX {
            tokio::time::sleep_until(asked + LOOK_AGAIN).await;
        }
    }
}

/// Writes logs, line by line.
struct Printer {
    json: bool,
    paint: Paint,
}

impl Printer {
    fn print(&mut self, records: &[InvocationRecord]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for record in records {
            if self.json {
                writeln!(out, "{}", log_json(record))?;
                continue;
            }
            let prefix = format!("{} {} {}", utc(record.at), printable(&record.call), version(record));
            for (tone, line) in lines(record) {
                writeln!(
                    out,
                    "{}  {}",
                    self.paint.text(Tone::Faint, &prefix),
                    self.paint.text(tone, &printable(&line))
                )?;
            }
        }
        Ok(out.flush()?)
    }
}

/// What an invocation wrote, and how it failed if it did.
fn lines(record: &InvocationRecord) -> Vec<(Tone, String)> {
    let mut lines: Vec<_> = record.log.lines().map(|line| (Tone::Plain, line.to_owned())).collect();
    if record.log_dropped_bytes > 0 {
        lines.push((Tone::Faint, format!("({} more bytes were not kept)", record.log_dropped_bytes)));
    }
    lines.extend(record.failure.iter().map(|failure| (Tone::Bad, format!("failed: {failure}"))));
    lines
}

fn log_json(record: &InvocationRecord) -> serde_json::Value {
    serde_json::json!({
        "id": record.id,
        "at": record.at,
        "call": record.call,
        "function": record.function,
        "version": record.version,
        "log": record.log,
        "log-dropped-bytes": record.log_dropped_bytes,
        "failure": record.failure,
    })
}

#[cfg(test)]
mod tests {
    use super::super::replay::tests::record;
    use super::*;

    #[test]
    fn a_log_has_its_lines_and_its_failure() {
        let mut record = record(7);
        record.log = "one\ntwo".into();
        record.log_dropped_bytes = 5;
        record.failure = Some("it trapped".into());
        let said: Vec<_> = lines(&record).into_iter().map(|(_, line)| line).collect();
        assert_eq!(said, ["one", "two", "(5 more bytes were not kept)", "failed: it trapped"]);
    }

    #[test]
    fn one_invocation_is_shown_whole_and_safe() {
        let mut record = record(7);
        record.log = "said \u{1b}[2J".into();
        let text = whole(&record);
        for part in ["invocation 7", "desk@1", "\"incoming\"", "ring-back", "said ?[2J"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}

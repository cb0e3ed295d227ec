//! `tandem records`: show call records. Works while the node runs.

use std::io::Write;
use std::path::PathBuf;

use tandem_switch::id::{TenantId, UserId};
use tandem_switch::record::CallRecord;
use tandem_switch::time::UnixMillis;
use time::OffsetDateTime;

use super::remote::show::{printable, utc};
use super::settings::Settings;
use super::span::moment;
use crate::store::{Filter, PAGE_MAX, Reader};

/// Arguments of `tandem records`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem records --config tandem.toml                       the newest, as a table
  tandem records --data-dir tandem-data --since 2h          what `tandem dev` kept in the last two hours
  tandem records --tenant acme --user alice --json          one JSON object a line, for jq")]
pub struct RecordsArgs {
    #[command(flatten)]
    settings: Settings,
    /// The store's directory, instead of the configuration's store.data_dir.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Of this tenant only.
    #[arg(long)]
    tenant: Option<String>,
    /// That this user made, was dialled in, or answered.
    #[arg(long)]
    user: Option<String>,
    /// Started at or after: 2026-11-22, 2026-11-22T14:00:00Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Started before.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// All fields, one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RecordsArgs) -> anyhow::Result<()> {
    let directory = match &args.data_dir {
        Some(directory) => directory.clone(),
        None => args.settings.load()?.config.store.data_dir,
    };
    let reader = Reader::open(&directory)?;
    let mut filter = filter(args)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if !args.json {
        writeln!(out, "{HEADING}")?;
    }
    let mut left = args.limit;
    while left > 0 {
        filter.limit = Some(left.min(PAGE_MAX));
        let page = reader.records(&filter)?;
        left -= page.records.len().min(left);
        for record in &page.records {
            if args.json {
                writeln!(out, "{}", serde_json::to_string(record)?)?;
            } else {
                writeln!(out, "{}", row(record))?;
            }
        }
        filter.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(out.flush()?)
}

fn filter(args: &RecordsArgs) -> anyhow::Result<Filter> {
    let now = OffsetDateTime::from(std::time::SystemTime::now());
    let time = |option: &str, text: &Option<String>| {
        let at = text.as_deref().map(|text| moment(text, now)).transpose();
        at.map(|at| at.map(UnixMillis)).map_err(|why| anyhow::anyhow!("{option}: {why}"))
    };
    Ok(Filter {
        tenant: args.tenant.as_deref().map(TenantId::new).transpose()?,
        user: args.user.as_deref().map(UserId::new).transpose()?,
        since: time("--since", &args.since)?,
        until: time("--until", &args.until)?,
        ..Filter::default()
    })
}

const HEADING: &str = "STARTED               TENANT        FROM             TO               ANSWERED BY          TALK  CAUSE              BY        MOS";

fn row(record: &CallRecord) -> String {
    let talk = record.answered_at.map(|at| record.ended_at.0.saturating_sub(at.0) / 1000);
    let talk = talk.map_or_else(|| "-".to_owned(), |seconds| format!("{}:{:02}", seconds / 60, seconds % 60));
    let answered_by = record.answered_by.as_ref().map_or("-", UserId::as_str);
    let by = serde_json::to_value(record.ended_by).ok();
    let by = by.as_ref().and_then(serde_json::Value::as_str).unwrap_or("-").to_owned();
    let heard = record.voice.iter().map(|voice| voice.reception.mos).filter(|mos| *mos > 0.0);
    let worst = heard.reduce(f32::min).map_or_else(|| "-".to_owned(), |mos| format!("{mos:.1}"));
    format!(
        "{:<20}  {:<12}  {:<15}  {:<15}  {answered_by:<15}  {talk:>7}  {:<17}  {by:<8}  {worst}",
        utc(record.started_at),
        record.tenant.as_str(),
        record.from.as_str(),
        printable(&record.to),
        record.cause.as_str(),
    )
}

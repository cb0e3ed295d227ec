//! `tandem recordings`: recordings of calls, rooms and messages.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::remote::show::{Format, Table, length, progress, size, utc, word};
use super::remote::{Client, ConnectionArgs, deliver, segment};
use super::span::{moment, span};
use crate::tenants::model::{Bookmark, NewBookmark, Recording};

/// Arguments of `tandem recordings`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem recordings list --since 2h
  tandem recordings get 0123456789abcdefghjkmnpqrs call.ogg --mix stereo
  tandem recordings get 0123456789abcdefghjkmnpqrs caller.ogg --track 0
  tandem recordings mark 0123456789abcdefghjkmnpqrs --at 90s --label 'price agreed'
  tandem recordings delete 0123456789abcdefghjkmnpqrs")]
pub struct RecordingsArgs {
    #[command(subcommand)]
    command: RecordingsCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum RecordingsCommand {
    /// List recordings, newest first.
    List(ListArgs),
    /// Download a recording: all voices as one, or one of them.
    Get {
        /// Its identifier.
        recording: String,
        /// Where to; without it, standard output.
        file: Option<PathBuf>,
        /// All voices in the middle, or the first left and the others right.
        #[arg(long, value_parser = ["mono", "stereo"], default_value = "mono")]
        mix: String,
        /// This track alone, as it was spoken; from 0.
        #[arg(long, conflicts_with = "mix")]
        track: Option<u32>,
    },
    /// Mark a moment.
    Mark {
        /// Its identifier.
        recording: String,
        /// How long after its beginning: 90s, 1m.
        #[arg(long, value_name = "TIME")]
        at: String,
        /// What for.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Delete a recording, wherever it is kept.
    Delete {
        /// Its identifier.
        recording: String,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Of this call only.
    #[arg(long)]
    call: Option<String>,
    /// Of this kind only.
    #[arg(long, value_parser = ["call", "voicemail", "message", "room"])]
    kind: Option<String>,
    /// Begun at or after: 2026-11-22, 2026-11-22T14:00:00Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn run(args: RecordingsArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let recordings = client.path("/recordings").await?;
    let of = |recording: &str| format!("{recordings}/{}", segment(recording));
    match args.command {
        RecordingsCommand::List(args) => {
            let found: Vec<Recording> = client.list(&recordings, &wanted(&args)?, args.limit).await?;
            args.format.list(&found, "there are no such recordings", table)?;
        }
        RecordingsCommand::Get { recording, file, mix, track } => {
            let what = track.map_or_else(|| format!("/audio?mix={mix}"), |track| format!("/tracks/{track}"));
            deliver(&client.bytes(&(of(&recording) + &what)).await?, file.as_deref())?;
        }
        RecordingsCommand::Mark { recording, at, label } => {
            let at = span(&at).map_err(|why| anyhow::anyhow!("--at: {why}"))?;
            let new = NewBookmark { at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX), label };
            let marks: Vec<Bookmark> = client.post(&(of(&recording) + "/bookmarks"), &new).await?;
            progress(&format!("marked; the recording has {} marks", marks.len()));
        }
        RecordingsCommand::Delete { recording } => {
            client.delete(&of(&recording)).await?;
            progress(&format!("recording {recording} is gone"));
        }
    }
    Ok(())
}

fn wanted(args: &ListArgs) -> anyhow::Result<Vec<(&'static str, String)>> {
    let now = OffsetDateTime::from(std::time::SystemTime::now());
    let since = args.since.as_deref().map(|since| moment(since, now)).transpose();
    let since = since.map_err(|why| anyhow::anyhow!("--since: {why}"))?;
    let query = [("call", args.call.clone()), ("kind", args.kind.clone()), ("since", since.map(|at| at.to_string()))];
    Ok(query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

fn table(recordings: &[Recording]) -> Table {
    let mut table = Table::new(["RECORDING", "BEGAN", "KIND", "LENGTH", "TRACKS", "SIZE", "STATE", "KEPT"]);
    for recording in recordings {
        table.row([
            recording.id.to_string(),
            utc(recording.started_at),
            word(&recording.kind),
            length(recording.duration_ms),
            recording.tracks.len().to_string(),
            size(recording.tracks.iter().map(|track| track.bytes).sum()),
            word(&recording.state),
            word(&recording.storage),
        ]);
    }
    table
}

//! How answers look on a terminal: tables, times, sizes and colours. Tenants' text never commands the terminal.

use std::io::{IsTerminal as _, Write};

use tandem_switch::time::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Text that somebody else wrote, with what would command a terminal replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if commands(letter) { '?' } else { letter }).collect()
}

/// Control characters, and those that turn the direction of what follows.
fn commands(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time to the second, UTC: `2026-11-22T14:00:00Z`.
pub(crate) fn utc(at: UnixMillis) -> String {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let text = OffsetDateTime::from_unix_timestamp(seconds).ok();
    text.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned())
}

/// A size as people say it: `312 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 2] = [("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes < 10 * unit => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// How long something sounds, as people read it.
pub(crate) fn length(millis: u64) -> String {
    if millis < 10_000 {
        return format!("{}.{} s", millis / 1000, millis % 1000 / 100);
    }
    let seconds = millis / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A time taken: `41 µs`, `1.3 ms`, `2.0 s`.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// A closed enum as the API writes it: `rolled-back`.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It does not.
    Plain,
    /// A heading.
    Strong,
    /// Something good.
    Good,
    /// Something wrong.
    Bad,
    /// Something by the way.
    Faint,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// On a terminal.
    Colours,
    /// Into a file or a pipe, or where NO_COLOR is set (no-color.org).
    Plain,
}

impl Paint {
    /// What fits this process's standard output.
    pub(crate) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::Colours } else { Self::Plain }
    }

    /// The text, so coloured.
    pub(crate) fn text(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Plain, _) | (_, Tone::Plain) => return text.to_owned(),
            (_, Tone::Strong) => "1",
            (_, Tone::Good) => "32",
            (_, Tone::Bad) => "31",
            (_, Tone::Faint) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A table: as wide as what is in it, the last column open.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    /// An empty one.
    pub(crate) fn new<const COLUMNS: usize>(heading: [&'static str; COLUMNS]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of plain cells.
    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.toned(cells.map(|cell| (Tone::Plain, cell)));
    }

    /// Adds a row.
    pub(crate) fn toned<const COLUMNS: usize>(&mut self, cells: [(Tone, String); COLUMNS]) {
        self.rows.push(cells.into_iter().map(|(tone, cell)| (tone, printable(&cell))).collect());
    }

    /// Writes it; nothing but `empty` when it has no row.
    pub(crate) fn print(&self, out: &mut impl Write, paint: Paint, empty: &str) -> std::io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{empty}");
        }
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row.get(column).map_or(0, |(_, cell)| cell.chars().count()));
                cells.chain([self.heading.get(column).map_or(0, |name| name.len())]).max().unwrap_or(0)
            })
            .collect();
        let heading = self.heading.iter().map(|name| (Tone::Strong, (*name).to_owned())).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for (column, (tone, cell)) in row.iter().enumerate() {
                line += &paint.text(*tone, cell);
                if column + 1 < row.len() {
                    let width = widths.get(column).copied().unwrap_or(0);
                    line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// How a subcommand's answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Format {
    /// All fields, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Format {
    /// Writes some of many: as JSON lines, or as a table.
    pub(crate) fn list<T: serde::Serialize>(
        self,
        items: &[T],
        empty: &str,
        table: impl FnOnce(&[T]) -> Table,
    ) -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if self.json {
            for item in items {
                writeln!(out, "{}", serde_json::to_string(item)?)?;
            }
        } else {
            table(items).print(&mut out, Paint::of_stdout(), empty)?;
        }
        Ok(out.flush()?)
    }

    /// Writes one thing: as JSON, or as words.
    pub(crate) fn one<T: serde::Serialize>(self, item: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string(item)? } else { words(item) };
        Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
    }
}

/// Says on standard error how far something is; answers stay alone on standard output.
pub(crate) fn progress(what: &str) {
    eprintln!("{}", printable(what));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_replaced() {
        assert_eq!(printable("bob\u{1b}[2J\n\u{202e}evil ü"), "bob?[2J??evil ü");
    }

    #[test]
    fn sizes_and_times_are_said_as_people_do() {
        let table = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300_000, "292 KiB"), (5 << 20, "5.0 MiB")];
        for (bytes, said) in table {
            assert_eq!(size(bytes), said);
        }
        for (taken, said) in [(41, "41 µs"), (1_340, "1.3 ms"), (2_050_000, "2.0 s")] {
            assert_eq!(micros(taken), said);
        }
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["front-desk".into(), "live\n".into()]);
        table.toned([(Tone::Good, "x".into()), (Tone::Bad, "bad".into())]);
        let (mut plain, mut coloured) = (Vec::new(), Vec::new());
        table.print(&mut plain, Paint::Plain, "none").unwrap();
        table.print(&mut coloured, Paint::Colours, "none").unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "NAME        STATE\nfront-desk  live?\nx           bad\n");
        assert!(
            String::from_utf8(coloured).unwrap().ends_with("\u{1b}[32mx\u{1b}[0m           \u{1b}[31mbad\u{1b}[0m\n")
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        let mut out = Vec::new();
        Table::new(["NAME"]).print(&mut out, Paint::Plain, "there are no users").unwrap();
        assert_eq!(out, b"there are no users\n");
    }
}

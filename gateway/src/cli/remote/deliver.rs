//! Bytes that were downloaded, put where somebody wants them.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::show::progress;

/// Writes to the file, else to standard output unless that is a terminal.
pub(crate) fn deliver(bytes: &[u8], file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else {
        let out = std::io::stdout();
        anyhow::ensure!(!out.is_terminal(), "sound is nothing for a terminal; name a file, such as heard.ogg");
        return Ok(out.lock().write_all(bytes)?);
    };
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    progress(&format!("{} is written", file.display()));
    Ok(())
}

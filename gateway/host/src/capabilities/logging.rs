//! `wasi:logging`, into the invocation's log: a line for each message, `LEVEL context: message`.

use crate::capabilities::Sandbox;
use crate::capabilities::foreign::wasi::logging::logging::{Host, Level};

impl Host for Sandbox {
    async fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.log.append(line(level, &context, &message).as_bytes());
        Ok(())
    }
}

fn line(level: Level, context: &str, message: &str) -> String {
    let level = match level {
        Level::Trace => "TRACE",
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
        Level::Critical => "CRITICAL",
    };
    if context.is_empty() { format!("{level} {message}\n") } else { format!("{level} {context}: {message}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line() {
        assert_eq!(line(Level::Warn, "crm", "slow"), "WARN crm: slow\n");
        assert_eq!(line(Level::Info, "", "hello"), "INFO hello\n");
    }
}

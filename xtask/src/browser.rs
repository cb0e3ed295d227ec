//! The browser tests: a gateway of their own on free ports, routed by the `front-desk` component, and Chromium against it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::command::{Outcome, command, execute, root, tandem, target};

/// How long the gateway may take to load the function.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts the gateway, runs every scenario, stops the gateway.
pub(crate) fn check() -> Outcome {
    let data_dir = target().join("browser-test-data");
    let _ = std::fs::remove_dir_all(&data_dir);
    let gateway = Gateway::start(&data_dir)?;
    let ports = std::fs::read_to_string(data_dir.join("ports.json")).map_err(|error| format!("ports.json: {error}"))?;
    let address = field(&ports, "plain").ok_or("ports.json names no plain address")?;
    let mut node = command("node", &["run.mjs"]);
    node.current_dir(root().join("tests/browser"));
    node.env("TANDEM_URL", format!("http://{}", address.replace("127.0.0.1", "localhost")));
    let operators = field(&ports, "ops").ok_or("ports.json names no operators' address")?;
    node.env("TANDEM_OPS_URL", format!("http://{operators}"));
    node.env("TANDEM_BIN", tandem("debug"));
    let outcome = execute(node);
    drop(gateway);
    outcome
}

/// A running gateway; stopped when dropped.
struct Gateway(Child);

impl Gateway {
    fn start(data_dir: &Path) -> Result<Self, String> {
        let function = target().join("wasm32-wasip2/release/front_desk.wasm");
        let mut dev = command(&tandem("debug").to_string_lossy(), &["dev", "--function"]);
        dev.arg(function).arg("--data-dir").arg(data_dir);
        for listener in ["--listen", "--media", "--ops"] {
            dev.args([listener, "127.0.0.1:0"]);
        }
        let mut child = dev.stdout(Stdio::piped()).spawn().map_err(|error| format!("`tandem dev`: {error}"))?;
        let stdout = child.stdout.take().ok_or("`tandem dev` has no output")?;
        let gateway = Self(child);
        let (live, is_live) = mpsc::channel();
        // Reads to the end, so that the gateway never waits for its output to be taken.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("  | {line}");
                if line.contains("is live for the next call") {
                    let _ = live.send(());
                }
            }
        });
        is_live.recv_timeout(START_TIMEOUT).map_err(|_| "`tandem dev` did not bring the function up".to_owned())?;
        Ok(gateway)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The text of a field of a flat JSON object.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\": \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found() {
        let json = "{\n  \"media\": \"127.0.0.1:1\",\n  \"plain\": \"127.0.0.1:2\"\n}";
        assert_eq!(field(json, "plain"), Some("127.0.0.1:2"));
        assert_eq!(field(json, "ops"), None);
    }
}

//! The real gateway under load of voice as it is: calls of 50 packets a second each way, more and more of them, until more than 0.1 % of
//! the packets are lost; then the latency at half of the highest load that was carried.
//!
//! (Fewer calls with more packets each would flatter the gateway: QUIC puts several datagrams of one connection into one packet.)
//! One shard, so that the figure is one core's. The load tool and the gateway share the machine: where it has two cores, the tool has the
//! other.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// The tenant's secret; the gateway lives only as long as this benchmark.
const SECRET: &str = "a-secret-of-this-benchmark-alone-0001";

/// How long the gateway may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The loads that are tried, in calls; each is 100 packets a second.
const STAIRS: [u32; 10] = [50, 100, 200, 300, 400, 500, 600, 700, 800, 1000];

/// Loss up to which a load counts as carried.
const LOSS_MAX: f64 = 0.001;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("tandem.toml");
    std::fs::write(&config, configuration(folder.path()))?;
    let gateway = Gateway::start(&config)?;
    let address = format!("https://{}", gateway.address(folder.path())?);
    let mut carried = Vec::new();
    for calls in STAIRS {
        let measured = measure(&address, gateway.0.id(), calls, &folder.path().join("result.json"))?;
        if measured["loss"].as_f64().is_none_or(|loss| loss > LOSS_MAX) {
            break;
        }
        carried.push((calls, measured));
    }
    let (highest, at_highest) = carried.last().context("not even the lowest load was carried")?;
    let (half, at_half) = carried.iter().rev().find(|(calls, _)| 2 * calls <= *highest).context("no load was half")?;
    println!("\nhighest load with loss < 0.1 %: {highest} calls, {} packets/s on one core", 100 * highest);
    let cpu = at_highest["gateway"]["us_per_packet"].as_f64().unwrap_or_default();
    println!("  gateway CPU: {cpu:.1} µs a packet");
    println!("one way through the gateway at {half} calls, {} packets/s:", 100 * half);
    let latency = |percentile: &str| at_half["latency"][percentile].as_f64().unwrap_or_default();
    println!("  p50 {:.0} µs, p99 {:.0} µs", latency("p50_us"), latency("p99_us"));
    Ok(())
}

/// Puts a number of calls through the gateway for some seconds; gives what the load tool measured.
fn measure(address: &str, pid: u32, calls: u32, result: &Path) -> anyhow::Result<serde_json::Value> {
    let (calls, pid, result_file) = (calls.to_string(), pid.to_string(), result.to_string_lossy());
    let arguments = [
        &["tandem-load", "--gateway", address, "--insecure", "--tenant", "load", "--secret", SECRET][..],
        &["--gateway-pid", &pid, "--calls", &calls, "--setup-rate", "200", "--duration", "5", "--json", &result_file],
    ];
    tandem_load::run(arguments.concat().into_iter().map(str::to_owned))?;
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(result)?)?;
    Ok(report["latency"].clone())
}

fn configuration(folder: &Path) -> String {
    let any_port = "listen = \"127.0.0.1:0\"";
    format!(
        "[media]\n{any_port}\nshards = 1\n[web]\n{any_port}\n[ops]\n{any_port}\n[control]\n{any_port}\n[store]\ndata_dir = {:?}\n\
         [log]\nlevel = \"warn\"\n[[tenant]]\nname = \"load\"\nkeys = [{{ hs256_secret = {SECRET:?} }}]\n",
        folder.join("data")
    )
}

/// The gateway's process; ended when dropped.
struct Gateway(Child);

impl Gateway {
    fn start(config: &Path) -> anyhow::Result<Self> {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_tandem"));
        serve.arg("serve").arg("--config").arg(config).stdin(Stdio::null());
        Ok(Self(serve.spawn().context("the gateway does not start")?))
    }

    fn address(&self, folder: &Path) -> anyhow::Result<String> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Ok(text) = std::fs::read_to_string(folder.join("data/ports.json")) {
                let ports: serde_json::Value = serde_json::from_str(&text)?;
                return Ok(ports["media"].as_str().context("ports.json names no media address")?.to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the gateway was not up after {START_TIMEOUT:?}")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

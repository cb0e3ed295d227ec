//! Load tool: pairs of simulated callers talk through a real gateway, and what comes out is counted and timed.
//!
//! Calls are set up by ordinary signalling (the gateway's tenant needs no function and no list of users). Voice is raw RTP in QUIC
//! datagrams, without a codec: every packet carries when it was sent, and both ends are in this process, so that latency is one way
//! and on one clock. The gateway's CPU time is read from `/proc`.
//!
//! On a machine that both share, the highest rate is theirs together; CPU time per packet is the gateway's alone.

mod cpu;
mod fleet;
mod histogram;
mod party;
mod report;
mod talk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgGroup, Parser};
use tandem_client::Trust;
use url::Url;

use crate::fleet::Fleet;
use crate::report::{Measurement, Report};

/// Loss up to which a rate counts as carried: 0.1 %.
const LOSS_MAX: f64 = 0.001;

/// Share of the wanted rate that must really have been sent for a measurement to mean anything.
const SENT_MIN: f64 = 0.97;

/// Times that the gap between a rate that is carried and one that is not is halved: to 1/16 of it.
const HALVINGS: u32 = 4;

/// Where the search gives up doubling, packets a second: more than any core carries.
const RATE_MAX: u64 = 2_000_000;

const EXAMPLES: &str = "\
Examples:
  100 calls of 50 packets a second each way, for 20 s:
    tandem-load --gateway https://127.0.0.1:4433 --insecure --tenant demo --secret-file demo.key --gateway-pid $(pidof tandem)
  The highest rate with less than 0.1 % loss, and latency at half of it:
    tandem-load … --calls 200 --ramp --json ramp.json";

/// Loads a gateway with calls and measures loss, latency and CPU time per packet.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("key").required(true).args(["secret", "secret_file"])))]
#[command(group(ArgGroup::new("trust").required(true).args(["certificate_hash", "insecure"])))]
struct Args {
    /// The gateway's WebTransport address.
    #[arg(long)]
    gateway: Url,

    /// The tenant whose users call; it must not list its users, nor have a function.
    #[arg(long)]
    tenant: String,

    /// The tenant's HS256 secret.
    #[arg(long)]
    secret: Option<String>,

    /// A file with the tenant's HS256 secret.
    #[arg(long)]
    secret_file: Option<PathBuf>,

    /// Believe the gateway's certificate with this SHA-256.
    #[arg(long, value_name = "HEX")]
    certificate_hash: Option<String>,

    /// Believe any certificate; loopback only.
    #[arg(long)]
    insecure: bool,

    /// Calls at once.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    calls: u32,

    /// Packets a second from each of a call's two sides. With --ramp, ignored.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pps: u32,

    /// Bytes of payload in each RTP packet.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(24..=1_000))]
    payload: u16,

    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    duration: u64,

    /// Search the highest rate with a loss below 0.1 %, then measure latency at half of it.
    #[arg(long)]
    ramp: bool,

    /// Threads that simulate callers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,

    /// UDP sockets of each thread.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    sockets: u32,

    /// Calls set up a second, at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    setup_rate: u32,

    /// The gateway's process, to measure its CPU time.
    #[arg(long)]
    gateway_pid: Option<u32>,

    /// Also write the result to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the tool with a command line, the program's name first.
///
/// # Errors
/// When the arguments are wrong, or the gateway cannot be reached or does not do its part.
pub fn run(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let args = Args::parse_from(arguments);
    let plan = plan(&args)?;
    println!("Setting up {} calls at {} a second…", args.calls, args.setup_rate);
    let mut fleet = Fleet::start(plan, args.gateway_pid)?;
    let span = Duration::from_secs(args.duration);
    let report = if args.ramp { ramp(&mut fleet, span)? } else { steady(&mut fleet, &args, span)? };
    fleet.stop()?;
    println!("\n{report}");
    let json = serde_json::to_string_pretty(&report)?;
    match &args.json {
        Some(file) => std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?,
        None => println!("{json}"),
    }
    Ok(())
}

fn plan(args: &Args) -> anyhow::Result<fleet::Plan> {
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        (None, None) => bail!("--secret or --secret-file is needed"),
    };
    let trust = match &args.certificate_hash {
        Some(hash) => Trust::certificate_hash(hash)?,
        None => Trust::AnyOnLoopback,
    };
    Ok(fleet::Plan {
        gateway: args.gateway.clone(),
        trust,
        tenant: args.tenant.clone(),
        secret: secret.trim().to_owned(),
        calls: args.calls,
        threads: args.threads.min(args.calls),
        sockets: args.sockets,
        setup_rate: args.setup_rate,
        payload: args.payload.into(),
    })
}

fn steady(fleet: &mut Fleet, args: &Args, span: Duration) -> anyhow::Result<Report> {
    let rate = 2 * u64::from(args.calls) * u64::from(args.pps);
    let measurement = tell(fleet.measure(rate, span)?);
    Ok(Report { highest: None, latency: measurement, steps: Vec::new() })
}

/// Doubles the rate until it is not carried, then halves the gap.
fn ramp(fleet: &mut Fleet, span: Duration) -> anyhow::Result<Report> {
    let mut steps = Vec::new();
    let (mut good, mut bad) = (None, None);
    let mut rate = 2_000;
    for _ in 0..64 {
        let measurement = tell(fleet.measure(rate, span)?);
        if carried(&measurement) {
            good = Some(measurement.clone())
        } else {
            bad = Some(rate)
        }
        steps.push(measurement);
        let Some(limit) = bad else {
            rate *= 2;
            if rate > RATE_MAX {
                break;
            }
            continue;
        };
        let reached = good.as_ref().map_or(0, |best: &Measurement| best.wanted_rate);
        let gap_min = limit >> HALVINGS;
        if limit - reached <= gap_min.max(100) {
            break;
        }
        rate = reached.midpoint(limit);
    }
    let Some(highest) = good else { bail!("not even the lowest rate was carried without loss") };
    println!("Latency at half of {} packets a second:", highest.wanted_rate);
    let latency = tell(fleet.measure(highest.wanted_rate / 2, span)?);
    Ok(Report { highest: Some(highest), latency, steps })
}

fn carried(measurement: &Measurement) -> bool {
    let wanted = measurement.wanted_rate as f64 * measurement.seconds;
    measurement.loss < LOSS_MAX && measurement.sent as f64 >= wanted * SENT_MIN
}

fn tell(measurement: Measurement) -> Measurement {
    println!("  {measurement}");
    measurement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_was_not_really_sent_is_not_carried() {
        let base = Measurement { wanted_rate: 1_000, seconds: 10.0, sent: 10_000, ..Measurement::default() };
        assert!(carried(&base));
        assert!(!carried(&Measurement { sent: 9_000, ..base.clone() }));
        assert!(!carried(&Measurement { loss: 0.002, ..base }));
    }
}

//! `tandem call`: a telephone for the command line. Dials or waits for one call, plays and records, says how it went.

mod course;
mod line;
mod typed;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Parser, ValueEnum};
use tandem_client::voice::{Sink, Source};
use tandem_client::{Options, TransportChoice, Trust};
use tandem_switch::cause::Cause;
use url::Url;

use self::course::Course;

const EXAMPLES: &str = "\
Examples:
  Say a file to bob and record the answer:
    tandem call --gateway https://localhost:4433 --token-file alice.jwt --to bob --play hello.wav --record bob.wav --duration 20s
  Take the next call by itself and send a tone:
    TANDEM_TOKEN=… tandem call --gateway https://localhost:4433 --wait --answer auto --tone 440
  Choose 2 in a menu, and type a PIN three seconds later:
    tandem call --gateway https://localhost:4433 --token-file alice.jwt --to office --digits 2,,,1234#

In a call, what is typed at the terminal is pressed: keys 0-9 * # A-D, then Enter. m mutes, h holds, r records at the gateway,
t USER hands the other side over to somebody, p SLOT parks it, q hangs up.

Exit codes:
  0 answered and ended by somebody hanging up   1 error        2 wrong usage
  10 busy            11 no answer               12 declined    13 nobody there, or no device connected
  14 cancelled       15 connection lost         16 not allowed 17 refused by the routing
  18 the gateway is overloaded or shutting down";

/// A telephone for the command line: dials or waits for one call, plays and records, says how it went.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("direction").required(true).args(["to", "wait"])))]
#[command(group(ArgGroup::new("say").args(["play", "tone", "silence"])))]
#[command(group(ArgGroup::new("trust").args(["certificate_hash", "ca", "insecure"])))]
#[command(group(ArgGroup::new("who").args(["token", "token_file"])))]
pub struct Args {
    /// The gateway: https://host:port, or http://host:port for an unencrypted WebSocket.
    #[arg(long, default_value = "https://localhost:4433")]
    gateway: Url,

    /// Who you are: a token signed with the tenant's key. Without it and --token-file, TANDEM_TOKEN of the environment.
    #[arg(long)]
    token: Option<String>,

    /// A file with the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Whom to call.
    #[arg(long, value_name = "USER")]
    to: Option<String>,

    /// Wait for a call.
    #[arg(long)]
    wait: bool,

    /// What to do when somebody calls.
    #[arg(long, value_enum, default_value_t = Answer::Ask)]
    answer: Answer,

    /// Say a file: WAV of any kind, or Ogg Opus of 20 ms a packet (`opusenc --framesize 20`), which is sent as it is.
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,

    /// Say a tone of so many hertz.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u16).range(20..=20_000))]
    tone: Option<u16>,

    /// Say nothing (the usual, where there is no microphone).
    #[arg(long)]
    silence: bool,

    /// Record what is heard: WAV, or Ogg Opus as it came.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Hang up so long after the answer: 10s, 500ms, 2m.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,

    /// Hang up so long after dialling or ringing, answered or not.
    #[arg(long, value_parser = duration)]
    hangup_after: Option<Duration>,

    /// Keys to press once somebody or the gateway has answered: 0-9, *, #, A-D; a comma waits a second.
    #[arg(long, value_name = "KEYS", alias = "dtmf", value_parser = typed::digits)]
    digits: Option<String>,

    /// Have the gateway record the call, once it is answered; the token must grant it.
    #[arg(long)]
    record_call: bool,

    /// Believe the gateway's certificate with this SHA-256 (64 hexadecimal digits).
    #[arg(long, value_name = "HEX")]
    certificate_hash: Option<String>,

    /// Believe certificates that the authorities in this PEM file signed.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Believe any certificate; only for a gateway on this machine.
    #[arg(long)]
    insecure: bool,

    /// What to connect over; auto falls back to WebSocket where UDP does not get through.
    #[arg(long, value_enum, default_value_t = Transport::Auto)]
    transport: Transport,

    /// One JSON object a line instead of words.
    #[arg(long)]
    json: bool,
}

/// What to do when somebody calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// Take the call.
    Auto,
    /// Ask at the terminal.
    Ask,
    /// Refuse it.
    Decline,
}

/// What to connect over.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    Auto,
    Webtransport,
    Websocket,
}

/// A call that did not come to be, or ended otherwise than by somebody hanging up.
#[derive(Debug, thiserror::Error)]
#[error("the call ended: {0}")]
pub struct Unsuccessful(pub Cause);

/// The exit code for an error of [`run`].
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Unsuccessful>() {
        None => 1,
        Some(Unsuccessful(cause)) => match cause {
            Cause::Normal => 0,
            Cause::Busy => 10,
            Cause::NoAnswer => 11,
            Cause::Declined | Cause::AnsweredElsewhere => 12,
            Cause::NotFound | Cause::Unreachable => 13,
            Cause::Cancelled => 14,
            Cause::ConnectionLost => 15,
            Cause::Forbidden | Cause::OwnAddress => 16,
            Cause::Closed | Cause::Redirected | Cause::NoRoute | Cause::FunctionFailed | Cause::TimeLimit => 17,
            Cause::Overloaded | Cause::Shutdown => 18,
            Cause::InternalError => 1,
        },
    }
}

/// Makes or takes one call.
///
/// # Errors
/// [`Unsuccessful`] when nobody was talked to or the call broke; anything else when it could not even be tried.
/// [`exit_code`] tells them apart.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let options = options(&args)?;
    let source = source(&args)?;
    let sink = sink(&args)?;
    match Course::begin(args, options, source, sink).await?.follow().await? {
        Cause::Normal => Ok(()),
        cause => Err(Unsuccessful(cause).into()),
    }
}

fn options(args: &Args) -> anyhow::Result<Options> {
    let token = match (&args.token_file, &args.token) {
        (Some(file), _) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        (None, Some(token)) => token.clone(),
        (None, None) => {
            std::env::var("TANDEM_TOKEN").context("a token is needed: --token, --token-file or TANDEM_TOKEN")?
        }
    };
    let trust = match (&args.certificate_hash, &args.ca) {
        (Some(hash), _) => Trust::certificate_hash(hash)?,
        (None, Some(file)) => {
            Trust::Authorities(std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
        (None, None) if args.insecure => Trust::AnyOnLoopback,
        (None, None) => Trust::System,
    };
    let transport = match args.transport {
        Transport::Auto => TransportChoice::Auto,
        Transport::Webtransport => TransportChoice::WebTransport,
        Transport::Websocket => TransportChoice::WebSocket,
    };
    let client = concat!("tandem-call/", env!("CARGO_PKG_VERSION")).to_owned();
    let token = token.trim().to_owned();
    Ok(Options { trust, transport, client, ..Options::new(args.gateway.clone(), token) })
}

fn source(args: &Args) -> anyhow::Result<Source> {
    match (&args.play, args.tone) {
        (Some(file), _) => Ok(Source::file(file)?),
        (None, Some(hz)) => Ok(Source::tone(hz.into())),
        #[cfg(feature = "devices")]
        (None, None) if !args.silence => Ok(Source::microphone()?),
        (None, None) => Ok(Source::silence()),
    }
}

fn sink(args: &Args) -> anyhow::Result<Sink> {
    match &args.record {
        Some(file) => Ok(Sink::file(file)?),
        #[cfg(feature = "devices")]
        None => Ok(Sink::loudspeaker()?),
        #[cfg(not(feature = "devices"))]
        None => Ok(Sink::nowhere()),
    }
}

/// Reads `10s`, `500ms`, `2m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("a time is a number and ms, s, m or h, such as 10s; got {text:?}");
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    // A day is more than any call lasts.
    number
        .checked_mul(millis)
        .filter(|millis| *millis <= 86_400_000)
        .map(Duration::from_millis)
        .ok_or_else(|| "a time is a day at most".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let table = [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("24h", 86_400_000), ("0s", 0)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "10 s", "-1s", "25h", "1d", "99999999999999999999s", "1.5s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        let base = ["call", "--token", "t"];
        let table: [(&[&str], bool); 9] = [
            (&["--to", "menu", "--digits", "2,,1234#", "--record-call"], true),
            (&["--to", "menu", "--digits", "two"], false),
            (&["--to", "bob"], true),
            (&["--wait", "--answer", "auto", "--tone", "440"], true),
            (&[], false),
            (&["--to", "bob", "--wait"], false),
            (&["--to", "bob", "--play", "a.wav", "--tone", "440"], false),
            (&["--to", "bob", "--insecure", "--ca", "a.pem"], false),
            (&["--to", "bob", "--duration", "soon"], false),
        ];
        for (more, good) in table {
            let parsed = Args::try_parse_from(base.iter().chain(more));
            assert_eq!(parsed.is_ok(), good, "{more:?}");
        }
    }

    #[test]
    fn every_unsuccessful_outcome_has_an_exit_code() {
        for cause in Cause::ALL.into_iter().filter(|&cause| cause != Cause::Normal) {
            assert_ne!(exit_code(&Unsuccessful(cause).into()), 0, "{cause}");
        }
        assert_eq!(exit_code(&anyhow::anyhow!("no such file")), 1);
    }
}

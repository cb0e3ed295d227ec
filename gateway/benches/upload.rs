//! From an upload to a call that it routes, on a warm node: how long after the last byte of a component was sent the gateway has taken
//! it, made a version of it, rolled that out on every call, and routed the next call by it.
//!
//! The real gateway, its control API over TLS, native clients, everything on one machine. Two kinds of new version: the same code under
//! another digest (a custom section more), and another program.

mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kit::{distinct, guest, report, smoke};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tandem_client::TransportChoice::WebTransport;
use tandem_client::Trust;
use tandem_end_to_end::token::TENANT;
use tandem_end_to_end::{Gateway, Phone, Settings};
use tandem_host::Digest;
use tandem_switch::cause::Cause;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Uploads that are measured, of each kind.
const UPLOADS: u64 = 20;

/// Uploads before: they make the function, open the store's files and fill whatever is filled once.
const WARM_UP: u64 = 2;

/// Between two uploads: the last one's component is compiled well in the background, and a warm node has nothing to do.
const PAUSE: Duration = Duration::from_secs(1);

/// Within so long after the upload's end the next call should be routed by it.
const GOAL: Duration = Duration::from_millis(100);

/// The programs that take turns as versions of one function; each rings who is dialled.
const PROGRAMS: [&str; 2] = ["find-me", "block-list"];

fn main() -> anyhow::Result<()> {
    let uploads = if smoke() { 2 } else { UPLOADS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(uploads))
}

async fn measure(uploads: u64) -> anyhow::Result<()> {
    let programs = PROGRAMS.map(guest);
    let gateway = Gateway::start(Settings { log_level: "warn", ..Settings::default() }).await?;
    let mut node = Node::of(&gateway).await?;
    println!("components of {} KiB; since the last byte of one was sent:", programs[0].len() / 1024);
    for number in 0..WARM_UP {
        node.live(&distinct(&programs[0], number)).await?;
    }
    let mut all = Vec::new();
    for number in WARM_UP..WARM_UP + uploads {
        all.push(node.live(&distinct(&programs[0], number)).await?);
    }
    show("the same code, another digest", &all);
    all.clear();
    for number in 0..uploads {
        let program = &programs[1 - usize::try_from(number % 2)?];
        all.push(node.live(&distinct(program, u64::MAX - number)).await?);
    }
    show("another program than the live one", &all);
    ensure!(gateway.log().is_empty(), "the gateway complains: {}", gateway.log());
    Ok(())
}

/// How long each step of one version's way took, since the last byte of the upload.
struct Way {
    /// The upload itself, from its first byte to its last.
    upload: Duration,
    component: Duration,
    version: Duration,
    deployment: Duration,
    /// The next call rings.
    call: Duration,
}

fn show(what: &str, ways: &[Way]) {
    println!("\n{what}:");
    report("  (the upload itself)", ways.iter().map(|way| way.upload).collect());
    report("  component acknowledged", ways.iter().map(|way| way.component).collect());
    report("  version made", ways.iter().map(|way| way.version).collect());
    report("  roll-out acknowledged", ways.iter().map(|way| way.deployment).collect());
    let p99 = report("  the next call rings by it", ways.iter().map(|way| way.call).collect());
    println!("  goal: {} ms; p99 takes {:.0} ms", GOAL.as_millis(), p99.as_secs_f64() * 1e3);
}

/// A gateway, its control API as the operator uses it, and two people.
struct Node<'a> {
    gateway: &'a Gateway,
    api: Api,
    alice: Phone,
    bob: Phone,
    calls: usize,
}

impl<'a> Node<'a> {
    async fn of(gateway: &'a Gateway) -> anyhow::Result<Self> {
        let alice = Phone::sign_in(gateway, "alice", WebTransport).await?;
        let bob = Phone::sign_in(gateway, "bob", WebTransport).await?;
        Ok(Self { gateway, api: Api::connect(gateway).await?, alice, bob, calls: 0 })
    }

    /// Takes a component to where a call rings by it.
    async fn live(&mut self, component: &[u8]) -> anyhow::Result<Way> {
        let digest = Digest::of(component).to_string();
        let of_function = format!("/v1/tenants/{TENANT}/functions/main");
        let started = Instant::now();
        let path = format!("/v1/tenants/{TENANT}/components/{digest}");
        let (uploaded, _) = self.api.ask("PUT", &path, "application/octet-stream", component).await?;
        let component = uploaded.elapsed();
        let new = json!({ "digest": digest }).to_string();
        let (_, made) = self.api.ask("POST", &format!("{of_function}/versions"), JSON, new.as_bytes()).await?;
        let version = uploaded.elapsed();
        let number = made["number"].as_u64().context("a version's number")?;
        let new = json!({ "version": number }).to_string();
        self.api.ask("POST", &format!("{of_function}/deployments"), JSON, new.as_bytes()).await?;
        let deployment = uploaded.elapsed();
        let call = self.alice.dial("bob").await?;
        ensure!(self.bob.rings().await? == call, "another call rings");
        let way = Way { upload: uploaded - started, component, version, deployment, call: uploaded.elapsed() };
        self.bob.client.decline(call).await?;
        ensure!(self.alice.ended(call).await? == Cause::Declined, "the plan's end");
        self.calls += 1;
        tokio::time::sleep(PAUSE).await;
        let records = self.gateway.await_records(self.calls).await?;
        let asked = records.first().and_then(|record| record.consultations.first()).context("a consultation")?;
        ensure!((asked.version == format!("main@{number}")) && asked.failure.is_none(), "version {number}: {asked:?}");
        Ok(way)
    }
}

const JSON: &str = "application/json";

/// Most bytes of an answer: a version with all its imports is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A kept-alive connection to the control API. No HTTP library: only so is it known when the last byte of an upload was written.
struct Api {
    stream: TlsStream<TcpStream>,
    token: String,
    host: String,
}

impl Api {
    async fn connect(gateway: &Gateway) -> anyhow::Result<Self> {
        let host = gateway.control_address().to_owned();
        let trust = Trust::certificate_hash(gateway.certificate_hash())?;
        let tls = TlsConnector::from(Arc::new(trust.tls(&[&rustls::version::TLS13], "http/1.1")?));
        let tcp = TcpStream::connect(&host).await?;
        tcp.set_nodelay(true)?;
        let stream = tls.connect(ServerName::try_from("localhost")?, tcp).await?;
        let token = std::fs::read_to_string(gateway.folder().join("data/operator-token"))?;
        Ok(Self { stream, token: token.trim().to_owned(), host })
    }

    /// One request; gives when its last byte was written, and what was answered.
    async fn ask(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<(Instant, Value)> {
        let (host, token, length) = (&self.host, &self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let written = Instant::now();
        let (head, body) = self.answer().await.with_context(|| format!("{method} {path}"))?;
        ensure!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {head}\n{body}");
        Ok((written, if body.is_empty() { Value::Null } else { serde_json::from_str(&body)? }))
    }

    async fn answer(&mut self) -> anyhow::Result<(String, String)> {
        let mut answer = Vec::new();
        loop {
            ensure!(answer.len() <= ANSWER_BYTES_MAX, "the answer is too long");
            ensure!(self.stream.read_buf(&mut answer).await? > 0, "the connection has ended");
            let Ok(text) = std::str::from_utf8(&answer) else { continue };
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            let length = fields.find_map(|(name, value)| {
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok()).flatten()
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok((head.to_owned(), body.to_owned()));
            }
        }
    }
}
